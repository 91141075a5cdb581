"""The shape of the house: small files, small functions, one arrow, and words that do not belong."""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("configs", "processing", "catalogs", "pipelines")
MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 320, 65, 8

# Every exception has a reason, and goes when the reason does.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    "pipelines/cli/ortho.py:ortho": "the command's options are most of it",
    "processing/testing/dimap2/product.py:product_document": "one document, written down in its own order",
}
MANY_PARAMETERS: dict[str, str] = {
    "pipelines/cli/backfill.py:backfill": "the command's options are its parameters",
    "pipelines/cli/composite.py:composite": "the command's options are its parameters",
    "pipelines/cli/bench.py:ortho": "the command's options are its parameters",
    "pipelines/cli/bench.py:load": "the command's options are its parameters",
    "pipelines/cli/adjust.py:adjust": "the command's options are its parameters",
    "pipelines/cli/customer.py:add": "the command's options are its parameters",
    "pipelines/cli/customer_terms.py:quota": "the command's options are its parameters",
    "pipelines/cli/export_rpc.py:export_rpc": "the command's options are its parameters",
    "pipelines/cli/download.py:download": "the command's options are its parameters",
    "pipelines/cli/order.py:place_command": "the command's options are its parameters",
    "pipelines/cli/ortho.py:ortho": "the command's options are its parameters",
    "pipelines/cli/subscription.py:add_command": "the command's options are its parameters",
    "pipelines/cli/process.py:process": "the command's options are its parameters",
    "pipelines/cli/reprocess.py:reprocess": "the command's options are its parameters",
    "pipelines/cli/search.py:search": "the command's options are its parameters",
    "processing/testing/render.py:render": "a world, its relief, a camera, a detector and their light",
}

type Function = ast.FunctionDef | ast.AsyncFunctionDef


def _sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is asked about of all sources, which are parsed once for it."""

    lengths: dict[str, int] = field(default_factory=dict)
    """Of each function, by file and name: lines of code."""
    parameters: dict[str, int] = field(default_factory=dict)
    guessing: list[str] = field(default_factory=list)
    """Where a transformer is made that may guess."""


@cache
def _facts() -> Facts:
    facts = Facts()
    for path in _sources():
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                function = f"{name}:{node.name}"
                facts.lengths[function] = max(_length(node), facts.lengths.get(function, 0))
                facts.parameters[function] = max(_parameters(node), facts.parameters.get(function, 0))
            elif isinstance(node, ast.Call) and _guesses(node):
                facts.guessing.append(f"{name}:{node.lineno}")
    return facts


def _guesses(call: ast.Call) -> bool:
    if not ast.unparse(call.func).endswith(("Transformer.from_crs", "TransformerGroup")):
        return False
    return {option.arg: ast.unparse(option.value) for option in call.keywords}.get("allow_ballpark") != "False"


def _length(function: Function) -> int:
    """Lines of code: without the docstring, which says what a reader needs, however long."""
    first = function.body[0]
    has_words = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_words else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def _parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in _sources()}
    found = {name: length for name, length in lengths.items() if length > MAX_FILE and name not in LONG_FILES}
    assert not found, f"longer than {MAX_FILE} lines: {found}"


def test_functions_are_short() -> None:
    lengths = _facts().lengths
    found = {name: length for name, length in lengths.items() if length > MAX_FUNCTION and name not in LONG_FUNCTIONS}
    assert not found, f"longer than {MAX_FUNCTION} lines of code: {found}"


def test_functions_take_few_parameters() -> None:
    found = {
        name: count
        for name, count in _facts().parameters.items()
        if count > MAX_PARAMETERS and name not in MANY_PARAMETERS
    }
    assert not found, f"more than {MAX_PARAMETERS} parameters: {found}"


def test_no_exception_outlives_its_reason() -> None:
    known = {*_facts().lengths, *(str(path.relative_to(ROOT)) for path in _sources())}
    assert {*LONG_FILES, *LONG_FUNCTIONS, *MANY_PARAMETERS} <= known


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "base", "core", "manager", "misc"}
    found = [path for path in _sources() if drawers & {path.stem, path.parent.name}]
    assert not found


def test_no_room_is_empty() -> None:
    for path in _sources():
        assert path.read_text(encoding="utf-8").strip(), f"{path} is empty"


def test_imports_keep_to_the_arrow() -> None:
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    result = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]


def test_the_repository_holds_only_what_may_be_in_it() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    result = subprocess.run([ROOT / ".ci" / "repository"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_is_left_half_done() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError|^\s*\.\.\.\s*$")
    found = []
    for path in _sources():
        text = path.read_text(encoding="utf-8")
        if "Protocol" in text:
            continue  # the bodies of protocols are three dots by nature
        found += [f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(text.splitlines(), 1) if marks.search(line)]
    assert not found


def test_no_transformer_may_guess() -> None:
    """Where its grids are missing PROJ shifts by nothing and says nothing, unless told not to."""
    assert _facts().lengths, "no source was looked at"
    assert not _facts().guessing


def test_no_unsafe_loader_runs_what_it_reads() -> None:
    """No eval, exec, pickle, or shell: nothing that comes from outside may become code."""
    forbidden = re.compile(
        r"(?<![\w.])(eval|exec)\(|\bpickle\.loads?\b|\bcloudpickle\b|shell=True|\bos\.system\b|\.extractall\(|yaml\.load\("
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line) and "``" not in line
    ]
    assert not found
