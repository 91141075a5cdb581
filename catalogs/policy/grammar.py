"""The closed language of ``when``: read by a parser of its own, typed, and never executed.

    when: gsd_m <= 2.5 and product intersects areas.sensitive and not principal.class == gov_domestic
    when: action in [download, derive, stream] and principal.class startswith export
    when: principal in lists.sanctions
    when: lists.sanctions is stale
    when: gsd_m is missing

Words without quotes are members of an enumeration or, compared with a text, texts. A name that is not known is an
error that names the nearest one.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from catalogs.policy.attributes import Attribute, Scalar
from processing.model.errors import BadInput

MAX_DEPTH = 20
type Op = Literal["=", "<>", "<", "<=", ">", ">=", "startswith", "contains"]
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<text>"[^"\\]*"|'[^'\\]*')"""
    r"""|(?P<sign><=|>=|==|!=|<>|<|>|=|\(|\)|\[|\]|,)|(?P<word>[A-Za-z_][A-Za-z0-9_.:-]*))"""
)
_SIGNS: dict[str, Op] = {"==": "=", "!=": "<>", "<>": "<>", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ORDERED = ("<", "<=", ">", ">=")


type Truth = bool | None
"""None: unknown."""


@dataclass(frozen=True, slots=True)
class Constant:
    """``true`` or ``false``; unknown only where something was found out beforehand."""

    value: Truth


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Some part holds."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Compare:
    """An attribute against a value."""

    attribute: Attribute
    op: Op
    value: Scalar


@dataclass(frozen=True, slots=True)
class Placed:
    """How the product lies to an area."""

    relation: Literal["intersects", "within"]
    area: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Whether who asks is on a list."""

    name: str


@dataclass(frozen=True, slots=True)
class Stale:
    """Whether a list is older than it may be."""

    name: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Whether an attribute of the product is unknown."""

    attribute: Attribute


type Node = Constant | All | Any | Not | Compare | Placed | Listed | Stale | Missing


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What an expression may name."""

    attributes: Mapping[str, Attribute]
    areas: Collection[str]
    lists: Collection[str]


def parse(text: str, words: Vocabulary, *, where: str) -> Node:
    """An expression as a tree.

    Parameters
    ----------
    where
        The rule it stands in, for messages.

    Raises
    ------
    BadInput
        ``policy.when`` if it is not an expression, or names what is not known.
    """
    return _Parser(text, words, where).whole()


class _Parser:
    """Recursive descent; what it may recurse into is counted."""

    def __init__(self, text: str, words: Vocabulary, where: str) -> None:
        self._text, self._words, self._where = text, words, where
        self._tokens = list(self._split())
        self._place = self._depth = 0

    def whole(self) -> Node:
        found = self._either()
        if self._place < len(self._tokens):
            self._fail(f"'{self._tokens[self._place][1]}' was not expected")
        return found

    def _split(self) -> list[tuple[str, str]]:
        found, place = [], 0
        while self._text[place:].strip():
            token = _TOKEN.match(self._text, place)
            if token is None:
                self._fail(f"'{self._text[place:].strip()[:20]}' means nothing")
            found.append((str(token.lastgroup), token.group(str(token.lastgroup))))
            place = token.end()
        return found

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail("it is nested too deep")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _both(self) -> Node:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negated(self) -> Node:
        turns = 0
        while self._take("not"):
            turns += 1
        part = self._single()
        return Not(part) if turns % 2 else part

    def _single(self) -> Node:
        if self._take("("):
            found = self._either()
            self._need(")")
            return found
        kind, word = self._next()
        if kind != "word":
            self._fail(f"a condition does not begin with '{word}'")
        if word in ("true", "false"):
            return Constant(word == "true")
        if word == "product":
            relation = self._next()[1]
            if relation not in ("intersects", "within"):
                self._fail(f"'product {relation}': products 'intersects' or 'within' an area")
            return Placed("intersects" if relation == "intersects" else "within", self._named("areas"))
        if word == "principal":
            self._need("in")
            return Listed(self._named("lists"))
        if word.startswith("lists."):
            self._need("is")
            self._need("stale")
            return Stale(self._known(word.removeprefix("lists."), self._words.lists, "list"))
        name = self._known(word, self._words.attributes, "attribute")
        return self._compared(self._words.attributes[name])

    def _compared(self, attribute: Attribute) -> Node:
        if self._take("is"):
            self._need("missing")
            if attribute.of_product is None:
                self._fail(f"only facts of a product can be missing, '{attribute.name}' is none")
            return Missing(attribute)
        if self._take("in"):
            return self._among(attribute)
        if self._peek() == "not":
            self._next()
            self._need("in")
            return Not(self._among(attribute))
        if attribute.kind == "flag":
            return Compare(attribute, "=", True)
        if self._take("contains"):
            if attribute.kind != "names":
                self._fail(f"'{attribute.name}' is not a set of names")
            return Compare(attribute, "contains", self._value(attribute))
        if self._take("startswith"):
            if attribute.kind not in ("text", "enum"):
                self._fail(f"'{attribute.name}' is not a text")
            return Compare(attribute, "startswith", self._word())
        sign = _SIGNS.get(self._peek() or "")
        if sign is None:
            self._fail(f"'{attribute.name}' is compared with nothing")
        self._next()
        if attribute.kind in ("text", "enum", "names") and (sign in _ORDERED or attribute.kind == "names"):
            self._fail(f"'{attribute.name}' cannot be compared by '{sign}'")
        if attribute.kind == "age" and sign not in _ORDERED:
            self._fail(f"'{attribute.name}' passes every moment but once: compare it by < or >=")
        return Compare(attribute, sign, self._value(attribute))

    def _among(self, attribute: Attribute) -> Node:
        if attribute.kind in ("age", "flag", "names"):
            self._fail(f"'{attribute.name}' cannot be one of several")
        self._need("[")
        parts: list[Node] = [Compare(attribute, "=", self._value(attribute))]
        while self._take(","):
            parts.append(Compare(attribute, "=", self._value(attribute)))
        self._need("]")
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _value(self, attribute: Attribute) -> Scalar:
        if attribute.kind in ("number", "age"):
            kind, token = self._next()
            if kind != "number":
                self._fail(f"'{attribute.name}' is a number, '{token}' is none")
            return float(token)
        word = self._word()
        if attribute.kind == "enum":
            self._known(word, attribute.choices, f"value of {attribute.name}")
        return word

    def _word(self) -> str:
        kind, token = self._next()
        if kind not in ("word", "text"):
            self._fail(f"'{token}' is not a text")
        return token[1:-1] if kind == "text" else token

    def _named(self, prefix: Literal["areas", "lists"]) -> str:
        _, word = self._next()
        if not word.startswith(f"{prefix}."):
            self._fail(f"'{word}' should be {prefix}.NAME")
        known = self._words.areas if prefix == "areas" else self._words.lists
        return self._known(word.partition(".")[2], known, prefix.removesuffix("s"))

    def _known(self, name: str, known: Collection[str], what: str) -> str:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"
            self._fail(f"there is no {what} '{name}'{hint}")
        return name

    def _peek(self) -> str | None:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else None

    def _take(self, token: str) -> bool:
        found = self._place < len(self._tokens) and self._tokens[self._place] in (("word", token), ("sign", token))
        self._place += found
        return found

    def _need(self, token: str) -> None:
        if not self._take(token):
            self._fail(f"'{token}' is missing before '{self._peek() or 'the end'}'")

    def _next(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            self._fail("it ends too soon")
        self._place += 1
        return self._tokens[self._place - 1]

    def _fail(self, why: str) -> NoReturn:
        raise BadInput(
            f"'{self._text}': {why}", kind="policy.when", where=self._where,
            remedy="Write comparisons joined by and, or, not; see the shipped policies.",
        )  # fmt: skip
