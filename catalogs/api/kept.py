"""What was found out a moment ago."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

KEEP_S = 30.0
"""How long an answer of policy may be kept: time itself changes what is allowed."""


class Kept[Key: Hashable, Value]:
    """Values by key, each for less than a minute; of too many, the oldest are forgotten. For any number of threads.

    Parameters
    ----------
    most
        How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def get(self, key: Key, find: Callable[[], Value]) -> Value:
        """What is known, if it is not too old; else what ``find`` finds, which may be called by two at once."""
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        value = find()
        with self._lock:
            self._known[key] = (time.monotonic() + KEEP_S, value)
            self._known.move_to_end(key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return value
