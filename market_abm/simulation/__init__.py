"""The simulation loop, how runs end, and what is recorded."""
