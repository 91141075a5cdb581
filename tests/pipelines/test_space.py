"""A disk without room is noticed before a scene is unpacked, and before anything is read for it."""

import shutil
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import NoReturn

import pytest

from configs.registry import load_registry
from configs.settings import Home
from pipelines import planning
from pipelines.packages import ingest_package
from pipelines.planning import plan_scene
from pipelines.requests import SceneRequest
from processing.archive.space import RESERVE_BYTES, product_bytes, require_space
from processing.model.errors import Retryable
from processing.testing import minimal


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("delivery")
    minimal.write_dimap_v1(folder)
    return next(folder.iterdir())


def leave_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - free, free))


def test_an_archive_is_not_unpacked_where_it_does_not_fit(package, tmp_path, monkeypatch):
    home = Home.resolve(tmp_path / "home")
    archive = tmp_path / "delivery.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(package.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(package.parent))
    unpacked = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    sensors = load_registry().sensors
    leave_free(monkeypatch, RESERVE_BYTES + unpacked - 1)
    with pytest.raises(Retryable, match="unpacking delivery") as caught:
        ingest_package(archive, home, sensors)
    assert caught.value.kind == "disk.full"
    assert not home.staging.exists()
    leave_free(monkeypatch, RESERVE_BYTES + unpacked)
    assert ingest_package(archive, home, sensors).workspace is not None


def test_nothing_is_read_for_a_product_that_does_not_fit(package, tmp_path, monkeypatch):
    home, registry = Home.resolve(tmp_path / "home"), load_registry()
    ingested = ingest_package(package, home, registry.sensors)

    def read(*_: object, **__: object) -> NoReturn:
        raise AssertionError("read before room was asked for")

    monkeypatch.setattr(planning, "open_terrain", read)
    leave_free(monkeypatch, RESERVE_BYTES)
    with pytest.raises(Retryable) as caught:
        plan_scene(SceneRequest(package=str(package), home=str(home.path)), ingested, home, registry)
    assert caught.value.kind == "disk.full"
    assert "qyran clean" in str(caught.value.remedy)
    leave_free(monkeypatch, 10**12)
    with pytest.raises(AssertionError, match="read before"):
        plan_scene(SceneRequest(package=str(package), home=str(home.path), dem=str(tmp_path)), ingested, home, registry)


def test_what_a_product_needs_grows_with_its_pixels_and_bands():
    one = product_bytes([(10**8, 5)])
    assert one == 10**8 * 2 * 5 * 8 // 3 + 4 * 10**8
    assert product_bytes([(10**8, 5), (16 * 10**8, 2)]) > one
    assert product_bytes([]) == 0


def test_a_folder_that_is_not_there_yet_is_asked_by_its_parent(tmp_path, monkeypatch):
    require_space(tmp_path / "not" / "there" / "yet", 1, what="a test")
    leave_free(monkeypatch, 0)
    with pytest.raises(Retryable):
        require_space(tmp_path / "not" / "there" / "yet", 1, what="a test")
