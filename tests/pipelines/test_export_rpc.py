"""``qyran export-rpc``: what GDAL reads from the file is what Qyran's model sees."""

import json
from pathlib import Path

import numpy as np
import pytest
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer
from typer.testing import CliRunner

from configs.registry import load_registry
from pipelines.cli import app
from pipelines.export_rpc import ExportOptions, export_rpc
from processing.geometry.refine import refine_from_gcps
from processing.geometry.rpc_text import rpc_tags
from processing.geometry.strip import cut_model
from processing.model.errors import BadInput
from processing.readers.control_points import read_control_points
from processing.readers.find import open_delivery
from processing.readers.rpc_files import read_rpc

pytestmark = pytest.mark.realdata

PHR = "terradue-stars/AIRBUS/PLEIADES/ORT/data/5897098101"
QB2 = "quickbird2/qb2_basic1b.tif"


def _seen_by_gdal(path: Path, lon: np.ndarray, lat: np.ndarray, height: np.ndarray) -> np.ndarray:
    with RPCTransformer(RPC.from_gdal(rpc_tags(read_rpc(path)))) as transformer:
        return np.array(transformer.rowcol(lon.ravel(), lat.ravel(), height.ravel(), op=float))


def test_the_camera_of_a_package_becomes_an_rpc(realdata: Path, tmp_path: Path) -> None:
    out = tmp_path / "phr_RPC.TXT"
    run = CliRunner().invoke(
        app, ["export-rpc", str(realdata / PHR), "--model", "rigorous", "--group", "ms", "--out", str(out), "--json"]
    )
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["fit"]["max_px"] < 1e-3
    assert told["heights_m"] == pytest.approx([-10.0, 1350.0])
    scene = open_delivery(realdata / PHR, sensors=load_registry().sensors, pixels=False).scenes[0]
    line, sample, height = np.meshgrid([0.0, 2000.0, 3792.0], [0.0, 4000.0, 8207.0], [0.0, 1300.0], indexing="ij")
    ground = (*scene.rigorous.image_to_ground(line, sample, height), height)
    off = _seen_by_gdal(out, *ground) - (line.ravel(), sample.ravel())
    assert np.abs(off).max() < 1e-3
    # The vendor's own RPC, which nothing here was fitted to.
    vendor = np.array(scene.model.ground_to_image(*(axis.ravel() for axis in ground)))
    assert np.abs(vendor - _seen_by_gdal(out, *ground)).max() < 0.03


def test_a_correction_and_a_segment_are_folded_in(realdata: Path, tmp_path: Path) -> None:
    out, points = tmp_path / "qb2.rpb", realdata / "quickbird2/gcps_dev.geojson"
    told = export_rpc(realdata / QB2, out, ExportOptions(gcps=points, lines=(301, 600)))
    assert told["shape"] == [600, 850]
    assert told["refinement"]["tie_points"] == 3
    scene = open_delivery(realdata / QB2, sensors=load_registry().sensors, pixels=False).scenes[0]
    refined, _ = refine_from_gcps(scene.model, read_control_points(points, "qb2_basic1b.tif"), shape=scene.shape)
    line, sample, height = np.meshgrid([0.0, 600.0], [0.0, 850.0], [250.0, 1100.0], indexing="ij")
    ground = (*cut_model(refined, 300, 600).image_to_ground(line, sample, height), height)
    assert np.abs(_seen_by_gdal(out, *ground) - (line.ravel(), sample.ravel())).max() < 1e-3


def test_a_delivered_rpc_is_written_as_it_is(realdata: Path, tmp_path: Path) -> None:
    told = export_rpc(realdata / QB2, tmp_path / "same_RPC.TXT")
    assert told["fit"] is None
    delivered = open_delivery(realdata / QB2, sensors=load_registry().sensors, pixels=False).scenes[0].model
    assert read_rpc(tmp_path / "same_RPC.TXT") == delivered


@pytest.mark.parametrize(
    ("image", "name", "options", "kind"),
    [
        (QB2, "x.xml", {}, "export.format"),
        (QB2, "x.rpb", {"group": "sar"}, "export.group"),
        (QB2, "x.rpb", {"model": "rigorous"}, "export.no_model"),
        (QB2, "x.rpb", {"lines": (1, 2000)}, "strip.range"),
        (QB2, "x.rpb", {"heights": (500.0, 100.0)}, "rpc.heights"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    realdata: Path, tmp_path: Path, image: str, name: str, options: dict[str, object], kind: str
) -> None:
    with pytest.raises(BadInput) as refused:
        export_rpc(realdata / image, tmp_path / name, ExportOptions(**options))
    assert refused.value.kind == kind
    assert not list(tmp_path.iterdir())
