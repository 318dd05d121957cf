"""What is true without a market: gradients, welfare, equilibria, closed forms."""
