"""``qyran mirror``: a second copy of the archive."""

from collections import Counter
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar


def mirror(
    to: Annotated[
        str,
        typer.Option(help="Folder or s3://bucket/prefix. [default: url in HOME/configs/archive.yaml]", metavar="PLACE"),
    ] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Send every revision of every product that the second place does not have, whole.

    Each object is measured before it is sent and read back after; what is there already is not sent again. A damaged
    product is not sent, and stops no other: then the exit code is 1. `qyran verify --repair` fetches from there.

    Example: `qyran mirror --to /mnt/second-site/qyran`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.mirror import FAILED as NOT_SENT
        from pipelines.mirror import mirror as send

        with progress_bar("mirroring") as report:
            results = list(send(Home.resolve(home), to or None, report=report))
        counts = Counter(result.outcome for result in results)
        if as_json:
            print_json({"products": [result.model_dump(mode="json") for result in results], "counts": dict(counts)})
        else:
            for result in results:
                if result.outcome == NOT_SENT:
                    err.print(f"[bold red]not sent[/] {result.item} {result.revision}: {escape(result.message)}")
            sent = sum(result.sent for result in results)
            said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing to send"
            out.print(f"{said}; {sent} objects sent")
        if counts[NOT_SENT]:
            raise typer.Exit(FAILED)
