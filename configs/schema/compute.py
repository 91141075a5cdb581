"""Where an installation computes: which scheduler runs the pieces of a scene, and within which bounds."""

import ipaddress
import re
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveInt, field_validator, model_validator

from configs.schema.values import Value

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*$", re.IGNORECASE)


class Compute(StrEnum):
    """Who runs the pieces of a scene."""

    THREADS = "threads"
    LOCAL = "local"
    ADDRESS = "address"
    SLURM = "slurm"
    KUBERNETES = "kubernetes"


def bytes_of(text: str) -> int:
    """``4GiB``, ``500 MB``, ``2g`` as bytes.

    Raises
    ------
    ValueError
        For anything else.
    """
    found = _SIZE.match(text)
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"'{text}' is no amount of memory: write it as 4GiB or 500MB")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])


def _amount(text: str) -> str:
    """What somebody wrote, if it is an amount of memory."""
    bytes_of(text)
    return text


Memory = Annotated[str, AfterValidator(_amount)]
"""As :func:`bytes_of` reads it."""


def is_loopback(host: str) -> bool:
    """Whether an address can only be this very machine. A name that must be looked up first is not believed."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class TlsFiles(Value):
    """PEM files by which scheduler, workers and Qyran know each other."""

    ca: str = Field(min_length=1, description="certificate of the authority that signed all of theirs")
    cert: str = Field(min_length=1, description="own certificate")
    key: str = Field(min_length=1, description="own key, which only its owner may read")


class SlurmOptions(Value):
    """How jobs are asked for. A job holds one worker process for each of ``processes``."""

    queue: str | None = Field(default=None, description="partition; left out: the cluster's default")
    account: str | None = Field(default=None, description="whom the time is charged to")
    walltime: str = Field(default="01:00:00", pattern=r"^(\d+-)?\d{1,2}:\d{2}(:\d{2})?$", description="hours:min:s")
    cores: PositiveInt = Field(default=8, description="processors of one job")
    processes: PositiveInt = Field(default=1, description="worker processes that share them and the job's memory")
    memory: Memory = Field(default="16GiB", description="of one job")
    interface: str | None = Field(default=None, description="network that scheduler and workers share, such as ib0")
    python: str | None = Field(default=None, description="interpreter on the nodes; left out: the one that runs here")
    directives: tuple[str, ...] = Field(default=(), description="more #SBATCH lines, such as --constraint=haswell")
    prologue: tuple[str, ...] = Field(default=(), description="shell lines before the worker, such as module load gcc")

    @field_validator("directives", "prologue")
    @classmethod
    def _one_line(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("\n" in line for line in value):
            raise ValueError("one line each")
        return value


class Licence(Value):
    """Seats of a licensed program."""

    seats: PositiveInt
    recipes: tuple[str, ...] = Field(min_length=1, description="recipes whose making takes a seat")


class Limits(Value):
    """How much may be under way at a time on one Prefect server, whoever runs it. What is left out is unlimited."""

    scenes: PositiveInt = Field(default=2, description="flow runs at a time")
    cpu: PositiveInt | None = Field(default=None, description="scenes that compute at a time")
    memory: Memory | None = Field(default=None, description="memory that computing scenes may take together")
    disk: PositiveInt | None = Field(default=None, description="packages that are hashed and unpacked at a time")
    licences: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")], Licence] = Field(
        default_factory=dict, description="seats of licensed programs by name, and the recipes that take one"
    )


class ComputeConfig(Value):
    """Everything has a default: threads of this machine, as many as it has processors and memory for."""

    compute: Compute = Compute.THREADS
    workers: PositiveInt | None = Field(
        default=None,
        description="threads: threads; local: processes; slurm: jobs. Left out: as the machine has; slurm: 1",
    )
    threads_per_worker: PositiveInt = Field(default=1, description="local: threads of each process")
    memory: Memory | None = Field(
        default=None, description="threads: of all together; local: of each process. Left out: 60 % of the machine's"
    )
    address: str | None = Field(
        default=None, description="address, kubernetes: of a running scheduler, tls://host:port; tcp:// only loopback"
    )
    tls: TlsFiles | None = None
    slurm: SlurmOptions = SlurmOptions()
    dashboard_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=None, description="local, slurm: Dask's dashboard on loopback; 0: any free port; left out: none"
    )
    report: bool = Field(default=False, description="keep Dask's performance report of each run in HOME/logs/dask")
    start_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=300.0, description="longest wait for the first worker; a batch queue may need hours"
    )
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
        """Whoever can speak to a scheduler can run code on its workers: off this machine only with certificates."""
        if self.compute not in (Compute.ADDRESS, Compute.KUBERNETES):
            return self
        if self.address is None:
            raise ValueError(f"compute: {self.compute} needs the address of its scheduler, tls://host:port")
        parts = urlsplit(self.address)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname or parts.port is None:
            raise ValueError(f"'{self.address}' is no scheduler's address: write tls://host:port")
        if parts.scheme == "tcp" and (self.compute is Compute.KUBERNETES or not is_loopback(parts.hostname)):
            raise ValueError(
                f"{self.address}: tcp:// is for 127.0.0.1 alone. Whoever reaches a Dask scheduler runs code on its "
                "workers: give tls:// and the files under tls"
            )
        if parts.scheme == "tls" and self.tls is None:
            raise ValueError(f"{self.address} needs certificates: give ca, cert and key under tls")
        return self
