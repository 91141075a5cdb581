"""What a scrub says at its end, and what it holds until then: bounded, whatever it finds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from processing.archive.scrub_ledger import Coverage
from processing.archive.scrub_unit import Finding

MOST_FINDINGS = 10_000
"""So many are told of one by one; beyond that they are only counted."""


class FoundFault(BaseModel):
    """One object that is not as it should be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: str
    """Path relative to HOME; a row of the catalogue is ``catalogue/<collection>/<id>``."""
    kind: str
    item: str
    detail: str
    remedy: str


class VerifyReport(BaseModel):
    """What a scrub found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok: bool
    checked: int
    """Revisions of products."""
    missing: tuple[str, ...]
    corrupt: tuple[str, ...]
    orphans: tuple[str, ...]
    unlisted: tuple[str, ...]
    counts: dict[str, int]
    """How many findings of each kind, those beyond the lists' length included."""
    findings: tuple[FoundFault, ...]
    deep: bool
    hashed: int
    """Revisions that were hashed in this run."""
    hashed_bytes: int
    resumed: bool
    """It went on where an interrupted one had stopped."""
    leftovers: int
    """What interrupted runs left in staging and is too young to be cleaned."""
    coverage: dict[str, Any]
    notes: tuple[str, ...]
    seconds: float
    repairs: tuple[dict[str, str], ...] = ()
    """What ``--repair`` did, or would do, with each object: ``object``, ``outcome``, ``detail``."""

    def and_still(self, earlier: "VerifyReport", objects: set[str]) -> "VerifyReport":
        """Itself, with what an earlier report found of some objects, at which this one did not look so closely."""
        known = {finding.object for finding in self.findings}
        still = [each for each in earlier.findings if each.object in objects and each.object not in known]
        lists: dict[str, Any] = {
            name: tuple(sorted([*getattr(self, name), *(each.object for each in still if each.kind == kind)]))
            for name, kind in (("missing", "missing"), ("corrupt", "corrupt"))
        }
        counts = Counter(self.counts) + Counter(each.kind for each in still)
        findings = tuple(sorted([*self.findings, *still], key=lambda each: each.object))
        return self.model_copy(update={**lists, "counts": dict(counts), "findings": findings, "ok": not counts})


@dataclass(slots=True)
class Tally:
    """What is held while a scrub runs."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    hashed: int = 0
    hashed_bytes: int = 0
    leftovers: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, found: Iterable[Finding]) -> None:
        """Take findings in."""
        for finding in found:
            self.counts[finding.kind] += 1
            if len(self.findings) < MOST_FINDINGS:
                self.findings.append(finding)

    def report(self, *, deep: bool, resumed: bool, coverage: Coverage, seconds: float) -> VerifyReport:
        """The end."""
        found = sorted(set(self.findings))
        by_kind = {
            kind: tuple(finding.object for finding in found if finding.kind == kind)
            for kind in ("missing", "corrupt", "orphan", "unlisted")
        }
        return VerifyReport(
            ok=not self.counts,
            checked=self.checked,
            missing=by_kind["missing"],
            corrupt=by_kind["corrupt"],
            orphans=by_kind["orphan"],
            unlisted=by_kind["unlisted"],
            counts=dict(sorted(self.counts.items())),
            findings=tuple(
                FoundFault(object=each.object, kind=each.kind, item=each.item, detail=each.detail, remedy=each.remedy)
                for each in found
            ),
            deep=deep,
            hashed=self.hashed,
            hashed_bytes=self.hashed_bytes,
            resumed=resumed,
            leftovers=self.leftovers,
            coverage=asdict(coverage),
            notes=tuple(self.notes),
            seconds=round(seconds, 3),
        )
