"""The words in which policy speaks: who asks, for what, about which product, and what is answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry


class Action(StrEnum):
    """What somebody wants with a product."""

    DISCOVER = "discover"
    """Know that it is there, and read its description."""
    PREVIEW = "preview"
    """See its thumbnail or a small picture of it."""
    TILE = "tile"
    """Look at it on a map, and ask for values and figures."""
    DOWNLOAD = "download"
    """Have its files."""
    DERIVE = "derive"
    """Have something made from it."""
    STREAM = "stream"
    """Read parts of its Zarr store."""


class Effect(StrEnum):
    """What policy answers; each outranks those before it."""

    ALLOW = "allow"
    DEGRADE = "degrade"
    """Yes, but coarser, with parts masked, or without some bands."""
    DELAY = "delay"
    """Not before a moment."""
    HOLD = "hold"
    """Not before officers have approved."""
    DENY = "deny"

    @property
    def rank(self) -> int:
        """0 for ``allow`` to 4 for ``deny``."""
        return list(Effect).index(self)


class CustomerClass(StrEnum):
    """What kind of customer somebody is."""

    GOV_DOMESTIC = "gov_domestic"
    """A state body of the country."""
    DOMESTIC = "domestic"
    EXPORT_ALLY = "export_ally"
    EXPORT_OTHER = "export_other"
    PUBLIC = "public"
    """Nobody in particular: who has not signed in."""


class Purpose(StrEnum):
    """What data are wanted for, as an officer has confirmed it: never what a customer merely says."""

    ROUTINE = "routine"
    DISASTER = "disaster"
    """The International Charter, or principle XI of the UN: help in a disaster."""
    SENSED_STATE = "sensed_state"
    """Principle XII of the UN: a state asks for data of its own territory."""


class Spectral(StrEnum):
    """What an instrument sees; of several, the most sensitive."""

    PAN = "pan"
    MS = "ms"
    HS = "hs"
    TIR = "tir"
    SAR = "sar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who asks, as policy sees it."""

    id: str
    name: str
    customer_class: CustomerClass
    country: str | None = None
    """ISO 3166-1 alpha-2."""
    region: str | None = None
    """Of an akimat: the part of the country that it serves."""
    clearance: int = 0
    legal_name: str | None = None
    tax_id: str | None = None
    contract: bool = False
    licences: frozenset[str] = frozenset()
    """Names of the licences that it has accepted."""
    paid: bool = False
    """What it asks for is paid, or an invoice is agreed upon."""
    purpose: Purpose = Purpose.ROUTINE


PUBLIC_PARTY = Party(id="public", name="anybody", customer_class=CustomerClass.PUBLIC)
"""Who has not signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """What policy looks at in a product. None is unknown, and unknown is taken as whatever gives least."""

    collection: str
    id: str
    gsd_m: float | None
    """Ground sampling distance, the best of all inputs."""
    acquired: datetime | None
    """When the latest of its pixels was taken."""
    spectral: Spectral | None
    bands: int | None
    """How many bands of values it has."""
    ce90_m: float | None
    footprint: BaseGeometry | None
    """Degrees of WGS 84, longitude first."""
    properties: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The item's own, for attributes that a policy declares."""

    @property
    def begun(self) -> datetime | None:
        """When the earliest of its pixels was taken."""
        return _moment(self.properties.get("start_datetime")) or self.acquired

    @property
    def finest_ce90_m(self) -> float | None:
        """Accuracy of its best located pixels."""
        stated = self.properties.get(CE90_FINEST)
        if stated is None:
            return self.ce90_m
        return stated if isinstance(stated, int | float) and not isinstance(stated, bool) else None

    def clipped(self, area: BaseGeometry) -> "ProductFacts":
        """The same product cut to an area: its footprint never grows by that."""
        if self.footprint is None:
            return self
        return replace(self, footprint=shapely.intersection(self.footprint, area))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What policy answers."""

    effect: Effect
    rule: str
    """Name of the rule that decided; ``default`` if none gave anything."""
    reasons: tuple[str, ...] = ()
    """All rules that held, each ``NAME: why``, the strongest first."""
    until: datetime | None = None
    """Of a delay: when it ends."""
    gsd_m: float | None = None
    """Finest ground sampling distance that may be given; None: the product's own."""
    masks: tuple[str, ...] = ()
    """Areas whose pixels must be absent."""
    drop_bands: tuple[str, ...] = ()
    """Bands that must be absent."""
    licence: str | None = None
    """Under which it is given."""
    obligations: tuple[str, ...] = ()
    """What whoever delivers has to do: ``watermark``, ``attribution``, ``audit:high``, ..."""
    approvals: int = 0
    """Of a hold: how many officers must approve."""
    policy: str = ""
    """Name and version."""
    policy_sha256: str = ""

    @property
    def gives(self) -> bool:
        """Whether anything is given now."""
        return self.effect in (Effect.ALLOW, Effect.DEGRADE)

    def to_json(self) -> dict[str, Any]:
        """As ``qyran policy check --json`` and a delivery tell it."""
        return {
            "decision": self.effect.value,
            "rule": self.rule,
            "reasons": list(self.reasons),
            "until": None if self.until is None else self.until.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "gsd_m": self.gsd_m,
            "masks": list(self.masks),
            "drop_bands": list(self.drop_bands),
            "licence": self.licence,
            "obligations": list(self.obligations),
            "approvals": self.approvals,
            "policy": self.policy,
            "policy_sha256": self.policy_sha256,
        }


GSD, CE90, SPECTRAL, BANDS = "gsd", "qyran:ce90_m", "qyran:spectral", "qyran:band_count"
"""Properties of an item from which facts are taken."""
CE90_FINEST = "qyran:ce90_finest_m"
"""Of what was made of several: the accuracy of the best located of them. ``CE90`` is then that of the worst, by which
areas are widened; rules that compare an accuracy go by the best."""
FACTS = (GSD, CE90, SPECTRAL, BANDS)
CE90_WIDE, WIDE_M = "qyran:ce90_m:wide", 1_000.0
"""Every area is widened for a CE90 of so many metres at least."""


def product_facts(item: Mapping[str, Any]) -> ProductFacts:
    """What policy looks at in a STAC item.

    A statement that contradicts another (an asset finer than its item) counts as none: whoever wrote it may have
    been wrong either way.
    """
    properties = item.get("properties") or {}
    known = _known(item)
    return ProductFacts(
        collection=str(item.get("collection")),
        id=str(item.get("id")),
        gsd_m=known[GSD],
        acquired=_moment(properties.get("end_datetime") or properties.get("datetime")),
        spectral=known[SPECTRAL],
        bands=known[BANDS],
        ce90_m=known[CE90],
        footprint=_footprint(item.get("geometry")),
        properties=MappingProxyType(dict(properties)),
    )


def doubts(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Properties of an item that state what policy takes as unknown: a store must do so, too.

    With them ``CE90_WIDE``, of what is so badly located that it may be too badly for every area.
    """
    properties, known = item.get("properties") or {}, _known(item)
    found = [name for name, value in known.items() if value is None and properties.get(name) is not None]
    return (*found, CE90_WIDE) if (known[CE90] or 0) > WIDE_M else tuple(found)


def _known(item: Mapping[str, Any]) -> dict[str, Any]:
    """What properties say, if it is sound; None else."""
    properties = item.get("properties") or {}
    gsd = _positive(properties.get(GSD))
    finest = [_positive(asset.get("gsd")) for asset in (item.get("assets") or {}).values() if "gsd" in asset]
    if gsd is not None and any(other is None or other < gsd for other in finest):
        gsd = None
    kind, count = properties.get(SPECTRAL), properties.get(BANDS)
    return {
        GSD: gsd,
        CE90: _positive(properties.get(CE90), zero=True),
        SPECTRAL: Spectral(kind) if kind in list(Spectral) else None,
        BANDS: count if isinstance(count, int) and not isinstance(count, bool) else None,
    }


def _positive(value: object, *, zero: bool = False) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value) if value > 0 or (zero and value == 0) else None


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _footprint(value: object) -> BaseGeometry | None:
    if not isinstance(value, Mapping):
        return None
    try:
        found = shapely.force_2d(shapely.from_geojson(json.dumps(value)))
    except (ShapelyError, TypeError, ValueError):
        return None
    return found if isinstance(found, BaseGeometry) and not found.is_empty and found.is_valid else None
