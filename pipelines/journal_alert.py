"""Has Prefect tell a webhook of events: ``python -m pipelines.journal_alert URL [--home DIR] [--file FILE]``.

Loading again replaces the address and the automation of the same name.
"""

import argparse
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from configs.settings import Home
from pipelines.prefect_env import prepare_prefect, running_server
from processing.model.errors import BadInput, QyranError

SHIPPED = Path(__file__).parent / "automations" / "trouble.yaml"


def load_alert(url: str, path: Path = SHIPPED) -> str:
    """Have the Prefect server of this process tell a webhook of events.

    Parameters
    ----------
    url
        Of the webhook. Prefect keeps it as a secret.
    path
        The automation, as Prefect's own JSON written in YAML; its webhook actions get the address.

    Returns
    -------
    name
        Of the automation.

    Raises
    ------
    BadInput
        ``alert.*`` if the address or the file is not what it should be.
    """
    from prefect.blocks.webhook import Webhook
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import SecretStr, ValidationError

    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise BadInput("the address of a webhook begins with https://", kind="alert.url")
    try:
        told: dict[str, Any] = YAML(typ="safe").load(path)
        block = Webhook(url=SecretStr(url)).save(_block_name(str(told["name"])), overwrite=True)
        for action in told["actions"]:
            if action["type"] == "call-webhook":
                action["block_document_id"] = block
        automation = AutomationCore.model_validate(told)
    except (OSError, YAMLError, ValidationError, KeyError, TypeError) as error:
        raise BadInput(f"no automation can be made of it: {error}", kind="alert.file", where=str(path)) from error
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(automation.name)
        for each in known:
            client.delete_automation(each.id)
        client.create_automation(automation)
    return automation.name


def _block_name(name: str) -> str:
    """Prefect takes lower-case letters, digits and hyphens."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def main() -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(description="Tell a webhook of what needs an operator.")
    parser.add_argument("url", help="address of the webhook")
    parser.add_argument("--home", type=Path, help="folder of the installation; default: $QYRAN_HOME")
    parser.add_argument("--file", type=Path, default=SHIPPED, help="another automation than the shipped one")
    asked = parser.parse_args()
    home = Home.resolve(asked.home)
    if running_server(home.prefect) is None:
        sys.stderr.write(f"no server runs on {home.path}: start it with qyran up\n")
        return 1
    prepare_prefect(home.prefect)
    try:
        sys.stdout.write(f"loaded: {load_alert(asked.url, asked.file)}\n")
    except QyranError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
