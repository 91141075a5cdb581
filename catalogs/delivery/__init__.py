"""Delivery: orders, links, packages, subscriptions, and what is counted of them."""
