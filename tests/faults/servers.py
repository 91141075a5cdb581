"""The processes that try, and those who ask them."""

import json
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from typing import Any

SERVERS = 2


class Servers:
    """Processes that try; asked from as many threads."""

    def __init__(self, folder: Path) -> None:
        self._free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        self._all = []
        for number in range(SERVERS):
            place = folder / f"server-{number}"
            place.mkdir()
            with (folder / f"{number}.log").open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.server", str(place)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                )  # fmt: skip
            self._all.append(process)
        for process in self._all:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "a server did not start"
            self._free.put(process)

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Have one that is free do a trial or an order."""
        process = self._free.get()
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End them."""
        for process in self._all:
            process.stdin.close()
            process.wait(timeout=60)
            process.stdout.close()
