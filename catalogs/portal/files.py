"""The page's files as they go out: read once, compressed, under an address that changes with their content."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_MEDIA = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
# Modules of other views, and of the map, which is drawn after the words: they are fetched when they are wanted.
_LATER = (
    "vendor/", "map/", "item/", "orders/checkout", "orders/list", "orders/ground", "orders/subscriptions", "officers/",
    "compare", "signing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A file."""

    packed: bytes
    """Its content by gzip."""
    media: str

    @property
    def plain(self) -> bytes:
        """Its content."""
        return gzip.decompress(self.packed)


@dataclass(frozen=True, slots=True)
class Site:
    """All files by the address that they have under ``/portal/STAMP/``."""

    parts: dict[str, Part]
    stamp: str
    """Of the content of all: a new release has new addresses, so that what is kept of the old is never mixed in."""
    page: str
    """The one document, into which the addresses are put."""


@cache
def site() -> Site:
    """The site that comes with the program."""
    room = files("catalogs.portal")
    own = {f"{path}": _own(path, node) for path, node in _walk(room / "site")}
    page = own.pop("index.html").plain.decode()
    others = {
        f"vendor/{node.name.removesuffix('.gz')}": Part(node.read_bytes(), _media(node.name.removesuffix(".gz")))
        for node in (room / "vendor").iterdir()
        if node.name.endswith(".gz")
    }
    parts = own | others
    digest = hashlib.sha256(page.encode())
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + parts[name].packed)
    stamp = digest.hexdigest()[:12]
    return Site(parts, stamp, _addressed(page, stamp, parts))


def _walk(folder: Traversable, above: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for node in folder.iterdir():
        if node.is_dir():
            found += _walk(node, f"{above}{node.name}/")
        else:
            found.append((f"{above}{node.name}", node))
    return sorted(found, key=lambda pair: pair[0])


def _own(path: str, node: Traversable) -> Part:
    return Part(gzip.compress(node.read_bytes(), 9, mtime=0), "" if path == "index.html" else _media(path))


def _media(name: str) -> str:
    return _MEDIA[name[name.rindex(".") :]]


def _addressed(page: str, stamp: str, parts: dict[str, Part]) -> str:
    """What the first view needs is named in the head, so that the browser need not find it bit by bit."""
    ours = [name for name in parts if name.endswith(".js") and not name.startswith(_LATER)]
    preloads = "\n".join(f'<link rel="modulepreload" href="/portal/{stamp}/{name}">' for name in ours)
    return page.replace("{{stamp}}", stamp).replace("{{preloads}}", preloads)
