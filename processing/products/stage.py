"""From a product's bands to a derived product's, lazily: recipes' expressions over Dask arrays."""

import dask.array as da
import numpy as np
import xarray as xr
from dask.tokenize import tokenize
from odc.geo.geobox import GeoBox

from configs.schema import OutputBand, RecipeConfig
from processing.model.errors import BadInput, Defect
from processing.model.image import Arrays, OrthoImage
from processing.model.qa import Qa
from processing.model.scene import Band
from processing.products.expression import Expression, compile_expression

GROUP = "index"
"""Measurement group of everything computed by an expression."""


def derive(parent: xr.Dataset, recipe: RecipeConfig, geobox: GeoBox) -> OrthoImage:
    """Apply a derived recipe to the bands of its parent. Nothing is computed.

    Parameters
    ----------
    parent
        The parent's bands as float32 ``(y, x)`` in physical units, NaN where there is none, and its ``qa`` (uint16,
        the bits of :class:`~processing.model.qa.Qa`), chunked by shards.
    recipe
        Level ``derived``, each output with an expression over ``recipe.inputs``.
    geobox
        The parent's grid, which the result keeps.

    Returns
    -------
    OrthoImage
        Values outside an output's ``valid_range`` are clipped to it and flagged ``OUT_OF_RANGE``. A value is NaN
        where any band it needs is, or where a divisor is zero, and then flagged ``NODATA``. All bits of the parent
        are carried through.

    Raises
    ------
    BadInput
        ``recipe.bands_missing`` if the parent lacks an input; ``expression.syntax`` for an expression outside the
        grammar; ``recipe.expression`` for an output without one, or one that uses a band not among the inputs.
    Defect
        ``product.grid`` if the parent's arrays are not of the grid's shape.
    """
    missing = [name for name in recipe.inputs if name not in parent]
    if missing:
        raise BadInput(
            f"recipe {recipe.id} needs {', '.join(missing)}, which the parent does not hold",
            kind="recipe.bands_missing",
            where=f"bands: {', '.join(str(name) for name in parent.data_vars)}",
        )
    inputs = {name: _array(parent[name], geobox) for name in recipe.inputs}
    qa = _array(parent["qa"], geobox)
    values = []
    for output in recipe.outputs:
        raw = _evaluated(_expression(output, recipe), inputs)
        low, high = (np.float32(limit) for limit in output.valid_range)
        values.append(da.clip(raw, low, high))
        # A comparison with NaN is false, so what has no value is not called out of range.
        qa = da.where((raw < low) | (raw > high), qa | np.uint16(Qa.OUT_OF_RANGE), qa)
        qa = da.where(da.isnan(raw), qa | np.uint16(Qa.NODATA), qa)
    bands = tuple(Band(name=output.name, label=output.title) for output in recipe.outputs)
    return OrthoImage(
        group=GROUP,
        geobox=geobox,
        bands=bands,
        arrays=Arrays(
            pixels=xr.DataArray(
                da.stack(values),
                dims=("band", "y", "x"),
                coords={"band": [band.name for band in bands]},
                name=recipe.id,
            ),
            qa=xr.DataArray(qa, dims=("y", "x"), name="qa"),
        ),
        quantity=recipe.id,
    )


def _array(band: xr.DataArray, geobox: GeoBox) -> da.Array:
    if band.shape != geobox.shape:
        raise Defect(f"band {band.name} is {band.shape}, but the product's grid is {geobox.shape}", kind="product.grid")
    array: da.Array = da.asarray(band.data)
    return array


def _expression(output: OutputBand, recipe: RecipeConfig) -> Expression:
    if output.expression is None:
        raise BadInput(
            f"output {output.name} of recipe {recipe.id} has no expression",
            kind="recipe.expression",
            remedy="Write one over the recipe's inputs.",
        )
    expression = compile_expression(output.expression)
    unlisted = sorted(set(expression.names) - set(recipe.inputs))
    if unlisted:
        raise BadInput(
            f"output {output.name} of recipe {recipe.id} uses {', '.join(unlisted)}, not among its inputs",
            kind="recipe.expression",
            remedy="List every band an expression uses under inputs.",
        )
    return expression


def _evaluated(expression: Expression, inputs: dict[str, da.Array]) -> da.Array:
    """One task a block; its name depends on the expression and its inputs only, so equal work has equal names."""
    names = expression.names
    arrays = [inputs[name] for name in names]
    token = tokenize(expression.program, *(array.name for array in arrays))
    values: da.Array = da.map_blocks(
        _evaluate_block, *arrays, expression=expression, names=names, dtype=np.float32, name=f"expression-{token}"
    )
    return values


def _evaluate_block(*blocks: np.ndarray, expression: Expression, names: tuple[str, ...]) -> np.ndarray:
    return expression(dict(zip(names, blocks, strict=True)))
