"""Places that hold objects: a folder, or a bucket of an S3 server. Opened here, and nowhere else.

A :class:`Place` holds no secret: it may travel with tasks and stand in records. Keys come from where S3 programs look
for them, when and where the place is opened: the standard variables, or a file that only its owner may read.
"""

import configparser
import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, S3Store

from processing.model.errors import BadInput, QyranError, Retryable

S3 = "s3"
_REGION = "us-east-1"
"""What S3 servers other than Amazon's take for a region, where none is named."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", re.IGNORECASE)
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_OVERLOADED = {408, 425, 429}
_BAD_KEYS = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired"}
_KEYS_FROM_ELSEWHERE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_RETRIES: Any = {
    "max_retries": 4,
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 3},
    "retry_timeout": timedelta(minutes=2),
}
"""Of one request: 5xx answers, lost connections and, where repeating is harmless, timeouts; about 4 s in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of objects, or a prefix of a bucket."""

    url: str
    """``s3://bucket/prefix`` or ``file:///folder``, without a slash at the end."""
    endpoint: str | None = None
    """Address of the S3 server; None is Amazon's own of the region, or ``AWS_ENDPOINT_URL``."""
    region: str | None = None
    credentials: Path | None = None
    """File of keys as Amazon's own programs keep it, read where the environment names none; it need not exist."""
    timeout_s: float = 60.0
    """Longest time for one request: an object of up to 32 MB, or a part of a larger one."""

    @classmethod
    def of(cls, where: "str | Path | Place", **settings: Any) -> "Place":
        """A place by its address: ``s3://bucket/prefix``, ``file:///folder``, or a folder's path.

        Raises
        ------
        BadInput
            ``place.url`` if it is none of them, or holds a user, password or query: keys do not belong there.
        """
        if isinstance(where, Place):
            return replace(where, **settings)
        if isinstance(where, Path) or "://" not in where:
            return cls(url=Path(where).expanduser().resolve().as_uri(), **settings)
        parts = urlsplit(where)
        plain = not (parts.query or parts.fragment or "@" in parts.netloc)
        if plain and parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
            return cls(url=Path(unquote(parts.path)).resolve().as_uri(), **settings)
        if plain and parts.scheme == S3 and _BUCKET.fullmatch(parts.netloc) and ".." not in parts.path.split("/"):
            return cls(url=f"{S3}://{parts.netloc}/{parts.path.strip('/')}".rstrip("/"), **settings)
        raise BadInput(
            f"'{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}' is no place for objects",
            kind="place.url",
            remedy="Write s3://bucket/prefix or the path of a folder; keys go into the environment or a file.",
        )

    def __truediv__(self, key: str) -> "Place":
        """The place one or more folders below."""
        return replace(self, url=f"{self.url}/{key.strip('/')}")

    def __str__(self) -> str:
        """Its address."""
        return self.url

    @property
    def is_s3(self) -> bool:
        """Whether it is a bucket's."""
        return self.url.startswith(f"{S3}://")

    @property
    def folder(self) -> Path:
        """The folder, where it is one."""
        return Path(unquote(urlsplit(self.url).path))


def is_url(where: object) -> bool:
    """Whether something names a place by an address rather than a path."""
    return isinstance(where, Place) or (isinstance(where, str) and "://" in where)


def open_objects(where: str | Path | Place) -> ObjectStore:
    """Open a place; nothing is asked of a server yet.

    Parameters
    ----------
    where
        Its address. Endpoint and region come from the :class:`Place`, else from ``AWS_ENDPOINT_URL`` and
        ``AWS_REGION``; keys from ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, else from the place's file of
        keys or ``AWS_SHARED_CREDENTIALS_FILE``, else, on Amazon's own servers, from the machine's role.

    Raises
    ------
    BadInput
        ``place.url``, ``place.endpoint``, ``s3.credentials``; ``place.not_found`` if a folder is not there.
    """
    place = Place.of(where)
    if not place.is_s3:
        if not place.folder.is_dir():
            raise BadInput("there is no such folder", kind="place.not_found", where=str(place.folder))
        return LocalStore(place.folder)
    parts = urlsplit(place.url)
    endpoint = place.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is not None and (urlsplit(endpoint).scheme not in ("http", "https") or "@" in endpoint):
        raise BadInput("an endpoint is written http(s)://host:port", kind="place.endpoint", where=str(place))
    options: Any = {**_keys(place, endpoint), **({"endpoint": endpoint} if endpoint else {})}
    region = place.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        region=region or _REGION,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "timeout": timedelta(seconds=place.timeout_s),
            "connect_timeout": timedelta(seconds=min(10.0, place.timeout_s)),
        },
        retry_config=_RETRIES,
        **options,
    )


def _keys(place: Place, endpoint: str | None) -> dict[str, str]:
    """The keys to open a bucket with; none where obstore finds them by itself."""
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        return {}
    shared = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    for path in (place.credentials, Path(shared) if shared else None):
        if path is not None and path.is_file():
            return _read_keys(path, os.environ.get("AWS_PROFILE") or "default")
    if endpoint is None or any(os.environ.get(name) for name in _KEYS_FROM_ELSEWHERE):
        return {}
    file = f", or write them into {place.credentials}" if place.credentials else ""
    raise BadInput(
        "there are no keys for the S3 server",
        kind="s3.credentials",
        where=str(place),
        remedy=f"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY{file}.",
    )


def _read_keys(path: Path, profile: str) -> dict[str, str]:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise BadInput(
            "the file of S3 keys can be read by others", kind="s3.credentials", where=str(path),
            remedy=f"Run: chmod 600 {path}",
        )  # fmt: skip
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        section = parser[profile]
        keys = {
            "access_key_id": section["aws_access_key_id"],
            "secret_access_key": section["aws_secret_access_key"],
        }
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Said without the reason: a parser's message would quote the line, and with it the key.
        raise BadInput(
            f"the file of S3 keys holds no aws_access_key_id and aws_secret_access_key under [{profile}]",
            kind="s3.credentials",
            where=str(path),
            remedy="Write it as Amazon's own programs do.",
        ) from None
    return keys | ({"session_token": section["aws_session_token"]} if "aws_session_token" in section else {})


@contextlib.contextmanager
def explained(place: Place, key: str = "") -> Iterator[None]:
    """Turn an object store's errors into our tree. An object that is not there stays a ``FileNotFoundError``.

    Raises
    ------
    Retryable
        ``s3.unavailable``: no answer, or one that says to come again.
    BadInput
        ``s3.bucket``: no such bucket; ``s3.credentials``: keys that are wrong or may not do it; ``s3.refused``.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        fault = _fault(error, f"{place}/{key}".rstrip("/"))
        if fault is None:
            raise FileNotFoundError(f"{place}/{key}") from None
        # The original holds the server's whole answer, with the key's name and the signature: it goes no further.
        raise fault from None


def _fault(error: Exception, where: str) -> QyranError | None:
    text = str(error)
    found, named = _STATUS.search(text), _CODE.search(text)
    status, code = int(found[1]) if found else None, named[1] if named else ""
    if code == "NoSuchBucket":
        return BadInput(
            "the S3 server has no such bucket", kind="s3.bucket", where=where,
            remedy="Make it first, or correct the address.",
        )  # fmt: skip
    if isinstance(error, FileNotFoundError):
        return None
    if code == "RequestTimeTooSkewed":
        return BadInput(
            "this machine's clock is wrong, says the S3 server", kind="s3.clock", where=where, remedy="Set it."
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or code in _BAD_KEYS:
        return BadInput(
            f"the S3 server refuses these keys: {code or status}",
            kind="s3.credentials",
            where=where,
            remedy="Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the file of keys), and what they may do.",
        )
    if status is not None and 400 <= status < 500 and status not in _OVERLOADED:
        return BadInput(f"the S3 server refuses the request: {status} {code}".rstrip(), kind="s3.refused", where=where)
    answer = f"answered {status} {code}".rstrip() if status is not None else "did not answer"
    return Retryable(
        f"the S3 server {answer}",
        kind="s3.unavailable",
        where=where,
        remedy="Run it again once the server and the network are well: what is there already is not sent again.",
    )
