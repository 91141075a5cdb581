"""Damaged at random: whatever the bytes, a reader answers with a value or with BadInput, never otherwise."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.model.errors import BadInput
from processing.readers.dimap_xml import read_xml, safe_href
from processing.readers.raster_header import raster_header
from processing.readers.rpc_files import read_rpc
from processing.testing.minimal import write_dimap_v2

_MANY = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
_DAMAGE = st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)


def _damaged(data: bytes, damage: list[tuple[int, bytes]], cut: int, reach: int) -> bytes:
    changed = bytearray(data)
    for at, patch in damage:
        start = at % min(len(changed), reach)
        changed[start : start + len(patch)] = patch
    return bytes(changed[: max(1, len(changed) - cut)])


@pytest.fixture(scope="module", params=["GTiff", "JP2OpenJPEG"])
def raster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "image"
    with rasterio.open(path, "w", driver=request.param, count=2, height=64, width=64, dtype="uint16") as dataset:
        dataset.write(np.random.default_rng(1).integers(0, 4000, (2, 64, 64), dtype="uint16"))
    return path.read_bytes()


@_MANY
@given(damage=_DAMAGE, cut=st.integers(0, 200))
def test_raster_headers(tmp_path: Path, raster: bytes, damage: list[tuple[int, bytes]], cut: int) -> None:
    path = tmp_path / "image"
    path.write_bytes(_damaged(raster, damage, cut, reach=400))
    try:
        header = raster_header(path)
    except BadInput:
        return
    assert header.lines > 0
    assert header.samples > 0


@_MANY
@given(data=st.binary(max_size=300))
def test_raster_headers_from_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "image"
    for magic in (b"", b"II*\0\x08\0\0\0", b"MM\0+\0\x08\0\0", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"):
        path.write_bytes(magic + data)
        with pytest.raises(BadInput):
            raster_header(path)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    package = write_dimap_v2(tmp_path_factory.mktemp("fuzz"))
    document = package.images[0].document
    return document.read_bytes(), document.with_name(document.name.replace("DIM_", "RPC_")).read_bytes()


@_MANY
@given(damage=_DAMAGE, cut=st.integers(0, 3000))
def test_documents(tmp_path: Path, documents: tuple[bytes, bytes], damage: list[tuple[int, bytes]], cut: int) -> None:
    for data, read in ((documents[0], read_xml), (documents[1], read_rpc)):
        path = tmp_path / "document.xml"
        path.write_bytes(_damaged(data, damage, cut if cut % 2 else 0, reach=10**6))
        try:
            read(path)
        except BadInput:
            continue


@_MANY
@given(text=st.text(max_size=400))
def test_rpc_files_of_any_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "A_RPC.TXT"
    for head in ("", "LINE_NUM_COEFF_1: 1\n", "lineNumCoef = (", "{", '{"rpc": {"row_num": ', "<isd><RPB><IMAGE>"):
        path.write_text(head + text, encoding="utf-8")
        with pytest.raises(BadInput):
            read_rpc(path)


@_MANY
@given(href=st.text(alphabet="ab./\\:~\0 C%2e\n", max_size=12))
def test_references_stay_inside(tmp_path: Path, href: str) -> None:
    root = tmp_path / "package"
    (root / "a").mkdir(parents=True, exist_ok=True)
    try:
        target = safe_href(root, root / "a", href)
    except BadInput:
        return
    assert target.is_relative_to(root.resolve())
    assert target != root.resolve()
