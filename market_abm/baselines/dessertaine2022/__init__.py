"""The network economy of Dessertaine, Moran, Benzaquen and Bouchaud (2022)."""
