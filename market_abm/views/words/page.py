"""Titles and messages of the page of ``market-abm watch``."""

from market_abm.views.words.text import ARROWS, LIGHT_IS_HIGH, STEEPEST_ASCENT

NETWORK_TITLE = f"{ARROWS.capitalize()} (width: payments), prices against them"
FAMILIES_TITLE = f"Families: mean price, largest error; {ARROWS} (width: payments)"
PRICES_TITLE = "Prices (solid) and their exact gradients (dotted)"
ALIGNMENT_TITLE = f"Alignment with the gradient of welfare: {STEEPEST_ASCENT}"
WELFARE_TITLE = f"Path over the contours of welfare ({LIGHT_IS_HIGH})"
DISTANCE_TITLE = "distance of a price from its gradient"

SETTLED = "at rest: nobody has a reason to act differently"
CONNECTION_REFUSED = (
    "This page cannot connect to market-abm watch. If it was opened by another name than the one "
    "that the command printed, start the command again with --origin HERE. A proxy must pass on "
    "WebSockets"
)
"""HERE stands for the host and port of the page."""

CONNECTION_LOST = "The connection to market-abm watch is lost; start it again and reload this page"

ANY_SETTING = "any other setting"
SAVE_FILE = "Save as experiment file"


def page_refused(origin: str) -> str:
    """That a page of another origin tried to connect."""
    host = origin.rpartition("//")[2]
    return f"A page from {origin} was refused; if it is this one: start again with --origin {host}"


def demand_elasticity(good: str) -> str:
    """The label of a slider."""
    return f"elasticity of demand for {good}"


def supply_elasticity(good: str) -> str:
    """The label of a slider."""
    return f"elasticity of supply of {good}"


def tax_rate(name: str) -> str:
    """The label of a slider."""
    return f"rate of the tax {name}"


def endowment_of(household: str, good: str) -> str:
    """The label of a slider."""
    return f"{good} that {household} owns"
