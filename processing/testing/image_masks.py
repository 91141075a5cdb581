"""Cloud and snow outlines in the image, as an operator's own classification would deliver them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.features import shapes

from processing.testing.camera import Pushbroom
from processing.testing.exposure import Polygon
from processing.testing.materials import Cover
from processing.testing.relief import Posts
from processing.testing.render import classify
from processing.testing.world import World

_NETS = 250
"""Places per axis that are classified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMasks:
    """Rings of (sample, line), corner-zero convention; holes are left out, as in deliveries."""

    clouds: tuple[Polygon, ...]
    snow: tuple[Polygon, ...]
    cloud_percent: float


def mask_polygons(world: World, posts: Posts, camera: Pushbroom) -> ImageMasks:
    """Outlines of what the true camera sees, on a net of at most 250 x 250 places."""
    lines, samples = camera.shape
    stride = max(-(-lines // _NETS), 1)
    cover = classify(world, posts, camera.state, camera.shape, stride)
    return ImageMasks(
        clouds=_outlines(cover == Cover.CLOUD, stride, (lines, samples)),
        snow=_outlines(cover == Cover.SNOW, stride, (lines, samples)),
        cloud_percent=100.0 * float(np.mean(cover == Cover.CLOUD)),
    )


def _outlines(mask: npt.NDArray[np.bool_], stride: int, shape: tuple[int, int]) -> tuple[Polygon, ...]:
    found = shapes(mask.astype(np.uint8), mask=mask, transform=Affine.scale(stride))
    return tuple(
        tuple((min(x, float(shape[1])), min(y, float(shape[0]))) for x, y in feature["coordinates"][0][:-1])
        for feature, _ in found
    )
