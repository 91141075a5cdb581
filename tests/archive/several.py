"""Several observations of the same ground in an archive, and what a composite of them must be, pixel by pixel."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from processing.archive.write import publish_product
from processing.model.product import Product
from processing.model.qa import Qa
from tests.archive import synthetic

FIRST = datetime(2026, 6, 1, 5, 20, 11, tzinfo=UTC)
EAST, NORTH, PIXEL = 650_000.0, 4_800_000.0, 4.0
BANDS = ("red", "nir")
HIDDEN = Qa.NODATA | Qa.SATURATED | Qa.NO_TERRAIN | Qa.OUT_OF_RANGE | Qa.CLOUD | Qa.SHADOW | Qa.OCCLUDED


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One scene: numbers as stored ``(band, y, x)``, 0 for nodata, its flags, and where and when it was taken."""

    number: int
    stored: np.ndarray
    flags: np.ndarray
    row: int
    column: int
    """Of its first pixel, counted from the common corner."""
    zenith: float
    ce90_m: float | None = 8.0
    days: int | None = None
    """After the first; None: as many as its number."""

    @property
    def item(self) -> str:
        return f"KZ1_20260601T05201{self.number}_{self.number:08x}_L1C"

    @property
    def acquired(self) -> datetime:
        return FIRST + timedelta(days=self.number if self.days is None else self.days)

    def publish(self, home: Path, **changes: object) -> Product:
        """Archive it as a product of two bands."""
        box = synthetic.geobox(
            self.stored.shape[1:], PIXEL, origin=(EAST + PIXEL * self.column, NORTH - PIXEL * self.row)
        )
        values = np.where(self.stored == 0, np.nan, self.stored * 1e-4 - 0.1).astype(np.float32)
        draft = synthetic.draft(
            BANDS,
            item=self.item,
            package=f"{self.number:02x}",
            acquired=self.acquired,
            visual=("red",),
            angles={"view_zenith_deg": self.zenith},
            accuracy={} if self.ce90_m is None else {"ce90_m": self.ce90_m},
            **changes,
        )
        return publish_product(home, draft, [synthetic.image(values, box, BANDS, qa=self.flags)])


def observations(count: int = 4, shape: tuple[int, int] = (60, 80)) -> list[Observation]:
    """Scenes that overlap in part, with clouds, shadows, edges without values, and what nobody tested."""
    found = []
    for number in range(count):
        chance = np.random.default_rng(number)
        stored = chance.integers(1100, 1110, (2, *shape)).astype(np.uint16)  # few values: ties are many
        stored[:, : 3 + number, :] = 0
        kinds = np.array([0, 0, 0, Qa.CLOUD, Qa.SHADOW, Qa.SNOW, Qa.TERRAIN_SHADOW, Qa.SATURATED, Qa.WATER])
        coarse = chance.integers(0, len(kinds), (shape[0] // 5 + 1, shape[1] // 5 + 1))
        flags = kinds[np.kron(coarse, np.ones((5, 5), int))[: shape[0], : shape[1]]].astype(np.uint16)
        if number % 2:
            flags |= np.uint16(Qa.CLOUD_NOT_TESTED)
        flags[(stored == 0).any(axis=0)] |= np.uint16(Qa.NODATA)
        found.append(
            Observation(
                number=number, stored=stored, flags=flags, row=7 * number, column=11 * ((number * 3) % count),
                zenith=float((number * 7) % 20),
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class Truth:
    """What must come out on a grid counted from the common corner."""

    stored: np.ndarray
    count: np.ndarray
    day: np.ndarray
    flags: np.ndarray


def truth(
    seen: list[Observation], method: str, area: BaseGeometry, *, minimum: int = 1, window: tuple[slice, slice]
) -> Truth:
    """A composite the plain way: pixel after pixel, in Python's numbers."""
    shape = tuple(part.stop - part.start for part in window)
    stored, day = np.zeros((2, *shape), np.uint16), np.zeros(shape, np.uint16)
    count, flags = np.zeros(shape, np.uint16), np.full(shape, int(Qa.NODATA), np.uint16)
    within = _within(area, window)
    for y, x in np.ndindex(shape):
        row, column = y + window[0].start, x + window[1].start
        clear = [one for one in seen if within[y, x] and _flags_at(one, row, column) & HIDDEN == 0]
        if len(clear) < minimum or not clear:
            continue
        count[y, x] = len(clear)
        if method == "median":
            for band in range(2):
                numbers = sorted(int(one.stored[band, row - one.row, column - one.column]) for one in clear)
                middle = Fraction(numbers[(len(numbers) - 1) // 2] + numbers[len(numbers) // 2], 2)
                stored[band, y, x] = round(middle)
            flags[y, x] = np.bitwise_or.reduce([_flags_at(one, row, column) for one in clear])
            continue
        best = min(clear, key=lambda one: _rank(one, method, _flags_at(one, row, column)))
        stored[:, y, x] = best.stored[:, row - best.row, column - best.column]
        flags[y, x] = _flags_at(best, row, column)
        day[y, x] = (best.acquired.date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days
    return Truth(stored, count, day, flags)


def _rank(one: Observation, method: str, flags: int) -> tuple[float, ...]:
    late = -one.acquired.timestamp()
    if method == "latest":
        return (late, one.number)
    doubts = [flags & bit != 0 for bit in (Qa.CLOUD_NOT_TESTED, Qa.SHADOW_NOT_TESTED, Qa.TERRAIN_SHADOW, Qa.SNOW)]
    return (*doubts, one.zenith, late, one.number)


def _flags_at(one: Observation, row: int, column: int) -> int:
    y, x = row - one.row, column - one.column
    inside = 0 <= y < one.flags.shape[0] and 0 <= x < one.flags.shape[1]
    return int(one.flags[y, x]) if inside else int(Qa.NODATA)


def _within(area: BaseGeometry, window: tuple[slice, slice]) -> np.ndarray:
    """Pixels whose centre, carried to degrees, lies in the area."""
    rows, columns = (np.arange(part.start, part.stop) for part in window)
    east, north = np.meshgrid(EAST + PIXEL * (columns + 0.5), NORTH - PIXEL * (rows + 0.5))
    lon, lat = Transformer.from_crs("EPSG:32643", "OGC:CRS84", always_xy=True).transform(east, north)
    return shapely.contains_xy(area, lon, lat)


def lonlat(row: float, column: float) -> tuple[float, float]:
    """Degrees of a pixel's corner."""
    mover = Transformer.from_crs("EPSG:32643", "OGC:CRS84", always_xy=True)
    return mover.transform(EAST + PIXEL * column, NORTH - PIXEL * row)
