"""A real S3 server on loopback: SeaweedFS, one process, its own folder, its own keys, nothing left behind."""

import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from obstore import sign
from obstore.store import S3Store

REGION = "us-east-1"
_BINARY = Path(sys.executable).with_name("weed")
_SERVICES = ("master", "volume", "filer", "s3")
_START_S, _TRIES = 60, 3
_PR_SET_PDEATHSIG = 1
_FEW_VOLUMES = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
"""Every bucket has volumes of its own, seven by default: a few tests' buckets would use up all there are."""


@dataclass(frozen=True)
class S3Server:
    """Where the server listens, and the keys of its one account, which may do anything."""

    endpoint: str
    access_key: str
    secret_key: str
    process: int

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables by which any S3 program finds it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    def store(self, bucket: str, prefix: str | None = None) -> S3Store:
        """A bare store of obstore, for looking at what our own code did."""
        return S3Store(
            bucket,
            prefix=prefix,
            endpoint=self.endpoint,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            region=REGION,
            client_options={"allow_http": True},
        )

    def new_bucket(self, name: str = "") -> str:
        """Make an empty bucket; returns its name."""
        bucket = name or f"qyran-{secrets.token_hex(6)}"
        address = sign(self.store(bucket), "PUT", "", timedelta(minutes=1))
        with urllib.request.urlopen(urllib.request.Request(address, method="PUT"), timeout=30) as answer:
            assert answer.status == 200
        return bucket


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """Run a server that keeps its bytes in ``folder``; it and all its processes are gone afterwards."""
    for attempt in range(_TRIES):
        place = folder / str(attempt)
        place.mkdir(parents=True)
        server, process, sockets = _launch(place)
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            _end(process, sockets)
    raise RuntimeError(f"SeaweedFS did not start; see {folder}/*/log:\n{(place / 'log').read_text()[-2000:]}")


def _launch(folder: Path) -> tuple[S3Server, subprocess.Popen[bytes], list[Path]]:
    keys = secrets.token_hex(8), secrets.token_hex(16)
    account = {
        "name": "tests",
        "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    accounts = folder / "s3.json"
    accounts.write_text(json.dumps({"identities": [account]}))
    ports = _free_ports(2 * len(_SERVICES))
    options = []
    for service, port, grpc in zip(_SERVICES, ports[::2], ports[1::2], strict=True):
        options += [f"-{service}.port={port}", f"-{service}.port.grpc={grpc}"]
    command = [
        str(_BINARY), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *options,
        "-master.telemetry=false",  # on by default: it would report to its makers
        "-master.volumeSizeLimitMB=64", "-volume.max=2000", "-volume.minFreeSpace=1",
        "-filer", f"-filer.localSocket={folder}/filer.sock",
        "-s3", f"-s3.config={accounts}", f"-s3.localSocket={folder}/s3.sock",
        "-s3.port.iceberg=0", "-s3.port.lance=0",  # fixed ports by default: two servers would collide
        "-s3.autoCreateBucket=false",  # on by default: a wrong bucket's name would then be no error
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=_die_with_parent, env={**os.environ, **_FEW_VOLUMES},
        )  # fmt: skip
    sockets = [
        Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock") for name, port in zip(_SERVICES, ports[1::2], strict=True)
    ]
    return S3Server(f"http://127.0.0.1:{ports[-2]}", *keys, process.pid), process, sockets


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in held]
    finally:
        for listener in held:
            listener.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it refuses strangers and takes an object; False if it ended, another having taken a port."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(server.endpoint, timeout=2).close()
        except urllib.error.HTTPError as answer:
            with answer:
                refused = answer.code == 403
            if refused and _takes_an_object(server):
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def _takes_an_object(server: S3Server) -> bool:
    """The gateway answers some time before the volumes behind it are there."""
    with contextlib.suppress(Exception):
        store = server.store(server.new_bucket())
        store.put("first", b"x" * 70_000)
        return bytes(store.get("first").bytes()) == b"x" * 70_000
    return False


def _end(process: subprocess.Popen[bytes], sockets: list[Path]) -> None:
    """At once: asked politely, it waits for idle connections for half a minute. Its folder is thrown away."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    for path in sockets:
        path.unlink(missing_ok=True)
