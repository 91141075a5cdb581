"""The benchmark's scene: a large tilted pushbroom image with an RPC, and a rugged DEM, made in a minute and kept.

A folder of files, made once for its parameters:

``scene.tif``
    12-bit counts in uint16, pixel-interleaved tiles, no compression, nodata 0; texture with the spectrum of land seen
    through an optical system (equal contrast in every octave, fading towards the Nyquist frequency), and noise.
``coordinates.tif``
    Two bands of float32: each pixel's own column and row (0 = centre of the first pixel). What a tool reads back is
    where it looked.
``dem/dem.tif``
    One-arcsecond heights above the ellipsoid (EPSG:4326, no vertical CRS: every tool takes them as they are),
    640 to 4,223 m, a plain in the north and steep mountains in the south.
``scene.json``
    Parameters, grid, and what was measured of all this.

Both images carry the same RPC in TIFF tags and in ``_RPC.TXT``.
"""

import json
import shutil
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.testing.bench_camera import BenchCamera
from processing.testing.compiled import compiled, over_rows
from processing.testing.noise import bell, fractal_noise, ridged_noise, smooth_noise
from processing.testing.tiff import rpc_tag

Array = npt.NDArray[np.float64]
Heights = npt.NDArray[np.float32]

CRS = "EPSG:32643"
RESOLUTION_M = 6.5
HEIGHTS_M = (640.0, 4223.0)
_MAKER = 1
"""Goes into the folder's name: raise it when the same parameters give other files."""
_ROWS = 512
_TILE = 256
_POSTS_PER_DEGREE = 3600
_DEM_MARGIN_DEG = 0.02
_METRES_PER_DEGREE = 111_320.0
_COUNTS = np.array([[420.0, 55.0, 20.0], [610.0, 80.0, 35.0], [700.0, 110.0, 70.0], [1650.0, 210.0, -190.0]])
"""Mean, contrast of brightness, contrast of colour by band: blue, green, red, near infrared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchScene:
    """A benchmark scene on disk."""

    folder: Path
    size: int
    bands: int
    seed: int
    crs: str
    resolution_m: float
    bounds: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax of all that the image sees, on whole pixels."""
    facts: dict[str, Any]
    """What was measured when it was made: RPC fit, heights, slopes."""

    @property
    def image(self) -> Path:
        """The counts."""
        return self.folder / "scene.tif"

    @property
    def coordinates(self) -> Path:
        """The coordinate image."""
        return self.folder / "coordinates.tif"

    @property
    def dem(self) -> Path:
        """The DEM's file."""
        return self.folder / "dem" / "dem.tif"

    def window(self, pixels: int) -> tuple[float, float, float, float]:
        """Bounds of a square of output pixels in the middle."""
        left, bottom, right, top = self.bounds
        columns, rows = (round(length / self.resolution_m) for length in (right - left, top - bottom))
        x, y = (columns - pixels) // 2 * self.resolution_m + left, top - (rows - pixels) // 2 * self.resolution_m
        side = pixels * self.resolution_m
        return x, y - side, x + side, y


def bench_scene(cache: Path, *, size: int = 10_000, bands: int = 4, seed: int = 1) -> BenchScene:
    """The scene with these parameters: found in the cache, or made.

    Parameters
    ----------
    cache
        Folder that keeps scenes by their parameters.
    size
        Lines and samples.
    bands
        1 to 4: blue, green, red, near infrared.
    seed
        Of relief and texture.

    Raises
    ------
    BadInput
        ``bench.size`` for figures out of range.
    """
    if not (256 <= size <= 40_000 and 1 <= bands <= len(_COUNTS)):
        raise BadInput(
            f"a benchmark scene has 256 to 40000 pixels a side and 1 to {len(_COUNTS)} bands, not {size} and {bands}",
            kind="bench.size",
        )
    folder = cache / f"scene-{size}x{bands}-seed{seed}-v{_MAKER}"
    if not (folder / "scene.json").is_file():
        staging = cache / f".{folder.name}-{uuid4().hex}"
        try:
            _make(staging, size, bands, seed)
            shutil.rmtree(folder, ignore_errors=True)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    record = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    record["bounds"] = tuple(record["bounds"])
    return BenchScene(folder=folder, **record)


def _make(folder: Path, size: int, bands: int, seed: int) -> None:
    (folder / "dem").mkdir(parents=True)
    camera = BenchCamera(shape=(size, size), gsd_m=RESOLUTION_M)
    lon, lat = _outline(camera)
    slopes = _write_dem(folder / "dem" / "dem.tif", (camera.lon, camera.lat), lon, lat, seed)
    rpc, fit = camera.rpc((HEIGHTS_M[0] - 150.0, HEIGHTS_M[1] + 150.0))
    _write_image(folder / "scene.tif", size, bands, seed, rpc)
    _write_coordinates(folder / "coordinates.tif", size, rpc)
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True, allow_ballpark=False).transform(lon, lat)
    pitch = RESOLUTION_M
    record = {
        "size": size,
        "bands": bands,
        "seed": seed,
        "crs": CRS,
        "resolution_m": pitch,
        "bounds": (
            float(np.floor(x.min() / pitch) * pitch),
            float(np.floor(y.min() / pitch) * pitch),
            float(np.ceil(x.max() / pitch) * pitch),
            float(np.ceil(y.max() / pitch) * pitch),
        ),
        "facts": {"camera": asdict(camera), "rpc_fit_px": asdict(fit), "heights_m": HEIGHTS_M, **slopes},
    }
    (folder / "scene.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _outline(camera: BenchCamera) -> tuple[Array, Array]:
    """All ground (lon, lat; flat) that the image's border sees at the lowest and highest height."""
    side = np.linspace(0.0, 1.0, 65)
    line = np.concatenate([0 * side, 0 * side + 1, side, side]) * camera.shape[0]
    sample = np.concatenate([side, side, 0 * side, 0 * side + 1]) * camera.shape[1]
    lon, lat = camera.image_to_ground(line, sample, np.array(HEIGHTS_M)[:, None])
    return lon.ravel(), lat.ravel()


@compiled
def _land(x: float, y: float, seed: int) -> float:
    """Height before it is stretched to the stated range, at metres east and north of the centre."""
    plain = 120.0 * fractal_noise(x / 9000.0, y / 9000.0, 4, seed + 20)
    front = 600.0 * smooth_noise(x / 2600.0, 3.7, seed + 25)
    into = max(front - y, 0.0) / 1000.0
    rise = 1.0 - np.exp(-((into / 1.2) ** 1.5))
    bend = 500.0 * smooth_noise(x / 2300.0, y / 2300.0, seed + 27)
    ridges = ridged_noise((x + bend) / 6000.0, (y - bend) / 6000.0, 6, seed + 30)
    crags = fractal_noise(x / 420.0, y / 420.0, 4, seed + 40)
    return float(plain + rise * (3300.0 * ridges + 90.0 * crags))


@compiled
def _fill_land(
    start: int, stop: int, corner: tuple[float, float], step: tuple[float, float], seed: int, heights: Heights
) -> None:
    for row in range(start, stop):
        for col in range(heights.shape[1]):
            heights[row, col] = _land(corner[0] + col * step[0], corner[1] - row * step[1], seed)


def _write_dem(path: Path, centre: tuple[float, float], lon: Array, lat: Array, seed: int) -> dict[str, float]:
    """Heights under the outline and a margin; what their slopes are, degrees."""
    per = _POSTS_PER_DEGREE
    west, north = np.floor((lon.min() - _DEM_MARGIN_DEG) * per), np.ceil((lat.max() + _DEM_MARGIN_DEG) * per)
    shape = (
        int(north - np.floor((lat.min() - _DEM_MARGIN_DEG) * per)) + 1,
        int(np.ceil((lon.max() + _DEM_MARGIN_DEG) * per) - west) + 1,
    )
    metres = (_METRES_PER_DEGREE * float(np.cos(np.radians(centre[1]))), _METRES_PER_DEGREE)
    corner = ((west / per - centre[0]) * metres[0], (north / per - centre[1]) * metres[1])
    step = (metres[0] / per, metres[1] / per)
    heights = np.empty(shape, dtype=np.float32)
    over_rows(_fill_land, shape[0], corner, step, seed, heights)
    low, high = float(heights.min()), float(heights.max())
    stretched = HEIGHTS_M[0] + (heights - low) / (high - low) * (HEIGHTS_M[1] - HEIGHTS_M[0])
    heights = np.round(np.clip(stretched, *HEIGHTS_M), 2).astype(np.float32)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="float32",
        count=1,
        height=shape[0],
        width=shape[1],
        crs="EPSG:4326",
        transform=Affine(1 / per, 0, (west - 0.5) / per, 0, -1 / per, (north + 0.5) / per),
        tiled=True,
        blockxsize=_TILE,
        blockysize=_TILE,
    ) as dem:
        dem.write(heights, 1)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(heights.astype(np.float64), step[1], step[0]))))
    south = slope[shape[0] // 2 :]
    return {
        "south_mean_slope_deg": round(float(south.mean()), 2),
        "south_p99_slope_deg": round(float(np.percentile(south, 99)), 2),
    }


@compiled
def _fill_counts(start: int, stop: int, top: int, seed: int, share: Array, counts: npt.NDArray[np.uint16]) -> None:
    """Rows of counts ``(band, line, sample)``: octaves of equal contrast above 8 px, fading below; noise of light."""
    bands, _, samples = counts.shape
    for row in range(start, stop):
        y = float(top + row)
        for col in range(samples):
            x = float(col)
            bright = 0.4 * smooth_noise(x / 2.0, y / 2.0, seed) + 0.7 * smooth_noise(x / 4.1, y / 4.1, seed + 1)
            colour, length = 0.0, 8.3
            for octave in range(7):
                # Turned a little at each octave, or the lattice would show.
                u, v = (x + 0.31 * octave * y) / length, (y - 0.31 * octave * x) / length
                value = smooth_noise(u, v, seed + 2 + octave)
                bright += value
                if octave >= 3:
                    colour += smooth_noise(v, u, seed + 20 + octave)
                length *= 2.03
            for band in range(bands):
                value = share[band, 0] + share[band, 1] * bright + share[band, 2] * colour
                value += 0.1 * np.sqrt(max(value, 0.0)) * bell(col, (top + row) * 4 + band, seed + 40)
                counts[band, row, col] = np.uint16(min(max(value + 0.5, 1.0), 4095.0))


def _write_image(path: Path, size: int, bands: int, seed: int, rpc: Rpc) -> None:
    with _created(path, size, bands, "uint16", rpc, nodata=0) as image:
        for top in range(0, size, _ROWS):
            counts = np.empty((bands, min(_ROWS, size - top), size), dtype=np.uint16)
            over_rows(_fill_counts, counts.shape[1], top, seed, _COUNTS, counts)
            image.write(counts, window=Window(0, top, size, counts.shape[1]))


def _write_coordinates(path: Path, size: int, rpc: Rpc) -> None:
    columns = np.arange(size, dtype=np.float32)
    with _created(path, size, 2, "float32", rpc) as image:
        for top in range(0, size, _ROWS):
            rows = np.arange(top, min(top + _ROWS, size), dtype=np.float32)
            block = np.stack(np.meshgrid(columns, rows))
            image.write(block, window=Window(0, top, size, len(rows)))


def _created(path: Path, size: int, bands: int, dtype: str, rpc: Rpc, nodata: int | None = None) -> Any:
    """A tiled TIFF to write to, its RPC set in tags and beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        image = rasterio.open(
            path,
            "w",
            driver="GTiff",
            dtype=dtype,
            count=bands,
            height=size,
            width=size,
            nodata=nodata,
            interleave="pixel",
            tiled=True,
            blockxsize=_TILE,
            blockysize=_TILE,
            BIGTIFF="IF_SAFER",
            RPCTXT="YES",
        )
        image.rpcs = rpc_tag(rpc)
    return image
