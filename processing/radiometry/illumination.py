"""How high the sun stands over each pixel of a scene in sensor geometry."""

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.radiometry.sun import sun_direction

Array = npt.NDArray[np.float64]
Lattice = tuple[tuple[float, ...], ...]

NODES = 17
"""Nodes a side of the lattice. Over 80 km the sun moves by 0.7 degrees; a cell of 5 km is linear to 1e-7 in cosine."""
DISAGREEMENT_DEG = 0.5
"""More than this between the delivery's sun and the computed one means a wrong time, place or sign."""


def sun_lattice(scene: Scene, mean_height_m: float = 0.0) -> tuple[Lattice, tuple[str, ...]]:
    """The sun over a scene, and what a reader must be told about it.

    Computed from time and place where the sensor model gives the place; else the delivery's scene-centre angle
    holds for all pixels. The lattice is anchored to the scene's corners, not to any block of it, so that a pixel's
    value does not depend on how the scene is cut.

    Parameters
    ----------
    scene
        With its acquisition time.
    mean_height_m
        Height of the ground above the ellipsoid; a kilometre of error moves the place, and so the sun, by 0.006
        degrees at most.

    Returns
    -------
    cosines
        Of the sun's zenith angle, at nodes from the scene's first corner to its last, lines first; one node: the same
        everywhere. As :attr:`processing.model.calibration.Calibration.illumination`.
    warnings
        What a reader must be told.

    Raises
    ------
    BadInput
        ``radiometry.night`` when the sun is not above the horizon; ``radiometry.no_sun`` when it cannot be known.
    """
    stated = scene.angles.sun_zenith_deg
    if stated is not None and not 0.0 <= stated < 90.0:
        raise BadInput(
            f"the delivery states a sun elevation of {90.0 - stated:.2f} degrees: there is no reflectance at night",
            kind="radiometry.night",
        )
    zenith = _zenith_nodes(scene, mean_height_m)
    if zenith is None:
        if stated is None:
            raise BadInput(
                "neither a sun angle nor a sensor model to compute it by: reflectance is undefined",
                kind="radiometry.no_sun",
                remedy="Ask for radiance, or give the delivery's sun angle.",
            )
        cosine = float(np.cos(np.radians(stated)))
        return ((cosine,),), (
            "the sun's angle at the scene's centre is used for all pixels: no sensor model gives their place",
        )
    if zenith.max() >= 90.0:
        raise BadInput(
            f"at {scene.acquired:%Y-%m-%dT%H:%M:%SZ} the sun stands {90.0 - zenith.max():.2f} degrees above a part of "
            "this scene: there is no reflectance at night",
            kind="radiometry.night",
            remedy="Check the acquisition time; if it is right, ask for radiance.",
        )
    warnings = []
    centre = float(zenith[NODES // 2, NODES // 2])
    if stated is not None and abs(centre - stated) > DISAGREEMENT_DEG:
        warnings.append(
            f"the delivery states a sun zenith of {stated:.2f} degrees, time and place give {centre:.2f}: the computed "
            "one is used"
        )
    cosines = tuple(tuple(row) for row in np.cos(np.radians(zenith)).tolist())
    return cosines, tuple(warnings)


def _zenith_nodes(scene: Scene, mean_height_m: float) -> Array | None:
    """Sun zenith angle, degrees, at the lattice's nodes; None without a model that maps them all."""
    if scene.model is None:
        return None
    line, sample = np.meshgrid(
        np.linspace(0.0, scene.shape[0], NODES), np.linspace(0.0, scene.shape[1], NODES), indexing="ij"
    )
    lon, lat = scene.model.image_to_ground(line, sample, mean_height_m)
    if not (np.isfinite(lon) & np.isfinite(lat)).all():
        return None
    zenith, _ = sun_direction(scene.acquired, lon, lat)
    return zenith
