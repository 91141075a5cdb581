"""The data policy of the house: who may have what, decided by one function."""
