"""``qyran backfill``: an archive of deliveries through the queue of ``qyran up``."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, progress_bar


def backfill(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder in which packages lie side by side.", exists=True, file_okay=False)
    ] = None,
    recipe: Annotated[str, typer.Option(help="What is made of each.")] = "l1c",
    derive: Annotated[list[str] | None, typer.Option(help="Derived products; 'all' for every one.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Begin anew what failed in an earlier backfill.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Let the queue rest; what has begun is finished.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let a paused queue go on.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Process every package of a folder, behind whatever is more urgent, and show how far it is.

    Ctrl-C leaves the queue as it is; the same command goes on from there, and does nothing twice. `--pause` and
    `--resume` hold and free the queue from another terminal. `--json` prints one object a package as it ends.

    Example: `qyran backfill /archive/kazeosat-2/2019 --derive all`
    """
    configure_logging(debug=debug)
    if (folder is None) == (not pause and not resume) or (pause and resume):
        raise typer.BadParameter("name a folder, or --pause, or --resume")
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines import backfill as work

        place = Home.resolve(home)
        if folder is None:
            work.pause(place, paused=pause)
            out.print("the queue rests" if pause else "the queue goes on")
            return
        from pipelines.requests import SceneRequest

        request = SceneRequest(package="-", home=str(place.path), recipe=recipe, derive=derive or [])
        counts: Counter[str] = Counter()
        with progress_bar("backfill") as report:
            packages = work.packages_in(folder)
            for ended in work.backfill(place, packages, request=request, again=again, report=report):
                counts[ended.state] += 1
                if as_json:
                    typer.echo(ended.model_dump_json())
                elif ended.state in ("Failed", "Crashed", "Quarantined"):
                    err.print(
                        f"[red]{ended.state.lower()}[/] {escape(Path(ended.package).name)}: {escape(ended.message)}"
                    )
        if not as_json:
            out.print(", ".join(f"{count} {name.lower()}" for name, count in sorted(counts.items())))
        if counts["Failed"] + counts["Crashed"]:
            raise typer.Exit(FAILED)
