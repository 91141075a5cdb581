"""The deliveries, read with nothing but rasterio and an XML parser."""

import csv
import hashlib
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from scipy.spatial.transform import Rotation

from configs.registry import load_registry
from processing.geometry.rpc import Rpc
from processing.model.sensor_model import PixelConvention
from processing.testing.instruments import INSTRUMENTS
from processing.testing.simulate import SimulationReport, simulate

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def _dim(report: SimulationReport, spectral: str) -> tuple[Path, ElementTree.Element]:
    (path,) = report.packages[0].glob(f"VOL_*/IMG_*_{spectral}_*/DIM_*.XML")
    return path, ElementTree.parse(path).getroot()


def _pairs(report: SimulationReport, group: str) -> dict[str, np.ndarray]:
    with (report.truths[0] / "pairs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == group]
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "group"}


@pytest.mark.parametrize("sensor", sorted(INSTRUMENTS))
def test_the_instrument_is_the_configured_one(sensor: str) -> None:
    """The simulator states its figures by itself, so that truth and processing have no file in common."""
    config = load_registry().sensors[sensor]
    instrument = INSTRUMENTS[sensor]
    assert instrument.mission == config.mission
    assert instrument.saturated == config.saturated
    for array in instrument.arrays:
        group = config.groups[array.group]
        assert tuple(band.name for band in array.bands) == group.bands
        assert (array.gsd_m, array.resolution_m) == (group.gsd_m, group.resolution_m)
        for band in array.bands:
            known = config.bands[band.name]
            assert band.label in known.labels
            assert band.esun == known.esun
            assert np.multiply(band.edges_um, 1000) == pytest.approx(known.edges_nm)


def test_names_and_checksums(naomi: SimulationReport) -> None:
    package = naomi.packages[0]
    assert re.fullmatch(r"DS_DZHR1_\d{15}_KZ1_E07[67]N43_\d{6}", package.name)
    listed = (package / "DZHR1_CHECKSUM.SHA256").read_text().splitlines()
    for line in listed:
        digest, name = line.split("  ")
        assert hashlib.sha256((package / name).read_bytes()).hexdigest() == digest
    assert len(listed) == len([path for path in package.rglob("*") if path.is_file()]) - 1


def test_every_reference_leads_to_a_file(naomi: SimulationReport) -> None:
    documents = [path for path in naomi.packages[0].rglob("*.XML") if "LINEAGE" not in path.parts]
    for path in documents:
        for element in ElementTree.parse(path).getroot().iter():
            if "href" in element.attrib:
                assert (path.parent / element.attrib["href"]).is_file(), (path.name, element.attrib["href"])


def test_large_images_come_in_tiles(tmp_path: Path) -> None:
    report = simulate(tmp_path, size=520, seed=1)
    path, document = _dim(report, "P")
    files = document.findall("Raster_Data/Data_Access/Data_Files/Data_File")
    assert [(entry.get("tile_R"), entry.get("tile_C")) for entry in files] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    shapes = []
    for entry in files:
        with rasterio.open(path.parent / entry.find("DATA_FILE_PATH").get("href")) as tile:
            shapes.append(tile.shape)
            assert tile.read(1).min() >= 1
    assert shapes == [(2048, 2048), (2048, 32), (32, 2048), (32, 32)]


def test_rpc_file_counts_from_one(naomi: SimulationReport) -> None:
    for spectral, group in (("MS", "ms"), ("P", "pan")):
        path, _ = _dim(naomi, spectral)
        (file,) = path.parent.glob("RPC_*.XML")
        root = ElementTree.parse(file).getroot()
        assert root.tag == "Rpc_Document"
        names = {"line": "ROW", "sample": "COL", "lat": "LAT", "lon": "LON", "height": "HEIGHT"}
        figures = {
            f"{ours}_{part.lower()}": float(root.findtext(f"Validity/{theirs}_{part}"))
            for ours, theirs in names.items()
            for part in ("OFF", "SCALE")
        }
        figures |= {
            f"{ours}_{part.lower()}": [
                float(root.findtext(f"Inverse_Model/{theirs}_{part}_COEFF_{number}")) for number in range(1, 21)
            ]
            for ours, theirs in (("line", "ROW"), ("sample", "COL"))
            for part in ("NUM", "DEN")
        }
        rpc = Rpc.from_delivered(convention=PixelConvention.CENTRE_ONE, **figures)
        pairs = _pairs(naomi, group)
        found = rpc.ground_to_image(pairs["lon"], pairs["lat"], pairs["height"])
        np.testing.assert_allclose(found, (pairs["nominal_line"], pairs["nominal_sample"]), atol=0.05)


def test_the_rigorous_model_in_the_document_agrees_with_the_pairs(naomi: SimulationReport) -> None:
    """Ephemeris, attitude, times and look angles as written, by plain numpy, see what the nominal camera sees."""
    from pyproj import Transformer

    for spectral, group in (("MS", "ms"), ("P", "pan")):
        _, document = _dim(naomi, spectral)
        model = document.find("Geometric_Data/Refined_Model")
        seconds_of = lambda text: sum(f * float(p) for f, p in zip((3600, 60, 1), text[11:-1].split(":"), strict=True))  # noqa: E731
        points = model.findall("Ephemeris/Point_List/Point")
        times = np.array([seconds_of(point.findtext("TIME")) for point in points])
        orbit = np.array([[float(v) for v in point.findtext("LOCATION_XYZ").split()] for point in points])
        assert model.find("Time/Time_Stamp/LINE_PERIOD").get("unit") == "S"
        start, period = seconds_of(model.findtext("Time/Time_Range/START")), float(model.findtext(".//LINE_PERIOD"))
        quaternion = model.find("Attitudes/Polynomial_Quaternions")
        xlos_0, xlos_1, ylos_0, first = (
            float(model.findtext(f".//{n}")) for n in ("XLOS_0", "XLOS_1", "YLOS_0", "FIRST_COL")
        )
        pairs = _pairs(naomi, group)
        place = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
        ground = np.stack(place.transform(pairs["nominal_lon"], pairs["nominal_lat"], pairs["nominal_height"]), axis=1)
        row, column = pairs["line"] + 0.5, pairs["sample"] + 0.5
        moment = start + (row - 1) * period
        argument = (moment - float(quaternion.findtext("OFFSET"))) / float(quaternion.findtext("SCALE"))
        q = np.array(
            [
                np.polynomial.polynomial.polyval(
                    argument, [float(v) for v in quaternion.findtext(f"Q{n}/COEFFICIENTS").split()]
                )
                for n in range(4)
            ]
        )
        position = np.array([np.polynomial.Polynomial.fit(times, axis, 9)(moment) for axis in orbit.T]).T
        seen = Rotation.from_quat(q[[1, 2, 3, 0]].T).inv().apply(ground - position)
        miss_rows = np.arctan(seen[:, 0] / seen[:, 2]) - ylos_0
        miss_columns = (
            (-seen[:, 1] / seen[:, 2] - xlos_0) / xlos_1 - (first - 1) + 1 - column
        )  # FIRST_COL counts from 1
        assert np.abs(miss_columns).max() < 0.01
        assert np.abs(miss_rows / xlos_1).max() < 0.01


def test_masks_are_closed_polygons_inside_the_image(naomi: SimulationReport) -> None:
    path, document = _dim(naomi, "MS")
    gml = "{http://www.opengis.net/gml}"
    found = 0
    for file in (path.parent / "MASKS").glob("*.GML"):
        for ring in ElementTree.parse(file).getroot().iter(f"{gml}posList"):
            points = np.array([float(value) for value in ring.text.split()]).reshape(-1, 2)
            np.testing.assert_array_equal(points[0], points[-1])
            assert points.min() >= 0.5
            assert points.max() <= 256.5
            found += 1
    assert found >= 1
    assert 0 <= float(document.findtext("Dataset_Content/CLOUD_COVERAGE")) <= 100


def test_keystone_package(keis: SimulationReport) -> None:
    package = keis.packages[0]
    assert re.fullmatch(r"KM[0-9a-f]{6}MI_\d{3}_MUL_L1R", package.name)
    document = ElementTree.parse(package / f"{package.name}.dim").getroot()
    assert document.findtext("Metadata_Id/METADATA_PROFILE") == "DMCii"
    gains = [float(entry.text) for entry in document.iter("PHYSICAL_GAIN")]
    assert gains == [0.02] * 5
    with rasterio.open(package / f"{package.name}.tif") as image:
        assert (image.count, image.dtypes[0], image.shape) == (5, "uint16", (256, 256))
        tags = image.rpcs
    rpc = Rpc.from_delivered(
        convention=PixelConvention.CENTRE_ZERO,
        **{
            f"{ours}_{part}": getattr(tags, f"{theirs}_{part}")
            for ours, theirs in (
                ("line", "line"),
                ("sample", "samp"),
                ("lat", "lat"),
                ("lon", "long"),
                ("height", "height"),
            )
            for part in ("off", "scale")
        },
        line_num=tags.line_num_coeff,
        line_den=tags.line_den_coeff,
        sample_num=tags.samp_num_coeff,
        sample_den=tags.samp_den_coeff,
    )
    pairs = _pairs(keis, "ms")
    found = rpc.ground_to_image(pairs["lon"], pairs["lat"], pairs["height"])
    np.testing.assert_allclose(found, (pairs["nominal_line"], pairs["nominal_sample"]), atol=0.05)
    with zipfile.ZipFile(package / f"{package.name}_meta.sip") as archive:
        listed = ElementTree.fromstring(archive.read("repository.xml"))
    digests = {entry.get("name"): entry.get("sha256") for entry in listed}
    for name, digest in digests.items():
        assert hashlib.sha256((package / name).read_bytes()).hexdigest() == digest
