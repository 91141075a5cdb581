"""A real SLURM on loopback: munged, slurmctld and slurmd of Debian, with folders, ports and a key of their own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CONF = """\
ClusterName=qyran
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
_START_S = 40.0


def why_not() -> str | None:
    """Why no SLURM can be started here, or None."""
    if os.getuid() != 0:
        return "SLURM's daemons are started as root only"
    missing = [name for name in _PROGRAMS if _found(name) is None]
    return f"SLURM is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge" if missing else None


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def slurm() -> Iterator[dict[str, str]]:
    """One node with two processors and a partition ``work``; gives the environment by which commands find it.

    Raises
    ------
    RuntimeError
        If it does not start, with the daemons' last words.
    """
    # munged believes only folders that nobody else can write to, all the way up: pytest's are not.
    folder = Path(tempfile.mkdtemp(prefix="qyran-slurm-", dir="/var/tmp"))
    folder.chmod(0o755)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("state", "spool"):
            (folder / name).mkdir(mode=0o755)
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o600)
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = [listener.getsockname()[1] for listener in held]
        for listener in held:
            listener.close()
        host = socket.gethostname().split(".", maxsplit=1)[0]
        (folder / "slurm.conf").write_text(_CONF.format(host=host, ports=ports, folder=folder))
        environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        munge = [
            "munged", "--foreground", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/munge.key",
            f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munged.seed", f"--log-file={folder}/munged.log",
        ]  # fmt: skip
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            running.append(_start(command, folder, environment))
            if command is munge:
                _until((folder / "munge.sock").exists, folder, running)
        _until(lambda: "idle" in _said(environment), folder, running)
        yield environment
    finally:
        with suppress(NameError, OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", "--user=root"], env=os.environ | environment, timeout=20, capture_output=True)
        for process in reversed(running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    program = _found(command[0])
    assert program is not None
    with (folder / f"{command[0]}.out").open("ab") as log:
        return subprocess.Popen(
            [program, *command[1:]], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env=os.environ | environment, start_new_session=True,
        )  # fmt: skip


def _said(environment: dict[str, str]) -> str:
    with suppress(subprocess.SubprocessError):
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"], env=os.environ | environment, capture_output=True, timeout=10
        )
        return done.stdout.decode()
    return ""


def _until(holds, folder: Path, running: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _START_S
    while not holds():
        ended = any(process.poll() is not None for process in running)
        if ended or time.monotonic() > deadline:
            words = "\n".join(
                f"{path.name}: {path.read_text(errors='replace')[-600:]}"
                for path in sorted(folder.iterdir())
                if path.suffix in (".out", ".log")
            )
            raise RuntimeError(f"SLURM did not start:\n{words}")
        time.sleep(0.2)
