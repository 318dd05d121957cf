"""The market mechanisms, one file each; `registry.py` lists them."""
