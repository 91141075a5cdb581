"""Addresses of a product's files at a second place, beside those in HOME (STAC alternate-assets extension)."""

import copy
from collections.abc import Mapping
from typing import Any

from catalogs.extensions import ALTERNATE, STORAGE
from catalogs.iso19139 import ISO_KEY
from processing.archive.remote_layout import RemotePaths
from processing.model.product import Product

_SCHEME = "archive"
"""Name of the bucket's storage scheme in an item."""


def with_alternates(
    item: Mapping[str, Any], product: Product, place: str, *, server: str | None = None, region: str | None = None
) -> dict[str, Any]:
    """A copy of an item whose assets name their copies at a place, too.

    Parameters
    ----------
    item
        Of this very revision.
    product
        Its record.
    place
        Address of the place where the product is published, e.g. ``s3://bucket/prefix``.
    server, region
        Of a bucket: address of the S3 server (None: Amazon's own) and its region, for STAC's storage extension.

    Returns
    -------
    item
        With ``alternate`` in every asset; the copies are never changed or moved, whatever becomes of the product.
    """
    paths = RemotePaths.of(product)
    scheme = place.partition("://")[0]
    hrefs = {file.key: paths.key_of(file.href) for file in product.files} | {"manifest": paths.manifest}
    described = copy.deepcopy(dict(item))
    for key, asset in described["assets"].items():
        if key in hrefs:
            title = "In object storage" if scheme == "s3" else "At the second place"
            asset["alternate"] = {scheme: {"href": f"{place}/{hrefs[key]}", "title": title}}
            if scheme == "s3":
                asset["alternate"][scheme]["storage:refs"] = [_SCHEME]
    used = {ALTERNATE}
    if scheme == "s3":
        described["properties"]["storage:schemes"] = {_SCHEME: _bucket(place, server, region)}
        used.add(STORAGE)
    described["stac_extensions"] = sorted({*described["stac_extensions"], *used})
    return described


def _bucket(place: str, server: str | None, region: str | None) -> dict[str, Any]:
    """How a client finds the bucket: server and bucket by name, never a key."""
    amazon = "https://{bucket}.s3.{region}.amazonaws.com"
    scheme = {
        "type": "custom-s3" if server else "aws-s3",
        "platform": f"{server.rstrip('/')}/{{bucket}}" if server else amazon,
        "bucket": place.removeprefix("s3://").partition("/")[0],
    }
    return scheme | ({"region": region} if region else {})


def has_alternates(item: Mapping[str, Any], place: str) -> bool:
    """Whether every asset of an item names its copy at a place; its ISO document is a description, kept with it."""
    scheme = place.partition("://")[0]
    there = [asset for key, asset in item["assets"].items() if key != ISO_KEY]
    hrefs = [asset.get("alternate", {}).get(scheme, {}).get("href", "") for asset in there]
    return bool(hrefs) and all(href.startswith(f"{place}/") for href in hrefs)
