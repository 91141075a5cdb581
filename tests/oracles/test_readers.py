"""A product opens in other people's programs, with the right place, values and nodata; its COGs are sound."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import rasterio
from PIL import Image
from rio_cogeo import cog_validate

from tests.oracles import readers
from tests.oracles.readers import READERS, Made, NotHere, Reader, faults, make

# Other people's programs warn of other people's changes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    return make(tmp_path_factory.mktemp("readers"))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: f"{reader.of}-{reader.name.split('`')[0].strip()}")
def test_it_opens_with_the_right_place_values_and_nodata(reader: Reader, made: Made) -> None:
    try:
        found = reader.read(made)
    except NotHere as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reader.name} is required: {error}")
        pytest.skip(f"{reader.name} is not installed: {error}")
    assert faults(found, made) == []


def test_the_truth_is_not_the_archives(made: Made) -> None:
    """What readers are held against is what went in, within half a step of the encoding; and a fault is seen."""
    given = readers.synthetic.values((700, 900), 4)[2]
    assert np.nanmax(np.abs(given - made.values)) < 0.5e-4 + 1e-7
    found = READERS[0].read(made)
    assert faults(readers.Found(4326, found.centre, found.pixel, found.values, found.how), made) == ["CRS 4326"]
    shifted = readers.Found(found.epsg, (readers.LEFT, readers.TOP), 4.0, found.values + 1e-4, found.how)
    assert len(faults(shifted, made)) == 2


def test_the_table_has_a_row_for_every_reader(made: Made) -> None:
    rows = readers.table(made).splitlines()
    assert len([row for row in rows if row.startswith("| ")]) == len(READERS) + 1
    assert not any("CRS " in row.rpartition("|")[0].rpartition("|")[2] for row in rows[2:])


def test_every_raster_is_a_sound_cog(made: Made) -> None:
    keys = {file.key for file in made.product.files}
    assert {"blue", "green", "red", "nir", "qa", "visual", "thumbnail", "quality", "zarr"} <= keys
    for file in made.product.files:
        path = made.home / file.href
        if path.suffix != ".tif":
            continue
        assert path.stem == file.key
        valid, errors, notes = cog_validate(path, strict=True, quiet=True)
        assert (valid, errors, notes) == (True, [], []), file.key
        with rasterio.open(path) as source:
            assert source.crs.to_epsg() == readers.EPSG
            assert source.overviews(1), file.key
            assert source.count == (3 if file.key == "visual" else 1)


def test_statistics_in_the_files_are_those_of_the_pixels(made: Made) -> None:
    for band in made.product.bands:
        with rasterio.open(made.file(f"{band.name}.tif")) as source:
            stored = source.read(1, masked=True).compressed().astype(float)
            tags = {key: float(value) for key, value in source.tags(1).items() if key.startswith("STATISTICS")}
        assert tags["STATISTICS_MINIMUM"] == stored.min()
        assert tags["STATISTICS_MAXIMUM"] == stored.max()
        assert tags["STATISTICS_MEAN"] == pytest.approx(stored.mean(), rel=1e-6)
        assert tags["STATISTICS_STDDEV"] == pytest.approx(stored.std(), rel=1e-5)
        assert band.mean == pytest.approx(stored.mean() * band.scale + band.offset, rel=1e-6)


def test_the_picture_and_its_thumbnail_show_the_scene(made: Made) -> None:
    with rasterio.open(made.file("visual.tif")) as source:
        picture = source.read()
        inside = source.dataset_mask() > 0
        assert source.colorinterp[:3] == tuple(rasterio.enums.ColorInterp[name] for name in ("red", "green", "blue"))
    np.testing.assert_array_equal(inside, ~np.isnan(made.values))
    shades = np.corrcoef(picture[0][inside].astype(float), made.values[inside])[0, 1]
    assert shades > 0.97
    with Image.open(made.file("thumbnail.webp")) as small:
        assert small.format == "WEBP"
        assert max(small.size) <= 512


def test_gdalinfo_has_nothing_to_complain_of(made: Made) -> None:
    program = shutil.which("gdalinfo")
    if program is None:
        pytest.skip("GDAL's programs are not installed: apt-get install gdal-bin")
    for name in ("red", "qa", "visual"):
        run = subprocess.run([program, "-json", "-checksum", made.file(f"{name}.tif")], capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (0, ""), name
        assert json.loads(run.stdout)["size"] == [900, 700]
