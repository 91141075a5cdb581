"""An installation that publishes its products in a bucket too: what its catalogue names is there."""

import hashlib
import json
import os
from contextlib import closing

import pytest

from catalogs import open_store
from catalogs.validate import validate_item
from configs.registry import load_registry
from configs.settings import Home
from pipelines.archive_place import archive_place
from pipelines.catalogue import catalogue_product, is_catalogued, item_path
from pipelines.doctor import examine
from processing.archive.open import open_product
from processing.archive.remote import published_remote
from processing.archive.remote_check import check_remote
from processing.archive.write import publish_product
from processing.model.errors import BadInput, Retryable
from tests.archive import synthetic


@pytest.fixture(autouse=True)
def _no_keys_of_the_developer(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("AWS_", "QYRAN_ARCHIVE"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def make(home: Home):
    return publish_product(home.path, synthetic.draft(), [synthetic.scene((60, 80))])


def write_settings(home: Home, url: str, s3) -> None:
    home.configs.mkdir(parents=True, exist_ok=True)
    (home.configs / "archive.yaml").write_text(f"url: {url}\nendpoint: {s3.endpoint}\ntimeout_s: 20\n")
    home.object_keys.parent.mkdir(exist_ok=True)
    home.object_keys.write_text(
        f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    )
    home.object_keys.chmod(0o600)


def row(home: Home, product):
    with closing(open_store(home.catalogue)) as store:
        return store.get_item(product.collection, product.id)


def test_by_default_products_stay_at_home(home):
    product = make(home)
    assert archive_place(home) is None
    catalogue_product(product, home, load_registry())
    assert is_catalogued(home, product)
    assert "alternate" not in json.dumps(row(home, product))


@pytest.mark.services
def test_every_address_in_the_item_leads_to_the_right_bytes(home, s3):
    bucket = s3.new_bucket()
    write_settings(home, f"s3://{bucket}/archive", s3)
    product = make(home)
    link = catalogue_product(product, home, load_registry())
    item = row(home, product)
    assert item == json.loads(item_path(product, home).read_bytes())
    validate_item(item)
    assert item["stac_extensions"] == sorted(item["stac_extensions"])
    store, prefix = s3.store(bucket), f"s3://{bucket}/"
    scheme = item["properties"]["storage:schemes"]["archive"]
    assert (scheme["type"], scheme["bucket"]) == ("custom-s3", bucket)
    assert scheme["platform"] == f"{s3.endpoint}/{{bucket}}"
    for key, asset in item["assets"].items():
        if key == "iso19139":
            continue  # a description, kept with the item
        assert asset["alternate"]["s3"]["storage:refs"] == ["archive"]
        href = asset["alternate"]["s3"]["href"]
        assert href.startswith(prefix)
        assert not asset["href"].startswith("s3:")  # what the API serves
        if key == "zarr":
            place = archive_place(home)
            assert open_product(place / href.removeprefix(f"{place}/")).sizes["x"] == 80
        else:
            content = bytes(store.get(href.removeprefix(prefix)).bytes())
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
            assert asset["file:size"] == len(content)
    text = json.dumps(item) + link.model_dump_json() + product.model_dump_json()
    assert s3.secret_key not in text
    assert s3.access_key not in text
    assert check_remote(archive_place(home), product, deep=True) == []


@pytest.mark.services
def test_a_place_set_later_is_filled_when_the_product_comes_by_again(home, s3, monkeypatch):
    product = make(home)
    catalogue_product(product, home, load_registry())
    bucket = s3.new_bucket()
    write_settings(home, "s3://elsewhere/x", s3)
    monkeypatch.setenv("QYRAN_ARCHIVE_URL", f"s3://{bucket}/archive")
    assert archive_place(home).url == f"s3://{bucket}/archive"
    assert not is_catalogued(home, product)
    catalogue_product(product, home, load_registry())
    assert is_catalogued(home, product)
    assert published_remote(archive_place(home), product.collection, product.id) == product
    monkeypatch.setenv("QYRAN_ARCHIVE_URL", "")
    assert archive_place(home) is None


@pytest.mark.services
def test_what_the_server_did_not_take_is_not_catalogued(home, s3, monkeypatch):
    monkeypatch.setattr("processing.archive.objects._RETRIES", {"max_retries": 0})
    monkeypatch.setattr("processing.archive.remote_objects.WAITS_S", (0.01, 0.01, 0.01))
    bucket, product = s3.new_bucket(), make(home)
    write_settings(home, f"s3://{bucket}/archive", s3)
    config = home.configs / "archive.yaml"
    right = config.read_text()
    config.write_text(right.replace(s3.endpoint, "http://127.0.0.1:9"))
    with pytest.raises(Retryable) as caught:
        catalogue_product(product, home, load_registry())
    assert caught.value.kind == "s3.unavailable"
    config.write_text(right.replace(bucket, "no-such-bucket"))
    with pytest.raises(BadInput) as caught:
        catalogue_product(product, home, load_registry())
    assert caught.value.kind == "s3.bucket"
    assert not is_catalogued(home, product)
    config.write_text(right)
    catalogue_product(product, home, load_registry())
    assert is_catalogued(home, product)


def test_a_wrong_setting_names_its_file(home):
    home.configs.mkdir(parents=True)
    (home.configs / "archive.yaml").write_text("url: s3://bucket/x\nendpont: http://h\n")
    with pytest.raises(BadInput, match="did you mean 'endpoint'") as caught:
        archive_place(home)
    assert caught.value.kind == "place.config"


def test_doctor_says_where_the_second_place_is_and_what_it_lacks(home, monkeypatch):
    def said():
        return next(finding for finding in examine(home.path) if finding.what == "second place")

    assert (said().state, said().found) == ("note", "none")
    home.configs.mkdir(parents=True)
    (home.configs / "archive.yaml").write_text("url: s3://bucket/x\nendpoint: http://127.0.0.1:9\n")
    assert said().state == "missing"
    assert "AWS_ACCESS_KEY_ID" in said().remedy
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert (said().state, said().found) == ("ok", "s3://bucket/x")
