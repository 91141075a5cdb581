"""The power goes while products are being published, onto a real ext4: what was acknowledged is there afterwards.

The disk is a file, mounted as a loop device. A cut is a copy of that file taken in the middle of the work: exactly what
had reached the disk, and nothing of what the kernel still held. The copy is mounted, which replays its journal, and
looked at. ``QYRAN_FAULTS=N`` cuts N times.
"""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import witness, work
from tests.faults.counts import COUNTS

CUTS_IN_CI = 24
DISK_MB = 192
_NEEDED = ("mkfs.ext4", "mount", "umount", "losetup")


def _cuts() -> int:
    asked = os.environ.get("QYRAN_FAULTS", "")
    return int(asked) if asked.isdecimal() else 200 if asked else CUTS_IN_CI


def _run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """A file mounted as a disk."""
    place.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        _run("umount", place)


@pytest.fixture(scope="module")
def image(fast_folder: Path) -> Path:
    """An empty disk. Skips where there can be none."""
    lacking = [name for name in _NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if os.geteuid() != 0 or lacking:
        pytest.skip(f"cutting the power needs root and {', '.join(lacking) or 'nothing else'}")
    path = fast_folder / "disk.img"
    with path.open("wb") as file:
        file.truncate(DISK_MB << 20)
    try:
        _run("mkfs.ext4", "-q", "-F", "-m", "0", path)
        with mounted(path, fast_folder / "probe-disk"):
            pass
    except OSError as error:
        pytest.skip(f"cutting the power needs loop devices: {error}")
    return path


class Writer:
    """A process that publishes, what it acknowledged, and the power."""

    def __init__(self, home: Path, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.writer", str(home), *words], stdout=subprocess.PIPE
        )
        self.acknowledged: dict[int, str] = {}
        self._rest = b""

    def listen(self, seconds: float) -> None:
        """Take note of what it acknowledges in this time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._process.stdout], [], [], left)[0]:
                content = os.read(self._process.stdout.fileno(), 65536)
                assert content, "the writer ended"
                *lines, self._rest = (self._rest + content).split(b"\n")
                for line in lines:
                    number, revision = line.decode().split()
                    self.acknowledged[int(number)] = revision

    def wait_for(self, count: int) -> None:
        """Until it has acknowledged so many."""
        until = time.monotonic() + 120
        while len(self.acknowledged) < count:
            assert time.monotonic() < until, "the writer acknowledges nothing"
            self.listen(0.05)

    def cut(self, image: Path, copy: Path) -> dict[int, str]:
        """What is on the disk at this moment, into a copy, and what had been acknowledged before.

        The process is stopped meanwhile, and the copy taken again if the kernel wrote something during it: no disk ever
        held a mixture of two moments.
        """
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            known = dict(self.acknowledged)
            for _ in range(50):
                before = image.stat().st_mtime_ns
                subprocess.run(["cp", "--sparse=always", image, copy], check=True)
                if image.stat().st_mtime_ns == before:
                    return known
            raise AssertionError("the disk never came to rest")
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def lost(home: Path, acknowledged: dict[int, str], broken: list[str]) -> list[str]:
    """Acknowledged products that are not there, whole and catalogued; ``broken`` is what the witness said."""
    rows = witness.rows(home)
    gone = []
    for number, revision in acknowledged.items():
        what = work.draft(number)
        row = rows.get((what.collection, what.id))
        if row is None or row["properties"]["version"] != revision or any(what.id in text for text in broken):
            gone.append(what.id)
    return gone


def test_no_power_cut_loses_what_was_acknowledged_or_shows_half_a_product(image, servers, fast_folder):
    strewn = random.Random(4)
    copy, after = fast_folder / "copy.img", fast_folder / "after"
    done = seen = 0
    while done < _cuts():
        _run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        with mounted(image, fast_folder / "disk") as disk:
            writer = Writer(disk / "home")
            try:
                writer.wait_for(1)
                for _ in range(min(12, _cuts() - done)):  # then a new disk, before this one is full
                    writer.listen(strewn.uniform(0.0, 0.6))
                    known = writer.cut(image, copy)
                    done += 1
                    with mounted(copy, after) as disk_after:
                        home = disk_after / "home"
                        half = witness.faults_of(home, None, at_rest=False)
                        gone = lost(home, known, half)
                        COUNTS["injected power cut"] += 1
                        COUNTS["lost"] += len(gone)
                        COUNTS["half-visible"] += bool(half)
                        assert gone == [], f"cut {done}: acknowledged {len(known)}"
                        assert half == [], f"cut {done}"
                        assert servers.ask({"step": "recover", "home": str(home)})["ended"] == "done"
                        assert witness.faults_of(home, None, at_rest=True) == [], f"cut {done}, after the restart"
                        seen += len(known)
            finally:
                writer.end()
    assert seen > done, "nothing was acknowledged before the cuts"


def test_a_writer_that_syncs_nothing_is_found_out(image, fast_folder):
    """The test above can fail: without the syncs, what was acknowledged is gone."""
    _run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    with mounted(image, fast_folder / "disk") as disk:
        writer = Writer(disk / "home", "careless")
        try:
            writer.wait_for(3)
            known = writer.cut(image, fast_folder / "copy.img")
            with mounted(fast_folder / "copy.img", fast_folder / "after") as disk_after:
                home = disk_after / "home"
                broken = witness.faults_of(home, None, at_rest=False)
                assert lost(home, known, broken), "nothing was lost: the cut cuts nothing off"
        finally:
            writer.end()
