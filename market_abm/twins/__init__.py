"""The optimiser that each mechanism is, from its formula alone."""
