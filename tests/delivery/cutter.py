"""A loopback proxy that breaks connections off: after so many bytes of answers, again and again."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit


class Cutter:
    """A running proxy: connection by connection as the plan says, and after the plan as they come."""

    def __init__(self, upstream: str, plan: Sequence[int]) -> None:
        self.upstream = urlsplit(upstream)
        self.plan = list(plan)
        """Bytes of answers after which the next connection that brings so many is broken off."""
        self.cuts = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = False
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, socket.create_connection((self.upstream.hostname, self.upstream.port)) as server:
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
            self._answers(server, client)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while piece := server.recv(1 << 20):
                client.sendall(piece)
                sent += len(piece)
                if self._is_time(sent):
                    # Both ways at once: a close alone would wait for the thread that still reads from it.
                    client.shutdown(socket.SHUT_RDWR)
                    return

    def _is_time(self, sent: int) -> bool:
        with self._lock:
            if self.plan and sent >= self.plan[0]:
                self.plan.pop(0)
                self.cuts += 1
                return True
            return False


@contextlib.contextmanager
def cutting(upstream: str, plan: Sequence[int]) -> Iterator[Cutter]:
    proxy = Cutter(upstream, plan)
    try:
        yield proxy
    finally:
        proxy.close()
