"""Properties that economies have in common, and that are computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from market_abm.economy.industry import Industry

LAYOUT = (
    "lines", "goods", "families", "index", "has_loops", "_uses", "final", "stages", "buyers", "uses"
)  # fmt: skip
"""Properties that do not depend on the numbers of an economy with the same firms."""

KEPT = ("moves_until",)
"""Properties of an economy with series that also hold of what it is in a step."""

ORDER = ("components", "topological_order")
"""Properties that depend on the industries alone."""


def kept_of_runs(economy: Any, industries: Sequence[Industry]) -> dict[str, Any]:
    """Of the lines of an economy with a leading axis of runs: what they share with it, by name."""
    if any(len(industry.weights) > 1 for industry in industries):
        return {}  # firms differ between runs
    known = [name for name in LAYOUT if name in vars(economy) and name not in ("lines", "families")]
    same = {name: getattr(economy, name) for name in known}
    made = {industry.good: industry for industry in industries}
    components = tuple(tuple(made[i.good] for i in each) for each in economy.components)
    return {**same, "buyers": economy.buyers.with_run_axis(), "components": components}
