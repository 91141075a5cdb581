"""Geometric part of the product document: the nominal rigorous model, and angles where they were asked for."""

from datetime import datetime
from xml.etree.ElementTree import Element

from processing.testing.camera import Pushbroom
from processing.testing.exposure import Exposure, Located
from processing.testing.xml_tree import leaves, node

_DETECTOR_M = {"pan": 13e-6, "ms": 52e-6}


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def geometric_data(exposure: Exposure) -> Element:
    """Orbit, attitude, time and look angles, from which the RPC was fitted, and located angles."""
    camera = exposure.camera
    model = [
        node("MODEL_USED", "SENSOR"),
        _time(exposure),
        _ephemeris(exposure),
        _attitudes(camera),
        *_instrument(exposure),
    ]
    return node(
        "Geometric_Data",
        [node("Refined_Model", model), node("Use_Area", [_located(place) for place in exposure.located])],
    )


def _time(exposure: Exposure) -> Element:
    """START is the centre of row 1. It is written to 0.1 us: a microsecond is 7 mm on the ground."""
    camera = exposure.camera
    lines = camera.shape[0]
    first, last = float(camera.seconds_at(0.5)), float(camera.seconds_at(lines - 0.5))
    return node(
        "Time",
        [
            node("Time_Range", leaves(START=_fine(exposure, first), END=_fine(exposure, last))),
            node("Time_Stamp", [node("LINE_PERIOD", camera.line_period, unit="S")]),
        ],
    )


def _fine(exposure: Exposure, seconds: float) -> str:
    whole = int(seconds)
    return f"{exposure.acquisition.moment(whole):%Y-%m-%dT%H:%M:%S}.{round((seconds - whole) * 1e7):07d}Z"


def _ephemeris(exposure: Exposure) -> Element:
    ephemeris = exposure.camera.ephemeris
    points = [
        node(
            "Point",
            [
                node("LOCATION_XYZ", " ".join(f"{value:.6f}" for value in position), unit="m"),
                node("VELOCITY_XYZ", " ".join(f"{value:.6f}" for value in velocity), unit="m/s"),
                node("TIME", _stamp(exposure.acquisition.moment(seconds))),
            ],
        )
        for seconds, position, velocity in zip(
            ephemeris.seconds, ephemeris.positions, ephemeris.velocities, strict=True
        )
    ]
    return node("Ephemeris", [node("EPHEMERIS_USED", "CORRECTED"), node("Point_List", points)])


def _attitudes(camera: Pushbroom) -> Element:
    """Polynomials of the seconds of the day, scalar first, from the camera to the Earth-fixed frame."""
    attitude = camera.attitude
    quaternions = [
        node(
            f"Q{number}",
            [
                node("DEGREE", len(coefficients) - 1),
                node("COEFFICIENTS", " ".join(repr(value) for value in coefficients)),
            ],
        )
        for number, coefficients in enumerate(attitude.coefficients)
    ]
    polynomials = [*leaves(OFFSET=attitude.offset, SCALE=attitude.scale), *quaternions]
    return node("Attitudes", [node("ATTITUDES_USED", "ACCURATE"), node("Polynomial_Quaternions", polynomials)])


def _instrument(exposure: Exposure) -> list[Element]:
    camera = exposure.camera
    detector = _DETECTOR_M[exposure.array.group]
    angles = leaves(XLOS_0=camera.xlos_0, XLOS_1=camera.xlos_1, YLOS_0=camera.ylos_0)
    # Counted from 1, where the look angles' argument counts from 0: so it is in Pleiades' products.
    swath = leaves(FIRST_COL=camera.first_column + 1, LAST_COL=camera.first_column + camera.shape[1])
    calibration = [
        node("Swath_Range", swath),
        node("Polynomial_Look_Angles", angles),
        node("Instrument_Biases", leaves(YAW=0.0, PITCH=0.0, ROLL=0.0)),
    ]
    configuration = leaves(
        FOCAL_LENGTH=round(detector / camera.xlos_1, 6), DETECTOR_SIZE_COL=detector, DETECTOR_SIZE_ROW=detector
    )
    return [
        node("Instrument_Configuration", configuration),
        node("Geometric_Calibration", [node("Instrument_Calibration", calibration)]),
    ]


def _located(place: Located) -> Element:
    viewing = leaves(
        AZIMUTH_ANGLE=place.satellite_azimuth,
        VIEWING_ANGLE_ACROSS_TRACK=place.viewing_across,
        VIEWING_ANGLE_ALONG_TRACK=place.viewing_along,
        VIEWING_ANGLE=place.viewing,
        INCIDENCE_ANGLE_ALONG_TRACK=place.incidence_along,
        INCIDENCE_ANGLE_ACROSS_TRACK=place.incidence_across,
        INCIDENCE_ANGLE=place.incidence,
    )
    sun = leaves(SUN_AZIMUTH=place.sun_azimuth, SUN_ELEVATION=place.sun_elevation)
    sampling = leaves(GSD_ACROSS_TRACK=place.gsd_across, GSD_ALONG_TRACK=place.gsd_along)
    return node(
        "Located_Geometric_Values",
        [
            *leaves(
                LOCATION_TYPE=place.name,
                COL=place.sample + 0.5,
                ROW=place.line + 0.5,
                TIME=_stamp(place.time),
                SATELLITE_ALTITUDE=place.altitude_m,
            ),
            node("Acquisition_Angles", viewing),
            node("Solar_Incidences", sun),
            node("Ground_Sample_Distance", sampling),
        ],
    )
