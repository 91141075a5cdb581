"""The simulated instruments: what their makers would know, stated independently of the configuration.

The figures repeat those of ``configs/sensors`` on purpose: the truth must not come from the files under test. A test
compares the two.
"""

from dataclasses import dataclass
from typing import Literal

from processing.testing.orbit import KAZEOSAT_1, KAZEOSAT_2, TwoLineElements


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralBand:
    """One band and its radiometric response.

    ``counts_per_radiance`` is DN per W m-2 sr-1 um-1; noise has the variance ``read_noise**2 + shot * DN`` in DN.
    """

    name: str
    label: str
    edges_um: tuple[float, float]
    esun: float
    """W m-2 um-1 at 1 AU."""
    counts_per_radiance: float
    read_noise: float
    shot: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorLine:
    """One array of detectors: bands registered on one grid, with its own place in the focal plane."""

    group: str
    bands: tuple[SpectralBand, ...]
    gsd_m: float
    """Sampling at nadir, m."""
    resolution_m: float
    """Pixel of the truth's map grid, m."""
    scale: int
    """Lines and samples per line and sample of the multispectral grid."""
    along_rad: float
    """Look angle along the track, rad: the arrays lie one behind the other in the focal plane."""
    first_column: int
    """Number of the first detector used, as the look angles count: from 0."""
    offset_px: tuple[float, float]
    """Line and sample by which the image's middle misses the target: arrays never cover quite the same ground."""
    subsamples: int
    """Ground points per pixel and axis that the image is made from; the point-spread function gathers more."""
    truth_points: int
    """Ground points per pixel of the truth's map."""
    psf_sigma_px: float
    """Standard deviation of the optics' Gaussian, px; the detector's square pixel comes on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A camera on its satellite."""

    sensor: str
    """Id of the sensor, as in the configuration."""
    mission: str
    station: str
    """Receiving station's code in data-set ids."""
    tle: TwoLineElements
    ascending: bool
    """Whether the daylight half of the orbit ascends."""
    saturated: int
    arrays: tuple[DetectorLine, ...]
    pointing_m: tuple[float, float]
    """Range of the constant pointing error on the ground, m."""
    package: Literal["dimap-v2", "dimap-v1"]


# Gains of KazEOSat-1 are those read in PeruSat-1 products (same camera family, 12 bit): DN = L * GAIN. Its solar
# irradiances and those of KazEOSat-2 are Thuillier 2003 over square bands. Noise is set for a signal-to-noise ratio of
# about 130 at mid-scale, as the camera's maker publishes for its class.
_NAOMI_MS = (
    SpectralBand(
        name="blue",
        label="B0",
        edges_um=(0.450, 0.520),
        esun=1984.3,
        counts_per_radiance=5.975202615,
        read_noise=1.5,
        shot=0.040,
    ),
    SpectralBand(
        name="green",
        label="B1",
        edges_um=(0.530, 0.590),
        esun=1814.0,
        counts_per_radiance=5.741597026,
        read_noise=1.5,
        shot=0.040,
    ),
    SpectralBand(
        name="red",
        label="B2",
        edges_um=(0.630, 0.700),
        esun=1553.1,
        counts_per_radiance=7.85915805,
        read_noise=1.5,
        shot=0.040,
    ),
    SpectralBand(
        name="nir",
        label="B3",
        edges_um=(0.752, 0.885),
        esun=1062.9,
        counts_per_radiance=10.27482194,
        read_noise=1.5,
        shot=0.040,
    ),
)
_NAOMI_PAN = SpectralBand(
    name="pan",
    label="P",
    edges_um=(0.450, 0.750),
    esun=1695.1,
    counts_per_radiance=10.40868299,
    read_noise=2.0,
    shot=0.055,
)


def _keis(name: str, label: str, edges_um: tuple[float, float], esun: float) -> SpectralBand:
    """A band of the Keystone chain: 16-bit radiance in steps of 0.02, whatever the band."""
    return SpectralBand(
        name=name, label=label, edges_um=edges_um, esun=esun, counts_per_radiance=50.0, read_noise=10.0, shot=0.30
    )


INSTRUMENTS = {
    "kazeosat-1-naomi": Instrument(
        sensor="kazeosat-1-naomi",
        mission="kazeosat-1",
        station="KZ1",
        tle=KAZEOSAT_1,
        ascending=False,
        saturated=4095,
        arrays=(
            DetectorLine(
                group="ms",
                bands=_NAOMI_MS,
                gsd_m=4.0,
                resolution_m=4.0,
                scale=1,
                along_rad=1.2e-3,
                first_column=437,
                offset_px=(0.0, 0.0),
                subsamples=2,
                truth_points=5,
                psf_sigma_px=0.32,
            ),
            DetectorLine(
                group="pan",
                bands=(_NAOMI_PAN,),
                gsd_m=1.0,
                resolution_m=1.0,
                scale=4,
                along_rad=-0.9e-3,
                first_column=1744,
                offset_px=(0.50, 1.34),
                subsamples=1,
                truth_points=2,
                psf_sigma_px=0.38,
            ),
        ),
        pointing_m=(8.0, 15.0),
        package="dimap-v2",
    ),
    "kazeosat-2-keis": Instrument(
        sensor="kazeosat-2-keis",
        mission="kazeosat-2",
        station="KZ2",
        tle=KAZEOSAT_2,
        ascending=True,
        saturated=65535,
        arrays=(
            DetectorLine(
                group="ms",
                bands=(
                    _keis("blue", "BLUE", (0.440, 0.510), 2003.3),
                    _keis("green", "GREEN", (0.520, 0.590), 1824.9),
                    _keis("red", "RED", (0.630, 0.685), 1542.8),
                    _keis("red_edge", "REDEDGE", (0.690, 0.730), 1396.7),
                    _keis("nir", "NIR", (0.760, 0.850), 1114.7),
                ),
                gsd_m=6.5,
                resolution_m=5.0,
                scale=1,
                along_rad=0.4e-3,
                first_column=1201,
                offset_px=(0.0, 0.0),
                subsamples=2,
                truth_points=5,
                psf_sigma_px=0.32,
            ),
        ),
        pointing_m=(15.0, 25.0),
        package="dimap-v1",
    ),
}
"""The instruments that can be simulated, by sensor id."""
