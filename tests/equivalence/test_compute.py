"""One scene, made wherever an installation can compute: the same bytes everywhere, and plain words where it cannot."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dask
import pytest

from configs.load import ConfigError
from configs.schema.compute import ComputeConfig, is_loopback
from configs.settings import Home
from pipelines.cluster import compute_in, thread_count
from processing.model.errors import Defect, Retryable
from tests.pipelines.small_delivery import SmallDelivery, small_lattice, write_delivery
from tests.services import slurm as slurm_service
from tests.services.dask_cluster import DaskCluster, dask_cluster

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> SmallDelivery:
    return write_delivery(tmp_path_factory.mktemp("delivery"))


@pytest.fixture(scope="module")
def tls_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


def made(delivery: SmallDelivery, home: Path, config: ComputeConfig) -> dict[str, bytes]:
    """The stages of ``process-scene`` that compute, without a Prefect server; all that is published, by name."""
    from pipelines.derivation import derived_image, derived_recipe
    from pipelines.drafts import derived_draft
    from pipelines.packages import ingest_package
    from pipelines.planning import plan_scene
    from pipelines.requests import SceneRequest
    from pipelines.tasks import installation
    from processing.archive.write import publish_product

    request = SceneRequest(package=str(delivery.package), home=str(home), dem=str(delivery.dem))
    place, registry = installation(request)
    ingested = ingest_package(delivery.package, place, registry.sensors)
    with small_lattice(), compute_in(place, config):
        planned = plan_scene(request, ingested, place, registry)
        parent = publish_product(home, planned.draft, planned.images)
        recipe = derived_recipe("ndvi", registry)
        image = derived_image(home / parent.archive_href, parent, recipe)
        draft = derived_draft(parent, image, recipe=recipe, mission=registry.missions[parent.mission])
        publish_product(home, draft, [image])
    assert not [path for path in (home / "staging").rglob("*") if path.is_file()]
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for root in (home / "archive", home / "products")
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("product.json", "manifest.sha256")  # they tell the time of making
    }


@pytest.fixture(scope="module")
def by_threads(delivery: SmallDelivery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    found = made(delivery, tmp_path_factory.mktemp("threads"), ComputeConfig())
    assert len([name for name in found if "/c/" in name]) > 8, "too few pieces to tell schedulers apart"
    return found


@pytest.mark.services
def test_processes_of_this_machine(delivery, by_threads, tmp_path):
    config = ComputeConfig.model_validate({"compute": "local", "workers": 2, "memory": "1GiB", "report": True})
    assert made(delivery, tmp_path, config) == by_threads
    (report,) = (tmp_path / "logs" / "dask").glob("*.html")
    assert "<html" in report.read_text()[:400].lower()


def open_to_others() -> set[int]:
    """Ports at which children of this process listen to more than this machine."""
    import psutil

    found = set()
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):
            found |= {
                connection.laddr.port
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN and not is_loopback(connection.laddr.ip)
            }
    return found


@pytest.mark.services
def test_nobody_else_reaches_a_cluster_of_this_machine(tmp_path):
    """Whoever can speak to Dask can run code; its pages name all that is processed."""
    before = open_to_others()
    with compute_in(Home(tmp_path), ComputeConfig.model_validate({"compute": "local", "workers": 1})):
        assert dask.delayed(sum)([1, 2]).compute() == 3
        assert open_to_others() == before


@pytest.mark.services
def test_a_scheduler_that_speaks_tls(delivery, by_threads, tls_cluster, tmp_path):
    config = ComputeConfig.model_validate(
        {"compute": "address", "address": tls_cluster.address, "tls": tls_cluster.certificates.config}
    )
    assert made(delivery, tmp_path, config) == by_threads


@pytest.mark.services
def test_jobs_of_a_batch_system(delivery, by_threads, tmp_path, monkeypatch):
    reason = slurm_service.why_not()
    if reason is not None:
        if "services" in os.environ.get("QYRAN_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    options = {"cores": 1, "memory": "1GiB", "queue": "work", "interface": "lo", "walltime": "00:10:00"}
    config = ComputeConfig.model_validate({"compute": "slurm", "workers": 2, "slurm": options})
    with slurm_service.slurm() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert made(delivery, tmp_path, config) == by_threads
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    logs = list((tmp_path / "logs" / "dask").glob("qyran-worker-*.err"))
    assert len(logs) == 2, "two jobs were asked for"
    assert any("tls://" in log.read_text() for log in logs)
    # Certificates live as long as their cluster.
    assert not list((tmp_path / "staging" / "dask").iterdir())


@pytest.mark.services
def test_a_worker_that_dies_costs_no_scene(delivery, by_threads, tmp_path):
    """Killed without a word while it computes: its pieces are made by the other one, and are the same bytes."""
    (tmp_path / "dask").mkdir()
    with dask_cluster(tmp_path / "dask") as cluster:
        config = ComputeConfig.model_validate(
            {"compute": "address", "address": cluster.address, "tls": cluster.certificates.config}
        )
        killer = threading.Thread(target=_kill_when_it_writes, args=(tmp_path / "home", cluster.workers[0].pid))
        killer.start()
        try:
            assert made(delivery, tmp_path / "home", config) == by_threads
        finally:
            killer.join()
        assert cluster.workers[0].wait(10) == -signal.SIGKILL


def _kill_when_it_writes(home: Path, worker: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any((home / "staging").glob("*/store.zarr/**/c/*/*")):
            os.kill(worker, signal.SIGKILL)
            return
        time.sleep(0.001)


@pytest.mark.services
def test_a_run_that_is_cancelled_stops_its_work(tls_cluster, tmp_path):
    """As Prefect cancels: an exception in the thread that waits. Nothing of the run is at work when it gets out."""
    # Whoever starts the tests in the background of a script has Ctrl-C ignored in them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    config = ComputeConfig.model_validate(
        {"compute": "address", "address": tls_cluster.address, "tls": tls_cluster.certificates.config}
    )
    begun = [tmp_path / f"begun-{number}" for number in range(40)]
    work = [dask.delayed(_piece)(str(path), dask_key_name=f"cancelled-{path.name}") for path in begun]
    main = threading.main_thread().ident
    timer = threading.Thread(target=_interrupt_when, args=(begun, main))
    timer.start()
    with compute_in(Home(tmp_path), config):
        with pytest.raises(KeyboardInterrupt):
            dask.compute(*work)
        count = sum(path.exists() for path in begun)
        assert count == sum(path.with_suffix(".end").exists() for path in begun), "a piece was still at work"
    timer.join()
    assert count < 40
    time.sleep(1)
    assert sum(path.exists() for path in begun) == count, "the cluster went on"
    signal.signal(signal.SIGINT, before)


def _piece(path: str) -> None:
    from pathlib import Path
    from time import sleep

    Path(path).touch()
    sleep(0.5)
    Path(path).with_suffix(".end").touch()


def _interrupt_when(begun: list[Path], thread: int | None) -> None:
    while not any(path.exists() for path in begun):
        time.sleep(0.01)
    assert thread is not None
    signal.pthread_kill(thread, signal.SIGINT)


@pytest.mark.services
def test_who_has_no_certificate_is_not_let_in(tls_cluster, tmp_path):
    from tests.services.dask_cluster import certificates

    stranger = certificates(tmp_path / "stranger")
    config = ComputeConfig.model_validate(
        {"compute": "address", "address": tls_cluster.address, "tls": stranger.config, "start_s": 5}
    )
    with pytest.raises(Retryable) as caught, compute_in(Home(tmp_path), config):
        dask.delayed(sum)([1, 2]).compute()
    assert caught.value.kind == "compute.unreachable"


@pytest.mark.services
def test_workers_that_see_other_files_get_no_work(tls_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.cluster_open.seen_from_here", _sees_nothing)
    config = ComputeConfig.model_validate(
        {"compute": "address", "address": tls_cluster.address, "tls": tls_cluster.certificates.config}
    )
    with pytest.raises(Defect) as caught, compute_in(Home(tmp_path), config):
        dask.delayed(sum)([1, 2]).compute()
    assert caught.value.kind == "compute.no_shared_files"


_sees_nothing = eval("lambda probe: (None, '')")
"""Without a module: the workers know nothing of this one."""


def test_a_key_that_others_can_read_is_refused(tmp_path):
    from tests.services.dask_cluster import certificates

    pems = certificates(tmp_path / "tls")
    pems.key.chmod(0o644)
    config = ComputeConfig.model_validate(
        {"compute": "address", "address": "tls://127.0.0.1:1", "tls": pems.config, "start_s": 2}
    )
    with pytest.raises(Defect) as caught, compute_in(Home(tmp_path), config):
        dask.delayed(sum)([1, 2]).compute()
    assert caught.value.kind == "compute.tls"
    assert "chmod 600" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("compute: address\naddress: tcp://10.1.2.3:8786\n", "tcp:// is for 127.0.0.1 alone"),
        ("compute: address\naddress: tcp://scheduler:8786\n", "tcp:// is for 127.0.0.1 alone"),
        ("compute: address\naddress: tls://10.1.2.3:8786\n", "needs certificates"),
        ("compute: kubernetes\naddress: tcp://127.0.0.1:8786\n", "needs certificates|tcp:// is for"),
        ("compute: address\n", "needs the address"),
        ("compute: threads\nmemory: lots\n", "no amount of memory"),
        ("compute: slurm\nslurm: {walltime: soon}\n", "walltime"),
        ("compute: treads\n", "threads"),
    ],
)
def test_what_is_unsafe_or_unclear_is_refused(document, words, tmp_path):
    from configs.compute import load_compute

    (tmp_path / "compute.yaml").write_text(document)
    with pytest.raises(ConfigError, match=words):
        load_compute(tmp_path, {})


def test_the_environment_outranks_the_file(tmp_path):
    from configs.compute import load_compute

    (tmp_path / "compute.yaml").write_text("compute: local\nworkers: 3\nlimits: {scenes: 4}\n")
    found = load_compute(tmp_path, {"QYRAN_COMPUTE": "threads", "QYRAN_COMPUTE_SCENES": "7"})
    assert (found.compute, found.workers, found.limits.scenes) == ("threads", 3, 7)
    with pytest.raises(ConfigError, match="QYRAN_COMPUTE_WORKERS"):
        load_compute(tmp_path, {"QYRAN_COMPUTE_WORKERS": "many"})


def test_threads_have_room_in_memory():
    def count(**given: object) -> int:
        return thread_count(ComputeConfig.model_validate(given))

    assert count(workers=64, memory="16GiB") > 4
    assert count(workers=64, memory="1GiB") == 2
    assert count(workers=64, memory="100MB") == 1
    assert count(workers=1, memory="64GiB") == 1
