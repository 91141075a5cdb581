"""Derived products: expressions over bands, pictures for people."""
