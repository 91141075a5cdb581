"""Which configured sensor made a package, and what its band labels mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.schema import DeliveryProfile, SensorConfig
from processing.model.errors import BadInput, Defect
from processing.model.scene import Band, BandCalibration


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSensor:
    """A sensor and the delivery profile that claims a package."""

    sensor: SensorConfig
    profile: DeliveryProfile


def sensor_claims(
    sensors: Mapping[str, SensorConfig], *, format_name: str, profile: str, mission: str
) -> tuple[KnownSensor, ...]:
    """Every configured sensor whose delivery profiles claim a package; see :func:`claiming_sensor`."""
    return tuple(
        KnownSensor(sensor=sensor, profile=found)
        for sensor in sensors.values()
        if (found := sensor.profile(format_name, profile, mission)) is not None
    )


def claiming_sensor(
    sensors: Mapping[str, SensorConfig], *, format_name: str, profile: str, mission: str, where: str
) -> KnownSensor | None:
    """The one configured sensor whose delivery profiles claim a package, or None.

    Parameters
    ----------
    sensors
        Known sensors, by id.
    format_name
        Name of the reader.
    profile
        METADATA_PROFILE as the file writes it; empty when it states none.
    mission
        MISSION and MISSION_INDEX as the file writes them, joined by a blank; whatever names the satellite elsewhere.
    where
        File, for messages.

    Raises
    ------
    Defect
        ``config.ambiguous`` when two sensors claim it.
    """
    claims = sensor_claims(sensors, format_name=format_name, profile=profile, mission=mission)
    if len(claims) > 1:
        raise Defect(
            f"sensors {sorted(claim.sensor.id for claim in claims)} all claim profile {profile!r} of {mission!r}",
            kind="config.ambiguous",
            where=where,
            remedy="Narrow 'profiles' or 'missions' of their deliveries in configs/sensors.",
        )
    return claims[0] if claims else None


def known_sensor(
    sensors: Mapping[str, SensorConfig], *, format_name: str, profile: str, mission: str, where: str
) -> KnownSensor:
    """As :func:`claiming_sensor`, for formats that name their mission.

    Raises
    ------
    BadInput
        ``mission.unknown``.
    Defect
        ``config.ambiguous``.
    """
    found = claiming_sensor(sensors, format_name=format_name, profile=profile, mission=mission, where=where)
    if found is None:
        raise BadInput(
            f"no configured sensor delivers {format_name} packages of mission {mission[:80]!r} "
            f"with profile {profile[:80]!r}",
            kind="mission.unknown",
            where=where,
            remedy="Add it to 'deliveries' of a file in HOME/configs/sensors (and the mission to configs/missions).",
        )
    return found


def ordered_labels(
    known: KnownSensor, stated: Sequence[str], listed: Sequence[str], count: int, where: str
) -> tuple[str, ...]:
    """Band labels in the order of the pixels' band axis.

    Three sources, in falling order of trust: the profile's ``band_order`` (for files known to state it wrongly or
    not at all), the index the file states, and the order in which it lists its calibrations.

    Parameters
    ----------
    known
        The sensor and profile.
    stated
        Labels by the file's own band index; empty when it states none.
    listed
        Labels in the order of the calibration entries.
    count
        Number of bands the file declares.
    where
        File, for messages.

    Raises
    ------
    BadInput
        ``bands`` when labels are unknown, repeated, or not as many as declared.
    """
    labels = tuple(stated or listed)
    names = [known.sensor.band_by_label(label) for label in labels]
    if None in names or len(set(names)) != len(names) or len(names) != count:
        raise BadInput(
            f"bands {labels} cannot be told apart as {count} bands of {known.sensor.id}",
            kind="bands",
            where=where,
            remedy=f"Known labels: { {name: band.labels for name, band in known.sensor.bands.items()} }.",
        )
    order = known.profile.band_order
    if order is not None and set(order) == set(names):
        by_name = dict(zip(names, labels, strict=True))
        return tuple(by_name[name] for name in order)
    return labels


def band_group(known: KnownSensor, names: Sequence[str], where: str) -> str:
    """The sensor's group that has exactly these bands, or the smallest one that has them all.

    Raises
    ------
    BadInput
        ``bands`` when no group has them: detectors of different grids mixed in one image.
    """
    groups = {group: config.bands for group, config in known.sensor.groups.items() if set(names) <= set(config.bands)}
    if not groups:
        raise BadInput(
            f"bands {tuple(names)} belong to no one group of {known.sensor.id}",
            kind="bands",
            where=where,
            remedy=f"Its groups: { {group: config.bands for group, config in known.sensor.groups.items()} }.",
        )
    return min(groups, key=lambda group: len(groups[group]))


def build_band(known: KnownSensor, label: str, calibration: BandCalibration | None) -> Band:
    """A scene's band from its label; spectral facts are the sensor's."""
    name = known.sensor.band_by_label(label)
    if name is None:
        raise BadInput(f"band {label!r} is unknown to {known.sensor.id}", kind="bands", where=label)
    config = known.sensor.bands[name]
    return Band(
        name=name,
        label=label,
        common_name=config.common_name,
        centre_nm=config.centre_nm,
        fwhm_nm=config.fwhm_nm,
        calibration=calibration,
    )


def calibration(
    known: KnownSensor,
    label: str,
    *,
    gain: float,
    bias: float,
    esun: float | None,
    calibrated_on: str | None,
    where: str,
) -> BandCalibration | None:
    """What a band's gain means, by its delivery profile; None when the product carries no radiance scale.

    Raises
    ------
    BadInput
        ``radiometry.range`` for a gain or irradiance that is not positive.
    """
    rule = known.profile.radiance
    if rule is None:
        return None
    gain = known.profile.gain if known.profile.gain is not None else gain
    name = known.sensor.band_by_label(label)
    configured = known.sensor.bands[name].esun if name is not None else None
    if gain <= 0 or (esun is not None and not 1 <= esun <= 3000):
        raise BadInput(
            f"band {label}: gain {gain} or solar irradiance {esun} W m-2 um-1 is impossible",
            kind="radiometry.range",
            where=where,
        )
    return BandCalibration(
        rule=rule,
        gain=gain,
        bias=bias,
        esun=esun if esun is not None else configured,
        esun_source="file" if esun is not None else ("config" if configured is not None else None),
        calibrated_on=calibrated_on,
    )


def esun_warnings(bands: Sequence[Band]) -> tuple[str, ...]:
    """What to tell about bands whose solar irradiance is not the delivery's own."""
    configured = [band.label for band in bands if band.calibration and band.calibration.esun_source == "config"]
    unknown = [band.label for band in bands if band.calibration and band.calibration.esun is None]
    warnings = []
    if configured:
        warnings.append(f"the delivery states no solar irradiance for {configured}: the configured one is used")
    if unknown:
        warnings.append(f"no solar irradiance is known for {unknown}: reflectance cannot be computed")
    return tuple(warnings)
