"""What operators decided at the quality desk: one small file a revision, for ever."""

import contextlib
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from configs.settings import Home
from pipelines.desk_rules import Finding
from pipelines.requests import Verdict
from processing.model.product import Product


class Decision(BaseModel):
    """What was decided of one revision of a product."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    revision: str
    verdict: Verdict
    by: str
    reason: str
    at: AwareDatetime
    findings: tuple[Finding, ...]


def decision_on(home: Home, collection: str, item_id: str, revision: str) -> Decision | None:
    """What was decided of a revision; None where nothing was."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        path = home.desk / "decided" / collection / item_id / f"{revision}.json"
        return Decision.model_validate_json(path.read_bytes())
    return None


def decision_path(home: Home, decision: Decision) -> Path:
    """Where a decision is kept."""
    return home.desk / "decided" / decision.item / f"{decision.revision}.json"


def with_review(item: dict[str, Any], product: Product, home: Home) -> dict[str, Any]:
    """An item that says who accepted its product at the desk, when and why; as it was where it never waited there."""
    decided = decision_on(home, product.collection, product.id, product.revision)
    if decided is None:
        return item
    told = {
        "verdict": str(decided.verdict),
        "by": decided.by,
        "at": decided.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": decided.reason,
        "findings": [f"{finding.code}: {finding.text}" for finding in decided.findings],
    }
    return item | {"properties": item["properties"] | {"qyran:review": told}}
