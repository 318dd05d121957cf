"""Agents that trade on local information; nothing here can import a gradient."""
