"""What every test lives under: no network, fixed surroundings, and a plain account of what was not run.

``QYRAN_TESTDATA``
    Folder of the real scenes; else ``../shared/data`` seen from the project's root.
``QYRAN_REQUIRE``
    Comma-separated markers that must run (``realdata,services``): what would be skipped then fails instead.
``QYRAN_SKIP``
    Comma-separated markers to leave out, e.g. ``services`` on a machine that may open no port.
"""

import ipaddress
import os
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import dask
import pytest
from hypothesis import settings

pytest_plugins = ("tests.faults.account",)
ROOT = Path(__file__).resolve().parent.parent

# The same examples on every machine and run: a red build can be repeated. No deadline: the machine may be busy.
settings.register_profile("qyran", derandomize=True, deadline=None, max_examples=60, print_blob=False)
settings.load_profile("qyran")

# Before anything reads them. Prefect must neither phone out nor find an operator's profile.
os.environ.update(
    TZ="UTC",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    GDAL_PAM_ENABLED="NO",
    NO_COLOR="1",
    COLUMNS="140",
)
for name in ("QYRAN_HOME", "QYRAN_CATALOGUE_URL", "FORCE_COLOR", "PREFECT_API_URL", "PREFECT_PROFILE"):
    os.environ.pop(name, None)


def pytest_configure(config: pytest.Config) -> None:
    """Prefect reads its settings when it is imported, by whichever test is first: so it is told before any of them.

    A temporary server starts with the first flow that is run in this process.
    """
    from pipelines.prefect_env import prepare_prefect, stop_server

    place = tempfile.TemporaryDirectory(prefix="qyran-prefect-", ignore_cleanup_errors=True)
    config.add_cleanup(place.cleanup)
    config.add_cleanup(stop_server)
    prepare_prefect(Path(place.name))


def _listed(variable: str) -> set[str]:
    return {word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()}


def _realdata_folder() -> Path | None:
    given = os.environ.get("QYRAN_TESTDATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    return folder.resolve() if (folder / "README.md").is_file() else None


def _why_not(marker: str) -> str | None:
    """Why tests with this marker cannot run here, or None."""
    if marker in _listed("QYRAN_SKIP"):
        return f"{marker} left out by QYRAN_SKIP"
    if marker == "realdata" and _realdata_folder() is None:
        return "real scenes not found: set QYRAN_TESTDATA to their folder, or lay them at ../shared/data"
    return None


LONGEST_FIRST = (
    "end_to_end/test_operations.py",
    "faults/test_system_calls.py",
    "pipelines/test_schedules.py",
    "faults/test_power_cut.py",
    "equivalence/test_compute.py",
    "pipelines/test_house.py",
    "archive/test_remote_faults.py",
    "docker/test_compose.py",
    "pipelines/test_adjust.py",
    "pipelines/test_redelivery.py",
    "portal/test_search.py",
    "portal/test_trade.py",
    "portal/test_people.py",
    "end_to_end/test_demo.py",
    "pipelines/test_up.py",
    "end_to_end/test_refined_process.py",
    "faults/test_state_machine.py",
    "pipelines/test_prefect_env.py",
)
"""Files that take most of a minute and more: begun last, one of two processes would end long before the other.

What mostly waits (for servers, schedules, pages) takes turns with what mostly computes: side by side, neither has
processors idle.
"""


def _place(item: pytest.Item) -> int:
    name = item.path.relative_to(ROOT / "tests").as_posix()
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first. Skip what cannot run here; fail it where it was declared required."""
    items.sort(key=_place)
    required = _listed("QYRAN_REQUIRE")
    reasons = {marker: _why_not(marker) for marker in ("realdata", "services")}
    for marker in required & {name for name, reason in reasons.items() if reason}:
        raise pytest.UsageError(f"{marker} tests are required (QYRAN_REQUIRE), but: {reasons[marker]}")
    for item in items:
        for marker, reason in reasons.items():
            if reason and marker in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end what was not run, and why, so that a green line is not read as more than it is."""
    reasons = Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        terminalreporter.write_sep("-", "not run")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count} test{'s' if count > 1 else ''}: {reason}")


@pytest.fixture
def realdata() -> Path:
    """Folder of the real scenes. Skips the test where they are absent."""
    folder = _realdata_folder()
    if folder is None:
        pytest.skip(_why_not("realdata") or "real scenes left out")
    return folder


@pytest.fixture
def no_compute() -> Iterator[None]:
    """Any Dask computation inside the test is a failure: for code that promises to stay lazy."""

    def refuse(graph: Any, keys: Any, **_: Any) -> NoReturn:
        pytest.fail(f"lazy code computed {keys!r}"[:400])

    with dask.config.set(scheduler=refuse):
        yield


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """Prefect as the command line sets it up: flows run in this process, their records go to a temporary server.

    One for the whole session: starting the server costs some 20 s.
    """
    from pipelines.prefect_env import flows_in_this_process

    with flows_in_this_process():
        yield


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real S3 server on loopback (:class:`tests.services.seaweed.S3Server`); one a session and xdist worker."""
    from tests.services.seaweed import seaweed

    with seaweed(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium (a Playwright ``Browser``); :func:`tests.services.chromium.watched` opens pages in it."""
    from tests.services import chromium as service

    if reason := service.why_not():
        if "services" in _listed("QYRAN_REQUIRE"):
            pytest.fail(reason)
        pytest.skip(reason)
    with service.running() as browser:
        yield browser


class NetworkUsed(AssertionError):
    """A test reached for a machine other than this one."""


def _is_here(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost", b""):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return False


def _guarded(method: Callable[..., Any], *, address_at: int) -> Callable[..., Any]:
    def call(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        address = args[address_at] if len(args) > address_at or address_at < 0 else None
        if self.family in (socket.AF_INET, socket.AF_INET6) and address is not None and not _is_here(address[0]):
            raise NetworkUsed(f"a test tried to reach {address[0]}: only loopback is allowed")
        return method(self, *args, **kwargs)

    return call


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Block connections and name look-ups beyond loopback, in this process, for the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        for name, address_at in {"connect": 0, "connect_ex": 0, "sendto": -1}.items():
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name), address_at=address_at))
        look_up = socket.getaddrinfo

        def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_here(host) and host not in ("0.0.0.0", "::", socket.gethostname()):
                raise NetworkUsed(f"a test tried to look up {host!r}: only loopback is allowed")
            return look_up(host, *args, **kwargs)

        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds the developer's own installation, nor leaves one behind."""
    monkeypatch.setenv("QYRAN_HOME", str(tmp_path_factory.getbasetemp() / "unasked-home"))
