"""Corrections in image space fitted to points: how many terms they support, which points are blunders, what is left.

Everything here is arrays: ``seen`` and ``measured`` are ``(points, 2)`` line, sample, where the model sees the points
and where they were measured; coefficients are ``(3, 2)``: constant, slope along lines, slope along samples, for line
and sample.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TERMS = {"shift": 1, "drift": 2, "affine": 3}
"""Terms of each correction and coordinate: a bias; and its drift with time, that is with the line; and with both."""
LEAST_POINTS = {"shift": 1, "drift": 4, "affine": 6}
_SPREAD = 0.5
"""Part of the image's length (and width) that points must span before they may bend it."""
_LEAST_A_HALF = 2
"""Points on either side of the image's middle: one alone would bend it by its own error."""
_ROUND = 0.1
"""Least ratio of a point cloud's axes: thinner, and the slope across it is anybody's guess."""
_EVIDENCE = 10.0
"""By how much Akaike's criterion must prefer more terms: the usual bound of "essentially no support" for fewer
(Burnham and Anderson 2002, 2.6). At 4, shifts were bent by their noise one time in twenty."""
_HUBER = 1.345
_RADIAL_MEDIAN = 1.1774
"""Median of a circular Gaussian's radial error, in standard deviations."""
_BLUNDER = 4.0
"""Standard deviations; a circular Gaussian exceeds them once in 3,000 times."""
_NO_BLUNDER_PX = 0.1
_LEAST_FOR_BLUNDERS = 5
_DRAWS = 300


def supported(seen: Array, shape: tuple[int, int] | None) -> tuple[str, ...]:
    """Corrections that points could bear, by their number and where they lie, fewest terms first.

    Parameters
    ----------
    seen
        ``(points, 2)``.
    shape
        Lines and samples of the image; None: only number and roundness are judged.
    """
    kinds = ["shift"]
    along = _spans(seen[:, 0], None if shape is None else shape[0])
    across = _spans(seen[:, 1], None if shape is None else shape[1])
    if len(seen) >= LEAST_POINTS["drift"] and along:
        kinds.append("drift")
    if len(seen) >= LEAST_POINTS["affine"] and along and across:
        axes = np.linalg.svd(seen - seen.mean(axis=0), compute_uv=False)
        if axes[1] >= _ROUND * axes[0]:
            kinds.append("affine")
    return tuple(kinds)


def _spans(position: Array, size: int | None) -> bool:
    """Whether points lie on both sides of the image's middle, and far enough apart."""
    if size is None:
        return bool(np.ptp(position) > 0) if len(position) else False
    before = int((position < size / 2).sum())
    return bool(np.ptp(position) >= _SPREAD * size) and min(before, len(position) - before) >= _LEAST_A_HALF


def choose(seen: Array, measured: Array, kinds: tuple[str, ...]) -> tuple[str, dict[str, float]]:
    """The correction that evidence prefers: more terms only where Akaike's criterion clearly asks for them.

    Returns
    -------
    kind, criteria
        And the criterion (AICc) of each; smaller is better.
    """
    criteria = {kind: akaike(seen, measured, TERMS[kind]) for kind in kinds}
    chosen = kinds[0]
    for kind in kinds[1:]:
        if criteria[kind] < criteria[chosen] - _EVIDENCE:
            chosen = kind
    return chosen, criteria


def akaike(seen: Array, measured: Array, terms: int) -> float:
    """Akaike's criterion of a fit, corrected for small samples (Hurvich and Tsai 1989): smaller is better."""
    values, parameters = 2 * len(seen), 2 * terms + 1
    if values <= parameters + 1:
        return 0.0 if terms == 1 else float("inf")
    squares = float(np.sum(residuals(seen, measured, fit(seen, measured, terms)) ** 2))
    correction = 2.0 * parameters * (parameters + 1) / (values - parameters - 1)
    return float(values * np.log(max(squares, 1e-12) / values) + 2 * parameters + correction)


def fit(seen: Array, measured: Array, terms: int) -> Array:
    """Coefficients ``(3, 2)``, robust: what lies far off weighs less (Huber's weights, scaled by the median)."""
    centre = seen.mean(axis=0)
    scale = max(float(np.abs(seen - centre).max()), 1.0)
    design = np.column_stack([np.ones(len(seen)), (seen - centre) / scale])[:, :terms]
    miss = measured - seen
    weight = np.ones(len(seen))
    solution = np.zeros((terms, 2))
    for _ in range(20 if len(seen) > terms + 2 else 1):
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(design * root, miss * root, rcond=None)[0]
        distance = np.hypot(*(miss - design @ solution).T)
        sigma = max(float(np.median(distance)) / _RADIAL_MEDIAN, 1e-6)
        before, weight = weight, np.minimum(1.0, _HUBER * sigma / np.maximum(distance, 1e-12))
        if np.abs(weight - before).max() < 1e-6:
            break
    coefficients = np.zeros((3, 2))
    coefficients[0] = solution[0]
    coefficients[1:terms] = solution[1:] / scale
    coefficients[0] -= centre @ coefficients[1:]
    return coefficients


def residuals(seen: Array, measured: Array, coefficients: Array) -> Array:
    """What is left at points, px, ``(points, 2)``."""
    return np.asarray(measured - seen - np.column_stack([np.ones(len(seen)), seen]) @ coefficients)


def left_out(seen: Array, measured: Array, terms: int) -> Array:
    """Residual of each point against a fit that never saw it, px, ``(points, 2)``."""
    others = ~np.eye(len(seen), dtype=np.bool_)
    return np.array(
        [
            residuals(seen[[index]], measured[[index]], fit(seen[rest], measured[rest], terms))[0]
            for index, rest in enumerate(others)
        ]
    )


def sound(seen: Array, measured: Array, terms: int) -> Mask:
    """Points that are no blunders.

    A least-median fit (Rousseeuw 1984), which half the points cannot drag away however far they lie, tells the
    blunders; under five points nobody can tell who is wrong, and all are kept.
    """
    count = len(seen)
    if count < _LEAST_FOR_BLUNDERS:
        return np.ones(count, dtype=np.bool_)
    # Few points bent by three terms follow their own noise; a shift tells their blunders as well.
    terms = terms if count >= 4 * terms else 1
    random = np.random.default_rng(0)
    best, scale = np.zeros(count), np.inf
    draws = (
        [random.choice(count, terms, replace=False) for _ in range(_DRAWS)] if terms > 1 else np.arange(count)[:, None]
    )
    for drawn in draws:
        far = np.hypot(*residuals(seen, measured, fit(seen[drawn], measured[drawn], terms)).T)
        if np.median(far) < scale:
            best, scale = far, float(np.median(far))
    sigma = (1.0 + 5.0 / (count - terms)) * scale / _RADIAL_MEDIAN
    kept = best <= max(_BLUNDER * sigma, _NO_BLUNDER_PX)
    for _ in range(3):
        left = np.hypot(*residuals(seen, measured, fit(seen[kept], measured[kept], terms)).T)
        sigma = (1.0 + 5.0 / count) * float(np.median(left[kept])) / _RADIAL_MEDIAN
        kept = left <= max(_BLUNDER * sigma, _NO_BLUNDER_PX)
    return np.asarray(kept)
