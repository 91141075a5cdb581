"""A bucket to publish into, made where it is not there yet: obstore itself makes none."""

import urllib.error
import urllib.request
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from obstore import sign
from obstore.store import S3Store

from processing.archive.objects import Place, open_objects
from processing.model.errors import BadInput, Retryable

_TIMEOUT_S = 60.0


def make_bucket(place: Place) -> bool:
    """Make the bucket of a place.

    Parameters
    ----------
    place
        ``s3://bucket/prefix``: the prefix needs no making.

    Returns
    -------
    made
        False if it was there.

    Raises
    ------
    BadInput
        ``place.url`` for a folder, ``s3.refused`` if the server does not allow it.
    Retryable
        ``s3.unreachable``.
    """
    if not place.is_s3:
        raise BadInput("only a bucket is made", kind="place.url", where=str(place))
    root = replace(place, url=f"s3://{urlsplit(place.url).netloc}")
    store = open_objects(root)
    assert isinstance(store, S3Store)
    address = sign(store, "PUT", "", timedelta(minutes=1))
    request = urllib.request.Request(address, method="PUT")  # noqa: S310 - the scheme of an endpoint was looked at
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return bool(answer.status == HTTPStatus.OK)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.CONFLICT:
                return False
            raise BadInput(
                f"the S3 server did not make the bucket ({error.code} {error.reason})",
                kind="s3.refused",
                where=str(root),
                remedy="Make it with the means of its provider, or correct the keys.",
            ) from None
    except OSError as error:
        # Its text may hold the signed address.
        raise Retryable("the S3 server does not answer", kind="s3.unreachable", where=str(root)) from error
