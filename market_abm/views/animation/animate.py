"""Make a film of a run, as GIF or MP4."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import animation

from market_abm.errors import EconomyError, ResultsError, SettingError
from market_abm.runs.folders import check_file, unwritable, write_file
from market_abm.views.animation.drawing import DPI
from market_abm.views.animation.film import Film
from market_abm.views.animation.writer import GifWriter

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.result import Result

MAX_GOODS = 32
"""Goods of a network in a film, at most."""

SUFFIXES = (".gif", ".mp4")


def animate(
    result: Result,
    path: str | Path,
    *,
    steps: int = 30,
    fps: int = 12,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a film of a run's first steps, 800 pixels wide, and return its path.

    Boxes are goods with price and gradient; a green one has a price that equals its gradient. Blue
    dots are goods on their way to their users; their size is the share of each use. An orange pulse
    is a change of a bid, on its way from the buyer to the maker, whose price it changes in the next
    step. Below are the errors of each good (grey) and the largest (black). The same versions of the
    package and its libraries make the same GIF, bit for bit.

    Parameters
    ----------
    result
        A run with all steps and goods recorded.
    path
        The file, ``.gif`` or ``.mp4``; it is written completely or not at all.
    steps
        The last step that is shown.
    fps
        Frames a second.
    progress
        ``progress(done, most)``, called with the number of frames.

    Raises
    ------
    MarketError
        See :func:`check_film`.
    """
    path = Path(path)
    check_film(result.experiment, path)
    film = Film(result, steps)
    writer: animation.AbstractMovieWriter
    if path.suffix.lower() == ".mp4":
        writer = animation.FFMpegWriter(fps=fps, extra_args=["-pix_fmt", "yuv420p"])
    else:
        writer = GifWriter(fps=fps)

    def write(aside: Path) -> None:
        with writer.saving(film.drawing.figure, str(aside), DPI):
            moments = film.moments(fps)
            for done, moment in enumerate(moments):
                if progress:
                    progress(done, len(moments))
                film.show(*moment)
                writer.grab_frame()
            if progress:
                progress(len(moments), len(moments))

    try:
        return write_file(path, write)
    except OSError as error:
        raise unwritable(path, error) from None


def check_film(experiment: Experiment, path: Path) -> None:
    """Check before a run that a film of it can be written.

    Raises
    ------
    EconomyError
        There are more than :data:`MAX_GOODS` goods.
    SettingError
        The record is thinned, but a film needs every step and good.
    ResultsError
        The suffix of ``path`` is unknown, MP4 cannot be written here, or its folder cannot be
        written.
    """
    goods = len(experiment.economy.goods)
    if goods > MAX_GOODS:
        raise EconomyError(
            f"the economy has {goods} goods, and a film shows {MAX_GOODS} at most",
            remedy=f"film a smaller one; 'market-abm run {experiment.name}' draws this one",
        )
    if experiment.record_interval != 1 or experiment.record.goods is not None:
        raise SettingError(
            "the record is thinned, and a film shows every step and good",
            remedy="leave out record.every, record.goods and run.observe_every",
            name="record",
        )
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ResultsError(
            f"'{path.name}' is no name of a film", remedy="let it end in .gif or .mp4"
        )
    if suffix == ".mp4" and not animation.FFMpegWriter.isAvailable():
        raise ResultsError(
            f"'{path.name}' needs ffmpeg, which is not installed",
            remedy="install ffmpeg, or let the name end in .gif",
        )
    _check_place(path)


def _check_place(path: Path) -> None:
    """Check that a file can be written at ``path``."""
    if path.is_dir():
        raise ResultsError(f"'{path.name}' is a folder", remedy="name a file with --out")
    try:
        check_file(path)
    except OSError as error:
        raise unwritable(path, error) from None
