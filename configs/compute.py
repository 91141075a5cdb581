"""Where an installation computes, as its operator set it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from configs.load import ConfigError, read_config
from configs.schema.compute import ComputeConfig

FILE = "compute.yaml"
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "QYRAN_COMPUTE": ("compute",),
    "QYRAN_COMPUTE_ADDRESS": ("address",),
    "QYRAN_COMPUTE_WORKERS": ("workers",),
    "QYRAN_COMPUTE_MEMORY": ("memory",),
    "QYRAN_COMPUTE_TLS_CA": ("tls", "ca"),
    "QYRAN_COMPUTE_TLS_CERT": ("tls", "cert"),
    "QYRAN_COMPUTE_TLS_KEY": ("tls", "key"),
    "QYRAN_COMPUTE_SCENES": ("limits", "scenes"),
}
"""Environment variables that outrank the file, and what they set."""


def load_compute(overlay: Path | None = None, environment: Mapping[str, str] | None = None) -> ComputeConfig:
    """Read ``compute.yaml`` of ``overlay`` (HOME/configs); ``QYRAN_COMPUTE_*`` outranks it.

    Parameters
    ----------
    environment
        None: the process's own.

    Raises
    ------
    ConfigError
        If the file or a variable is wrong.
    """
    path = overlay / FILE if overlay is not None else None
    given = path is not None and path.is_file()
    surroundings = os.environ if environment is None else environment
    told = {name: surroundings[name] for name in VARIABLES if surroundings.get(name)}
    if not told:
        return read_config(path, ComputeConfig) if given and path is not None else ComputeConfig()
    data = _document(path) if given and path is not None else {}
    for name, text in told.items():
        *parents, last = VARIABLES[name]
        place = data
        for parent in parents:
            below = place.get(parent)
            place[parent] = place = dict(below) if isinstance(below, dict) else {}
        place[last] = text
    try:
        return ComputeConfig.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(f"{FILE} with {', '.join(sorted(told))}: {faults}") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        data = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise ConfigError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name}: must hold keys and values")
    return data
