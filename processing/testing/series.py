"""Many small deliveries of one place with elevations under them: real packages, of a few thousand pixels each."""

import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio

from processing.testing import minimal

_SIDE_DEG = 0.04
_CELLS = 80
_DAYS, _ORBITS = 50, 5


def write_series(folder: Path, count: int) -> list[Path]:
    """KazEOSat-2 deliveries of 48 x 64 pixels, each of a name and a moment of its own, all by daylight.

    Parameters
    ----------
    folder
        Where the packages' folders are made.
    count
        At most 250: as many orbits of 50 days as see the place while the sun is up.
    """
    if count > _DAYS * _ORBITS:
        raise ValueError(f"a series has at most {_DAYS * _ORBITS} scenes")
    pattern = minimal.write_dimap_v1(folder / ".pattern").root
    document = (pattern / f"{pattern.name}.dim").read_text(encoding="utf-8")
    first = datetime.fromisoformat("2018-04-29T01:27:08")
    found = []
    for number in range(count):
        name = f"KM{number:04x}MI_{number:03d}_MUL_L1R"
        moment = first + timedelta(days=number % _DAYS, minutes=97 * (number // _DAYS))
        scene = folder / name
        scene.mkdir()
        shutil.copyfile(pattern / f"{pattern.name}.tif", scene / f"{name}.tif")
        text = document.replace(pattern.name, name)
        text = re.sub(r"(<IMAGING_DATE>)[^<]*", rf"\g<1>{moment:%Y-%m-%d}", text)
        text = re.sub(r"(<IMAGING_TIME>)[^<]*", rf"\g<1>{moment:%H:%M:%S}.5", text)
        (scene / f"{name}.dim").write_text(text, encoding="utf-8")
        found.append(scene)
    shutil.rmtree(pattern.parent)
    return found


def write_elevations(folder: Path) -> Path:
    """A flat tile under them, heights above the ellipsoid."""
    folder.mkdir(parents=True, exist_ok=True)
    pitch = 2 * _SIDE_DEG / _CELLS
    with rasterio.open(
        folder / "flat.tif",
        "w",
        driver="GTiff",
        count=1,
        height=_CELLS,
        width=_CELLS,
        dtype="float32",
        crs="EPSG:4979",
        transform=rasterio.Affine(pitch, 0, minimal.LON - _SIDE_DEG, 0, -pitch, minimal.LAT + _SIDE_DEG),
    ) as dem:
        dem.write(np.full((1, _CELLS, _CELLS), minimal.HEIGHT, np.float32))
    return folder
