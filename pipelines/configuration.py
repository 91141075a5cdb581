"""The configuration a product was made with: its part in the lineage, and how it is found again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from configs.registry import Registry
from configs.schema import MissionConfig, RecipeConfig, SensorConfig
from configs.settings import Home
from pipelines.inputs import keep_content
from processing.model.lineage import InputRecord, Lineage

type Config = SensorConfig | MissionConfig | RecipeConfig

SCHEMAS: Mapping[str, type[SensorConfig] | type[MissionConfig] | type[RecipeConfig]] = {
    "sensor": SensorConfig,
    "mission": MissionConfig,
    "recipe": RecipeConfig,
}
"""By role in the lineage."""
_TEXTS: Mapping[str, Any] = {
    "sensor": {"title": True, "deliveries": {"__all__": {"source"}}},
    "mission": set(MissionConfig.model_fields) - {"id", "code"},
    "recipe": {
        **dict.fromkeys(("title", "description", "descriptions", "keep_superseded_days"), True),
        "renders": {"__all__": {"titles"}},
    },
}
"""What no byte of a product depends on: a corrected text, or another rule of keeping, makes no new version."""


def config_digest(role: str, config: Config) -> str:
    """SHA-256 (hex) over everything in a configuration that a product's bytes depend on, however its file is laid out.

    The order of its entries is part of it: a recipe's first picture is the product's.

    Parameters
    ----------
    role
        ``sensor``, ``mission`` or ``recipe``.
    config
        Of that role.
    """
    deciding = config.model_dump(mode="json", exclude=_TEXTS[role])
    return hashlib.sha256(json.dumps(deciding, separators=(",", ":")).encode()).hexdigest()


def config_record(role: str, config: Config) -> InputRecord:
    """A configuration in a product's lineage."""
    return InputRecord(role=role, name=config.id, sha256=config_digest(role, config))


def config_records(sensor: SensorConfig, mission: MissionConfig, recipe: RecipeConfig) -> tuple[InputRecord, ...]:
    """What a scene's product was configured by."""
    return config_record("sensor", sensor), config_record("mission", mission), config_record("recipe", recipe)


def config_of(role: str, name: str, registry: Registry) -> Config | None:
    """A configuration by its role and id, or None."""
    found: Mapping[str, Config | None] = {
        "sensor": registry.sensors.get(name),
        "mission": registry.missions.get(name),
        "recipe": registry.recipes.get(name),
    }
    return found[role]


def config_text(config: Config) -> bytes:
    """A configuration as the file that is kept of it."""
    return json.dumps(config.model_dump(mode="json"), ensure_ascii=False, indent=1).encode() + b"\n"


def keep_configs(home: Home, lineage: Lineage, registry: Registry) -> None:
    """Keep the configuration that a lineage names by its digest, as it is today."""
    for role in SCHEMAS:
        for record in lineage.inputs_of(role):
            config = config_of(role, record.name, registry)
            if config is not None and config_digest(role, config) == record.sha256:
                keep_content(home, record, config_text(config))


def with_configs(registry: Registry, configs: Mapping[str, Config]) -> Registry:
    """A registry in which configurations of an earlier day, by role, stand in the place of today's.

    The sensor is then the only one: none that was added since can claim the package too.
    """
    sensor, mission, recipe = configs.get("sensor"), configs.get("mission"), configs.get("recipe")
    if isinstance(sensor, SensorConfig):
        registry = replace(registry, sensors={sensor.id: sensor})
    if isinstance(mission, MissionConfig):
        registry = replace(registry, missions={**registry.missions, mission.id: mission})
    if isinstance(recipe, RecipeConfig):
        registry = replace(registry, recipes={**registry.recipes, recipe.id: recipe})
    return registry
