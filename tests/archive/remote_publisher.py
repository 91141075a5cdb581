"""Processes that publish products at a second place, to be raced and killed.

Usage: remote_publisher.py JOBS, a JSON list of ``{"home", "url", "endpoint", "items", "later_s"}``. Every job is a
process of its own. They say their process ids, wait for a line, and start all at once; then one line for each job says
how it ended. They are forked from one process that has imported everything and opened nothing.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from processing.archive.objects import Place
from processing.archive.remote import publish_remote
from processing.archive.write import published
from processing.model.errors import QyranError


def work(job: dict[str, Any]) -> list[list[str]]:
    """Publish each item; returns what became of it."""
    home, place = Path(job["home"]), Place.of(job["url"], endpoint=job["endpoint"], timeout_s=20)
    ends = []
    for collection, item in job["items"]:
        product = published(home, collection, item)
        assert product is not None
        later = product.model_copy(update={"created": product.created + timedelta(seconds=job["later_s"])})
        try:
            there = publish_remote(home, later, place)
            ends.append([item, there.outcome, there.product.model_dump_json()])
        except QyranError as error:
            ends.append([item, error.kind, str(error)])
    return ends


def start(job: dict[str, Any], gate: int, opener: int) -> tuple[int, int]:
    """Fork a worker that waits at the gate: its process id, and the pipe for what it has to say."""
    ends_in, ends_out = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(opener)
        os.read(gate, 1)
        with os.fdopen(ends_out, "w") as stream:
            json.dump(work(job), stream)
        os._exit(0)
    os.close(ends_out)
    return process, ends_in


if __name__ == "__main__":
    gate, opener = os.pipe()
    workers = [start(job, gate, opener) for job in json.loads(sys.argv[1])]
    sys.stdout.write(json.dumps([process for process, _ in workers]) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    os.close(opener)
    for process, pipe in workers:
        with os.fdopen(pipe) as stream:
            said = stream.read()
        ends = {"status": os.waitpid(process, 0)[1], "ends": json.loads(said) if said else None}
        sys.stdout.write(json.dumps(ends) + "\n")
