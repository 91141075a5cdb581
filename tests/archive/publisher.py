"""Processes that publish one product, to be killed and raced.

Usage: publisher.py JOB... where a job is ``HOME`` or ``HOME=STAGE``. Every job is a process of its own, all at once;
one with a stage kills itself there, as ``kill -9`` would. Prints one JSON object for each job.

They are forked from one process that has imported everything, because importing takes longer than publishing.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from processing.archive import durable, write
from processing.model.image import OrthoImage
from tests.archive import synthetic

KILL_AFTER_S = 0.03
STAGES = {
    "while writing pixels": (write, "write_pixels"),
    "after the pixels": (write, "consolidate"),
    "before the files": (write, "write_files"),
    "before the sync": (durable, "sync_tree"),
    "before the store's rename": (durable, "move"),
    "between the renames": (write, "put_files"),
    "before the exchange": (durable, "exchange"),
    "before the link": (durable, "point_link"),
}


def scene(stage: str = "") -> OrthoImage:
    """What a job publishes: small, but for the one that must be caught at work."""
    return synthetic.scene((700, 900) if stage == "while writing pixels" else (120, 150))


def die(*_: Any, **__: Any) -> None:
    """End as a process ends that gets no chance to clean up."""
    os.kill(os.getpid(), signal.SIGKILL)


def work(home: Path, stage: str, written: int) -> str:
    """Publish, and say so in the pipe when pixels are written; returns the record."""
    draft, image = synthetic.draft(), scene(stage)
    if stage == "before the exchange":  # happens only where an earlier revision is there
        write.publish_product(home, draft, [image])
        draft = synthetic.draft(lineage=synthetic.lineage(resampling="lanczos"))
    write_pixels = write.write_pixels

    def announced(*arguments: Any) -> Any:
        os.write(written, b"!")
        if stage == "while writing pixels":
            threading.Timer(KILL_AFTER_S, die).start()
        return write_pixels(*arguments)

    if stage:
        module, name = STAGES[stage]
        setattr(module, name, die)
    write.write_pixels = announced
    return write.publish_product(home, draft, [image]).model_dump_json()


def start(job: str) -> tuple[int, int, int]:
    """Fork a worker: its process id, and the pipes for its record and for its sign that it writes pixels."""
    home, _, stage = job.partition("=")
    (record_in, record_out), (written_in, written_out) = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        os.write(record_out, work(Path(home), stage, written_out).encode())
        os._exit(0)
    os.close(record_out)
    os.close(written_out)
    return process, record_in, written_in


def finish(process: int, record: int, written: int) -> dict[str, Any]:
    """Wait for a worker: how it ended, its record, whether it wrote pixels."""
    with os.fdopen(record) as stream, os.fdopen(written) as sign:
        return {"record": stream.read(), "wrote": bool(sign.read()), "status": os.waitpid(process, 0)[1]}


if __name__ == "__main__":
    for worker in [start(job) for job in sys.argv[1:]]:
        sys.stdout.write(json.dumps(finish(*worker)) + "\n")
