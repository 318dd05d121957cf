"""The page of ``market-abm watch`` in a browser: what a person sees there, and can do."""

import asyncio
import contextlib
import re
import socket
import socketserver
import threading
import tomllib
from urllib.parse import urlsplit

import numpy as np
import pytest
from support.browser import Watch, table_experiment, watching

from market_abm import Experiment, run
from market_abm.views.convergence import FLOOR_POWER, followed
from market_abm.watch.figures import MAX_POINTS
from market_abm.watch.path_figures import GOODS

pytest.importorskip("bokeh")

PHONE = {"viewport": {"width": 390, "height": 844}}
FIGURES = ("network", "prices", "errors", "alignment")


@pytest.fixture(scope="module")
def spiral():
    """The URL of pages of 'spiral'."""
    with watching("spiral", complaint="^A page from .* was refused; .* --origin .*$") as url:
        yield url


@pytest.fixture
def tab(spiral, open_page):
    return Watch(open_page(spiral))


def went(experiment, steps):
    """What an experiment's run saw at each step, by name; ``prices`` of all goods."""
    seen = {"prices": [], "gradients": [], "welfare": [], "alignment": []}

    def look(state, saw):
        seen["prices"].append(state.prices.copy())
        for name in ("gradients", "welfare", "alignment"):
            seen[name].append(np.array(saw[name]))
        if state.step == steps:
            raise KeyboardInterrupt

    run(experiment, progress=look)
    return {name: np.array(each) for name, each in seen.items()}


def number(values):
    return np.array([np.nan if each is None else each for each in values], dtype=float)


def assert_shows(tab, experiment):
    """The page shows the way of ``experiment``, bit for bit, until a run of it ends at rest."""
    path = {name: number(values) for name, values in tab.columns("path").items()}
    steps = path["step"].astype(int)
    assert np.array_equal(steps, np.arange(max(0, steps[-1] - MAX_POINTS + 1), steps[-1] + 1))
    seen = went(experiment, steps[-1])
    both = steps[steps < len(seen["prices"])]
    assert len(both) > len(steps) // 2
    economy = experiment.economy
    places = followed(economy, GOODS)
    if len(economy.goods) > 40:  # there the largest
        labels = [economy.label(good) for good in economy.goods]
        places = [labels.index(label) for label in tab.columns("nodes")["full"][:GOODS]]
    for k, place in enumerate(places):
        assert np.array_equal(path[f"p{k}"][: len(both)], seen["prices"][both, place])
        assert np.array_equal(path[f"g{k}"][: len(both)], seen["gradients"][both, place])
    assert f"p{len(places)}" not in path
    for name in ("welfare", "alignment"):
        assert np.array_equal(path[name][: len(both)], seen[name][both], equal_nan=True)


def differs(one, other):
    """The share of the pixels that are not the same in two pictures."""
    return np.mean(np.any(one != other, axis=2)) if one.shape == other.shape else 1.0


def colors(picture):
    return len(np.unique(picture.reshape(-1, 3), axis=0))


# --- what is drawn -------------------------------------------------------------------------------


def test_the_page_draws_and_what_it_draws_is_the_run(tab):
    assert tab.page.title() == "spiral – market_abm"
    assert tab.page.locator("#name").inner_text() == "spiral"
    assert tab.page.locator("#question").inner_text() == "Which optimiser is this market?"
    assert tab.message == "" and tab.status.startswith("step 0: ")
    before = {name: tab.picture(name) for name in (*FIGURES, "welfare")}
    for name, picture in before.items():
        assert colors(picture) > 8, name
    tab.press("Play")
    tab.reach(25)
    tab.press("Pause")
    tab.settled()
    after = {name: tab.picture(name) for name in before}
    for name, picture in before.items():
        assert differs(picture, after[name]) > 0.0005, name
    assert_shows(tab, Experiment.load("spiral"))
    nodes = tab.columns("nodes")
    economy = Experiment.load("spiral").economy
    assert sorted(nodes["name"]) == sorted(economy.goods)
    # The box of each good has the colour that its error calls for.
    errors = number(nodes["error"])
    assert np.all(errors < 0) and np.all(errors >= FLOOR_POWER)
    route = tab.columns("route")
    assert len(route["x"]) == tab.step + 1
    best = tab.columns("best")
    assert abs(route["x"][-1] - best["x"][0]) < abs(route["x"][0] - best["x"][0])


@pytest.mark.slow
def test_play_goes_on_pause_stops_step_makes_one_and_reset_begins_anew(tab):
    tab.press("Play")
    tab.reach(3)
    tab.press("Pause")
    tab.settled()
    stopped = tab.step
    tab.page.wait_for_timeout(400)
    assert tab.step == stopped
    assert tab.page.get_by_role("button", name="Play", exact=True).is_visible()
    tab.press_step(2)
    assert tab.step == stopped + 2
    tab.press("Play")
    tab.reach(stopped + 4)
    tab.press("Step")  # pauses, too
    tab.settled()
    now = tab.step
    tab.page.wait_for_timeout(400)
    assert tab.step == now
    assert_shows(tab, Experiment.load("spiral"))
    tab.press("Reset")
    tab.until(lambda: tab.step == 0)
    assert tab.columns("path")["step"] == [0]
    assert tab.status.startswith("step 0: ")
    tab.press_step(3)
    assert_shows(tab, Experiment.load("spiral"))


@pytest.mark.slow
def test_the_speed_is_what_was_asked_for(tab):
    tab.press("Play")
    tab.reach(3)
    tab.slide("speed", 0.0)  # one a second
    tab.settled()
    before = tab.step
    tab.page.wait_for_timeout(2500)
    made = tab.step - before
    assert 1 <= made <= 5
    tab.slide("speed", 3.0)
    start = tab.step
    tab.page.wait_for_timeout(1500)
    assert re.search(r"\(\d+ updates a second\)", tab.page.locator("#meter").inner_text())
    assert tab.step - start > 150
    assert len(tab.columns("path")["step"]) <= MAX_POINTS


# --- turning -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_slider_that_is_moved_by_key_is_a_shock_of_the_next_step(tab):
    tab.press_step(6)
    before = tab.get("demand.y.elasticity", "value")
    tab.key("demand.y.elasticity", "ArrowRight", 3)
    tab.settled()
    after = tab.get("demand.y.elasticity", "value")
    assert after > before and tab.step == 6
    tab.press_step(6)
    name, text = tab.saved()
    assert name == "spiral-watched.toml"
    (shock,) = tomllib.loads(text)["shocks"]
    assert shock["step"] == 7
    turned = shock["demand.y.elasticity"]
    assert turned == pytest.approx(10**after, rel=0.01)
    shocked = {"shocks": [{"step": 7, "demand.y.elasticity": turned}]}
    assert_shows(tab, Experiment.load("spiral", shocked))


@pytest.mark.slow
def test_one_step_beyond_the_end_of_its_slider_demand_is_infinitely_elastic(tab):
    tab.press_step(2)
    tab.slide("demand.y.elasticity", tab.get("demand.y.elasticity", "end"))
    tab.settled()
    assert tab.message == ""
    tab.press_step(2)
    (shock,) = tomllib.loads(tab.saved()[1])["shocks"]
    assert shock == {"step": 3, "demand.y.elasticity": np.inf}


@pytest.mark.slow
def test_a_rate_that_is_turned_starts_anew_and_goes_on_playing(tab):
    tab.press("Play")
    tab.reach(20)
    tab.slide("market.share_rate", 0.3)
    tab.until(lambda: tab.step < 15)
    tab.reach(5)  # still playing
    tab.press("Pause")
    tab.settled()
    assert_shows(tab, Experiment.load("spiral", {"market.share_rate": 0.3}))


@pytest.mark.slow
def test_a_lag_is_a_whole_number_of_steps(tab):
    tab.key("market.lag", "ArrowRight", 2)
    tab.settled()
    tab.press_step(8)
    assert_shows(tab, Experiment.load("spiral", {"market.lag": 2}))


@pytest.mark.slow
def test_a_shock_is_seen(tab):
    tab.slide("speed", 2.5)
    tab.press("Play")
    tab.until(lambda: "at rest" in tab.status, seconds=30)
    tab.press("Pause")
    tab.settled()
    rest = tab.columns("path"), tab.picture("network"), tab.picture("prices"), tab.step
    tab.choose("shock", "supply")
    tab.until(lambda: tab.get("good", "value") == "x")
    tab.choose("of", "z")
    tab.slide("percent", -50)
    tab.press("Shock")
    tab.settled()
    assert tab.message == "" and tab.step == rest[3]
    tab.press_step(3)
    after = tab.columns("path")
    followed_ones = [name for name in after if re.fullmatch(r"p\d", name)]
    assert max(abs(after[name][-1] / rest[0][name][-1] - 1) for name in followed_ones) > 0.1
    assert max(after["worst"][-3:]) > -6 > rest[0]["worst"][-1]
    assert differs(rest[1], tab.picture("network")) > 0.02  # boxes have another colour
    assert differs(rest[2], tab.picture("prices")) > 0.0005
    wanted = {"shocks": [{"step": rest[3] + 1, "supply.z.quantity": 1.0}]}
    wanted["run.steps"] = 10 * rest[3]
    assert_shows(tab, Experiment.load("spiral", wanted))


@pytest.mark.slow
def test_tabs_have_markets_of_their_own(spiral, open_page):
    one, other = Watch(open_page(spiral)), Watch(open_page(spiral))
    one.press("Play")
    one.reach(5)
    assert other.step == 0
    other.type("market.share_rate=0.3")
    other.settled()
    other.press_step(4)
    one.press("Pause")
    one.settled()
    assert_shows(one, Experiment.load("spiral"))
    assert_shows(other, Experiment.load("spiral", {"market.share_rate": 0.3}))
    other.page.close()
    one.press_step(1)


# --- mistakes ------------------------------------------------------------------------------------

WRONG = {
    "market.shar_rate=0.2": "shar_rate",
    "market.bid_rate=7": "market.bid_rate",
    'market.mechanism="excess-demand"': "excess-demand",
    "market.share_rate=fast": "fast",
    "demand.y.elasticity=-1": "demand.y.elasticity",
    "nonsense": "nonsense",
    "economy.input_output=/etc/passwd": "input",
    'question=["<img src=x onerror=alert(1)>"]': "question",
    "<img src=x onerror=alert(1)>=$$x$$": "unknown key '<img",
}


@pytest.mark.slow
def test_a_mistake_is_told_and_leaves_all_as_it_was(tab):
    tab.press_step(5)
    widgets = ("mechanism", "activation", "experiment", "market.bid_rate", "market.share_rate")
    before = {name: tab.get(name, "value") for name in widgets}
    text = tab.saved()
    for wrong, named in WRONG.items():
        tab.type(wrong)
        tab.until(lambda named=named: named in tab.message)
        assert tab.page.get_by_role("alert").inner_text() == tab.message
        assert tab.step == 5
        assert {name: tab.get(name, "value") for name in widgets} == before
    assert tab.saved() == text
    tab.press_step(3)
    assert tab.message == ""  # what is well done takes the message away
    assert_shows(tab, Experiment.load("spiral"))


@pytest.mark.slow
def test_the_same_mistake_is_told_again(tab):
    tab.type("market.bid_rate=7")
    tab.until(lambda: "market.bid_rate" in tab.message)
    tab.press_step(1)
    assert tab.message == ""
    tab.type("market.bid_rate=7")
    tab.until(lambda: "market.bid_rate" in tab.message, seconds=3)


@pytest.mark.slow
def test_a_mechanism_that_cannot_run_the_program_is_not_chosen(tab):
    tab.choose("mechanism", "excess-demand")
    tab.until(lambda: "input-output" in tab.message)
    assert tab.get("mechanism", "value") == "unit-bid"
    chosen = tab.page.get_by_label("mechanism", exact=True)
    assert chosen.input_value() == "unit-bid"
    tab.press_step(2)
    assert_shows(tab, Experiment.load("spiral"))


@pytest.mark.slow
def test_mechanism_activation_and_experiment_can_be_chosen(tab):
    tab.choose("activation", "sequential")
    tab.settled()
    tab.press_step(4)
    assert_shows(tab, Experiment.load("spiral", {"market.activation": "sequential"}))
    tab.choose("experiment", "mechanisms")
    tab.until(lambda: tab.page.locator("#name").inner_text() == "mechanisms")
    tab.settled()
    assert tab.step == 0 and tab.get("activation", "value") == "simultaneous"
    tab.choose("mechanism", "trading-post")
    tab.settled()
    assert tab.message == "" and tab.has("market.bid_rate") and not tab.has("market.share_rate")
    tab.press_step(4)
    traded = {"market.mechanism": "trading-post"}
    assert_shows(tab, Experiment.load("mechanisms", traded))
    assert tab.page.title() == "mechanisms – market_abm"
    assert tab.saved()[0] == "mechanisms-watched.toml"
    goods = tab.get("good", "options")
    assert {good for good, _ in goods} <= set(Experiment.load("mechanisms").economy.goods)


@pytest.mark.slow
def test_a_slider_reaches_the_value_that_it_has(tab):
    """Also when another experiment has a number of the same name, or one was typed in."""
    tab.type("market.share_rate=5")
    tab.settled()
    assert tab.message == "" and tab.get("market.share_rate", "value") == 5
    assert tab.get("market.share_rate", "end") >= 5


@pytest.mark.slow
def test_a_market_that_diverges_stops_and_says_so(tab):
    tab.choose("experiment", "cobweb")
    tab.until(lambda: tab.page.locator("#name").inner_text() == "cobweb")
    tab.type("supply.x.elasticity=3")
    tab.slide("speed", 3.0)
    tab.press("Play")
    tab.until(lambda: "diverged" in tab.status)
    result = run("cobweb", overrides={"supply.x.elasticity": 3.0})
    tab.until(lambda: tab.step == result.ending.step)
    assert tab.status.startswith(result.ending.detail)
    assert tab.page.get_by_role("button", name="Play", exact=True).is_visible()
    tab.press("Shock")
    tab.until(lambda: "cannot continue" in tab.message)
    tab.press("Play")
    tab.settled()
    assert tab.step == result.ending.step
    for name in FIGURES:
        assert colors(tab.picture(name)) > 2
    tab.press("Reset")
    tab.until(lambda: tab.step == 0)
    tab.press_step(2)
    assert_shows(tab, Experiment.load("cobweb", {"supply.x.elasticity": 3.0}))


# --- saving --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_saved_runs_to_the_same_prices(tab, tmp_path):
    tab.press("Play")
    tab.reach(8)
    tab.slide("supply.x.elasticity", 1.2)
    tab.settled()
    tab.press("Shock")
    tab.settled()
    tab.slide("economy.parameters.elasticity_of_y", 0.1)
    tab.settled()
    tab.press("Pause")
    tab.settled()
    tab.type("industries.r.productivity=1.25")
    tab.settled()
    tab.press_step(4)
    assert tab.message == ""
    name, text = tab.saved()
    shocks = tomllib.loads(text)["shocks"]
    assert sum(len(shock) - 1 for shock in shocks) == 4
    (tmp_path / name).write_text(text, "utf-8")
    assert_shows(tab, Experiment.load(tmp_path / name))


# --- how it looks --------------------------------------------------------------------------------


def fits(page):
    return page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_overflows(spiral, open_page, scheme):
    tab = Watch(open_page(spiral, color_scheme=scheme, **PHONE))
    tab.press("Play")
    tab.reach(5)
    tab.press("Pause")
    assert fits(tab.page)
    for name in ("network", "prices", "welfare"):
        picture = tab.picture(name)
        assert picture.shape[1] <= 390 and colors(picture) > 8
    tab.type("economy.input_output=" + "very-long-name" * 30)
    tab.until(lambda: tab.message != "")
    assert fits(tab.page)


def luminance(picture):
    """The median of the pixels, from 0 to 1."""
    return float(np.median(picture @ np.array([0.299, 0.587, 0.114]))) / 255.0


@pytest.mark.slow
def test_dark_mode_follows_the_system(spiral, open_page):
    tab = Watch(open_page(spiral, color_scheme="dark"))
    tab.settled()
    assert luminance(tab.picture("prices")) < 0.25
    background = "getComputedStyle(document.body).backgroundColor"
    dark = tab.page.evaluate(background)
    # Letters and lines stand out: there is something as bright as the words of the page.
    assert tab.picture("errors").max() > 180
    tab.press_step(3)
    tab.page.emulate_media(color_scheme="light")
    tab.until(lambda: luminance(tab.picture("prices")) > 0.75)
    assert tab.page.evaluate(background) != dark
    assert tab.picture("errors").min() < 90
    assert_shows(tab, Experiment.load("spiral"))


@pytest.mark.slow
def test_with_the_keyboard_alone(tab):
    page = tab.page
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUS) == "Play":
            break
    assert page.evaluate(FOCUS) == "Play"
    page.keyboard.press("Space")
    tab.reach(3)
    assert page.evaluate(FOCUS) == "Pause"
    page.keyboard.press("Space")
    tab.until(lambda: page.evaluate(FOCUS) == "Play")  # asking the page to save would move it
    page.wait_for_timeout(300)
    now = tab.step
    page.wait_for_timeout(300)
    assert tab.step == now
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS) == "Step"
    page.keyboard.press("Enter")
    tab.until(lambda: tab.step == now + 1)


FOCUS = """(() => {
  let now = document.activeElement
  while (now?.shadowRoot?.activeElement) now = now.shadowRoot.activeElement
  return now?.textContent ?? ""
})()"""


@pytest.mark.slow
def test_every_control_has_a_name(tab):
    """A reader of the screen hears what a slider is for."""

    def sliders():
        told = tab.page.locator("body").aria_snapshot().splitlines()
        return [line for line in told if re.fullmatch(r"\s*- slider:?\s*.*", line)]

    tab.until(lambda: len(sliders()) > 5 and all('"' in line for line in sliders()))


# --- large, hostile, closed ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_national_economy_plays(tab):
    tab.choose("experiment", "us-economy")
    tab.until(lambda: tab.page.locator("#name").inner_text() == "us-economy", seconds=30)
    tab.settled()
    nodes, flows = tab.columns("nodes"), tab.columns("flows")
    assert 10 <= len(nodes["name"]) < 71 and len(flows["xs"]) >= 10
    before = tab.picture("network")
    assert colors(before) > 30
    tab.press("Play")
    tab.reach(12)
    tab.press("Pause")
    tab.settled()
    assert differs(before, tab.picture("network")) > 0.005
    assert max(number(tab.columns("flows")["width"])) > 2
    assert_shows(tab, Experiment.load("us-economy"))
    tab.choose("of", "324 Petroleum and coal products")
    tab.press("Shock")
    tab.settled()
    tab.press_step(2)
    assert tab.message == "" and tab.columns("path")["worst"][-1] > -6


HIDE = """() => {  // what a browser does with a tab behind others: nothing is drawn
  window.frames_ = {draw: window.requestAnimationFrame, waiting: []}
  Object.defineProperty(document, "hidden", {get: () => true, configurable: true})
  window.requestAnimationFrame = (act) => frames_.waiting.push(act)
}"""
SHOW = """() => {
  delete document.hidden
  window.requestAnimationFrame = frames_.draw
  for (const act of frames_.waiting) requestAnimationFrame(act)
}"""


@pytest.mark.slow
def test_a_hidden_tab_waits(spiral, open_page):
    tab = Watch(open_page(spiral))
    tab.slide("speed", 1.5)  # some 30 steps a second
    tab.press("Play")
    tab.reach(20)
    tab.page.evaluate(HIDE)
    tab.page.wait_for_timeout(1000)
    before = tab.step
    tab.page.wait_for_timeout(1500)
    assert tab.step == before
    tab.page.evaluate(SHOW)
    tab.reach(before + 20)
    tab.press("Pause")
    tab.settled()
    assert_shows(tab, Experiment.load("spiral"))


@pytest.mark.slow
def test_a_page_whose_server_is_gone_says_so(open_page):
    with watching("essay-chain") as url:
        tab = Watch(open_page(url))
        tab.press_step(1)
    tab.page.wait_for_timeout(3000)
    open_page.heard.trouble.clear()  # the lost connection, and attempts at another
    told = f"{tab.message} {tab.status}".lower()
    tab.page.close()
    assert "server" in told or "connection" in told or "stopped" in told, told


HOSTILE = "<img src=x onerror=alert(1)>"
MATHS = "$$x$$"


@pytest.mark.slow
def test_names_from_files_are_only_words(open_page, tmp_path):
    question = f"{HOSTILE} {MATHS} </script><script>alert(2)</script>"
    names = (HOSTILE, MATHS, "[[x]](http://example.org)")
    made = table_experiment(tmp_path, names=names, question=question)
    named = tmp_path / f"{MATHS} <b onclick=alert(3)>.toml"
    made.rename(named)
    with watching(str(named)) as url:
        tab = Watch(open_page(url))
        assert tab.page.locator("#question").inner_text() == question
        assert tab.page.locator("#name").inner_text() == named.stem
        tab.press("Play")
        tab.reach(5)
        tab.press("Pause")
        box = tab.page.evaluate(
            """() => {
              const place = Bokeh.index.find_one(modelOf("network")).el
              place.scrollIntoView({block: "center"})
              const {x, y, width, height} = place.getBoundingClientRect()
              return [x, y, width, height]
            }"""
        )
        for k in range(12):  # over boxes, for what is told of them there
            x, y, width, height = box
            tab.page.mouse.move(x + width * (k + 0.5) / 12, y + height / 2 - 10)
            tab.page.wait_for_timeout(40)
        tab.type(f"question={MATHS}{HOSTILE}")
        question = tab.page.locator("#question")
        tab.until(lambda: question.inner_text() == f"{MATHS}{HOSTILE}")
        assert tab.page.locator("img").count() == 0
        assert tab.page.locator("#figures b, #controls b[onclick]").count() == 0
        tab.page.close()


@pytest.mark.slow
def test_a_tab_that_is_closed_frees_its_market(open_page):
    from market_abm.watch.server import server

    ready, box = threading.Event(), {}

    def serve():
        asyncio.set_event_loop(asyncio.new_event_loop())
        box["server"], box["url"] = server("spiral", {})
        box["server"].start()
        box["loop"] = box["server"].io_loop
        box["loop"].add_callback(ready.set)
        box["loop"].start()
        box["server"].stop()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(20)
        tabs = [Watch(open_page(box["url"])) for _ in range(3)]
        tabs[0].press("Play")
        tabs[0].reach(3)
        assert len(box["server"].get_sessions("/")) == 3
        tabs[0].page.close()
        tabs[1].page.close()
        tabs[2].until(lambda: len(box["server"].get_sessions("/")) == 1, seconds=60)
        tabs[2].press_step(1)
    finally:
        box["loop"].add_callback(box["loop"].stop)
        thread.join(20)


# --- elsewhere -----------------------------------------------------------------------------------


class Forward(socketserver.BaseRequestHandler):
    """A connection from which all goes to another port of this machine, as with ``ssh -L``."""

    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.target)) as other:
            back = threading.Thread(target=pump, args=(other, self.request))
            back.start()
            pump(self.request, other)
            back.join()


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tunnel(port):
    """A port of this machine that is forwarded to ``port``."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as server:
        server.target, server.daemon_threads, server.block_on_close = port, True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.slow
def test_a_page_behind_a_tunnel_is_the_same(spiral, browser):
    with tunnel(urlsplit(spiral).port) as port:
        page = browser.new_page()
        page.goto(f"http://localhost:{port}/")
        tab = Watch(page)
        tab.press_step(3)
        assert tab.message == ""
        page.close()


def test_a_page_of_another_name_says_what_to_do(spiral, browser):
    """Browsers find any name that ends in .localhost on this machine."""
    host = f"watch.localhost:{urlsplit(spiral).port}"
    page = browser.new_page()
    page.goto(f"http://{host}/")
    page.wait_for_function("document.getElementById('message').textContent")
    told = page.locator("#message").inner_text()
    assert "cannot connect" in told and f"--origin {host}" in told
    page.close()
