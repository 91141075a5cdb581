"""What rules may speak of, with its type: facts of the product, of who asks, and of the request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from catalogs.policy.terms import (
    BANDS,
    CE90,
    GSD,
    SPECTRAL,
    Action,
    CustomerClass,
    Party,
    ProductFacts,
    Purpose,
    Spectral,
)
from configs.schema.policies import AttributeConfig

type Kind = Literal["number", "age", "text", "enum", "flag", "names"]
type Scalar = str | float | bool
type Value = Scalar | frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Something a rule can compare."""

    name: str
    kind: Kind
    says: str
    """What it is, for ``policy explain``."""
    choices: tuple[str, ...] = ()
    """Of an enum."""
    of_product: Callable[[ProductFacts], Value] | None = None
    of_party: Callable[[Party, Action], Value] | None = None
    property: str | None = None
    """Of a product's: where a store finds it."""
    finer_is_less: bool = False
    """The smaller, the more sensitive: no rule may give more for less of it."""


def _words(members: type[StrEnum]) -> tuple[str, ...]:
    return tuple(member.value for member in members)


def _known(*attributes: Attribute) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in attributes}


BUILT_IN: Mapping[str, Attribute] = MappingProxyType(_known(
    Attribute(name="gsd_m", kind="number", says="ground sampling distance", property=GSD, finer_is_less=True,
              of_product=lambda product: product.gsd_m),
    Attribute(name="ce90_m", kind="number", says="accuracy of location (CE90)", property=CE90, finer_is_less=True,
              of_product=lambda product: product.finest_ce90_m),
    Attribute(name="age_h", kind="age", says="age", property="datetime", finer_is_less=True,
              of_product=lambda _: None),
    Attribute(name="spectral", kind="enum", says="kind of instrument", property=SPECTRAL, choices=_words(Spectral),
              of_product=lambda product: None if product.spectral is None else product.spectral.value),
    Attribute(name="bands", kind="number", says="number of bands", property=BANDS,
              of_product=lambda product: product.bands),
    Attribute(name="collection", kind="text", says="collection", property="collection",
              of_product=lambda product: product.collection),
    Attribute(name="product.id", kind="text", says="item", property="id", of_product=lambda product: product.id),
    Attribute(name="platform", kind="text", says="satellite", property="platform",
              of_product=lambda product: _text(product, "platform")),
    Attribute(name="level", kind="text", says="processing level", property="processing:level",
              of_product=lambda product: _text(product, "processing:level")),
    Attribute(name="action", kind="enum", says="what is wanted", choices=_words(Action),
              of_party=lambda _, action: action.value),
    Attribute(name="principal.class", kind="enum", says="class of the customer", choices=_words(CustomerClass),
              of_party=lambda party, _: party.customer_class.value),
    Attribute(name="principal.id", kind="text", says="customer", of_party=lambda party, _: party.id),
    Attribute(name="principal.country", kind="text", says="the customer's country",
              of_party=lambda party, _: party.country),
    Attribute(name="principal.region", kind="text", says="the customer's region",
              of_party=lambda party, _: party.region),
    Attribute(name="principal.clearance", kind="number", says="the customer's clearance",
              of_party=lambda party, _: party.clearance),
    Attribute(name="principal.contract", kind="flag", says="the customer has a contract",
              of_party=lambda party, _: party.contract),
    Attribute(name="principal.licences", kind="names", says="licences that the customer has accepted",
              of_party=lambda party, _: party.licences),
    Attribute(name="order.paid", kind="flag", says="the order is paid", of_party=lambda party, _: party.paid),
    Attribute(name="order.purpose", kind="enum", says="the confirmed purpose", choices=_words(Purpose),
              of_party=lambda party, _: party.purpose.value),
))  # fmt: skip
"""What every policy may speak of."""


def declared(attributes: Mapping[str, AttributeConfig]) -> dict[str, Attribute]:
    """The built-in attributes and those that a policy declares, by name."""
    own = {name: _declared(name, config) for name, config in attributes.items()}
    return {**own, **BUILT_IN}


def _declared(name: str, config: AttributeConfig) -> Attribute:
    def of_product(product: ProductFacts) -> Value:
        value = product.properties.get(config.property)
        wanted = str if config.type == "text" else (int, float)
        return value if isinstance(value, wanted) and not isinstance(value, bool) else None

    return Attribute(name=name, kind=config.type, says=config.property, property=config.property, of_product=of_product)


def _text(product: ProductFacts, name: str) -> str | None:
    value = product.properties.get(name)
    return value if isinstance(value, str) else None
