"""Flows, commands and everything that runs."""
