"""What was found out a moment ago."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

KEEP_S = 30.0
"""How long an answer of policy may be kept: time itself changes what is allowed."""


class Kept[Key: Hashable, Value]:
    """Values by key, each for a while; of too many, the oldest are forgotten. For any number of threads.

    Parameters
    ----------
    most
        How many.
    seconds
        How long each.
    """

    def __init__(self, most: int, seconds: float = KEEP_S) -> None:
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def get(self, key: Key, find: Callable[[], Value]) -> Value:
        """What is known, if it is not too old; else what ``find`` finds, which may be called by two at once.

        What it raises is not kept.
        """
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        value = find()
        with self._lock:
            now = time.monotonic()
            self._known[key] = (now + self._seconds, value)
            self._known.move_to_end(key)
            # The first were put in first: what is too old is not kept for nothing, with the policy it belongs to.
            while len(self._known) > self._most or next(iter(self._known.values()))[0] <= now:
                self._known.popitem(last=False)
        return value
