"""The array engine of ``posted-price`` (``markets/posted_price.py``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.market.mechanisms import posted_price
from market_abm.market.quoted_arrays import QuotedArrayEngine


class PostedPriceArrayEngine(QuotedArrayEngine):
    """Runs of a market of posted prices; ``made`` and ``stock``, units, are (runs, goods)."""

    own = (*QuotedArrayEngine.own, "made", "stock")

    def _lay_out(self, runs: int) -> None:
        super()._lay_out(runs)
        self.made, self.stock = (np.zeros_like(self.quantities) for _ in range(2))

    def _start(self) -> None:
        super()._start()
        self.orders[:] = self.shares * self.quantities[:, self.economy.buyers.good]
        self._traded = True  # the goods of the first day go to those who had them first

    def change(self, economies: Sequence[Economy]) -> None:
        """Go on with other numbers, once the step before is over: its goods have been sold."""
        with np.errstate(all="ignore"):
            self._reallocate()
        self._traded = True
        super().change(economies)

    def _put_on_sale(self, made: np.ndarray) -> None:
        self.made = made
        self.quantities = made + self.stock

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        return posted_price.revised_quote(
            quotes,
            ordered,
            self.made[:, k],
            self.stock[:, k],
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def _reallocate(self) -> None:
        """New orders at the prices posted last, what they get, and what is left."""
        if self._traded:
            self._traded = False
            return
        for good in self.economy.goods:
            k = self.economy.index[good]
            quantity = self.quantities[:, k : k + 1]
            pools = self._pools(good)
            for n, buyers in pools:
                bidding = self._has_bid(buyers)
                orders, quote = self.orders[:, buyers], self.quotes[:, n : n + 1]
                revised = posted_price.revised_order(
                    orders, self.bids[:, buyers], quote, self.settings.order_rate
                )
                orders[:] = np.where(bidding, revised, orders)
                ordered = orders.sum(axis=-1, keepdims=True)
                self.shares[:, buyers] = posted_price.handed_out(orders, ordered, quantity)
            if good in self.economy.demand:
                n = list(self.economy.demand).index(good)
                wanted = curves.demand_quantity(
                    self.economy.demand[good], self.reference[:, n : n + 1], self.prices[:, [k]]
                )
                sold = np.where(np.isinf(wanted), quantity, posted_price.taken(wanted, quantity))
            elif len(pools) == 1:
                sold = np.minimum(ordered, quantity)
            else:
                continue
            self.stock[:, k : k + 1] = posted_price.left_over(
                quantity, sold, self.settings.spoilage
            )
