"""``python -m pipelines.make_bucket``: the bucket of the installation's second place, made where it is not there."""

import sys
import time

from configs.settings import Home
from pipelines.archive_place import archive_place
from processing.archive.bucket import make_bucket
from processing.model.errors import Retryable

_PATIENCE_S = 120.0


def main() -> None:
    """Make it, waiting for a server that is just starting."""
    place = archive_place(Home.resolve())
    if place is None or not place.is_s3:
        return
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            made = make_bucket(place)
        except Retryable:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            sys.stderr.write(f"{'made' if made else 'there already'}: {place}\n")
            return


if __name__ == "__main__":
    main()
