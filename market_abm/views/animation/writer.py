"""Write the frames of a film as GIF."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import animation
from matplotlib.figure import Figure
from PIL import Image

from market_abm.views.animation.colours import palette


class GifWriter(animation.AbstractMovieWriter):
    """A GIF with one palette for all frames: it is smaller, and colours do not flicker."""

    def setup(self, fig: Figure, outfile: Any, dpi: float | None = None) -> None:
        """Begin a film of ``fig``."""
        super().setup(fig, outfile, dpi)
        self.frames: list[Image.Image] = []
        self.palette = Image.new("P", (1, 1))
        self.palette.putpalette(bytes(round(255 * part) for color in palette() for part in color))

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        """Add the figure as it is now."""
        pixels = io.BytesIO()
        self.fig.savefig(pixels, **{**savefig_kwargs, "format": "rgba", "dpi": self.dpi})
        frame = Image.frombuffer("RGBA", self.frame_size, pixels.getvalue(), "raw", "RGBA", 0, 1)
        self.frames.append(
            frame.convert("RGB").quantize(palette=self.palette, dither=Image.Dither.NONE)
        )

    def finish(self) -> None:
        """Write the file."""
        self.frames[0].save(
            self.outfile,
            save_all=True,
            append_images=self.frames[1:],
            duration=round(1000 / self.fps),
            loop=0,
            optimize=True,
        )
