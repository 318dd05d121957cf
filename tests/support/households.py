"""Random economies with households, and what they demand in closed form."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from market_abm import Economy, from_text
from market_abm.market.state import State


class Exchange(NamedTuple):
    """Households with CES utilities who exchange what they own; arrays (households, goods)."""

    elasticity: np.ndarray
    weights: np.ndarray
    endowments: np.ndarray

    @staticmethod
    def random(rng: np.random.Generator, households: int, goods: int) -> "Exchange":
        return Exchange(
            elasticity=rng.uniform(0.3, 2.0, households),
            weights=rng.dirichlet(np.ones(goods), households) * 0.9 + 0.1 / goods,
            endowments=rng.uniform(0.05, 2.0, (households, goods)),
        )

    @property
    def economy(self) -> Economy:
        """The economy, with numbers as parameters, so that several run side by side."""
        households, goods = self.weights.shape
        parameters = {f"s{h}": float(self.elasticity[h]) for h in range(households)}
        parameters |= {
            f"w{h}_{j}": float(self.weights[h, j]) for h in range(households) for j in range(goods)
        }
        read = ", ".join(f"x{j}" for j in range(goods))
        return from_text(
            "",
            parameters=parameters,
            households={
                f"h{h}": {
                    "utility": f"ces({read}, elasticity=s{h}, "
                    f"weights=({', '.join(f'w{h}_{j}' for j in range(goods))}))",
                    "endowment": {f"x{j}": float(self.endowments[h, j]) for j in range(goods)},
                }
                for h in range(households)
            },
        )

    def demand(self, prices: np.ndarray) -> np.ndarray:
        """I w^σ p^-σ / Σ w^σ p^(1-σ), units, (households, goods)."""
        sigma = self.elasticity[:, None]
        income = self.endowments @ prices
        parts = self.weights**sigma * prices ** (1 - sigma)
        return (income / parts.sum(axis=1))[:, None] * parts / prices

    def excess(self, prices: np.ndarray) -> np.ndarray:
        """Demand less supply, relative to supply, (goods,)."""
        owned = self.endowments.sum(axis=0)
        return (self.demand(prices).sum(axis=0) - owned) / owned


def random_economy(rng: np.random.Generator, *, loop: bool = False) -> Economy:
    """Lines of constant and decreasing returns, several firms, endowments of made goods, owners."""
    known = ["labour", "land"]
    lines, population, read = [], {}, {"land"}
    made = [f"y{k}" for k in range(rng.integers(1, 5))]
    for k, good in enumerate(made):
        some = list(rng.choice(known, size=min(len(known), 2), replace=False))
        if loop and k == 0 and len(made) > 1:
            some[1] = made[-1]
        read |= set(some)
        power = rng.choice([1.0, rng.uniform(0.5, 0.95)])
        shares = rng.dirichlet([2.0, 2.0]) * (0.7 if loop and k == 0 else 1.0)
        if rng.uniform() < 0.5:
            body = f"cobb_douglas({some[0]}, {some[1]}, exponents=({shares[0]}, {shares[1]}))"
        else:
            weights = shares / shares.sum()
            body = (
                f"ces({some[0]}, {some[1]}, elasticity={rng.uniform(0.4, 1.8)}, "
                f"weights=({weights[0]}, {1 - weights[0]}))"
            )
        if loop and k == 0:
            body = f"cobb_douglas({some[0]}, {some[1]}, exponents=({shares[0]}, {shares[1]}))"
        lines.append(f"{good} = {body} ** {power}")
        known.append(good)
        population[good] = {
            "firms": int(rng.integers(1, 4)),
            "weight_spread": 0.3,
            "productivity_spread": 0.2,
        }
    names = [f"h{k}" for k in range(rng.integers(1, 5))]
    owns = _owners(rng, names, made)
    transfers = rng.normal(0.0, 0.02, len(names))
    transfers -= transfers.mean()
    households = {}
    for k, name in enumerate(names):
        wanted = [g for g in known if g in made or rng.uniform() < 0.4]
        wanted += [] if "land" in wanted else ["land"]
        read |= set(wanted)
        sigma = rng.uniform(0.4, 1.8)
        utility = f"ces({', '.join(wanted)}, elasticity={sigma})"
        if rng.uniform() < 0.3:
            utility = f"{utility} + {rng.uniform(0.1, 1)} * ln(1 + {made[0]})"
        households[name] = {
            "utility": utility,
            "endowment": {"land": rng.uniform(0.1, 1), "labour": rng.uniform(0.5, 2)}
            | ({made[0]: rng.uniform(0.05, 0.3)} if rng.uniform() < 0.3 else {}),
            "money": rng.uniform(0.5, 2),
            "transfer": transfers[k],
            **({} if owns is None else {"owns": owns[k]}),
        }
    for own in households.values():
        if "labour" not in read:
            del own["endowment"]["labour"]
    return from_text(
        "\n".join(lines),
        households=households,
        population={"bid_noise": float(rng.choice([0.0, 0.1]))},
        population_of=population,
        reuse=str(rng.choice(["rival", "copy"], p=[0.8, 0.2])),
        seed=int(rng.integers(1, 1000)),
    )


def _owners(rng: np.random.Generator, names: list, made: list):
    """Equal parts (None), one share of all lines, or shares of each line."""
    kind = rng.integers(3)
    if kind == 0:
        return None
    if kind == 1:
        return list(rng.dirichlet(np.ones(len(names))))
    shares = rng.dirichlet(np.ones(len(names)), len(made))
    return [
        {good: float(share) for good, share in zip(made, shares[:, k], strict=True)}
        for k in range(len(names))
    ]


def earned(economy: Economy, last: State, bids: np.ndarray) -> np.ndarray:
    """The income of each household by plain sums: at the prices of ``last``, and firms' ``bids``.

    Shape (households,).
    """
    price = dict(zip(economy.goods, last.prices, strict=True))
    units = dict(zip(economy.goods, last.quantities, strict=True))
    count = len(economy.households)
    incomes = []
    for own in economy.households.values():
        income = own.transfer + sum(q * price[g] for g, q in own.endowment.items())
        for industry in economy.industries:
            good = industry.good
            if industry.household:
                continue
            endowed = sum(o.endowment.get(good, 0.0) for o in economy.households.values())
            cost = sum(bids[use].sum() for use in economy.buyers.uses[good])
            share = 1 / count if own.owns is None else own.owns
            share = share.get(good, 0.0) if isinstance(share, dict) else share
            income += share * (price[good] * (units[good] - endowed) - cost)
        incomes.append(income)
    return np.array(incomes)


def spent(economy: Economy, bids: np.ndarray) -> np.ndarray:
    """What each household pledges, money, (households,)."""
    uses = economy.buyers.uses
    return np.array([sum(bids[use].sum() for use in uses[name]) for name in economy.households])


def exchange(
    utilities: Mapping[str, str],
    endowments: Mapping[str, Mapping[str, float]],
    prices: Mapping[str, float] | None = None,
    parameters: Mapping[str, float] | None = None,
) -> Economy:
    """Households that own goods and want goods, without firms; first ``prices`` are 1 by default.

    ``utilities`` and ``endowments`` are by household.
    """
    households = {
        name: {"utility": text, "endowment": dict(endowments[name])}
        for name, text in utilities.items()
    }
    supply = {good: {"price": float(price)} for good, price in (prices or {}).items()}
    return from_text("", supply, households=households, parameters=parameters)


def scarf(sigma: float, prices: Mapping[str, float] | None = None) -> Economy:
    """Scarf (1960): household i owns a unit of good i and wants i and i + 1; ``min`` at σ = 0."""
    pairs = {"first": "x, y", "second": "y, z", "third": "z, x"}
    form = "ces({}, elasticity=sigma)" if sigma else "min({})"
    return exchange(
        {name: form.format(pair) for name, pair in pairs.items()},
        {name: {pair[0]: 1.0} for name, pair in pairs.items()},
        prices,
        {"sigma": sigma} if sigma else {},
    )


LINES = """
bread = ces(labour, land, elasticity=0.6, weights=(0.7, 0.3)) ** 0.8
cloth = labour ** 0.6 * bread ** 0.2
wine  = ln(1 + land) + sqrt(labour)
"""


def village(seed: int) -> Economy:
    """Three unlike households who own factors, wine and firms, work, and want leisure; random."""
    rng = np.random.default_rng(seed)
    wants = {
        "worker": "ces(bread, cloth, labour, elasticity=sigma)",
        "owner": "cobb_douglas(bread, wine, exponents=(0.5, 1.5))",
        "monk": "wine + taste*ln(1 + cloth) + ln(1 + bread)",
    }
    parts, transfers = rng.dirichlet([1.0, 1.0, 1.0]), (-0.1, 0.3, -0.2)
    households: dict[str, Any] = {}
    for k, (name, text) in enumerate(wants.items()):
        households[name] = {
            "utility": text,
            "endowment": {"labour": rng.uniform(1, 5), "land": rng.uniform(0.5, 3)},
            "owns": {"bread": parts[k], "wine": float(k == 0), "cloth": 1.0 / 3.0},
            "transfer": transfers[k],
        }
    households["owner"]["endowment"]["wine"] = rng.uniform(0.1, 1.0)
    return from_text(
        LINES,
        supply={"labour": {"price": float(rng.uniform(0.5, 2))}, "land": {"price": 0.7}},
        households=households,
        parameters={"sigma": rng.uniform(0.3, 2), "taste": rng.uniform(0.5, 3)},
    )
