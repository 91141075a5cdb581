"""Proofs from the audit log, and how anybody verifies them with nothing but the public key."""

import os
import threading
from collections.abc import Mapping
from typing import Any

import rfc8785

from catalogs.policy import audit_merkle, audit_row
from catalogs.policy.audit_file import SEGMENT, Ledger
from catalogs.policy.audit_roots import Root, is_genuine, read_root
from catalogs.policy.audit_row import AuditEntry
from processing.model.errors import BadInput, Defect

_KIND = "qyran-audit-inclusion-1"
_NODES = "nodes.bin"


class Tree:
    """The Merkle tree over a log's rows. Roots over whole files are kept, and not believed unproven.

    Parameters
    ----------
    ledger
        The rows.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._whole: dict[int, bytes] = {}

    def root(self, size: int) -> bytes:
        """Root of the first ``size`` rows."""
        with self._lock:
            return audit_merkle.EMPTY if size == 0 else self._over(0, size)

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """Path from a row to the root of the first ``size`` rows."""
        with self._lock:
            return audit_merkle.inclusion_path(seq, size, self._over)

    def consistency(self, earlier: int, size: int) -> list[bytes]:
        """Proof that the first ``earlier`` rows are the beginning of the first ``size``."""
        with self._lock:
            return audit_merkle.consistency_path(earlier, size, self._over)

    def forget(self) -> None:
        """Calculate everything anew from now on."""
        with self._lock:
            self._whole.clear()
            (self._ledger.folder / _NODES).unlink(missing_ok=True)

    def _over(self, start: int, stop: int) -> bytes:
        return audit_merkle.root_over(self._small, start, stop, SEGMENT)

    def _small(self, start: int, stop: int) -> bytes:
        """Root of rows of one file."""
        first = start - start % SEGMENT
        if stop - start == SEGMENT:
            return self._segment(first)
        return audit_merkle.root_of(self._leaves(first)[start - first : stop - first])

    def _segment(self, first: int) -> bytes:
        if first not in self._whole:
            self._whole |= {index * SEGMENT: node for index, node in enumerate(self._kept())}
        if first not in self._whole:
            leaves = self._leaves(first)
            if len(leaves) != SEGMENT:
                raise _missing(self._ledger, first + len(leaves))
            self._whole[first] = audit_merkle.root_of(leaves)
            self._keep(first, self._whole[first])
        return self._whole[first]

    def _leaves(self, first: int) -> list[bytes]:
        found: list[bytes] = []
        for line in self._ledger.lines(first):
            leaf = audit_row.leaf_of(line)
            if leaf is None:
                raise _missing(self._ledger, first + len(found))
            found.append(leaf)
        return found

    def _kept(self) -> list[bytes]:
        try:
            content = (self._ledger.folder / _NODES).read_bytes()
        except FileNotFoundError:
            return []
        return [content[at : at + 32] for at in range(0, len(content) - 31, 32)]

    def _keep(self, first: int, node: bytes) -> None:
        """Keep a node in its place; whoever else calculates it writes the same bytes there."""
        descriptor = os.open(self._ledger.folder / _NODES, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size == first // SEGMENT * 32:
                os.pwrite(descriptor, node, first // SEGMENT * 32)
        finally:
            os.close(descriptor)


def inclusion_document(
    ledger: Ledger, tree: Tree, seq: int, root: Root | None, keys: Mapping[str, str]
) -> dict[str, Any]:
    """The proof that a row is on record under a signed root.

    Raises
    ------
    Defect
        ``audit.damaged`` if it cannot be proven: the log is not what was signed.
    """
    entry = next(iter(ledger.entries(seq)), None)
    if root is None or entry is None or entry.seq != seq or root.key not in keys:
        raise _missing(ledger, seq)
    for again in (False, True):
        if again:
            tree.forget()
        path = tree.inclusion(seq, root.size)
        if audit_merkle.includes(root.root, root.size, seq, entry.leaf, path):
            return {
                "type": _KIND,
                "row": dict(entry.document),
                "path": [node.hex() for node in path],
                "root": dict(root.document),
                "public_key": keys[root.key],
            }
    raise _missing(ledger, seq)


def verify_inclusion(document: Mapping[str, Any], public_key: str | None = None) -> AuditEntry:
    """The row that a proof proves; no network, no installation.

    Parameters
    ----------
    public_key
        The log's, as known from elsewhere; None: the one in the proof, which proves only that all belongs together.

    Raises
    ------
    BadInput
        ``audit.proof`` if it proves nothing.
    """
    try:
        entry = audit_row.read(rfc8785.dumps(document["row"]))
        root = read_root(rfc8785.dumps(document["root"]))
        path = [bytes.fromhex(node) for node in document["path"]]
        key = str(public_key or document["public_key"])
    except (KeyError, TypeError, ValueError, rfc8785.CanonicalizationError) as error:
        raise BadInput("this is no proof from an audit log", kind="audit.proof") from error
    if document.get("type") != _KIND or entry is None or root is None:
        raise BadInput("this is no proof from an audit log", kind="audit.proof")
    if not is_genuine(root, key):
        raise BadInput("the log's root is not signed with this key", kind="audit.proof")
    if not audit_merkle.includes(root.root, root.size, entry.seq, entry.leaf, path):
        raise BadInput("the row is not in the log that was signed", kind="audit.proof")
    return entry


def _missing(ledger: Ledger, seq: int) -> Defect:
    return Defect(
        f"row {seq} of the audit log cannot be proven", kind="audit.damaged", where=str(ledger.rows),
        remedy="qyran audit verify tells what is wrong with it.",
    )  # fmt: skip
