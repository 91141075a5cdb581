"""Lists of whom nothing is given to: names as people write them, compared as they are meant."""

import csv
import difflib
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from catalogs.policy.terms import Party
from configs.schema.policies import ListConfig
from processing.model.errors import BadInput

_COLUMNS = ("legal_name", "tax_id", "country")
_AS_OF = re.compile(r"#\s*as_of:\s*(\S+)\s*")
# Legal forms tell nothing apart, and are left out, translated and abbreviated at will.
_FORMS = """
ao ооо oao оао зао zao пао pao ао too тоо жшс ak ақ llp llc ltd limited inc incorporated corp corporation co company
gmbh ag sa sarl srl bv nv plc jsc ojsc cjsc pjsc pte oy ab as ooo фгуп рмк ргп the
"""
_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяәғқңөұүһі"
_LATIN_LETTERS = "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch _ y _ e iu ia a g k n o u u h i"
_LATIN = dict(zip(_CYRILLIC, _LATIN_LETTERS.split(), strict=True))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a list: any of it that is given may match."""

    words: str
    tax_id: str
    country: str


@dataclass(frozen=True, slots=True)
class Screening:
    """A list as it was read."""

    name: str
    entries: tuple[Entry, ...]
    likeness: float
    as_of: datetime
    stale_after: timedelta | None

    def names(self, party: Party) -> bool:
        """Whether somebody is on it: by tax number, by legal name or one much like it, or by a whole country."""
        tax, country = _digits(party.tax_id or ""), (party.country or "").upper()
        own = tuple({plain(name) for name in (party.legal_name, party.name) if name} - {""})
        for entry in self.entries:
            if entry.tax_id and entry.tax_id == tax:
                return True
            if not entry.words and not entry.tax_id and entry.country == country and country:
                return True
            if entry.words and any(_alike(entry.words, name, self.likeness) for name in own):
                # The country tells two of the same name apart only where both are known.
                return True
        return False

    def stale(self, now: datetime) -> bool:
        """Whether it is older than it may be."""
        return self.stale_after is not None and now - self.as_of > self.stale_after


def plain(name: str) -> str:
    """A name without accents, scripts, legal forms, punctuation and order of words."""
    folded = unicodedata.normalize("NFKD", "".join(_LATIN.get(sign, sign) for sign in _unmarked(name)))
    kept = "".join(sign for sign in folded if not unicodedata.combining(sign))
    # Full stops and apostrophes stand within words: L.L.C., O'Neil.
    kept = re.sub(r"[_.'’`]", "", kept)
    words = re.findall(r"\w+", kept)
    return " ".join(sorted(word for word in words if word not in _PLAIN_FORMS))


def _unmarked(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


_PLAIN_FORMS = frozenset("".join(_LATIN.get(sign, sign) for sign in form).replace("_", "") for form in _FORMS.split())


def _alike(one: str, other: str, likeness: float) -> bool:
    if one == other:
        return True
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= likeness and matcher.ratio() >= likeness


def read_list(name: str, path: Path, config: ListConfig) -> Screening:
    """A list from its CSV file.

    Its age counts from a first line ``# as_of: 2026-11-20``, else from when the file was written.

    Raises
    ------
    BadInput
        ``policy.list`` if it is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = _AS_OF.fullmatch(text.partition("\n")[0].strip())
        as_of = datetime.fromtimestamp(path.stat().st_mtime, UTC) if first is None else _moment(first.group(1))
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        rows = list(csv.DictReader(lines, strict=True))
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise _bad(path, str(error)) from error
    columns = set(rows[0]) if rows else set(lines[0].split(",")) if lines else set(_COLUMNS)
    if not columns & set(_COLUMNS) or None in columns:
        raise _bad(path, f"it has none of the columns {', '.join(_COLUMNS)}")
    entries = tuple(
        Entry(plain(row.get("legal_name") or ""), _digits(row.get("tax_id") or ""), (row.get("country") or "").upper())
        for row in rows
    )
    after = None if config.stale_after_days is None else timedelta(days=config.stale_after_days)
    return Screening(name, entries, config.likeness, as_of, after)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _digits(tax_id: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", tax_id).upper()


def _bad(path: Path, why: str) -> BadInput:
    return BadInput(
        f"'{path.name}' is not a list of customers: {why}", kind="policy.list", where=path.name,
        remedy="Write CSV with a first line: legal_name,tax_id,country",
    )  # fmt: skip
