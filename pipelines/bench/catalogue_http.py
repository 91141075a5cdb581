"""The catalogue's real server as a process of its own, and questions to it over loopback."""

import http.client
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.settings import Home
from pipelines.secret_files import operator_token
from processing.model.errors import Defect

_STARTS_S = 300.0


class Served:
    """A server that answers; one connection to it, held open as clients do."""

    def __init__(self, port: int, token: str, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._process = process

    def ask(self, body: dict[str, Any]) -> float:
        """Seconds from a search's first byte to its answer's last, a whole page with links and count.

        Raises
        ------
        Defect
            ``bench.catalogue`` if it is refused.
        """
        content = json.dumps(body).encode()
        began = time.perf_counter()
        self._connection.request("POST", "/stac/search", content, self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise Defect(f"the server said {answer.status}: {said[:300]!r}", kind="bench.catalogue")
        return seconds

    def peak_rss_bytes(self) -> int:
        """The most memory it ever had."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def memory_bytes(self) -> int:
        """The memory it has now, of which every page is counted once, however many threads have mapped its file."""
        found = re.search(r"Pss:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/smaps_rollup").read_text())
        return int(found[1]) * 1024 if found else 0

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextmanager
def serving(home: Path, environment: dict[str, str]) -> Iterator[Served]:
    """Start ``pipelines.serve_api`` for an installation, and end it with the block.

    Raises
    ------
    Defect
        ``bench.catalogue`` if it does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = operator_token(Home.resolve(home))
    process = subprocess.Popen(  # noqa: S603 - this package's own module
        [sys.executable, "-m", "pipelines.serve_api", str(home), str(port)], env=environment
    )
    try:
        _wait(process, port)
        served = Served(port, token, process)
        try:
            yield served
        finally:
            served.close()
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _STARTS_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Defect("the catalogue's server did not start", kind="bench.catalogue") from error
            time.sleep(0.1)
        else:
            return
