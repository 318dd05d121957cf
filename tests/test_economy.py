"""The network: who buys from whom, and what does not fit together."""

import dataclasses

import numpy as np
import pytest

from market_abm import Economy, FirmPopulation, MarketError, from_text

DIAMOND = "left = 2*x\nright = x**0.5 + x\ny = left*right"


def test_goods_are_in_flow_order():
    economy = from_text("c = b + a\nb = a*z\na = x", {"x": 1, "z": 1})
    assert economy.goods == ("z", "x", "a", "b", "c")  # raw goods as they are first read
    assert economy.stages == {"x": 3, "z": 2, "a": 2, "b": 1, "c": 0}


def test_rival_uses_are_one_pool_that_starts_equal():
    economy = from_text(DIAMOND, {"x": 6}, population_of={"left": {"firms": 2}})
    buyers = economy.buyers
    x = buyers.slice_of(economy.index["x"])
    # Two uses of x (right reads it twice, and buys it once); the firms of left divide theirs.
    assert buyers.initial_shares[x].tolist() == [1 / 4, 1 / 4, 1 / 2]
    assert (buyers.pool[x] == 0).all()


def test_copied_uses_are_pools_of_their_own():
    economy = from_text(DIAMOND, {"x": 6}, reuse_of={"x": "copy"}, population={"firms": 2})
    buyers = economy.buyers
    x = buyers.slice_of(economy.index["x"])
    assert buyers.initial_shares[x].tolist() == [0.5] * 4
    assert buyers.pool[x].tolist() == [0, 0, 1, 1]
    sums = np.add.reduceat(buyers.initial_shares, buyers.starts)
    assert np.array_equal(sums, np.ones(len(sums)))


def test_loops_stand_together():
    economy = from_text("s = o*c\nc = s*l\nt = s**0.5", {"o": 1, "l": 1})
    groups = [[i.good for i in component] for component in economy.components]
    assert groups == [["s", "c"], ["t"]]
    assert [economy.is_loop(component) for component in economy.components] == [True, False]
    own = from_text("s = o + 0.5*s**0.5\nt = s", {"o": 1})
    assert own.is_loop(own.components[0])


def test_an_economy_cannot_be_changed():
    economy = from_text("y = x", {"x": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        economy.reuse = {}


def test_spreads_keep_what_the_line_makes_at_the_start():
    rng = np.random.default_rng(3)
    weights, productivity = FirmPopulation(
        firms=50, weight_spread=0.8, productivity=2.0, productivity_spread=0.4
    ).draw(rng)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert weights @ productivity == pytest.approx(2.0, rel=1e-14)
    assert np.std(np.log(weights)) == pytest.approx(0.8, rel=0.25)  # 50 draws: error ~ 10 %
    assert np.std(np.log(productivity)) == pytest.approx(0.4, rel=0.25)


def test_the_seed_draws_the_firms():
    def firms(seed):
        economy = from_text(
            "b = a\nc = b", {"a": 1}, population={"firms": 3, "weight_spread": 1.0}, seed=seed
        )
        return [industry.weights.tolist() for industry in economy.industries]

    assert firms(1) == firms(1) != firms(2)
    assert firms(1)[0] != firms(1)[1]


def test_listed_weights_and_productivities_are_taken():
    economy = from_text(
        "b = a",
        {"a": 1},
        population_of={"b": {"firms": 2, "weights": [0.25, 0.75], "productivity": [1, 2]}},
    )
    assert economy.industries[0].weights.tolist() == [0.25, 0.75]
    assert economy.industries[0].productivity.tolist() == [1, 2]


BAD = [
    ({"supply": {}}, "no line makes 'x' and it has no endowment"),
    ({"supply": {"x": 1, "z": 1}}, "supply.z: no line uses a good 'z'"),
    ({"supply": {"x": 1, "left": 1}}, "supply.left: 'left' is made by a line"),
    ({"supply": {"x": "much"}}, "supply.x.quantity is 'much'"),
    ({"supply": {"x": float("nan")}}, "supply.x.quantity is nan"),
    ({"supply": {"x": {}}}, "'supply.x.quantity' is missing"),
    ({"supply": {"x": {"quantity": 1, "prize": 2}}}, "unknown key 'supply.x.prize'"),
    ({"demand": {"left": 1}}, "demand.left: 'left' is used by another line"),
    ({"demand": {"z": 1}}, "no line makes a final good 'z'"),
    ({"demand": {"y": float("inf")}}, "demand.y.price is inf"),
    ({"reuse": "shared"}, "economy.reuse is 'shared'"),
    ({"reuse_of": {"x": "copie"}}, "did you mean 'copy'"),
    ({"reuse_of": {"z": "copy"}}, "reuse.z: the program has no such good"),
    ({"population": {"firms": 0}}, "industries.firms is 0"),
    ({"population": {"firms": 2.5}}, "industries.firms is 2.5"),
    ({"population": {"firms": True}}, "industries.firms is True"),
    ({"population": {"frims": 2}}, "did you mean 'industries.firms'"),
    ({"population": {"firms": 2, "weights": [0.5, 0.6]}}, "weights sum to 1.1"),
    ({"population": {"firms": 2, "weights": [1.0]}}, "lists 1 numbers for 2 firms"),
    ({"population": {"firms": 2, "weights": [1.5, -0.5]}}, r"weights\[1\] is -0.5"),
    ({"population": {"productivity": 0}}, "productivity is 0"),
    ({"population": {"bid_noise": -1}}, "bid_noise is -1"),
    ({"population_of": {"x": {"firms": 2}}}, "industries.x: the program has no such industry"),
    ({"population_of": {"y": {"firms": -2}}}, "industries.y.firms is -2"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[m[:40] for _, m in BAD])
def test_what_does_not_fit_is_told(change, message):
    with pytest.raises(MarketError, match=message) as caught:
        from_text(DIAMOND, **{"supply": {"x": 1}, **change})
    assert caught.value.remedy


def test_every_good_used_up_is_told():
    with pytest.raises(MarketError, match="no final good"):
        from_text("a = x + b\nb = a", {"x": 1})
    with pytest.raises(MarketError, match="no line"):
        from_text("# nothing", {})
    assert isinstance(from_text("y = 3", {}), Economy)
