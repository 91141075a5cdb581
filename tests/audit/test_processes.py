"""Several processes append at once, and are killed in the middle of it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalogs.policy.audit import AuditLog
from configs.schema.audit import AuditConfig

APPENDS = """
import sys
from pathlib import Path
from catalogs.policy.audit import AuditLog
from configs.schema.audit import AuditConfig
log = AuditLog(Path(sys.argv[1]), AuditConfig(every_rows=50))
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    entry = log.append(sys.argv[2], "download", [f"kz1/{sys.argv[2]}-{number}"], "allow")
    sys.stdout.write(f"{entry.seq} {entry.hash}\\n")
    sys.stdout.flush()
"""


def appending(home: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDS, str(home), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(text: str) -> dict[int, str]:
    """Rows that somebody was told of; what a killed process had not written to its end was not told."""
    whole = text[: text.rfind("\n") + 1]
    return {int(seq): digest for seq, digest in (line.split() for line in whole.splitlines() if line != "ready")}


def test_four_processes_append_and_nothing_is_lost(tmp_path: Path) -> None:
    running = [appending(tmp_path, f"c_{number}", 60) for number in range(4)]
    told = [acknowledged(process.communicate(timeout=120)[0]) for process in running]
    assert [process.returncode for process in running] == [0] * 4
    together = {seq: digest for one in told for seq, digest in one.items()}
    assert sorted(together) == list(range(240)), "every number once"
    log = AuditLog(tmp_path, AuditConfig())
    report = log.verify()
    assert report.ok, report.findings
    assert report.rows == report.signed == 240, "each has signed at its end"
    assert {entry.seq: entry.hash for entry in log.entries()} == together
    assert len(log.actors()) == 4


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_in_the_middle_of_it_what_was_told_is_on_record(tmp_path: Path, seed: int) -> None:
    """Three processes, all killed at a moment nobody chose; then others go on."""
    chance = random.Random(seed)
    running = [appending(tmp_path, f"c_{number}", 100_000) for number in range(3)]
    heads = [process.stdout.readline() for process in running if process.stdout]
    assert heads == ["ready\n"] * 3
    time.sleep(chance.uniform(0.1, 0.6))
    for process in running:
        os.kill(process.pid, signal.SIGKILL)
    # Not communicate: it would leave out what came together with the first line, up to the middle of a row.
    told = [acknowledged(process.stdout.read()) for process in running if process.stdout]
    for process in running:
        process.communicate(timeout=60)
    with AuditLog(tmp_path, AuditConfig()) as log:
        entry = log.append("c_9", "download")
        found = {known.seq: known.hash for known in log.entries()}
        for seq, digest in (pair for one in told for pair in one.items()):
            assert found[seq] == digest
        assert entry.seq == max(found) >= sum(len(one) for one in told)
        report = log.verify()
    assert report.ok, report.findings
