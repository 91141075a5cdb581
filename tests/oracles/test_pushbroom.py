"""The rigorous camera of a real Pleiades product against the product's own RPC, and PeruSat-1's attitude."""

from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from processing.geometry.attitude import SampledAttitude, rotation
from processing.geometry.compare import compare_models
from processing.geometry.pushbroom import Pushbroom
from processing.readers.dimap_rigorous import line_period_s, rigorous_model
from processing.readers.dimap_xml import read_xml
from processing.readers.rpc_files import read_rpc

pytestmark = pytest.mark.realdata

PHR = "terradue-stars/AIRBUS/PLEIADES/ORT/data/5897098101/IMG_PHR1A_MS_002"
NAME = "PHR1A_MS_202108271549303_SEN_5897098101-2.XML"
SHAPE = (3792, 8207)


@pytest.fixture
def phr(realdata: Path) -> Pushbroom:
    camera, warnings = rigorous_model(read_xml(realdata / PHR / f"DIM_{NAME}"), SHAPE)
    assert warnings == ()
    assert camera is not None
    return camera


def test_pleiades_meets_its_own_rpc(realdata: Path, phr: Pushbroom) -> None:
    """Over the whole image and all heights: nothing but a constant is left.

    The constant is within the digits of the file: YLOS_0 is 8e-05 there, and half of its last digit is 0.6 lines.
    """
    rpc = read_rpc(realdata / PHR / f"RPC_{NAME}")
    low, high = rpc.height_off - rpc.height_scale, rpc.height_off + rpc.height_scale
    left = compare_models(rpc, phr, SHAPE, (low, high))
    assert left is not None
    assert left.spread_px <= 0.001
    assert abs(left.line_px) <= 0.025
    assert abs(left.sample_px) <= 0.005
    # And the other way round, from the RPC's ground points.
    back = compare_models(phr, rpc, SHAPE, (low, high))
    assert back is not None
    assert back.spread_px <= 0.001


def test_first_column_counts_from_one(realdata: Path, phr: Pushbroom) -> None:
    """Read as a number that counts from 0, FIRST_COL would put every pixel one column aside."""
    document = read_xml(realdata / PHR / f"DIM_{NAME}")
    stated = document.number(".//Swath_Range/FIRST_COL")
    assert phr.first_detector == stated - 1
    assert phr.first_line_s == 0.0
    assert line_period_s(document, SHAPE[0]) == pytest.approx(0.294e-3, rel=1e-12)


def test_the_stated_corners_are_seen(realdata: Path, phr: Pushbroom) -> None:
    """A corner stands at the terrain's height, which only its column tells: there the line must be the stated one.

    It is so within half a line, which camera and RPC alike find the product's corners to be off, all by the same.
    """
    document = read_xml(realdata / PHR / f"DIM_{NAME}")
    heights = np.linspace(-200.0, 3000.0, 6401)
    off = []
    for vertex in document.all("Dataset_Content/Dataset_Extent/Vertex"):
        line, sample = phr.ground_to_image(vertex.number("LON"), vertex.number("LAT"), heights)
        stands = np.abs(sample - (vertex.number("COL") - 0.5)).argmin()
        off.append(line[stands] - (vertex.number("ROW") - 0.5))
    assert np.abs(off).max() < 0.55
    assert np.ptp(off) < 0.005


def test_perusat_quaternions_turn_the_satellite_into_the_earth_fixed_frame(realdata: Path) -> None:
    """PeruSat-1 (KazEOSat-1's family) lists quaternions: scalar first, x along the motion, z to the ground."""
    folder = realdata / "terradue-stars/AIRBUS/PERUSAT/ORT/data"
    model = read_xml(next(folder.glob("*/*/IMG_PER1_ORT_MS_*/DIM_*.XML")))
    place, attitudes = "Geometric_Data/Refined_Model", "Attitudes/Quaternion_List/Quaternion"
    centre = model.time("Geometric_Data/Use_Area/Located_Geometric_Values/TIME")
    samples = model.need(place).all(attitudes)
    attitude = SampledAttitude(
        seconds=tuple((sample.time("TIME") - centre).total_seconds() for sample in samples),
        quaternions=tuple(tuple(sample.number(f"Q{axis}") for axis in range(4)) for sample in samples),
    )
    points = model.need(place).all("Ephemeris/Point_List/Point")
    seconds = [(point.time("TIME") - centre).total_seconds() for point in points]
    tables = [
        [[float(part) for part in p.text(name).split()] for p in points] for name in ("LOCATION_XYZ", "VELOCITY_XYZ")
    ]
    position, velocity = (np.array([np.interp(0.0, seconds, axis) for axis in np.transpose(table)]) for table in tables)
    turned = rotation(attitude.quaternion(0.0))
    vertices = model.all("Dataset_Content/Dataset_Extent/Vertex")
    lon, lat = (np.mean([vertex.number(name) for vertex in vertices]) for name in ("LON", "LAT"))
    target = np.array(Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(lon, lat, 0.0))
    look = (target - position) / np.linalg.norm(target - position)
    # The swath is 1.2 degrees wide; were the matrix transposed, or the frame inertial, it would be 3 to 34 degrees off.
    assert np.degrees(np.arccos(turned[:, 2] @ look)) < 1.0
    assert np.degrees(np.arccos(turned[:, 0] @ velocity / np.linalg.norm(velocity))) < 5.0
