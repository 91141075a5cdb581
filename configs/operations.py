"""Stations, and the rules of daily operations, of an installation."""

from collections.abc import Mapping
from pathlib import Path

from configs.load import ConfigError, read_config
from configs.registry import read_all
from configs.schema.operations import OperationsConfig
from configs.schema.stations import StationConfig


def load_operations(folder: Path) -> OperationsConfig:
    """``operations.yaml`` of an operator's configs, or the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = folder / "operations.yaml"
    return read_config(path, OperationsConfig) if path.is_file() else OperationsConfig()


def load_stations(overlay: Path | None, missions: Mapping[str, object]) -> dict[str, StationConfig]:
    """Every station by its id: the shipped ones, with those of ``overlay`` (HOME/configs) laid over them.

    Parameters
    ----------
    overlay
        The operator's configs.
    missions
        Those that are configured, by id.

    Raises
    ------
    ConfigError
        If a file is wrong, or a station receives a mission that is not configured.
    """
    stations = read_all("stations", StationConfig, overlay)
    for station in stations.values():
        for mission in station.missions:
            if mission not in missions:
                raise ConfigError(f"station {station.id} receives {mission}, which has no file in missions/")
    return stations
