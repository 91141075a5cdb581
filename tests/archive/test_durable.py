import errno
import threading
import time

import pytest

from processing.archive import durable
from processing.archive.disk_faults import explained
from processing.model.errors import Defect, Retryable


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "item.json"
    durable.write_file(path, b"old")

    def refuse(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable.os, "fsync", refuse)
    with pytest.raises(Retryable, match="Input/output") as caught:
        durable.write_file(path, b"new")
    assert caught.value.kind == "disk.sync"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_does_not_confirm_is_not_believed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "_call", refuse)
    with pytest.raises(Retryable) as caught:
        durable.sync_tree(tmp_path)
    assert caught.value.kind == "disk.sync"


def test_without_syncfs_every_file_is_synced(tmp_path, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x")
    (tmp_path / "top").write_bytes(b"x")
    monkeypatch.setattr(durable, "_libc_has", lambda _: False)
    synced = []
    fsync = durable.os.fsync
    monkeypatch.setattr(
        durable.os, "fsync", lambda descriptor: (synced.append(durable.os.fstat(descriptor).st_ino), fsync(descriptor))
    )
    durable.sync_tree(tmp_path)
    assert set(synced) == {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))}


def test_a_link_changes_in_one_step(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "deep" / name).mkdir(parents=True)
    link = tmp_path / "links" / "latest.zarr"
    durable.point_link(link, tmp_path / "deep/one")
    assert str(link.readlink()) == "../deep/one"
    found = set()
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            found.add(link.resolve().name if link.exists() else "nothing")

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(200):
        durable.point_link(link, tmp_path / "deep" / ("two" if number % 2 else "one"))
    stop.set()
    watcher.join()
    assert found <= {"one", "two"}
    assert [path.name for path in link.parent.iterdir()] == ["latest.zarr"]


def test_folders_change_places(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mark").write_text(name)
    durable.exchange(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one/mark").read_text() == "two"
    assert (tmp_path / "two/mark").read_text() == "one"


def test_a_folder_is_never_moved_over_another(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mark").write_text(name)
    with pytest.raises(FileExistsError):
        durable.move(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two/mark").read_text() == "two"


def test_another_filesystem_is_explained(tmp_path):
    error = explained(OSError(errno.EXDEV, "Invalid cross-device link"), tmp_path)
    assert isinstance(error, Defect)
    assert error.kind == "disk.two_filesystems"


def test_one_at_a_time(tmp_path):
    """Many holders of one lock, which is removed each time: never two at once."""
    lock = tmp_path / "locks" / "a.lock"
    held, most, done = 0, 0, 0

    def work():
        nonlocal held, most, done
        for _ in range(20):
            with durable.exclusive(lock):
                held += 1
                most = max(most, held)
                time.sleep(0.0005)
                held -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (1, 120)
    assert not lock.exists()
