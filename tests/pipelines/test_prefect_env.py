"""What Prefect is told before it is imported."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.prefect_env import prefect_environment

CHECK = """
import os
from pathlib import Path
from pipelines.prefect_env import flows_in_this_process, prepare_prefect
home = Path(os.environ["WANTED_HOME"])
prepare_prefect(home)
from prefect.settings import get_current_settings
settings = get_current_settings()
assert settings.home == home, settings.home
assert settings.server.analytics_enabled is False
assert settings.server.ui.v2_enabled is False
assert settings.client.server_version_check_enabled is False
assert settings.results.default_serializer == "json"
assert settings.server.ephemeral.enabled is True
assert settings.server.ephemeral.startup_timeout_seconds >= 240
assert settings.server.api.auth_string.get_secret_value() == settings.api.auth_string.get_secret_value()
assert len(settings.api.auth_string.get_secret_value()) > 30
with flows_in_this_process():
    assert get_current_settings().flows.heartbeat_frequency is None
prepare_prefect(home / "other")
assert os.environ["PREFECT_HOME"] == str(home), "one process, one history"
assert not (home / "other").exists()
"""


def test_every_setting_has_the_name_that_prefect_reads(tmp_path: Path) -> None:
    """Prefect ignores variables it does not know, so a renamed setting would go unnoticed."""
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    home = tmp_path / "prefect"
    subprocess.run([sys.executable, "-c", CHECK], env=environment | {"WANTED_HOME": str(home)}, check=True, timeout=120)
    assert home.stat().st_mode & 0o077 == 0


def test_an_unprepared_prefect_is_refused() -> None:
    code = (
        "import prefect; from pathlib import Path; from pipelines.prefect_env import prepare_prefect\n"
        "try: prepare_prefect(Path('nowhere'))\n"
        "except Exception as error: assert error.kind == 'prefect.imported_before'\n"
        "else: raise SystemExit('accepted')"
    )
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)


def test_nothing_is_sent_anywhere() -> None:
    environment = prefect_environment(Path("somewhere"))
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


START = """
import os
from pathlib import Path
from pipelines.prefect_env import prepare_prefect, server_starting
prepare_prefect(Path(os.environ["WANTED_HOME"]))
with server_starting():
    from prefect.server.api.server import SubprocessASGIServer
    server = SubprocessASGIServer()
    while server.server_process is None:
        pass
    print(server.server_process.pid, flush=True)
"""
SERVE = """
import os, time
from pathlib import Path
from pipelines.prefect_env import prepare_prefect, server_starting
prepare_prefect(Path(os.environ["WANTED_HOME"]))
with server_starting():
    pass
from prefect.server.api.server import SubprocessASGIServer
print(SubprocessASGIServer().server_process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.services
@pytest.mark.parametrize("script", [START, SERVE], ids=["while it starts", "when it runs"])
def test_the_temporary_server_ends_with_a_killed_process(tmp_path: Path, script: str) -> None:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment | {"WANTED_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        os.kill(server, 0)
        process.send_signal(signal.SIGKILL)
    for _ in range(150):
        if not _runs(server):
            return
        time.sleep(0.2)
    os.kill(server, signal.SIGKILL)
    pytest.fail("the temporary server outlived the process that started it")


END = """
import os
from pathlib import Path
from pipelines.prefect_env import prepare_prefect, server_starting
prepare_prefect(Path(os.environ["WANTED_HOME"]))
with server_starting():
    pass
"""


@pytest.mark.services
def test_an_end_in_order_leaves_nothing_to_complain_about(tmp_path: Path) -> None:
    """No warning of a process still running, and no server left."""
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    ended = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", END],
        env=environment | {"WANTED_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "still running" not in ended.stderr


def _runs(process: int) -> bool:
    """Whether a process is there, and not merely a dead one that nobody has asked about."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
