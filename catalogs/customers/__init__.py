"""Customers: who they are, how they prove it, what they signed, what they used."""
