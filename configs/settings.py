"""Where an installation lives, and what its operator set."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds everything an installation owns. Nothing is created until it is needed."""

    path: Path

    @classmethod
    def resolve(cls, given: Path | None = None) -> "Home":
        """``given``, else ``$QYRAN_HOME``, else ``./qyran-home``; always absolute."""
        return cls((given or Path(os.environ.get("QYRAN_HOME") or "qyran-home")).expanduser().resolve())

    @property
    def landing(self) -> Path:
        """Drop a package here: it is processed."""
        return self.path / "landing"

    @property
    def claimed(self) -> Path:
        """Packages taken from the landing zone, each until its run is over."""
        return self.path / "claimed"

    @property
    def desk(self) -> Path:
        """Products that wait for an operator's decision, and the decisions that were made."""
        return self.path / "desk"

    @property
    def quarantine(self) -> Path:
        """Packages that could not be processed, untouched, each with its reason."""
        return self.path / "quarantine"

    @property
    def archive(self) -> Path:
        """Zarr products."""
        return self.path / "archive"

    @property
    def products(self) -> Path:
        """COGs, thumbnails, quality reports, STAC items."""
        return self.path / "products"

    @property
    def catalogue(self) -> Path:
        """The embedded catalogue's database."""
        return self.path / "catalogue"

    @property
    def dem(self) -> Path:
        """Elevation models."""
        return self.path / "auxiliary" / "dem"

    @property
    def geoid(self) -> Path:
        """Geoid grids of the operator: EGM2008 as ``.gtx`` or GeoTIFF."""
        return self.path / "auxiliary" / "geoid"

    @property
    def reference(self) -> Path:
        """Images on maps that scenes are matched against."""
        return self.path / "auxiliary" / "reference"

    @property
    def inputs(self) -> Path:
        """What products were made from, each under its SHA-256: packages, elevation tiles, geoids, configuration."""
        return self.path / "inputs"

    @property
    def prefect(self) -> Path:
        """Prefect's own home."""
        return self.path / "prefect"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.path / "logs"

    @property
    def configs(self) -> Path:
        """The operator's own YAML files, laid over the shipped ones."""
        return self.path / "configs"

    @property
    def scrub(self) -> Path:
        """The scrub's ledger: what was hashed again when."""
        return self.path / "scrub"

    @property
    def object_keys(self) -> Path:
        """The operator's keys to object storage, if the environment does not hold them; for the owner's eyes only."""
        return self.path / "secrets" / "s3.ini"

    @property
    def staging(self) -> Path:
        """Work in progress, on the same filesystem as archive and products so that publishing is a rename."""
        return self.path / "staging"
