"""Free text, the same in every store: what an item says of itself in words, and what a term means.

Words are runs of letters and digits, compared without case and without the marks above and below letters. A term is
found where its words stand one after the other; a search holds where one of its terms is found.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from processing.model.errors import BadInput

_ASCII = re.compile(r"[a-z0-9]+")
MAX_TERMS = 20
MAX_LENGTH = 200
_SPOKEN = ("title", "description", "keywords", "platform", "constellation", "mission", "instruments", "product:type")


def words_in(text: str) -> list[str]:
    """Words of a text, folded: ``Көктем-2026`` gives ``көктем``, ``2026``."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    apart = unicodedata.normalize("NFD", text.casefold())
    plain = unicodedata.normalize("NFC", "".join(sign for sign in apart if not unicodedata.combining(sign)))
    return "".join(sign if sign.isalnum() else " " for sign in plain).split()


def item_words(item_id: str, collection: str, properties: Mapping[str, Any]) -> str:
    """All words of an item, blanks between them; a full stop between fields, over which no term reaches.

    Stores keep what this gives: whoever changes it raises their versions, so that what they hold is said anew.
    """
    return _joined([item_id, collection, *_values(properties, _SPOKEN), *_titles(properties)])


def collection_words(collection: Mapping[str, Any]) -> str:
    """All words of a collection: its id, title, description and keywords, its titles in other languages."""
    spoken = [str(collection["id"]), *_values(collection, ("title", "description", "keywords"))]
    return _joined([*spoken, *_titles(collection)])


def terms(text: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The words of each term; terms without any are left out.

    Raises
    ------
    BadInput
        ``search.text`` if there are too many or too long ones, or none holds a word.
    """
    if len(text) > MAX_TERMS or any(len(term) > MAX_LENGTH for term in text):
        raise BadInput(
            "too much free text",
            kind="search.text",
            remedy=f"At most {MAX_TERMS} terms of {MAX_LENGTH} characters each.",
        )
    found = tuple(words for term in text if (words := tuple(words_in(term))))
    if text and not found:
        raise BadInput("the free text holds no word", kind="search.text", remedy="Write letters or digits.")
    return found


def holds(spoken: str, wanted: Sequence[Sequence[str]]) -> bool:
    """Whether one of the terms is found in words as :func:`item_words` gives them."""
    padded = f" {spoken} "
    return any(f" {' '.join(term)} " in padded for term in wanted)


def _values(source: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        value = source.get(name)
        parts = value if isinstance(value, list | tuple) else (value,)
        found += [part for part in parts if isinstance(part, str)]
    return found


def _titles(source: Mapping[str, Any]) -> list[str]:
    """Titles in all languages that there are; what one of them repeats is said once."""
    titles = source.get("qyran:titles")
    if not isinstance(titles, Mapping):
        return []
    return [text for text in titles.values() if isinstance(text, str) and text != source.get("title")]


def _joined(parts: Sequence[str]) -> str:
    return " . ".join(map(_folded, parts))


@lru_cache(maxsize=4_096)
def _folded(text: str) -> str:
    """Items of a mission share most of what they say."""
    return " ".join(words_in(text))
