"""Whether a delivered sensor model can be trusted: refused where it cannot, with the reason; warned where it may not.

What can be told, measured on the real files of Pleiades, SPOT 6 and Pleiades Neo:

- The two halves of a DIMAP RPC agree to 0.022 px at worst. A constant half or whole pixel between them is a shift.
- RPC tags and RPC file of one image are the same model: the same holds.
- A validity domain that counts 1..N in one convention counts 0..N-1 in the other. A hint, not a proof: a warning.
- The corners in the metadata cannot show a pixel. Each stands on its own, unstated height, so the direction of
  sight is free; across it, a Pleiades product's corners miss its own RPC by 0.51 line. They show the wrong place only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processing.geometry.compare import ImageToGround, ModelDifference, compare_models
from processing.geometry.corners import ANOTHER_IMAGE, Corner, check_axes, check_corners, wrapped
from processing.geometry.extent import plausible_heights
from processing.geometry.rpc import Rpc, require_finite, validate_rpc
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

AGREE_PX = 0.1
"""Two statements of one model differ by less than this."""
CONTRADICT_PX = 1.0
"""From here on they are not one model."""
REACH_WARN = 1.1
"""Ground beyond this many scales from the RPC's centre is outside what it was made for; beyond 2 it gives none."""
HEIGHT_WARN = 1.1
"""Terrain beyond this many height scales from the RPC's centre is outside what it was made for."""
HEIGHT_REFUSE = 10.0
"""Beyond this, the RPCs of Pleiades and SPOT 6 leave their own inverses by 0.2 px and go on growing by the cube."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """Image pixels that the producer made the RPC for, in corner-zero coordinates of their outer corners."""

    line: tuple[float, float]
    sample: tuple[float, float]


def check_model(
    model: SensorModel,
    *,
    shape: tuple[int, int],
    corners: Sequence[Corner] = (),
    direct: ImageToGround | None = None,
    domain: Domain | None = None,
    where: str = "",
) -> tuple[str, ...]:
    """Refuse a sensor model that would put the image in the wrong place, as far as its delivery can show it.

    Parameters
    ----------
    model
        The model, in corner-zero convention.
    shape
        Lines and samples of the image it belongs to.
    corners
        What the metadata states of the image's corners; none: nothing is compared.
    direct
        The same delivery's own statement of the inverse, or of the same model in another file.
    domain
        The image that the RPC says it was made for; None: the RPC's offsets and scales say it.
    where
        File, for messages.

    Returns
    -------
    tuple
        Warnings in plain words: what is odd, where the evidence is not enough to refuse.

    Raises
    ------
    BadInput
        ``rpc.nonfinite``, ``rpc.scale``, ``rpc.bounds``, ``rpc.singular`` as :func:`validate_rpc`;
        ``rpc.swapped_axes``: the model fits the corners only with longitude and latitude exchanged;
        ``rpc.inconsistent``: it sees ground far from the corners;
        ``rpc.shifted``: it and ``direct`` differ by a constant half or whole number of pixels;
        ``rpc.contradiction``: they differ otherwise.
    """
    if min(shape) < 1:
        raise BadInput(f"an image of {shape[0]} x {shape[1]} pixels has no model", kind="rpc.bounds", where=where)
    if isinstance(model, Rpc):
        require_finite(model, where)
        check_axes((model.lon_off, model.lat_off), corners, where)
        validate_rpc(model, shape, where)
    warnings = check_corners(model, shape, corners, where)
    if isinstance(model, Rpc):
        warnings += _check_domain(model, shape, domain, where)
    if direct is not None:
        warnings += check_agreement(model, direct, shape, where)
    return tuple(warnings)


def check_heights(model: SensorModel, heights: tuple[float, float]) -> tuple[str, ...]:
    """Whether the terrain under an image lies at heights that its RPC was made for.

    Parameters
    ----------
    heights
        Lowest and highest terrain, m above the ellipsoid.

    Returns
    -------
    tuple
        A warning where the RPC is asked beyond its domain.

    Raises
    ------
    BadInput
        ``dem.heights`` beyond ten times its height scale: then the terrain is wrong, or the RPC is another's.
    """
    rpc = getattr(model, "model", model)
    if not isinstance(rpc, Rpc):
        return ()
    beyond = max(abs(height - rpc.height_off) for height in heights) / rpc.height_scale
    domain = f"{rpc.height_off - rpc.height_scale:.0f} to {rpc.height_off + rpc.height_scale:.0f} m"
    message = f"the terrain lies at {heights[0]:.0f} to {heights[1]:.0f} m, the RPC was made for {domain}"
    if beyond > HEIGHT_REFUSE:
        raise BadInput(
            message,
            kind="dem.heights",
            remedy="Check the elevation model's unit and vertical datum, and whether the RPC is of this image.",
        )
    return (f"{message}: it extrapolates",) if beyond > HEIGHT_WARN else ()


def check_agreement(
    model: SensorModel, other: ImageToGround, shape: tuple[int, int], where: str = ""
) -> tuple[str, ...]:
    """Refuse two statements of one sensor model that are not one model.

    Returns
    -------
    tuple
        A warning where they differ by more than 0.1 px.

    Raises
    ------
    BadInput
        ``rpc.shifted`` for a constant half or whole pixel, up to two; ``rpc.contradiction`` for more than one pixel.
    """
    low, high = plausible_heights(model)
    found = compare_models(model, other, shape, (low, high))
    if found is None:
        message = "the delivery states its sensor model twice, and the two see different ground"
        raise BadInput(message, kind="rpc.contradiction", where=where, remedy=ANOTHER_IMAGE)
    apart = f"by {found.line_px:+.2f} lines and {found.sample_px:+.2f} samples"
    if _is_shift(found):
        raise BadInput(
            f"the delivery states its sensor model twice, and the two differ {apart} everywhere: one of them counts "
            "pixels from another origin",
            kind="rpc.shifted",
            where=where,
            remedy="Ask the provider which is right; hand the image in with that one alone.",
        )
    if found.max_px > CONTRADICT_PX:
        raise BadInput(
            f"the delivery states its sensor model twice, and the two differ by up to {found.max_px:.1f} px",
            kind="rpc.contradiction",
            where=where,
            remedy=ANOTHER_IMAGE,
        )
    if found.max_px > AGREE_PX:
        return (f"the delivery's two statements of its sensor model differ by up to {found.max_px:.2f} px",)
    return ()


def _is_shift(found: ModelDifference) -> bool:
    """Whether two models differ by nothing but a constant half or whole number of pixels, up to two."""
    doubled = np.array([found.line_px, found.sample_px]) * 2
    near = bool((np.abs(doubled - np.round(doubled)) < 2 * AGREE_PX).all())
    return near and found.spread_px < AGREE_PX and 1 <= np.abs(np.round(doubled)).max() <= 4


def _check_domain(rpc: Rpc, shape: tuple[int, int], domain: Domain | None, where: str) -> list[str]:
    """Whether the image is the one that the RPC was made for.

    Offsets and scales of line and sample do not tell: real crops (Pleiades over Marseille) carry the whole image's
    offsets with scales of the crop, and place it rightly. The ground they are normalised by does.
    """
    warnings = []
    lines, samples = np.array([0, 0, shape[0], shape[0]], float), np.array([0, shape[1], shape[1], 0], float)
    lon, lat = rpc.image_to_ground(lines, samples, rpc.height_off)
    reach = np.maximum(np.abs(wrapped(lon - rpc.lon_off)) / rpc.lon_scale, np.abs(lat - rpc.lat_off) / rpc.lat_scale)
    if not reach.max() <= REACH_WARN:
        warnings.append(f"the image sees ground {reach.max():.1f} times as far out as its RPC was made for")
    if domain is not None:
        warnings += _check_stated_domain(shape, domain, where)
    ends = [(rpc.line_off, rpc.line_scale, shape[0]), (rpc.sample_off, rpc.sample_scale, shape[1])]
    ratios = [(off + scale) / size for off, scale, size in ends]
    from_the_start = all(abs(off / scale - 1.0) <= 0.05 for off, scale, _ in ends)
    if from_the_start and any(all(abs(ratio / factor - 1.0) < 0.03 for ratio in ratios) for factor in (2.0, 3.0, 4.0)):
        warnings.append(
            f"the RPC was made for an image {ratios[0]:.0f} times as long and wide: right for its upper left part, "
            "wrong if it is that of a finer image of the same scene"
        )
    return warnings


def _check_stated_domain(shape: tuple[int, int], domain: Domain, where: str) -> list[str]:
    ends = []
    for name, size, (first, last) in zip(("lines", "samples"), shape, (domain.line, domain.sample), strict=True):
        if not first <= size / 2 <= last:
            raise BadInput(
                f"the RPC was made for {name} {first:.0f} to {last:.0f}, and the image has {size}: its middle lies "
                "outside",
                kind="rpc.bounds",
                where=where,
                remedy="The RPC belongs to another image, or to the whole of which this is a crop.",
            )
        ends.append((first, last - size))
    beyond = max(max(first, -after) for first, after in ends)
    if ends in ([(-1.0, -1.0)] * 2, [(1.0, 1.0)] * 2):
        counted = "0 to N-1" if ends[0][0] < 0 else "2 to N+1"
        message = f"the RPC counts its pixels {counted}, against the custom of its format, which is followed"
        return [f"{message}: positions may be one pixel off"]
    return [f"the image reaches {beyond:.0f} px beyond the pixels its RPC was made for"] if beyond > 2.0 else []
