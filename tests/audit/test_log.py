"""The audit log as those who write to it and rely on it see it."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785

from catalogs.policy import audit_file
from catalogs.policy.audit import AuditLog
from catalogs.policy.audit_proof import verify_inclusion
from catalogs.policy.audit_row import AuditObject
from catalogs.policy.terms import Decision, Effect
from configs.schema.audit import AuditConfig
from processing.model.errors import BadInput, Defect, Retryable

DIGEST = "ab" * 32


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(tmp_path, AuditConfig()) as opened:
        yield opened


def rows_of(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((home / "audit" / "rows").iterdir()))


def test_a_row_says_who_what_when_and_why(log: AuditLog) -> None:
    decision = Decision(effect=Effect.DEGRADE, rule="R02", reasons=("R02: near a border",), policy_sha256=DIGEST)
    entry = log.append("c_1", "download", [("kz1/a", DIGEST)], decision, request_id="o-1", facts={"asset": "red"})
    row = entry.document
    assert (row["seq"], row["action"], row["decision"], row["rule"]) == (0, "download", "degrade", "R02")
    assert row["objects"] == [{"id": "kz1/a", "sha256": DIGEST}]
    assert (row["policy_sha256"], row["request_id"], row["facts"]) == (DIGEST, "o-1", {"asset": "red"})
    assert abs((datetime.fromisoformat(str(row["ts"])) - datetime.now(UTC)).total_seconds()) < 60


def test_the_hash_can_be_calculated_from_the_json_alone(tmp_path: Path, log: AuditLog) -> None:
    """By anybody, in any language: RFC 8785 and SHA-256."""
    import hashlib

    for number in range(3):
        log.append("c_1", "download", [f"kz1/{number}"], "allow")
    before = bytes(32)
    for line in rows_of(tmp_path).splitlines():
        row = json.loads(line)
        body = {name: value for name, value in row.items() if name != "hash"}
        assert row["prev_hash"] == before.hex()
        before = hashlib.sha256(rfc8785.dumps(body) + before).digest()
        assert row["hash"] == before.hex()


def test_no_row_says_who_somebody_is(tmp_path: Path, log: AuditLog) -> None:
    log.append("c_geoexport", "download", ["kz1/a"], "allow")
    assert b"geoexport" not in rows_of(tmp_path)
    assert list(log.actors().values()) == ["c_geoexport"]


def test_erasing_leads_to_nobody_and_the_log_still_verifies(tmp_path: Path, log: AuditLog) -> None:
    first = log.append("c_geoexport", "download", ["kz1/a"], "allow")
    before = rows_of(tmp_path)
    assert log.erase("c_geoexport")
    assert rows_of(tmp_path) == before
    assert log.actors() == {}
    assert b"geoexport" not in b"".join(path.read_bytes() for path in (tmp_path / "audit").glob("identities.db*"))
    assert log.verify().ok
    again = log.append("c_geoexport", "download", ["kz1/a"], "allow")
    assert again.document["actor"] != first.document["actor"], "a new one, from which nothing leads to the old"


def test_a_row_is_on_the_disk_before_anybody_is_told(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a disk writes only part of what it is given at a time."""
    import os

    real, synced = os.write, []
    monkeypatch.setattr(audit_file.os, "write", lambda descriptor, view: real(descriptor, view[:7]))
    monkeypatch.setattr(audit_file.os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    entry = log.append("c_1", "download")
    assert synced[-1] > 0
    assert log.verify().ok
    assert entry.seq == 0


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_what_the_disk_does_not_take_is_not_on_record_and_raises(
    tmp_path: Path, log: AuditLog, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    log.append("c_1", "download")
    before = rows_of(tmp_path)

    def fail(*_: object) -> int:
        raise OSError(28 if call == "write" else 5, "no")

    with monkeypatch.context() as patched:
        patched.setattr(audit_file.os, call, fail)
        with pytest.raises(Retryable):
            log.append("c_1", "download")
    assert rows_of(tmp_path) == before
    assert log.append("c_1", "download").seq == 1
    assert log.verify().ok


def test_threads_that_append_together_wait_together(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import time

    real, syncs = os.fdatasync, []

    def slow(descriptor: int) -> None:
        syncs.append(1)
        time.sleep(0.02)
        real(descriptor)

    monkeypatch.setattr(audit_file.os, "fdatasync", slow)
    threads = [threading.Thread(target=lambda: [log.append("c_1", "download") for _ in range(10)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.verify().rows == 160
    assert len(syncs) < 80, "each would have waited alone"


def test_roots_are_signed_every_so_many_rows_and_after_so_many_seconds(tmp_path: Path) -> None:
    with AuditLog(tmp_path, AuditConfig(every_rows=4, every_seconds=0.3)) as log:
        for _ in range(9):
            log.append("c_1", "download")
        sizes = [json.loads(line)["size"] for line in (tmp_path / "audit" / "roots.jsonl").read_bytes().splitlines()]
        assert {4, 8} <= set(sizes)
        import time

        for _ in range(100):
            if log.verify().signed == 9:
                break
            time.sleep(0.05)
        assert log.verify().signed == 9, "the last row waited for its five minutes, here 0.3 s"


def test_roots_lie_in_two_places_and_in_every_further_one(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "home", AuditConfig(copies=(str(tmp_path / "worm"),))) as log:
        log.append("c_1", "download")
        log.sign()
        log.append("c_1", "download")
        log.sign()
        own = (tmp_path / "home" / "audit" / "roots.jsonl").read_bytes()
        copies = [*(tmp_path / "worm").iterdir(), *(tmp_path / "home" / "logs").iterdir()]
        assert [path.read_bytes() for path in copies] == [own, own]
        assert len(log.verify().places) == 2


def test_a_place_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "worm").write_text("a file where a folder should be")
    with AuditLog(tmp_path / "home", AuditConfig(copies=(str(tmp_path / "worm"),))) as log:
        log.append("c_1", "download")
        assert log.sign() is not None
    assert "could not be copied" in caplog.text


def test_a_customer_verifies_its_row_with_the_public_key_alone(tmp_path: Path, log: AuditLog) -> None:
    entries = [log.append("c_1", "download", [f"kz1/{n}"], "allow") for n in range(20)]
    proof = json.loads(json.dumps(log.inclusion_proof(entries[7])))
    (key,) = [path.read_text().strip() for path in (tmp_path / "audit" / "keys").iterdir()]
    assert verify_inclusion(proof, key).hash == entries[7].hash
    log.append("c_1", "download")
    assert verify_inclusion(log.inclusion_proof(7), key).seq == 7

    def refused(changed: dict[str, object], pinned: str = key) -> None:
        with pytest.raises(BadInput):
            verify_inclusion(changed, pinned)

    refused({**proof, "row": {**proof["row"], "action": "preview"}})
    refused({**proof, "row": dict(entries[8].document)})
    refused({**proof, "root": {**proof["root"], "size": proof["root"]["size"] + 1}})
    refused({**proof, "path": proof["path"][:-1]})
    refused({**proof, "type": "other"})
    refused({})
    refused(proof, "ed25519:" + "A" * 43 + "=")


def test_rows_in_several_files_are_one_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from catalogs.policy import audit_merkle, audit_proof

    for module in (audit_file, audit_proof):
        monkeypatch.setattr(module, "SEGMENT", 8)
    monkeypatch.setattr("catalogs.policy.audit_check.SEGMENT", 8)
    with AuditLog(tmp_path, AuditConfig()) as log:
        entries = [log.append("c_1", "download") for _ in range(37)]
        assert len(list((tmp_path / "audit" / "rows").iterdir())) == 5
        root = log.sign()
        assert root is not None
        assert root.root == audit_merkle.root_of([entry.leaf for entry in entries])
        for entry in entries:
            assert verify_inclusion(log.inclusion_proof(entry)).seq == entry.seq
        grown = log.consistency_proof(11)
        path = [bytes.fromhex(node) for node in grown["path"]]
        known = bytes.fromhex(grown["earlier_root"]), bytes.fromhex(grown["root"])
        assert audit_merkle.is_consistent(11, known[0], 37, known[1], path)
        assert log.verify().ok
        # What is kept of the tree is not believed: a proof from it must fit the signed root.
        nodes = tmp_path / "audit" / "nodes.bin"
        nodes.write_bytes(bytes(len(nodes.read_bytes())))
    with AuditLog(tmp_path, AuditConfig()) as again:
        assert verify_inclusion(again.inclusion_proof(3)).seq == 3


def test_what_no_row_may_hold_is_refused(log: AuditLog) -> None:
    for bad in (
        lambda: log.append("c_1", "Download!"),
        lambda: log.append("c_1", "download", [AuditObject("a", "no digest")]),
        lambda: log.append("c_1", "download", facts={"Name": "x"}),
        lambda: log.append("c_1", "download", [f"a/{n}" for n in range(2000)]),
    ):
        with pytest.raises(BadInput):
            bad()
    entry = log.append("c_1", "download", ["a\r\nINJECTED \x1b[31m"], request_id="x" * 9_000)
    assert entry.document["objects"][0]["id"].isprintable()
    assert len(entry.document["request_id"]) == 500


def test_a_log_whose_end_has_gone_is_not_gone_on_with(tmp_path: Path) -> None:
    with AuditLog(tmp_path, AuditConfig()) as log:
        for _ in range(5):
            log.append("c_1", "download")
        log.sign()
    path = next((tmp_path / "audit" / "rows").iterdir())
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True)[:3]))
    with AuditLog(tmp_path, AuditConfig()) as again:
        with pytest.raises(Defect) as caught:
            again.append("c_1", "download")
        assert caught.value.kind == "audit.damaged"


def test_one_log_for_a_whole_process(tmp_path: Path) -> None:
    assert AuditLog.open(tmp_path) is AuditLog.open(tmp_path / ".")


def test_secrets_are_for_the_owner_alone(tmp_path: Path, log: AuditLog) -> None:
    log.append("c_1", "download")
    log.sign()
    for path in (tmp_path / "secrets" / "audit-key", tmp_path / "audit" / "identities.db", tmp_path / "audit" / FIRST):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "audit").stat().st_mode & 0o077 == 0


FIRST = "rows/000000000000.jsonl"
