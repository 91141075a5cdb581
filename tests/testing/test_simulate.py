"""The simulation as a whole: repeatable, consistent with its own truth by independent roads."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from egm96 import undulation
from pyproj import CRS, Transformer
from rasterio.merge import merge
from scipy import ndimage

from processing.model.errors import BadInput
from processing.testing.simulate import SimulationReport, simulate

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _image(report: SimulationReport, group: str) -> np.ndarray:
    spectral = {"ms": "MS", "pan": "P"}[group]
    (path,) = report.packages[0].glob(f"VOL_*/IMG_*_{spectral}_*/IMG_*_R1C1.TIF")
    with rasterio.open(path) as image:
        counts: np.ndarray = image.read()
    return counts


def _record(report: SimulationReport) -> dict:
    return json.loads((report.truths[0] / "truth.json").read_text())


def test_same_seed_same_bytes_on_any_number_of_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = simulate(tmp_path / "a", size=96, seed=7, scenes=2, pan=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 1, raising=False)
    simulate(tmp_path / "b", size=96, seed=7, scenes=2, pan=False)
    found = _files(tmp_path / "a")
    assert found == _files(tmp_path / "b")
    assert len(first.packages) == 2
    assert not any(".simulating" in name for name in found)


def test_another_seed_is_another_world(tmp_path: Path) -> None:
    one, two = (simulate(tmp_path / str(seed), size=64, seed=seed, pan=False) for seed in (1, 2))
    assert one.packages[0].name != two.packages[0].name or not np.array_equal(_image(one, "ms"), _image(two, "ms"))


def test_progress_never_falls_and_ends_near_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    simulate(tmp_path, size=64, pan=False, progress=lambda *step: told.append(step))
    done = [step[0] for step in told]
    assert done == sorted(done)
    assert 0.8 <= done[-1] / told[-1][1] <= 1.0


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"sensor": "landsat-9"}, "sensor.unknown"),
        ({"size": 10}, "simulation.size"),
        ({"scenes": 0}, "simulation.scenes"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, arguments: dict, kind: str) -> None:
    with pytest.raises(BadInput) as caught:
        simulate(tmp_path, **arguments)
    assert caught.value.kind == kind
    assert not list(tmp_path.iterdir())


def _mosaic(folder: Path) -> tuple[np.ndarray, rasterio.Affine]:
    tiles = sorted(folder.glob("*.tif"))
    values, transform = merge(tiles)
    return values[0].astype(float), transform


def test_dem_states_its_datum_and_is_the_surface(naomi: SimulationReport) -> None:
    for path in naomi.dem.glob("*.tif"):
        with rasterio.open(path) as tile:
            vertical = CRS.from_wkt(tile.crs.to_wkt())
        assert vertical.is_compound
        assert [part.to_epsg() for part in vertical.sub_crs_list] == [4326, 5773]
    elevation, transform = _mosaic(naomi.dem)
    assert 450 < elevation.min() < elevation.max() < 4600
    with (naomi.truths[0] / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    lon, lat, height = (np.array([float(row[name]) for row in rows]) for name in ("lon", "lat", "height"))
    # The truth's surface: posts at pixel centres plus the undulation there, bilinear between.
    lon_posts = transform.c + (np.arange(elevation.shape[1]) + 0.5) * transform.a
    lat_posts = transform.f + (np.arange(elevation.shape[0]) + 0.5) * transform.e
    posts = elevation + undulation(*np.meshgrid(lat_posts, lon_posts, indexing="ij"))
    row, col = (lat - lat_posts[0]) / transform.e, (lon - lon_posts[0]) / transform.a
    np.testing.assert_allclose(ndimage.map_coordinates(posts, [row, col], order=1), height, atol=2e-3)


def test_counts_are_the_truth_where_the_land_is_even(naomi: SimulationReport) -> None:
    """DN to radiance to reflectance by hand, at exact pairs, against the truth's map."""
    record = _record(naomi)
    zenith, distance = record["acquisition"]["sun_zenith_deg"], record["acquisition"]["sun_distance_au"]
    compared = 0
    with (naomi.truths[0] / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    for group, facts in record["groups"].items():
        pairs = [row for row in rows if row["group"] == group]
        x, y = Transformer.from_crs("EPSG:4326", facts["grid"]["crs"], always_xy=True).transform(
            [float(row["lon"]) for row in pairs], [float(row["lat"]) for row in pairs]
        )
        a, _, west, _, e, north = facts["grid"]["transform"]
        column, line_on_map = (np.array(x) - west) / a, (np.array(y) - north) / e
        place = [np.array([float(row[name]) for row in pairs]) - 0.5 for name in ("line", "sample")]
        with rasterio.open(naomi.truths[0] / facts["files"]["cover"]) as file:
            cover = file.read(1)
        clear = ndimage.binary_erosion(np.isin(cover, record["clear_land"]), iterations=4)
        counts = _image(naomi, group)
        for number, band in enumerate(facts["bands"]):
            with rasterio.open(naomi.truths[0] / facts["files"]["reflectance"]) as file:
                truth = file.read(number + 1) * file.scales[number]
            radiance = counts[number] / band["counts_per_radiance"]
            seen = np.pi * radiance * distance**2 / (band["esun"] * np.cos(np.deg2rad(zenith)))
            mean = ndimage.uniform_filter(truth, 5)
            spread = np.sqrt(np.maximum(ndimage.uniform_filter(truth**2, 5) - mean**2, 0))
            even = clear & (spread < 0.03 * mean)
            at = (np.floor(line_on_map).astype(int), np.floor(column).astype(int))
            inside = (at[0] >= 0) & (at[0] < even.shape[0]) & (at[1] >= 0) & (at[1] < even.shape[1])
            chosen = np.flatnonzero(inside)
            chosen = chosen[even[at[0][chosen], at[1][chosen]]]
            on_map = ndimage.map_coordinates(mean, [line_on_map[chosen] - 0.5, column[chosen] - 0.5], order=1)
            smooth_seen = ndimage.uniform_filter(seen, 3)
            in_image = ndimage.map_coordinates(smooth_seen, [place[0][chosen], place[1][chosen]], order=1)
            error = in_image / on_map - 1
            assert abs(np.median(error)) < 0.01
            assert np.percentile(np.abs(error), 80) < 0.05
            compared += len(chosen)
    assert compared > 60


def test_panchromatic_and_multispectral_see_the_same_places(naomi: SimulationReport) -> None:
    """The mean of the visible bands of the multispectral image, at the place the pairs give, is the pan image's."""
    with (naomi.truths[0] / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    ground = {
        group: np.array(
            [[float(row[n]) for n in ("lon", "lat", "line", "sample")] for row in rows if row["group"] == group]
        )
        for group in ("ms", "pan")
    }
    ms, pan = _image(naomi, "ms").astype(float), _image(naomi, "pan")[0].astype(float)
    visible = ms[:3].mean(axis=0)
    blurred = ndimage.uniform_filter(pan, 4)
    # Image coordinates as smooth functions of the ground, from the pairs alone.
    centre = ground["pan"][:, :2].mean(axis=0)

    def terms(places: np.ndarray) -> np.ndarray:
        x, y = ((places[:, :2] - centre) * 100).T
        return np.stack([np.ones_like(x), x, y, x * y, x**2, y**2], axis=1)

    to_pan = np.linalg.lstsq(terms(ground["pan"]), ground["pan"][:, 2:], rcond=None)[0]
    to_ms = np.linalg.lstsq(terms(ground["ms"]), ground["ms"][:, 2:], rcond=None)[0]
    rng = np.random.default_rng(0)
    places = rng.uniform(
        ground["ms"][:, :2].min(0) * 0.5 + centre * 0.5, ground["ms"][:, :2].max(0) * 0.5 + centre * 0.5, (4000, 2)
    )
    in_pan, in_ms = terms(places) @ to_pan - 0.5, terms(places) @ to_ms - 0.5
    a = ndimage.map_coordinates(blurred, in_pan.T, order=1)
    steps = np.arange(-2.0, 2.01, 0.25)
    likeness = np.array(
        [
            [
                np.corrcoef(a, ndimage.map_coordinates(visible, in_ms.T + np.array([[down], [right]]), order=1))[0, 1]
                for right in steps
            ]
            for down in steps
        ]
    )
    best = np.unravel_index(likeness.argmax(), likeness.shape)
    assert likeness.max() > 0.95  # the pan band's spectrum is not the three bands' mean
    assert np.hypot(steps[best[0]], steps[best[1]]) <= 0.25


def test_no_seen_pixel_is_nodata_or_above_saturation(naomi: SimulationReport, keis: SimulationReport) -> None:
    for group in ("ms", "pan"):
        counts = _image(naomi, group)
        assert counts.min() >= 1
        assert counts.max() <= 4095
    assert set(_record(keis)["groups"]) == {"ms"}


def test_clouds_and_clear_land_are_both_there(naomi: SimulationReport) -> None:
    shares = _record(naomi)["groups"]["ms"]["cover_percent"]
    assert sum(shares.values()) == pytest.approx(100)
    assert sum(shares[name] for name in ("field", "grass", "forest", "rock", "built")) > 30
