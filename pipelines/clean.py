"""``qyran clean``: what may go by the rules of the installation, and letting it go."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from catalogs import open_store
from catalogs.store.protocol import CatalogueStore
from catalogs.versions import RELATIONS
from configs.keeping import load_keeping
from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.archive_place import archive_place
from pipelines.catalogue import catalogue_product
from pipelines.recovery import recover_home
from pipelines.revisions import product_versions
from pipelines.verify import Report
from pipelines.verify_catalogue import CatalogueCheck, database_is_there
from processing.archive.remote_unfinished import remove_unfinished, unfinished
from processing.archive.retain import Protected, Removal, Rules, let_go, removals, unused_inputs
from processing.archive.write import published
from processing.model.errors import QyranError
from processing.model.product import Product

UNFINISHED = "unfinished"
"""At the second place: what a publication has sent that never came to its end."""


class Removed(BaseModel):
    """One thing that goes, or went."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    item: str
    objects: tuple[str, ...]
    """Paths relative to HOME, or keys at the second place."""
    bytes: int
    detail: str
    gone: bool
    """False in a trial run, and where it could not go."""


class CleanReport(BaseModel):
    """What went, or would go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool
    removals: tuple[Removed, ...]
    bytes: int
    """Of all that goes by the rules."""
    freed_bytes: int
    recovered: tuple[str, ...]
    """Interrupted work that was finished or cleared away."""
    notes: tuple[str, ...]


def clean(home: Home, *, act: bool, only: frozenset[str] | None = None, report: Report | None = None) -> CleanReport:
    """Let go what may go.

    Parameters
    ----------
    home
        The installation. Its rules are ``HOME/configs/keeping.yaml`` and the recipes'.
    act
        Do it; else say what would go.
    only
        Kinds to look at (:data:`processing.archive.retain.Kind` and :data:`UNFINISHED`); None: all.
    report
        Called with (done, total, what).

    Raises
    ------
    ConfigError
        If the rules cannot be read.
    """
    registry, notes, done = load_registry(home.configs), list[str](), list[Removed]()
    recovered = _recovered(home, registry, notes) if act else ()
    rules = _rules(home, registry)
    with ExitStack() as stack:
        protected = _protected(home, stack, notes)
        for removal in _listed(home, rules, protected):
            if only is not None and removal.kind not in only:
                continue
            gone = False
            if act:
                try:
                    gone = let_go(home.path, removal, protected)
                except (QyranError, OSError) as error:
                    notes.append(f"{removal.paths[0].relative_to(home.path)} did not go: {error}")
            done.append(_told(home, removal, gone=gone))
            if report is not None:
                report(len(done), 0, removal.kind)
        if only is None or UNFINISHED in only:
            done += _unfinished(home, notes, act=act)
        if act and protected is not None:
            _forget_versions(home, registry, notes)
    return CleanReport(
        dry_run=not act,
        removals=tuple(done),
        bytes=sum(each.bytes for each in done),
        freed_bytes=sum(each.bytes for each in done if each.gone),
        recovered=recovered,
        notes=tuple(notes),
    )


def _unfinished(home: Home, notes: list[str], *, act: bool) -> list[Removed]:
    """What was never finished at the second place, after as many days as what no product names here."""
    days = load_keeping(home.configs).retention.orphan_days
    try:
        place = archive_place(home)
        if place is None or days is None:
            return []
        age = timedelta(days=days)
        return [
            Removed(
                kind=UNFINISHED,
                item=left.name.partition("@")[0],
                objects=left.keys,
                bytes=left.size,
                detail=f"never finished at {place}",
                gone=act and remove_unfinished(place, left, older_than=age),
            )
            for left in list(unfinished(place, older_than=age))
        ]
    except QyranError as error:
        notes.append(f"the second place was not cleared: {error}")
        return []


def _recovered(home: Home, registry: Registry, notes: list[str]) -> tuple[str, ...]:
    try:
        return tuple(map(str, recover_home(home, registry)))
    except QyranError as error:
        notes.append(f"interrupted work could not be finished: {error}")
        return ()


def _listed(home: Home, rules: Rules, protected: Protected | None) -> Iterator[Removal]:
    yield from removals(home.path, rules, protected)
    if protected is not None:
        yield from unused_inputs(home.path, rules)


def _rules(home: Home, registry: Registry) -> Rules:
    kept = load_keeping(home.configs).retention

    def days_of(product: Product) -> float | None:
        recipe = registry.recipes.get(product.recipe)
        own = recipe.keep_superseded_days if recipe is not None else None
        return kept.superseded_days if own is None else own

    return Rules(
        superseded=days_of,
        orphan=kept.orphan_days,
        staging=kept.staging_hours / 24,
        quarantine=kept.quarantine_days,
        landing=kept.landing_days,
    )


def _protected(home: Home, stack: ExitStack, notes: list[str]) -> Protected | None:
    """What the catalogue names; None where it cannot be asked, and then nothing of the archive goes."""
    if not database_is_there(home):
        if any(home.products.glob("*/*")) or any(home.archive.glob("*/*")):
            notes.append("there is no catalogue to say what is named: nothing of archive and products goes")
            return None
        return Protected(revision_of=lambda _collection, _item_id: None, folders=frozenset())
    try:
        store = stack.enter_context(closing(open_store(home.catalogue)))
        folders = frozenset(_folders_led_to(home, store))
    except (QyranError, ValueError) as error:
        notes.append(f"the catalogue cannot be asked ({error}): nothing of archive and products goes")
        return None

    def revision_of(collection: str, item_id: str) -> str | None:
        row = store.get_item(collection, item_id)
        return None if row is None else str(row["properties"]["version"])

    return Protected(revision_of=revision_of, folders=folders)


def _folders_led_to(home: Home, store: CatalogueStore) -> Iterator[Path]:
    """Folders of earlier revisions that rows of other items lead to: a child's, to the parent it was made from."""
    for item in store.items():
        folder = home.products / str(item["collection"]) / str(item["id"])
        for href in _hrefs(item):
            target = (folder / href).resolve().parent
            if target.suffix == ".files":
                yield target


def _hrefs(item: dict[str, Any]) -> Iterator[str]:
    """Relative addresses of an item's links, but for those between versions, and of its assets."""
    entries = [link for link in item["links"] if link["rel"] not in RELATIONS] + list(item["assets"].values())
    return (entry["href"] for entry in entries if "://" not in entry["href"])


def _forget_versions(home: Home, registry: Registry, notes: list[str]) -> None:
    """Have what links products' versions lead to those that are left; also after a run that was killed before this."""
    for finding in list(CatalogueCheck(home, None).histories()):
        product = published(home.path, *finding.item.split("/"))
        if product is None:
            continue
        try:
            _forget_rows(home, product)
            catalogue_product(product, home, registry)
        except QyranError as error:
            notes.append(f"{finding.item} still links versions that are gone, until it is described again: {error}")
            continue
        if len(product_versions(home, product)) == 1:
            (home.path / finding.object).unlink(missing_ok=True)


def _forget_rows(home: Home, product: Product) -> None:
    """Have the catalogue forget earlier versions whose files are gone."""
    left = {version.product.revision for version in product_versions(home, product)}
    with closing(open_store(home.catalogue)) as store:
        for row in store.versions(product.collection, product.id):
            if row["properties"]["version"] not in left:
                store.delete_version(product.collection, product.id, str(row["properties"]["version"]))


def _told(home: Home, removal: Removal, *, gone: bool) -> Removed:
    return Removed(
        kind=removal.kind,
        item=removal.item,
        objects=tuple(path.relative_to(home.path).as_posix() for path in removal.paths),
        bytes=removal.size,
        detail=removal.detail,
        gone=gone,
    )
