"""Exact results that need no market: the gradient by backprop, welfare, and its optimum."""
