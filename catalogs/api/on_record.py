"""What went out to whom, and what was gravely refused, in the audit log: once in some minutes for each thing."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from catalogs.api.kept import Kept
from catalogs.policy.audit import AuditLog
from catalogs.policy.terms import Action, Decision, Party
from catalogs.store.protocol import Item
from processing.model.errors import QyranError

log = logging.getLogger(__name__)
AGAIN_S = 300.0
_KNOWN = 20_000


class OnRecord:
    """Tells the audit log.

    Parameters
    ----------
    home
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._later = ThreadPoolExecutor(1, thread_name_prefix="on-record")
        self._told: Kept[tuple[str, ...], object] = Kept(_KNOWN, AGAIN_S)

    def given(self, party: Party, thing: tuple[str, str | None], decision: Decision) -> None:
        """Somebody gets something: ``COLLECTION/ID/ASSET`` and the SHA-256 of its bytes.

        Raises
        ------
        QyranError
            If it could not be put on record: then it must not go out.
        """
        key = ("given", party.id, thing[0], decision.rule, decision.policy_sha256)
        self._told.get(key, lambda: AuditLog.open(self._home).append(party.id, "download", [thing], decision))

    def refused(self, party: Party, item: Item, action: Action, decision: Decision) -> None:
        """Somebody was refused something by a rule whose refusals belong into the log.

        It is written a little later: how long a refusal takes must not tell that there was something to refuse.
        """
        name = f"{item['collection']}/{item['id']}"
        key = ("refused", party.id, name, action.value, decision.policy_sha256)
        self._told.get(key, lambda: self._later.submit(self._append, party, name, action, decision))

    def close(self) -> None:
        """Write what is still to be written."""
        self._later.shutdown(wait=True)

    def _append(self, party: Party, name: str, action: Action, decision: Decision) -> None:
        try:
            AuditLog.open(self._home).append(party.id, f"refused.{action.value}", [name], decision)
        except QyranError:
            log.exception("a refusal could not be put on record")
