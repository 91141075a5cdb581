"""The audit log: who was given what, when, under which rule. What is not on record is not delivered."""

import logging
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from catalogs.policy.audit_check import Report, check
from catalogs.policy.audit_file import Ledger, Tail
from catalogs.policy.audit_names import Names
from catalogs.policy.audit_proof import Tree, inclusion_document
from catalogs.policy.audit_roots import Root, SignedRoots
from catalogs.policy.audit_row import AuditEntry, AuditObject, Draft, objects_of
from catalogs.policy.terms import Decision
from configs.audit import load_audit_config
from configs.schema.audit import AuditConfig
from processing.model.errors import Defect, QyranError

log = logging.getLogger(__name__)
_open: "weakref.WeakValueDictionary[tuple[Path, int], AuditLog]" = weakref.WeakValueDictionary()
_opening = threading.Lock()


class _Ticket:
    """A row that waits for its place."""

    __slots__ = ("document", "entry", "error")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.entry: AuditEntry | None = None
        self.error: Exception | None = None


class AuditLog:
    """The log of an installation, for all threads of a process; other processes append to it at the same time.

    Rows that several threads append at once reach the disk together: one wait for all of them.

    Parameters
    ----------
    home
        The installation; the log lies in ``HOME/audit``.
    config
        How often roots are signed, and where they are copied to.
    """

    def __init__(self, home: Path, config: AuditConfig) -> None:
        self._ledger = Ledger(home / "audit")
        self._roots = SignedRoots(home, config.copies)
        self._names = Names(home / "audit")
        self._tree = Tree(self._ledger)
        self._config = config
        self._queue: list[_Ticket] = []
        self._queueing, self._leading = threading.Lock(), threading.Lock()
        self._timer: threading.Timer | None = None
        self._guarded: int | None = None
        self._finalizer = weakref.finalize(self, _sign_at_the_end, self._ledger, self._roots, self._tree)

    @classmethod
    def open(cls, home: Path) -> "AuditLog":
        """The log of an installation; one for the whole process."""
        key = (home.resolve(), os.getpid())
        with _opening:
            found = _open.get(key)
            if found is None:
                found = _open[key] = cls(key[0], load_audit_config(home / "configs"))
            return found

    def append(
        self,
        actor: str,
        action: str,
        objects: Sequence[AuditObject | str | tuple[str, str | None]] = (),
        decision: Decision | str | None = None,
        *,
        request_id: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> AuditEntry:
        """Put something on record. When this returns, it is on the disk.

        Parameters
        ----------
        actor
            Id of the customer or officer, ``operator``, or ``system``. The row holds a pseudonym.
        action
            What was done: ``download``, ``order.accepted``, ``policy.activated``, ...
        objects
            Ids of what it was done with, with the SHA-256 of what was given: ``("COLLECTION/ID", sha256)``.
        decision
            Policy's, or its effect.
        request_id
            What ties the row to a request or an order.
        facts
            More about it: short texts, nothing personal, for no row is ever changed.

        Raises
        ------
        Retryable
            ``disk.full``, ``disk.failed`` if the disk did not take it. Then it must not be done.
        Defect
            ``audit.damaged`` if the log has been tampered with at its end. Then it must not be done.
        BadInput
            ``audit.row`` if no row may hold it.
        """
        given = decision if isinstance(decision, Decision) else None
        draft = Draft(
            actor=self._names.pseudonym(actor),
            action=action,
            objects=objects_of(objects),
            decision=str(given.effect) if given else None if decision is None else str(decision),
            rule=given.rule if given else None,
            reasons=given.reasons if given else (),
            policy_sha256=(given.policy_sha256 or None) if given else None,
            request_id=request_id,
            facts=dict(facts or {}),
        )
        ticket = _Ticket(draft.document())
        with self._queueing:
            self._queue.append(ticket)
        with self._leading:
            if ticket.entry is None and ticket.error is None:
                self._lead()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.entry is not None
        return ticket.entry

    def sign(self) -> Root | None:
        """Sign the log as it is now, if that has not been done, and send copies; None of an empty log."""
        with self._leading, self._ledger.held():
            root = _sign(self._ledger, self._roots, self._tree)
        self._roots.copy()
        return root

    def inclusion_proof(self, entry: AuditEntry | int) -> dict[str, Any]:
        """What proves, with the public key alone, that a row is on record: for the customer to keep.

        Raises
        ------
        Defect
            ``audit.damaged`` if it is not, or the log is not what was signed.
        """
        seq = entry if isinstance(entry, int) else entry.seq
        root = self._roots.last()
        if root is None or root.size <= seq:
            root = self.sign()
        return inclusion_document(self._ledger, self._tree, seq, root, self._roots.public_keys())

    def consistency_proof(self, earlier: int, later: int | None = None) -> dict[str, Any]:
        """What proves that the log of ``earlier`` rows is the beginning of that of ``later`` (now)."""
        size = later or self._ledger.tail().size
        path = self._tree.consistency(earlier, size)
        roots = {"earlier_root": self._tree.root(earlier).hex(), "root": self._tree.root(size).hex()}
        return {"earlier": earlier, "size": size, **roots, "path": [node.hex() for node in path]}

    def verify(self, copies: Sequence[Path] = (), *, public_key: str | None = None) -> Report:
        """Hold every row against its hash and its neighbours, and every signed root, here and elsewhere, against all.

        Parameters
        ----------
        copies
            Files of roots that were kept elsewhere.
        public_key
            The one key that may have signed, as noted elsewhere: keys that lie with the log can be replaced with it.
        """
        return check(self._ledger, self._roots, copies, public_key)

    def entries(self, start: int = 0) -> Iterator[AuditEntry]:
        """Rows from one on."""
        return self._ledger.entries(start)

    def actors(self) -> dict[str, str]:
        """Who stands behind the pseudonyms, of those who were not erased."""
        return self._names.actors()

    def alias(self, actor: str) -> str:
        """Somebody's pseudonym, for rows that are about one; made if there is none yet."""
        return self._names.pseudonym(actor)

    def pseudonym_of(self, actor: str) -> str | None:
        """Under which pseudonym somebody is on record."""
        return self._names.known(actor)

    def erase(self, actor: str) -> bool:
        """Forget who stands behind a pseudonym; whether there was one. The log still verifies."""
        return self._names.erase(actor)

    def close(self) -> None:
        """Sign what is not yet signed. The log can be used further."""
        if self._timer is not None:
            self._timer.cancel()
        _sign_at_the_end(self._ledger, self._roots, self._tree)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lead(self) -> None:
        """Append what waits, for everybody who waits."""
        with self._queueing:
            batch, self._queue = self._queue, []
        signed = False
        try:
            with self._ledger.held():
                self._unbroken(self._ledger.settled())
                entries = self._ledger.append([ticket.document for ticket in batch])
                for ticket, entry in zip(batch, entries, strict=True):
                    ticket.entry = entry
                signed = self._sign_when_due(self._ledger.tail().size)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and nothing is delivered
            for ticket in batch:
                ticket.error = ticket.error or (error if ticket.entry is None else None)
        if signed:
            threading.Thread(target=self._roots.copy, name="audit-copies", daemon=True).start()

    def _unbroken(self, tail: Tail) -> None:
        """Refuse to go on with a log whose end has gone: a root was signed over rows that are not there any more."""
        if self._guarded == tail.size:
            return
        root = self._roots.last()
        if root is not None and (
            root.size > tail.size or (root.size == tail.size and root.document["head"] != tail.head.hex())
        ):
            raise Defect(
                f"the audit log ends with row {tail.size - 1}, and a root was signed over {root.size} rows",
                kind="audit.damaged", where=str(self._ledger.rows),
                remedy="qyran audit verify tells what is missing. Nothing is delivered until it is restored, or moved"
                " aside for a new log to begin.",
            )  # fmt: skip

    def _sign_when_due(self, size: int) -> bool:
        self._guarded = size
        last = self._roots.last()
        waited = self._age(last)
        if size - (0 if last is None else last.size) >= self._config.every_rows or waited > self._config.every_seconds:
            try:
                _sign(self._ledger, self._roots, self._tree)
            except (QyranError, OSError):
                # The rows are on record; their root is signed with the next ones.
                log.exception("the audit log could not be signed")
                return False
            return True
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(self._config.every_seconds, _sign_later, (weakref.ref(self),))
            self._timer.daemon = True
            self._timer.start()
        return False

    def _age(self, last: Root | None) -> float:
        """Seconds since the last root; 0 where there is none: a first row waits for its timer."""
        if last is None:
            return 0.0
        return (datetime.now(UTC) - datetime.fromisoformat(str(last.document["ts"]))).total_seconds()


def _sign(ledger: Ledger, roots: SignedRoots, tree: Tree) -> Root | None:
    """A root over all rows, if there is none yet; under the log's lock."""
    tail, last = ledger.tail(), roots.last()
    if tail.size == 0:
        return None
    if last is not None and last.size >= tail.size:
        return last
    first = next(iter(ledger.entries()))
    return roots.add(tail.size, tree.root(tail.size), tail.head, first.hash[:32])


def _sign_later(reference: "weakref.ref[AuditLog]") -> None:
    found = reference()
    if found is not None:
        try:
            found.sign()
        except (QyranError, OSError):
            log.exception("the audit log could not be signed")


def _sign_at_the_end(ledger: Ledger, roots: SignedRoots, tree: Tree) -> None:
    """Sign what a short-lived process has appended."""
    if not ledger.has_appended or not ledger.rows.is_dir():
        return
    try:
        with ledger.held():
            _sign(ledger, roots, tree)
            ledger.has_appended = False
        roots.copy()
    except (QyranError, OSError):
        log.exception("the audit log could not be signed")
