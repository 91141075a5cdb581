"""The quality desk: products that wait for an operator, and what was decided.

A product that a rule holds is whole and durable, but neither in the archive nor in the catalogue: it lies in
``HOME/desk/held`` with a record of why, and survives restarts there. An operator accepts it (it is published,
catalogued, and what was asked for is derived from it) or rejects it (it goes; its package stays in ``HOME/inputs``).
Who decided, when and why stays in ``HOME/desk/decided``, in the item, and in the audit log.
"""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from catalogs.policy.audit import AuditLog
from configs.desk import load_desk
from configs.registry import Registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from pipelines.desk_decisions import Decision, decision_on, decision_path
from pipelines.desk_rules import Finding, findings
from pipelines.journal import record_event
from pipelines.outcomes import ItemLink, Stop
from pipelines.requests import SceneRequest, Verdict
from processing.archive import durable
from processing.archive.held import HeldProduct, held_products, hold, let_go, release
from processing.archive.layout import revision_of
from processing.archive.write import Divert, published, refuse_other_package
from processing.model.errors import BadInput, Conflict
from processing.model.product import Product, ProductDraft
from processing.model.quality import Outcome

RECORD = "desk.json"
"""In the folder of a product that waits."""


class DeskRecord(BaseModel):
    """Why a product waits, and what is to be done when it is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    """``COLLECTION/ID``"""
    revision: str
    since: AwareDatetime
    mission: str
    acquired: AwareDatetime
    findings: tuple[Finding, ...]
    request: SceneRequest


class Waiting(BaseModel):
    """One product that waits, for lists and pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    revision: str
    since: AwareDatetime
    acquired: AwareDatetime
    findings: tuple[Finding, ...]
    folder: str
    """Where its pictures, masks and reports lie."""
    decided: Decision | None = None
    """A decision that was made and not carried out: the machine stopped. Decide the same again."""


def at_the_desk(home: Home, request: SceneRequest) -> Divert:
    """Puts a product that a rule holds on the desk in place of publishing it, unless it was accepted before."""
    rules = load_desk(home.configs)

    def divert(product: Product, staging: Path) -> bool:
        found = findings(product, rules)
        decided = decision_on(home, product.collection, product.id, product.revision)
        if not found or (decided is not None and decided.verdict is Verdict.ACCEPT):
            return False
        record = DeskRecord(
            item=f"{product.collection}/{product.id}",
            revision=product.revision,
            since=datetime.now(UTC),
            mission=product.mission,
            acquired=product.acquired,
            findings=found,
            request=request,
        )
        durable.write_file(staging / RECORD, record.model_dump_json(indent=1).encode())
        hold(home.path, product, staging)
        for other in held_products(home.path):
            same = (other.product.collection, other.product.id) == (product.collection, product.id)
            if same and other.product.revision != product.revision:
                let_go(home.path, other)  # made anew, it takes the place of what waited
        return True

    return divert


def desk_stop(home: Home, draft: ProductDraft) -> Stop | None:
    """The stop of a product that waits, or was rejected; None where neither is so."""
    revision = revision_of(draft)
    for held in held_products(home.path):
        if (held.product.collection, held.product.id, held.product.revision) == (draft.collection, draft.id, revision):
            record = _record(held)
            return _held_stop(held.product, record.findings if record is not None else ())
    decided = decision_on(home, draft.collection, draft.id, revision)
    if decided is None or decided.verdict is Verdict.ACCEPT:
        return None
    return Stop(
        outcome=Outcome.REJECTED,
        reason="review.rejected",
        message=f"{decided.by} rejected it on {decided.at:%Y-%m-%d}: {decided.reason}",
        where=decided.item,
        remedy="Made otherwise (recipe, elevations, references) it is looked at anew.",
    )


def _held_stop(product: Product, found: tuple[Finding, ...]) -> Stop:
    name = f"{product.collection}/{product.id}"
    return Stop(
        outcome=Outcome.HELD,
        reason=found[0].code if found else "review.warned",
        also=tuple(dict.fromkeys(finding.code for finding in found[1:] if finding.code != found[0].code)),
        message="; ".join(finding.text for finding in found) or f"{name} waits for a decision",
        where=name,
        remedy=f"Look: qyran desk show {product.id}. Decide: qyran desk accept|reject {product.id} --reason WHY.",
    )


def waiting(home: Home) -> tuple[Waiting, ...]:
    """All that waits at the desk, longest first."""
    found = []
    for held in held_products(home.path):
        record, product = _record(held), held.product
        if record is not None:
            found.append(
                Waiting(
                    item=record.item,
                    revision=product.revision,
                    since=record.since,
                    acquired=product.acquired,
                    findings=record.findings,
                    folder=str(held.files),
                    decided=decision_on(home, product.collection, product.id, product.revision),
                )
            )
    return tuple(sorted(found, key=lambda each: (each.since, each.item)))


def find_held(home: Home, reference: str) -> tuple[HeldProduct, DeskRecord]:
    """The product at the desk behind ``COLLECTION/ID`` or ``ID``.

    Raises
    ------
    BadInput
        ``item.unknown`` if none waits by that name.
    """
    matching = []
    for held in held_products(home.path):
        record = _record(held)
        if record is not None and reference in (record.item, held.product.id):
            matching.append((held, record))
    if not matching:
        known = ", ".join(each.item for each in waiting(home)) or "nothing"
        raise BadInput(
            f"no product '{reference}' waits at the desk", kind="item.unknown", remedy=f"Waiting there: {known}."
        )
    return min(matching, key=lambda each: each[1].since)


def decide(
    home: Home, registry: Registry, reference: str, *, verdict: Verdict, by: str, reason: str
) -> tuple[Decision, DeskRecord, ItemLink | None]:
    """Carry out a decision. It is put on record first: whoever was killed in the middle decides the same again.

    Returns
    -------
    decision, record, link
        ``link`` leads to the item of a product that was accepted.

    Raises
    ------
    BadInput
        ``item.unknown``; ``desk.reason`` without a name or a reason.
    Conflict
        ``desk.decided`` if the opposite was decided before and only not carried out; as
        :func:`~processing.archive.write.refuse_other_package` where what is to be accepted came too late: nothing is
        put on record then, and it can be rejected.
    """
    if not by.strip() or not reason.strip():
        raise BadInput("a decision needs a name and a reason", kind="desk.reason", remedy="Give --by and --reason.")
    held, record = find_held(home, reference)
    product = held.product
    before = decision_on(home, product.collection, product.id, product.revision)
    if before is not None and before.verdict is not verdict:
        raise Conflict(
            f"{before.by} decided to {before.verdict} it on {before.at:%Y-%m-%d %H:%M} UTC",
            kind="desk.decided",
            where=record.item,
            remedy=f"Decide to {before.verdict} again to have that carried out.",
        )
    present = published(home.path, product.collection, product.id)
    if verdict is Verdict.ACCEPT and present is not None:
        refuse_other_package(present, product)
    decision = before or Decision(
        item=record.item,
        revision=product.revision,
        verdict=verdict,
        by=" ".join(by.split()),
        reason=" ".join(reason.split()),
        at=datetime.now(UTC).replace(microsecond=0),
        findings=record.findings,
    )
    if before is None:
        AuditLog.open(home.path).append(
            decision.by, f"desk.{verdict}", [(record.item, product.manifest_sha256)], request_id=product.revision
        )
    durable.write_file(decision_path(home, decision), decision.model_dump_json(indent=1).encode())
    link = None
    if verdict is Verdict.ACCEPT:
        link = catalogue_product(release(home.path, held), home, registry)
    else:
        let_go(home.path, held)
    kind = "scene.accepted" if verdict is Verdict.ACCEPT else "scene.rejected"
    record_event(home, kind, product.id, item=record.item, by=decision.by, reason=decision.reason)
    return decision, record, link


def _record(held: HeldProduct) -> DeskRecord | None:
    try:
        return DeskRecord.model_validate_json((held.folder / RECORD).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
