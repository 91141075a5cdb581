"""Colour tables for pictures of one-band products."""

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput

# Evenly spaced stops, lowest value first. rdylgn: the eleven-class diverging scheme of that name by Cynthia Brewer
# (ColorBrewer 2.0); grey for bands that are brightness.
_STOPS: dict[str, tuple[str, ...]] = {
    "grey": ("000000", "ffffff"),
    "rdylgn": (
        "a50026", "d73027", "f46d43", "fdae61", "fee08b", "ffffbf", "d9ef8b", "a6d96a", "66bd63", "1a9850", "006837",
    ),
}  # fmt: skip


def colour_table(name: str) -> npt.NDArray[np.uint8]:
    """256 colours of a palette.

    Parameters
    ----------
    name
        ``rdylgn`` or ``grey``.

    Returns
    -------
    array
        uint8 ``(256, 3)``: red, green, blue, from the lowest value to the highest; linear in sRGB between stops.

    Raises
    ------
    BadInput
        ``palette.unknown`` if there is no such palette.
    """
    if name not in _STOPS:
        raise BadInput(
            f"there is no palette '{name}'", kind="palette.unknown", remedy=f"Known: {', '.join(sorted(_STOPS))}."
        )
    stops = np.array([tuple(bytes.fromhex(stop)) for stop in _STOPS[name]], np.float64)
    places = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(places, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
