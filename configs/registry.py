"""All configuration in one frozen value: the shipped YAML files, with an operator's own laid over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel

from configs.load import ConfigError, read_config
from configs.schema import MissionConfig, RecipeConfig, SensorConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Sensors, missions and recipes by id."""

    sensors: Mapping[str, SensorConfig]
    missions: Mapping[str, MissionConfig]
    recipes: Mapping[str, RecipeConfig]


def load_registry(overlay: Path | None = None) -> Registry:
    """Read the shipped configuration and lay ``overlay`` (HOME/configs) over it, file by file.

    Raises
    ------
    ConfigError
        If any file is wrong, or a sensor names a mission that does not exist.
    """
    registry = Registry(
        sensors=read_all("sensors", SensorConfig, overlay),
        missions=read_all("missions", MissionConfig, overlay),
        recipes=read_all("recipes", RecipeConfig, overlay),
    )
    for sensor in registry.sensors.values():
        if sensor.mission not in registry.missions:
            raise ConfigError(f"sensor {sensor.id} names mission {sensor.mission}, which has no file in missions/")
    return registry


def read_all[Config: BaseModel](kind: str, schema: type[Config], overlay: Path | None) -> dict[str, Config]:
    """Every file of one kind by its id: the shipped ones, with those of an operator laid over them.

    Raises
    ------
    ConfigError
        If a file is wrong, or its name is not its id.
    """
    folders = [Path(str(files("configs") / kind))]
    if overlay is not None:
        folders.append(overlay / kind)
    paths: dict[str, Path] = {}
    for folder in folders:
        paths |= {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    configs: dict[str, Config] = {}
    for stem, path in sorted(paths.items()):
        config = read_config(path, schema)
        identifier = getattr(config, "id")  # noqa: B009 - every schema here has an id; Config cannot say so
        if identifier != stem:
            raise ConfigError(f"{path.name}: id is '{identifier}', but the file's name says '{stem}'")
        configs[stem] = config
    return configs
