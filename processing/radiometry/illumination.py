"""How high the sun stands over each pixel of a scene in sensor geometry."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.radiometry.sun import sun_direction

Array = npt.NDArray[np.float64]

NODES = 17
"""Nodes a side of the lattice. Over 80 km the sun moves by 0.7 degrees; a cell of 5 km is linear to 1e-7 in cosine."""
DISAGREEMENT_DEG = 0.5
"""More than this between the delivery's sun and the computed one means a wrong time, place or sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SunLattice:
    """Cosine of the sun's zenith angle at lattice nodes over a whole scene.

    Anchored to the scene's corners, not to any block of it, so that a pixel's value does not depend on how the scene
    is cut.
    """

    shape: tuple[int, int]
    """Lines and samples of the scene."""
    cosines: tuple[tuple[float, ...], ...]
    """Nodes from (0, 0) to the scene's far corner, lines first. One node: the same everywhere."""

    def cos_zenith(self, lines: tuple[int, int], samples: tuple[int, int]) -> Array:
        """Cosine at the pixel centres of a rectangle (ends excluded), bilinear between nodes."""
        nodes = np.array(self.cosines)
        down, row = _place(lines, self.shape[0], nodes.shape[0])
        right, col = _place(samples, self.shape[1], nodes.shape[1])
        last_row, last_col = np.array(nodes.shape) - 1
        along = nodes[row] * (1.0 - down)[:, None] + nodes[np.minimum(row + 1, last_row)] * down[:, None]
        return np.asarray(along[:, col] * (1.0 - right) + along[:, np.minimum(col + 1, last_col)] * right)


def _place(pixels: tuple[int, int], size: int, nodes: int) -> tuple[Array, npt.NDArray[np.intp]]:
    """Fraction beyond, and index of, the node before each pixel centre."""
    position = (np.arange(*pixels) + 0.5) / size * (nodes - 1)
    index = np.minimum(position.astype(np.intp), max(nodes - 2, 0))
    return position - index, index


def sun_lattice(scene: Scene, mean_height_m: float = 0.0) -> tuple[SunLattice, tuple[str, ...]]:
    """The sun over a scene, and what a reader must be told about it.

    Computed from time and place where the sensor model gives the place; else the delivery's scene-centre angle
    holds for all pixels.

    Parameters
    ----------
    scene
        With its acquisition time.
    mean_height_m
        Height of the ground above the ellipsoid; a kilometre of error moves the place, and so the sun, by 0.006
        degrees at most.

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
        return SunLattice(shape=scene.shape, cosines=((cosine,),)), (
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
    return SunLattice(shape=scene.shape, cosines=cosines), tuple(warnings)


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
