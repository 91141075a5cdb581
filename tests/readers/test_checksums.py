"""Checksum lists in packages (rows C23 and C24)."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.model.errors import BadInput
from processing.readers.checksums import verify_checksums, verify_delivery
from processing.readers.find import open_delivery
from processing.readers.inventory import inventory
from processing.testing.minimal import MinimalPackage


def _listed(package: MinimalPackage, algorithm: str = "sha256", **form: str) -> Path:
    """A list over every file, written here with hashlib."""
    lines = []
    for path in sorted(path for path in package.root.rglob("*") if path.is_file()):
        digest = hashlib.new(algorithm, path.read_bytes()).hexdigest()
        digest = digest.upper() if form.get("case") == "upper" else digest
        lines.append(f"{digest} {form.get('mark', ' ')}{path.relative_to(package.root).as_posix()}")
    name = form.get("name", f"DZHR1_CHECKSUM.{algorithm.upper()}")
    path = package.root / name
    path.write_bytes((form.get("end", "\n").join(lines) + form.get("end", "\n")).encode())
    return path


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"case": "upper"},
        {"end": "\r\n"},
        {"mark": "*"},
        {"algorithm": "md5"},
        {"name": "manifest-sha256.txt"},
        {"name": "CHECKSUMS"},
    ],
    ids=lambda form: ",".join(form.values()) or "plain",
)
def test_lists_in_all_forms(kz1: MinimalPackage, form: dict[str, str]) -> None:
    count = len(inventory(kz1.root))
    _listed(kz1, **form)
    assert verify_checksums(kz1.root, inventory(kz1.root)) == count


def test_a_package_without_a_list(kz1: MinimalPackage) -> None:
    assert verify_checksums(kz1.root, inventory(kz1.root)) == 0


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda p: _flip(p.images[0].files[2]), "checksum"),
        (lambda p: p.images[1].files[0].unlink(), "package.incomplete"),
        (lambda p: (p.root / "VOL_DZHR1_001" / "DIM_ADDED.XML").write_text("<x/>"), "manifest.unlisted"),
        (lambda p: (p.root / "EVIL.SHA256").write_text(f"{'0' * 64}  ../../../etc/passwd\n"), "path.escape"),
    ],
    ids=["one bit", "one file fewer", "one file more", "a list that leaves the package"],
)
def test_what_does_not_agree(kz1: MinimalPackage, damage: Callable[[MinimalPackage], object], kind: str) -> None:
    _listed(kz1)
    damage(kz1)
    with pytest.raises(BadInput) as refusal:
        verify_checksums(kz1.root, inventory(kz1.root))
    assert refusal.value.kind == kind


def test_notes_beside_the_delivery_do_no_harm(kz1: MinimalPackage) -> None:
    _listed(kz1)
    (kz1.root / "Thumbs.db").write_bytes(b"x")
    assert verify_checksums(kz1.root, inventory(kz1.root)) > 0


def test_an_archives_inventory_serves_its_folder(kz1: MinimalPackage, tmp_path: Path) -> None:
    """An inventory leaves out the folder that holds everything; lists do not."""
    _listed(kz1)
    archive = tmp_path / "delivery.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(kz1.root.rglob("*")):
            packed.write(path, f"outer/{path.relative_to(kz1.root.parent).as_posix()}")
    assert verify_checksums(kz1.root.parent, inventory(archive)) == len(inventory(archive)) - 1


def test_a_single_file_has_no_list_of_its_own(kz2: MinimalPackage, sensors) -> None:
    """Whatever lies beside it belongs to somebody else."""
    image = kz2.images[0].files[0]
    (image.parent / "CHECKSUM.SHA256").write_text(f"{'0' * 64}  other.tif\n", encoding="utf-8")
    delivery = open_delivery(image, sensors=sensors)
    assert verify_delivery(delivery, inventory(image)) == 0
    with pytest.raises(BadInput):
        verify_delivery(open_delivery(kz2.root, sensors=sensors), inventory(kz2.root))
