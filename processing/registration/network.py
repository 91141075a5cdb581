"""The adjustment of a block: ties between scenes in, corrections in image space out; robust least squares."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processing.geometry.refine_fit import TERMS, supported
from processing.model.errors import BadInput
from processing.model.scene import Scene

Array = npt.NDArray[np.float64]

_DATUM = 1e3
"""Weight of the condition that the corrections of a free network cancel on the ground. Scenes see a common shift almost
alike; the hundredth by which they do not must not decide where the block lies (measured: by a metre)."""
_HUBER = 1.345
_RADIAL_MEDIAN = 1.1774
"""Median of a circular Gaussian's radial error, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Displacements between two scenes: at ground points, east and north in m, and where each scene sees them."""

    scenes: tuple[str, str]
    displacement: Array
    """``(points, 2)``: what the first shows at a place, the second shows so far off."""
    position: tuple[Array, Array]
    """``(points, 2)`` line, sample in either scene."""
    inverse: tuple[Array, Array]
    """``(points, 2, 2)``: metres east and north a pixel along line and sample, for either scene."""
    tried: int


def solved(scenes: Mapping[str, Scene], ties: list[Tie], kind: str, anchored: Collection[str]) -> dict[str, Array]:
    """Coefficients ``(3, 2)`` of each scene's correction: joint least squares with Huber's weights."""
    terms = TERMS[kind]
    free = [name for name in scenes if name not in anchored]
    column = {name: 2 * terms * index for index, name in enumerate(free)}
    _refuse_unsupported(scenes, ties, kind, free)
    blocks, right = [], []
    for tie in ties:
        rows = np.zeros((len(tie.displacement), 2, 2 * terms * len(free)))
        for side, sign in ((0, -1.0), (1, 1.0)):
            name = tie.scenes[side]
            if name in column:
                basis = _basis(tie.position[side], scenes[name].shape)[:, :terms]
                part = sign * np.einsum("pij,pt->pijt", tie.inverse[side], basis)
                rows[:, :, column[name] : column[name] + 2 * terms] = part.reshape(len(basis), 2, -1)
        blocks.append(rows)
        right.append(tie.displacement)
    datum = _datum(ties, column, terms) if len(free) == len(scenes) else np.zeros((0, 2 * terms * len(free)))
    solution = _least_squares(np.concatenate(blocks), np.concatenate(right), datum)
    return {
        name: _coefficients(solution[at : at + 2 * terms].reshape(2, terms).T, scenes[name].shape)
        for name, at in column.items()
    }


def _refuse_unsupported(scenes: Mapping[str, Scene], ties: list[Tie], kind: str, free: list[str]) -> None:
    for name in free:
        seen = np.concatenate([tie.position[tie.scenes.index(name)] for tie in ties if name in tie.scenes])
        if kind not in supported(seen, scenes[name].shape):
            raise BadInput(
                f"the ground that '{name}' shares with other scenes does not support the correction '{kind}'",
                kind="block.too_few",
                remedy="Correct by a shift.",
            )


def _basis(position: Array, shape: tuple[int, int]) -> Array:
    """Constant, line and sample, the latter two from -1 to 1 over the image: unknowns of one order of size."""
    return np.column_stack([np.ones(len(position)), 2 * position / np.array(shape) - 1])


def _coefficients(solution: Array, shape: tuple[int, int]) -> Array:
    """From the scaled basis back to lines and samples."""
    coefficients = np.zeros((3, 2))
    coefficients[: len(solution)] = solution
    coefficients[1:] *= 2 / np.array(shape)[:, None]
    coefficients[0] -= np.array(shape) / 2 @ coefficients[1:]
    return coefficients


def _datum(ties: list[Tie], column: Mapping[str, int], terms: int) -> Array:
    """Rows that let each term's corrections cancel over all scenes, east and north."""
    rows = np.zeros((terms, 2, 2 * terms * len(column)))
    for name, at in column.items():
        inverse = np.concatenate([tie.inverse[tie.scenes.index(name)] for tie in ties if name in tie.scenes]).mean(
            axis=0
        )
        for term in range(terms):
            # Unknowns of a scene run over its line's terms, then its sample's.
            rows[term, :, [at + term, at + terms + term]] = _DATUM * inverse.T
    return rows.reshape(2 * terms, -1)


def _least_squares(design: Array, right: Array, datum: Array) -> Array:
    """Solve ``(points, 2, unknowns)`` for displacements ``(points, 2)``; points that miss by much weigh less."""
    unknowns = design.shape[2]
    weight = np.ones(len(design))
    solution = np.zeros(unknowns)
    for _ in range(20):
        root = np.sqrt(weight)[:, None]
        rows = np.concatenate([(design * root[:, :, None]).reshape(-1, unknowns), datum])
        values = np.concatenate([(right * root).ravel(), np.zeros(len(datum))])
        solution = np.linalg.lstsq(rows, values, rcond=None)[0]
        distance = np.hypot(*(right - design @ solution).T)
        sigma = max(float(np.median(distance)) / _RADIAL_MEDIAN, 1e-6)
        before, weight = weight, np.minimum(1.0, _HUBER * sigma / np.maximum(distance, 1e-12))
        if np.abs(weight - before).max() < 1e-6:
            break
    return np.asarray(solution)
