"""Places in object stores, as settings and records name them."""

from typing import Protocol

from configs.settings import Home
from processing.archive.objects import Place


class Named(Protocol):
    """What names a place."""

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``, or the path of a folder."""

    @property
    def endpoint(self) -> str | None:
        """The S3 server's."""

    @property
    def region(self) -> str | None:
        """Of the bucket."""

    @property
    def timeout_s(self) -> float:
        """Longest time for one request."""


def object_place(home: Home, named: Named) -> Place:
    """A place, with the installation's own keys to it.

    Raises
    ------
    BadInput
        ``place.url`` if the address is wrong.
    """
    return Place.of(
        named.url,
        endpoint=named.endpoint,
        region=named.region,
        timeout_s=named.timeout_s,
        credentials=home.object_keys,
    )
