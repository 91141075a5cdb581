"""Arithmetic over band names, as recipes write it: a closed grammar, compiled once, never evaluated as Python.

The grammar is ``+ - * /``, unary minus, parentheses, decimal numbers and band names. Nothing else parses: no
calls, attributes, indexing, comparison or power, so that a recipe can name bands and combine them, and cannot do
anything more.
"""

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput

MAX_LENGTH = 500
MAX_DEPTH = 32

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_CHARACTERS = re.compile(r"[a-z0-9_.+\-*/() ]*\Z")
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

type Step = tuple[str, str | float | None]
"""One step of a stack machine: ("name", band), ("number", value), ("negate", None) or (operator, None)."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression: a flat program for a stack machine, so equal texts give equal Dask tokens everywhere."""

    text: str
    program: tuple[Step, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Bands it needs, sorted, each once."""
        return tuple(sorted({str(value) for kind, value in self.program if kind == "name"}))

    def __call__(self, bands: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Evaluate block by block, in float32.

        Parameters
        ----------
        bands
            Arrays of one shape by band name; NaN where there is no value.

        Returns
        -------
        array
            float32, of the bands' shape. NaN where any band used is NaN, and where a divisor is zero: an infinite
            index means nothing.

        Raises
        ------
        BadInput
            ``expression.band_missing`` if a band it names is not given.
        """
        missing = [name for name in self.names if name not in bands]
        if missing:
            raise BadInput(
                f"the expression '{self.text}' needs {', '.join(missing)}, which the input does not hold",
                kind="expression.band_missing",
                where=f"bands: {', '.join(sorted(bands))}",
            )
        shape = np.broadcast_shapes(*(bands[name].shape for name in self.names))
        with np.errstate(all="ignore"):
            result = self._run(bands)
            result[~np.isfinite(result)] = np.nan
        return np.broadcast_to(result, shape) if result.shape != shape else result

    def _run(self, bands: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        stack: list[npt.NDArray[np.float32]] = []
        for kind, value in self.program:
            if kind == "name":
                stack.append(np.asarray(bands[str(value)], np.float32))
            elif kind == "number":
                stack.append(np.asarray(value, np.float32))
            elif kind == "negate":
                stack.append(-stack.pop())
            else:
                right, left = stack.pop(), stack.pop()
                stack.append(_apply(kind, left, right))
        return np.array(stack.pop(), np.float32)


def _apply(operator: str, left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return np.where(right == 0, np.float32(np.nan), left / right)


def compile_expression(text: str) -> Expression:
    """Compile an expression of the closed grammar.

    Raises
    ------
    BadInput
        ``expression.syntax`` if the text is not of the grammar, is longer than ``MAX_LENGTH`` characters or nested
        deeper than ``MAX_DEPTH``, or names no band.
    """
    if len(text) > MAX_LENGTH:
        raise _wrong(text, f"it is {len(text)} characters long; {MAX_LENGTH} are allowed")
    if not _CHARACTERS.match(text):
        raise _wrong(text, "only lower-case names, numbers, + - * / and parentheses are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise _wrong(text, "it does not parse") from error
    program: list[Step] = []
    _emit(tree, program, text, depth=0)
    if not any(kind == "name" for kind, _ in program):
        raise _wrong(text, "it names no band")
    return Expression(text=text.strip(), program=tuple(program))


def _emit(node: ast.expr, program: list[Step], text: str, depth: int) -> None:
    """Append a node's steps in postfix order."""
    if depth > MAX_DEPTH:
        raise _wrong(text, f"it is nested deeper than {MAX_DEPTH}")
    match node:
        case ast.Name(id=name) if _NAME.match(name):
            program.append(("name", name))
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            program.append(("number", float(value)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _emit(operand, program, text, depth + 1)
            program.append(("negate", None))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            _emit(left, program, text, depth + 1)
            _emit(right, program, text, depth + 1)
            program.append((_OPERATORS[type(operator)], None))
        case _:
            raise _wrong(text, f"'{ast.unparse(node)}' is not arithmetic over bands")


def _wrong(text: str, why: str) -> BadInput:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return BadInput(
        f"the expression '{shown}' is refused: {why}",
        kind="expression.syntax",
        remedy="Write sums, differences, products and quotients of band names, e.g. (nir - red) / (nir + red).",
    )
