"""A delivery package as files: laid out by BagIt (RFC 8493), vouched for by one signed document.

``data/`` holds what was ordered, ``manifest-sha256.txt`` its hashes, ``delivery.json`` the whole in signed words: the
order, every file, the decision, and the proof that the delivery stands in the audit log. All of it can be checked
without a network, by this module or with ``sha256sum -c`` and any BagIt program.
"""

import hashlib
import json
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError

from catalogs.delivery.order_package import PackagedFile
from catalogs.delivery.package_keys import PublicKey, SigningKey
from processing.archive.layout import COG_TYPE
from processing.archive.manifest import fingerprint, is_inside
from processing.model.errors import BadInput, Defect

DATA, DELIVERY = "data", "delivery.json"
MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
_DECLARATION, _INFO = "bagit.txt", "bag-info.txt"
FORMAT = "qyran-delivery/1"
MAX_DELIVERY_BYTES = 64 << 20
_TYPES = {".tif": COG_TYPE, ".json": "application/json", ".webp": "image/webp", ".txt": "text/plain; charset=utf-8",
          ".xml": "application/xml"}  # fmt: skip


def media_type_of(path: str) -> str:
    """Media type of a file of a package, by its name."""
    name = path.rpartition("/")[2]
    if name == "item.json":
        return "application/geo+json"
    return _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def seal_bag(folder: Path, info: Mapping[str, str]) -> tuple[tuple[PackagedFile, ...], str]:
    """Write the tag files of a bag whose ``data`` is complete. What is in them follows from the payload and ``info``.

    Returns
    -------
    files, manifest_sha256
        Every file but ``delivery.json``, and the digest of the payload's manifest.
    """
    payload = [_packaged(folder, path) for path in _files_below(folder / DATA, folder)]
    oxum = f"{sum(file.size for file in payload)}.{len(payload)}"
    told = {**info, "Payload-Oxum": oxum}
    (folder / _DECLARATION).write_bytes(b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (folder / _INFO).write_bytes("".join(f"{key}: {_one_line(value)}\n" for key, value in told.items()).encode())
    (folder / MANIFEST).write_bytes(manifest_bytes(payload))
    tags = [_packaged(folder, name) for name in (_DECLARATION, _INFO, MANIFEST)]
    (folder / TAG_MANIFEST).write_bytes(manifest_bytes(tags))
    files = (*payload, *tags, _packaged(folder, TAG_MANIFEST))
    return files, next(tag.sha256 for tag in tags if tag.path == MANIFEST)


def manifest_bytes(files: Sequence[PackagedFile]) -> bytes:
    """Lines that ``sha256sum -c`` and BagIt programs read."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()


def _files_below(folder: Path, root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in folder.rglob("*") if path.is_file())


def _packaged(folder: Path, path: str) -> PackagedFile:
    place = folder / path
    return PackagedFile(path=path, size=place.stat().st_size, sha256=fingerprint(place), media_type=media_type_of(path))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def signed(payload: Mapping[str, Any], key: SigningKey) -> bytes:
    """A document with its signature: over the payload's canonical form (RFC 8785)."""
    signature = {"algorithm": "ed25519", "key": str(key.public), "value": key.sign(rfc8785.dumps(dict(payload)))}
    document = {"payload": dict(payload), "signature": signature}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


class Delivered(BaseModel):
    """A delivery's signed words, as far as a receiver needs them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: str
    order: dict[str, Any]
    manifest_sha256: str
    files: tuple[PackagedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A delivery document whose signature holds."""

    delivered: Delivered
    payload: dict[str, Any]
    key: PublicKey
    pinned: bool
    """Whether the key was known beforehand; otherwise it is the one that the document names itself."""


def open_delivery(content: bytes, pinned: PublicKey | None) -> Opened:
    """Read a delivery document and check its signature; nothing in it is believed before.

    Parameters
    ----------
    pinned
        The key it must be signed with. None: the one it names, whosever that is.

    Raises
    ------
    BadInput
        ``delivery.format`` if it is none; ``delivery.signature`` if it was changed or signed by another key.
    """
    try:
        document = json.loads(content[: MAX_DELIVERY_BYTES + 1])
        payload, signature = document["payload"], document["signature"]
        named = PublicKey.parse(str(signature["key"]))
        value, message = str(signature["value"]), rfc8785.dumps(payload)
    except (ValueError, KeyError, TypeError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise BadInput("this is no delivery document", kind="delivery.format", where=DELIVERY) from error
    key = pinned or named
    if not key.verifies(value, message):
        other = "" if named == key else f": it names the key {named.id}, and {key.id} is pinned"
        raise BadInput(f"the delivery's signature does not hold{other}", kind="delivery.signature", where=DELIVERY,
                       remedy="Ask the house for its public key, and fetch the delivery again.")  # fmt: skip
    try:
        delivered = Delivered.model_validate(payload)
    except ValidationError as error:
        raise BadInput("this is no delivery document", kind="delivery.format", where=DELIVERY) from error
    paths = [file.path for file in delivered.files]
    if delivered.format != FORMAT or len(set(paths)) < len(paths) or not all(map(is_inside, paths)):
        raise BadInput("this delivery is of a kind that is not known here", kind="delivery.format", where=DELIVERY,
                       remedy="Use a newer qyran.")  # fmt: skip
    return Opened(delivered=delivered, payload=payload, key=key, pinned=pinned is not None)


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a package is not what its delivery document says."""

    path: str
    what: str
    """``missing``, ``size``, ``sha256``, ``unexpected``, ``manifest``."""


def check_package(folder: Path, opened: Opened) -> tuple[Finding, ...]:
    """Compare every file of a package with what was signed. Needs no network."""
    findings = []
    wanted = {file.path: file for file in opened.delivered.files}
    for path, file in wanted.items():
        place = folder / path
        if not place.is_file() or place.is_symlink():
            findings.append(Finding(path, "missing"))
        elif place.stat().st_size != file.size:
            findings.append(Finding(path, "size"))
        elif fingerprint(place) != file.sha256:
            findings.append(Finding(path, "sha256"))
    findings += [Finding(path, "unexpected") for path in _strangers(folder, wanted.keys() | {DELIVERY})]
    payload = [file for file in opened.delivered.files if file.path.startswith(f"{DATA}/")]
    if hashlib.sha256(manifest_bytes(payload)).hexdigest() != opened.delivered.manifest_sha256:
        findings.append(Finding(MANIFEST, "manifest"))
    return tuple(findings)


def _strangers(folder: Path, known: set[str]) -> Iterator[str]:
    for path in _files_below(folder, folder):
        if path not in known and not path.endswith(".part"):
            yield path


def require_sound(folder: Path, opened: Opened) -> None:
    """Check a package.

    Raises
    ------
    Defect
        ``delivery.damaged`` naming what is wrong.
    """
    findings = check_package(folder, opened)
    if findings:
        first = "; ".join(f"{found.path}: {found.what}" for found in findings[:3])
        raise Defect(f"the package is not what was signed: {first}", kind="delivery.damaged", where=str(folder),
                     remedy="Fetch it again: what is sound is not fetched twice.")  # fmt: skip
