"""The observer: compares a market with the exact gradient at each step (docs/model.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from market_abm.analysis.alignment import ALIGNMENTS, Allocation
from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.production import Batch
from market_abm.economy.ties import Payments, has_branches, nearest_products
from market_abm.errors import MarketError
from market_abm.gradient import backprop
from market_abm.gradient.growth import growth_factor
from market_abm.gradient.welfare import surplus
from market_abm.market.base import Mechanism
from market_abm.market.rest import Rest
from market_abm.market.state import State
from market_abm.simulation.record import Trajectory


def relative_error(
    prices: np.ndarray, gradients: np.ndarray, least: np.ndarray | float = 0.0
) -> np.ndarray:
    """|p - g| / |g|, or |p| where the gradient is exactly 0; shape of ``prices``.

    Of prices that may tend to 0, relative to ``least`` where |g| is smaller.
    """
    scale = np.maximum(np.abs(gradients), least)
    return np.abs(prices - gradients) / np.where(scale == 0.0, 1.0, scale)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The observer's results at every recorded step of a run.

    Parameters
    ----------
    gradients
        The exact gradient at each step's allocation, money per unit, shape (records, goods).
    welfare
        Total surplus W of that allocation, money, shape (records,).
    alignment
        The cosine of the move to each step, shape (records,); see ``analysis/alignment.py``.
    gains
        Of an economy with households, what W has changed by since the observation before, both at
        the weights of then, money, shape (records,).
    possible
        Of such an economy, what a move of that size along the gradient adds to W to first order.
    """

    gradients: np.ndarray
    welfare: np.ndarray
    alignment: np.ndarray
    gains: np.ndarray | None = None
    possible: np.ndarray | None = None


OF_HOUSEHOLDS = ("gains", "possible")
"""The fields of :class:`Comparison` that only economies with households have."""


class GradientObserver:
    """Computes gradient, welfare and alignment at each step of runs, and which are at rest.

    In a closed system, where nobody outside pays, the gradient is that of ln G, G the factor by
    which quantities grow in a step: relative prices, here at the scale at which goods on sale are
    worth what they are at market prices (``gradient/growth.py``). Welfare is ln G.

    All three are of the allocation at that step: of what the program makes by a forward pass at the
    present shares and the present supply of raw goods. (Off rest, goods on sale were made of older
    inputs. Where nothing is traded yet, goods are shared in proportion to orders.) The weights of
    households are those at that step, which their prices are. Whether a run has settled is decided
    by the market alone (``market/rest.py``).

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    tolerance
        One for all runs, or shape (runs,).
    shares_move
        Whether shares can move: one for all runs, or shape (runs,).
    rules
        The mechanism.
    reference
        The consumers' reference quantities, units, shape (runs, final goods); by default the final
        goods' quantities in the first state.
    """

    path: tuple[str, ...] = tuple(
        each.name for each in fields(Comparison) if each.name not in OF_HOUSEHOLDS
    )

    def __init__(
        self,
        economy: Economy,
        tolerance: float | np.ndarray,
        *,
        shares_move: bool | np.ndarray = True,
        rules: type[Mechanism] = Mechanism,
        reference: np.ndarray | None = None,
    ) -> None:
        self.economy = economy
        self.rules = rules
        self.tolerance = tolerance
        self._since: np.ndarray | int = -1
        self._made: np.ndarray | None = None
        self._reference = None if reference is None else reference.copy()
        self._former: tuple[np.ndarray, np.ndarray] | None = None
        if economy.households:
            self.path = (*self.path, *OF_HOUSEHOLDS)
        self._rest = Rest(economy, rules, tolerance, shares_move=shares_move)
        self._align = ALIGNMENTS[rules.alignment](economy, add_up=rules.bids_form_prices)

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self.economy = self.economy.select_runs(rows)
        self._align.keep(self.economy, rows)
        self._rest.keep(self.economy, rows)
        for name in ("tolerance", "_since", "_made", "_reference"):
            value = getattr(self, name)
            if np.ndim(value):
                setattr(self, name, value[rows])
        if self._former is not None:
            self._former = self._former[0][rows], self._former[1][rows]

    def change(self, economy: Economy) -> None:
        """Continue with another economy: gradients and welfare are its own from now on."""
        self.economy = self._align.economy = self._rest.economy = economy
        if self._reference is not None:
            self._reference = _given_references(economy, self._reference)

    def __call__(
        self, state: State, batch: Batch | None = None, *, recorded: bool = True
    ) -> dict[str, np.ndarray]:
        """The results for a state, by name.

        Parameters
        ----------
        state
            The next state to be observed.
        batch
            What the firms made, if the engine has computed it.
        recorded
            Whether alignment is needed; else it is NaN, unless a run has settled.

        Returns
        -------
        dict
            ``settled``, ``welfare`` and ``alignment``, shape (...), and ``gradients``, shape (...,
            goods); ``since``, shape (..., goods), is the observed step from which each price has
            stayed within tolerance of its gradient, or -1.
        """
        at = self._allocation(state, batch)
        self._made, self._since = at.quantities, self._within(state, at)
        settled = self.settled(state, batch, slopes=self._slopes(at, batch))
        recorded = recorded or bool(np.any(settled))
        results = {"settled": settled, **self._compared(state, at, self._since, recorded)}
        self._note(state, at)
        return results

    def settled(
        self, state: State, batch: Batch | None = None, *, slopes: np.ndarray | None = None
    ) -> np.ndarray:
        """Whether each run is at rest in the next ``state``, shape (...); asked at every step."""
        return self._rest(state, self._references(state), batch, slopes)

    def compared(self, state: State, batch: Batch | None = None) -> dict[str, np.ndarray]:
        """The results but ``settled`` for a step between observations, which it leaves as it was.

        Alignment is known if the step before was observed, or prepared.
        """
        at = self._allocation(state, batch)
        return self._compared(state, at, self._within(state, at), True)

    def prepare(self, state: State, batch: Batch | None = None) -> None:
        """Note the gradient at the step before an observation, which the next move follows."""
        at = self._allocation(state, batch)
        self._align.note(state, at, self._references(state))
        self._note(state, at)

    def _note(self, state: State, at: Allocation) -> None:
        """Note weights and goods, by which the next move is valued."""
        if self.economy.households:
            self._former = self._references(state), at.quantities

    @np.errstate(all="ignore")
    def _allocation(self, state: State, batch: Batch | None) -> Allocation:
        at = allocation(
            self.economy,
            self.rules,
            self._references(state),
            state.shares if batch is None else batch.shares,
            self._known(state),
            guess=self._made,
            known=batch,
            payments=self._payments(state),
        )
        if not self.economy.closed:
            return at
        money, value = (np.sum(each * state.quantities, -1) for each in (state.prices, at.gradient))
        return at._replace(gradient=at.gradient * (money / value)[..., None])

    def _payments(self, state: State) -> Payments | None:
        """What firms pay, if some may be at a kink of their lines."""
        if not has_branches(self.economy):
            return None
        paid = self.rules.per_unit(state.bids, state.inputs)
        return Payments(paid, state.prices, np.expand_dims(self.tolerance, -1))

    def _known(self, state: State) -> np.ndarray:
        """Quantities on sale, and of series the row of this step, which dated goods wait for."""
        if not self.economy.exogenous.offers:
            return state.quantities
        quantities = state.quantities.copy()
        self.economy.exogenous.offers.write(state.step, quantities)
        return quantities

    @np.errstate(all="ignore")
    def _within(self, state: State, at: Allocation) -> np.ndarray:
        """The observed step from which prices have been within tolerance, up to ``state``."""
        within = relative_error(state.prices, at.gradient) <= np.expand_dims(self.tolerance, -1)
        return np.where(within, np.where(self._since < 0, state.step, self._since), -1)

    @np.errstate(all="ignore")
    def _compared(
        self, state: State, at: Allocation, since: np.ndarray, recorded: bool
    ) -> dict[str, np.ndarray]:
        reference = self._references(state)
        if recorded:
            alignment = self._align(state, at, reference)
        else:
            self._align.note(state, at, reference)
            alignment = np.full(state.prices.shape[:-1], np.nan)
        results = {
            "since": since,
            "gradients": at.gradient,
            "welfare": _welfare(self.economy, reference, at),
            "alignment": alignment,
        }
        if self.economy.households:
            then, before = self._former or (reference, at.quantities)
            values = (surplus(self.economy, then, made) for made in (at.quantities, before))
            results["gains"] = next(values) - next(values)
            possible = self._align.possible if recorded else np.nan
            results["possible"] = possible + 0.0 * results["gains"]
        return results

    def _references(self, state: State) -> np.ndarray:
        """The consumers' reference quantities, by default those of the first state, and weights."""
        if self._reference is None:
            self._reference = _references(self.economy, state)
        if not self.economy.households:
            return self._reference
        return with_weights(self.economy, self._reference, state.prices)

    @staticmethod
    def _slopes(at: Allocation, batch: Batch | None) -> np.ndarray | None:
        """The slopes of the books, where these are the forward pass."""
        return at.slopes if batch is not None and at.products is batch.products else None


@np.errstate(all="ignore")
def allocation(
    economy: Economy,
    rules: type[Mechanism],
    reference: np.ndarray,
    shares: np.ndarray,
    quantities: np.ndarray,
    *,
    guess: np.ndarray | None = None,
    known: Batch | None = None,
    payments: Payments | None = None,
) -> Allocation:
    """What the program makes by a forward pass at given shares and supply, and its gradient.

    Parameters
    ----------
    economy
        The economy, vectorized if there are several runs.
    rules
        The mechanism. Where it only plans, goods are shared in proportion to orders.
    reference
        The consumers' reference quantities, units, shape (..., final goods).
    shares
        Shape (..., buyers).
    quantities
        Units on sale, shape (..., goods); those of raw goods are the supply.
    guess
        Quantities near which to look for those of loops, (..., goods); by default ``quantities``.
    known
        What the firms made at these shares, if an engine has computed it. A line whose inputs were
        bought from just the quantities of the forward pass is not computed again: all lines of a
        market in which firms act one after the other, and the lines that buy raw goods of a fixed
        endowment.
    payments
        What firms pay, if of several gradients at a kink the nearest is wanted.
    """
    shares, made, products = forward_allocation(
        economy, rules, shares, quantities, guess=guess, known=known, payments=payments
    )
    paid = backprop.consumer_prices(economy, reference, made)
    slopes = economy.uses.slopes(products, shares)
    gradient = backprop.swept(economy, slopes, paid)
    return Allocation(shares, made, products, slopes, gradient)


@np.errstate(all="ignore")
def forward_allocation(
    economy: Economy,
    rules: type[Mechanism],
    shares: np.ndarray,
    quantities: np.ndarray,
    *,
    guess: np.ndarray | None = None,
    known: Batch | None = None,
    payments: Payments | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, quantities and marginal products of :func:`allocation`, without prices.

    Parameters are those of :func:`allocation`; shapes (..., buyers), (..., goods), (..., buyers).
    """
    if not rules.trades:
        shares = _in_proportion(economy, shares)
    made, products = backprop.forward_pass(
        economy,
        shares,
        quantities[..., : len(economy.supply)],
        guess=quantities
        if guess is None
        else np.where(np.isfinite(guess) & (guess != 0.0), guess, quantities),
        known=known,
    )
    if payments is not None:
        inputs = shares * made[..., economy.buyers.good]
        products = nearest_products(economy, inputs, products, payments)
    return shares, made, products


@np.errstate(all="ignore")
def book_gradients(economy: Economy, trajectory: Trajectory) -> np.ndarray:
    """The gradients by the inputs and quantities that were in the books at each recorded step.

    Off rest they mix dates (see :func:`market_abm.gradient.backprop.book_gradient`); they are not
    what prices are compared with.

    Parameters
    ----------
    economy
        The economy, the same at all steps.
    trajectory
        A record of all goods and buyers.

    Returns
    -------
    numpy.ndarray
        Money per unit, shape (records, goods).

    Raises
    ------
    MarketError
        Some goods or buyers are not recorded.
    """
    if trajectory.inputs.shape != (len(trajectory.prices), economy.buyers.size):
        raise MarketError(
            "the books of every good and buyer are needed", remedy="record all goods, and buyers"
        )
    reference = _given_references(economy, trajectory.quantities[0, economy.final])
    paid = backprop.consumer_prices(economy, reference, trajectory.quantities)
    return backprop.book_gradient(economy, trajectory.inputs, trajectory.shares, paid)


def _welfare(economy: Economy, reference: np.ndarray, at: Allocation) -> np.ndarray:
    """Total surplus W, money; of a closed system ln G, of which its prices are the gradient."""
    if economy.closed:
        return np.log(growth_factor(economy, at.slopes, at.quantities))
    return surplus(economy, reference, at.quantities)


def _in_proportion(economy: Economy, orders: np.ndarray) -> np.ndarray:
    """Shares in proportion to ``orders`` in each pool, where nothing is traded yet."""
    buyers = economy.buyers
    total = np.add.reduceat(orders, buyers.starts, axis=-1)[..., buyers.pool]
    return orders / np.where(total == 0.0, 1.0, total)


def _references(economy: Economy, start: State) -> np.ndarray:
    """The consumers' reference quantities, (..., final goods), from the first state."""
    return _given_references(economy, start.quantities[..., economy.final])


def with_weights(economy: Economy, reference: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """The references of consumers, (..., final goods), those of households their weights.

    ``prices`` are of all goods, (..., goods).
    """
    weights = prices[..., economy.claims.good]
    others = reference[..., : reference.shape[-1] - weights.shape[-1]]
    return np.concatenate([others, weights], axis=-1)


def _given_references(economy: Economy, reference: np.ndarray) -> np.ndarray:
    """Reference quantities, (..., final goods): those of the terms of demand, or ``reference``."""
    result = reference.copy()
    for places, terms in economy.demand_terms:
        result[..., places] = curves.reference_quantity(terms, reference[..., places])
    return result
