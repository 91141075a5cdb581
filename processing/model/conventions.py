"""Conventions that writer and reader must share."""

REFLECTANCE_SCALE = 1e-4
REFLECTANCE_OFFSET = -0.1
"""Stored uint16 value s means reflectance s * scale + offset; 0 is nodata, so the lowest value is -0.0999."""
REFLECTANCE_NODATA = 0

SHARD_PX = 2500
CHUNK_PX = 500
"""A shard of 2,500 pixels divides 100 km at 1, 2, 2.5, 4, 5, 8, 10 and 20 m (the lattice of the archive)."""
