"""What is asked of any figure."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from market_abm.views.palette import GREY


def assert_nothing_is_cut_off(figure):
    """All that is drawn, tick labels and legends included, lies on the page."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    tight, page = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    slack = 1e-6  # inches: the rounding of the axes that fill the page
    assert tight.x0 >= -slack and tight.y0 >= -slack, tight
    assert tight.x1 <= page[0] + slack and tight.y1 <= page[1] + slack, (tight, page)


def texts_of(figure):
    return [t for axes in figure.axes for t in axes.texts if t.get_text()]


def assert_legends_are_drawn(figure):
    """Each entry of each legend stands for something that is drawn, in its style and colour."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    legends += [each for axes in figure.axes for each in axes.artists if isinstance(each, Legend)]
    lines = [line for axes in figure.axes for line in axes.get_lines() if len(line.get_xdata())]
    drawn = {(what, to_hex(line.get_color())) for line in lines for what in _styles(line)}
    faces = set()
    for axes in figure.axes:
        for each in axes.collections:
            faces |= {to_hex(color) for color in each.get_facecolors()}
            if each.get_array() is not None:
                faces |= {to_hex(color) for color in each.to_rgba(np.unique(each.get_array()))}
            faces |= {to_hex(color) for color in each.get_edgecolors()}
        faces |= {to_hex(patch.get_facecolor()) for patch in axes.patches}
    for legend in filter(None, legends):
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            if isinstance(handle, Line2D):
                color, own = to_hex(handle.get_color()), _styles(handle)
                known = {what for what, each in drawn if color in (each, GREY.lower())}
                assert own <= known or color in faces, text.get_text()
            else:
                assert to_hex(handle.get_facecolor()) in faces, text.get_text()


def _styles(line):
    """The dashes and the marker of a line."""
    return {str(line.get_linestyle()), str(line.get_marker())} - {"None", "", " ", "none"}
