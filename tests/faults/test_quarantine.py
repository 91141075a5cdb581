"""A bad package is kept whole with its reason, or not at all, whatever the disk does; the original is never touched."""

import errno
import json
import shutil

import pytest

from tests.faults import syscalls, witness
from tests.faults.counts import COUNTS
from tests.faults.syscalls import every_call

pytestmark = pytest.mark.skipif(not syscalls.available(), reason="this kernel lets no process fail another's calls")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in witness.files_under(folder)}


def kept(home, package):
    """The package's folders in quarantine; each must be whole."""
    folders = sorted(home.glob("quarantine/*"))
    for folder in folders:
        assert contents(folder / package.name) == contents(package)
        assert json.loads((folder / "reason.json").read_bytes())["reason"] == "xml.dtd_forbidden"
    return folders


def test_a_bad_package_is_kept_whole_or_not_at_all(servers, fast_folder):
    package = fast_folder / "DS_BAD"
    (package / "IMAGES").mkdir(parents=True)
    (package / "IMAGES" / "band.tif").write_bytes(b"II*\0" + bytes(100_000))
    (package / "metadata.xml").write_bytes(b"<!DOCTYPE x>")
    before = contents(package)
    home = fast_folder / "quarantining"
    for effect, error in (("kill", 0), ("error", errno.EIO), ("dead", errno.ENOSPC)):
        for number in range(1, 80):
            fault = {"number": number, "effect": effect, "error": error, "among": sorted(every_call())}
            order = {"step": "quarantine", "home": str(home), "package": str(package)}
            answer = servers.ask(order | {"fault": fault})
            assert answer["ended"] in (
                "done", "killed", "Retryable disk.failed", "Retryable disk.full", "Retryable disk.sync",
            ), answer  # fmt: skip
            found = kept(home, package)
            assert found or answer["ended"] != "done"
            assert contents(package) == before
            assert servers.ask({"step": "recover", "home": str(home)})["ended"] == "done"
            assert list((home / "staging").glob("*")) == []
            assert servers.ask(order)["ended"] == "done"
            assert len(kept(home, package)) == 1
            shutil.rmtree(home)
            if answer["hit"] is None:
                break
            COUNTS[f"injected {effect} in quarantine"] += 1
        else:
            pytest.fail("a quarantine asks for more than it should")
