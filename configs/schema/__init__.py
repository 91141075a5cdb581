"""The typed values every configuration file must satisfy: all that science may see of configuration."""

from configs.schema.bands import BandConfig, GroupConfig
from configs.schema.missions import MissionConfig
from configs.schema.recipes import OutputBand, RecipeConfig
from configs.schema.sensors import AzimuthMeaning, DeliveryProfile, RadianceRule, SensorConfig

__all__ = [
    "AzimuthMeaning",
    "BandConfig",
    "DeliveryProfile",
    "GroupConfig",
    "MissionConfig",
    "OutputBand",
    "RadianceRule",
    "RecipeConfig",
    "SensorConfig",
]
