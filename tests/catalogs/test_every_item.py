"""Items of every kind there is, by every schema they declare; opened by pystac, which here may not warn."""

import json
from contextlib import nullcontext

import mgrs
import pystac
import pytest
from pystac.validation import JsonSchemaSTACValidator
from shapely.geometry import box, shape

from catalogs import extensions, grids
from catalogs.alternate import with_alternates
from catalogs.collection import to_collection
from catalogs.item import to_item
from catalogs.validate import validate_collection, validate_item, vendored_schemas
from catalogs.versions import Chain
from processing.archive.write import publish_product
from processing.model.angle_layers import LAYERS, encoding_of
from processing.model.errors import Defect
from processing.model.product import Product, StoredGroup
from tests.archive import synthetic

KINDS = ("l1c", "ndvi", "refined", "plain", "angles", "version", "earlier version", "in a bucket", "in a folder")


@pytest.fixture(scope="module")
def with_angles(tmp_path_factory) -> Product:
    names = ("blue", "green", "red", "nir")
    pixels = synthetic.image(synthetic.values((60, 75), 4), synthetic.geobox((60, 75)), names)
    angles = synthetic.values((30, 38), len(LAYERS)) * 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "NAMES", synthetic.NAMES | dict.fromkeys(LAYERS))
        layers = synthetic.image(angles, synthetic.geobox((30, 38), 8.0), LAYERS, group="angles", quantity="angles")
    draft = synthetic.draft(
        names, encodings=dict.fromkeys(names, synthetic.REFLECTANCE) | {n: encoding_of(n) for n in LAYERS}
    )
    return publish_product(tmp_path_factory.mktemp("angles"), draft, [pixels, layers])


@pytest.fixture(params=KINDS)
def item(request, archived, with_angles) -> dict:
    kind, l1c = request.param, archived.l1c
    measured = {"rmse_m": 1.9, "ce90_m": 2.9, "bias_x_m": 0.1, "bias_y_m": -0.2, "stddev_x_m": 1.2, "stddev_y_m": 1.4}
    products = {
        "ndvi": archived.ndvi, "angles": with_angles, "refined": l1c.model_copy(update={"accuracy": measured}),
        "plain": l1c.model_copy(update={"accuracy": {}, "angles": {}, "facts": {}}),
    }  # fmt: skip
    product = products.get(kind, l1c)
    known = archived.registry
    made = to_item(
        product, known.missions[product.mission], known.sensors[product.sensor], known.recipes[product.recipe]
    )
    if kind in ("version", "earlier version"):
        paths = (f"products/c/{product.id}/item.json", f"archive/c/2026/04/24/{product.id}/0.files/item.json")
        chain = Chain(items=paths, history=f"archive/c/2026/04/24/{product.id}/versions.json")
        made = chain.linked(made, paths[kind != "version"])
        assert made["properties"].get("deprecated", False) is (kind != "version")
    if kind == "in a bucket":
        made = with_alternates(made, product, "s3://bucket/archive", server="https://s3.example.kz/", region="kz-1")
        assert extensions.STORAGE in made["stac_extensions"]
    if kind == "in a folder":
        made = with_alternates(made, product, "file:///second/place")
    return made


def pystac_validator() -> JsonSchemaSTACValidator:
    validator = JsonSchemaSTACValidator()
    validator.schema_cache.update(vendored_schemas())
    return validator


def test_every_kind_of_item_is_valid_and_opens(item):
    """A warning is an error in these tests, but for the one that pystac owes to a deprecated version."""
    validate_item(item)
    document = json.loads(json.dumps(item))
    deprecated = "deprecated" in item["properties"]
    with pytest.warns(pystac.errors.DeprecatedWarning) if deprecated else nullcontext():
        opened = pystac.Item.from_dict(document)
    again = opened.to_dict(include_self_link=False, transform_hrefs=False)
    assert again["assets"] == item["assets"]
    assert again["properties"] == item["properties"]
    with pytest.warns(pystac.errors.DeprecatedWarning) if deprecated else nullcontext():
        pystac.Item.from_dict(document, migrate=False).validate(pystac_validator())


def test_accuracy_is_stated_only_where_it_is_known(item):
    stated = any(name.startswith("accuracy:") or name == "qyran:ce90_m" for name in item["properties"])
    assert stated == (extensions.ACCURACY in item["stac_extensions"])
    if "qyran:ce90_m" not in item["properties"]:
        assert not stated


def test_an_item_speaks_three_languages(item):
    properties = item["properties"]
    assert properties["language"]["code"] == "en"
    assert [language["code"] for language in properties["languages"]] == ["kk", "ru"]
    for name in ("titles", "descriptions"):
        texts = properties[f"qyran:{name}"]
        assert len(set(texts.values())) == len(texts) == 3
        assert texts["en"] == properties[name.removesuffix("s")]


def test_the_grid_code_is_the_square_that_holds_the_centre(item):
    code = item["properties"]["grid:code"].removeprefix("MGRS-")
    centre = item["properties"]["proj:centroid"]
    # The square's name, read back into a corner: the centre lies within 100 km of it, to the east and north.
    zone, hemisphere, easting, northing = mgrs.MGRS().MGRSToUTM(code)
    assert (zone, hemisphere) == (43, "N")
    west, south, east, north = item["properties"]["proj:bbox"]
    x, y = (west + east) / 2, (south + north) / 2
    assert 0 <= x - easting < 100_000
    assert 0 <= y - northing < 100_000
    assert box(*item["bbox"]).contains(shape({"type": "Point", "coordinates": [centre["lon"], centre["lat"]]}))


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    # Squares of Sentinel-2 tiles that hold these cities' centres: Almaty, Moscow, Paris, Rio de Janeiro.
    [(76.93, 43.24, "43TFH"), (37.62, 55.75, "37UDB"), (2.35, 48.86, "31UDQ"), (-43.2, -22.9, "23KPQ")],
)
def test_grid_codes_of_known_places(lon, lat, code):
    assert grids.grid_code(lon, lat) == f"MGRS-{code}"


def test_the_centre_of_a_grid_over_the_antimeridian_is_there():
    group = StoredGroup(
        name="pan", path="p", resolution_m=100.0, crs="EPSG:32660", shape=(10, 10),
        transform=(100.0, 0.0, 834_000.0, 0.0, -100.0, 500.0),
    )  # fmt: skip
    lon, lat = grids.centre(group)
    assert abs(lon) > 179.99
    assert abs(lat) < 0.01


def test_every_collection_is_valid_and_written_in_three_languages(archived):
    registry = archived.registry
    for sensor in registry.sensors.values():
        for recipe in registry.recipes.values():
            mission = registry.missions[sensor.mission]
            collection = to_collection(mission, sensor, recipe)
            validate_collection(collection)
            pystac.Collection.from_dict(json.loads(json.dumps(collection)), migrate=False).validate(pystac_validator())
            assert set(mission.descriptions) == set(recipe.descriptions) == {"kk", "ru"}
            assert len(set(collection["qyran:descriptions"].values())) == 3


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("properties", "language"), {"name": "English"}),
        (("properties", "languages"), []),
        (("properties", "published"), "yesterday"),
        (("properties", "grid:code"), "43TFH"),
        (("properties", "storage:schemes"), {"archive": {"type": "aws-s3", "platform": "https://elsewhere"}}),
    ],
)
def test_what_is_wrong_in_them_is_found(archived, place, value):
    known, product = archived.registry, archived.l1c
    made = to_item(
        product, known.missions[product.mission], known.sensors[product.sensor], known.recipes[product.recipe]
    )
    made = with_alternates(made, product, "s3://bucket/archive")
    validate_item(made)
    made[place[0]][place[1]] = value
    with pytest.raises(Defect) as caught:
        validate_item(made)
    assert caught.value.kind == "stac.invalid"
