"""The S3 server that other tests stand on keeps the promises that they stand on."""

import threading
import urllib.error
import urllib.request

import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError
from obstore.store import S3Store

pytestmark = pytest.mark.services


def test_a_stranger_is_refused(s3):
    bucket = s3.new_bucket()
    s3.store(bucket).put("a", b"1")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{s3.endpoint}/{bucket}/a", timeout=10)
    with caught.value:
        assert caught.value.code == 403
    wrong = S3Store(
        bucket, endpoint=s3.endpoint, access_key_id=s3.access_key, secret_access_key="no", region="us-east-1",
        client_options={"allow_http": True},
    )  # fmt: skip
    with pytest.raises(PermissionDeniedError):
        wrong.get("a")


def test_one_of_many_creates_an_object(s3):
    store, won = s3.store(s3.new_bucket()), []

    def create(number: int) -> None:
        try:
            store.put("one", str(number).encode(), mode="create")
            won.append(number)
        except AlreadyExistsError:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert bytes(store.get("one").bytes()) == str(won[0]).encode()


def test_an_object_changes_only_from_what_was_seen(s3):
    store = s3.store(s3.new_bucket())
    first = store.put("pointer", b"1")
    store.put("pointer", b"2", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        store.put("pointer", b"3", mode={"e_tag": first["e_tag"]})
    assert bytes(store.get("pointer").bytes()) == b"2"
