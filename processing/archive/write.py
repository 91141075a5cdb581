"""Publishing: a draft and its lazy images become a product that is whole, durable and found, or nothing at all.

Staging -> pixels -> manifest -> files -> sync -> rename the store -> rename the files (the commit) -> link.

A store that was renamed but whose files were not is complete and belongs to nobody: the next publication of the
same revision adopts it and makes the files from it. Everything else that a crash leaves behind lies in the
product's own staging folder, which the next publication empties, and :mod:`processing.archive.recover` before it.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processing.archive import durable
from processing.archive.compute import Progress, count_tasks, steps, tally, write_pixels
from processing.archive.disk_faults import disk_faults
from processing.archive.files import check_keys, count_files, write_files
from processing.archive.footprint import outline
from processing.archive.layout import ISO, MANIFEST, PRODUCT_RECORD, ProductPaths, revision_of
from processing.archive.manifest import ObjectRecord, check_product, record_of, write_manifest
from processing.archive.record import product_record
from processing.archive.space import product_bytes, require_space
from processing.archive.store import Group, consolidate, create_store, expected_keys, plan_group
from processing.model.errors import Conflict, Defect
from processing.model.image import OrthoImage
from processing.model.product import Product, ProductDraft
from processing.model.timeliness import Rank, Standing

type Divert = Callable[[Product, Path], bool]

FILES = "files"
"""In a product's staging folder: what will lie beside the store."""


def publish_product(
    home_path: Path,
    draft: ProductDraft,
    images: Sequence[OrthoImage],
    *,
    progress: Progress | None = None,
    divert: Divert | None = None,
) -> Product:
    """Compute a product and archive it.

    Parameters
    ----------
    home_path
        HOME: ``archive``, ``products`` and ``staging`` lie in it, on one filesystem.
    draft
        Everything known beforehand. Its lineage's digest is the revision.
    images
        Lazy, one for each measurement group, all in one CRS.
    progress
        Called with (done, total, what).
    divert
        Asked when the product is whole and durable, and only waits for its names: with its record and the folder it
        lies in. Where it says yes, it has taken the folder elsewhere, and nothing is published.

    Returns
    -------
    product
        The record. If this revision is published already, its record as it was, with nothing computed.

    Raises
    ------
    Conflict
        As :func:`refuse_other_package`.
    Retryable
        ``disk.full`` if there is not, or no longer, room enough; ``disk.sync``, ``disk.failed``, ``disk.read_only``.
    BadInput
        ``product.empty`` if no pixel holds a value.
    Defect
        If the store on disk is not what was written.
    """
    home = home_path.resolve()
    paths = ProductPaths.of(home, draft)
    with disk_faults(paths.staging), durable.exclusive(paths.lock):
        # What a crash left: nobody else is here while we hold the lock.
        if paths.staging.exists():
            shutil.rmtree(paths.staging)
        present = published(home, draft.collection, draft.id)
        if present is not None:
            refuse_other_package(present, draft)
            if present.revision == revision_of(draft):
                settle(paths)
                return present
        groups = tuple(plan_group(image, draft.encodings) for image in images)
        check_keys(draft, groups)
        total = count_tasks(groups) + count_files(draft, groups)
        with _staged(paths, groups):
            return _publish(paths, draft, groups, images, steps(progress, total), divert)


def published(home: Path, collection: str, item_id: str) -> Product | None:
    """The record of a published product, or None. A product counts as published once this finds it."""
    path = home / "products" / collection / item_id / PRODUCT_RECORD
    try:
        return Product.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def refuse_other_package(present: Product, other: Product | ProductDraft) -> None:
    """Refuse to put a product in the place of one that was made from other bytes, unless its delivery is the better.

    Raises
    ------
    Conflict
        ``scene.better_published`` if what is published is from the better delivery; ``id.conflict`` if neither is.
    """
    was, now = present.lineage.input_of("package"), other.lineage.input_of("package")
    rank = rank_of(other, present)
    if was is None or now is None or rank in (None, Rank.BETTER):
        return
    name = f"{present.collection}/{present.id}"
    if rank is Rank.WORSE:
        raise Conflict(
            "a better delivery of this scene is published already: a final one, or one that holds more",
            kind="scene.better_published",
            where=name,
            remedy="Nothing is lost: what is published stays.",
        )
    differs = "in some respects better and in others worse" if rank is Rank.MIXED else "no better and no worse"
    raise Conflict(
        f"{name} is published already, from a package with other bytes (sha256 {was.sha256[:16]}..., now "
        f"{now.sha256[:16]}...) that is {differs}",
        kind="id.conflict",
        where=now.name,
        remedy="Ask the supplier which is right. If it is this one, withdraw the published item first.",
    )


def rank_of(product: Product | ProductDraft, other: Product | ProductDraft) -> Rank | None:
    """What a product's delivery is to that of another of the same scene; None where both are of the same bytes."""
    packages = [each.lineage.input_of("package") for each in (product, other)]
    digests = {None if package is None else package.sha256 for package in packages}
    return standing(product).against(standing(other)) if len(digests) == 2 and None not in digests else None


def standing(product: Product | ProductDraft) -> Standing:
    """What decides between a product and one of another delivery of its scene."""
    bands = product.encodings if isinstance(product, ProductDraft) else (band.name for band in product.bands)
    return Standing.of(product.facts, bands)


def _publish(
    paths: ProductPaths,
    draft: ProductDraft,
    groups: tuple[Group, ...],
    images: Sequence[OrthoImage],
    step: Callable[[str], None],
    divert: Divert | None,
) -> Product:
    store, adopted = paths.staging / "store.zarr", paths.store.exists()
    if adopted:
        store = paths.store
        manifest = _checked(store)
    else:
        manifest = _write_store(store, draft, groups, images, step)
    ring = outline(store, groups)
    tallies = tally(store, groups, ring)
    # Imported where it is used: who only looks at what is published starts half a second sooner.
    from processing.archive.registration import measure_registration

    measured = {} if draft.parents else measure_registration(store, groups, images)
    product = product_record(
        draft, paths, groups, images, ring=ring, tallies=tallies, registration=measured, manifest=manifest
    )
    files = paths.staging / FILES
    product = write_files(files, store, product, draft, groups, paths, step)
    if (paths.files / ISO).is_file():
        # The earlier revision's row names it, until the new revision has a row and a document of its own.
        shutil.copyfile(paths.files / ISO, files / ISO)
    for place in (paths.store, paths.files, paths.link):
        durable.make_folders(place.parent)
    durable.sync_tree(paths.staging)
    # A store that has its name already is one that nobody diverted.
    if divert is not None and not adopted and divert(product, paths.staging):
        return product
    if not adopted:
        durable.move(store, paths.store)
    try:
        put_files(files, paths)
    except BaseException:
        if not adopted:
            with contextlib.suppress(OSError):
                paths.store.rename(store)
        raise
    durable.point_link(paths.link, paths.store)
    return product


def settle(paths: ProductPaths) -> None:
    """See to it that a product which can be seen is safe: whoever made it may have been killed before it was.

    Its bytes were, before it got its name. Call it while holding the product's lock.
    """
    for place in (paths.store, paths.files):
        durable.sync_folder(place.parent)
    durable.point_link(paths.link, paths.store)


def _write_store(
    store: Path,
    draft: ProductDraft,
    groups: tuple[Group, ...],
    images: Sequence[OrthoImage],
    step: Callable[[str], None],
) -> ObjectRecord:
    create_store(store, groups, images, root_attributes(draft))
    records = write_pixels(store, groups, images, step)
    consolidate(store, groups)
    return write_manifest(store, records, expected_keys(groups))


def root_attributes(draft: ProductDraft) -> dict[str, Any]:
    """Identity and provenance of a product, the same on every run: no clock, no host, no path."""
    return {
        "Conventions": "CF-1.11",
        "title": f"{draft.collection}/{draft.id}",
        "id": draft.id,
        "collection": draft.collection,
        "mission": draft.mission,
        "sensor": draft.sensor,
        "level": draft.level,
        "acquired": draft.acquired.isoformat(),
        "revision": revision_of(draft),
        "angles": draft.angles,
        "parents": list(draft.parents),
        "provenance": draft.lineage.model_dump(mode="json"),
    }


def _checked(store: Path) -> ObjectRecord:
    faults = check_product(store)
    if faults:
        raise Defect(
            f"a store of this revision is there, but damaged: {faults[0].key} {faults[0].kind}, {len(faults)} in all",
            kind="archive.corrupt",
            where=str(store),
            remedy="Move the folder away and publish again.",
        )
    return record_of(store, MANIFEST)


def put_files(files: Path, paths: ProductPaths) -> None:
    """Put the files in their place: the moment from which the product is published.

    The files of an earlier revision end up beside its store. The new ones wait there under the earlier one's name
    until the two change places in one step.
    """
    earlier = published(paths.home, paths.collection, paths.item_id)
    if earlier is None:
        durable.move(files, paths.files)
        return
    shelf = paths.superseded_files(earlier.revision)
    if shelf.exists():
        shutil.rmtree(shelf)
    durable.move(files, shelf)
    try:
        durable.exchange(shelf, paths.files)
    except BaseException:
        # What waits under another's name is nobody's earlier revision.
        with contextlib.suppress(OSError):
            shelf.rename(files)
        raise


@contextmanager
def _staged(paths: ProductPaths, groups: tuple[Group, ...]) -> Iterator[None]:
    """A staging folder for as long as it takes, with room enough on its disk."""
    durable.make_folders(paths.staging)
    try:
        require_space(paths.staging, _estimate(groups), what="publishing")
        yield
    finally:
        shutil.rmtree(paths.staging, ignore_errors=True)


def _estimate(groups: tuple[Group, ...]) -> int:
    """Bytes that these groups need if nothing compresses."""
    shapes = ((group.levels[0].shape, len(group.arrays)) for group in groups)
    return product_bytes((rows * columns, arrays) for (rows, columns), arrays in shapes)
