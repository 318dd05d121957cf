"""Published models of the same question, to compare the markets with. None is a market here."""
