"""Delivered packages and elevation models: the only way in for foreign bytes."""
