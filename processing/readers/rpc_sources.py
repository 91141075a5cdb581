"""The RPC of an image: its own tags, or a file beside it."""

from pathlib import Path

from processing.geometry.rpc import Rpc
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


def side_file(image: Path, root: Path) -> Path | None:
    """The RPC file beside an image, or None."""
    for pattern in _SIDE_NAMES:
        path = image.with_name(pattern.format(stem=image.stem))
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(root.resolve()):
            return path
    return None
