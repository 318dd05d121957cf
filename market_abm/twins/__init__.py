"""The optimiser that each mechanism is, written from its formula alone."""
