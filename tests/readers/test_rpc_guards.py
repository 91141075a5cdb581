"""Sensor models that their own delivery contradicts, and RPC texts of any kind: refused in words, never a crash."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.schema import SensorConfig
from pipelines.inspect import package_info
from processing.geometry.compare import compare_models
from processing.geometry.corners import Corner
from processing.geometry.guards import check_model
from processing.model.errors import BadInput
from processing.readers.dimap_xml import read_xml
from processing.readers.find import open_delivery
from processing.readers.rpc_files import read_rpc_document, rpc_from_tags
from processing.testing.minimal import MinimalPackage, write_dimap_v1

PHR_SEN = "terradue-stars/AIRBUS/PLEIADES/ORT/data/5897098101/IMG_PHR1A_MS_002"


def _kind(package: Path, sensors: Mapping[str, SensorConfig]) -> str:
    with pytest.raises(BadInput) as refusal:
        open_delivery(package, sensors=sensors)
    assert refusal.value.message
    return refusal.value.kind


def _edit(path: Path, pattern: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(pattern, text), pattern
    path.write_text(re.sub(pattern, new, text), encoding="utf-8")


def _numbers(text: str, tag: str, change: float) -> str:
    return re.sub(rf"(<{tag}>)([^<]+)", lambda found: f"{found[1]}{float(found[2]) + change!r}", text)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("shift", "kind"), [((0.0, 0.0), None), ((1.0, 1.0), "rpc.shifted"), ((0.5, 0.0), "rpc.shifted")]
)
def test_a_file_whose_halves_differ_by_a_pixel(realdata: Path, tmp_path: Path, sensors, shift, kind) -> None:
    """A SPOT 6 file as it is; and with the sample or line of its inverse moved by what miscounting moves it by."""
    text = (realdata / "rpcm-rpc-dialects" / "rpc_SPOT6.xml").read_text(encoding="utf-8")
    figures = {name: float(re.search(rf"<{name}>([^<]+)", text)[1]) for name in ("LINE_SCALE", "SAMP_SCALE")}  # type: ignore[index]
    start = text.index("<Inverse_Model>")
    head, inverse, tail = text[:start], *text[start:].partition("</Inverse_Model>")[::2]
    for axis, pixels in zip(("LINE", "SAMP"), shift, strict=True):
        # numerator + c * denominator is the same fraction plus c, and c is in normalised pixels
        for term in range(1, 21):
            found = re.search(rf"<{axis}_DEN_COEFF_{term}>([^<]+)", inverse)
            assert found
            change = pixels / figures[f"{axis}_SCALE"] * float(found[1])
            inverse = _numbers(inverse, f"{axis}_NUM_COEFF_{term}", change)
    path = tmp_path / "RPC_SPOT6.XML"
    path.write_text(f"{head}{inverse}</Inverse_Model>{tail}", encoding="utf-8")
    if kind is None:
        assert open_delivery(path, sensors=sensors).scenes[0].model is not None
    else:
        assert _kind(path, sensors) == kind


@pytest.mark.realdata
def test_the_halves_of_real_files_agree(realdata: Path) -> None:
    files = [*realdata.glob("terradue-stars/AIRBUS/*/*/data/*/*/RPC_*.XML"), *realdata.glob("shareloc*/RPC_*.XML")]
    files += [realdata / "rpcm-rpc-dialects" / f"rpc_{name}.xml" for name in ("PLEIADES", "SPOT6")]
    assert len(files) >= 4
    for path in files:
        found = read_rpc_document(path)
        assert found.direct is not None
        assert found.domain is not None
        shape = (round(found.domain.line[1]), round(found.domain.sample[1]))
        low, high = (found.rpc.height_off + sign * found.rpc.height_scale for sign in (-1, 1))
        differ = compare_models(found.rpc, found.direct, shape, (low, high))
        assert differ is not None
        assert differ.max_px < 0.03
        assert check_model(found.rpc, shape=shape, direct=found.direct, domain=found.domain) == ()


@pytest.mark.realdata
def test_corners_cannot_show_a_pixel(realdata: Path) -> None:
    """Why no shift is concluded from corners: across the line of sight a real product's miss its RPC by half a line."""
    (document_path,) = (realdata / PHR_SEN).glob("DIM_*.XML")
    (rpc_path,) = (realdata / PHR_SEN).glob("RPC_*.XML")
    document, rpc = read_xml(document_path), read_rpc_document(rpc_path).rpc
    vertices = document.all("Dataset_Content/Dataset_Extent/Vertex")
    for vertex in vertices:
        heights = np.linspace(0.0, 1500.0, 3001)
        line, sample = rpc.ground_to_image(vertex.number("LON"), vertex.number("LAT"), heights)
        line, sample = line - (vertex.number("ROW") - 0.5), sample - (vertex.number("COL") - 0.5)
        nearest = np.argmin(np.hypot(line, sample))
        assert np.hypot(line[nearest], sample[nearest]) == pytest.approx(0.51, abs=0.05)
    corners = tuple(Corner(lon=v.number("LON"), lat=v.number("LAT")) for v in vertices)
    for pixels in (-1.0, -0.5, 0.5, 1.0):
        moved = replace(rpc, line_off=rpc.line_off + pixels, sample_off=rpc.sample_off + pixels)
        assert check_model(moved, shape=(3792, 8207), corners=corners) == ()


@pytest.mark.realdata
def test_every_real_image_with_an_rpc_passes_without_a_word(realdata: Path, sensors) -> None:
    images = [*realdata.glob("s2p-phr-marseille/img_*.tif"), *realdata.glob("quickbird2/*.tif")]
    models = 0
    for image in images:
        scene = open_delivery(image, sensors=sensors, pixels=False).scenes[0]
        if scene.model is not None:
            models += 1
            assert not [warning for warning in scene.warnings if "RPC" in warning or "model" in warning]
    assert models >= 4


def _tagged(folder: Path) -> tuple[Path, dict[str, str]]:
    """An image with RPC tags and nothing beside it, and those tags."""
    delivered = write_dimap_v1(folder / "delivered").images[0].files[0]
    image = folder / "alone" / "image.tif"
    image.parent.mkdir()
    image.write_bytes(delivered.read_bytes())
    with rasterio.open(image) as dataset:
        return image, dict(dataset.tags(ns="RPC"))


def _beside(image: Path, tags: dict[str, str], line: float, sample: float) -> None:
    """The same RPC as a _RPC.TXT file, its image moved."""
    figures = {key: value.split()[0] for key, value in tags.items() if not key.endswith("_COEFF")}
    figures["LINE_OFF"] = repr(float(figures["LINE_OFF"]) + line)
    figures["SAMP_OFF"] = repr(float(figures["SAMP_OFF"]) + sample)
    terms = {f"{key}_{n}": v for key in tags if key.endswith("_COEFF") for n, v in enumerate(tags[key].split(), 1)}
    text = "\n".join(f"{key}: {value}" for key, value in (figures | terms).items())
    image.with_name(f"{image.stem}_RPC.TXT").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "sample", "kind"),
    [(0.0, 0.0, None), (1.0, 1.0, "rpc.shifted"), (0.0, -0.5, "rpc.shifted"), (512.0, 100.0, "warning")],
)
def test_tags_and_the_file_beside_them(tmp_path: Path, sensors, line, sample, kind) -> None:
    image, tags = _tagged(tmp_path)
    _beside(image, tags, line, sample)
    if kind == "rpc.shifted":
        assert _kind(image.parent, sensors) == kind
        with pytest.raises(BadInput) as refusal:
            package_info(image.parent, None)
        assert refusal.value.kind == kind
        return
    scene = open_delivery(image.parent, sensors=sensors).scenes[0]
    assert scene.model == rpc_from_tags(tags)
    assert any("the tags are followed" in warning for warning in scene.warnings) is (kind == "warning")


@pytest.mark.parametrize(
    ("pattern", "new", "kind"),
    [
        (r"(<LAT_OFF>)[^<]+", r"\g<1>43.75", "rpc.inconsistent"),
        (r"(<ROW_DEN_COEFF_1>)[^<]+", r"\g<1>0", "rpc.singular"),
        (r"(<ROW_DEN_COEFF_2>)[^<]+", r"\g<1>-1.9", "rpc.singular"),
        (r"(<HEIGHT_SCALE>)[^<]+", r"\g<1>0", "rpc.scale"),
        (r"(<LON_OFF>)([^<]+)(.*?<LAT_OFF>)([^<]+)", r"\1\4\3\2", "rpc.swapped_axes"),
    ],
)
def test_a_package_with_a_bad_model(kz1: MinimalPackage, sensors, pattern: str, new: str, kind: str) -> None:
    path = next(kz1.root.rglob("RPC_DZHR1_MS*"))
    _edit(path, f"(?s){pattern}", new)
    assert _kind(kz1.root, sensors) == kind


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One good model in three dialects."""
    _, tags = _tagged(tmp_path_factory.mktemp("texts"))
    figures = {key: value.split()[0] for key, value in tags.items() if not key.endswith("_COEFF")}
    terms = {f"{key}_{n}": v for key in tags if key.endswith("_COEFF") for n, v in enumerate(tags[key].split(), 1)}
    validity = "".join(f"<{key}>{value}</{key}>" for key, value in figures.items())
    model = "".join(f"<{key}>{value}</{key}>" for key, value in terms.items())
    short = {"LINE": "row", "SAMP": "col", "LAT": "lat", "LONG": "lon", "HEIGHT": "alt"}
    rpcm: dict[str, object] = {
        f"{name}_{long}": float(figures[f"{axis}_{end}"])
        for axis, name in short.items()
        for long, end in (("offset", "OFF"), ("scale", "SCALE"))
    }
    for key in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN"):
        rpcm[f"{short[key[:4]]}_{key[5:].lower()}"] = [float(terms[f"{key}_COEFF_{n}"]) for n in range(1, 21)]
    return {
        "A_RPC.TXT": "\n".join(f"{key}: {value}" for key, value in (figures | terms).items()),
        "A.json": json.dumps({"rpc": rpcm}),
        "RPC_A.XML": (
            "<Dimap_Document><Rational_Function_Model><Global_RFM>"
            f"<Direct_Model>{model}</Direct_Model><Inverse_Model>{model}</Inverse_Model>"
            "<RFM_Validity><Direct_Model_Validity_Domain><FIRST_ROW>1</FIRST_ROW><FIRST_COL>1</FIRST_COL>"
            "<LAST_ROW>48</LAST_ROW><LAST_COL>64</LAST_COL></Direct_Model_Validity_Domain>"
            f"{validity}</RFM_Validity></Global_RFM></Rational_Function_Model></Dimap_Document>"
        ),
    }


_NUMBER = re.compile(r"-?\d+\.?\d*(?:[eE][-+]?\d+)?")
garbage = st.one_of(
    st.floats().map(repr),
    st.sampled_from(["0", "-0", "1e308", "-1e308", "1e-320", "NaN", "inf", "", "1,5", "0x1p3", "٣", "<", "1_0"]),
    st.text(max_size=6),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["A_RPC.TXT", "A.json", "RPC_A.XML"]),
    st.lists(st.tuples(st.integers(0, 10**6), garbage), min_size=1, max_size=4),
)
def test_garbage_in_an_rpc_text_never_crashes(tmp_path: Path, sensors, texts, name, changes) -> None:
    text = texts[name]
    for place, value in changes:
        numbers = list(_NUMBER.finditer(text))
        if not numbers:
            break
        found = numbers[place % len(numbers)]
        text = f"{text[: found.start()]}{value}{text[found.end() :]}"
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(BadInput):
        scene = open_delivery(path, sensors=sensors).scenes[0]
        assert np.isfinite(np.array(scene.footprint)).all()
