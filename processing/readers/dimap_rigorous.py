"""The rigorous camera that a DIMAP v2 product document states: orbit, attitude, clock and look angles."""

import math
import re
from datetime import datetime

from processing.geometry.attitude import Attitude, PolynomialAttitude, SampledAttitude
from processing.geometry.compare import compare_models
from processing.geometry.orbit import Ephemeris, Vector
from processing.geometry.pushbroom import Pushbroom
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.model.levels import Level
from processing.model.scene import Scene
from processing.readers.dimap_xml import XmlNode

_MODEL = "Geometric_Data/Refined_Model"
_CALIBRATION = "Geometric_Calibration/Instrument_Calibration"
_LOOKS = f"{_CALIBRATION}/Polynomial_Look_Angles"
_DETECTOR_OF_FIRST_COLUMN = -1.0
"""FIRST_COL counts detectors from 1, the argument of XLOS and YLOS counts them from 0.

Measured on PHR-1A MS: with ``XLOS(FIRST_COL + col - 1)`` the model is 0.996 columns from its own product's RPC,
everywhere and at all heights alike; with one less it is 0.004 columns from it. The RPC is right: those of Pleiades
meet the vendor's direct-location grids. NASA's Ames Stereo Pipeline found the same one for itself.
"""
_CLOCK_TOLERANCE = 0.1
_HALF_DAY_S = 43_200.0
_ODD_PX = 5.0
"""The delivered RPC and camera of one product differ by a fraction of a pixel; by more, one of them is another's."""


def with_rigorous(scene: Scene, document: XmlNode) -> Scene:
    """A scene in sensor geometry with its rigorous camera and line period, where its document states them."""
    if scene.level is not Level.SENSOR:
        return scene
    camera, warnings = rigorous_model(document, scene.shape)
    period = line_period_s(document, scene.shape[0])
    facts = {} if period is None else {f"line_period_s_{scene.group}": period}
    if camera is not None and isinstance(scene.model, Rpc):
        heights = (
            scene.model.height_off - scene.model.height_scale,
            scene.model.height_off + scene.model.height_scale,
        )
        apart = compare_models(scene.model, camera, scene.shape, heights)
        if apart is None or apart.max_px > _ODD_PX:
            by = "no ground in common" if apart is None else f"up to {apart.max_px:.1f} px apart"
            warnings += (f"the RPC and the rigorous model disagree: {by}",)
    return scene.but(rigorous=camera, platform_facts=scene.platform_facts | facts, warnings=scene.warnings + warnings)


def rigorous_model(document: XmlNode, shape: tuple[int, int]) -> tuple[Pushbroom | None, tuple[str, ...]]:
    """The camera of a product document, and why there is none where one is stated but cannot be used.

    A flaw of these blocks does not condemn the delivery: it is processed by its RPC, and says so.

    Parameters
    ----------
    document
        The product document (DIM_*.XML).
    shape
        Lines and samples of the image.
    """
    model = document.find(_MODEL)
    if model is None or model.find("Ephemeris") is None or model.find("Attitudes") is None:
        return None, ()
    if model.find(_LOOKS) is None:
        stated = model.find(f"{_CALIBRATION}/Band_Calibration") is not None
        return None, ("no rigorous model: look angles are stated for each band",) if stated else ()
    try:
        return _camera(model, shape), ()
    except BadInput as error:
        return None, (f"no rigorous model: {error.message}",)


def line_period_s(document: XmlNode, lines: int) -> float | None:
    """Time between lines, s; None where the document does not state it, or not so that it can be understood."""
    model = document.find(_MODEL)
    if model is None or model.find("Time/Time_Stamp/LINE_PERIOD") is None:
        return None
    try:
        return _line_period(model, lines)
    except BadInput:
        return None


def _camera(model: XmlNode, shape: tuple[int, int]) -> Pushbroom:
    start = model.need("Time/Time_Range")
    epoch = start.time("START")
    biases = [model.maybe_number(f"{_CALIBRATION}/Instrument_Biases/{axis}") for axis in ("YAW", "PITCH", "ROLL")]
    if any(biases):
        raise BadInput(
            "instrument biases are stated, and how they turn the camera is not documented", kind="pushbroom.look"
        )
    looks = model.need(_LOOKS)
    first_column = model.need(f"{_CALIBRATION}/Swath_Range").number("FIRST_COL")
    return Pushbroom(
        epoch=epoch,
        ephemeris=_ephemeris(model, epoch),
        attitude=_attitude(model, epoch),
        first_line_s=_seconds(start, "START", epoch),
        line_period_s=_line_period(model, shape[0]),
        along=_powers(looks, "YLOS"),
        across=_powers(looks, "XLOS"),
        first_detector=first_column + _DETECTOR_OF_FIRST_COLUMN,
        shape=shape,
    )


def _powers(looks: XmlNode, name: str) -> tuple[float, ...]:
    """Coefficients NAME_0, NAME_1, ... as far as they are stated."""
    found = [looks.number(f"{name}_0")]
    while (value := looks.maybe_number(f"{name}_{len(found)}")) is not None:
        found.append(value)
    return tuple(found)


def _seconds(node: XmlNode, path: str, epoch: datetime) -> float:
    """Seconds from the epoch to a stated time, with every digit of it: a microsecond is 7 mm of orbit."""
    since = (node.time(path) - epoch).total_seconds()
    fraction = re.search(r"\.(\d{6})(\d+)", node.text(path))
    return since + (float(f"0.{fraction[2]}") * 1e-6 if fraction else 0.0)


def _line_period(model: XmlNode, lines: int) -> float:
    """LINE_PERIOD in seconds: it is in ms or s, by its unit, or else by which of them fills START to END."""
    node = model.need("Time/Time_Stamp/LINE_PERIOD")
    stated = node.number()
    span = model.need("Time/Time_Range")
    epoch = span.time("START")
    lasts = _seconds(span, "END", epoch) - _seconds(span, "START", epoch)
    factors = {"MS": 1e-3, "S": 1.0}
    unit = (node.attribute("unit") or "").upper()
    candidates = [factors[unit]] if unit in factors else list(factors.values())
    for factor in candidates:
        # START and END are the first and last line's times, or one period further.
        if stated > 0 and any(
            abs(stated * factor * n / lasts - 1) < _CLOCK_TOLERANCE for n in (lines - 1, lines) if lasts > 0
        ):
            return stated * factor
    raise BadInput(
        f"{lines} lines of LINE_PERIOD {stated:g} {unit.lower()} do not fill the {lasts:.6g} s from START to END",
        kind="pushbroom.clock",
    )


def _ephemeris(model: XmlNode, epoch: datetime) -> Ephemeris:
    points = model.all("Ephemeris/Point_List/Point")
    return Ephemeris(
        seconds=tuple(_seconds(point, "TIME", epoch) for point in points),
        positions=tuple(_vector(point.need("LOCATION_XYZ")) for point in points),
    )


def _vector(node: XmlNode) -> Vector:
    x, y, z = _numbers(node, 3)
    return x, y, z


def _numbers(node: XmlNode, count: int) -> tuple[float, ...]:
    """So many finite numbers of an element's text."""
    try:
        numbers = tuple(float(part) for part in node.text().split())
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise BadInput(f"'{node.file}': {node.tag} is not {count} numbers", kind="xml.number", where=node.file)
    return numbers


def _attitude(model: XmlNode, epoch: datetime) -> Attitude:
    polynomials = model.find("Attitudes/Polynomial_Quaternions")
    if polynomials is not None:
        q0, q1, q2, q3 = (_coefficients(polynomials.need(f"Q{number}")) for number in range(4))
        midnight = epoch.replace(hour=0, minute=0, second=0, microsecond=0)
        # OFFSET is in seconds of the day; an image taken across midnight may count from either.
        offset = polynomials.number("OFFSET") - (epoch - midnight).total_seconds()
        offset = (offset + _HALF_DAY_S) % (2 * _HALF_DAY_S) - _HALF_DAY_S
        return PolynomialAttitude(offset=offset, scale=polynomials.number("SCALE"), coefficients=(q0, q1, q2, q3))
    samples = model.all("Attitudes/Quaternion_List/Quaternion")
    return SampledAttitude(
        seconds=tuple(_seconds(sample, "TIME", epoch) for sample in samples),
        quaternions=tuple(
            (sample.number("Q0"), sample.number("Q1"), sample.number("Q2"), sample.number("Q3")) for sample in samples
        ),
    )


def _coefficients(node: XmlNode) -> tuple[float, ...]:
    degree = node.integer("DEGREE") if node.maybe("DEGREE") else len(node.text("COEFFICIENTS").split()) - 1
    return _numbers(node.need("COEFFICIENTS"), degree + 1)
