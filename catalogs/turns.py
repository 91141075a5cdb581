"""One after the other, for work that needs Python most of the time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 0.5


class Turns:
    """Threads take turns, but wait for no one that takes long.

    Several threads that need Python hand it to each other thousands of times a second, and all together take up to
    twice as long: then a server that keeps up well falls behind, and stays there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A turn, or after half a second of waiting none: it goes on all the same."""
        ours = self._lock.acquire(timeout=PATIENCE_S)
        try:
            yield
        finally:
            if ours:
                self._lock.release()
