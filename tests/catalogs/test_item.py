import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from PIL import Image
from pystac.validation import JsonSchemaSTACValidator

from catalogs import extensions
from catalogs.collection import to_collection
from catalogs.item import to_item, with_absolute_hrefs
from catalogs.validate import validate_collection, validate_item, vendored_schemas
from processing.archive.open import open_product
from processing.model.errors import Defect
from processing.model.product import Product


def described(archived, product: Product) -> dict:
    registry = archived.registry
    return to_item(
        product, registry.missions[product.mission], registry.sensors[product.sensor], registry.recipes[product.recipe]
    )


def collected(archived, recipe: str, sensor: str = "kazeosat-1-naomi") -> dict:
    registry = archived.registry
    mission = registry.missions[registry.sensors[sensor].mission]
    return to_collection(mission, registry.sensors[sensor], registry.recipes[recipe])


@pytest.fixture(params=["l1c", "ndvi"])
def item(request, archived) -> dict:
    return described(archived, getattr(archived, request.param))


def pystac_validator() -> JsonSchemaSTACValidator:
    """pystac's own validator, with the extension schemas in its cache so that it needs no network."""
    validator = JsonSchemaSTACValidator()
    validator.schema_cache.update(vendored_schemas())
    return validator


def test_items_are_valid_with_every_extension_they_declare(item):
    validate_item(item)
    assert pystac.Item.from_dict(item, migrate=False).validate(pystac_validator())


@pytest.mark.parametrize("recipe", ["l1c", "ndvi"])
@pytest.mark.parametrize("sensor", ["kazeosat-1-naomi", "kazeosat-2-keis"])
def test_collections_are_valid_and_speak_three_languages(archived, recipe, sensor):
    collection = collected(archived, recipe, sensor)
    validate_collection(collection)
    pystac.Collection.from_dict(collection, migrate=False).validate(pystac_validator())
    titles = collection["qyran:titles"]
    assert set(titles) == {"kk", "ru", "en"}
    assert len(set(titles.values())) == 3
    assert collection["title"] == titles["en"]


def test_an_item_declares_what_it_uses_and_uses_what_it_declares(item):
    prefixes = {
        extensions.ACCURACY: "accuracy:", extensions.CLASSIFICATION: "classification:", extensions.EO: "eo:",
        extensions.FILE: "file:", extensions.PROCESSING: "processing:", extensions.PRODUCT: "product:",
        extensions.PROJECTION: "proj:", extensions.RASTER: "raster:", extensions.RENDER: "renders",
        extensions.GRID: "grid:", extensions.LANGUAGE: "language", extensions.TIMESTAMPS: "published",
        extensions.SAT: "sat:", extensions.VERSION: "version", extensions.VIEW: "view:",
    }  # fmt: skip

    def keys(node):
        if isinstance(node, dict):
            yield from node
            for value in node.values():
                yield from keys(value)
        if isinstance(node, list):
            for value in node:
                yield from keys(value)

    used = set(keys({name: item[name] for name in ("properties", "assets")}))
    for extension, prefix in prefixes.items():
        assert (extension in item["stac_extensions"]) == any(key.startswith(prefix) for key in used), extension


def test_what_the_scene_was_like(archived):
    properties = described(archived, archived.l1c)["properties"]
    expected = {
        "datetime": "2026-04-24T05:20:11Z", "platform": "kazeosat-1", "instruments": ["naomi"], "gsd": 1.0,
        "view:off_nadir": 9.0, "view:incidence_angle": 10.0, "view:azimuth": 281.5, "view:sun_azimuth": 150.0,
        "view:sun_elevation": 50.0, "sat:orbit_state": "descending", "sat:absolute_orbit": 64001,
        "sat:platform_international_designator": "2014-024A", "accuracy:geometric_rmse": 5.2, "qyran:ce90_m": 8.1,
        "proj:code": "EPSG:32643", "processing:level": "L1C", "product:type": "l1c",
    }  # fmt: skip
    assert {name: properties[name] for name in expected} == expected
    assert "eo:cloud_cover" not in properties  # nobody looked for clouds: that is not 0 %


def test_bands_say_how_to_read_them(archived):
    assets = described(archived, archived.l1c)["assets"]
    red = assets["red"]
    assert (red["data_type"], red["nodata"], red["raster:scale"], red["raster:offset"]) == ("uint16", 0, 1e-4, -0.1)
    assert red["bands"][0]["eo:center_wavelength"] == 0.665  # micrometres
    assert (red["gsd"], assets["pan"]["gsd"]) == (4.0, 1.0)
    assert (red["proj:shape"], assets["pan"]["proj:shape"]) == ([120, 150], [240, 300])


def test_every_address_leads_to_what_is_promised(archived, item):
    """From the item's own file, with nothing but relative paths; in another place too."""
    absolute = with_absolute_hrefs(item, archived.home)
    for key, asset in absolute["assets"].items():
        path = Path(asset["href"])
        assert path.is_absolute()
        assert path.exists(), key
        if "file:checksum" in asset:
            content = path.read_bytes()
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
            assert asset["file:size"] == len(content)
    store = Path(absolute["assets"]["zarr"]["href"])
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert absolute["assets"]["zarr"]["file:size"] == size


def test_home_can_be_moved(archived, tmp_path):
    moved = shutil.copytree(archived.home, tmp_path / "elsewhere", symlinks=True)
    folder = moved / "products" / archived.l1c.collection / archived.l1c.id
    (folder / "item.json").write_text(json.dumps(described(archived, archived.l1c)))
    loaded = pystac.Item.from_file(folder / "item.json")
    href = loaded.assets["blue"].get_absolute_href()
    with rasterio.open(href) as source:
        assert str(moved) in href
        assert source.shape == (120, 150)
    store = Path(loaded.assets["zarr"].get_absolute_href())
    assert moved in store.parents
    assert open_product(store, group="pan").pan.shape == (240, 300)
    short = moved / "archive" / archived.l1c.collection / f"{archived.l1c.id}.zarr"
    assert short.resolve() == store.resolve()


def test_a_derived_item_names_its_parent(archived):
    item = described(archived, archived.ndvi)
    (link,) = [link for link in item["links"] if link["rel"] == "derived_from"]
    folder = archived.home / "products" / archived.ndvi.collection / archived.ndvi.id
    parent = archived.home / "products" / archived.l1c.collection / archived.l1c.id / "item.json"
    assert (folder / link["href"]).resolve() == parent.resolve()
    assert item["properties"]["processing:expression"]["expression"] == {"ndvi": "(nir - red) / (nir + red)"}


def test_an_item_leads_to_its_collection(archived):
    folder = archived.home / "products" / archived.l1c.collection
    (folder / "collection.json").write_text(json.dumps(collected(archived, "l1c")))
    (folder / archived.l1c.id / "item.json").write_text(json.dumps(described(archived, archived.l1c)))
    loaded = pystac.Item.from_file(folder / archived.l1c.id / "item.json")
    assert loaded.get_collection().id == archived.l1c.collection


def test_renders_speak_of_stored_numbers(archived):
    true_colour = described(archived, archived.l1c)["properties"]["renders"]["true-colour"]
    assert true_colour["assets"] == ["red", "green", "blue"]
    assert true_colour["rescale"] == [[1000.0, 4000.0]] * 3
    ndvi = described(archived, archived.ndvi)["properties"]["renders"]["ndvi"]
    assert (ndvi["rescale"], ndvi["colormap_name"]) == ([[-2000.0, 9000.0]], "rdylgn")


def test_an_index_is_shown_in_its_colours(archived):
    folder = archived.home / "products" / archived.ndvi.collection / archived.ndvi.id
    with Image.open(folder / "thumbnail.webp") as picture:
        colours = np.asarray(picture.convert("RGBA")).reshape(-1, 4).astype(int)
    shown = colours[colours[:, 3] == 255][:, :3]
    # The values lie near 0.1, in the middle of -0.2 to 0.9: orange to yellow, red above blue.
    assert (shown[:, 0] > shown[:, 2]).mean() > 0.95


def test_what_cannot_be_checked_does_not_pass(item):
    item["stac_extensions"] = [*item["stac_extensions"], "https://example.com/invented/v1.0.0/schema.json"]
    with pytest.raises(Defect) as caught:
        validate_item(item)
    assert caught.value.kind == "stac.schema_missing"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("properties", "datetime"), None),
        (("properties", "view:off_nadir"), 120),
        (("properties", "processing:software"), "qyran"),
        (("assets", "qa", "file:checksum"), "not hex"),
        (("assets", "qa", "proj:shape"), [1]),
        (("geometry", "type"), "Blob"),
        (("stac_version",), "1.0.0"),
    ],
)
def test_what_is_wrong_is_found(item, place, value):
    node = item
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    with pytest.raises(Defect) as caught:
        validate_item(item)
    assert caught.value.kind == "stac.invalid"


def test_no_number_that_json_does_not_know(item):
    item["properties"]["qyran:x"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        validate_item(item)


def test_every_declared_extension_ships_its_schema():
    named = {value for name, value in vars(extensions).items() if name.isupper() and not name.startswith("_")}
    parts = {name for name in vendored_schemas() if "/platforms/" in name}  # of the storage extension's schema
    assert named == set(vendored_schemas()) - parts
