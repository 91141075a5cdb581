"""Questions about an item's revisions: which there are, which one is meant, what changed from one to the next."""

import re
from typing import Any

from configs.settings import Home
from pipelines.catalogue import find_product
from pipelines.revisions import Version, product_versions
from processing.model.errors import BadInput
from processing.model.lineage import changes

_REVISION = re.compile(r"[0-9a-f]{4,64}")


def find_version(home: Home, reference: str) -> Version:
    """The revision behind ``COLLECTION/ID``, ``ID``, or either with ``@REVISION`` (its first digits will do).

    Raises
    ------
    BadInput
        ``item.unknown``, ``item.ambiguous``; ``version.unknown`` if there is no such revision.
    """
    name, _, revision = reference.partition("@")
    versions = product_versions(home, find_product(home, name))
    if not revision:
        return versions[0]
    return _chosen(versions, revision, name)


def _chosen(versions: tuple[Version, ...], revision: str, name: str) -> Version:
    matching = [version for version in versions if version.product.revision.startswith(revision)]
    if len(matching) != 1 or not _REVISION.fullmatch(revision):
        known = ", ".join(version.product.revision for version in versions)
        raise BadInput(
            f"'{name}' has {'several revisions' if len(matching) > 1 else 'no revision'} '{revision}'",
            kind="version.unknown",
            remedy=f"It has: {known}.",
        )
    return matching[0]


def version_history(home: Home, reference: str) -> dict[str, Any]:
    """Every revision of an item, newest first, each with what changed from the one before it.

    Returns
    -------
    dict
        ``item`` and ``versions``: ``version, created, latest, store, item`` (paths) and ``changes`` in words.

    Raises
    ------
    BadInput
        ``item.unknown``, ``item.ambiguous``.
    """
    latest = find_product(home, reference.partition("@")[0])
    versions = product_versions(home, latest)
    earlier = [*versions[1:], None]
    return {
        "item": f"{latest.collection}/{latest.id}",
        "versions": [
            {
                "version": version.product.revision,
                "created": version.product.created.isoformat(),
                "latest": version.latest,
                "store": str(version.places.store),
                "item": str(version.item_path),
                "changes": []
                if before is None
                else [str(change) for change in changes(before.product.lineage, version.product.lineage)],
            }
            for version, before in zip(versions, earlier, strict=True)
        ],
    }
