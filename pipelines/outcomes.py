"""What became of a package, as a value.

``published``
    Its products are in the archive and in the catalogue (now, or already before).
``held``
    Nothing is wrong with the package; something else is missing that an operator can supply, such as a DEM.
    Run it again then.
``rejected``
    The package is understood, but no product can or may be made from it: no pixels inside, an identifier that
    already stands for other bytes.
``quarantined``
    The package is damaged, incomplete, unknown or hostile. A copy lies in ``HOME/quarantine`` with the reason.
``failed``
    Our fault, or the machine's: see the message and the log.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from processing.model.errors import BadInput, QyranError
from processing.model.quality import Outcome


class ItemLink(BaseModel):
    """A catalogued item, where to read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str
    id: str
    href: str
    """Path of the item's JSON file."""


class Stop(BaseModel):
    """Why a package went no further."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    reason: str
    """Stable dotted code."""
    also: tuple[str, ...] = ()
    """Further codes, where there is more than one reason."""
    message: str
    where: str | None = None
    remedy: str | None = None

    @classmethod
    def of(cls, error: QyranError, outcome: Outcome) -> "Stop":
        """The stop that an error leads to."""
        return cls(outcome=outcome, reason=error.kind, message=error.message, where=error.where, remedy=error.remedy)


class PackageOutcome(BaseModel):
    """The record of one package's run: CONTRACT's JSON, with the words for a person added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    """Stable codes, e.g. ``already_published``, ``dem.missing``, ``xml.dtd_forbidden``."""
    items: tuple[ItemLink, ...] = ()
    seconds: float = 0.0
    message: str | None = None
    where: str | None = None
    remedy: str | None = None
    registration: str | None = None
    """How the bands lie on each other, in one line."""
    quarantine: str | None = None
    """Folder that holds the quarantined copy and its reason."""
    stages: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage."""
    mission: str | None = None
    acquired: AwareDatetime | None = None
    """What the package says of itself, where a reader understood it: by this a pass knows its deliveries."""
    timeliness: str | None = None
    """``NRT`` or ``NTC``: whether its product is near-real-time or final, where the package says enough to tell."""


class ReprocessOutcome(PackageOutcome):
    """What became of one catalogued item that was processed again; ``package`` is its ``COLLECTION/ID``."""

    was: str
    """Version before."""
    now: str
    """Version after: the same where nothing came out otherwise."""

    changed: bool
    """Whether there is a new version."""


REVIEW = "review."
"""Reasons that begin so: the product is made, and waits for an operator's decision."""

_NOTHING_TO_MAKE = (
    "geometry.night",
    "package.level",
    "package.no_model",
    "package.no_pixels",
    "package.unidentified",
    "radiometry.night",
    "radiometry.uncalibrated",
    "recipe.bands_missing",
)
"""Reasons that leave a package sound: it just is not what the product is made from."""


def is_under_review(reasons: Iterable[str]) -> bool:
    """Whether what was held is a product that waits for an operator's decision, not a package that lacks something."""
    return any(reason.startswith(REVIEW) for reason in reasons)


def stop_for_package(error: BadInput) -> Stop:
    """What a package leads to that cannot be processed: rejected if it is sound, quarantined if it is not."""
    return Stop.of(error, Outcome.REJECTED if error.kind in _NOTHING_TO_MAKE else Outcome.QUARANTINED)


def stopped(package: str, stop: Stop, **more: Any) -> PackageOutcome:
    """The outcome of a run that went no further.

    Parameters
    ----------
    more
        Other fields of it.
    """
    return PackageOutcome(
        package=package,
        outcome=stop.outcome,
        reasons=(stop.reason, *stop.also),
        message=stop.message,
        where=stop.where,
        remedy=stop.remedy,
        **more,
    )


def failure_of(package: str, error: Exception) -> PackageOutcome:
    """The outcome of a run that raised."""
    if isinstance(error, QyranError):
        stop = Stop.of(error, Outcome.FAILED)
    else:
        stop = Stop(
            outcome=Outcome.FAILED,
            reason=f"unexpected.{type(error).__name__}",
            message=f"{type(error).__name__}: {error}",
            remedy="Run again with --debug to see where. The package and the archive are as they were.",
        )
    return stopped(package, stop)
