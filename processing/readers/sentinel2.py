"""Sentinel-2 Level-1C in SAFE format: three grids, one Scene each; what counts mean is read from tags."""

import re
from collections.abc import Mapping
from pathlib import Path

from affine import Affine

from configs.schema import GroupConfig, SensorConfig
from processing.model.errors import BadInput
from processing.model.levels import Level
from processing.model.scene import Angles, Delivery, MapGrid, Scene
from processing.readers.dimap_xml import XmlNode, read_xml, safe_href
from processing.readers.image_files import ImageFiles, missing_pixels, open_image
from processing.readers.known_sensors import KnownSensor, build_band, known_sensor
from processing.readers.package import PackageFiles
from processing.readers.pixels import PixelTile

_IMAGE = "General_Info/Product_Image_Characteristics"


class Sentinel2Reader:
    """Reads ``MTD_MSIL1C.xml`` and the tile's ``MTD_TL.xml``."""

    format = "sentinel-2"

    def claims(self, files: PackageFiles) -> bool:
        """Whether the product document is there."""
        return bool(files.ending("MTD_MSIL1C.xml"))

    def read(self, files: PackageFiles, sensors: Mapping[str, SensorConfig], *, pixels: bool) -> Delivery:
        """The package, understood; see :class:`processing.readers.protocol.SceneReader`."""
        path = files.ending("MTD_MSIL1C.xml")[0]
        folder = path.parent
        product = read_xml(path)
        tiles = [found for found in files.ending("MTD_TL.xml") if found.is_relative_to(folder)]
        if len(tiles) != 1:
            raise BadInput(
                f"'{files.package.name}' holds {len(tiles)} tile documents; one is expected",
                kind="package.incomplete",
                where=files.package.name,
            )
        tile = read_xml(tiles[0])
        mission = product.text("General_Info/Product_Info/Datatake/SPACECRAFT_NAME")
        known = known_sensor(sensors, format_name=self.format, profile="", mission=mission, where=path.name)
        images = _images(product, folder, files.root)
        scenes = [
            _scene(group, config, known, product, tile, images, pixels) for group, config in known.sensor.groups.items()
        ]
        return Delivery(
            package=files.package,
            root=files.root,
            delivery_id=scenes[0].scene_id,
            format=self.format,
            scenes=tuple(scenes),
            files=(path, tiles[0]),
        )


def _images(product: XmlNode, folder: Path, root: Path) -> dict[str, Path]:
    """Image file by band label (``B02``). Every one must be listed in the manifest, where there is a manifest."""
    entries = product.all("General_Info/Product_Info/Product_Organisation/Granule_List/Granule/IMAGE_FILE")
    found = {entry.text().rpartition("_")[2]: safe_href(root, folder, f"{entry.text()}.jp2") for entry in entries}
    manifest = folder / "manifest.safe"
    if manifest.is_file() and not manifest.is_symlink():
        listed = _listed(read_xml(manifest), folder, root)
        for path in found.values():
            if path not in listed:
                raise BadInput(
                    f"'{path.name}' is referred to, but not listed in the manifest",
                    kind="manifest.unlisted",
                    where=path.name,
                    remedy="The package was changed after it was made: ask for it anew.",
                )
    return found


def _listed(manifest: XmlNode, folder: Path, root: Path) -> set[Path]:
    objects = manifest.all("dataObjectSection/dataObject")
    identifiers = [entry.attribute("ID") for entry in objects]
    if len(set(identifiers)) != len(identifiers):
        raise BadInput("the manifest lists an object twice", kind="manifest.duplicate", where=manifest.file)
    locations = [location for entry in objects for location in entry.all("byteStream/fileLocation")]
    return {safe_href(root, folder, location.attribute("href") or "") for location in locations}


def _scene(
    group: str,
    config: GroupConfig,
    known: KnownSensor,
    product: XmlNode,
    tile: XmlNode,
    images: Mapping[str, Path],
    pixels: bool,
) -> Scene:
    labels = [known.sensor.bands[name].labels[0] for name in config.bands]
    missing = [label for label in labels if label not in images]
    if missing:
        raise BadInput(f"the product lists no image of {missing}", kind="bands", where=product.file)
    resolution = str(round(config.gsd_m))
    size = _at_resolution(tile, "Size", resolution)
    shape = (size.integer("NROWS"), size.integer("NCOLS"))
    sets = [ImageFiles(tiles=(PixelTile(path=images[label]),), bands=1) for label in labels]
    no_pixels = missing_pixels(sets)
    specials = {
        entry.text("SPECIAL_VALUE_TEXT"): entry.integer("SPECIAL_VALUE_INDEX")
        for entry in product.all(f"{_IMAGE}/Special_Values")
    }
    scene = Scene(
        scene_id=product.text("General_Info/Product_Info/PRODUCT_URI").removesuffix(".SAFE"),
        mission=known.sensor.mission,
        sensor=known.sensor.id,
        group=group,
        level=Level.ORTHO,
        acquired=tile.time("General_Info/SENSING_TIME"),
        bands=tuple(build_band(known, label, None) for label in labels),
        shape=shape,
        angles=_angles(tile),
        footprint=_footprint(product),
        map_grid=_map_grid(tile, resolution),
        nodata=specials.get("NODATA", known.sensor.nodata),
        saturated=specials.get("SATURATED", known.sensor.saturated),
        no_pixels=no_pixels,
        profile=product.text("General_Info/Product_Info/PRODUCT_TYPE"),
        platform_facts=_facts(product, labels),
        warnings=("counts are reflectance, not radiance: rho = (DN + offset) / quantification",),
    )
    return scene.but(source=open_image(sets, shape=shape)) if pixels and no_pixels is None else scene


def _at_resolution(tile: XmlNode, tag: str, resolution: str) -> XmlNode:
    for node in tile.all(f"Geometric_Info/Tile_Geocoding/{tag}"):
        if node.attribute("resolution") == resolution:
            return node
    raise BadInput(f"'{tile.file}' has no {tag} at {resolution} m", kind="xml.missing", where=tile.file)


def _map_grid(tile: XmlNode, resolution: str) -> MapGrid:
    place = _at_resolution(tile, "Geoposition", resolution)
    transform = Affine(place.number("XDIM"), 0.0, place.number("ULX"), 0.0, place.number("YDIM"), place.number("ULY"))
    return MapGrid(crs=tile.text("Geometric_Info/Tile_Geocoding/HORIZONTAL_CS_CODE"), transform=transform)


def _angles(tile: XmlNode) -> Angles:
    """Mean angles of the tile; the view is the reference band's, B04 (bandId 3)."""
    sun = tile.need("Geometric_Info/Tile_Angles/Mean_Sun_Angle")
    views = tile.all("Geometric_Info/Tile_Angles/Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle")
    view = next((node for node in views if node.attribute("bandId") == "3"), None)
    return Angles(
        sun_zenith_deg=sun.number("ZENITH_ANGLE"),
        sun_azimuth_deg=sun.number("AZIMUTH_ANGLE"),
        view_zenith_deg=view.number("ZENITH_ANGLE") if view else None,
        view_azimuth_deg=view.number("AZIMUTH_ANGLE") if view else None,
    )


def _footprint(product: XmlNode) -> tuple[tuple[float, float], ...]:
    text = product.text("Geometric_Info/Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST")
    if not re.fullmatch(r"[-+0-9.eE\s]+", text):
        raise BadInput("the footprint is no list of numbers", kind="xml.number", where=product.file)
    numbers = [float(number) for number in text.split()]
    ring = tuple(zip(numbers[1::2], numbers[::2], strict=True))
    return ring[:-1] if ring[0] == ring[-1] else ring


def _facts(product: XmlNode, labels: list[str]) -> dict[str, str | float | int]:
    """Figures of rho = (DN + RADIO_ADD_OFFSET) / QUANTIFICATION_VALUE, as tagged since baseline 04.00."""
    ids = {
        _padded(entry.attribute("physicalBand") or ""): entry.attribute("bandId")
        for entry in product.all(f"{_IMAGE}/Spectral_Information_List/Spectral_Information")
    }
    offsets = {
        entry.attribute("band_id"): entry.number()
        for entry in product.all(f"{_IMAGE}/Radiometric_Offset_List/RADIO_ADD_OFFSET")
    }
    irradiances = {
        entry.attribute("bandId"): entry.number()
        for entry in product.all(f"{_IMAGE}/Reflectance_Conversion/Solar_Irradiance_List/SOLAR_IRRADIANCE")
    }
    facts: dict[str, str | float | int] = {
        "processing_baseline": product.text("General_Info/Product_Info/PROCESSING_BASELINE"),
        "quantification_value": product.number(f"{_IMAGE}/QUANTIFICATION_VALUE"),
        "relative_orbit": product.integer("General_Info/Product_Info/Datatake/SENSING_ORBIT_NUMBER"),
        "orbit_state": product.text("General_Info/Product_Info/Datatake/SENSING_ORBIT_DIRECTION").lower(),
        "earth_sun_u": product.number(f"{_IMAGE}/Reflectance_Conversion/U"),
    }
    for label in labels:
        identifier = ids.get(label)
        facts[f"radio_add_offset_{label}"] = offsets.get(identifier, 0.0)
        if identifier in irradiances:
            facts[f"solar_irradiance_{label}"] = irradiances[identifier]
    return facts


def _padded(band: str) -> str:
    """``B2`` as file names write it: ``B02``; ``B8A`` stays."""
    return f"B0{band[1:]}" if re.fullmatch(r"B\d", band) else band
