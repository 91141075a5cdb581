"""A collection: what the items of one product of one mission share."""

from typing import Any

from catalogs import bands, extensions, texts
from catalogs.iso19139 import ISO_KEY, ISO_ROLES, ISO_TITLE, MEDIA_TYPE
from catalogs.render import renders
from configs.schema import MissionConfig, RecipeConfig, SensorConfig
from processing.archive.layout import COG_TYPE, ZARR_TYPE
from processing.model import composite_layers
from processing.model.angle_layers import LAYERS, encoding_of
from processing.model.conventions import REFLECTANCE_NODATA, REFLECTANCE_OFFSET, REFLECTANCE_SCALE

_WORLD = [[-180.0, -90.0, 180.0, 90.0]]


def to_collection(mission: MissionConfig, sensor: SensorConfig, recipe: RecipeConfig) -> dict[str, Any]:
    """A STAC Collection for the items a recipe makes of a mission's scenes.

    The extent is open: a store answers with the extent of the items it holds.
    """
    assets = _item_assets(sensor, recipe)
    storage = {
        name: (asset["raster:scale"], asset["raster:offset"])
        for name, asset in assets.items()
        if "raster:scale" in asset
    }
    pictures = renders(recipe, storage)
    collection: dict[str, Any] = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": recipe.collection(mission.id),
        **texts.spoken(texts.titles(mission, recipe), texts.descriptions(mission, recipe)),
        "keywords": [mission.id, sensor.instrument, recipe.id],
        "license": mission.licence,
        "providers": [provider.model_dump(mode="json", exclude_none=True) for provider in mission.providers],
        "extent": {"spatial": {"bbox": _WORLD}, "temporal": {"interval": [[None, None]]}},
        "summaries": {
            "platform": [mission.platform],
            "mission": [mission.id],
            "instruments": [sensor.instrument],
            "gsd": sorted({group.gsd_m for group in sensor.groups.values()}),
            "processing:level": ["L3" if recipe.level == "derived" else recipe.level.upper()],
            "product:type": [recipe.id],
            **({"constellation": [mission.constellation]} if mission.constellation else {}),
        },
        "item_assets": assets,
        "links": [],
    }
    if pictures:
        collection["renders"] = pictures
    collection["stac_extensions"] = extensions.used_in(collection)
    return collection


def _item_assets(sensor: SensorConfig, recipe: RecipeConfig) -> dict[str, dict[str, Any]]:
    assets = _derived_bands(recipe) if recipe.outputs else _sensor_bands(sensor)
    if recipe.angles:
        assets |= _layers(LAYERS)
    if recipe.is_composite:
        assets |= _layers(composite_layers.LAYERS)
    assets["qa"] = {
        "title": "Quality flags",
        "type": COG_TYPE,
        "roles": ["metadata", "data-mask"],
        "data_type": "uint16",
        "classification:bitfields": bands.bitfields(),
    }
    for key, title, media_type, roles in (
        ("visual", "Picture", COG_TYPE, ["visual", "overview"]),
        ("thumbnail", "Thumbnail", "image/webp", ["thumbnail"]),
        ("quality", "Quality report", "application/json", ["metadata"]),
        ("zarr", "Zarr v3 store of all bands and levels", ZARR_TYPE, ["data"]),
        ("manifest", "SHA-256 and size of every object of the Zarr store", "application/json", ["metadata"]),
        (ISO_KEY, ISO_TITLE, MEDIA_TYPE, list(ISO_ROLES)),
    ):
        assets[key] = {"title": title, "type": media_type, "roles": roles}
    return assets


def _sensor_bands(sensor: SensorConfig) -> dict[str, dict[str, Any]]:
    assets = {}
    for group in sensor.groups.values():
        for name in group.bands:
            band = sensor.bands[name]
            assets[name] = {
                "title": f"{sensor.instrument.upper()} {name.replace('_', ' ')}",
                "type": COG_TYPE,
                "roles": ["data"],
                "gsd": group.gsd_m,
                "bands": [
                    bands.spectral(
                        name,
                        common_name=band.common_name,
                        centre_nm=band.centre_nm,
                        fwhm_nm=band.fwhm_nm,
                        esun=band.esun,
                    )
                ],
                **bands.storage(
                    dtype="uint16",
                    nodata=REFLECTANCE_NODATA,
                    units="1",
                    scale=REFLECTANCE_SCALE,
                    offset=REFLECTANCE_OFFSET,
                ),
            }
    return assets


def _layers(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What lies beside an image: its angles, or its observations."""
    assets = {}
    for layer in names:
        encoding = encoding_of(layer) if layer in LAYERS else composite_layers.encoding_of(layer)
        assets[layer] = {
            "title": encoding.title,
            "type": COG_TYPE,
            "roles": list(composite_layers.roles_of(layer)),
            "bands": [bands.spectral(layer)],
            **bands.storage(**encoding.model_dump(exclude={"title"})),
        }
    return assets


def _derived_bands(recipe: RecipeConfig) -> dict[str, dict[str, Any]]:
    return {
        output.name: {
            "title": output.title,
            "type": COG_TYPE,
            "roles": ["data"],
            "bands": [bands.spectral(output.name)],
            **bands.storage(
                dtype=output.dtype, nodata=output.nodata, units=output.units, scale=output.scale, offset=output.offset
            ),
        }
        for output in recipe.outputs
    }
