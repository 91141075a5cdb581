"""What Prefect is told before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

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
