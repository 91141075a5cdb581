"""Packages on their way in: what is kept in quarantine is complete, untouched, and harmless."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from configs.registry import load_registry
from configs.settings import Home
from pipelines.outcomes import Stop, stop_for_package
from pipelines.packages import ingest_package, quarantine_package
from processing.model.errors import BadInput
from processing.model.quality import Outcome

STOP = Stop(outcome=Outcome.QUARANTINED, reason="truncated", message="half of it is missing", remedy="Send it again.")


def _package(folder: Path) -> Path:
    package = folder / "DS_DZHR1_ ünïcode & spaces"
    (package / "IMG").mkdir(parents=True)
    (package / "DIM.XML").write_text("<Dimap_Document/>")
    (package / "IMG" / "x.tif").write_bytes(bytes(range(256)) * 10)
    return package


def _tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_copy_is_whole_and_the_original_stays(tmp_path: Path) -> None:
    package, home = _package(tmp_path), Home(tmp_path / "home")
    before = _tree(package)
    folder = quarantine_package(package, home, STOP)
    assert folder.parent == home.quarantine
    assert _tree(folder / package.name) == before == _tree(package)
    reason = json.loads((folder / "reason.json").read_text())
    assert set(reason) == {"reason", "message", "where", "remedy", "package", "sha256", "time"}
    assert reason["reason"] == "truncated"
    assert reason["package"] == str(package)
    assert len(reason["sha256"]) == 64
    assert folder.stat().st_mode & 0o077 == 0, "nobody else reads hostile bytes by accident"


def test_the_same_package_again_lies_in_the_same_place(tmp_path: Path) -> None:
    package, home = _package(tmp_path), Home(tmp_path / "home")
    assert quarantine_package(package, home, STOP) == quarantine_package(package, home, STOP)
    assert len(list(home.quarantine.iterdir())) == 1
    (package / "IMG" / "x.tif").write_bytes(b"other")
    quarantine_package(package, home, STOP)
    assert len(list(home.quarantine.iterdir())) == 2


def test_links_are_kept_as_links_and_pipes_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for the archive")
    package, home = _package(tmp_path), Home(tmp_path / "home")
    (package / "link.tif").symlink_to(secret)
    os.mkfifo(package / "pipe")
    folder = quarantine_package(package, home, STOP)
    kept = folder / package.name
    assert (kept / "link.tif").is_symlink()
    assert not (kept / "pipe").exists()


@pytest.mark.parametrize("name", ["empty", "not-a-zip.zip", "escape.zip"])
def test_what_no_reader_understands_leaves_no_trace_in_staging(tmp_path: Path, name: str) -> None:
    package, home = tmp_path / name, Home(tmp_path / "home")
    if name == "empty":
        package.mkdir()
    elif name == "not-a-zip.zip":
        package.write_bytes(b"PK\x03\x04 and nothing more")
    else:
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("../../evil", "x")
    with pytest.raises(BadInput) as refused:
        ingest_package(package, home, load_registry().sensors)
    assert stop_for_package(refused.value).outcome is Outcome.QUARANTINED
    assert not list((home.staging / "unpacked").glob("*")) if home.staging.exists() else True
    assert not (tmp_path.parent / "evil").exists()
    quarantine_package(package, home, stop_for_package(refused.value))
    assert len(list(home.quarantine.iterdir())) == 1
