"""A policy as it is applied: rules with parsed conditions, areas with shapes, lists as read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from catalogs.policy.areas import Area
from catalogs.policy.grammar import Node
from catalogs.policy.screening import Screening
from catalogs.policy.terms import CustomerClass, Effect
from configs.schema.policies import ClassConfig, LicenceConfig, Limits, PolicyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule whose condition has been understood."""

    id: str
    title: str
    condition: Node
    """``when``, and not ``unless``."""
    effect: Effect
    to: Limits
    delay_h: float
    approvals: int
    licence: str | None
    obligations: tuple[str, ...]
    overrides: frozenset[str]
    grave: bool
    """Whether a refusal by it belongs into the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """An order to give nothing of an area for some time."""

    id: str
    title: str
    area: Area
    since: datetime
    until: datetime
    acquired_since: datetime | None
    acquired_until: datetime | None
    finer_than_m: float | None
    spares: frozenset[CustomerClass]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that :func:`catalogs.policy.decide.decide` looks at besides product, action and party."""

    id: str
    version: int
    title: str
    notice: str
    since: datetime | None
    until: datetime | None
    assumed_ce90_m: float
    rules: tuple[Rule, ...]
    directives: tuple[Directive, ...]
    classes: Mapping[CustomerClass, ClassConfig]
    areas: Mapping[str, Area]
    lists: Mapping[str, Screening]
    licences: Mapping[str, LicenceConfig]
    config: PolicyConfig
    """As it stands in its file."""
    sha256: str
    """Of all of it, with its areas, lists and directives."""

    @property
    def name(self) -> str:
        """``ID@VERSION``."""
        return f"{self.id}@{self.version}"

    def valid(self, now: datetime) -> bool:
        """Whether it holds at a moment."""
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)

    def rule(self, name: str) -> Rule | None:
        """A rule by its name."""
        return next((rule for rule in self.rules if rule.id == name), None)
