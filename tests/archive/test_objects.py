import os
import pickle
from pathlib import Path

import pytest

from processing.archive.objects import Place, explained, open_objects
from processing.archive.remote import published_remote
from processing.model.errors import BadInput, Retryable

KEYS = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"


@pytest.fixture(autouse=True)
def _no_keys_of_the_developer(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a b/c/", "s3://bucket/a b/c"),
        ("file:///srv/copy/", "file:///srv/copy"),
        ("/srv/a copy", "file:///srv/a%20copy"),
        (Path("/srv/copy"), "file:///srv/copy"),
    ],
)
def test_addresses(given, url):
    assert Place.of(given).url == url
    assert str(Place.of(url)) == url


@pytest.mark.parametrize(
    "given",
    [
        "s3://",
        "s3://a",
        "s3://user:secret@bucket/x",
        "s3://bucket/x?AWSAccessKeyId=secret",
        "s3://bucket/../other",
        "https://secret@host/bucket",
        "ftp://host/x",
        "file://host/x",
    ],
)
def test_what_is_no_place_is_refused_without_repeating_a_key(given):
    with pytest.raises(BadInput) as caught:
        Place.of(given)
    assert caught.value.kind == "place.url"
    assert "secret" not in str(caught.value)


def test_a_folder_keeps_its_name(tmp_path):
    folder = tmp_path / "ä copy & more"
    folder.mkdir()
    assert Place.of(folder).folder == folder
    (folder / "x").write_bytes(b"1")
    assert bytes(open_objects(folder).get("x").bytes()) == b"1"
    with pytest.raises(BadInput) as caught:
        open_objects(tmp_path / "absent")
    assert caught.value.kind == "place.not_found"


def test_a_place_travels_without_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
    place = Place.of("s3://bucket/x", endpoint="http://127.0.0.1:9", credentials=tmp_path / "keys")
    open_objects(place)
    assert b"topsecret" not in pickle.dumps(place)
    assert "topsecret" not in repr(place)
    assert pickle.loads(pickle.dumps(place)) == place


def test_without_keys_it_says_how_to_give_them(tmp_path):
    keys = tmp_path / "s3.ini"
    with pytest.raises(BadInput) as caught:
        open_objects(Place.of("s3://bucket/x", endpoint="http://127.0.0.1:9", credentials=keys))
    assert caught.value.kind == "s3.credentials"
    assert str(keys) in str(caught.value)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660])
def test_a_file_of_keys_that_others_can_read_is_refused(tmp_path, mode):
    keys = tmp_path / "s3.ini"
    keys.write_text(KEYS.format("a", "topsecret"))
    keys.chmod(mode)
    with pytest.raises(BadInput, match="can be read by others") as caught:
        open_objects(Place.of("s3://bucket/x", credentials=keys))
    assert "chmod 600" in str(caught.value)


@pytest.mark.parametrize("text", ["topsecret", "[default]\ntopsecret", "[other]\naws_access_key_id=topsecret"])
def test_a_wrong_file_of_keys_is_not_quoted(tmp_path, text):
    keys = tmp_path / "s3.ini"
    keys.write_text(text)
    keys.chmod(0o600)
    with pytest.raises(BadInput) as caught:
        open_objects(Place.of("s3://bucket/x", credentials=keys))
    assert "topsecret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_nobody_there_is_worth_another_try():
    place = Place.of("s3://bucket/x", endpoint="http://127.0.0.1:9", timeout_s=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        patch.setattr("processing.archive.objects._RETRIES", {"max_retries": 0})
        with pytest.raises(Retryable) as caught, explained(place, "a"):
            open_objects(place).get("a")
    assert caught.value.kind == "s3.unavailable"


@pytest.mark.services
def test_a_server_that_refuses_is_told_of_in_plain_words(s3, tmp_path, monkeypatch, caplog):
    bucket = s3.new_bucket()
    keys = tmp_path / "s3.ini"
    keys.write_text(KEYS.format(s3.access_key, s3.secret_key))
    keys.chmod(0o600)

    def ask(url: str) -> None:
        published_remote(Place.of(url, endpoint=s3.endpoint, credentials=keys), "c", "i")

    assert ask(f"s3://{bucket}/x") is None  # the keys of the file are taken, and there is nothing
    with pytest.raises(BadInput) as caught:
        ask("s3://qyran-no-such-bucket/x")
    assert caught.value.kind == "s3.bucket"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anotherone")
    with pytest.raises(BadInput, match="SignatureDoesNotMatch") as caught:
        ask(f"s3://{bucket}/x")
    assert caught.value.kind == "s3.credentials"
    assert caught.value.__cause__ is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
    with pytest.raises(BadInput, match="InvalidAccessKeyId") as caught:
        ask(f"s3://{bucket}/x")
    for secret in (s3.secret_key, "anotherone", "NOBODY"):
        assert secret not in str(caught.value)
        assert secret not in caplog.text
