"""A market that is watched and turned, and the server of its page; without a browser."""

import builtins
import contextlib
import itertools
import math
import os
import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support.browser import table_experiment
from support.profiles import examples, members

from market_abm import Experiment, MarketError, run
from market_abm.cli.commands import main
from market_abm.experiment.files import available
from market_abm.watch.elasticities import with_elasticity_parameters
from market_abm.watch.session import Session

pytest.importorskip("bokeh")

COMMAND = [sys.executable, "-c", "from market_abm.cli.entry import main; main()"]
ENDS = ("diverged", "converged")


def path_of(text, steps):
    """The prices at each step of a run of the experiment file ``text``, and how it ended."""
    result = run(Experiment.parse(text, settings={"run.steps": steps, "record.every": 1}))
    return result.prices, result.status


def assert_runs_the_same(session, seen):
    """The file that ``session`` writes, run for as many steps, has the ``seen`` prices.

    A run ends where it settles after the last shock; until then it must not end.
    """
    last_shock = max((step for step, _ in session.experiment.changes), default=0)
    prices, status = path_of(session.text(), max(session.state.step, last_shock))
    assert len(prices) >= len(seen) or status in ENDS
    shared = min(len(prices), len(seen))
    assert np.array_equal(prices[:shared], seen[:shared], equal_nan=True)


# --- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "engine"),
    members(
        itertools.product(
            ("essay-chain", "spiral", "shocks", "loop", "perishable", "firms-noise", "tatonnement"),
            ("agents", "arrays"),
        ),
        quick=[
            *itertools.product(("essay-chain", "loop", "firms-noise"), ("agents",)),
            *itertools.product(("spiral", "shocks", "perishable"), ("arrays",)),
        ],
    ),
)
def test_a_session_goes_the_way_of_a_run(name, engine):
    session = Session(name, {"run.engine": engine})
    result = run(name, engine=engine)
    assert session.state.step == 0
    for step in range(min(result.steps, 250) + 1):
        assert session.state.step == step and session.ending is None
        assert np.array_equal(session.state.prices, result.prices[step])
        assert np.array_equal(session.state.quantities, result.quantities[step])
        assert np.array_equal(session.observations["gradients"], result.gradients[step])
        assert session.observations["welfare"] == result.path.welfare[step]
        session.step()


def test_a_market_at_rest_goes_on_and_stays_where_it_is():
    session = Session("essay-chain")
    for _ in range(30):
        session.step()
    assert session.state.step == 30 and session.observations["settled"]
    assert session.errors.max() == 0.0


def test_a_market_that_diverges_says_so_and_stands_still():
    session = Session("cobweb", {"supply.x.elasticity": 3.0})
    while session.ending is None and session.state.step < 400:
        session.step()
    result = run("cobweb", overrides={"supply.x.elasticity": 3.0})
    assert result.status == "diverged"
    assert session.ending == result.ending
    step, prices = session.state.step, session.state.prices
    session.step()
    assert session.state.step == step and session.state.prices is prices
    with pytest.raises(MarketError, match="cannot continue"):
        session.shock("demand", "y", 10)
    session.restart()
    assert session.state.step == 0 and session.ending is None


# --- turns and shocks ----------------------------------------------------------------------------


def test_a_turn_is_a_shock_of_the_next_step_and_a_turned_rate_a_new_start():
    session = Session("spiral")
    for _ in range(7):
        session.step()
    before = session.state.prices.copy()
    assert session.set("supply.z.quantity", 1.5) is False
    assert session.state.step == 7 and np.array_equal(session.state.prices, before)
    for _ in range(5):
        session.step()
    shocked = Experiment.load(
        "spiral", {"shocks": [{"step": 8, "supply.z.quantity": 1.5}], "run.steps": 12}
    )
    assert np.array_equal(session.state.prices, run(shocked).prices[-1])
    assert session.set("market.share_rate", 0.2) is True
    assert session.state.step == 0 and session.experiment.changes == ()
    for _ in range(12):
        session.step()
    kept = {"market.share_rate": 0.2, "supply.z.quantity": 1.5, "run.steps": 12}
    assert np.array_equal(session.state.prices, run("spiral", overrides=kept).prices[-1])


def test_shocks_of_the_same_step_come_together():
    session = Session("shocks")
    for _ in range(119):  # the file has a shock at step 120
        session.step()
    session.shock("productivity", "flour", -50)
    session.set("demand.bread.price", 3.0)
    session.step()
    wanted = [
        {
            "step": 120,
            "supply.labour.quantity": 1.0,
            "industries.flour.productivity": 0.5,
            "demand.bread.price": 3.0,
        }
    ]
    result = run(Experiment.load("shocks", {"shocks": wanted, "run.steps": 120}))
    assert np.array_equal(session.state.prices, result.prices[-1])


def test_percentages_are_of_the_number_as_it_is_by_then():
    session = Session("essay-chain")
    session.step()
    session.shock("supply", "natgas", -50)
    session.shock("supply", "natgas", -50)
    session.step()
    assert session.economy.supply["natgas"].quantity == 1.0
    session.restart()
    assert session.economy.supply["natgas"].quantity == 4.0


WRONG = [
    ("market.shar_rate", 0.2),
    ("market.bid_rate", 0.0),
    ("market.lag", 1.5),
    ("market.mechanism", "excess-demand"),
    ("market.mechanism", ["unit-bid"]),
    ("demand.tupperware.elasticity", -1.0),
    ("demand.tupperware.elasticity", "large"),
    ("demand.tupperware.elasticity", math.nan),
    ("demand.tupperware.elasticity", True),
    ("demand.bread.elasticity", 2.0),
    ("supply.natgas.quantity", [1.0, 2.0]),
    ("supply.natgas.quantity.x", 1.0),
    ("industries.ethylene", 5),
    ("industries.ethylene.productivity", [1.0, 2.0]),
    ("economy.program", "tupperware = ("),
    ("economy.program", "y = x"),
    ("economy.parameters", 5),
    ("economy.input_output", "us-2023"),
    ("shocks", 5),
    ("shocks", [{"step": 2, "market.lag": 1}]),
    ("run.steps", 10**18),
    ("run.tolerance", 0.0),
    ("question", 5),
    ("supply", {}),
    ("market", 5),
    ("", 1),
]


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_setting_leaves_all_as_it_was(key, value, steps):
    session = Session("essay-chain")
    for _ in range(steps):
        session.step()
    before = session.text(), session.parameters(), session.state, session.ending
    with pytest.raises(MarketError) as raised:
        session.set(key, value)
    told = str(raised.value)
    assert told and "\n" not in told
    assert (session.text(), session.parameters()) == before[:2]
    assert session.state is before[2] and session.ending is before[3]
    session.step()
    result = run("essay-chain", steps=steps + 1)  # it settles, to the last digit, at step 3
    assert session.state.step == steps + 1
    assert np.array_equal(session.state.prices, result.prices[-1])


@pytest.mark.parametrize(("target", "good"), [("taste", "natgas"), ("supply", "tupperware")])
def test_a_shock_that_hits_nothing_leaves_all_as_it_was(target, good):
    session = Session("essay-chain")
    before = session.text()
    with pytest.raises((MarketError, KeyError)) as raised:
        session.shock(target, good, -20)
    assert session.text() == before
    if target == "supply":
        assert isinstance(raised.value, MarketError)


@pytest.mark.parametrize(
    "key", ["economy.input_output", 'economy."input_output"', '"economy".sectors', "economy"]
)
def test_no_file_is_read_that_is_named_in_the_page(key):
    session = Session("us-economy")
    with pytest.raises(MarketError, match="names a file, and this page reads none"):
        session.set(key, "elsewhere.csv")


def test_a_refusal_in_the_middle_of_a_run_speaks_of_what_was_turned():
    """As at the start: of the setting, not of a list of shocks that nobody typed."""
    session = Session("essay-chain")
    session.step()
    with pytest.raises(MarketError) as raised:
        session.set("demand.tupperware.elasticity", -1)
    assert "demand.tupperware.elasticity" in str(raised.value)
    assert "[{" not in str(raised.value)


KEYS = {
    "supply.x.elasticity": (0.0, 1.5),
    "supply.x.quantity": (0.5, 6.0),
    "supply.z.quantity": (0.5, 6.0),
    "demand.y.elasticity": (0.5, 8.0),
    "demand.y.price": (0.2, 3.0),
    "industries.l.productivity": (0.5, 2.0),
    "economy.parameters.elasticity_of_y": (0.3, 3.0),
    "market.share_rate": (0.0, 0.3),
    "market.bid_rate": (0.1, 1.0),
}


@st.composite
def deeds(draw):
    """What somebody may do at the page of 'spiral'."""
    kind = draw(st.sampled_from(["step", "step", "step", "turn", "turn", "shock", "restart"]))
    if kind == "step":
        return kind, draw(st.integers(1, 12))
    if kind == "turn":
        key = draw(st.sampled_from(sorted(KEYS)))
        return kind, key, draw(st.floats(*KEYS[key], allow_subnormal=False))
    if kind == "shock":
        where = [("productivity", "r"), ("supply", "z"), ("supply", "x"), ("demand", "y")]
        return kind, *draw(st.sampled_from(where)), draw(st.sampled_from([-90, -20, 35, 100]))
    return (kind,)


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@settings(max_examples=examples(25))
@given(doings=st.lists(deeds(), min_size=1, max_size=12))
def test_whatever_was_done_is_done_again_by_the_file_that_is_written(engine, doings):
    session = Session("spiral", {"run.engine": engine})
    seen = [session.state.prices]
    for kind, *what in doings:
        anew = False
        try:
            if kind == "step":
                for _ in range(what[0]):
                    before = session.state.step
                    session.step()
                    if session.state.step > before:
                        seen.append(session.state.prices)
            elif kind == "turn":
                anew = session.set(*what)
            elif kind == "shock":
                session.shock(*what)
            else:
                session.restart()
                anew = True
        except MarketError as error:
            assert str(error)
        if anew:
            assert session.state.step == 0
            seen = [session.state.prices]
    assert session.state.step == len(seen) - 1
    assert_runs_the_same(session, seen)


def test_what_is_written_stands_alone(tmp_path, monkeypatch):
    """An experiment with a table of its own beside it, saved to another folder, still runs."""
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    session = Session(str(table_experiment(tmp_path / "home")))
    for _ in range(5):
        session.step()
    (tmp_path / "elsewhere" / "saved.toml").write_text(session.text(), "utf-8")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(run("saved.toml", steps=5).prices[-1], session.state.prices)


# --- parameters ----------------------------------------------------------------------------------


def elasticities(experiment):
    """The elasticities of an economy, as it is: each one's value and how often it stands there."""
    economy = experiment.economy
    made_of = experiment.configuration["economy"]
    owned = {good for each in economy.households.values() for good in each.endowment}
    numbers = [terms.elasticity for terms in economy.demand.values() if not terms.of_household]
    numbers += [terms.elasticity for g, terms in economy.supply.items() if g not in owned]
    text = "\n".join(line.partition("#")[0] for line in made_of.get("program", "").splitlines())
    inside = re.findall(r"elasticity=([^,)]+)", text)
    named = {each for each in inside if each.isidentifier()}  # one may be that of several lines
    return len(numbers), len(named) + sum(each not in named for each in inside)


@pytest.mark.parametrize("name", sorted(set(available()) - {"digits"}))  # thousands: by families
def test_every_elasticity_of_every_experiment_can_be_turned(name):
    session = Session(name)
    parameters = {parameter.key: parameter for parameter in session.parameters()}
    assert len(parameters) == len(session.parameters())
    of_terms, in_program = elasticities(Experiment.load(name))
    told = [key for key in parameters if key.endswith(".elasticity")]
    assert len(told) == of_terms
    inside = [key for key in parameters if key.startswith("economy.parameters.")]
    assert len(inside) >= in_program
    for parameter in parameters.values():
        assert parameter.low <= parameter.value or parameter.endless
        assert parameter.value <= parameter.high or parameter.endless
        assert parameter.low < parameter.high
    first = run(name, progress=interrupted).outcome.trajectory.prices[0]  # in money
    assert np.array_equal(session.state.prices, first)


def interrupted(state, saw):
    """Stop a run before its first step."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "steps"),
    members(
        itertools.product(sorted(set(available()) - {"us-economy-shock", "digits"}), (0, 3)),
        quick=[
            ("essay-chain", 0),
            *itertools.product(("cobweb", "loop", "shocks", "tatonnement", "trading-post"), (3,)),
            *itertools.product(("firms-noise", "perishable", "posted-price"), (3,)),
        ],
    ),
)
def test_a_parameter_at_either_end_leaves_a_market_or_a_reason(name, steps):
    for parameter in Session(name).parameters():
        session = Session(name)
        for _ in range(steps):
            session.step()
        turned = 0
        for value in (parameter.low, parameter.high, *([math.inf] if parameter.endless else [])):
            try:
                session.set(parameter.key, int(value) if parameter.whole else value)
                turned += 1
            except MarketError as error:
                assert str(error) and "\n" not in str(error)
                continue
            (now,) = (each.value for each in session.parameters() if each.key == parameter.key)
            assert now == value
            with contextlib.suppress(MarketError):  # it may be that nobody bids any longer
                for _ in range(3):
                    session.step()
            assert session.ending is None or session.ending.status.value == "diverged"
        assert turned >= 1, parameter


def test_a_slider_that_is_shown_can_be_moved():
    """Demand in a loop needs a quantity to be elastic around; where there is none, no slider."""
    session = Session("loop")
    for parameter in session.parameters():
        value = parameter.high if parameter.value != parameter.high else parameter.low
        session.set(parameter.key, int(value) if parameter.whole else value)


PROGRAMS = {
    "y = ces(a, b, elasticity=0.5)": ("y = ces(a, b, elasticity=elasticity_of_y)", {"": 0.5}),
    "y = ces(a, b, elasticity=s)": ("y = ces(a, b, elasticity=s)", {}),
    "y = ces(a, b, elasticity=2) + ces(a, c, elasticity=3)": (
        "y = ces(a, b, elasticity=elasticity_of_y) + ces(a, c, elasticity=elasticity_of_y_2)",
        {"": 2.0, "_2": 3.0},
    ),
    "y = ces(ces(a, b, elasticity=2), c, elasticity=3)  # ä, elasticity=4": (
        "y = ces(ces(a, b, elasticity=elasticity_of_y_2), c, elasticity=elasticity_of_y)"
        "  # ä, elasticity=4",
        {"": 3.0, "_2": 2.0},
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_elasticities_in_a_program_get_names(program):
    text, numbers = PROGRAMS[program]
    goods = [good for good in "abc" if f"{good}," in program]
    supply = "".join(f"[supply.{good}]\nquantity = 1\n" for good in goods)
    settings = {"economy.parameters.s": 0.5} if "=s" in program else {}
    text_of_it = f'[economy]\nprogram = """{program}"""\n{supply}'
    parsed = Experiment.parse(text_of_it, "e", settings)
    written, found = with_elasticity_parameters(program, parsed.economy)
    assert written == text
    assert found == {f"elasticity_of_y{end}": number for end, number in numbers.items()}


def test_a_name_that_is_taken_is_not_given_again():
    program = "elasticity_of_y = a\ny = ces(elasticity_of_y, b, elasticity=0.5)"
    text = f'[economy]\nprogram = """{program}"""\n[supply]\na.quantity = 1\nb.quantity = 1\n'
    written, found = with_elasticity_parameters(program, Experiment.parse(text).economy)
    assert found == {"elasticity_of_y_2": 0.5}
    assert written.endswith("elasticity=elasticity_of_y_2)")


# --- the command, and the server -----------------------------------------------------------------


def invoke(*arguments):
    return CliRunner().invoke(main, ["watch", *arguments])


def test_an_experiment_that_cannot_be_read_is_refused_before_anything_is_served(monkeypatch):
    from market_abm.watch import server

    monkeypatch.setattr(server, "server", None)  # to call it would be a TypeError
    for arguments in (
        ["esay-chain"],
        ["essay-chain", "--set", "market.shar_rate=1"],
        ["essay-chain", "--set", "market.bid_rate=7"],
        ["essay-chain", "--set", "nonsense"],
    ):
        done = invoke(*arguments, "--port", "0")
        assert done.exit_code == 2 and "Watch it" not in done.output
        assert len(done.output.strip().splitlines()) == 1, done.output


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.invalid", ""])
def test_other_machines_must_be_allowed(address):
    done = invoke("essay-chain", "--port", "0", "--address", address)
    assert done.exit_code == 2 and "--network" in done.output


def command(*arguments):
    """Exit code and standard error of a command that does not serve anything."""
    done = subprocess.run(
        [*COMMAND, "watch", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "" and len(done.stderr.strip().splitlines()) == 1, done
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("address", ["192.0.2.1", "no such host", "a" * 300, "ä.invalid"])
def test_an_address_that_this_machine_has_not_is_refused(address):
    code, told = command("essay-chain", "--port", "0", "--address", address, "--network")
    assert code == 2 and "cannot listen on" in told


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, told = command("essay-chain", "--port", str(port))
    assert code == 2 and str(port) in told and "--port" in told


def test_without_bokeh_the_command_says_what_to_install(monkeypatch):
    load = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "bokeh":
            raise ImportError(name)
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    done = invoke("essay-chain", "--port", "0")
    assert done.exit_code == 2 and f"{sys.executable} -m pip install 'bokeh" in done.output


def test_a_market_that_cannot_begin_is_refused_before_anything_is_served():
    arguments = [*COMMAND, "watch", "essay-chain", "--set", "supply.natgas.quantity=-4"]
    with subprocess.Popen(
        [*arguments, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        served = process.stdout.readline()
        process.kill()
        told = process.stderr.read()
    assert served == "" and "natgas = -4" in told


@contextlib.contextmanager
def serving(*options, complaint=r""):
    """The URL of a page of 'essay-chain', served by the command until it is told to end by Ctrl-C.

    Every line that it then has written to standard error is to match ``complaint``.
    """
    process = subprocess.Popen(
        [*COMMAND, "watch", "essay-chain", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("Watch it at http://127.0.0.1:"), line + process.stderr.read()
        yield line.split()[3]
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "Stopped.\n")
        assert [line for line in err.splitlines() if not re.search(complaint, line)] == []
        assert complaint or not err
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def served():
    with serving() as url:
        yield url


def ask(url, path="/", **headers):
    """(status, text) of the answer to a GET; of a WebSocket, only whether it is opened (101)."""
    parts = urlsplit(url)
    with contextlib.closing(HTTPConnection(parts.hostname, parts.port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            return answer.status, "" if answer.status == 101 else answer.read().decode()


def test_the_page_names_nobody_else(served):
    status, text = ask(served)
    assert status == 200
    assert "http://" not in text.replace(served.rstrip("/"), "") and "https://" not in text
    assert "Content-Security-Policy" in text
    port = urlsplit(served).port
    assert 0 < port != 5006


def socket_headers(origin, host):
    """The headers with which a browser opens the WebSocket of a page from ``origin``."""
    from bokeh.util.token import generate_jwt_token, generate_session_id

    return {
        "Host": host,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": f"bokeh, {generate_jwt_token(generate_session_id())}",
        "Origin": origin,
    }


def connect(url, origin, host=None):
    """Open the page's WebSocket as a page from ``origin`` would; the status of the answer."""
    return ask(url, "/ws", **socket_headers(origin, host or urlsplit(url).netloc))[0]


@pytest.fixture(scope="module")
def attacked():
    """The URL of a page that is attacked: of each kind of attack the command reports one line."""
    told = (
        r"^(A page from .* was refused; .* --origin .*|Error in the page: \w+: .* \(\w+\.py:\d+\)|"
        r"Bokeh Server \w+ error: .*|Bad header .*)$"
    )
    with serving("--origin", "https://Hub.example", complaint=told) as url:
        yield url


def test_pages_of_others_may_not_connect(attacked):
    """Nor those of a name that its owner lets point to this machine: there both names agree."""
    port = urlsplit(attacked).port
    assert connect(attacked, f"http://evil.example:{port}", f"evil.example:{port}") == 403
    assert connect(attacked, "https://hub.example", f"127.0.0.1:{port}") == 101
    for tunnel in ("localhost:9000", "127.0.0.1:1", "[::1]:5006", "localhost"):
        assert connect(attacked, f"http://{tunnel}", tunnel) == 101
        assert connect(attacked, "http://localhost:9001", tunnel) == 403
    foreign = [
        "http://example.org",
        f"http://example.org:{port}",
        f"http://127.0.0.1.example.org:{port}",
        f"http://127.0.0.1:{port + 1}",
        "http://127.0.0.1",
        f"http://[::1]:{port}",
        "null",
        "http://[",
    ]
    assert {each: connect(attacked, each) for each in foreign} == dict.fromkeys(foreign, 403)
    assert connect(attacked, f"http://127.0.0.1:{port}") == 101
    assert connect(attacked, f"http://localhost:{port}") == 101


FRAMES = {
    "not UTF-8": [(1, b"\xff\xfe")],
    "a number of thousands of digits": [(1, b"9" * 5000)] * 3,
    "lists without an end": [(1, b"[" * 100_000)] * 3,
    "an unknown message": [(1, b"{}")] * 3,
    "binary": [(2, b"\0")],
    "a model that is none": [
        (1, b'{"msgid": "1", "msgtype": "PATCH-DOC"}'),
        (1, b"{}"),
        (1, b'{"events": [{"kind": "ModelChanged", "model": {"id": "?"}, "attr": "x", "new": 1}]}'),
    ],
    "another document": [
        (1, b'{"msgid": "1", "msgtype": "PUSH-DOC"}'),
        (1, b"{}"),
        (1, b'{"doc": 5}'),
    ],
    "an end that is not UTF-8": [(8, b"\x03\xe8\xff")],
    "a reserved kind": [(3, b"")],
}


def frame(kind, payload):
    """A frame of a WebSocket as a browser sends it, masked with zeros."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 65_536 else 127
    more = b"" if short < 126 else size.to_bytes(2 if short == 126 else 8, "big")
    return bytes([0x80 | kind, 0x80 | short]) + more + bytes(4) + payload


def test_whatever_a_socket_sends_is_at_most_a_line(attacked):
    """Not a traceback; and the server goes on."""
    place = urlsplit(attacked).netloc
    headers = socket_headers(attacked.rstrip("/"), place)
    for frames in FRAMES.values():
        with socket.create_connection(place.split(":"), timeout=30) as opened:
            lines = [f"{name}: {value}" for name, value in headers.items()]
            opened.sendall("\r\n".join(["GET /ws HTTP/1.1", *lines, "", ""]).encode())
            answer = b""
            while b'"ACK"' not in answer:
                answer += opened.recv(4096)
            for _ in range(3):
                with contextlib.suppress(ConnectionError):
                    opened.sendall(b"".join(frame(*each) for each in frames))
    assert ask(attacked)[0] == 200


def test_an_error_of_one_kind_is_one_line_a_minute(capsys):
    import logging

    from market_abm.watch.log import LOGGERS, log_in_lines

    before = {name: vars(logging.getLogger(name)).copy() for name in LOGGERS}
    try:
        log_in_lines()
        for number in range(1000):
            try:
                _ = number / 0
            except ZeroDivisionError:
                logging.getLogger("tornado.application").exception("in a callback\n%d", number)
    finally:
        for name, state in before.items():
            vars(logging.getLogger(name)).update(state)
    assert re.fullmatch(
        r"Error in the page: ZeroDivisionError: division by zero \(test_watch.py:\d+\)\n",
        capsys.readouterr().err,
    )


HOSTILE = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 10**400, True, "fast", None)


def test_whatever_a_tab_sends_is_clamped_on_arrival(tmp_path):
    """Values beyond a slider's range, choices that were not offered, and a range made wider."""
    from bokeh.document import Document

    from market_abm.watch.page import Page

    secret = tmp_path / "secret.toml"
    secret.write_text("question = 'secret'", "utf-8")
    page = Page(Document(), "essay-chain", {})
    controls = page.controls
    parameters = {each.key: each for each in page.session.parameters()}
    sliders = {slider.name: slider for slider in controls.sliders.children}
    assert list(sliders) == list(parameters)
    for widget in (controls._speed, controls._percent, *sliders.values()):
        attribute = "value_throttled" if widget in sliders.values() else "value"
        widget.update(start=-1e9, end=1e9)
        for sent in HOSTILE:
            with contextlib.suppress(ValueError):  # what is no number, Bokeh itself refuses
                widget.set_from_json(attribute, sent)
            assert 1.0 <= controls.speed <= 1000.0
            assert -90.0 <= controls.percent <= 100.0
            for now in page.session.parameters():
                first = parameters[now.key]
                assert first.low <= now.value <= first.high or (first.endless and now.value > 0)
    controls.experiment.options = [str(secret)]
    controls.experiment.value = str(secret)
    assert page.session.experiment.name == "essay-chain" and "secret" not in page.state.message
    controls._target.options = ["rents"]
    controls._target.value = "rents"
    controls._shock()
    controls.sliders.children = []
    page.toggle()
    for _ in range(20):
        page._tick()
        page.state.drawn = page._sent
    page.reset()
    for text in ("", "=", "a.b=1", "economy=/etc/passwd", "market.lag=1e400", "\x1b=\n"):
        page.assign(text)
        assert "root:" not in page.state.message


def test_a_server_ends_while_its_pages_are_open(served):
    """The fixture sends Ctrl-C; here with a connection that stays open."""
    from bokeh.client import pull_session

    from market_abm.watch.page import PageState

    session = pull_session(url=served)
    (state,) = session.document.get_model_by_name("controls").tags
    assert isinstance(state, PageState) and state.name_ == "essay-chain"
    assert {"controls", "figures"} <= {root.name for root in session.document.roots}
