"""Who bears a small tax on a factor in one of two sectors: A. Harberger's formula.

Two sectors of constant returns, x and y, use labour and capital, of which there is a given quantity
of each; all that is earned, and the revenue, is spent by one pattern of demand (Journal of
Political Economy 70, 1962; in the notation of R. Jones, Journal of Political Economy 73, 1965).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TwoSectors:
    """Two sectors without taxes.

    Attributes
    ----------
    capital_cost
        The share of capital in the cost of x, and of y.
    labour, capital
        The part of all labour, and of all capital, that x uses.
    substitution
        The elasticity of substitution between labour and capital in x, and in y.
    demand
        That between x and y in demand.
    """

    capital_cost: tuple[float, float]
    labour: float
    capital: float
    substitution: tuple[float, float]
    demand: float

    def relative_return(self) -> float:
        """The slope d ln(r/w)/dτ at τ = 0 of a tax τ on the capital of x; r is net of it.

        With cost shares θ and parts λ of each factor, D = σ_D λ* θ* + a_x σ_x + a_y σ_y,

            d ln(r/w)/dτ = -(a_x σ_x - σ_D λ* θ_Kx)/D,

        where λ* = λ_Lx - λ_Kx, θ* = θ_Ky - θ_Kx, a_x = θ_Lx λ_Kx + θ_Kx λ_Lx, and a_y likewise. The
        first term is substitution away from capital in x, the second what x buys less of both.
        """
        of_x, of_y = self.capital_cost
        intensity, costs = self.labour - self.capital, of_y - of_x
        x = (1.0 - of_x) * self.capital + of_x * self.labour
        y = (1.0 - of_y) * (1.0 - self.capital) + of_y * (1.0 - self.labour)
        factors = x * self.substitution[0], y * self.substitution[1]
        total = self.demand * intensity * costs + sum(factors)
        return -(factors[0] - self.demand * intensity * of_x) / total
