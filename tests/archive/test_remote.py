"""Products at a second place: a real S3 server, and a folder; the same promises of both."""

import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from processing.archive.manifest import ObjectRecord, check_product
from processing.archive.objects import Place
from processing.archive.remote import publish_remote, published_remote
from processing.archive.remote_check import check_remote, fetch_object
from processing.archive.remote_layout import RemotePaths, read_latest
from processing.archive.remote_objects import Room
from processing.archive.remote_unfinished import remove_unfinished, unfinished
from processing.archive.write import publish_product
from processing.model.errors import BadInput, Conflict, Defect
from tests.archive import synthetic

NOW = timedelta(seconds=-5)
"""As an age: older than the future, whatever the server's clock says."""


def pan(seed=1, shape=(40, 50), **draft):
    """A product with few objects: one band, one level."""
    image = synthetic.image(synthetic.values(shape, 1, seed), synthetic.geobox(shape), ("pan",), group="pan")
    return synthetic.draft(("pan",), visual=("pan",), **draft), [image]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """HOME with one product; not to be changed."""
    home = tmp_path_factory.mktemp("home")
    return home, publish_product(home, *pan())


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.services), "folder"])
def place(request, tmp_path, monkeypatch):
    if request.param == "folder":
        (tmp_path / "second").mkdir()
        return Place.of(tmp_path / "second")
    server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Place.of(f"s3://{server.new_bucket()}/archive")


def everything(place: Place) -> dict[str, bytes]:
    room = Room(place)
    return {key: room.read(key)[0] for top in ("archive", "products") for key in room.sizes(top)}


def test_a_product_is_there_byte_for_byte(made, place, tmp_path):
    home, product = made
    there = publish_remote(home, product, place)
    assert (there.outcome, there.product, there.place) == ("published", product, place)
    assert published_remote(place, product.collection, product.id) == product
    assert published_remote(place, product.collection, product.id, revision=product.revision) == product
    assert check_remote(place, product, deep=True) == []
    copy = tmp_path / "copy"
    for key, content in everything(place).items():
        (copy / key).parent.mkdir(parents=True, exist_ok=True)
        (copy / key).write_bytes(content)
    assert check_product(copy / product.archive_href) == []
    files = copy / RemotePaths.of(product).files
    subprocess.run(["sha256sum", "--check", "--strict", "manifest.sha256"], cwd=files, check=True, capture_output=True)
    local = home / "products" / product.collection / product.id
    for file in product.files:
        name = Path(file.href).name
        if file.key != "zarr":
            assert (files / name).read_bytes() == (local / name).read_bytes()


def test_publishing_again_sends_nothing(made, place):
    home, product = made
    publish_remote(home, product, place)
    before, times = everything(place), Room(place).times("products")
    again = publish_remote(home, product, place)
    assert (again.outcome, again.sent) == ("present", 0)
    assert everything(place) == before
    assert Room(place).times("products") == times


def test_another_machine_adopts_what_is_there(made, place):
    """It made the same bytes, a minute later."""
    home, product = made
    publish_remote(home, product, place)
    before = everything(place)
    later = product.model_copy(update={"created": product.created + timedelta(minutes=1)})
    again = publish_remote(home, later, place)
    assert (again.outcome, again.product) == ("present", product)
    assert everything(place) == before


def test_a_machine_that_computes_otherwise_changes_nothing(made, place, tmp_path):
    home, product = made
    publish_remote(home, product, place)
    before = everything(place)
    other = publish_product(tmp_path / "other", *pan(seed=2))
    assert other.revision == product.revision
    with pytest.raises(Conflict) as caught:
        publish_remote(tmp_path / "other", other, place)
    assert caught.value.kind == "revision.differs"
    assert everything(place) == before


def test_versions_follow_each_other_and_stay(made, place, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(made[0], home, symlinks=True)
    old = made[1]
    publish_remote(home, old, place)
    new = publish_product(home, *pan(seed=2, lineage=synthetic.lineage(resampling="lanczos")))
    publish_remote(home, new, place)
    assert published_remote(place, new.collection, new.id) == new
    assert published_remote(place, new.collection, new.id, revision=old.revision) == old
    assert check_remote(place, old, deep=True) == check_remote(place, new, deep=True) == []
    # The earlier one again, from where its files were put: it does not become the latest by that.
    assert publish_remote(home, old, place).outcome == "present"
    assert read_latest(Room(place), new.collection, new.id).revision == new.revision
    # But when HOME goes back to it, so does the place.
    back = publish_product(home, *pan())
    assert publish_remote(home, back, place).outcome == "present"
    latest = read_latest(Room(place), new.collection, new.id)
    assert (latest.revision, latest.history) == (old.revision, (old.revision, new.revision, old.revision))


def test_an_earlier_revision_is_published_from_where_its_files_went(made, place, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(made[0], home, symlinks=True)
    old = made[1]
    publish_product(home, *pan(seed=2, lineage=synthetic.lineage(resampling="lanczos")))
    assert publish_remote(home, old, place).outcome == "published"
    assert check_remote(place, old, deep=True) == []


def test_a_damaged_copy_is_not_sent(made, place, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(made[0], home, symlinks=True)
    product = made[1]
    shard = next((home / product.archive_href).rglob("pan/c/0/0"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(Defect) as caught:
        publish_remote(home, product, place)
    assert caught.value.kind == "archive.corrupt"
    assert published_remote(place, product.collection, product.id) is None
    assert check_remote(place, product)[0].kind == "missing"


def test_home_is_no_second_place(made):
    with pytest.raises(BadInput, match="second place"):
        publish_remote(made[0], made[1], made[0])


def test_every_object_that_is_lost_altered_or_foreign_is_named_and_put_right(made, place):
    home, product = made
    publish_remote(home, product, place)
    room, paths = Room(place), RemotePaths.of(product)
    keys = sorted(room.sizes("archive") | room.sizes("products"))
    for number, key in enumerate(keys):
        if key == paths.latest:
            continue
        content, _ = room.read(key)
        for deep, spoiled in ((False, None), (False, content[:-1]), (True, _flip(content))):
            room.delete([key])
            if spoiled is not None:
                put(place, key, spoiled, claim=content)
            named = {fault.key for fault in check_remote(place, product, deep=deep)}
            assert named == {key}, (key, deep)
        if key == paths.manifest or (number % 4 == 0 and key != paths.record):
            # What a listing shows to be wrong is put right by publishing again.
            room.delete([key])
            assert publish_remote(home, product, place).outcome in ("repaired", "finished")
        else:
            put(place, key, content, claim=content)
        assert check_remote(place, product, deep=True) == []
    put(place, f"{paths.store}/foreign", b"x", claim=b"x")
    assert [(fault.key, fault.kind) for fault in check_remote(place, product)] == [
        (f"{paths.store}/foreign", "unexpected")
    ]


def put(place: Place, key: str, content: bytes, *, claim: bytes) -> None:
    """As if the server, or somebody with its keys, had done it."""
    room = Room(place)
    room.delete([key])
    if not place.is_s3:
        (place.folder / key).write_bytes(content)
        return
    room._objects.put(key, content, attributes=room._attributes(key, claim, None))


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_good_copies_come_back(made, place, tmp_path):
    home, product = made
    publish_remote(home, product, place)
    key = f"{product.archive_href}/manifest.json"
    record = ObjectRecord(key, product.manifest_size, product.manifest_sha256)
    path = tmp_path / "back" / "manifest.json"
    fetch_object(place, record, path)
    assert path.read_bytes() == (home / key).read_bytes()
    put(place, key, _flip(path.read_bytes()), claim=path.read_bytes())
    with pytest.raises(Defect) as caught:
        fetch_object(place, record, path)
    assert caught.value.kind == "remote.corrupt"
    assert path.read_bytes() == (home / key).read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["manifest.json"]


def test_what_was_never_finished_is_finished_or_removed(made, place):
    home, product = made
    publish_remote(home, product, place)
    room, paths = Room(place), RemotePaths.of(product)
    room.delete([paths.manifest, paths.latest, f"{paths.files}/pan.tif"])
    assert published_remote(place, product.collection, product.id) is None
    assert published_remote(place, product.collection, product.id, revision=product.revision) is None
    assert list(unfinished(place, product.collection, older_than=timedelta(hours=1))) == []  # maybe under way
    there = publish_remote(home, product, place)
    assert (there.outcome, there.sent) == ("finished", 1)
    assert check_remote(place, product, deep=True) == []

    room.delete([paths.manifest])
    name = f"{product.collection}/{product.id}@{product.revision}"
    (left,) = unfinished(place, older_than=NOW)
    assert (left.name, left.size) == (name, sum((room.sizes(paths.store) | room.sizes(paths.files)).values()))
    assert not remove_unfinished(place, left, older_than=timedelta(hours=1))  # gone on with since it was found
    assert remove_unfinished(place, left, older_than=NOW)
    assert set(room.sizes("archive") | room.sizes("products")) == {paths.latest}
    assert publish_remote(home, product, place).outcome == "published"
    assert list(unfinished(place, older_than=NOW)) == []
    assert not remove_unfinished(place, left, older_than=NOW)
    assert check_remote(place, product, deep=True) == []


def test_a_record_that_names_the_objects_of_others_removes_nothing(made, place):
    home, product = made
    publish_remote(home, product, place)
    before = everything(place)
    lie = json.loads(product.model_dump_json()) | {"id": "X", "archive_href": "archive"}
    key = f"products/{product.collection}/X/{product.revision}/product.json"
    Room(place).create(key, json.dumps(lie).encode())
    assert list(unfinished(place, product.collection, older_than=NOW)) == []
    assert {name: content for name, content in everything(place).items() if name != key} == before


@pytest.mark.services
def test_large_objects_go_in_parts(made, s3, monkeypatch):
    home, product = made
    monkeypatch.setattr("processing.archive.remote_send.ONE_REQUEST_BYTES", 1000)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    place = Place.of(f"s3://{s3.new_bucket()}/archive")
    assert publish_remote(home, product, place).outcome == "published"
    assert check_remote(place, product, deep=True) == []
