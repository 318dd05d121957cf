"""What is asked of any figure."""

from matplotlib.backends.backend_agg import FigureCanvasAgg


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
