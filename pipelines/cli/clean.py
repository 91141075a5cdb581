"""``qyran clean``: what may go by the rules of the installation."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go: what happens without --yes.")] = (
        False
    ),
    yes: Annotated[bool, typer.Option("--yes", help="Let it go.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what may go and how many bytes that frees; with `--yes`, let it go.

    The rules stand in HOME/configs/keeping.yaml: earlier revisions of products, what no product names, what
    interrupted runs left, here and at the second place, packages in quarantine, uploads that never ended, inputs of
    products that are no more. A recipe may have a rule of its own (`keep_superseded_days`). What the catalogue names
    never goes.

    Example: `qyran clean --home /srv/qyran --yes`
    """
    configure_logging(debug=debug)
    if dry_run and yes:
        raise typer.BadParameter("either one or the other", param_hint="--dry-run, --yes")
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.clean import clean as let_go

        with progress_bar("cleaning") as report:
            done = let_go(Home.resolve(home), act=yes, report=report)
        document = done.model_dump(mode="json")
        if as_json:
            print_json(document)
        else:
            _show(document)
        if yes and not all(removal["gone"] for removal in document["removals"]):
            raise typer.Exit(FAILED)


def _show(document: dict[str, Any]) -> None:
    for note in document["notes"]:
        err.print(f"[yellow]note[/] {escape(note)}")
    for words in document["recovered"]:
        out.print(f"[bold green]recovered[/] {escape(words)}")
    for removal in document["removals"]:
        word = "would go" if document["dry_run"] else "gone" if removal["gone"] else "stays"
        out.print(f"[bold]{word}[/] {escape(', '.join(removal['objects']))}  {_size(removal['bytes'])}")
        out.print(f"  {removal['kind']}: {escape(removal['detail'])}")
    if document["dry_run"]:
        words = f"{len(document['removals'])} would go, {_size(document['bytes'])}"
        out.print(f"{words}. Run it with --yes to let it go." if document["removals"] else "nothing may go")
    else:
        out.print(f"{_size(document['freed_bytes'])} freed")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
