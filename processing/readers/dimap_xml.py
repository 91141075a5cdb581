"""XML of untrusted packages: bounded, without DTDs, and with accessors that name what is missing."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from processing.model.errors import BadInput

MAX_BYTES = 20 * 2**20
MAX_DEPTH = 64
MAX_ELEMENTS = 200_000
MAX_ATTRIBUTES = 256
_XINCLUDE = "{http://www.w3.org/2001/XInclude}"
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class XmlNode:
    """One element. Paths are relative, of tag names joined by ``/``; namespaces are dropped."""

    element: ET.Element
    file: str
    """Name of the file, for messages."""

    @property
    def tag(self) -> str:
        """Tag name."""
        return self.element.tag

    def find(self, path: str) -> "XmlNode | None":
        """First element at a path, or None."""
        found = self.element.find(path)
        return None if found is None else XmlNode(found, self.file)

    def need(self, path: str) -> "XmlNode":
        """First element at a path.

        Raises
        ------
        BadInput
            ``xml.missing``, naming the field.
        """
        found = self.find(path)
        if found is None:
            raise BadInput(f"'{self.file}' has no {self.tag}/{path}", kind="xml.missing", where=self.file)
        return found

    def all(self, path: str) -> tuple["XmlNode", ...]:
        """All elements at a path, in order."""
        return tuple(XmlNode(found, self.file) for found in self.element.findall(path))

    def attribute(self, name: str) -> str | None:
        """An attribute, or None."""
        return self.element.get(name)

    def text(self, path: str = ".") -> str:
        """Text at a path, stripped.

        Raises
        ------
        BadInput
            ``xml.missing`` when there is no such element, or it is empty.
        """
        found = self.maybe(path)
        if found is None:
            raise BadInput(f"'{self.file}' has no {self.tag}/{path}", kind="xml.missing", where=self.file)
        return found

    def maybe(self, path: str = ".") -> str | None:
        """Text at a path, stripped; None when absent or empty."""
        found = self.element if path == "." else self.element.find(path)
        text = (found.text or "").strip() if found is not None else ""
        return text or None

    def number(self, path: str = ".") -> float:
        """Finite number at a path.

        Raises
        ------
        BadInput
            ``xml.missing``, or ``xml.number`` for anything but a finite decimal number (``0,123`` included).
        """
        text = self.text(path)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in text:
            raise BadInput(
                f"'{self.file}': {self.tag}/{path} is {text[:40]!r}, not a number", kind="xml.number", where=self.file
            )
        return value

    def maybe_number(self, path: str) -> float | None:
        """Finite number at a path; None when absent."""
        return None if self.maybe(path) is None else self.number(path)

    def integer(self, path: str) -> int:
        """Whole number at a path.

        Raises
        ------
        BadInput
            As :meth:`number`, also for fractions.
        """
        value = self.number(path)
        if value != int(value):
            raise BadInput(
                f"'{self.file}': {self.tag}/{path} is {value}, not a whole number", kind="xml.number", where=self.file
            )
        return int(value)

    def time(self, path: str = ".") -> datetime:
        """UTC time at a path (ISO 8601; without a zone it is UTC, as DIMAP defines).

        Raises
        ------
        BadInput
            ``xml.missing`` or ``xml.time``.
        """
        return utc(self.text(path), self.file)

    def time_of(self, date: str, clock: str) -> datetime:
        """UTC time of a date and a time of day in two elements.

        Raises
        ------
        BadInput
            ``xml.missing`` or ``xml.time``.
        """
        return utc(f"{self.text(date)}T{self.text(clock)}", self.file)


def utc(text: str, file: str) -> datetime:
    """UTC time of an ISO 8601 text between the first civil imaging satellite and 2100.

    Raises
    ------
    BadInput
        ``xml.time``.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"'{file}': {text[:40]!r} is not a time", kind="xml.time", where=file) from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if not 1972 <= moment.year < 2100:
        raise BadInput(f"'{file}': {text[:40]!r} is not a time of imaging", kind="xml.time", where=file)
    return moment


def read_xml(path: Path) -> XmlNode:
    """Parse one XML file of a package.

    Raises
    ------
    BadInput
        ``xml.size`` (over 20 MB, 200,000 elements or 256 attributes), ``xml.depth`` (over 64),
        ``xml.dtd_forbidden`` (any DTD: with it go entity bombs and external references), ``schema`` (XInclude),
        ``xml.malformed``.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput(f"'{path.name}' is larger than {MAX_BYTES} bytes", kind="xml.size", where=path.name)
    root: ET.Element | None = None
    depth = elements = 0
    try:
        with path.open("rb") as file:
            for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
                if event == "end":
                    depth -= 1
                    continue
                depth, elements = depth + 1, elements + 1
                root = element if root is None else root
                _admit(element, depth, elements, path.name)
    except DefusedXmlException as error:
        raise BadInput(
            f"'{path.name}' carries a document type definition; metadata needs none",
            kind="xml.dtd_forbidden",
            where=path.name,
        ) from error
    except (ET.ParseError, ValueError, LookupError) as error:
        raise BadInput(
            f"'{path.name}' is not well-formed XML: {error}", kind="xml.malformed", where=path.name
        ) from error
    if root is None:
        raise BadInput(f"'{path.name}' is empty", kind="xml.malformed", where=path.name)
    return XmlNode(root, path.name)


def _admit(element: ET.Element, depth: int, elements: int, name: str) -> None:
    if depth > MAX_DEPTH:
        raise BadInput(f"'{name}' nests elements deeper than {MAX_DEPTH}", kind="xml.depth", where=name)
    if elements > MAX_ELEMENTS or len(element.attrib) > MAX_ATTRIBUTES:
        raise BadInput(f"'{name}' has too many elements or attributes", kind="xml.size", where=name)
    if element.tag.startswith(_XINCLUDE):
        raise BadInput(f"'{name}' asks to include another file", kind="schema", where=name)
    if "}" in element.tag:
        element.tag = element.tag.rpartition("}")[2]


def safe_href(root: Path, base: Path, href: str) -> Path:
    """The path an href of a package names, if it stays inside the package.

    Parameters
    ----------
    root
        The package's root folder.
    base
        The folder of the document the href stands in.
    href
        Relative, with forward slashes. A leading ``./`` is harmless.

    Returns
    -------
    Path
        Absolute path strictly inside ``root``; it need not exist.

    Raises
    ------
    BadInput
        ``path.escape`` for anything absolute, with ``..``, a scheme, a drive, a backslash, a control character or
        a trailing dot, and for links that lead outside.
    """
    parts = href.split("/")
    harmless = (
        0 < len(href) <= 1024
        and not href.startswith("/")
        and not _SCHEME.match(href)
        and "\\" not in href
        and href.isprintable()
        and all(part == "." or (part and part == part.strip() and not part.endswith(".")) for part in parts)
    )
    target = (base / href).resolve() if harmless else root
    if not target.is_relative_to(root.resolve()) or target == root.resolve():
        raise BadInput(
            f"the reference {href[:200]!r} leaves the package",
            kind="path.escape",
            where=href[:200],
            remedy="A package may only name its own files, by relative paths.",
        )
    return target


def find_href(root: Path, base: Path, href: str, folders: tuple[str, ...] = ("", "LINEAGE")) -> Path:
    """As :func:`safe_href`, looking also into the folders that some producers leave out of their hrefs."""
    candidates = [safe_href(root, base, f"{folder}/{href}" if folder else href) for folder in folders]
    return next((path for path in candidates if path.is_file()), candidates[0])


def root_tag(path: Path) -> str | None:
    """Local name of an XML file's root element, from its first 4 kB; None when it is not XML."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return next(_root_tags(head.decode(encoding, errors="replace")), None)


def _root_tags(text: str) -> Iterator[str]:
    for match in re.finditer(r"<([A-Za-z_][\w.:-]*)", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)):
        yield match[1].rpartition(":")[2]
