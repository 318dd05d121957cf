"""A published model for comparison: firms follow excess demand and profit, without any gradient.

The network economy out of equilibrium of T. Dessertaine, J. Moran, M. Benzaquen and J.-P. Bouchaud
(Journal of Economic Dynamics and Control 138:104362, 2022), written from its equations. Each of n
firms makes a good from labour (input 0, whose wage is the unit of money) and other firms' goods;
one household works and consumes. Prices and outputs adjust at given rates to two signals, profit
and surplus. Markets need not clear: unmet demand is rationed, and unsold goods are stored or spoil.
Near the steady state, the economy may or may not return to its competitive equilibrium.

``economy`` holds the economy and its equilibrium, ``step`` one step, ``plane`` runs and the phase
plane.

Where the equations leave a choice:

* Demand D is what was ordered, delivered or not; the household's orders count whether or not it
  can pay for them. A firm plans by the profit and demand of the last step as if all orders had been
  delivered. Its price follows what it did earn and spend.
* A Leontief firm uses what its scarcest input allows, and stores the rest of the others, which
  spoils like any stock. Other firms use all that they have, up to what they planned to use.
* The household's confidence is a factor on its fixed tastes; it does not accumulate.
* φ = 1: the disutility of labour is Γ (L/L₀)²/2.
* A firm may make losses forever: there is no credit limit and no bankruptcy.
* A run starts from the equilibrium with each price and each output off by its own factor, uniform
  in 1 ± the perturbation; savings, stocks and the last step's accounts are those of the
  equilibrium.

The first choice decides whether the economy can recover from a slump. If the household's orders are
first cut to what it can pay, or if firms plan by what they did earn, all firms together make no
profit (with f = 1 the household spends what it earns), and no cell of the plane returns to the
equilibrium. As it is here, prices keep pace with wages in a slump with unemployment
u = (Lₛ − L_d)/(Lₛ + L_d) when α x = ω u, with x the relative surplus; firms earn a profit of s u,
with s the household's share of their sales; and planned output rises if β s u > β′ x. So slumps end
(with f = 1, ω′ = 0 and perishable goods) only if

    ω < α s β/β′,

which is necessary, not sufficient: other modes, of firms against each other, have their own bounds.

The number of cells of a plane that converge depends on the network, above all on s (of 25, Leontief
4 to 5 and Cobb–Douglas 9 to 18 on average, for labour shares of 0.2 to 0.5) and on f (none with
f = 0.5, where a slump uses up the savings); by up to three cells on whether firms plan by orders or
by payments, at old prices or new, and on the size of the perturbation; hardly on ω′. In all these
variants in which any cell converges, Leontief converges least, on average over networks. (In a
permanent slump prices may be stationary; a rule of prices alone would count it as converged.)
"""
