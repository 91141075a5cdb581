"""Run one command and write down what it used. A script of its own, started anew for every measurement.

A process's peak memory counts from the pages of the one it was spawned from, so a large parent would hide the memory
of a small child. This one imports next to nothing (``python -I -S``) and stays at about 10 MB.

Arguments: number of CPUs, file for the figures, file for the command's words, the command.
"""

import json
import os
import sys
import time


def main() -> None:
    """Spawn, wait, and write what the command and all its children used."""
    cpus, figures, words, *command = sys.argv[1:]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cpus)])
    output = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    began = time.perf_counter()
    child = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
    )
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    record = {
        "wall_s": wall,
        "user_s": used.ru_utime,
        "system_s": used.ru_stime,
        "peak_rss_bytes": used.ru_maxrss * 1024,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    with open(figures, "w", encoding="ascii") as file:  # noqa: PTH123  pathlib would cost what this saves
        json.dump(record, file)


if __name__ == "__main__":
    main()
