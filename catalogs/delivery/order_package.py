"""What is kept of a package that was made for an order, and of the decisions it was made under."""

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Value(BaseModel):
    """What is kept of an order does not change, and has no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ruling(Value):
    """A decision of the policy, as an order keeps it."""

    effect: str
    rule: str
    reasons: tuple[str, ...] = ()
    until: AwareDatetime | None = None
    gsd_m: float | None = None
    masks: tuple[str, ...] = ()
    drop_bands: tuple[str, ...] = ()
    licence: str | None = None
    obligations: tuple[str, ...] = ()
    approvals: int = 0
    policy: str
    policy_sha256: str


class PackagedFile(Value):
    """One file of a package."""

    path: str
    """Inside the package."""
    size: int
    sha256: str
    media_type: str


class PackageRecord(Value):
    """What was made of an order."""

    made: AwareDatetime
    files: tuple[PackagedFile, ...]
    manifest_sha256: str
    rulings: dict[str, Ruling]
    """By ``COLLECTION/ID``: under which decision each item was made."""
    masks_sha256: dict[str, str] = Field(default_factory=dict)
    """By ``COLLECTION/ID``: digest of the ground that was taken out."""
    audit: dict[str, Any]
    """The audit's entry of it, and the proof that it is in the log."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def file(self, path: str) -> PackagedFile | None:
        """The file at a path; None if there is none."""
        return next((file for file in self.files if file.path == path), None)
