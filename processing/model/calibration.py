"""Figures that turn counts into physical values, as the fused stage takes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``value = (dn * gain + offset) / illumination``, a gain and an offset for each band.

    Linear in the counts, with an illumination that is smooth over the scene: values made from resampled counts are
    those resampled from values. Tuples only: the same Dask token in every process.
    """

    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    illumination: tuple[tuple[float, ...], ...] = ((1.0,),)
    """Nodes from the scene's first corner to its last, lines first, bilinear between. One node: the same everywhere."""
    nodata: int | None = None
    """Count that stands for no value."""
    saturated: int | None = None
    """Counts from here on are saturated."""
