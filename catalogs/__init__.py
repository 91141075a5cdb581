"""The catalogue: items, collections, and the stores that answer searches."""
