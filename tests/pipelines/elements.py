"""KazEOSat-1's real elements as if they were of today: what plans the coming days must not depend on the calendar."""

import math
from datetime import UTC, datetime, timedelta

from sgp4.api import WGS72, Satrec
from sgp4.exporter import export_tle

from processing.testing.orbit import KAZEOSAT_1


def fresh_elements(moved_deg: float = 0.0, turned_deg: float = 0.0) -> str:
    """Two lines whose epoch is this day's midnight.

    Parameters
    ----------
    moved_deg
        Ahead along the orbit.
    turned_deg
        Of the orbital plane, eastwards.
    """
    told = Satrec.twoline2rv(KAZEOSAT_1.line1, KAZEOSAT_1.line2)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    fresh = Satrec()
    fresh.sgp4init(
        WGS72,
        "i",
        told.satnum,
        (midnight - datetime(1949, 12, 31, tzinfo=UTC)) / timedelta(days=1),
        told.bstar,
        told.ndot,
        told.nddot,
        told.ecco,
        told.argpo,
        told.inclo,
        (told.mo + math.radians(moved_deg)) % (2 * math.pi),
        told.no_kozai,
        (told.nodeo + math.radians(turned_deg)) % (2 * math.pi),
    )
    fresh.classification, fresh.intldesg, fresh.elnum, fresh.revnum = "U", told.intldesg, told.elnum, told.revnum
    return "\n".join(("KAZEOSAT 1", *export_tle(fresh)))
