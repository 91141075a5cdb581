"""``qyran adjust``: injected errors between images come out, and what is written places them alike."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from scipy.ndimage import gaussian_filter, map_coordinates
from typer.testing import CliRunner

from configs.registry import load_registry
from pipelines.adjust import adjust
from pipelines.cli import app
from processing.geometry.rpc import Rpc
from processing.geometry.rpc_text import rpc_txt
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.readers.find import open_delivery
from processing.readers.rpc_files import read_rpc
from processing.testing.small_scenes import METRES_A_DEGREE, hills, tilted_rpc

SHAPE, GSD_M, LON, LAT = (400, 360), 10.0, 75.3, 43.1
INJECTED = {"left": (2.3, -1.4), "right": (-0.6, 0.9), "third": (0.5, 1.7)}
TILTS = {"left": 15.0, "right": -12.0, "third": 3.0}
Array = npt.NDArray[np.float64]


def _texture(lon: Array, lat: Array) -> Array:
    """What the ground looks like: blotches three pixels wide, known without end in both directions."""
    field = gaussian_filter(np.random.default_rng(3).normal(size=(900, 900)), 1.5, mode="wrap")
    east = (lon - LON) * METRES_A_DEGREE * np.cos(np.radians(LAT))
    north = (lat - LAT) * METRES_A_DEGREE
    seen: Array = map_coordinates(field, [north / GSD_M, east / GSD_M], order=3, mode="grid-wrap")
    return 1000.0 + 900.0 * seen


def _photograph(truth: Rpc, terrain: Terrain) -> npt.NDArray[np.uint16]:
    line, sample = np.meshgrid(np.arange(SHAPE[0]) + 0.5, np.arange(SHAPE[1]) + 0.5, indexing="ij")
    height = np.full(SHAPE, 900.0)
    for _ in range(10):
        lon, lat = truth.image_to_ground(line, sample, height)
        height = terrain.height(lon, lat)
    assert np.isfinite(height).all()
    return np.round(_texture(lon, lat)).clip(1, 4000).astype(np.uint16)


def _write(path: Path, pixels: npt.NDArray[np.uint16], model: Rpc) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=pixels.shape[0], width=pixels.shape[1], count=1, dtype="uint16"
    ) as dataset:
        dataset.write(pixels, 1)
    path.with_name(f"{path.stem}_RPC.TXT").write_text(rpc_txt(model), encoding="ascii")
    return path


def _displaced(truth: Rpc, by: tuple[float, float]) -> Rpc:
    return replace(truth, line_off=truth.line_off + by[0], sample_off=truth.sample_off + by[1])


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Rpc]]:
    """Three views of one ground whose delivered RPCs are some pixels off, a DEM, and the true RPCs."""
    folder = tmp_path_factory.mktemp("block")
    terrain = hills(heights=(600.0, 1400.0), half_deg=0.06)
    with rasterio.open(
        folder / "dem.tif",
        "w",
        driver="GTiff",
        height=terrain.heights.shape[0],
        width=terrain.heights.shape[1],
        count=1,
        dtype="float32",
        crs=terrain.crs,
        transform=terrain.transform,
    ) as dataset:
        dataset.write(terrain.heights, 1)
    truths = {}
    for name, tilt in TILTS.items():
        truth = tilted_rpc(SHAPE, gsd_m=GSD_M, tilt_deg=tilt, heights=(600.0, 1400.0))
        truths[name] = truth
        _write(folder / f"{name}.tif", _photograph(truth, terrain), _displaced(truth, INJECTED[name]))
    return folder, truths


def _arguments(folder: Path, out: Path, *names: str) -> list[str]:
    images = [str(folder / f"{name}.tif") for name in names]
    return ["adjust", *images, "--dem", str(folder / "dem.tif"), "--vertical-datum", "ellipsoid", "--out", str(out)]


def _misplaced(written: Rpc, truth: Rpc) -> Array:
    """Where a written model puts what the image shows, less where it is: east and north, m."""
    line, sample = np.meshgrid([50.0, 200.0, 350.0], [50.0, 180.0, 310.0], indexing="ij")
    lon, lat = written.image_to_ground(line, sample, 1000.0)
    true_lon, true_lat = truth.image_to_ground(line, sample, 1000.0)
    east = (lon - true_lon) * METRES_A_DEGREE * np.cos(np.radians(LAT))
    return np.array([east.mean(), (lat - true_lat).mean() * METRES_A_DEGREE])


def test_injected_errors_come_out(block: tuple[Path, dict[str, Rpc]], tmp_path: Path) -> None:
    folder, truths = block
    run = CliRunner().invoke(app, [*_arguments(folder, tmp_path, *INJECTED), "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told == json.loads((tmp_path / "adjustment.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {
        "adjustment.json",
        "left_RPC.TXT",
        "right_RPC.TXT",
        "third_RPC.TXT",
    }
    assert [pair["scenes"] for pair in told["pairs"]] == [["left", "right"], ["left", "third"], ["right", "third"]]
    assert all(pair["before_m"] > GSD_M > 0.1 * GSD_M > pair["after_m"] for pair in told["pairs"])
    assert all(scene["fit"]["max_px"] < 0.01 for scene in told["scenes"].values())
    delivered = {name: _misplaced(read_rpc(folder / f"{name}_RPC.TXT"), truth) for name, truth in truths.items()}
    left = {name: _misplaced(read_rpc(tmp_path / f"{name}_RPC.TXT"), truth) for name, truth in truths.items()}
    # Free of the map: the block stays where the delivered models put it on average; its images agree.
    block_at = np.mean(list(delivered.values()), axis=0)
    for name in truths:
        assert np.hypot(*(delivered[name] - block_at)) > 0.5 * GSD_M
        assert np.hypot(*(left[name] - block_at)) < 0.1 * GSD_M


def test_what_is_written_serves_as_the_images_model(block: tuple[Path, dict[str, Rpc]], tmp_path: Path) -> None:
    folder, _ = block
    run = CliRunner().invoke(app, _arguments(folder, tmp_path, "left", "right"))
    assert run.exit_code == 0, run.output
    assert "left - right" in run.output
    assert "left_RPC.TXT" in run.output
    for name in ("left", "right"):
        (tmp_path / f"{name}.tif").write_bytes((folder / f"{name}.tif").read_bytes())
    again = adjust(
        [tmp_path / "left.tif", tmp_path / "right.tif"],
        folder / "dem.tif",
        tmp_path / "again",
        vertical_datum="ellipsoid",
    )
    assert again["pairs"][0]["before_m"] < 0.1 * GSD_M


def test_a_reference_places_the_block(block: tuple[Path, dict[str, Rpc]], tmp_path: Path) -> None:
    folder, truths = block
    terrain = hills(heights=(600.0, 1400.0), half_deg=0.06)
    reference = tmp_path / "map.tif"
    east, north = np.meshgrid(np.arange(500) + 0.5, np.arange(500) + 0.5)
    pitch = GSD_M / METRES_A_DEGREE
    west, top = LON - 250 * pitch, LAT + 250 * pitch
    with rasterio.open(
        reference,
        "w",
        driver="GTiff",
        height=500,
        width=500,
        count=1,
        dtype="uint16",
        crs=terrain.crs,
        transform=rasterio.Affine(pitch, 0.0, west, 0.0, -pitch, top),
    ) as dataset:
        dataset.write(np.round(_texture(west + east * pitch, top - north * pitch)).clip(1, 4000).astype(np.uint16), 1)
    run = CliRunner().invoke(
        app, [*_arguments(folder, tmp_path, "left", "right"), "--reference", str(reference), "--json"]
    )
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert all(scene["reference"]["tie_points"] >= 10 for scene in told["scenes"].values())
    for name in ("left", "right"):
        assert np.hypot(*_misplaced(read_rpc(folder / f"{name}_RPC.TXT"), truths[name])) > GSD_M
        assert np.hypot(*_misplaced(read_rpc(tmp_path / f"{name}_RPC.TXT"), truths[name])) < 0.15 * GSD_M


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["left"], "block.too_few"),
        (["left", "left"], "block.same"),
        (["left", "elsewhere/left"], "block.name"),
        (["left", "elsewhere/away"], "block.apart"),
        (["left", "elsewhere/blank"], "block.apart"),
    ],
)
def test_refusals_write_nothing(
    block: tuple[Path, dict[str, Rpc]], tmp_path: Path, names: list[str], kind: str
) -> None:
    folder, truths = block
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    with rasterio.open(folder / "left.tif") as dataset:
        pixels = dataset.read(1)
    _write(elsewhere / "left.tif", pixels, truths["left"])
    # Shares a strip of 20 columns with the other, less than a patch.
    _write(elsewhere / "away.tif", pixels[:150, :150], _displaced(truths["left"], (0.0, -340.0)))
    _write(elsewhere / "blank.tif", np.full_like(pixels, 700), truths["right"])
    with pytest.raises(BadInput) as refused:
        adjust(
            [folder / f"{name}.tif" for name in names],
            folder / "dem.tif",
            tmp_path / "out",
            vertical_datum="ellipsoid",
        )
    assert refused.value.kind == kind
    assert not (tmp_path / "out").exists()


@pytest.mark.realdata
def test_pleiades_triplet(realdata: Path, tmp_path: Path) -> None:
    folder = realdata / "s2p-phr-marseille"
    images = [str(folder / f"img_0{number}.tif") for number in (1, 2, 3)]
    run = CliRunner().invoke(
        app,
        [
            *("adjust", *images, "--dem", str(folder / "dsm_s2p_50cm_ellipsoidal.tif")),
            *("--vertical-datum", "ellipsoid", "--out", str(tmp_path), "--json"),
        ],
    )
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    # The data's README: a constant bias of 0.3 to 0.6 m between them.
    assert all(0.3 < pair["before_m"] < 0.7 and pair["after_m"] < 0.05 for pair in told["pairs"])
    for number in (1, 2, 3):
        name = f"img_0{number}"
        scene = told["scenes"][name]
        assert scene["fit"]["max_px"] < 0.01
        before = open_delivery(folder / f"{name}.tif", sensors=load_registry().sensors, pixels=False).scenes[0].model
        assert before is not None
        after = read_rpc(tmp_path / scene["rpc"])
        ground = (*before.image_to_ground(512.0, 512.0, 200.0), 200.0)
        moved = np.subtract(after.ground_to_image(*ground), before.ground_to_image(*ground))
        assert moved == pytest.approx(scene["shift_px"], abs=0.01)
