"""A clock that jumps: what is latest is what was published last, and bytes know no time."""

import pytest

from tests.faults import syscalls, witness, work

pytestmark = pytest.mark.skipif(not syscalls.available(), reason="this kernel lets no process fail another's calls")
DECADE = 3653


def test_a_clock_that_goes_back_changes_neither_bytes_nor_order(servers, tmp_path):
    what = work.draft()
    revisions = []
    for resampling, clock in (("cubic", DECADE), ("bilinear", -2 * DECADE), ("lanczos", 0)):
        order = {"step": "ingest", "home": str(tmp_path), "resampling": resampling, "clock": clock}
        answer = servers.ask(order)
        assert answer["ended"] == "done", answer
        revisions.append(answer["said"][0])
        assert witness.faults_of(tmp_path, None, at_rest=True) == []
        row = witness.rows(tmp_path)[what.collection, what.id]
        assert row["properties"]["version"] == revisions[-1]
    years = {row["properties"]["created"][:4] for row in witness.rows(tmp_path).values()}
    assert len(years) == 1
    # The same revision, made at another time in another place: the same bytes.
    other = tmp_path / "other"
    answer = servers.ask({"step": "ingest", "home": str(other), "clock": -2 * DECADE})
    assert answer["said"] == [revisions[0]]
    one = next(tmp_path.glob(f"archive/*/*/*/*/*/{revisions[0]}.zarr"))
    two = next(other.glob(f"archive/*/*/*/*/*/{revisions[0]}.zarr"))
    assert {path.relative_to(one): witness.sha256(path) for path in witness.files_under(one)} == {
        path.relative_to(two): witness.sha256(path) for path in witness.files_under(two)
    }
    assert servers.ask({"step": "recover", "home": str(tmp_path), "clock": DECADE})["said"] == []
