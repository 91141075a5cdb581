"""Small XML documents, always the same bytes for the same content."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import Element, indent, tostring

Content = str | int | float | Iterable[Element] | None


def node(tag: str, content: Content = None, /, **attributes: str) -> Element:
    """An element with text (numbers in full precision) or children."""
    element = Element(tag, attributes)
    if isinstance(content, str | int | float):
        element.text = repr(content) if isinstance(content, float) else str(content)
    elif content is not None:
        element.extend(list(content))
    return element


def leaves(**texts: str | float | int) -> list[Element]:
    """Elements of text only, in order."""
    return [node(tag, text) for tag, text in texts.items()]


def write_xml(path: Path, root: Element, encoding: str = "UTF-8") -> None:
    """Write a document, indented by two spaces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(xml_bytes(root, encoding))


def xml_bytes(root: Element, encoding: str = "UTF-8") -> bytes:
    """A document as bytes."""
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{text}\n'.encode(encoding)
