"""Verifying the audit log: what was changed, taken out, put in, moved, cut off or begun anew, and where."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalogs.policy import audit_row
from catalogs.policy.audit_file import SEGMENT, Ledger, segments
from catalogs.policy.audit_merkle import Frontier
from catalogs.policy.audit_roots import Root, SignedRoots, is_genuine, key_id, read_root
from catalogs.policy.audit_row import GENESIS

_MOST_FINDINGS = 1_000
_HERE = "audit/roots.jsonl"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written."""

    kind: str
    """``edit``, ``delete``, ``insert``, ``reorder``, ``torn``, ``truncate``, ``fork``, ``root``."""
    where: str
    """File and line."""
    seq: int | None
    """Number of the row, or of the first of them."""
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """What verifying found."""

    rows: int
    roots: int
    """Signed roots that hold, here and in copies."""
    signed: int
    """Rows under the latest of them: what comes after could be cut off unnoticed."""
    places: tuple[str, ...]
    """Where copies of roots were found."""
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all is as it was written."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that can be read as a row."""

    where: str
    seq: int
    previous: bytes
    leaf: bytes


def check(ledger: Ledger, roots: SignedRoots, copies: Sequence[Path] = (), public_key: str | None = None) -> Report:
    """Verify a log; whoever appends meanwhile is not disturbed."""
    own = _own_roots(roots)
    stop = _bytes_by_file(ledger)
    findings: list[Finding] = []
    lines = list(_lines(ledger, stop, findings))
    findings += _chain(lines)
    held = [(_HERE, own), *_elsewhere(roots, lines, copies)]
    keys = roots.public_keys()
    if public_key is not None:
        keys = {key_id(public_key): public_key}
    genuine = list(_genuine(held, keys, findings))
    findings += _against_roots(lines, genuine)
    signed = max((root.size for _, root in genuine), default=0)
    ordered = sorted(findings, key=lambda one: (one.seq is None, one.seq or 0))[:_MOST_FINDINGS]
    places = tuple(place for place, found in held[1:] if found)
    return Report(len(lines), len(genuine), signed, places, tuple(ordered))


def _own_roots(roots: SignedRoots) -> list[bytes]:
    try:
        return roots.path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _bytes_by_file(ledger: Ledger) -> dict[int, int]:
    """How far each file goes now. Roots were read before: none may speak of rows that are not looked at."""
    if not ledger.rows.is_dir():
        return {}
    with ledger.held():
        return {first: ledger.path_of(first).stat().st_size for first in segments(ledger.rows)}


def _lines(ledger: Ledger, stop: dict[int, int], findings: list[Finding]) -> Iterator[_Line]:
    expected = 0
    for first, size in stop.items():
        content = ledger.path_of(first).read_bytes()[:size]
        whole, _, rest = content.rpartition(b"\n")
        name = f"rows/{ledger.path_of(first).name}"
        for number, line in enumerate(whole.split(b"\n") if content.count(b"\n") else [], 1):
            entry = audit_row.read(line)
            if entry is None:
                findings.append(Finding("edit", f"{name}:{number}", expected, "this is not what was written"))
            else:
                yield _Line(f"{name}:{number}", entry.seq, bytes.fromhex(entry.document["prev_hash"]), entry.leaf)
                expected = entry.seq
            if not first <= expected < first + SEGMENT and entry is not None:
                findings.append(Finding("reorder", f"{name}:{number}", expected, "this row stands in a wrong file"))
            expected += 1
        if rest:
            words = f"{len(rest)} bytes of a line that was not finished"
            findings.append(Finding("torn", f"{name}:{content.count(b'\n') + 1}", expected, words))


def _chain(lines: Sequence[_Line]) -> Iterator[Finding]:
    """Where a row does not follow the one before."""
    times = Counter(line.seq for line in lines)
    seen: dict[int, bytes] = {}
    expected, head = 0, GENESIS
    for line in lines:
        if line.seq in seen:
            if seen[line.seq] == line.leaf:
                yield Finding("insert", line.where, line.seq, "this row stands here a second time")
            else:
                yield Finding("fork", line.where, line.seq, "there are two rows of this number")
            continue
        if line.seq != expected:
            gap = [seq for seq in range(expected, line.seq) if seq not in times] if line.seq > expected else []
            if gap:
                words = f"rows {gap[0]} to {gap[-1]} are missing before this one"
                yield Finding("delete", line.where, gap[0], words)
            if len(gap) != max(line.seq - expected, 0) or line.seq < expected:
                yield Finding("reorder", line.where, line.seq, f"row {expected} should stand here")
        elif line.previous != head:
            yield Finding("fork", line.where, line.seq, "this row follows another one than stands before it")
        seen[line.seq] = line.leaf
        expected, head = line.seq + 1, line.leaf


def _elsewhere(roots: SignedRoots, lines: Sequence[_Line], copies: Sequence[Path]) -> Iterator[tuple[str, list[bytes]]]:
    if lines and lines[0].seq == 0:
        yield from roots.copies(lines[0].leaf.hex()[:32])
    for path in copies:
        yield str(path), path.read_bytes().split(b"\n")[:-1]


def _genuine(
    held: Iterable[tuple[str, list[bytes]]], keys: dict[str, str], findings: list[Finding]
) -> Iterator[tuple[str, Root]]:
    """Roots that were signed by the installation's key; of the others it is told."""
    for place, lines in held:
        before = b""
        for number, line in enumerate(lines, 1):
            root, where = read_root(line), f"{place}:{number}"
            if root is None or root.key not in keys or not is_genuine(root, keys[root.key]):
                findings.append(Finding("root", where, None, "this root was not signed with this log's key"))
                continue
            if place == _HERE:
                findings += _follows(root, before, where)
                before = root.line
            yield where, root


def _follows(root: Root, before: bytes, where: str) -> Iterator[Finding]:
    if root.document["prev"] != hashlib.sha256(before).hexdigest():
        yield Finding("root", where, None, "a root is missing before this one, or was changed")


def _against_roots(lines: Sequence[_Line], roots: Sequence[tuple[str, Root]]) -> Iterator[Finding]:
    """Where the rows are not those over which a root was signed."""
    wanted: dict[int, list[tuple[str, Root]]] = {}
    for where, root in roots:
        wanted.setdefault(root.size, []).append((where, root))
    edge = Frontier()
    for line in lines:
        edge.add(line.leaf)
        for where, root in wanted.pop(edge.size, ()):
            if root.root != edge.root():
                words = f"the first {root.size} rows are not those over which the root at {where} was signed"
                yield Finding("fork", where, root.size - 1, words)
    last = lines[-1].seq + 1 if lines else 0
    for size, unmet in sorted(wanted.items()):
        yield Finding(
            "truncate", unmet[0][0], min(last, size - 1),
            f"a root was signed over {size} rows, and there are {len(lines)}",
        )  # fmt: skip
