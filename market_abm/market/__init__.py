"""Agents who trade on local information; nothing here can see a gradient."""
