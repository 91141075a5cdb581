"""What anybody can do to the files of the audit log, and that it is noticed, with the place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.policy import audit_file, audit_row
from catalogs.policy.audit import AuditLog
from catalogs.policy.audit_check import Report
from catalogs.policy.audit_roots import is_genuine, read_root
from configs.schema.audit import AuditConfig

ROWS = 1_000


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 1,000 rows with roots over 250, 500, 750 and all of them, as it should be."""
    home = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patched, AuditLog(home, AuditConfig(every_rows=250)) as log:
        # Nothing is promised of this disk: a thousand waits for it would be most of the test.
        patched.setattr(audit_file.os, "fdatasync", lambda _: None)
        for number in range(ROWS):
            log.append(
                f"c_{number % 7}", "download", [(f"kz1/{number}", f"{number:064x}")], "allow", request_id=f"r-{number}"
            )
        assert log.verify().ok
    return home


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return shutil.copytree(written, tmp_path / "home")


def path_of(home: Path) -> Path:
    return home / "audit" / "rows" / "000000000000.jsonl"


def lines_of(home: Path) -> list[bytes]:
    return path_of(home).read_bytes().splitlines(keepends=True)


def verified(home: Path, *copies: Path) -> Report:
    return AuditLog(home, AuditConfig()).verify(copies)


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_every_byte_of_a_thousand_rows_flipped_is_noticed(written: Path) -> None:
    """By what reads each line, which is what verifying is made of: half a million changes, all of them."""
    lines = lines_of(written)
    assert len(lines) == ROWS
    unnoticed, tried = [], 0
    for number, line in enumerate(lines):
        row = bytearray(line.rstrip(b"\n"))
        for place in range(len(row)):
            row[place] ^= 1 << (place + number) % 8
            tried += 1
            if audit_row.read(bytes(row)) is not None:
                unnoticed.append((number, place))
            row[place] ^= 1 << (place + number) % 8
        # A line feed that is none any more joins two rows, or leaves the last one unfinished.
        joined = (
            line[:-1] + bytes([line[-1] ^ 1 << number % 8]) + (lines[number + 1][:-1] if number + 1 < ROWS else b"")
        )
        tried += 1
        if audit_row.read(joined) is not None:
            unnoticed.append((number, len(line)))
    assert tried == sum(len(line) for line in lines) > 400_000
    assert unnoticed == []


@settings(max_examples=25)
@given(st.data())
def test_any_byte_of_any_file_flipped_is_found_by_verify_with_the_row(written: Path, data: st.DataObject) -> None:
    content = path_of(written).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    number = content[:place].count(b"\n")
    try:
        path_of(written).write_bytes(bytes(changed))
        report = verified(written)
    finally:
        path_of(written).write_bytes(content)
    assert not report.ok
    assert any(finding.seq is not None and finding.seq in (number, number + 1) for finding in report.findings)


def test_every_byte_of_the_signed_roots_flipped_is_noticed(written: Path) -> None:
    line = (written / "audit" / "roots.jsonl").read_bytes().splitlines()[-1]
    (key,) = [path.read_text().strip() for path in (written / "audit" / "keys").iterdir()]
    for place in range(len(line)):
        for bit in (0, 3, 6):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            root = read_root(bytes(changed))
            assert root is None or not is_genuine(root, key), (place, bit)


def rewritten(row: dict[str, object], previous: bytes, **changes: object) -> bytes:
    """A row as somebody would forge it who knows how hashes are made."""
    body = {**row, **changes, "prev_hash": previous.hex()}
    body.pop("hash")
    whole = {**body, "hash": audit_row.hash_of(rfc8785.dumps(body), previous).hex()}
    return rfc8785.dumps(whole) + b"\n"


def forge_one(lines: list[bytes]) -> list[bytes]:
    """One row changed, its own hash made anew."""
    before = bytes.fromhex(orjson.loads(lines[499])["hash"])
    return [*lines[:500], rewritten(orjson.loads(lines[500]), before, decision="deny"), *lines[501:]]


def forge_all(lines: list[bytes]) -> list[bytes]:
    """One row changed, and every one after it made anew: the chain holds."""
    out, head = lines[:500], bytes.fromhex(orjson.loads(lines[499])["hash"])
    for number, line in enumerate(lines[500:], 500):
        changes = {"decision": "deny"} if number == 500 else {}
        out.append(rewritten(orjson.loads(line), head, **changes))
        head = bytes.fromhex(orjson.loads(out[-1])["hash"])
    return out


def insert_one(lines: list[bytes]) -> list[bytes]:
    """A row that follows its neighbour rightly, between two."""
    before = bytes.fromhex(orjson.loads(lines[499])["hash"])
    return [*lines[:500], rewritten(orjson.loads(lines[10]), before, seq=500), *lines[500:]]


HARM: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str, int]] = {
    "edit": (lambda lines: [*lines[:500], lines[500].replace(b'"allow"', b'"deny"'), *lines[501:]], "edit", 500),
    "edit and own hash": (forge_one, "fork", 501),
    "edit and all hashes after": (forge_all, "fork", 749),
    "delete": (lambda lines: lines[:500] + lines[501:], "delete", 500),
    "delete many": (lambda lines: lines[:500] + lines[800:], "delete", 500),
    "delete the first": (lambda lines: lines[1:], "delete", 0),
    "insert a copy": (lambda lines: [*lines[:500], lines[300], *lines[500:]], "insert", 300),
    "insert a new one": (insert_one, "fork", 500),
    "swap": (lambda lines: [*lines[:500], lines[501], lines[500], *lines[502:]], "reorder", 501),
    "truncate": (lambda lines: lines[:999], "truncate", 999),
    "truncate much": (lambda lines: lines[:600], "truncate", 600),
    "empty": (lambda _: [], "truncate", 0),
}


@pytest.mark.parametrize("name", HARM)
def test_harm_is_named_with_its_place(home: Path, name: str) -> None:
    harm, kind, seq = HARM[name]
    path_of(home).write_bytes(b"".join(harm(lines_of(home))))
    report = verified(home)
    assert any((finding.kind, finding.seq) == (kind, seq) for finding in report.findings), report.findings[:5]


def test_a_log_begun_anew_by_whoever_holds_the_key_is_told_by_roots_kept_elsewhere(home: Path, tmp_path: Path) -> None:
    """Rows cut off, roots cut off with them, in HOME: only what lies elsewhere knows."""
    (kept,) = (home / "logs").iterdir()
    worm = Path(shutil.copy(kept, tmp_path / "worm.jsonl"))
    path_of(home).write_bytes(b"".join(lines_of(home)[:700]))
    for path in (home / "audit" / "roots.jsonl", kept):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert verified(home).ok, "nothing in HOME tells"
    assert kinds(verified(home, worm)) == {"truncate"}
    with AuditLog(home, AuditConfig()) as log:
        log.append("c_1", "download")
    assert kinds(verified(home, worm)) == {"truncate"}


def test_a_fork_is_told_by_roots_kept_elsewhere(home: Path, tmp_path: Path) -> None:
    """Another log under the same key and of the same length, its roots signed anew."""
    (kept,) = (home / "logs").iterdir()
    worm = Path(shutil.copy(kept, tmp_path / "worm.jsonl"))
    path_of(home).write_bytes(b"".join(forge_all(lines_of(home))))
    for path in (home / "audit" / "roots.jsonl", kept):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    (home / "audit" / "nodes.bin").unlink(missing_ok=True)
    AuditLog(home, AuditConfig()).sign()
    assert verified(home).ok
    assert "fork" in kinds(verified(home, worm))


def test_roots_signed_by_another_key_count_for_nothing(home: Path, tmp_path: Path) -> None:
    (key,) = [path.read_text().strip() for path in (home / "audit" / "keys").iterdir()]
    (home / "secrets" / "audit-key").unlink()
    path_of(home).write_bytes(b"".join(forge_all(lines_of(home))))
    (home / "audit" / "roots.jsonl").unlink()
    shutil.rmtree(home / "logs")
    (home / "audit" / "nodes.bin").unlink(missing_ok=True)
    AuditLog(home, AuditConfig()).sign()
    assert verified(home).ok, "key and all were replaced"
    report = AuditLog(home, AuditConfig()).verify(public_key=key)
    assert kinds(report) == {"root"}


def test_a_root_taken_out_of_the_middle_is_missed(home: Path) -> None:
    path = home / "audit" / "roots.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    assert "root" in kinds(verified(home))


def test_half_a_line_is_told_of_kept_and_put_on_record(home: Path) -> None:
    """A process was killed while it wrote: nobody was told that this row is on record."""
    with path_of(home).open("ab") as stream:
        stream.write(b'{"action":"downl')
    assert kinds(verified(home)) == {"torn"}
    with AuditLog(home, AuditConfig()) as log:
        entry = log.append("c_1", "download")
        assert entry.seq == ROWS + 1
        (note,) = [found for found in log.entries(ROWS) if found.seq == ROWS]
        assert note.document["action"] == "audit.torn"
    (kept,) = (home / "audit" / "torn").iterdir()
    assert kept.read_bytes() == b'{"action":"downl'
    assert verified(home).ok


def test_a_whole_line_without_its_end_is_a_row(home: Path) -> None:
    content = path_of(home).read_bytes()
    path_of(home).write_bytes(content[:-1])
    assert kinds(verified(home)) >= {"torn"}
    with AuditLog(home, AuditConfig()) as log:
        # Roots over a thousand rows were signed: one that is lost must not be written over by another.
        entry = log.append("c_1", "download")
        assert entry.seq == ROWS
    assert path_of(home).read_bytes().startswith(content)
    assert verified(home).ok


def test_the_report_is_json(home: Path) -> None:
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(verified(home))))["rows"] == ROWS
