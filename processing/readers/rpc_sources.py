"""The RPC of an image: its own tags, or a file beside it."""

from pathlib import Path

from processing.geometry.guards import check_agreement
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.readers.image_files import STUB_BYTES
from processing.readers.raster_open import raster_facts
from processing.readers.rpc_files import read_rpc, rpc_from_tags

_SIDE_NAMES = (
    "{stem}.RPB",
    "{stem}.rpb",
    "{stem}_RPC.TXT",
    "{stem}_rpc.txt",
    "{stem}_RPC.XML",
    "{stem}.XML",
    "{stem}.xml",
)


def rpc_of_image(image: Path, root: Path) -> Rpc | None:
    """The sensor model of an image: its RPC tags first, since they cannot be lost or swapped, then a side file.

    Parameters
    ----------
    image
        The image; it may be an empty stub.
    root
        The package: a side file that is a link or lies outside it is not read.

    Raises
    ------
    BadInput
        When tags or side file are there and wrong.
    """
    if image.is_file() and image.stat().st_size > STUB_BYTES:
        tags = raster_facts(image).rpc_tags
        if tags:
            return rpc_from_tags(tags, image.name)
    side = side_file(image, root)
    return read_rpc(side) if side is not None else None


def tags_against_file(image: Path, root: Path, shape: tuple[int, int]) -> tuple[str, ...]:
    """Whether an image's RPC tags and the RPC file beside it are one model.

    Tags move with a crop and a file does not, so a large difference only says that the file is not this image's.

    Parameters
    ----------
    image, root
        As :func:`rpc_of_image`.
    shape
        Lines and samples of the image.

    Returns
    -------
    tuple
        Warnings.

    Raises
    ------
    BadInput
        ``rpc.shifted`` when they differ by a constant half or whole pixel: one of them counts from elsewhere.
    """
    tags, side = raster_facts(image).rpc_tags, side_file(image, root)
    if not tags or side is None:
        return ()
    try:
        beside = read_rpc(side)
    except BadInput:
        return ()
    try:
        return check_agreement(rpc_from_tags(tags, image.name), beside, shape, side.name)
    except BadInput as error:
        if error.kind == "rpc.shifted":
            raise
        return (f"'{side.name}' is not the model in the image's tags ({error.message}): the tags are followed",)


def side_file(image: Path, root: Path) -> Path | None:
    """The RPC file beside an image, or None."""
    for pattern in _SIDE_NAMES:
        path = image.with_name(pattern.format(stem=image.stem))
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(root.resolve()):
            return path
    return None
