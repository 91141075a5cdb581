"""How the simulator's kernels are compiled and run: one place for the flags and the threads, so that all agree.

Divisions follow IEEE (no exception paths in inner loops) and nothing is reordered (no ``fastmath``), so a result does
not depend on the number of threads. Kernels release the interpreter's lock and work on a range of rows; plain threads
share the rows out. Numba's own parallel loops would take three times as long to compile.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import cast

from numba import njit

_PIECES_PER_THREAD = 6
"""Rows differ in cost (towns are dear, lakes cheap), so each thread takes several pieces."""


def compiled[Kernel: Callable[..., object]](function: Kernel) -> Kernel:
    """Compile a scalar function or kernel."""
    return cast("Kernel", njit(nogil=True, cache=True, error_model="numpy")(function))


def compiled_inline[Kernel: Callable[..., object]](function: Kernel) -> Kernel:
    """Compile a small function into its callers."""
    return cast("Kernel", njit(nogil=True, cache=True, error_model="numpy", forceinline=True)(function))


def over_rows(kernel: Callable[..., None], rows: int, *arguments: object) -> None:
    """Run ``kernel(start, stop, *arguments)`` over all rows, on all cores.

    Parameters
    ----------
    kernel
        A compiled kernel that fills rows ``start`` to ``stop`` of its results, each by itself.
    rows
        How many there are.
    *arguments
        What the kernel takes besides.
    """
    threads = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
    threads = min(threads or 1, rows)
    pieces = min(threads * _PIECES_PER_THREAD, rows)
    edges = [rows * piece // pieces for piece in range(pieces + 1)]
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(kernel, start, stop, *arguments) for start, stop in pairwise(edges)]
        for job in jobs:
            job.result()
