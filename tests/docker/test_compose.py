"""docker/: the file says what Compose's own schema allows, and its commands make a ground segment that works.

``compose-spec.json`` is the schema of the Compose Specification (Apache-2.0), as its project publishes it.
"""

import json
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from processing.testing.series import write_elevations, write_series
from tests.docker.composed import DOCKER, ROOT, composed, services, settings, variables
from tests.services import postgres
from tests.services.house import FINAL, free_ports, until

GATES = ("master", "volume", "filer", "s3")
SECRETS = {"POSTGRES_PASSWORD": "p", "PREFECT_AUTH": "u:p", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s"}


def test_compose_allows_it():
    schema = json.loads((Path(__file__).with_name("compose-spec.json")).read_text())
    document = composed(settings(**SECRETS))
    faults = [
        f"{list(fault.absolute_path)}: {fault.message}" for fault in Draft7Validator(schema).iter_errors(document)
    ]
    assert not faults, faults
    broken = document | {"services": {"api": {"comand": ["x"]}}}
    assert list(Draft7Validator(schema).iter_errors(broken)), "the schema refuses nothing"


def test_every_setting_is_in_env_example():
    assert variables() <= set(settings()) | {"QYRAN_DATA"}
    for name in SECRETS:
        with pytest.raises(ValueError, match=name):
            composed(settings(**{other: value for other, value in SECRETS.items() if other != name}))


def test_what_it_mounts_and_waits_for_is_there():
    document = composed(settings(**SECRETS))
    for name, service in document["services"].items():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("./") and source != "./data":
                assert (DOCKER / source).exists(), f"{name} mounts {source}"
            elif not source.startswith("."):
                assert source in document["volumes"], f"{name} mounts {source}"
        assert set(service.get("depends_on", {})) <= set(document["services"])


def test_nothing_but_loopback_is_opened_to_the_host():
    for name, service in composed(settings(**SECRETS))["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} opens {port}"


def test_nobody_is_root_and_tags_are_pinned():
    text = (DOCKER / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+-|@sha256:", base) for base in bases), bases
    assert re.search(r"^USER [1-9]", text, re.MULTILINE)
    for name, service in composed(settings(**SECRETS))["services"].items():
        assert re.search(r":.*\d", service["image"]), f"{name}: {service['image']}"
        assert not service["image"].endswith("latest")
        if service["image"].startswith("qyran"):
            assert service["user"] == "10001:10001", name
            assert service["cap_drop"] == ["ALL"], name


def test_what_the_image_copies_is_let_in():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source


def test_the_image_takes_versions_and_hashes_from_the_lock(tmp_path):
    names = tmp_path / "names.txt"
    lock = (ROOT / "requirements.lock").read_text()
    version = re.search(r"^distributed==(\S+)", lock, re.MULTILINE)
    assert version
    names.write_text(f"distributed=={version[1]}\n    # via qyran\n")
    command = [sys.executable, DOCKER / "runtime_lock.py", ROOT / "requirements.lock", names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"distributed=={version[1]}")
    assert "--hash=sha256:" in done.stdout
    assert done.stdout.count("==") == 1
    names.write_text("distributed==1.0\n")
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert "not in the lock" in refused.stderr


@pytest.mark.parametrize("path", sorted((DOCKER / "kubernetes").glob("*.yaml")), ids=lambda path: path.name)
def test_manifests_for_kubernetes_name_each_other(path):
    parts = list(YAML(typ="safe").load_all(path))
    kinds = {(part["kind"], part["metadata"]["name"]) for part in parts}
    assert len(kinds) == len(parts)
    for part in parts:
        if part["kind"] == "Deployment":
            pod = part["spec"]["template"]["spec"]
            assert (
                part["spec"]["selector"]["matchLabels"].items()
                <= part["spec"]["template"]["metadata"]["labels"].items()
            )
            assert pod["securityContext"]["runAsNonRoot"] is True
            for container in pod["containers"]:
                known = {volume["name"] for volume in pod["volumes"]}
                assert {mount["name"] for mount in container["volumeMounts"]} <= known


@pytest.mark.skipif(not Path("/usr/bin/systemd-analyze").exists(), reason="systemd-analyze is not here")
def test_systemd_understands_the_units(tmp_path):
    for unit in (DOCKER / "systemd").glob("*.service"):
        # Where the programs will lie, none are here.
        text = re.sub(r"/opt/qyran/bin/\w+", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert str(tmp_path) not in done.stderr, done.stderr
    assert len(list(tmp_path.iterdir())) >= 6


@pytest.mark.services
@pytest.mark.timeout(900)
def test_its_commands_process_a_scene(tmp_path):
    """The same commands without containers: PostgreSQL, S3, Prefect, Dask by TLS, worker and API on loopback."""
    reason = postgres.why_not()
    if reason is not None:
        postgres.refuse(reason)
    home = tmp_path / "home"
    (scene,) = write_series(tmp_path / "deliveries", 1)
    write_elevations(home / "auxiliary" / "dem")
    with postgres.running(tmp_path) as database:
        with psycopg.connect(database.url(), autocommit=True) as connection:
            for statement in (DOCKER / "postgres" / "databases.sql").read_text().split(";"):
                if statement.strip().splitlines()[-1:] and "CREATE" in statement:
                    connection.execute(statement.encode())
        names = ("prefect", "dask", "s3", "api")
        ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        document = composed(
            settings(
                POSTGRES_PASSWORD=database.password, PREFECT_AUTH=f"operator:{secrets.token_hex(8)}",
                S3_ACCESS_KEY=secrets.token_hex(8), S3_SECRET_KEY=secrets.token_hex(16),
                PREFECT_ORIGIN=f"http://127.0.0.1:{ports['prefect']}", QYRAN_COMPUTE_SCENES="1",
            )
        )  # fmt: skip
        places = {
            "postgres:5432": f"127.0.0.1:{database.port}",
            "prefect-server:4200": f"127.0.0.1:{ports['prefect']}",
            "dask-scheduler:8786": f"127.0.0.1:{ports['dask']}",
            "seaweedfs:8333": f"127.0.0.1:{ports['s3']}",
            "-ip=seaweedfs": "-ip=127.0.0.1",
            "-dir=/data": f"-dir={tmp_path / 's3'}",
            "/srv/qyran": str(home), "/srv/tls": str(tmp_path / "tls"), "/tmp/prefect-ui": str(tmp_path / "ui"),
            "0.0.0.0": "127.0.0.1", "4200": ports["prefect"], "8786": ports["dask"], "8333": ports["s3"],
            "8480": ports["api"],
        }  # fmt: skip
        with services(document, places, tmp_path) as running:
            _process(running, document, ports, home, scene, tmp_path)


def _process(running, document, ports, home, scene, folder):
    assert running.start("certificates").wait(60) == 0
    del running.running["certificates-1"]
    (folder / "s3").mkdir()
    for _ in range(3):  # another program may take a port in the moment between
        roles = ("master.port", "volume.port", "filer.port", *(f"{role}.port.grpc" for role in GATES))
        others = [f"-{role}={port}" for role, port in zip(roles, free_ports(len(roles)), strict=True)]
        running.start("seaweedfs", *others, "-s3.port.iceberg=0", "-s3.port.lance=0", program="weed")
        time.sleep(3)
        if not running.ended():
            break
    assert running.start("bucket").wait(150) == 0, running.log("bucket")
    del running.running["bucket-1"]
    running.start("prefect-server")
    running.start("dask-scheduler")
    for number in range(int(document["services"]["dask-worker"]["deploy"]["replicas"])):
        running.start("dask-worker", copy=number + 1)
    running.start("api")
    running.start("worker")

    def well() -> str:
        return f"{running.ended()} {[running.log(name)[-1500:] for name in ('prefect-server', 'worker', 'api')]}"

    until(lambda: "ready" in running.log("worker") or running.ended(), 400, well)
    assert not running.ended(), well()
    user, _, password = document["services"]["worker"]["environment"]["PREFECT_API_AUTH_STRING"].partition(":")
    origin = f"http://127.0.0.1:{ports['prefect']}/api"
    with httpx.Client(base_url=origin, auth=(user, password), trust_env=False, timeout=60) as client:
        token = client.get("/csrf-token", params={"client": "test"}).json()["token"]
        client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "test"})
        deployment = client.get("/deployments/name/process-scene/process-scene").json()["id"]
        asked = {"parameters": {"request": {"package": str(scene), "home": str(home)}}}
        run = client.post(f"/deployments/{deployment}/create_flow_run", json=asked).json()["id"]
        state = {}

        def ended() -> bool:
            state.update(client.get(f"/flow_runs/{run}").json()["state"])
            return state["type"] in FINAL

        until(ended, 300, lambda: f"{state} {well()}")
    assert state["name"] == "Published", f"{state} {well()}"
    assert "Receive client connection" in running.log("dask-scheduler"), "it was not computed on the cluster"
    bearer = {"Authorization": f"Bearer {(home / 'catalogue' / 'operator-token').read_text().strip()}"}
    found = httpx.get(f"http://127.0.0.1:{ports['api']}/stac/search", headers=bearer, trust_env=False, timeout=60)
    assert [item["collection"] for item in found.json()["features"]] == ["kazeosat-2-l1c"]
    _second_place(running)


def _second_place(running):
    """The worker's surroundings reach the bucket."""
    qyran = str(Path(sys.executable).with_name("qyran"))
    sent = subprocess.run(
        [qyran, "mirror", "--json"], env=running.environment("worker"), capture_output=True, text=True, check=False,
        timeout=180,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert len(json.loads(sent.stdout)["products"]) == 1
