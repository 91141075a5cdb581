"""How the process keeps freed memory."""

import ctypes

_M_ARENA_MAX = -8


def share_one_arena() -> None:
    """Let all threads take memory from one heap of glibc; does nothing where there is no glibc.

    Each thread has its own by default, and what one has freed no other can have: two threads that make shards held
    90 MB more between them. Shards are few and large, so that nobody waits for the heap. To be called before threads
    start.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
