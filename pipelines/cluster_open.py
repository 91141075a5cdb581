"""Opening a Dask cluster: of processes on this machine, a running scheduler, or jobs of a batch system."""

import hashlib
import logging
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask.system import CPU_COUNT

from configs.schema.compute import Compute, ComputeConfig, TlsFiles, bytes_of
from configs.settings import Home
from pipelines.cluster_logs import worker_logs
from processing.archive import durable
from processing.model.errors import Defect, Retryable

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_PROBE = "compute--probe"
"""In ``HOME/staging``: what a worker must be able to read, word for word."""


@contextmanager
def open_client(home: Home, config: ComputeConfig) -> "Iterator[Client]":
    """A client of the installation's cluster whose workers were looked at; the cluster is ended if it was started here.

    Raises
    ------
    Defect
        ``compute.not_installed``, ``compute.tls``, ``compute.no_shared_files``, ``compute.other_software``,
        ``compute.no_scheduler`` where the batch system's commands are missing.
    Retryable
        ``compute.unreachable``, ``compute.no_workers``.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise Defect(
            f"compute: {config.compute} needs Dask's distributed scheduler, which is not installed",
            kind="compute.not_installed",
            remedy="pip install 'qyran[cluster]'",
        ) from error

    with ExitStack() as stack:
        address, security = _started(home, config, stack)
        try:
            client = stack.enter_context(
                Client(address, security=security, timeout=min(config.start_s, 60), set_as_default=True)
            )
        except OSError as error:
            raise Retryable(
                f"no Dask scheduler answers at {config.address}: {error}",
                kind="compute.unreachable",
                where=config.address,
                remedy="Start it, or set compute: threads in HOME/configs/compute.yaml.",
            ) from error
        _await_workers(client, config)
        _look_at_workers(client, home)
        stack.enter_context(worker_logs(client))
        if config.report:
            stack.enter_context(_report(home))
        yield client


def _started(home: Home, config: ComputeConfig, stack: ExitStack) -> "tuple[Any, Security | None]":
    """What a client connects to: a cluster that was started, or an address; and the certificates for it."""
    match config.compute:
        case Compute.LOCAL:
            return stack.enter_context(_local(config)), None
        case Compute.SLURM:
            return stack.enter_context(_slurm(home, config)), None
        case _:
            return config.address, security_of(config.tls) if config.tls else None


def security_of(tls: TlsFiles) -> "Security":
    """Certificates for the client's side of a scheduler.

    Raises
    ------
    Defect
        ``compute.tls`` if a file is missing, or others may read the key.
    """
    from distributed.security import Security

    for what, name in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        if not Path(name).is_file():
            raise Defect(f"tls.{what} is not there", kind="compute.tls", where=name)
    if Path(tls.key).stat().st_mode & 0o077:
        raise Defect(
            "the key of the cluster's certificates can be read by others",
            kind="compute.tls",
            where=tls.key,
            remedy=f"chmod 600 {tls.key}",
        )
    return Security(require_encryption=True, tls_ca_file=tls.ca, tls_client_cert=tls.cert, tls_client_key=tls.key)


def _pages(config: ComputeConfig) -> str:
    """Where a scheduler shows its pages: on loopback, also those that cannot be switched off.

    Told nothing, scheduler and workers would open a port to the whole network, dashboard or not.
    """
    return f"{_LOOPBACK}:{config.dashboard_port or 0}"


@contextmanager
def _local(config: ComputeConfig) -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0,
        threads_per_worker=config.threads_per_worker,
        memory_limit=bytes_of(config.memory) if config.memory else "auto",
        host=_LOOPBACK,
        dashboard_address=_pages(config),
        worker_dashboard_address=f"{_LOOPBACK}:0",
        scheduler_kwargs={"dashboard": config.dashboard_port is not None},
        silence_logs=logging.ERROR,
    ) as cluster:
        cluster.new_spec["options"]["dashboard"] = False  # an address alone would have every worker draw pages
        cluster.scale(config.workers or max(1, CPU_COUNT // config.threads_per_worker))
        yield cluster


@contextmanager
def _slurm(home: Home, config: ComputeConfig) -> Iterator[Any]:
    """A scheduler here and workers in jobs, with certificates that live as long as they do."""
    with _signals_kept():
        from dask_jobqueue.slurm import SLURMCluster

    if shutil.which("sbatch") is None:
        raise Defect(
            "compute: slurm needs sbatch, which is not on this machine's PATH",
            kind="compute.no_scheduler",
            remedy="Run Qyran's worker on a node from which jobs can be sent.",
        )
    logs = home.logs / "dask"
    logs.mkdir(parents=True, exist_ok=True)
    shared = home.staging / "dask" / secrets.token_hex(6)
    shared.mkdir(parents=True, mode=0o700)
    options = config.slurm
    try:
        with SLURMCluster(
            queue=options.queue,
            account=options.account,
            walltime=options.walltime,
            cores=options.cores,
            processes=options.processes,
            memory=options.memory,
            interface=options.interface,
            python=options.python,
            job_extra_directives=list(options.directives),
            job_script_prologue=list(options.prologue),
            job_name="qyran-worker",
            log_directory=str(logs),
            # A queue may be long; a worker that finds nobody any more must not sit on its node.
            death_timeout=60,
            security=_new_security(shared),
            local_directory="/tmp",  # noqa: S108 - of the node; Dask makes a folder of its own in it
            worker_extra_args=["--no-dashboard", f"--dashboard-address={_LOOPBACK}:0"],
            scheduler_options={"dashboard_address": _pages(config), "dashboard": config.dashboard_port is not None},
            n_workers=(config.workers or 1) * options.processes,
        ) as cluster:
            yield cluster
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _new_security(folder: Path) -> "Security":
    """Certificates of one cluster's own, in files that its jobs can read and nobody else."""
    from distributed.security import Security

    made = Security.temporary()
    pems = {"ca.pem": made.tls_ca_file, "cert.pem": made.tls_worker_cert, "key.pem": made.tls_worker_key}
    for name, text in pems.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    ca, cert, key = (str(folder / name) for name in pems)
    return Security(
        require_encryption=True,
        tls_ca_file=ca,
        **{
            f"tls_{role}_{what}": path
            for role in ("client", "scheduler", "worker")
            for what, path in (("cert", cert), ("key", key))
        },
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Whoever imports dask-jobqueue (0.9) has its signal handlers replaced: a run could not be cancelled any more."""
    real = signal.signal
    signal.signal = lambda *_: None
    try:
        yield
    finally:
        signal.signal = real


def _await_workers(client: "Client", config: ComputeConfig) -> None:
    try:
        client.wait_for_workers(1, timeout=config.start_s)
    except TimeoutError as error:
        raise Retryable(
            f"no worker came in {config.start_s:g} s",
            kind="compute.no_workers",
            where=config.address or str(config.compute),
            remedy="See whether workers start; where a queue is long, raise start_s in HOME/configs/compute.yaml.",
        ) from error


def _look_at_workers(client: "Client", home: Home) -> None:
    """Have every worker read a word from HOME and tell what it would compute with."""
    from pipelines.software import software_versions

    word = secrets.token_hex(16)
    probe = home.staging / f"{_PROBE}-{os.getpid()}-{word[:8]}"
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.write_text(word)
    durable.sync_folder(probe.parent)
    try:
        found: dict[str, tuple[str | None, str]] = client.run(seen_from_here, str(probe))
    finally:
        probe.unlink(missing_ok=True)
    ours = _digest_of(software_versions())
    for worker, (read, software) in sorted(found.items()):
        if read != word:
            raise Defect(
                f"worker {worker} does not see the installation's files",
                kind="compute.no_shared_files",
                where=str(home.path),
                remedy="Workers need HOME, packages and elevation files under the same paths: a shared filesystem.",
            )
        if software != ours:
            raise Defect(
                f"worker {worker} runs other software: its pixels might be others",
                kind="compute.other_software",
                where=worker,
                remedy="Install the same version of Qyran from the same requirements.lock on all nodes.",
            )


def seen_from_here(probe: str) -> tuple[str | None, str]:
    """What a worker answers: the word it reads, and a digest of the software it has."""
    from pipelines.software import software_versions

    word = None
    with suppress(OSError):
        word = Path(probe).read_text()
    return word, _digest_of(software_versions())


def _digest_of(versions: dict[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {versions[name]}" for name in sorted(versions)).encode()).hexdigest()


@contextmanager
def _report(home: Home) -> Iterator[None]:
    from datetime import UTC, datetime

    from distributed import performance_report

    folder = home.logs / "dask"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.html"
    with performance_report(filename=str(path), mode="inline"):
        yield
    log.info("performance report: %s", path)
