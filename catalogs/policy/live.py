"""The active policy of a running server: looked after every second, and never replaced by one that is wrong."""

import logging
import threading
import time
from pathlib import Path

from catalogs.policy.load import active_policy, watched
from catalogs.policy.rules import Policy
from configs.load import ConfigError
from processing.model.errors import QyranError

log = logging.getLogger(__name__)
_LOOK_S = 1.0


class LivePolicy:
    """Which policy holds now.

    Parameters
    ----------
    configs
        ``HOME/configs``.
    otherwise
        Name of the policy where the operator's configuration names none.

    Raises
    ------
    BadInput
        ``policy.*`` if the policy is wrong from the start.
    ConfigError
        If a file does not satisfy its schema.
    """

    def __init__(self, configs: Path, otherwise: str) -> None:
        self._configs, self._otherwise = configs, otherwise
        self._lock = threading.Lock()
        self._seen = watched(configs)
        self._policy = active_policy(configs, otherwise)
        self._next_look = time.monotonic() + _LOOK_S
        self.fault: str | None = None
        """Why what lies in the files now is not in force; None: it is."""

    def current(self) -> Policy:
        """The policy; read anew at most a second after any of its files has changed.

        One that is wrong, or fails its own tests, is told of in the log, and does not replace the one in force.
        """
        if time.monotonic() < self._next_look or not self._lock.acquire(blocking=False):
            return self._policy
        try:
            self._next_look = time.monotonic() + _LOOK_S
            seen = watched(self._configs)
            if seen != self._seen:
                self._seen = seen
                self._replace()
        finally:
            self._lock.release()
        return self._policy

    def _replace(self) -> None:
        try:
            found = active_policy(self._configs, self._otherwise)
        except (QyranError, ConfigError, OSError) as error:
            self.fault = str(error)
            log.exception("the policy's files have changed, and cannot be used: %s stays in force", self._policy.name)
            return
        self.fault = None
        if found.sha256 != self._policy.sha256:
            log.warning("policy %s (%s) is in force", found.name, found.sha256[:12])
        self._policy = found
