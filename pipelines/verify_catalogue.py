"""The catalogue against the archive, both ways: rows without products, products without rows, contradictions."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from catalogs import server_url
from catalogs.item import to_item
from catalogs.store.integrity import FILE, check_database
from catalogs.store.protocol import CatalogueStore
from catalogs.versions import HISTORY, Chain
from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.revisions import product_versions
from processing.archive.layout import COLLECTION, ITEM, ProductPaths, relative_href
from processing.archive.scrub import Checked
from processing.archive.scrub_documents import written_item
from processing.archive.scrub_unit import REPAIR, Finding, Unit
from processing.archive.scrub_walk import Revisions, latest_revision, revisions, superseded
from processing.archive.write import published
from processing.model.errors import Defect
from processing.model.product import Product

_OF_OTHERS = (
    "deprecated",
    "qyran:parents",
    "qyran:parent_versions",
    "qyran:stale",
    "qyran:stale_because",
    "storage:schemes",
)
_OWN_LINKS = ("collection",)


class CatalogueCheck:
    """Compares the catalogue with what a scrub finds.

    Parameters
    ----------
    home
        The installation.
    store
        Its catalogue; None where it has none yet, or none that opens.
    """

    def __init__(self, home: Home, store: CatalogueStore | None) -> None:
        self._home, self._store = home, store

    def of_unit(self, checked: Checked) -> list[Finding]:
        """What the catalogue says of a product's latest revision, and the item beside its files."""
        unit = checked.unit
        path = (unit.files / ITEM).relative_to(self._home.path).as_posix()
        row, broken = self._row(unit.collection, unit.item_id)
        if broken:
            return [_row_finding(unit.item, broken)]
        if row is None:
            if any(finding.kind != "orphan" for finding in checked.findings):
                return []  # what is damaged is told of as such, and is not asked to be catalogued
            return [
                Finding(
                    object=unit.files.relative_to(self._home.path).as_posix(),
                    kind="unlisted",
                    item=unit.item,
                    detail="the product is whole, and the catalogue does not list it",
                    remedy="Process its package again, or run qyran verify --repair --yes",
                )
            ]
        if any(finding.object == path for finding in checked.findings):
            return []
        if checked.item is None:
            return [Finding(object=path, kind="missing", item=unit.item, detail="is not there", remedy=REPAIR)]
        if row == checked.item:
            return self._without_history(checked.item, unit)
        return [self._whichever_is_wrong(checked, path, row, checked.item)]

    def of_superseded(self, checked: Checked) -> list[Finding]:
        """Items of earlier revisions are written when the newer one is catalogued: then they must be there."""
        unit = checked.unit
        path = unit.files / ITEM
        row = self.row_of(unit.collection, unit.item_id)
        if row is None or path.exists() or row["properties"].get("version") == unit.files.stem:
            return []
        if row["properties"].get("version") != latest_revision(self._home.path, unit.collection, unit.item_id):
            return []
        name = path.relative_to(self._home.path).as_posix()
        return [Finding(object=name, kind="missing", item=unit.item, detail="is not there", remedy=_DESCRIBE)]

    def histories(self) -> Iterator[Finding]:
        """What links all revisions of a product is what their items say."""
        for place in revisions(self._home.path):
            path = place.folder / HISTORY
            if not path.is_file():
                continue
            expected = self._history(place)
            if expected is not None and path.read_bytes() != expected:
                yield Finding(
                    object=path.relative_to(self._home.path).as_posix(),
                    kind="corrupt",
                    item=f"{place.collection}/{place.item_id}",
                    detail="it does not say what the revisions' items say",
                    remedy=_DESCRIBE,
                )

    def _history(self, place: Revisions) -> bytes | None:
        """What links a product's revisions, made again; None where they are not whole, which is told of as such."""
        try:
            latest = published(self._home.path, place.collection, place.item_id)
            if latest is None:
                return None
            versions = product_versions(self._home, latest)
            if not {unit.files.stem for unit in superseded(place)} <= {each.product.revision for each in versions}:
                return None
            items = [json.loads(version.item_path.read_bytes()) for version in versions]
            paths = ProductPaths.of(self._home.path, latest)
            chain = Chain(
                items=tuple(relative_href(version.item_path, self._home.path) for version in versions),
                history=relative_href(paths.revisions / HISTORY, self._home.path),
            )
            return written_item(chain.catalog(items))
        except (OSError, ValueError, KeyError, TypeError, Defect):
            return None

    def names_store(self, store: Finding) -> bool:
        """Whether a store that no record names is named by the catalogue: then its files are lost, not it too many.

        Also where the catalogue cannot be asked.
        """
        collection, _, item_id = store.item.partition("/")
        row, broken = self._row(collection, item_id)
        version = "" if row is None else str(row["properties"].get("version"))
        return bool(broken) or (bool(version) and store.object.endswith(f"/{version}.zarr"))

    def row_of(self, collection: str, item_id: str) -> Mapping[str, Any] | None:
        """A product's row; None if there is none, or none that can be read."""
        return self._row(collection, item_id)[0]

    def _without_history(self, item: Mapping[str, Any], unit: Unit) -> list[Finding]:
        """What an item's link to all its versions leads to must be there."""
        for link in item["links"]:
            if link["rel"] == "version-history" and "://" not in link["href"]:
                path = Path(os.path.normpath(unit.files / link["href"]))
                if not path.exists() and path.is_relative_to(self._home.path):
                    name = path.relative_to(self._home.path).as_posix()
                    return [
                        Finding(object=name, kind="missing", item=unit.item, detail="is not there", remedy=_DESCRIBE)
                    ]
        return []

    def rows(self) -> Iterator[Finding]:
        """Rows of the catalogue whose product is not there."""
        if self._store is None:
            return
        try:
            for item in self._store.items():
                yield from self._lost(item)
        except ValueError as error:  # a row is not JSON: those of products that are there are told of singly
            yield Finding(
                object=f"catalogue/{FILE}", kind="corrupt", detail=f"a row cannot be read: {error}", remedy=REPAIR
            )

    def collections(self) -> Iterator[Finding]:
        """Collections' own documents beside their products."""
        listed = {} if self._store is None else {found["id"]: found for found in self._store.collections()}
        for collection, document in listed.items():
            path = self._home.products / collection / COLLECTION
            if not path.parent.is_dir():
                continue  # it never had a product
            finding = Finding(
                object=path.relative_to(self._home.path).as_posix(),
                kind="corrupt",
                detail="it does not say what the catalogue says",
                remedy="qyran verify --repair --yes writes it again from the catalogue",
            )
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                yield Finding(object=finding.object, kind="missing", detail="is not there", remedy=finding.remedy)
                continue
            if content != written_item(document):
                yield finding

    def database(self, *, deep: bool) -> Iterator[Finding]:
        """The catalogue's file itself."""
        for words in check_database(self._home.catalogue, deep=deep):
            yield Finding(
                object=f"catalogue/{FILE}",
                kind="corrupt",
                detail=f"SQLite reports: {words[:300]}",
                remedy="Put the file aside and run qyran verify --repair --yes: every product is listed again",
            )

    def _row(self, collection: str, item_id: str) -> tuple[Mapping[str, Any] | None, str]:
        if self._store is None:
            return None, ""
        try:
            return self._store.get_item(collection, item_id), ""
        except ValueError as error:
            return None, f"it cannot be read: {error}"

    def _lost(self, item: Mapping[str, Any]) -> Iterator[Finding]:
        folder = self._home.products / str(item["collection"]) / str(item["id"])
        if folder.is_dir():
            return
        if all((folder / asset["href"]).resolve().exists() for asset in item["assets"].values()):
            return  # an earlier revision, listed under an id of its own: its files lie beside its store
        yield Finding(
            object=folder.relative_to(self._home.path).as_posix(),
            kind="missing",
            item=f"{item['collection']}/{item['id']}",
            detail="the catalogue lists the product, and its files are not there",
            remedy=f"{REPAIR}; else process its package again",
        )

    def _whichever_is_wrong(
        self, checked: Checked, path: str, row: Mapping[str, Any], item: Mapping[str, Any]
    ) -> Finding:
        """Two documents that should be the same are not: the one that can be made again from the product is right."""
        made = self._made_again(checked.product)
        intact = [] if made is None else [_own_words(each) == _own_words(made) for each in (row, item)]
        if intact == [False, True]:
            return _row_finding(checked.unit.item, "its row does not say what the product's record says")
        return Finding(
            object=path,
            kind="corrupt",
            item=checked.unit.item,
            detail="it does not say what the catalogue's row says",
            remedy="qyran verify --repair --yes describes the product again" if intact else REPAIR,
        )

    def _made_again(self, product: Product | None) -> dict[str, Any] | None:
        if product is None:
            return None
        known = self._registry
        try:
            found = (known.missions[product.mission], known.sensors[product.sensor], known.recipes[product.recipe])
        except KeyError:
            return None
        made: dict[str, Any] = json.loads(json.dumps(to_item(product, *found)))
        return made

    @cached_property
    def _registry(self) -> Registry:
        """Read only where something is wrong: it takes longer than to check a product."""
        return load_registry(self._home.configs)


def _own_words(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item without what its other revisions, its parents and its copies elsewhere make it say."""
    assets = {
        key: {name: value for name, value in asset.items() if name != "alternate"}
        for key, asset in item["assets"].items()
    }
    properties = {name: value for name, value in item["properties"].items() if name not in _OF_OTHERS}
    links = [link for link in item["links"] if link["rel"] in _OWN_LINKS]
    own = {name: value for name, value in item.items() if name != "stac_extensions"}
    return own | {"assets": assets, "properties": properties, "links": links}


_DESCRIBE = "qyran verify --repair --yes writes it again"


def row_object(item: str) -> str:
    """How a row of the catalogue is called among objects."""
    return f"catalogue/{item}"


def _row_finding(item: str, detail: str) -> Finding:
    return Finding(
        object=row_object(item),
        kind="corrupt",
        item=item,
        detail=detail,
        remedy="qyran verify --repair --yes lists the product again",
    )


def database_is_there(home: Home) -> bool:
    """Whether there is a catalogue: opening an embedded one that is not there would make it."""
    return (Path(home.catalogue) / FILE).is_file() or server_url(home.catalogue) is not None
