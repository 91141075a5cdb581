"""Signed roots in a real bucket: put once, read back, and held against the log."""

import json
from pathlib import Path

import pytest

from catalogs.policy.audit import AuditLog
from configs.schema.audit import AuditConfig
from tests.services.seaweed import S3Server

pytestmark = pytest.mark.services


def test_roots_in_a_bucket_tell_what_was_cut_off_here(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = s3.new_bucket()
    with AuditLog(tmp_path, AuditConfig(copies=(f"s3://{bucket}/witness",))) as log:
        for _ in range(3):
            log.append("c_1", "download")
            log.sign()
        assert f"s3://{bucket}/witness" in log.verify().places
    kept = [entry["path"] for page in s3.store(bucket).list() for entry in page]
    assert len(kept) == 3
    held = json.loads(bytes(s3.store(bucket).get(max(kept)).bytes()))
    assert held["size"] == 3

    # Whoever owns this machine takes the last row away, and every root over it that lies here.
    rows = tmp_path / "audit" / "rows" / "000000000000.jsonl"
    places = [rows, tmp_path / "audit" / "roots.jsonl", *(tmp_path / "logs").iterdir()]
    for path in places:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert AuditLog(tmp_path, AuditConfig()).verify().ok
    found = AuditLog(tmp_path, AuditConfig(copies=(f"s3://{bucket}/witness",))).verify()
    assert {finding.kind for finding in found.findings} == {"truncate"}
    assert found.findings[0].seq == 2

    # Another root over as many rows does not take the place of the one that was put there: both are kept.
    with AuditLog(tmp_path, AuditConfig(copies=(f"s3://{bucket}/witness",))) as log:
        log.append("c_2", "order")
        log.sign()
    assert json.loads(bytes(s3.store(bucket).get(max(kept)).bytes())) == held
    found = AuditLog(tmp_path, AuditConfig(copies=(f"s3://{bucket}/witness",))).verify()
    assert "fork" in {finding.kind for finding in found.findings}
    assert "could not be copied" not in caplog.text
