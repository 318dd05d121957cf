"""Films of runs: what they show at which moment, and the files."""

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import animation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from market_abm import Experiment, run
from market_abm.cli.commands import main
from market_abm.errors import EconomyError, ResultsError, SettingError
from market_abm.views.animation import film as films
from market_abm.views.animation.animate import animate, check_film
from market_abm.views.animation.colours import NEARNESS, palette
from market_abm.views.animation.drawing import WIDTH, Road
from market_abm.views.animation.film import MIN_SIGNAL, Film

NAMES = ["essay-chain", "rival-diamond", "loop", "deep-chain", "activation-sequential"]


@pytest.fixture(scope="module")
def essay():
    return run("essay-chain")


@pytest.fixture
def brief(monkeypatch):
    """Films of few pictures, which take less time."""
    monkeypatch.setattr(films, "MAX_FRAMES_A_STEP", 4)
    monkeypatch.setattr(films, "OPENING", 0.1)
    monkeypatch.setattr(films, "CLOSING", 0.4)


def signals_on_the_way(film):
    """Goods whose box a pulse is nearest to having left: the use that it is on."""
    places = np.asarray(film.drawing.pulses.get_offsets())
    on = set()
    for place in places:
        gaps = [np.hypot(*(road.line - place).T).min() for road in film.drawing.roads]
        maker, _, good = film.uses[int(np.argmin(gaps))]
        on.add((maker, good))
    return on


def test_the_signal_climbs_one_stage_a_step(essay):
    """Step by step there is a pulse on one arrow alone, and the box that it comes to turns green.

    The essay's claim, seen in what is drawn: prices are exact after 1, 2 and 3 steps.
    """
    film = Film(essay, 30)
    chain = ["tupperware", "polyethylene", "ethylene", "natgas"]
    green = to_rgb(NEARNESS(1.0))
    for step in range(3):
        film.show(step, 0.5, 0)
        assert signals_on_the_way(film) == {(chain[step], chain[step + 1])}
        right = [good for good in chain if film.drawing.boxes[good].get_facecolor()[:3] == green]
        assert right == chain[: step + 1]
        price, gradient = (text.get_text() for text in film.drawing.numbers[chain[step + 1]])
        assert price == "price 0" and gradient != "gradient 0"
    film.show(3, 0.0, 0)
    assert signals_on_the_way(film) == set()
    for good in chain:
        price, gradient = (text.get_text() for text in film.drawing.numbers[good])
        assert price.removeprefix("price") == gradient.removeprefix("gradient")
        assert film.drawing.boxes[good].get_facecolor()[:3] == green


def test_a_pulse_goes_from_buyer_to_maker_and_goods_the_other_way(essay):
    film = Film(essay, 30)
    heads, dots = [], []
    for part in (0.1, 0.4, 0.9):
        film.show(1, part, round(8 * part))
        heads.append(np.asarray(film.drawing.pulses.get_offsets())[:, 0].min())
        dots.append(np.asarray(film.drawing.dots.get_offsets())[0, 0])
    box = film.drawing.plan.boxes
    assert box["polyethylene"][0] > heads[0] > heads[1] > heads[2] > box["ethylene"][0]
    assert box["natgas"][0] < dots[0] < dots[1] < dots[2]


def test_when_sequential_all_stages_are_climbed_within_a_step():
    """One step is one backward pass: each arrow in its turn, the consumer's side first."""
    film = Film(run("essay-chain", activation="sequential"), 30)
    seen = []
    for part in np.arange(0.02, 1.0, 0.04):
        film.show(0, float(part), 0)
        seen += [maker for maker, _ in signals_on_the_way(film) if seen[-1:] != [maker]]
    assert seen == ["tupperware", "polyethylene", "ethylene"]


def test_dots_are_as_large_as_the_part_that_flows():
    """Areas of dots on two arrows of one good: as the shares of its users, which add up to 1."""
    result = run("rival-diamond")
    film = Film(result, 30)
    film.show(20, 0.0, 0)
    counts = [max(2, round(road.length / films.SPACING)) for road in film.drawing.roads]
    first = np.cumsum([0, *counts[:-1]])
    areas = {use: film.drawing.dots.get_sizes()[n] for use, n in zip(film.uses, first, strict=True)}
    left, right = areas[("left", 0, "x")], areas[("right", 0, "x")]
    shares = film.shares[20, [film.uses.index((maker, 0, "x")) for maker in ("left", "right")]]
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert left / right == pytest.approx(shares[0] / shares[1], rel=1e-12)


def test_a_signal_is_a_bid_that_moves_over_the_gradient(essay):
    """By hand: the essay's bids come from 0 to the gradient in one step, one good a step."""
    film = Film(essay, 30)
    made = {"tupperware": 0, "polyethylene": 1, "ethylene": 2}
    for n, (maker, *_) in enumerate(film.uses):
        assert film.signals[:, n].tolist() == [float(step == made[maker]) for step in range(3)]
    assert MIN_SIGNAL < 1.0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_and_nothing_is_cut_off(name):
    """At three moments: texts lie on the page, those of a box within it, and none on another."""
    result = run(name, steps=31)
    film = Film(result, 31)
    canvas = FigureCanvasAgg(film.drawing.figure)
    for step in (0, 2, result.steps):
        film.show(step, 0.0 if step == result.steps else 0.7, 3)
        canvas.draw()
        renderer = canvas.get_renderer()
        texts = [*film.drawing.figure.texts, *film.drawing.network.texts, *film.panel.axes.texts]
        labels = film.panel.axes.get_xticklabels()  # some are beyond the axis, and not drawn
        texts += [text for text in labels if text.get_position()[0] <= film.steps]
        texts += film.panel.axes.get_yticklabels()
        texts.append(film.panel.axes.xaxis.label)
        shown = [text for text in texts if text.get_text() and text.get_visible()]
        areas = [text.get_window_extent(renderer) for text in shown]
        for k, area in enumerate(areas):
            assert area.x0 >= 0 and area.x1 <= WIDTH, shown[k].get_text()
            assert area.y0 >= 0 and area.y1 <= film.drawing.height, shown[k].get_text()
            for n in range(k):
                overlap = area.overlaps(areas[n])
                assert not overlap, (shown[k].get_text(), shown[n].get_text())
        boxes = [box.get_window_extent(renderer) for box in film.drawing.boxes.values()]
        for text in film.drawing.network.texts:
            area = text.get_window_extent(renderer)
            assert any(
                area.x0 >= box.x0 and area.x1 <= box.x1 and area.y0 >= box.y0 and area.y1 <= box.y1
                for box in boxes
            ), text.get_text()


def test_a_road_is_as_long_as_its_curve():
    """A straight cubic from 0 to 3: 3 long, its lanes parallel to it; exact but for rounding."""
    road = Road([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)])
    assert road.length == pytest.approx(3.0, abs=1e-12)
    assert np.allclose(road.at(np.array([0.0, 0.5, 1.0]), 0.1), [[0, 0.1], [1.5, 0.1], [3, 0.1]])


def test_the_palette_fits_a_gif():
    assert len(palette()) <= 256 and palette()[0] == (1.0, 1.0, 1.0)


# --- files ---------------------------------------------------------------------------------------


def test_the_gif_is_small_wide_whole_and_the_same_each_time(essay, brief, tmp_path):
    one = animate(essay, tmp_path / "one.gif").read_bytes()
    assert animate(run("essay-chain"), tmp_path / "two.gif").read_bytes() == one
    assert len(one) < 2_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.gif", "two.gif"]
    with Image.open(tmp_path / "one.gif") as film:
        assert film.width == WIDTH and film.info["loop"] == 0
        durations = []
        for n in range(film.n_frames):
            film.seek(n)
            durations.append(film.info["duration"])
        assert film.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert durations[-1] >= 400  # the last is held


def test_only_so_many_steps_are_filmed():
    film = Film(run("rival-diamond"), 5)
    steps = [step for step, *_ in film.moments(12)]
    assert steps[0] == 0 and steps[-1] == 5 and steps == sorted(steps)
    assert film.panel.axes.get_xlim() == (0, 5)


def test_mp4_where_there_is_ffmpeg(essay, brief, tmp_path):
    if not animation.FFMpegWriter.isAvailable():
        pytest.skip("no ffmpeg")
    film = animate(essay, tmp_path / "film.mp4").read_bytes()
    assert film[4:8] == b"ftyp"


def test_mp4_without_ffmpeg_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(animation.FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ResultsError, match=r"'film.mp4' needs ffmpeg.*let the name end in .gif"):
        check_film(Experiment.load("essay-chain"), tmp_path / "film.mp4")


def test_a_thinned_record_is_told(tmp_path):
    experiment = Experiment.load("essay-chain", {"record.every": 2})
    with pytest.raises(SettingError, match=r"thinned.*leave out record.every"):
        check_film(experiment, tmp_path / "film.gif")


def test_large_economies_are_told(tmp_path):
    with pytest.raises(EconomyError, match=r"has 73 goods, and a film shows 32 at most"):
        check_film(Experiment.load("us-economy"), tmp_path / "film.gif")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("film.avi", "'film.avi' is no name of a film; let it end in .gif or .mp4"),
        ("film", "'film' is no name of a film"),
        ("diary/film.gif", "diary/film.gif' ('diary' is no folder); choose another place"),
        ("folder.gif", "'folder.gif' is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_run(tmp_path, out, message):
    (tmp_path / "diary").write_text("dear diary", "utf-8")
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(ResultsError) as told:
        check_film(Experiment.load("essay-chain"), tmp_path / out)
    assert message in str(told.value)


def test_the_command(tmp_path, monkeypatch, brief):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["animate", "essay-chain", "--steps", "2", "--fps", "2"])
    assert done.exit_code == 0, done.output
    assert "Written to results/essay-chain.gif: steps 0 to 2 of 3" in done.output
    assert (tmp_path / "results" / "essay-chain.gif").read_bytes().startswith(b"GIF89a")
    done = CliRunner().invoke(main, ["animate", "essay-chain", "--out", "film.avi"])
    assert done.exit_code == 2
    assert done.output.startswith("Error: 'film.avi' is no name of a film; let it end in")
