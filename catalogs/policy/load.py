"""Policies from files: read, understood, tested by their own tests, and only then of use."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import shapely

from catalogs.policy.areas import Area, make_area, make_regions, read_polygons, read_regions
from catalogs.policy.attributes import declared
from catalogs.policy.cases import failures
from catalogs.policy.grammar import All, Node, Not, Stale, Vocabulary, parse
from catalogs.policy.monotone import check_monotone
from catalogs.policy.rules import Directive, Policy, Rule
from catalogs.policy.screening import Screening, read_list
from catalogs.policy.terms import CustomerClass, Effect
from catalogs.store.request import geometry
from configs.catalogue import load_catalogue_config
from configs.load import read_config
from configs.schema.catalogue import CatalogueConfig
from configs.schema.policies import AreaConfig, DirectiveConfig, Limits, PolicyConfig, RuleConfig
from processing.model.errors import BadInput

FOLDER, DIRECTIVES = "policies", "directives"


@dataclass(slots=True)
class _Files:
    """Finds what a policy names, and remembers what was read."""

    folders: tuple[Path, ...]
    """Where to look, the operator's first."""
    digests: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Path:
        for folder in self.folders:
            path = folder / name
            if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                self.digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
                return path
        raise BadInput(
            f"there is no file '{name}' beside the policy", kind="policy.file", where=name,
            remedy=f"Looked in {', '.join(map(str, self.folders))}.",
        )  # fmt: skip


def active_policy(configs: Path | None, otherwise: str | None = None) -> Policy:
    """The policy of an installation: the one that ``policy:`` in ``HOME/configs/catalogue.yaml`` names.

    Parameters
    ----------
    configs
        ``HOME/configs``; its ``policies`` folder is laid over the shipped one, file by file. None: as shipped.
    otherwise
        Which one, where that file names none; None: ``kazakhstan-example``.

    Raises
    ------
    BadInput
        ``policy.*`` if it is wrong, or fails a test of its own.
    ConfigError
        If a file does not satisfy its schema.
    """
    chosen = CatalogueConfig() if configs is None else load_catalogue_config(configs)
    named = "policy" in chosen.model_fields_set or otherwise is None
    return load_policy(policy_file(chosen.policy if named else str(otherwise), configs), configs)


def policy_folders(configs: Path | None) -> tuple[Path, ...]:
    """Where policies and what they name lie, the operator's own first."""
    shipped = Path(str(files("configs") / FOLDER))
    return (shipped,) if configs is None else (configs / FOLDER, shipped)


def policy_file(name: str, configs: Path | None) -> Path:
    """The file of a policy by its name.

    Raises
    ------
    BadInput
        ``policy.unknown`` if there is none.
    """
    folders = policy_folders(configs)
    found = next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)
    if found is None:
        known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
        raise BadInput(f"there is no policy '{name}'", kind="policy.unknown", remedy=f"Known: {', '.join(known)}.")
    return found


def load_policy(path: Path, configs: Path | None = None) -> Policy:
    """A policy from its file, with the directives that lie in ``HOME/configs/policies/directives``.

    Raises
    ------
    BadInput
        ``policy.*`` if it is wrong, or fails a test of its own.
    ConfigError
        If a file does not satisfy its schema.
    """
    config = read_config(path, PolicyConfig)
    folders = policy_folders(configs)
    places = _Files((folders[0], path.parent, *folders[1:]) if configs is not None else (path.parent, *folders))
    areas = {name: _area(name, area, places) for name, area in config.areas.items()}
    for name in {name for rule in config.rules if rule.to is not None for name in rule.to.mask if areas[name].regions}:
        raise BadInput(
            "an area of regions cannot be masked: it is another for everybody", kind="policy.area", where=name,
            remedy="Mask an area that is the same for all.",
        )  # fmt: skip
    lists = {name: read_list(name, places.find(one.file), one) for name, one in config.lists.items()}
    directives = [*config.directives, *_ordered(configs)]
    rules = _rules(config, areas, lists)
    policy = Policy(
        id=config.id, version=config.version, title=config.title, notice=config.notice, since=config.valid.since,
        until=config.valid.until, assumed_ce90_m=config.assumed_ce90_m, rules=rules,
        directives=tuple(_directive(one, places) for one in directives),
        classes={CustomerClass(name): one for name, one in config.customer_classes.items()},
        areas=areas, lists=lists, licences=config.licences, config=config,
        sha256=_digest(config, directives, places.digests),
    )  # fmt: skip
    wrong = failures(policy)
    if wrong:
        raise BadInput(
            f"the policy fails {len(wrong)} of its own {len(config.tests)} tests: {'; '.join(wrong[:5])}",
            kind="policy.tests", where=path.name, remedy="Correct its rules or its tests; it cannot be used like this.",
        )  # fmt: skip
    return policy


def _area(name: str, config: AreaConfig, places: _Files) -> Area:
    path, secret = places.find(config.file), config.visibility == "secret"
    if config.region is not None:
        parts = read_regions(path, config.region)
        return make_regions(name, parts, config.buffer_m, harmless=config.harmless, secret=secret)
    return make_area(name, read_polygons(path, config.layer), config.buffer_m, harmless=config.harmless, secret=secret)


def watched(configs: Path | None) -> tuple[object, ...]:
    """What changes when any file of a policy does: to be compared, not read."""
    folders = [*policy_folders(configs), *([] if configs is None else [configs / "catalogue.yaml"])]
    found: list[object] = []
    for folder in folders:
        paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
        for path in paths:
            try:
                stat = path.stat()
            except OSError:
                continue
            found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def _ordered(configs: Path | None) -> list[DirectiveConfig]:
    if configs is None:
        return []
    return [read_config(path, DirectiveConfig) for path in sorted((configs / FOLDER / DIRECTIVES).glob("*.yaml"))]


def _rules(config: PolicyConfig, areas: Mapping[str, Area], lists: Mapping[str, Screening]) -> tuple[Rule, ...]:
    words = Vocabulary(declared(config.attributes), areas, lists)
    rules = tuple(_rule(one, words, areas) for one in config.rules)
    named = {node.name for rule in rules for node in _leaves(rule.condition) if isinstance(node, Stale)}
    for name, one in config.lists.items():
        if one.stale_after_days is not None and name not in named:
            raise BadInput(
                f"the list '{name}' may become stale, and no rule says what holds then", kind="policy.list", where=name,
                remedy=f"Add a hold: when: lists.{name} is stale and action in [download, derive, stream]",
            )  # fmt: skip
    return rules


def _rule(config: RuleConfig, words: Vocabulary, areas: Mapping[str, Area]) -> Rule:
    condition = parse(config.when, words, where=config.id)
    if config.unless is not None:
        condition = All((condition, Not(parse(config.unless, words, where=config.id))))
    effect = Effect(config.effect)
    check_monotone(config.id, effect, condition, areas)
    return Rule(
        id=config.id, title=config.title, condition=condition, effect=effect, to=config.to or Limits(),
        delay_h=config.delay_h or 0.0, approvals=config.approvals or 0, licence=config.licence,
        obligations=config.obligations, overrides=frozenset(config.overrides), grave=config.audit == "high",
    )  # fmt: skip


def _leaves(node: Node) -> list[Node]:
    parts: tuple[Node, ...] = getattr(node, "parts", None) or ((node.part,) if isinstance(node, Not) else ())
    return [leaf for part in parts for leaf in _leaves(part)] if parts else [node]


def _directive(config: DirectiveConfig, places: _Files) -> Directive:
    if config.file is not None:
        polygons = read_polygons(places.find(config.file))
    else:
        try:
            polygons = shapely.union_all([geometry(dict(config.geometry or {}))])
        except BadInput as error:
            raise BadInput(error.message, kind="policy.area", where=config.id, remedy=error.remedy) from error
    return Directive(
        id=config.id, title=config.title, area=make_area(config.id, polygons, config.buffer_m), since=config.since,
        until=config.until, acquired_since=config.acquired_since, acquired_until=config.acquired_until,
        finer_than_m=config.finer_than_m, spares=frozenset(map(CustomerClass, config.spares)),
    )  # fmt: skip


def _digest(config: PolicyConfig, directives: list[DirectiveConfig], digests: Mapping[str, str]) -> str:
    content: dict[str, Any] = {
        "policy": config.model_dump(mode="json", by_alias=True),
        "directives": sorted((one.model_dump(mode="json") for one in directives), key=lambda one: str(one["id"])),
        "files": digests,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
