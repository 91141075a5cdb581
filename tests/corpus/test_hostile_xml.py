"""Hostile metadata (rows A01-A12): refused quickly, with a stable kind, and nothing of it leaks."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from configs.schema import SensorConfig
from processing.model.errors import BadInput
from processing.readers.dimap_xml import find_href, read_xml, safe_href
from processing.readers.find import open_delivery
from processing.testing.minimal import MinimalPackage

_PLAIN = "<?xml version='1.0'?>\n<Dimap_Document><Metadata_Identification/></Dimap_Document>"


def _laughs() -> str:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE d [<!ENTITY l0 "ha">{levels}]><Dimap_Document>&l11;</Dimap_Document>'


HOSTILE = {
    "A01 billion laughs": (_laughs(), "xml.dtd_forbidden"),
    "A02 quadratic blow-up": (
        f'<!DOCTYPE d [<!ENTITY a "{"x" * 100_000}">]><Dimap_Document>{"&a;" * 10_000}</Dimap_Document>',
        "xml.dtd_forbidden",
    ),
    "A03 external entity": (
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Dimap_Document>&x;</Dimap_Document>',
        "xml.dtd_forbidden",
    ),
    "A05 XInclude": (
        (
            '<Dimap_Document xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="/etc/passwd" parse="text"/>'
            "</Dimap_Document>"
        ),
        "schema",
    ),
    "A06 200,000 deep": ("<Dimap_Document>" + "<a>" * 200_000 + "</a>" * 200_000 + "</Dimap_Document>", "xml.depth"),
    "A07 300,000 attributes": (
        "<Dimap_Document " + " ".join(f'a{n}="1"' for n in range(300_000)) + "/>",
        "xml.size",
    ),
    "A07 300,000 elements": ("<Dimap_Document>" + "<a/>" * 300_000 + "</Dimap_Document>", "xml.size"),
    "A08 NUL": ("<Dimap_Document>\0</Dimap_Document>", "xml.malformed"),
    "A08 no such encoding": ('<?xml version="1.0" encoding="UTF-7"?><Dimap_Document/>', "xml.malformed"),
    "cut in the middle": (_PLAIN[:-20], "xml.malformed"),
    "empty": ("", "xml.malformed"),
}


@pytest.mark.parametrize(("text", "kind"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_documents(tmp_path: Path, text: str, kind: str) -> None:
    path = tmp_path / "DIM_HOSTILE.XML"
    path.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(BadInput) as refusal:
        read_xml(path)
    assert refusal.value.kind == kind
    assert "root:" not in str(refusal.value)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("name", ["A01 billion laughs", "A02 quadratic blow-up", "A03 external entity"])
def test_a_package_with_a_document_type_is_refused_at_the_door(
    kz1: MinimalPackage, sensors: Mapping[str, SensorConfig], name: str
) -> None:
    """Whichever document it hides in, and whoever would have read it."""
    (kz1.root / "VOL_DZHR1_001" / "DZHR1_VOL.XML").write_text(HOSTILE[name][0], encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(BadInput) as refusal:
        open_delivery(kz1.root, sensors=sensors)
    assert refusal.value.kind == "xml.dtd_forbidden"
    assert time.perf_counter() - start < 1


def test_a_large_document_is_not_even_parsed(tmp_path: Path) -> None:
    path = tmp_path / "DIM_LARGE.XML"
    with path.open("wb") as file:
        file.write(b"<Dimap_Document>")
        file.truncate(50 * 2**20)
    with pytest.raises(BadInput) as refusal:
        read_xml(path)
    assert refusal.value.kind == "xml.size"


def test_external_document_type_reaches_nobody(tmp_path: Path, listener) -> None:
    path = tmp_path / "DIM_A04.XML"
    path.write_text(f'<!DOCTYPE d SYSTEM "http://127.0.0.1:{listener.port}/d.dtd"><Dimap_Document/>', encoding="utf-8")
    with pytest.raises(BadInput) as refusal:
        read_xml(path)
    assert refusal.value.kind == "xml.dtd_forbidden"
    assert listener.calls == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings_are_read_alike(tmp_path: Path, encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    path = tmp_path / "DIM.XML"
    path.write_text(f'<?xml version="1.0" encoding="{declared}"?><D><NAME>Pléiades</NAME></D>', encoding=encoding)
    assert read_xml(path).text("NAME") == "Pléiades"


def test_wrongly_declared_encoding_is_refused_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "DIM.XML"
    path.write_bytes('<?xml version="1.0" encoding="UTF-8"?><D><NAME>Pléiades</NAME></D>'.encode("latin-1"))
    with pytest.raises(BadInput) as refusal:
        read_xml(path)
    assert refusal.value.kind == "xml.malformed"


ESCAPES = [
    "../x.tif",
    "../../x.tif",
    "a/../../x.tif",
    "a/../b.tif",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1/x.tif",
    "/vsicurl/http://127.0.0.1/x.tif",
    "vsizip:x.zip",
    "C:\\x.tif",
    "C:/x.tif",
    "\\\\host\\share\\x.tif",
    "a\\b.tif",
    "x.tif\0.jpg",
    "x.tif.",
    "a./x.tif",
    " x.tif",
    "x\n.tif",
    "a//b.tif",
    "",
    ".",
    "./",
    "x" * 2000,
]


@pytest.mark.parametrize("href", ESCAPES)
def test_references_that_leave_the_package(tmp_path: Path, href: str) -> None:
    with pytest.raises(BadInput) as refusal:
        safe_href(tmp_path, tmp_path, href)
    assert refusal.value.kind == "path.escape"


def test_references_through_links_that_leave_the_package(tmp_path: Path) -> None:
    root = tmp_path / "package"
    root.mkdir()
    (root / "inner").symlink_to(tmp_path)
    with pytest.raises(BadInput) as refusal:
        safe_href(root, root, "inner/secret.tif")
    assert refusal.value.kind == "path.escape"


def test_references_inside_the_package(tmp_path: Path) -> None:
    (tmp_path / "IMG" / "LINEAGE").mkdir(parents=True)
    (tmp_path / "IMG" / "LINEAGE" / "STRIP.XML").touch()
    assert safe_href(tmp_path, tmp_path / "IMG", "./a/b.tif") == (tmp_path / "IMG/a/b.tif").resolve()
    # Pleiades leaves the folder out of its hrefs.
    assert find_href(tmp_path, tmp_path / "IMG", "STRIP.XML").name == "STRIP.XML"
    assert find_href(tmp_path, tmp_path / "IMG", "STRIP.XML").is_file()


@pytest.mark.parametrize("href", ["../../../../secret.tif", "/etc/passwd", "file:///etc/passwd"])
def test_image_reference_of_a_package_that_leaves_it(
    kz1: MinimalPackage, sensors: Mapping[str, SensorConfig], href: str
) -> None:
    document, image = kz1.images[0].document, kz1.images[0].files[0]
    (kz1.root.parent / "secret.tif").write_bytes(image.read_bytes())
    document.write_text(document.read_text(encoding="utf-8").replace(f'href="{image.name}"', f'href="{href}"'))
    with pytest.raises(BadInput) as refusal:
        open_delivery(kz1.root, sensors=sensors)
    assert refusal.value.kind == "path.escape"


def test_a_link_in_a_package_is_refused(kz1: MinimalPackage, sensors: Mapping[str, SensorConfig]) -> None:
    (kz1.root / "notes.txt").symlink_to("/etc/passwd")
    with pytest.raises(BadInput) as refusal:
        open_delivery(kz1.root, sensors=sensors)
    assert refusal.value.kind == "package.link"


@pytest.mark.realdata
def test_manifest_rules_of_safe(realdata: Path, tmp_path: Path, sensors: Mapping[str, SensorConfig]) -> None:
    """A11 and A12, on a copy of a real product's documents."""
    source = next((realdata / "terradue-stars/ESA/SENTINEL-2/L1C/data").iterdir())
    root = tmp_path / source.name
    for path in source.rglob("*"):
        target = root / path.relative_to(source)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.name in {"manifest.safe", "MTD_MSIL1C.xml", "MTD_TL.xml"}:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    manifest = root / "manifest.safe"
    text = manifest.read_text(encoding="utf-8")
    assert open_delivery(root, sensors=sensors).scenes[0].no_pixels is not None
    manifest.write_text(text.replace("_B04.jp2", "_B99.jp2"), encoding="utf-8")
    with pytest.raises(BadInput) as refusal:
        open_delivery(root, sensors=sensors)
    assert refusal.value.kind == "manifest.unlisted"
    start = text.index("<dataObject ")
    entry = text[start : text.index("</dataObject>", start) + len("</dataObject>")]
    manifest.write_text(text.replace(entry, entry + entry, 1), encoding="utf-8")
    with pytest.raises(BadInput) as refusal:
        open_delivery(root, sensors=sensors)
    assert refusal.value.kind == "manifest.duplicate"
