"""The colours that all pictures share."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""A palette that colour-blind readers can tell apart (Okabe and Ito, 2008)."""

INK, GREY, FAINT = "#222222", "#555555", "#8a8a8a"
"""Text and reference lines, captions, and axes."""


def welfare_shades(count: int) -> list[str]:
    """Greys from the lowest welfare to the highest, which is white."""
    levels = (round(0xA0 + (0xFF - 0xA0) * k / max(count - 1, 1)) for k in range(count))
    return [f"#{level:02x}{level:02x}{level:02x}" for level in levels]
