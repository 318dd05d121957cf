"""Foresight: the devices of ``[market.foresight]`` against staleness."""

from __future__ import annotations

import pytest

from market_abm.errors import SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.market.mechanisms.registry import market_settings
from market_abm.studies.points import Points
from market_abm.views.words.settings import setting_label

# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mechanism", "given", "wanted"),
    [
        ("trading-post", {"momentum": 0.5}, 'is a key of mechanism "unit-bid"'),
        ("unit-bid", {"pipeline": 0.5}, "set the elasticity of substitution"),
        ("unit-bid", {"momentun": 0.5}, "did you mean 'market.foresight.momentum'?"),
        ("unit-bid", {"momentum": -1.5}, "must be ≥ -1 and ≤ 1"),
        ("unit-bid", 0.5, "make it a table: [market.foresight]"),
    ],
)
def test_what_is_refused(mechanism: str, given: object, wanted: str) -> None:
    with pytest.raises(SettingError) as caught:
        market_settings(mechanism, foresight=given)
    assert wanted in str(caught.value)


def test_a_key_of_the_table_is_set_in_files_and_sweeps_and_runs_side_by_side() -> None:
    base = Experiment.load("split-elasticity", {"market.foresight.trend": 0.25})
    values = [{"market.foresight.momentum": each, "market.share_rate": 0.1} for each in (0.5, -0.5)]
    points = [Points(base).experiment(each).market for each in values]
    assert points == [base.with_overrides(each).market for each in values]
    assert [(each.foresight.trend, each.foresight.momentum) for each in points] == [
        (0.25, 0.5),
        (0.25, -0.5),
    ]
    together = type(points[0]).vectorized(points)
    assert together.foresight.momentum.tolist() == [[0.5], [-0.5]]
    second = together.select_runs(lambda array: array[1:])
    assert second.foresight.momentum.tolist() == [[-0.5]]
    assert not hasattr(base.with_mechanism("trading-post").market, "foresight")
    assert setting_label("market.foresight.momentum") == "momentum μ"
