"""How the simulator's kernels are compiled: one place for the flags, so that all of them agree.

Divisions follow IEEE (no exception paths in inner loops), nothing is reordered (no ``fastmath``), so results are the
same whatever the number of threads. Loops over lines go in parallel; their bodies are functions of their own.
"""

from collections.abc import Callable
from typing import cast

from numba import njit


def compiled[Kernel: Callable[..., object]](function: Kernel) -> Kernel:
    """Compile a scalar function or kernel."""
    return cast("Kernel", njit(nogil=True, cache=True, error_model="numpy")(function))


def compiled_inline[Kernel: Callable[..., object]](function: Kernel) -> Kernel:
    """Compile a small function into its callers."""
    return cast("Kernel", njit(nogil=True, cache=True, error_model="numpy", forceinline=True)(function))


def compiled_parallel[Kernel: Callable[..., object]](function: Kernel) -> Kernel:
    """Compile a kernel whose outer ``prange`` loop runs on all threads."""
    return cast("Kernel", njit(nogil=True, cache=True, error_model="numpy", parallel=True)(function))
