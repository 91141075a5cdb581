"""Revisions of one item: how their descriptions name each other, and how they are found (STAC version extension).

An item's id stands for its latest revision; the row in the catalogue is that one's. Every earlier revision keeps an
item of its own, as a file in the folder that its files moved to. ``version-history`` of any revision leads to a STAC
Catalog that links them all, newest first.
"""

import copy
import json
import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HISTORY = "versions.json"
"""In the folder of an item's revisions: the catalog of them all."""
_TYPE = "application/geo+json"
RELATIONS = ("predecessor-version", "successor-version", "latest-version", "version-history")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Where the items of one id lie, newest first. Paths are relative to HOME, with forward slashes."""

    items: tuple[str, ...]
    history: str

    def linked(self, item: Mapping[str, Any], path: str) -> dict[str, Any]:
        """A copy of the item that lies at ``path`` with links to the others; those before the newest are deprecated.

        An item without others gets no links.
        """
        linked = copy.deepcopy(dict(item))
        linked["links"] = [link for link in linked["links"] if link["rel"] not in RELATIONS]
        place = self.items.index(path)
        linked["properties"].pop("deprecated", None)
        if place > 0:
            linked["properties"]["deprecated"] = True
        if len(self.items) == 1:
            return linked
        older, newer = self.items[place + 1 : place + 2], self.items[place - 1 : place] if place else ()
        targets = [("predecessor-version", each) for each in older] + [("successor-version", each) for each in newer]
        targets.append(("latest-version", self.items[0]))
        folder = posixpath.dirname(path)
        linked["links"] += [
            {"rel": relation, "href": posixpath.relpath(target, folder), "type": _TYPE} for relation, target in targets
        ]
        history = posixpath.relpath(self.history, folder)
        linked["links"].append({"rel": "version-history", "href": history, "type": "application/json"})
        return linked

    def catalog(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The STAC Catalog of all revisions; ``items`` as ``self.items``."""
        folder = posixpath.dirname(self.history)
        return {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": f"{items[0]['id']}-versions",
            "title": f"Versions of {items[0]['collection']}/{items[0]['id']}",
            "description": "Every revision of one item that the archive holds, newest first.",
            "links": [
                {
                    "rel": "item",
                    "href": posixpath.relpath(path, folder),
                    "type": _TYPE,
                    "title": f"{item['properties']['version']}, {item['properties']['created']}",
                }
                for path, item in zip(self.items, items, strict=True)
            ],
        }


def moved(item: Mapping[str, Any], source: str, target: str) -> dict[str, Any]:
    """A copy of an item whose folder, with the files in it, went from ``source`` to ``target`` (relative to HOME)."""
    changed = copy.deepcopy(dict(item))
    for entry in (*changed["assets"].values(), *changed["links"]):
        if "://" in entry["href"] or entry["href"].startswith("/"):
            continue
        place = posixpath.normpath(posixpath.join(source, entry["href"]))
        if place.startswith(f"{source}/"):
            place = target + place.removeprefix(source)
        entry["href"] = posixpath.relpath(place, target)
    return changed


def read_versions(item: Mapping[str, Any], folder: Path) -> list[tuple[dict[str, Any], Path]]:
    """All revisions of an item, newest first, each with the folder that its addresses are relative to.

    Parameters
    ----------
    item
        Any of them, addresses relative to ``folder``.
    folder
        Absolute: where its file lies, ``HOME/products/<collection>/<id>`` for one from the catalogue.

    Returns
    -------
    list
        The item alone where it has no other revision. What retention has removed is left out.
    """
    history = next((link["href"] for link in item["links"] if link["rel"] == "version-history"), None)
    if history is None:
        return [(dict(item), folder)]
    path = Path(os.path.normpath(folder / history))
    found = []
    for link in json.loads(path.read_bytes())["links"]:
        place = Path(os.path.normpath(path.parent / link["href"]))
        if link["rel"] == "item" and place.is_file():
            found.append((json.loads(place.read_bytes()), place.parent))
    return found
