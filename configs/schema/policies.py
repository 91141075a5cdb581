"""A data policy: who may have what. One YAML file, and the areas and lists that it names."""

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, PositiveFloat, PositiveInt, StringConstraints, model_validator

from configs.schema.values import Days, Identifier, Value

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""Of an area, a list or an attribute."""
RuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
RelativeFile = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$", max_length=200)
]
"""Within the policies' folder."""
ClassName = Literal["gov_domestic", "domestic", "export_ally", "export_other", "public"]
ActionName = Literal["discover", "preview", "tile", "download", "derive", "stream"]
EffectName = Literal["allow", "degrade", "delay", "hold", "deny"]


class Validity(Value):
    """From when to when a policy or a directive holds."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AttributeConfig(Value):
    """A property of items that rules may speak of, besides those that every policy knows."""

    property: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_:.-]{0,99}$", description="name in the item's properties")
    type: Literal["number", "text"]

    @model_validator(mode="after")
    def _is_a_plain_property(self) -> Self:
        if self.property in ("datetime", "id", "collection", "geometry"):
            raise ValueError(f"'{self.property}' is not a plain property; use age_h, product.id, collection or areas")
        return self


class AreaConfig(Value):
    """Polygons, in degrees of WGS 84 or, in a GeoPackage, in any reference system that PROJ knows."""

    file: RelativeFile = Field(description="GeoJSON or GeoPackage")
    layer: str | None = Field(default=None, description="of a GeoPackage that has several")
    buffer_m: float = Field(default=0.0, ge=0, le=100_000, description="widened by so much, or by CE90 if that is more")
    harmless: bool = Field(default=False, description="being inside gives rights; it is narrowed where others widen")
    visibility: Literal["open", "secret"] = Field(default="secret", description="whether customers may be told of it")
    region: str | None = Field(
        default=None, min_length=1, max_length=100,
        description="property of the features that names their region: everybody is asked about the part of his own",
    )  # fmt: skip

    @model_validator(mode="after")
    def _plain_file(self) -> Self:
        if self.region is not None and (self.layer is not None or not self.file.endswith((".geojson", ".json"))):
            raise ValueError("regions are read from a GeoJSON file")
        return self


class ListConfig(Value):
    """Names to screen customers against: CSV with the columns ``legal_name``, ``tax_id``, ``country``, any of them."""

    file: RelativeFile
    likeness: float = Field(default=0.92, ge=0.5, le=1.0, description="names at least so alike are taken for the same")
    stale_after_days: Days | None = Field(default=None, description="a rule must say what holds when it is older")


class ClassConfig(Value):
    """What a customer must show to be taken for one of a class."""

    countries: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")], ...] = ()
    contract: bool = False
    otherwise: ClassName = Field(default="public", description="what it is taken for if it does not")


class LicenceConfig(Value):
    """Under which terms something is given."""

    title: str
    redistribute: bool = False
    derive: Literal["yes", "value_added_only", "no"] = "yes"
    attribution: bool = False
    accept: bool = Field(default=True, description="the customer must have accepted it before")
    watermark: bool = False
    text: str | None = None


class Limits(Value):
    """What is left of a product that is degraded."""

    gsd_m: PositiveFloat | None = Field(default=None, description="no finer than this")
    mask: tuple[Name, ...] = Field(default=(), description="areas whose pixels are absent")
    drop_bands: tuple[str, ...] = ()


class RuleConfig(Value):
    """One rule. ``allow`` gives; every other effect takes of what is given."""

    id: RuleName
    title: str = Field(min_length=1, description="why, in words that a customer may read")
    when: str = Field(min_length=1, max_length=2_000)
    unless: str | None = Field(default=None, max_length=2_000)
    effect: EffectName
    to: Limits | None = Field(default=None, description="of a degrade, or of an allow that gives only so much")
    delay_h: PositiveFloat | None = Field(default=None, description="of a delay: hours after the acquisition")
    approvals: PositiveInt | None = Field(default=None, le=9, description="of a hold: how many officers must approve")
    licence: Identifier | None = None
    obligations: tuple[Name, ...] = ()
    overrides: tuple[RuleName, ...] = Field(default=(), description="of an allow: rules that do not count beside it")
    audit: Literal["normal", "high"] = "normal"

    @model_validator(mode="after")
    def _effect_has_its_figures(self) -> Self:
        wrong = {
            "a degrade says to what, and nothing else than a degrade or an allow does": (
                (self.effect == "degrade" and self.to is None)
                or (self.to is not None and self.effect not in ("allow", "degrade"))
            ),
            "delay_h belongs to a delay": (self.effect == "delay") != (self.delay_h is not None),
            "approvals belongs to a hold": (self.effect == "hold") != (self.approvals is not None),
            "only an allow has a licence or overrides others": self.effect != "allow"
            and (self.licence is not None or bool(self.overrides)),
        }
        for words, broken in wrong.items():
            if broken:
                raise ValueError(f"rule {self.id}: {words}")
        return self


class DirectiveConfig(Value):
    """Limited operations: an order to give nothing of an area for some time. Takes effect when its file is there."""

    id: RuleName
    title: str = Field(min_length=1)
    geometry: dict[str, Any] | None = Field(default=None, description="GeoJSON geometry, degrees")
    file: RelativeFile | None = Field(default=None, description="or a file with polygons")
    buffer_m: float = Field(default=0.0, ge=0, le=100_000)
    since: AwareDatetime
    until: AwareDatetime
    acquired_since: AwareDatetime | None = Field(default=None, description="only what was acquired from then on")
    acquired_until: AwareDatetime | None = Field(default=None, description="only what was acquired before")
    finer_than_m: PositiveFloat | None = Field(default=None, description="only what is finer")
    spares: tuple[ClassName, ...] = Field(default=(), description="classes that it does not concern")

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        if (self.geometry is None) == (self.file is None):
            raise ValueError(f"directive {self.id}: exactly one of geometry and file says where")
        if self.since >= self.until:
            raise ValueError(f"directive {self.id}: until must lie after since")
        return self


class CaseProduct(Value):
    """An invented product of a test. What is left out is unknown; ``touches`` names areas that it lies in."""

    gsd_m: float | None = None
    age_h: float | None = None
    ce90_m: float | None = None
    spectral: Literal["pan", "ms", "hs", "tir", "sar"] | None = None
    bands: int | None = None
    collection: str = "tested"
    touches: tuple[Name, ...] = ()
    properties: dict[str, str | float] = Field(default_factory=dict)


class CaseParty(Value):
    """An invented customer of a test."""

    customer_class: ClassName = Field(alias="class")
    country: str | None = None
    region: str | None = None
    clearance: int = 0
    legal_name: str | None = None
    tax_id: str | None = None
    contract: bool = False
    licences: tuple[str, ...] = ()
    paid: bool = False
    purpose: Literal["routine", "disaster", "sensed_state"] = "routine"


class CaseConfig(Value):
    """A test that stands in the policy: executed whenever it is loaded."""

    product: CaseProduct
    party: CaseParty
    action: ActionName
    expect: EffectName
    rule: RuleName | None = None
    gsd_m: float | None = None
    masks: tuple[Name, ...] | None = None


class PolicyConfig(Value):
    """A policy file."""

    api: Literal["policy/v1"] = Field(alias="apiVersion")
    id: Identifier
    version: PositiveInt
    title: str
    notice: str = Field(default="", description="what a reader must know before relying on it")
    jurisdiction: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    valid: Validity = Validity()
    assumed_ce90_m: PositiveFloat = Field(default=100.0, description="where a product's CE90 is unknown, for buffers")
    customer_classes: dict[ClassName, ClassConfig] = Field(default_factory=dict)
    attributes: dict[Name, AttributeConfig] = Field(default_factory=dict)
    areas: dict[Name, AreaConfig] = Field(default_factory=dict)
    lists: dict[Name, ListConfig] = Field(default_factory=dict)
    licences: dict[Identifier, LicenceConfig] = Field(default_factory=dict)
    rules: tuple[RuleConfig, ...] = Field(min_length=1)
    directives: tuple[DirectiveConfig, ...] = ()
    tests: tuple[CaseConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [rule.id for rule in self.rules] + [directive.id for directive in self.directives]
        if len(set(names)) != len(names):
            raise ValueError("two rules or directives have the same id")
        for rule in self.rules:
            limits = rule.to or Limits()
            for known, used, what in (
                (self.licences, [rule.licence] if rule.licence else [], "licence"),
                (self.areas, limits.mask, "area"),
                (names, rule.overrides, "rule"),
            ):
                for name in used:
                    if name not in known:
                        raise ValueError(f"rule {rule.id} names {what} '{name}', which the policy does not define")
        return self
