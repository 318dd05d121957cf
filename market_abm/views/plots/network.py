"""The supply network of a run, with quantities, prices and bids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from market_abm.runs.families import MAX_LISTED_GOODS
from market_abm.views.family_network import FamilyNetwork
from market_abm.views.layout import BOX, Diagram, layout
from market_abm.views.numbers import format_label
from market_abm.views.palette import INK
from market_abm.views.plots.family_network import family_network
from market_abm.views.plots.flows import Flows, is_legible, largest_flows
from market_abm.views.plots.lettering import box_titles, fitted
from market_abm.views.plots.network_parts import BID, FLOW, arrow, box, canvas, captions, label
from market_abm.views.words.figures import network_note
from market_abm.views.words.households import EARNS, FROM, UTILITY, WEIGHT, named_parts, sources
from market_abm.views.words.lines import shortened
from market_abm.views.words.text import step_title

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.economy.industry import Industry
    from market_abm.runs.households import HouseholdAccount
    from market_abm.runs.result import Result

SOURCES = BOX[0] - 0.12
"""Inches that the sources of an income may take."""


def network(result: Result) -> Figure:
    """The supply network at the last step: goods flow along the arrows, prices against them.

    A box is a good with its quantity, price and gradient; an arrow is one use of it, labelled with
    units and the bid for one. Of more than 40 goods, or as many uses, families are drawn
    (``plots/family_network.py``), or else only the largest flows (``plots/flows.py``), or a network
    without numbers if no industry sells to another.
    """
    families = FamilyNetwork.shown(result.experiment.economy)
    if families is not None:
        return family_network(result, families)
    if not is_legible(result.experiment.economy) and (flows := Flows.of(result)).flows:
        return largest_flows(result, flows)
    economy = result.experiment.economy
    plan = layout(Diagram.of_goods(economy))
    figure, axes, scale = canvas(plan)
    labelled = len(economy.goods) <= MAX_LISTED_GOODS
    titles = box_titles(_firms(economy), BOX[0] * scale, 9.5 * scale)
    for good, centre in plan.boxes.items():
        rows = _rows(result, good, scale) if labelled else ()
        box(axes, _kind(economy, good), titles[good], centre, scale, rows)
    for industry in economy.topological_order:
        for slot in range(len(industry.technology.inputs)):
            use = (industry.good, slot)
            arrow(axes, plan.routes[use], scale)
            if labelled:
                label(axes, _flow(result, industry, slot), plan.labels[use], scale)
    title = step_title(shortened(result.experiment.name, 40), result.steps)
    note = network_note(labelled=labelled, households=bool(economy.households))
    captions(axes, title, note)
    return figure


def _firms(economy: Economy) -> dict[str, str]:
    """What stands after the name of each good: how many firms make it, if there are several."""
    firms = {industry.good: industry.firms for industry in economy.topological_order}
    return {
        good: f" ({firms[good]} firms)" if firms.get(good, 1) > 1 else "" for good in economy.goods
    }


def _kind(economy: Economy, good: str) -> str:
    if good in economy.households:
        return "household"
    return "raw" if good in economy.supply else "final" if good in economy.demand else "made"


def _rows(result: Result, good: str, scale: float) -> list[tuple[str, str, str]]:
    """Quantity, price and gradient of a good, or a household's account, and their colours."""
    if good in result.households:
        return _account(result.households[good], scale)
    k = result.goods.index(good)
    return [
        ("quantity", format_label(result.last.quantities[k]), FLOW),
        ("price", format_label(result.last.prices[k]), BID),
        ("gradient", format_label(result.last_gradients[k]), INK),
    ]


def _account(account: HouseholdAccount, scale: float) -> list[tuple[str, str, str]]:
    """What a household has, and what it earns, from the largest source on."""
    ordered = named_parts(sources(account))
    return [
        (UTILITY, format_label(account.utility), FLOW),
        (WEIGHT, format_label(account.weight), INK),
        (EARNS, format_label(account.income), BID),
        ("", fitted(f"{FROM} {ordered}", SOURCES * scale, 8 * scale, head=1.0), INK),
    ]


def _flow(result: Result, industry: Industry, slot: int) -> list[tuple[str, str]]:
    """The units of a use, and the bid for one."""
    buyers = result.experiment.economy.buyers.uses[industry.good][slot]
    shares = result.last.shares[buyers]
    inputs = result.last.inputs[buyers]
    bids = result.experiment.market.rules.per_unit(result.last.bids[buyers], inputs)
    bid = shares @ bids / (shares.sum() or 1.0)
    return [(format_label(inputs.sum()), FLOW), (format_label(bid), BID)]
