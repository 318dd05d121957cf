"""Published models to compare with, written from their equations."""
