"""Hostile rasters (rows C01-C19): refused before decoding, sidecars ignored, and nothing reads as zeros."""

import struct
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from configs.schema import SensorConfig
from processing.model.errors import BadInput
from processing.model.lazy import counts_array
from processing.readers.find import open_delivery
from processing.readers.pixels import PixelTile, hardened_open, open_source
from processing.readers.raster_header import raster_header
from processing.readers.raster_open import raster_facts
from processing.testing.minimal import MinimalPackage

SHORT, LONG, LONG8 = 3, 4, 16


def _tiff(path: Path, tags: Mapping[int, tuple[int, list[int]]], body: bytes = b"", *, chain: int = 0) -> Path:
    """A little-endian classic TIFF: header, one directory, out-of-line values, then ``body`` at the end."""
    width = {SHORT: 2, LONG: 4}
    code = {SHORT: "H", LONG: "I"}
    extra_at = 8 + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"<{len(values)}{code[kind]}", *values)
        if len(values) * width[kind] <= 4:
            field = data.ljust(4, b"\0")
        else:
            field = struct.pack("<I", extra_at + len(extra))
            extra += data
        entries += struct.pack("<HHI", tag, kind, len(values)) + field
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", chain) + extra + body)
    return path


def _tags(side: int, *, rows: int, offsets: list[int], sizes: list[int], compression: int = 1, bits: int = 8):
    return {
        256: (LONG, [side]),
        257: (LONG, [side]),
        258: (SHORT, [bits]),
        259: (SHORT, [compression]),
        262: (SHORT, [1]),
        273: (LONG, offsets),
        277: (SHORT, [1]),
        278: (LONG, [rows]),
        279: (LONG, sizes),
    }


def _bomb(path: Path) -> Path:
    """400 MB of zeros in one packed strip."""
    packed = zlib.compress(bytes(400 * 2**20), 9)
    return _tiff(path, _tags(20_480, rows=20_480, offsets=[174], sizes=[len(packed)], compression=8), packed)


def _big_sparse(path: Path) -> Path:
    """115 kB that declare 1.3 TB in tiles that are not there."""
    count = 7000
    entries = [(256, LONG, 1, 1_140_000), (257, LONG, 1, 1_140_000), (258, SHORT, 1, 8), (259, SHORT, 1, 1)]
    entries += [(277, SHORT, 1, 1), (322, LONG, 1, 16_384), (323, LONG, 1, 16_384)]
    at = 16 + 8 + 20 * 9 + 8
    entries += [(324, LONG8, count, at), (325, LONG8, count, at)]
    body = b"".join(struct.pack("<HHQQ", *entry) for entry in sorted(entries))
    path.write_bytes(
        b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + struct.pack("<Q", 9) + body + bytes(8) + bytes(8 * count)
    )
    return path


def _plain(path: Path, **changes: object) -> Path:
    profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 50, "dtype": "uint16"} | changes
    counts = np.arange(1, 2001, dtype="uint16").reshape(1, 40, 50)
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.repeat(counts, int(profile["count"]), axis=0).astype(str(profile["dtype"])))  # type: ignore[call-overload]
    return path


def _truncated(path: Path) -> Path:
    _plain(path)
    path.write_bytes(path.read_bytes()[:-400])
    return path


def _circular(path: Path) -> Path:
    return _tiff(path, _tags(4, rows=4, offsets=[200], sizes=[16]), bytes(300), chain=8)


def _many_directories(path: Path) -> Path:
    directory = struct.pack("<H", 0)
    chain = b"".join(directory + struct.pack("<I", 8 + 6 * (n + 1)) for n in range(65_535))
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + chain + directory + struct.pack("<I", 0))
    return path


def _giant_tag(path: Path) -> Path:
    _plain(path)
    data = bytearray(path.read_bytes())
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    size = 100 * 2**20
    entries = bytes(data[at + 2 : at + 2 + 12 * count]) + struct.pack("<HHII", 42112, 2, size, len(data))
    directory_at = len(data) + size
    with path.open("r+b") as file:
        file.seek(directory_at)
        file.write(struct.pack("<H", count + 1) + entries + struct.pack("<I", 0))
        file.seek(4)
        file.write(struct.pack("<I", directory_at))
    return path


def _jp2(path: Path, **fields: int) -> Path:
    """A bare JPEG 2000 codestream header with chosen figures."""
    siz = {"x1": 64, "y1": 64, "x0": 0, "y0": 0, "tw": 64, "th": 64, "tx": 0, "ty": 0, "bands": 1} | fields
    bands = siz.pop("bands")
    body = struct.pack(">HH8IH", 38 + 3 * bands, 0, *siz.values(), bands) + b"\x0f\x01\x01" * min(bands, 20_000)
    path.write_bytes(b"\xff\x4f\xff\x51" + body + b"\xff\x90" + struct.pack(">HHI", 10, 0, 14) + b"\0\x01\xff\xd9")
    return path


def _jp2_broken_chain(path: Path) -> Path:
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=1, height=256, width=256, dtype="uint16", BLOCKXSIZE=64, BLOCKYSIZE=64
    ) as dataset:
        dataset.write(np.random.default_rng(0).integers(0, 4000, (1, 256, 256), dtype="uint16"))
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\x90\x00\x0a")
    (length,) = struct.unpack_from(">I", data, at + 6)
    struct.pack_into(">I", data, at + 6, length + 3)
    path.write_bytes(data)
    return path


def _text(content: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_text(content, encoding="utf-8")
        return path

    return make


_VRT = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">{}</VRTRasterBand>'
    "</VRTDataset>"
)
_RAW = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
    '<SourceFilename relativetoVRT="0">/etc/passwd</SourceFilename></VRTRasterBand></VRTDataset>'
)


def _giant(path: Path) -> Path:
    """300 bytes that declare 2^31 pixels a side in one strip."""
    return _tiff(path, _tags(2**31 - 1, rows=2**31 - 1, offsets=[8], sizes=[8]))


def _palette(path: Path) -> Path:
    return _tiff(path, _tags(4, rows=4, offsets=[200], sizes=[16]) | {262: (SHORT, [3])}, bytes(300))


HOSTILE: dict[str, tuple[Callable[[Path], Path], set[str]]] = {
    "C01 virtual raster": (
        _text(_VRT.format("<SimpleSource><SourceFilename>/srv/other.tif</SourceFilename></SimpleSource>")),
        {"magic.mismatch"},
    ),
    "C03 raw band of a system file": (_text(_RAW), {"magic.mismatch"}),
    "C10 2^31 square": (
        lambda p: _tiff(p, _tags(2**31 - 1, rows=2**31 - 1, offsets=[8], sizes=[8])),
        {"raster.too_large"},
    ),
    "C11 sparse and big": (_big_sparse, {"raster.too_large"}),
    "C12 packed zeros": (_bomb, {"raster.ratio", "raster.too_large"}),
    "C13 circular": (_circular, {"raster.corrupt"}),
    "C13 65,535 directories": (_many_directories, {"raster.corrupt"}),
    "C13 directory past the end": (_text("II*\0\x7f\x7f\x7f\x7f"), {"truncated"}),
    "C14 last strips missing": (_truncated, {"truncated"}),
    "C15 strip of size 0": (
        lambda p: _tiff(p, _tags(4, rows=4, offsets=[300], sizes=[0]), bytes(400)),
        {"raster.sparse"},
    ),
    "C15 strip beyond the end": (
        lambda p: _tiff(p, _tags(4, rows=4, offsets=[300], sizes=[10**6]), bytes(400)),
        {"truncated"},
    ),
    "C15 strip too small": (
        lambda p: _tiff(p, _tags(40, rows=40, offsets=[300], sizes=[16]), bytes(4000)),
        {"raster.corrupt"},
    ),
    "C15 strips missing in number": (
        lambda p: _tiff(p, _tags(40, rows=10, offsets=[300, 700], sizes=[400, 400]), bytes(4000)),
        {"raster.corrupt"},
    ),
    "C16 2^32 tiles": (lambda p: _jp2(p, x1=2**17, y1=2**17, tw=1, th=1), {"raster.too_large", "raster.ratio"}),
    "C16 16,384 components": (lambda p: _jp2(p, bands=16_384), {"raster.too_large"}),
    "C16 impossible SIZ": (lambda p: _jp2(p, x0=64), {"raster.corrupt"}),
    "C16 no tile width": (lambda p: _jp2(p, tw=0), {"raster.corrupt"}),
    "C16 wrong tile length": (_jp2_broken_chain, {"truncated"}),
    "C17 metadata tag of 100 MB": (_giant_tag, {"raster.too_large"}),
    "C19 complex": (lambda p: _plain(p, dtype="complex64"), {"dtype"}),
    "C19 palette": (
        lambda p: _tiff(p, _tags(4, rows=4, offsets=[200], sizes=[16]) | {262: (SHORT, [3])}, bytes(300)),
        {"dtype"},
    ),
    "not a raster": (_text("hello"), {"magic.mismatch"}),
}


@pytest.mark.parametrize(("make", "kinds"), HOSTILE.values(), ids=HOSTILE.keys())
def test_refused_before_decoding(tmp_path: Path, make: Callable[[Path], Path], kinds: set[str]) -> None:
    suffix = ".jp2" if "jp2" in getattr(make, "__name__", "") else ".TIF"
    path = make(tmp_path / f"IMG{suffix}").resolve()
    start = time.perf_counter()
    with pytest.raises(BadInput) as refusal:
        open_source([PixelTile(path=path)])
    assert refusal.value.kind in kinds
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("name", ["C01 virtual raster", "C03 raw band of a system file"])
def test_a_virtual_raster_in_a_package(kz1: MinimalPackage, sensors: Mapping[str, SensorConfig], name: str) -> None:
    HOSTILE[name][0](kz1.images[0].files[0])
    with pytest.raises(BadInput) as refusal:
        open_delivery(kz1.root, sensors=sensors)
    assert refusal.value.kind == "magic.mismatch"


NETWORK = {
    "C02 IMG.TIF": '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    "<SourceFilename>/vsicurl/http://127.0.0.1:{port}/x.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>",
    "C04 IMG.JP2": '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:{port}/${{z}}.png</ServerUrl></Service>'
    "</GDAL_WMS>",
}


@pytest.mark.parametrize(("name", "content"), NETWORK.items())
def test_nobody_is_called(tmp_path: Path, listener, sensors, name: str, content: str) -> None:
    path = tmp_path / name.split()[1]
    path.write_text(content.format(port=listener.port), encoding="utf-8")
    with pytest.raises(BadInput) as refusal:
        open_delivery(path, sensors=sensors)
    assert refusal.value.kind == "magic.mismatch"
    assert listener.calls == []


def _pam(overview: str) -> str:
    return (
        "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>"
        f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{overview}</MDI></Metadata></PAMDataset>'
    )


def test_sidecars_are_neither_read_nor_called(tmp_path: Path, listener) -> None:
    """C05-C08: overviews, masks and georeference beside the file are another's word; the file's own counts."""
    image = _plain(
        tmp_path / "IMG.TIF", crs="EPSG:32643", transform=rasterio.transform.from_origin(600_000, 4_790_000, 4, 4)
    )
    foreign = _plain(tmp_path / "foreign.tif")
    with rasterio.open(foreign, "r+") as dataset:
        dataset.write(np.full((1, 40, 50), 99, dtype="uint16"))
    vrt = (
        '<VRTDataset rasterXSize="25" rasterYSize="20"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{foreign}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    for overview in (str(foreign), f"/vsicurl/http://127.0.0.1:{listener.port}/ovr.tif"):
        (tmp_path / "IMG.TIF.aux.xml").write_text(_pam(overview), encoding="utf-8")
        (tmp_path / "IMG.TIF.ovr").write_text(vrt, encoding="utf-8")
        (tmp_path / "IMG.TIF.msk").write_text(vrt, encoding="utf-8")
        facts = raster_facts(image)
        assert facts.crs == "EPSG:32643"
        assert facts.transform is not None
        assert facts.transform.c == 600_000
        with hardened_open(image) as dataset:
            assert [Path(name).name for name in dataset.files] == ["IMG.TIF"]
            decimated = dataset.read(1, out_shape=(20, 25), resampling=Resampling.nearest)
        assert not (decimated == 99).any()
        whole = counts_array(open_source([PixelTile(path=image)])).compute().values
        np.testing.assert_array_equal(whole[0], np.arange(1, 2001).reshape(40, 50))
    assert listener.calls == []


@pytest.mark.parametrize("name", ["<VRTDataset/>", "http://127.0.0.1/x.tif", "/vsistdin/", "zip://x.zip!y", "s3://b/k"])
def test_only_paths_of_files_are_opened(name: str) -> None:
    """C09: GDAL reads documents and addresses out of strings, so strings do not get there."""
    for asked in (name, Path(name)):
        with pytest.raises(BadInput) as refusal, hardened_open(asked):  # type: ignore[arg-type]
            pass
        assert refusal.value.kind == "path.type"


def test_a_link_is_not_a_file_of_the_package(tmp_path: Path) -> None:
    image = _plain(tmp_path / "IMG.TIF")
    link = tmp_path / "LINK.TIF"
    link.symlink_to(image)
    with pytest.raises(BadInput) as refusal, hardened_open(link):
        pass
    assert refusal.value.kind == "path.type"


def test_twelve_bits_are_unpacked(tmp_path: Path) -> None:
    """C19: NBITS=12 stores three bytes for two samples; the counts come out as they went in."""
    path = tmp_path / "IMG.TIF"
    counts = np.random.default_rng(3).integers(0, 4096, (1, 33, 47), dtype="uint16")
    with rasterio.open(path, "w", driver="GTiff", count=1, height=33, width=47, dtype="uint16", NBITS=12) as dataset:
        dataset.write(counts)
    assert raster_header(path).bits == 12
    np.testing.assert_array_equal(counts_array(open_source([PixelTile(path=path)], bits=12)).compute().values, counts)


def test_data_damaged_inside_is_an_error_when_computed(tmp_path: Path) -> None:
    """The header may be whole and a packed strip not: an error then, and never zeros."""
    path = _plain(tmp_path / "IMG.TIF", compress="deflate", height=40)
    tags = raster_header(path)
    assert tags.compressed
    data = bytearray(path.read_bytes())
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1))
    data[offset : offset + 40] = b"\xaa" * 40
    path.write_bytes(data)
    lazy = counts_array(open_source([PixelTile(path=path)]))
    with pytest.raises(BadInput) as refusal:
        lazy.compute(scheduler="synchronous")
    assert refusal.value.kind == "truncated"


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    """E07: a transfer that is still under way."""
    path = _plain(tmp_path / "IMG.TIF")
    lazy = counts_array(open_source([PixelTile(path=path)]))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadInput) as refusal:
        lazy.compute(scheduler="synchronous")
    assert refusal.value.kind == "file.changed"


def test_headers_agree_with_gdal(realdata_rasters: list[Path]) -> None:
    """Our reading of headers against GDAL's, on every real TIFF and JPEG 2000 at hand."""
    assert len(realdata_rasters) > 30
    for path in realdata_rasters:
        with rasterio.open(path) as dataset:
            truth = (dataset.driver, dataset.height, dataset.width, dataset.count)
        header = raster_header(path)
        assert (header.driver, header.lines, header.samples, header.bands) == truth


@pytest.fixture
def realdata_rasters(realdata: Path) -> list[Path]:
    # Masks of Sentinel-2 hold one value over 100 million pixels: by design they unpack to 17,000 times their size.
    candidates = [
        path
        for path in sorted(realdata.rglob("*"))
        if path.suffix.lower() in {".tif", ".jp2"} and "QI_DATA" not in path.parts and path.stat().st_size > 200
    ]
    return [path for path in candidates if path.read_bytes()[:2] in (b"II", b"MM", b"\0\0")][:80]
