"""RPC files in all dialects: what they say, how their pixels count, and what is refused."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from configs.schema import SensorConfig
from processing.geometry.rpc import Rpc, validate_rpc
from processing.model.errors import BadInput
from processing.readers.find import open_delivery
from processing.readers.rpc_files import read_rpc, read_rpc_document, rpc_from_tags
from processing.testing.minimal import MinimalPackage, ground_of, write_dimap_v1

# file, dialect, what must be added to the file's figures to count from the outer corner, lat and lon offset
DIALECTS = [
    ("rpc_PLEIADES.xml", "dimap-v2", -0.5, 18088.5, 20000.5, -34.8627648855538, -56.16987799334536),
    ("rpc_SPOT6.xml", "dimap-v2", -0.5, 12388.5, 10976.5, 18.57519833, -72.26895693),
    ("rpc_WV1.xml", "worldview-isd", 0.5, None, None, None, None),
    ("rpc_WV2.xml", "worldview-isd", 0.5, 10108, 14104, 45.6543, -0.3248),
    ("rpc_WV3.xml", "worldview-isd", 0.5, None, None, None, None),
    ("rpc_IKONOS.txt", "rpc-txt", 0.5, 5124.0, 6334.0, -34.903, -56.1722),
    ("rpc_PLANET_L1A.txt", "rpc-txt", 0.5, 540.400296515938, 1280.40012503907, -32.85, 151.7593),
    ("rpc_PLANET_L1B.txt", "rpc-txt", 0.5, None, None, None, None),
    (
        "20191015_073816_ssc1d3_0011_basic_l1a_panchromatic_dn_RPC.TXT",
        "rpc-txt",
        0.5,
        539.48675,
        1293.51565,
        25.928587267606,
        49.6688198872119,
    ),
    ("JAX_068_001_RGB.json", "rpcm-json", 0.5, 405.51806724276, 371.692595898949, 30.348745058662, -81.663782673038),
]


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "dialect", "shift", "line", "sample", "lat", "lon"), DIALECTS)
def test_dialects(realdata: Path, name, dialect, shift, line, sample, lat, lon) -> None:
    found = read_rpc_document(realdata / "rpcm-rpc-dialects" / name)
    assert found.dialect == dialect
    rpc = found.rpc
    validate_rpc(rpc, (round(rpc.line_off + rpc.line_scale), round(rpc.sample_off + rpc.sample_scale)))
    if line is not None:
        assert (found.rpc.line_off, found.rpc.sample_off) == pytest.approx((line + shift, sample + shift), abs=1e-9)
        assert (found.rpc.lat_off, found.rpc.lon_off) == pytest.approx((lat, lon), abs=1e-9)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["rpc_PLEIADES.xml", "rpc_SPOT6.xml"])
def test_the_vendors_own_direct_model_agrees(realdata: Path, name) -> None:
    """DIMAP files carry both directions: our inverse of theirs must find what theirs says, in their own counting."""
    path = realdata / "rpcm-rpc-dialects" / name
    rpc, text = read_rpc(path), path.read_text(encoding="utf-8")
    direct = text[text.index("<Direct_Model>") : text.index("</Direct_Model>")]

    def figure(tag: str, within: str = text) -> float:
        match = re.search(rf"<{tag}>([^<]+)<", within)
        assert match
        return float(match[1])

    row, column, height = figure("LINE_OFF") + 2500.0, figure("SAMP_OFF") - 3100.0, figure("HEIGHT_OFF") + 40.0
    # In the direct model the normalised image coordinates stand where longitude and latitude stand in the inverse.
    x = (column - figure("SAMP_OFF")) / figure("SAMP_SCALE")
    y = (row - figure("LINE_OFF")) / figure("LINE_SCALE")
    h = (height - figure("HEIGHT_OFF")) / figure("HEIGHT_SCALE")
    terms = np.array([1, x, y, h, x * y, x * h, y * h, x * x, y * y, h * h, x * y * h, x**3, x * y * y, x * h * h,
                      x * x * y, y**3, y * h * h, x * x * h, y * y * h, h**3])  # fmt: skip
    ratio = {
        axis: sum(figure(f"{axis}_NUM_COEFF_{n}", direct) * terms[n - 1] for n in range(1, 21))
        / sum(figure(f"{axis}_DEN_COEFF_{n}", direct) * terms[n - 1] for n in range(1, 21))
        for axis in ("SAMP", "LINE")
    }
    lon = ratio["SAMP"] * figure("LONG_SCALE") + figure("LONG_OFF")
    lat = ratio["LINE"] * figure("LAT_SCALE") + figure("LAT_OFF")
    line, sample = rpc.ground_to_image(lon, lat, height)
    # Their pixel (1, 1) is our (0.5, 0.5). The vendor states a few hundredths of a pixel between its two models.
    assert (float(line), float(sample)) == pytest.approx((row - 0.5, column - 0.5), abs=0.05)


@pytest.mark.realdata
def test_negative_scales_are_the_same_model(realdata: Path) -> None:
    """Planet scales latitude by -0.0234: projected here as written, against our form with positive scales."""
    path = realdata / "rpcm-rpc-dialects" / "rpc_PLANET_L1A.txt"
    figures = dict(re.findall(r"^([A-Z_]+(?:_\d+)?):\s*(\S+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    raw = {key: float(value) for key, value in figures.items()}
    lat, lon, height = -32.846, 151.771, 120.0
    p = (lat - raw["LAT_OFF"]) / raw["LAT_SCALE"]
    q = (lon - raw["LONG_OFF"]) / raw["LONG_SCALE"]
    h = (height - raw["HEIGHT_OFF"]) / raw["HEIGHT_SCALE"]
    terms = [1, q, p, h, q * p, q * h, p * h, q * q, p * p, h * h, p * q * h, q**3, q * p * p, q * h * h, q * q * p,
             p**3, p * h * h, q * q * h, p * p * h, h**3]  # fmt: skip

    def project(axis: str) -> float:
        num, den = (
            sum(raw[f"{axis}_{part}_COEFF_{n}"] * terms[n - 1] for n in range(1, 21)) for part in ("NUM", "DEN")
        )
        return num / den * raw[f"{axis}_SCALE"] + raw[f"{axis}_OFF"]

    rpc = read_rpc(path)
    assert rpc.lat_scale > 0
    line, sample = rpc.ground_to_image(lon, lat, height)
    assert (float(line), float(sample)) == pytest.approx((project("LINE") + 0.5, project("SAMP") + 0.5), abs=1e-6)


@pytest.mark.realdata
def test_the_unsupported_one_is_named(realdata: Path, sensors: Mapping[str, SensorConfig]) -> None:
    with pytest.raises(BadInput, match="GDAL virtual raster") as refusal:
        open_delivery(realdata / "rpcm-rpc-dialects" / "rpc_unsupported.xml", sensors=sensors)
    assert refusal.value.kind == "rpc.unsupported"
    assert "DIMAP v2" in (refusal.value.remedy or "")


# file, mission, level, bands, acquired
BARE = [
    ("rpc_WV1.xml", "worldview-1", "sensor", ("pan",), "2017-05-25T13:37:39.990313+00:00"),
    ("rpc_WV2.xml", "worldview-2", "system", ("red", "green", "blue"), "2015-09-30T10:56:56.973685+00:00"),
    ("rpc_SPOT6.xml", "spot-6", "sensor", (), None),
    ("rpc_PLEIADES.xml", "pleiades-1a or pleiades-1b", "sensor", (), None),
    ("JAX_068_001_RGB.json", "unknown", "sensor", (), "2014-10-05T16:01:38+00:00"),
]


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "mission", "level", "bands", "acquired"), BARE)
def test_bare_files_say_what_they_know(realdata: Path, sensors, name, mission, level, bands, acquired) -> None:
    (scene,) = open_delivery(realdata / "rpcm-rpc-dialects" / name, sensors=sensors).scenes
    assert (scene.mission, scene.level, scene.band_names) == (mission, level, bands)
    assert scene.no_pixels is not None
    assert len(scene.footprint) == 4
    if acquired is None:
        assert any("time" in warning for warning in scene.warnings)
    else:
        assert scene.acquired.isoformat() == acquired


@pytest.mark.realdata
def test_worldview_radiance(realdata: Path, sensors) -> None:
    """ABSCALFACTOR / EFFECTIVEBANDWIDTH of the file, by hand: 0.06288518 / 0.372 and so on."""
    (scene,) = open_delivery(realdata / "rpcm-rpc-dialects" / "rpc_WV2.xml", sensors=sensors).scenes
    gains = {band.name: band.calibration.gain for band in scene.bands if band.calibration}
    assert gains == pytest.approx(
        {"red": 0.01103623 / 0.0574, "green": 0.009713071 / 0.063, "blue": 0.01260825 / 0.0543}, rel=1e-9
    )


def _tags(folder: Path) -> dict[str, str]:
    import rasterio

    with rasterio.open(write_dimap_v1(folder).images[0].files[0]) as dataset:
        return dict(dataset.tags(ns="RPC"))


def _forms(tags: dict[str, str]) -> dict[str, str]:
    """One model in the dialects that are written as text."""
    figures = {key: value.split()[0] for key, value in tags.items() if not key.endswith("_COEFF")}
    terms = {key.removesuffix("_COEFF"): value.split() for key, value in tags.items() if key.endswith("_COEFF")}
    txt = [f"{key}: {value} units" for key, value in figures.items()]
    txt += [f"{key}_COEFF_{n}: {value}" for key, values in terms.items() for n, value in enumerate(values, 1)]
    names = {"LINE": "line", "SAMP": "samp", "LAT": "lat", "LONG": "long", "HEIGHT": "height"}
    rpb = ['satId = "X";', "BEGIN_GROUP = IMAGE"]
    for axis, name in names.items():
        rpb += [f"\t{name}Offset = {figures[f'{axis}_OFF']};", f"\t{name}Scale = {figures[f'{axis}_SCALE']};"]
    for key, values in terms.items():
        axis, part = key.lower().split("_")
        rpb.append(f"\t{axis}{part.capitalize()}Coef = (\n" + ",\n".join(f"\t\t{value}" for value in values) + ");")
    short = {"LINE": "row", "SAMP": "col", "LAT": "lat", "LONG": "lon", "HEIGHT": "alt"}
    rpcm: dict[str, object] = {f"{name}_offset": float(figures[f"{axis}_OFF"]) for axis, name in short.items()}
    rpcm |= {f"{name}_scale": float(figures[f"{axis}_SCALE"]) for axis, name in short.items()}
    rpcm |= {f"{short[key[:4]]}_{key[5:].lower()}": [float(value) for value in values] for key, values in terms.items()}
    dimap = "".join(f"<{key}>{value}</{key}>" for key, value in figures.items())
    model = "".join(f"<{key}_COEFF_{n}>{v}</{key}_COEFF_{n}>" for key, vs in terms.items() for n, v in enumerate(vs, 1))
    pneo = (
        "<Dimap_Document><Rational_Function_Model><Global_RFM><ImagetoGround_Values/><GroundtoImage_Values>"
        f"{model}</GroundtoImage_Values><RFM_Validity>{dimap}</RFM_Validity></Global_RFM></Rational_Function_Model>"
        "</Dimap_Document>"
    )
    return {"A_RPC.TXT": "\n".join(txt), "A.RPB": "\n".join(rpb), "A.json": json.dumps({"rpc": rpcm}), "A.XML": pneo}


@pytest.mark.parametrize("name", ["A_RPC.TXT", "A.RPB", "A.json", "A.XML"])
def test_one_model_in_many_dialects(tmp_path: Path, name: str) -> None:
    tags = _tags(tmp_path)
    path = tmp_path / name
    path.write_text(_forms(tags)[name], encoding="utf-8")
    assert read_rpc(path) == rpc_from_tags(tags)


def test_conventions_meet_on_the_ground(kz1: MinimalPackage, kz2: MinimalPackage, sensors) -> None:
    """DIMAP counts from (1, 1), TIFF tags from (0, 0): both must put the same pixel on the ground it was made from."""
    for package in (kz1, kz2):
        for scene, image in zip(open_delivery(package.root, sensors=sensors).scenes, package.images, strict=True):
            assert isinstance(scene.model, Rpc)
            for line, sample, height in ((0.5, 0.5, 900.0), (47.5, 3.25, 1200.0), (20.0, 60.0, 600.0)):
                found = scene.model.image_to_ground(line, sample, height)
                assert tuple(map(float, found)) == pytest.approx(ground_of(image, line, sample, height), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"LINE_OFF": "nan"}, "rpc.nonfinite"),
        ({"SAMP_NUM_COEFF": "1 2 inf " + "0 " * 17}, "rpc.nonfinite"),
        ({"LAT_SCALE": "0"}, "rpc.scale"),
        ({"LINE_SCALE": "-5"}, "rpc.scale"),
        ({"LINE_DEN_COEFF": "1 0 0"}, "rpc.missing"),
        ({"HEIGHT_OFF": "high"}, "rpc.number"),
    ],
)
def test_broken_figures(tmp_path: Path, change: dict[str, str], kind: str) -> None:
    with pytest.raises(BadInput) as refusal:
        rpc_from_tags(_tags(tmp_path) | change)
    assert refusal.value.kind == kind
