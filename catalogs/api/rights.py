"""What one asker may have of items: policy's answers, kept for half a minute, and what follows from them."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from catalogs.api.kept import Kept
from catalogs.api.on_record import OnRecord
from catalogs.api.refused import NotFound
from catalogs.customers.accounts import EVERY_SCOPE, Scope
from catalogs.policy.decide import GRAVE, decide_settled, mask_shape
from catalogs.policy.rules import Policy
from catalogs.policy.settle import Settled, settle
from catalogs.policy.terms import Action, Decision, Effect, Party, ProductFacts, product_facts
from catalogs.store.protocol import Item
from processing.archive.layout import COG_TYPE, ZARR_TYPE

_SETTLED, _DECISIONS = 1_000, 20_000
"""Of how many each is remembered."""
_PICTURES = ("image/webp", "image/png", "image/jpeg")
_TEXTS = ("application/json", "application/geo+json", "application/xml", "text/")
_NEEDS_SCOPE = {Action.DOWNLOAD: Scope.DOWNLOAD, Action.STREAM: Scope.DOWNLOAD}
OF_THE_WHOLE = frozenset({"proj:bbox", "proj:centroid", "proj:geometry", "proj:shape", "proj:transform"})
"""Properties that tell where an item lies whole, its masked part included."""
OF_PARENTS = frozenset({"qyran:parents", "qyran:parent_versions", "qyran:stale_because"})
"""Properties that name the items that one derives from."""
_FULL = Decision(effect=Effect.ALLOW, rule="operator", reasons=("operator: operators may have everything",))
_NOT_WITHOUT_ORDER = ("watermark",)
"""Obligations that a file as it lies in the archive does not fulfil."""


class Remembered:
    """What was found out a moment ago, for all who ask: policy settled for someone, and decisions."""

    def __init__(self) -> None:
        self.decisions: Kept[tuple[Settled, *tuple[object, ...]], Decision] = Kept(_DECISIONS)
        self._settled: Kept[tuple[object, ...], Settled] = Kept(_SETTLED)
        self._alike: Kept[tuple[object, ...], Settled] = Kept(_SETTLED)

    def settled(self, policy: Policy, action: Action, party: Party) -> Settled:
        """A policy for somebody: the very same for all for whom it decides the same, so that they share decisions."""

        def find() -> Settled:
            found = settle(policy, action, party)
            return self._alike.get((by, *found.alike), lambda: found)

        # Not by its digest: a list may be of another time, and all else the same. While something is kept for a
        # policy, the policy is, too: nothing else is of its identity.
        by = id(policy)
        return self._settled.get((by, action, party), find)


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left of the pixels that somebody is shown."""

    gsd_m: float | None = None
    mask: BaseGeometry | None = None
    drop_bands: tuple[str, ...] = ()

    @property
    def pixels(self) -> bool:
        """Whether any pixel that is shown differs from the stored one."""
        return self.gsd_m is not None or self.mask is not None

    @property
    def digest(self) -> str:
        """Differs wherever what is left does."""
        mask = "" if self.mask is None else hashlib.sha256(shapely.to_wkb(self.mask)).hexdigest()
        return f"{self.gsd_m}/{mask}/{','.join(self.drop_bands)}"


WHOLE = Reduced()
"""Every pixel as it is stored."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Answers for one asker. An operator's come without asking.

    Parameters
    ----------
    party
        Who asks.
    policy
        By which rules; None: an operator, who may have everything.
    """

    party: Party
    policy: Policy | None
    remembered: Remembered
    scopes: frozenset[Scope] = EVERY_SCOPE
    record: OnRecord | None = None
    """Where grave refusals are put on record."""
    _settled: dict[Action, Settled] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What of ``remembered`` this asker has looked up."""
    _facts: dict[int, tuple[Item, ProductFacts]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Of the items that this asker was answered about, by their identity."""

    def decision(self, item: Item, action: Action) -> Decision:
        """What policy says to an action on an item."""
        if self.policy is None:
            return _FULL
        settled = self._settled.get(action)
        if settled is None:
            settled = self._settled[action] = self.remembered.settled(self.policy, action, self.party)
        return self.remembered.decisions.get(
            (settled, *_names(item)), lambda: decide_settled(self.facts(item), datetime.now(UTC), settled)
        )

    def facts(self, item: Item) -> ProductFacts:
        """What policy looks at in an item."""
        # Of this very document: another of the same name may say something else.
        known = self._facts.get(id(item))
        if known is None:
            known = self._facts[id(item)] = (item, product_facts(item))
        return known[1]

    def shows(self, item: Item) -> bool:
        """Whether the asker may know of an item."""
        if Scope.READ not in self.scopes:
            return False
        seen = self.decision(item, Action.DISCOVER)
        if not seen.gives or not seen.masks:
            return seen.gives
        left = self._left(item, seen)
        return left is None or not left.is_empty

    def _left(self, item: Item, seen: Decision) -> BaseGeometry | None:
        """What is left of an item's outline; None where it has none."""
        outline, mask = self.facts(item).footprint, self.reduced(item, seen).mask
        return outline if outline is None or mask is None else shapely.difference(outline, mask)

    def given(self, item: Item | None, action: Action) -> Decision:
        """Policy's answer, if it gives anything, and the asker may know of the item at all.

        Raises
        ------
        NotFound
            Otherwise, as if there were no such item.
        """
        if item is None or not self.shows(item) or _NEEDS_SCOPE.get(action, Scope.READ) not in self.scopes:
            raise NotFound("there is no such item")
        found = self.decision(item, action)
        if not found.gives:
            self._refused(item, action, found)
            raise NotFound("there is no such item")
        return found

    def note_refusal(self, item: Item) -> None:
        """Put on record that somebody asked for what it may not know of, if policy wants that."""
        self._refused(item, Action.DISCOVER, self.decision(item, Action.DISCOVER))

    def _refused(self, item: Item, action: Action, decision: Decision) -> None:
        if self.record is not None and GRAVE in decision.obligations:
            self.record.refused(self.party, item, action, decision)

    def reduced(self, item: Item, decision: Decision) -> Reduced:
        """What a decision leaves of an item's pixels."""
        if self.policy is None or decision.effect is not Effect.DEGRADE:
            return WHOLE
        return Reduced(decision.gsd_m, mask_shape(decision, self.facts(item), self.policy), decision.drop_bands)

    def whole_file(self, item: Item, asset: Mapping[str, Any], key: str) -> bool:
        """Whether the asker may have an asset's file as it lies in the archive."""
        actions = actions_of(asset, key)
        for action in actions:
            if _NEEDS_SCOPE.get(action, Scope.READ) not in self.scopes:
                return False
            found = self.decision(item, action)
            if action is Action.DISCOVER and found.gives and not found.masks:
                continue
            open_terms = any(name.startswith("accept:") or name in _NOT_WITHOUT_ORDER for name in found.obligations)
            if found.effect is not Effect.ALLOW or (open_terms and action is not Action.PREVIEW):
                return False
        return True

    def trimmed(self, item: Item, published: Item) -> Item:
        """An item as this asker may read it: no address that would not answer, no figure or outline of what is masked.

        Parameters
        ----------
        item
            As it is stored.
        published
            As it would go out to somebody who may have everything.
        """
        if self.policy is None:
            return published
        preview = self.decision(item, Action.PREVIEW).gives
        assets = {}
        for key, asset in published.get("assets", {}).items():
            if self.whole_file(item, asset, key):
                assets[key] = asset
            elif preview and actions_of(asset, key) == (Action.PREVIEW,):
                # Another file than the one of which these are told.
                assets[key] = {name: value for name, value in asset.items() if not name.startswith("file:")}
        found = published | {"assets": assets}
        if not self.decision(item, Action.TILE).gives:
            found["links"] = [link for link in found["links"] if link["rel"] not in ("tilejson", "wmts")]
        seen = self.decision(item, Action.DISCOVER)
        return _without(found, self._left(item, seen)) if seen.masks else found


def _names(item: Item) -> tuple[object, ...]:
    """By what an item's state is told from all others."""
    properties = item["properties"]
    stamp = properties.get("updated", properties.get("created"))
    return item["collection"], item["id"], properties.get("version"), stamp


def actions_of(asset: Mapping[str, Any], key: str) -> tuple[Action, ...]:
    """What has to be allowed of whoever fetches an asset's file."""
    media, roles = str(asset.get("type", "")), asset.get("roles") or ()
    if media.startswith(_PICTURES):
        return (Action.PREVIEW,)
    if media == ZARR_TYPE or key in ("zarr", "manifest"):
        return (Action.DOWNLOAD, Action.STREAM)
    if media.startswith(_TEXTS) and "metadata" in roles and media != COG_TYPE:
        return (Action.DISCOVER,)
    return (Action.DOWNLOAD,)


def _without(published: Item, left: BaseGeometry | None) -> Item:
    """An item without what lies under a mask: its outline, and figures that were made with it."""
    found = copy.deepcopy(dict(published))
    for asset in found["assets"].values():
        asset.pop("statistics", None)
    if left is not None:
        found["geometry"] = mapping(left)
        found["bbox"] = (
            list(left.bounds) if found["bbox"][0] <= found["bbox"][len(found["bbox"]) // 2] else found["bbox"]
        )
        for name in OF_THE_WHOLE:
            found["properties"].pop(name, None)
    return found
