"""Recipe arithmetic against Python's own, exact fractions, and things that must not parse."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.model.errors import BadInput
from processing.products.expression import MAX_DEPTH, compile_expression

BANDS = ("red", "nir", "red_edge")
NUMBERS = st.integers(0, 40).map(lambda n: str(n / 4))


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, st.sampled_from("+-*/"), inner)
    return st.one_of(
        pair.map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        pair.map(lambda p: f"{p[0]}{p[1]}{p[2]}"),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"-({text})"),
    )


TEXTS = st.recursive(st.one_of(st.sampled_from(BANDS), NUMBERS), _wider, max_leaves=8).map(
    lambda text: f"({text}) * 1 + 0 * red"
)
VALUES = st.fixed_dictionaries({band: st.integers(-8, 8) for band in BANDS})


def _exact(text: str, values: dict[str, int]) -> Fraction | None:
    """The same text by Python's parser over exact fractions; None where a divisor is zero."""
    names: dict[str, object] = {band: Fraction(value) for band, value in values.items()}
    wrapped = "".join(f"Fraction('{part}')" if part[:1].isdigit() else part for part in _split(text))
    try:
        return Fraction(eval(wrapped, {"Fraction": Fraction, "__builtins__": {}}, names))
    except ZeroDivisionError:
        return None


def _split(text: str) -> list[str]:
    parts, run = [], ""
    for character in text:
        if character.isdigit() or character == ".":
            run += character
        else:
            parts += [run, character] if run else [character]
            run = ""
    return [*parts, run] if run else parts


@given(text=TEXTS, values=VALUES)
def test_agrees_with_exact_arithmetic(text: str, values: dict[str, int]) -> None:
    bands = {band: np.full((2, 3), value, np.float32) for band, value in values.items()}
    found = compile_expression(text)(bands)
    assert found.shape == (2, 3)
    assert found.dtype == np.float32
    expected = _exact(text, values)
    if expected is None:
        assert np.isnan(found).all()
    else:
        # Quarters and small integers are exact in float32 except after division; cancellation costs absolute digits.
        np.testing.assert_allclose(found, float(expected), rtol=1e-4, atol=1e-2)


def test_ndvi_by_hand() -> None:
    ndvi = compile_expression("(nir - red) / (nir + red)")
    red = np.array([0.1, 0.0, np.nan, -0.05, 0.2], np.float32)
    nir = np.array([0.5, 0.0, 0.3, 0.05, np.nan], np.float32)
    np.testing.assert_allclose(ndvi({"red": red, "nir": nir}), [0.4 / 0.6, np.nan, np.nan, np.nan, np.nan], rtol=1e-6)
    assert ndvi.names == ("nir", "red")


def test_a_missing_value_spreads_even_through_a_factor_of_zero() -> None:
    values = np.array([np.nan, 3], np.float32)
    np.testing.assert_array_equal(compile_expression("0 * red + 2")({"red": values}), np.float32([np.nan, 2]))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "red.real",
        "red[0]",
        "min(red, nir)",
        "red ** nir",
        "red // nir",
        "red if nir else red",
        "lambda: red",
        "red, nir",
        "red < nir",
        "red = nir",
        "'red'",
        "1e400 * red",
        "1j * red",
        "True * red",
        "+red",
        "red nir",
        "",
        "   ",
        "3 + 4",
        "_red + 1",
        "red +",
        "rеd",  # Cyrillic е
        "red\n+ nir",
        "red # nir",
        "-" * 400 + "red",
        "(" * 240 + "red" + ")" * 240,
        "red+" * 200 + "red",
    ],
)
def test_refuses_what_is_not_arithmetic(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        compile_expression(text)
    assert refused.value.kind == "expression.syntax"
    assert len(str(refused.value)) < 400


def test_depth_is_bounded_not_width() -> None:
    compile_expression("-" * MAX_DEPTH + "red")
    with pytest.raises(BadInput):
        compile_expression("-" * (MAX_DEPTH + 1) + "red")


def test_names_the_missing_band() -> None:
    with pytest.raises(BadInput, match="needs nir") as refused:
        compile_expression("nir / red")({"red": np.ones(2, np.float32)})
    assert refused.value.kind == "expression.band_missing"
