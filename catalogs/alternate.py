"""Addresses of a product's files at a second place, beside those in HOME (STAC alternate-assets extension)."""

import copy
from collections.abc import Mapping
from typing import Any

from catalogs.extensions import ALTERNATE
from processing.archive.remote_layout import RemotePaths
from processing.model.product import Product


def with_alternates(item: Mapping[str, Any], product: Product, place: str) -> dict[str, Any]:
    """A copy of an item whose assets name their copies at a place, too.

    Parameters
    ----------
    item
        Of this very revision.
    product
        Its record.
    place
        Address of the place where the product is published, e.g. ``s3://bucket/prefix``.

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
    described["stac_extensions"] = sorted({*described["stac_extensions"], ALTERNATE})
    return described


def has_alternates(item: Mapping[str, Any], place: str) -> bool:
    """Whether every asset of an item names its copy at a place."""
    scheme = place.partition("://")[0]
    hrefs = [asset.get("alternate", {}).get(scheme, {}).get("href", "") for asset in item["assets"].values()]
    return bool(hrefs) and all(href.startswith(f"{place}/") for href in hrefs)
