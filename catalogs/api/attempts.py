"""How often somebody may fail to sign in."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

_KEYS = 50_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many failures at once, and one more every so many seconds."""

    failures: float
    every_s: float


BY_ADDRESS = Allowance(30, 5.0)
BY_NAME = Allowance(10, 30.0)
"""A password of four words is out of reach at two attempts a minute; whoever forgot it waits half a minute."""


class Attempts:
    """Failures by key; only they count. Whoever failed too often is refused before anything is looked up."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, keys: dict[str, Allowance]) -> int:
        """Seconds to wait before the next attempt; 0: go on."""
        now = time.monotonic()
        with self._lock:
            needed = [(1 - self._level(key, allowed, now)) * allowed.every_s for key, allowed in keys.items()]
        return max(0, *(int(seconds) + 1 if seconds > 0 else 0 for seconds in needed))

    def failed(self, keys: dict[str, Allowance]) -> None:
        """Count a failure."""
        now = time.monotonic()
        with self._lock:
            for key, allowed in keys.items():
                self._left[key] = (self._level(key, allowed, now) - 1, now)
                self._left.move_to_end(key)
            while len(self._left) > _KEYS:
                self._left.popitem(last=False)

    def _level(self, key: str, allowed: Allowance, now: float) -> float:
        level, then = self._left.get(key, (allowed.failures, now))
        return min(allowed.failures, level + (now - then) / allowed.every_s)
