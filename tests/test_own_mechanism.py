"""A mechanism that a user adds, as CONTRIBUTING.md describes: a pooled and a quoted one.

And the keys of settings under several mechanisms: whose they are, and which a change of mechanism
keeps.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from market_abm import Experiment, MarketError, from_text, market_settings, run
from market_abm.cli.commands import main
from market_abm.fields import choice, number
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import MECHANISMS, default_mechanism, keys_of
from market_abm.market.pooled import PooledMarket
from market_abm.market.quoted import (
    QuotedArrayEngine,
    QuotedFinalMarket,
    QuotedMarket,
    QuotedSettings,
)
from market_abm.twins.registry import twin

ENGINES = ("agents", "arrays")

# --- a pooled mechanism ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FrozenSettings(MarketSettings):
    mechanism: str = choice("frozen", ("frozen",))
    bid_rate: float = number(1.0, above=0.0, high=1.0)


class Frozen(PooledMarket):
    """Shares never change: ``unit-bid`` with a share rate of 0."""

    Settings = FrozenSettings

    @staticmethod
    def offer(shares, bids):
        return shares * bids

    @staticmethod
    def claim(shares, bids, pools, settings):
        return shares

    @classmethod
    def shares_move(cls, settings):
        return False


def split():
    """A good for two industries, which are the inputs of a third."""
    return from_text(
        "l1 = x\nr1 = x\ny = ces(l1, r1, elasticity=0.8, weights=(0.3, 0.7))", {"x": 4.0}
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pooled_mechanism_is_one_class_and_one_entry(engine, monkeypatch):
    monkeypatch.setitem(MECHANISMS, "frozen", Frozen)
    own = run(split(), mechanism="frozen", engine=engine)
    same = run(split(), engine=engine, share_rate=0)
    assert own.status == same.status == "converged"
    np.testing.assert_allclose(own.prices, same.prices, rtol=1e-15)
    np.testing.assert_array_equal(own.trajectory.shares, same.trajectory.shares)
    with pytest.raises(MarketError, match="market.mechanism is 'frozen'"):  # it has no twin yet
        twin(split(), market_settings("frozen"), 1)
    with pytest.raises(MarketError, match="did you mean .frozen"):
        market_settings("frozem")


# --- a quoted mechanism ---------------------------------------------------------------------------


def next_quote(quote: Any, ordered: Any, quantity: Any, rate: Any) -> Any:
    """π ← π (Σ o/S)^λ."""
    return quote * (ordered / quantity) ** rate


def next_order(order: Any, bid: Any, quote: Any, bidding: Any) -> Any:
    """o ← o √(bid/π), once a bid has been made."""
    return np.where(bidding, order * np.sqrt(bid / quote), order)


def ration(orders: Any, ordered: Any, quantity: Any) -> Any:
    """o/max(Σ o, S)."""
    return orders / np.maximum(ordered, quantity)


@dataclasses.dataclass(frozen=True)
class PowerSettings(QuotedSettings):
    mechanism: str = choice("power", ("power",))
    bid_rate: float = number(1.0, above=0.0, high=1.0)
    power: float = number(0.05, above=0.0, high=1.0, help="λ: the elasticity of a quote")


class Power(QuotedMarket):
    """Quotes follow a power of orders over supply; unsold goods are lost."""

    Settings = PowerSettings
    settings: PowerSettings
    rates = ("bid_rate", "power")
    stabilizing_hint = "lower market.power"

    @staticmethod
    def array_engine():
        return PowerArrayEngine

    @staticmethod
    def final_market():
        return PowerFinalMarket

    def form_price(self):
        if not self.priced:
            self.orders = self.shares * self.quantity
        super().form_price()

    def follow(self):
        return next_quote(self.quotes, self.ordered(), self.quantity, self.settings.power)

    def reallocate(self):
        for k, pool in enumerate(self.pools):
            self.orders[pool] = next_order(
                self.orders[pool], self.bids[pool], self.quotes[k], self.bidding[pool]
            )
            self.shares[pool] = ration(self.orders[pool], self.orders[pool].sum(), self.quantity)


class PowerFinalMarket(QuotedFinalMarket):
    settings: PowerSettings

    def follow(self, demanded):
        return next_quote(self.price, demanded, self.quantity, self.settings.power)


class PowerArrayEngine(QuotedArrayEngine):
    def _start(self):
        super()._start()
        self.orders[:] = self.shares * self.quantities[:, self.economy.buyers.good]

    def _follow(self, quotes, ordered, k):
        return next_quote(quotes, ordered, self.quantities[:, k], self.settings.power)

    def _reallocate(self):
        quotes = self.pools.spread(self.quotes)
        self.orders = next_order(self.orders, self.bids, quotes, self._bid_made())
        ordered = self.pools.spread(self.pools.total(self.orders))
        on_sale = self.quantities[:, self.economy.buyers.good]
        self.shares[:] = ration(self.orders, ordered, on_sale)


def copied():
    """A raw good that is split, one that is copied, and consumers of both kinds."""
    return from_text(
        "a = x**0.5 * v**0.3\ny = 2*a**0.4 * x**0.3\nz = a**0.5 * v**0.2",
        {"x": {"quantity": 4.0, "price": 0.3, "elasticity": 1.0}, "v": {"quantity": 2.0}},
        {"y": {"price": 2.0, "elasticity": 1.5}, "z": 3.0},
        reuse_of={"v": "copy"},
        population={"firms": 2},
    )


def test_a_quoted_mechanism_has_two_engines_that_agree(monkeypatch):
    """To 1e-12 over 40 steps; prices and shares move, and a copied good has two quotes."""
    monkeypatch.setitem(MECHANISMS, "power", Power)
    slow, fast = (
        run(copied(), mechanism="power", engine=engine, steps=40, power=0.1, start_price=0.4)
        for engine in ENGINES
    )
    for name in ("quantities", "prices", "inputs", "shares", "bids"):
        one, other = getattr(slow.trajectory, name), getattr(fast.trajectory, name)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13, err_msg=name)
        assert np.ptp(one[5:], axis=0).max() > 1e-3
    a = slow.goods.index("a")
    assert slow.prices[0, a] == 0.4
    assert slow.steps == 40


@pytest.mark.parametrize("engine", ENGINES)
def test_a_quoted_mechanism_by_hand(engine, monkeypatch):
    """y = √x and z = x from x = 4, λ = 1/2: step 1 and 2 of the quote of x.

    Step 0: 2 and 2 of x are orders. Step 1: the quote stays, for Σ o = S; values are
    p/(2 √2) = 2/(2 √2) for y and 1 for z, so that the orders of step 2 are 2 (1/√2)^(1/2) and 2.
    """
    monkeypatch.setitem(MECHANISMS, "power", Power)
    economy = from_text("y = sqrt(x)\nz = x", {"x": {"quantity": 4.0, "price": 1.0}}, {"y": 2.0})
    result = run(economy, mechanism="power", engine=engine, power=0.5, steps=2)
    orders = np.array([2.0 * 2.0**-0.25, 2.0])
    assert result.prices[:, 0] == pytest.approx([1, 1, (orders.sum() / 4) ** 0.5], rel=1e-14)
    shares = orders / 4.0  # less than there is: no rationing
    assert result.trajectory.shares[2] == pytest.approx(shares, rel=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_quoted_mechanism_inherits_checks_and_messages(engine, monkeypatch):
    monkeypatch.setitem(MECHANISMS, "power", Power)
    with pytest.raises(MarketError, match="is 'sequential' with mechanism \"power\""):
        run(copied(), mechanism="power", engine=engine, activation="sequential")
    negative = from_text("a = ln(x)\ny = exp(a)", {"x": 0.5})
    with pytest.raises(MarketError, match="the good 'a' cannot be ordered: there are -0.69"):
        run(negative, mechanism="power", engine=engine)


# --- keys of settings and their mechanisms --------------------------------------------------------

FOREIGN = [
    (name, key)
    for name in MECHANISMS
    for key in sorted({key for other in MECHANISMS for key in keys_of(other)} - set(keys_of(name)))
]


@pytest.mark.parametrize(("mechanism", "key"), FOREIGN)
def test_a_key_of_another_mechanism_is_refused_by_name(mechanism, key):
    owner, *others = [other for other in MECHANISMS if key in keys_of(other)]
    owners = " and ".join(f'"{each}"' for each in (owner, *others))
    with pytest.raises(MarketError) as caught:
        market_settings(mechanism, **{key: 0.5})
    assert str(caught.value) == (
        f"'market.{key}' is a key of mechanism {owners}, and the mechanism is \"{mechanism}\"; "
        f"leave it out, or write it under [mechanisms.{owner}]"
    )


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_mechanism_takes_its_own_keys(mechanism):
    settings = market_settings(mechanism)
    own = {key: getattr(settings, key) for key in keys_of(mechanism)}
    assert market_settings(**own) == settings
    assert settings.rules is MECHANISMS[mechanism]
    with pytest.raises(MarketError, match="unknown key 'market.rate_of_nothing'"):
        market_settings(mechanism, rate_of_nothing=1)


def test_a_new_mechanism_is_named_as_the_owner_of_its_keys(monkeypatch):
    monkeypatch.setitem(MECHANISMS, "power", Power)
    with pytest.raises(MarketError, match="'market.power' is a key of mechanism \"power\""):
        market_settings("unit-bid", power=0.5)
    assert market_settings("power", power=0.5).select_runs(lambda array: array).power == 0.5


FILE = """
[economy]
program = "y = x ** 0.5"

[supply]
x = 4

[market]
mechanism = "unit-bid"
bid_rate = 0.3
share_rate = 0.2
lag = 1

[mechanisms.posted-price]
price_rate = 0.07

[mechanisms.tatonnement]
auction_rate = 0.01
lag = 0
"""


def under(mechanism: str) -> dict[str, Any]:
    """What the file's settings must be: own keys dropped, shared ones kept, [mechanisms] set."""
    shared: dict[str, Any] = {"bid_rate": 0.3, "lag": 1}
    named = {
        "unit-bid": {"share_rate": 0.2},
        "posted-price": {"price_rate": 0.07},
        "tatonnement": {"auction_rate": 0.01, "lag": 0},
    }
    settings = {**shared, **named.get(mechanism, {})}
    return {key: value for key, value in settings.items() if key in keys_of(mechanism)}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_change_of_mechanism_keeps_shared_keys_and_sets_those_of_its_table(mechanism):
    """By ``with_mechanism``, by an override, and by an override of an experiment read before."""
    expected = market_settings(mechanism, **under(mechanism))
    experiment = Experiment.parse(FILE)
    assert experiment.with_mechanism(mechanism).market == expected
    assert experiment.with_mechanism(mechanism).configuration["market"]["mechanism"] == mechanism
    assert Experiment.parse(FILE, settings={"market.mechanism": mechanism}).market == expected
    assert experiment.with_overrides({"market.mechanism": mechanism}).market == expected
    assert experiment.with_mechanism(default_mechanism()).market == experiment.market


def test_overrides_come_after_the_change_of_mechanism():
    """An override of a key that the new mechanism lacks is dropped if earlier, else refused."""
    chosen = {"market.mechanism": "posted-price", "market.price_rate": 0.5, "market.bid_rate": 0.9}
    expected = market_settings("posted-price", price_rate=0.5, bid_rate=0.9, lag=1)
    assert Experiment.parse(FILE, settings=chosen).market == expected
    earlier = Experiment.parse(FILE, settings={"market.share_rate": 0.4, "market.bid_rate": 0.9})
    assert earlier.market.share_rate == 0.4
    assert earlier.with_overrides(chosen).market == expected
    with pytest.raises(MarketError, match='market.share_rate\' is a key of mechanism "unit-bid"'):
        Experiment.parse(FILE, settings={**chosen, "market.share_rate": 0.4})


def test_a_mechanisms_table_may_have_its_own_keys_only():
    text = FILE.replace("price_rate = 0.07", "auction_rate = 0.07")
    with pytest.raises(MarketError, match='auction_rate\' is a key of mechanism "tatonnement"'):
        Experiment.parse(text)
    with pytest.raises(MarketError, match=r"there is no mechanism 'posted'"):
        Experiment.parse(FILE.replace("mechanisms.posted-price", "mechanisms.posted"))


def test_the_command_line_changes_the_mechanism(tmp_path):
    """``--set market.mechanism=`` drops ``share_rate`` and refuses it if it is set, too."""
    path = tmp_path / "file.toml"
    path.write_text(FILE)
    out = str(tmp_path / "results")
    command = ["run", str(path), "--json", "--set", "run.steps=3", "--out", out]
    done = CliRunner().invoke(main, [*command, "--set", "market.mechanism=posted-price"])
    market = json.loads(done.stdout)["configuration"]["market"]
    assert market == dataclasses.asdict(market_settings("posted-price", **under("posted-price")))
    refused = CliRunner().invoke(
        main, [*command, "--set", "market.mechanism=posted-price", "--set", "market.share_rate=1"]
    )
    assert refused.exit_code != 0
    assert "'market.share_rate' is a key of mechanism \"unit-bid\"" in refused.output
