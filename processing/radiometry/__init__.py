"""Counts to radiance to reflectance."""
