"""Hostile archives (rows B01-B11): the whole archive is refused, and nothing of it stays on the disk."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from configs.schema import SensorConfig
from processing.model.errors import BadInput
from processing.readers import unpack as unpacking
from processing.readers.find import open_delivery
from processing.readers.inventory import inventory, package_digest
from processing.readers.unpack import unpack
from processing.testing.minimal import MinimalPackage


def _zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def _zip_twice(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            if name in archive.namelist():
                with pytest.warns(UserWarning, match="Duplicate"):
                    archive.writestr(name, b"x")
            else:
                archive.writestr(name, b"x")
    return path


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def _zip_of_kind(path: Path, file_type: int) -> Path:
    info = zipfile.ZipInfo("package/link")
    info.external_attr = (file_type | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return path


def _zip_with(path: Path, change: Callable[[bytearray], None]) -> Path:
    """A zip of one stored member with its bytes tampered with."""
    _zip(path, {"a.tif": b"A" * 5000, "b.tif": b"B" * 100}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def _encrypted(data: bytearray) -> None:
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark)
        data[at + offset] |= 1


def _declared_smaller(data: bytearray) -> None:
    """Both directories say 100 bytes where 5,000 follow."""
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + offset, 100)


def _overlapping(data: bytearray) -> None:
    """The second entry of the central directory points into the first member."""
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", data, second + 42, 10)


REFUSED: dict[str, tuple[Callable[[Path], Path], set[str]]] = {
    "B01 zip that climbs out": (lambda p: _zip(p, {"ok.txt": b"x", "../../evil": b"x"}), {"path.escape"}),
    "B01 absolute name": (lambda p: _zip(p, {"/etc/cron.d/evil": b"x"}), {"path.escape"}),
    "B01 drive": (lambda p: _zip(p, {"C:evil": b"x"}), {"path.escape"}),
    "B01 backslash": (lambda p: _tar(p, (_member("..\\evil"), b"x")), {"path.escape"}),
    "B01 tar that climbs out": (lambda p: _tar(p, (_member("a/../../evil"), b"x")), {"path.escape"}),
    "B02 link, then a file through it": (
        lambda p: _tar(p, (_member("d", tarfile.SYMTYPE, "/tmp"), b""), (_member("d/evil"), b"x")),
        {"archive.link"},
    ),
    "B02 link in a zip": (lambda p: _zip_of_kind(p, stat.S_IFLNK), {"archive.link"}),
    "B03 hard link": (lambda p: _tar(p, (_member("h", tarfile.LNKTYPE, "/etc/passwd"), b"")), {"archive.link"}),
    "B04 device": (lambda p: _tar(p, (_member("dev", tarfile.CHRTYPE), b"")), {"archive.link"}),
    "B04 pipe": (lambda p: _tar(p, (_member("pipe", tarfile.FIFOTYPE), b"")), {"archive.link"}),
    "B04 setuid": (lambda p: _tar(p, (_member("tool", mode=0o4755), b"x")), {"archive.link"}),
    "B05 zip bomb": (lambda p: _zip(p, {"img.tif": bytes(100 * 2**20)}), {"archive.ratio"}),
    "B05 tar bomb": (lambda p: _tar(p, (_member("img.tif"), bytes(100 * 2**20)), mode="w:gz"), {"archive.ratio"}),
    "B06 nested": (lambda p: _zip(p, {"ok.txt": b"x", "inner.ZIP": b"PK"}), {"archive.nested"}),
    "B06 nested in a tar": (lambda p: _tar(p, (_member("inner.tar.gz"), b"x")), {"archive.nested"}),
    "B07 same name twice": (lambda p: _zip_twice(p, "dup", "dup"), {"archive.duplicate"}),
    "B07 same but for case": (lambda p: _zip(p, {"IMG.TIF": b"x", "img.tif": b"y"}), {"archive.duplicate"}),
    "B07 same but for accents' form": (
        lambda p: _zip(p, {"caf\u00e9.tif": b"x", "cafe\u0301.tif": b"y"}),
        {"archive.duplicate"},
    ),
    "B07 twice in a tar": (lambda p: _tar(p, (_member("a"), b"x"), (_member("A"), b"y")), {"archive.duplicate"}),
    "B08 more than declared": (lambda p: _zip_with(p, _declared_smaller), {"archive.size", "truncated"}),
    "B08 overlapping": (lambda p: _zip_with(p, _overlapping), {"archive.ratio"}),
    "B09 long name": (lambda p: _tar(p, (_member("n" * 4096), b"x")), {"archive.name"}),
    "B09 odd name": (lambda p: _zip(p, {"a\nb.tif": b"x"}), {"archive.name"}),
    "B11 encrypted": (lambda p: _zip_with(p, _encrypted), {"archive.encrypted"}),
    "file and folder of one name": (
        lambda p: _tar(p, (_member("a"), b"x"), (_member("a/b"), b"y")),
        {"archive.duplicate"},
    ),
    "empty": (lambda p: _zip(p, {}), {"archive.empty"}),
}


@pytest.mark.parametrize(("make", "kinds"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_whole(tmp_path: Path, make: Callable[[Path], Path], kinds: set[str]) -> None:
    archive = make(tmp_path / "delivery")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with pytest.raises(BadInput) as refusal:
        unpack(archive, workspace)
    assert refusal.value.kind in kinds
    assert list(workspace.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 50)
    for archive in (
        _zip(tmp_path / "a.zip", {f"f{n}": b"" for n in range(51)}),
        _tar(tmp_path / "a.tar", *((_member(f"f{n}"), b"") for n in range(51))),
    ):
        with pytest.raises(BadInput) as refusal:
            unpack(archive, tmp_path)
        assert refusal.value.kind == "archive.size"


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is written than the limit and one block: declared sizes are not believed, bytes are counted."""
    written = 0
    real = unpacking._write

    def counting(target: Path, blocks) -> None:
        def counted():
            nonlocal written
            for block in blocks:
                written += len(block)
                yield block

        real(target, counted())

    monkeypatch.setattr(unpacking, "_write", counting)
    archive = _zip(tmp_path / "bomb.zip", {"img.tif": bytes(200 * 2**20)})
    with pytest.raises(BadInput):
        unpack(archive, tmp_path)
    assert written <= 200 * archive.stat().st_size + 2**20


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_cut_archives(tmp_path: Path, kz1: MinimalPackage, suffix: str, share: float) -> None:
    """B10: never a package with fewer files."""
    archive = _packed(kz1.root, tmp_path / f"delivery.{suffix}")
    data = archive.read_bytes()
    # The end of a plain tar is padding: a cut there loses nothing.
    cut = int(len(data.rstrip(b"\0")) * share) if suffix == "tar" else int(len(data) * share)
    archive.write_bytes(data[:cut])
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with pytest.raises(BadInput) as refusal:
        unpack(archive, workspace)
    assert refusal.value.kind == "truncated"
    assert list(workspace.iterdir()) == []


def test_a_flipped_bit_in_a_packed_archive(tmp_path: Path, kz1: MinimalPackage) -> None:
    """CRC-32 of zip and gzip is checked to the last byte."""
    for suffix in ("zip", "tar.gz"):
        archive = _packed(kz1.root, tmp_path / f"delivery.{suffix}")
        data = bytearray(archive.read_bytes())
        data[len(data) // 2] ^= 0x10
        archive.write_bytes(data)
        with pytest.raises(BadInput) as refusal:
            unpack(archive, tmp_path)
        assert refusal.value.kind == "truncated"


def test_gzip_checksum_at_the_very_end(tmp_path: Path, kz1: MinimalPackage) -> None:
    archive = _packed(kz1.root, tmp_path / "delivery.tar.gz")
    data = bytearray(archive.read_bytes())
    struct.pack_into("<I", data, len(data) - 8, zlib.crc32(b"something else"))
    archive.write_bytes(data)
    with pytest.raises(BadInput) as refusal:
        unpack(archive, tmp_path)
    assert refusal.value.kind == "truncated"


def _packed(folder: Path, target: Path) -> Path:
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder.parent).as_posix())
    else:
        with tarfile.open(target, "w:gz" if target.suffix == ".gz" else "w") as tar:
            tar.add(folder, folder.name)
    return target


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_an_honest_archive_is_the_folder(
    tmp_path: Path, kz1: MinimalPackage, sensors: Mapping[str, SensorConfig], suffix: str
) -> None:
    """Same files, same digest, same scenes, whatever it is packed in and whatever it is called."""
    archive = _packed(kz1.root, tmp_path / f"delivery.{suffix}")
    archive = archive.rename(tmp_path / "no-suffix")
    assert package_digest(inventory(archive)) == package_digest(inventory(kz1.root))
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    delivery = open_delivery(archive, sensors=sensors, workspace=workspace)
    assert delivery.package == archive
    assert delivery.root.is_relative_to(workspace.resolve())
    folder = open_delivery(kz1.root, sensors=sensors)
    for scene, truth in zip(delivery.scenes, folder.scenes, strict=True):
        assert scene.pixels is not None
        assert truth.pixels is not None
        assert scene.pixels.compute().equals(truth.pixels.compute())
        assert scene == truth


def test_inventory_judges_as_unpacking_does(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "evil.zip", {"ok.txt": b"x", "../evil": b"x"})
    with pytest.raises(BadInput) as refusal:
        inventory(archive)
    assert refusal.value.kind == "path.escape"
