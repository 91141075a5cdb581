"""``qyran download``: fetch an order's package, take up where it was left, and be sure of every byte."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar


def download(
    order: Annotated[str, typer.Argument(help="Id of the order.", metavar="ORDER")],
    to: Annotated[Path, typer.Option("--to", help="Folder that gets ORDER/.", metavar="DIR")],
    server: Annotated[
        str | None, typer.Option(help="Fetch from this server. [default: copy from HOME]", metavar="URL")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Customer's token. [default: $QYRAN_TOKEN]", envvar="QYRAN_TOKEN", metavar="T")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Public key of the house. [default: as first seen]", metavar="ed25519:BASE64"),
    ] = None,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Only check what lies there; needs no network.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Fetch an order's package and verify it: signature, lengths and SHA-256 of every file.

    What has come is kept: run it again after an interruption. Exits with 1 unless the package is whole and sound.

    Example: `qyran download 20261123-33cd49d0a72abf3d88d287ceded9b5a4 --to deliveries/ --server https://eo.example.kz`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.delivery.package_keys import PublicKey
        from pipelines.download import fetch_package, verify_folder
        from pipelines.order_run import copy_package, house_key

        trusted = None if key is None else PublicKey.parse(key)
        if trusted is None and server is None:
            trusted = house_key(home)
        if verify_only:
            folder = to / order if (to / order).is_dir() else to
            opened, findings = verify_folder(folder, trusted)
            _show_findings(opened.key, findings, folder, pinned=opened.pinned, as_json=as_json)
            if findings:
                raise typer.Exit(FAILED)
            return
        with progress_bar("fetching") as report:
            if server is None:
                document = copy_package(home, order, to)
            else:
                document = fetch_package(server, token, order, to, key=trusted, report=report).document()
        if as_json:
            print_json(document)
        else:
            out.print(f"[bold green]verified[/] {document['files']} files, {document['bytes'] / 1e6:.1f} MB")
            out.print(f"  {escape(document['folder'])}")


def _show_findings(key: object, findings: list[dict[str, str]], folder: Path, *, pinned: bool, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), "verified": not findings, "pinned": pinned, "key": str(key),
                    "findings": findings})  # fmt: skip
        return
    for finding in findings:
        err.print(f"[bold red]{finding['what']}[/] {escape(finding['path'])}")
    if not findings:
        out.print(f"[bold green]verified[/] {escape(str(folder))}")
    if not pinned:
        err.print(f"[yellow]signed by {key}[/]: compare that with what the house has told you, and give it as --key")
