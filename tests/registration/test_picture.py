"""The residual picture: arrows point where residuals do, blunders stand out, and it says what it shows."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from processing.geometry.refine import GroundControlPoint, Refined, refine_from_gcps
from processing.registration.picture import residual_picture
from processing.testing.small_scenes import tilted_rpc

SHAPE = (4000, 3000)
BLUE, RED = (20, 92, 158), (208, 58, 35)


def _drawn(count: int, blunder: bool) -> np.ndarray:  # type: ignore[type-arg]
    model = tilted_rpc(SHAPE, gsd_m=4.0)
    random = np.random.default_rng(2)
    line, sample = random.uniform(200, 3800, count), random.uniform(200, 2800, count)
    lon, lat = model.image_to_ground(line, sample, np.full(count, 1500.0))
    points = [
        GroundControlPoint(lon=a, lat=b, height=1500.0, line=c + random.normal(0, 0.2), sample=d)
        for a, b, c, d in zip(lon, lat, line, sample, strict=True)
    ]
    if blunder:
        points[0] = replace(points[0], line=points[0].line + 200.0)
    _, report = refine_from_gcps(Refined(model=model), points, kind="shift", shape=SHAPE)
    content = residual_picture(
        report, SHAPE, name="a name far longer than any header of a picture could hold", pixel_m=4
    )
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def _count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:  # type: ignore[type-arg]
    # The legend has one dot of each colour; the frame begins under the header.
    return int((picture[:-72] == colour).all(axis=2).sum())


@pytest.mark.parametrize("count", [1, 30])
def test_every_point_is_drawn_and_no_blunder_where_none_is(count: int) -> None:
    picture = _drawn(count, blunder=False)
    assert picture.shape[0] > 500
    assert _count(picture, BLUE) >= 15 * count
    assert _count(picture, RED) == 0


def test_a_blunder_is_red_and_stays_in_the_picture() -> None:
    picture = _drawn(30, blunder=True)
    red = _count(picture, RED)
    assert 100 < red < 2500
