"""Titles and messages of the page of ``market-abm watch``."""

from market_abm.views.words.text import ARROWS, LIGHT_IS_HIGH, STEEPEST_ASCENT

NETWORK_TITLE = f"{ARROWS.capitalize()} (width: payments), prices against them"
PRICES_TITLE = "Prices (solid) and their exact gradients (dotted)"
ALIGNMENT_TITLE = f"Alignment with the gradient of welfare: {STEEPEST_ASCENT}"
WELFARE_TITLE = f"Path over the contours of welfare ({LIGHT_IS_HIGH})"
DISTANCE_TITLE = "distance of a price from its gradient"

SETTLED = "at rest: nobody has a reason to act differently"
CONNECTION_LOST = "The connection to market-abm watch is lost; start it again and reload this page"

ANY_SETTING = "any other setting"
SAVE_FILE = "Save as experiment file"


def demand_elasticity(good: str) -> str:
    """The label of a slider."""
    return f"elasticity of demand for {good}"


def supply_elasticity(good: str) -> str:
    """The label of a slider."""
    return f"elasticity of supply of {good}"
