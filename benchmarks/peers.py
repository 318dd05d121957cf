"""The same markets written by hand, as somebody would who needs this one market and no other.

* :class:`MesaMarket`: one line of firms with two CES inputs, a Mesa agent each, in floats.
* :class:`NumPyMarket`: the same law in plain NumPy, one array a quantity.
* :class:`DenseMarket`: a national economy of CES lines, in matrices of lines by goods.
* :class:`DenseProduct`: the same of Cobb-Douglas lines, solved by hand: two matrix products a step.

None of them can do anything else, or checks its numbers. They know nothing of ``market_abm``.
"""

from __future__ import annotations

from typing import Any

import mesa
import numpy as np

# --- firms with two CES inputs, a bid for each unit ----------------------------------------------


class Firm(mesa.Agent):
    """Makes y from a and b, and bids what the last unit of each was worth."""

    model: MesaMarket

    def __init__(self, model: MesaMarket, weight: float, productivity: float) -> None:
        super().__init__(model)
        self.weight = weight
        self.productivity = productivity
        self.share_a = self.share_b = weight
        self.bid_a = self.bid_b = 0.0
        self.receive()
        self.produce()

    def bid(self) -> None:
        """Bid the values of the marginal products of the batch just sold."""
        self.bid_a = self.model.price * self.product_a
        self.bid_b = self.model.price * self.product_b

    def produce(self) -> None:
        """Turn the inputs into output."""
        model = self.model
        a, b, r = self.a / self.weight, self.b / self.weight, model.power
        y = (model.weight_a * a**r + model.weight_b * b**r) ** (1.0 / r)
        self.output = self.productivity * self.weight * y
        self.product_a = self.productivity * model.weight_a * (y / a) ** (1.0 - r)
        self.product_b = self.productivity * model.weight_b * (y / b) ** (1.0 - r)

    def reallocate(self) -> None:
        """Let shares follow bids."""
        model = self.model
        self.share_a *= (self.bid_a / model.price_a) ** model.share_rate
        self.share_b *= (self.bid_b / model.price_b) ** model.share_rate

    def receive(self) -> None:
        """Take delivery of the inputs."""
        self.share_a /= self.model.total_a
        self.share_b /= self.model.total_b
        self.a = self.share_a * self.model.supply_a
        self.b = self.share_b * self.model.supply_b

    def act(self) -> None:
        """Bid, then produce."""
        self.bid()
        self.produce()


class MesaMarket(mesa.Model):
    """One good made by many firms of two, and sold at a price of 1.

    Parameters
    ----------
    weights, productivity
        Of the firms, shape (firms,).
    supply
        Units of a and of b.
    elasticity
        Of substitution between a and b.
    shares
        The weights of a and b in the line.
    share_rate
        The elasticity of a share with respect to its bid.
    """

    def __init__(
        self,
        weights: np.ndarray,
        productivity: np.ndarray,
        supply: tuple[float, float],
        elasticity: float,
        shares: tuple[float, float],
        share_rate: float,
    ) -> None:
        super().__init__(rng=1)
        self.supply_a, self.supply_b = supply
        self.weight_a, self.weight_b = shares
        self.power = (elasticity - 1.0) / elasticity
        self.share_rate = share_rate
        self.price = 1.0
        self.price_a = self.price_b = 0.0
        self.total_a = self.total_b = 1.0
        Firm.create_agents(self, len(weights), weights.tolist(), productivity.tolist())

    def step(self) -> None:
        """All firms bid and produce; then prices form, and inputs are delivered."""
        self.agents.do("act")
        self.price_a = sum(firm.share_a * firm.bid_a for firm in self.agents)
        self.price_b = sum(firm.share_b * firm.bid_b for firm in self.agents)
        self.agents.do("reallocate")
        self.total_a = sum(firm.share_a for firm in self.agents)
        self.total_b = sum(firm.share_b for firm in self.agents)
        self.agents.do("receive")

    @property
    def prices(self) -> tuple[float, float]:
        """Of a and b."""
        return self.price_a, self.price_b


class NumPyMarket:
    """The market of :class:`MesaMarket` in arrays; elasticities and weights may be those of firms.

    Parameters are those of :class:`MesaMarket`.
    """

    def __init__(
        self,
        weights: np.ndarray,
        productivity: np.ndarray,
        supply: tuple[float, float],
        elasticity: Any,
        shares: tuple[Any, Any],
        share_rate: float,
    ) -> None:
        self.weights, self.productivity = weights, productivity
        self.supply, self.shares, self.share_rate = supply, shares, share_rate
        self.power = (elasticity - 1.0) / elasticity
        self.held = [weights / weights.sum()] * 2
        self.prices = [0.0, 0.0]
        self.produce()

    def produce(self) -> None:
        """Turn the inputs into output, at the present shares."""
        r, (weight_a, weight_b) = self.power, self.shares
        a, b = (
            held * supply / self.weights
            for held, supply in zip(self.held, self.supply, strict=True)
        )
        y = (weight_a * a**r + weight_b * b**r) ** (1.0 / r)
        self.output = self.productivity * self.weights * y
        self.products = [
            self.productivity * weight_a * (y / a) ** (1.0 - r),
            self.productivity * weight_b * (y / b) ** (1.0 - r),
        ]

    def step(self) -> None:
        """All firms bid and produce; then prices form, and inputs are delivered."""
        bids = self.products  # the price of y is 1
        self.produce()
        for k, bid in enumerate(bids):
            self.prices[k] = np.sum(self.held[k] * bid)
            grown = self.held[k] * (bid / self.prices[k]) ** self.share_rate
            self.held[k] = grown / grown.sum()


# --- a national economy whose lines bid money ----------------------------------------------------


class DenseMarket:
    """Industries that pledge money for their inputs, in matrices of shape (industries, goods).

    Every industry makes the good of its number; goods beyond are endowments of 1. A line is CES in
    its cost shares. A household spends 1 on the industries' goods.

    Parameters
    ----------
    cost_shares
        Shape (industries, goods); all positive, with rows of sum 1.
    final_shares
        Of the household, shape (industries,).
    elasticity
        Of substitution in industries, not 1; the household's is 1.
    quantities
        Units on sale at the start, shape (goods,).
    money, values
        The money bid then, and what the inputs of the batch on sale earned; (industries, goods).
    """

    def __init__(
        self,
        cost_shares: np.ndarray,
        final_shares: np.ndarray,
        elasticity: float,
        quantities: np.ndarray,
        money: np.ndarray,
        values: np.ndarray,
    ) -> None:
        self.cost_shares, self.final_shares, self.elasticity = cost_shares, final_shares, elasticity
        self.money, self.quantities, self.values = money, quantities.copy(), values
        self.made = len(cost_shares)
        self.spent = self.total(money)

    def total(self, money: np.ndarray) -> np.ndarray:
        """The money bid for each good, by industries and the household."""
        spent = money.sum(axis=0)
        spent[: self.made] += self.final_shares
        return spent

    def step(self) -> None:
        """Industries bid what their inputs earned, and produce; then prices form."""
        r = (self.elasticity - 1.0) / self.elasticity
        inputs = self.money / self.spent * self.quantities
        self.money = self.values
        relative = (inputs / self.cost_shares) ** r
        outputs = (self.cost_shares * relative).sum(axis=1) ** (1.0 / r)
        self.quantities[: self.made] = outputs
        self.spent = self.total(self.money)
        self.prices = self.spent / self.quantities
        ratio = (outputs[:, None] * self.cost_shares / inputs) ** (1.0 / self.elasticity)
        self.values = self.prices[: self.made, None] * ratio * inputs


class DenseProduct:
    """The same of Cobb-Douglas lines: money by one product with a matrix, goods by another.

    Such a line spends its sales v in proportion to its cost shares W: money follows v <- W' v + β.
    What it buys of a good is W v over the good's price p, so that it makes
    ln y <- ln v - W ln p, with the sales of one step earlier than these prices.

    Parameters
    ----------
    cost_shares, final_shares
        W and β: as of :class:`DenseMarket`, but cost shares may be 0.
    quantities
        Units on sale at the start, shape (goods,).
    sales, earlier
        Of all goods then, and of industries one step before; shapes (goods,) and (industries,).
    """

    def __init__(
        self,
        cost_shares: np.ndarray,
        final_shares: np.ndarray,
        quantities: np.ndarray,
        sales: np.ndarray,
        earlier: np.ndarray,
    ) -> None:
        self.cost_shares, self.transposed = cost_shares, np.ascontiguousarray(cost_shares.T)
        self.final_shares = final_shares
        self.quantities, self.sales, self.earlier = quantities.copy(), sales, earlier
        self.made = len(cost_shares)
        self.prices = sales / quantities

    def step(self) -> None:
        """Goods move downstream, and money upstream."""
        made = self.made
        self.quantities[:made] = self.earlier * np.exp(-(self.cost_shares @ np.log(self.prices)))
        self.earlier = self.sales[:made]
        self.sales = self.transposed @ self.earlier
        self.sales[:made] += self.final_shares
        self.prices = self.sales / self.quantities
