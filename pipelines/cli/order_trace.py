"""``qyran order trace``: which order a file came from."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json


def trace_command(
    file: Annotated[
        Path, typer.Argument(help="GeoTIFF of bands as they were delivered, or a part of one.", exists=True,
                             dir_okay=False)
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Tell which order a file came from, by the fingerprint in its pixels.

    Policy says which deliveries carry one (the obligation `watermark`): single counts more or less at some pixels, by
    a key of this installation. The file may be cut out, or its bands copied elsewhere; its grid must be the delivered
    one. Exit 0 with no order where no fingerprint is found.

    Example: `qyran order trace found-on-the-web.tif`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.order_trace import trace_file
        from processing.products.fingerprint import FALSE_POSITIVE

        found = trace_file(Home.resolve(home), file)
        if as_json:
            print_json({
                "file": str(file), "compared_orders": found.orders, "false_positive": FALSE_POSITIVE,
                "order": found.traces[0].order if found.traces else None,
                "found": [
                    {"order": one.order, "customer": one.customer, "item": one.item, "band": one.band,
                     "marked": one.evidence.marked, "agreeing": one.evidence.agreeing,
                     "log10_p": round(one.evidence.log10_p, 2)}
                    for one in found.traces
                ],
            })  # fmt: skip
            return
        for one in found.traces:
            out.print(
                f"[bold]{one.order}[/] for {escape(one.customer)}: {escape(one.item)}, band {escape(one.band)}: "
                f"{one.evidence.agreeing:,} of {one.evidence.marked:,} marked pixels agree; by chance in one of "
                f"10^{-one.evidence.log10_p:.0f}"
            )
        if not found.traces:
            out.print(f"no fingerprint of {found.orders} orders that show this ground is in it")
