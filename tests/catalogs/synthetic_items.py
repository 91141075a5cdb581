"""Catalogues of many valid items that need no pixels."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


def collection(name: str) -> dict[str, Any]:
    """A valid collection."""
    return {
        "type": "Collection", "stac_version": "1.1.0", "stac_extensions": [], "id": name, "title": f"Scenes of {name}",
        "description": f"Invented scenes of {name}.", "license": "CC-BY-4.0", "keywords": [name, "invented"],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "summaries": {"platform": ["kz-1", "kz-2"]}, "links": [],
    }  # fmt: skip


def items(count: int, *, home: str, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Valid items over Central Asia, one a day and some hours."""
    dice = random.Random(seed)
    for number in range(count):
        west, south = round(dice.uniform(60, 85), 4), round(dice.uniform(40, 52), 4)
        ring = [[west, south], [west + 0.3, south], [west + 0.3, south + 0.2], [west, south + 0.2], [west, south]]
        moment = BEGINNING + timedelta(hours=31 * number)
        yield {
            "type": "Feature", "stac_version": "1.1.0", "id": f"{home}-{number:05d}", "collection": home,
            "stac_extensions": ["https://stac-extensions.github.io/eo/v2.0.0/schema.json"],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": [west, south, round(west + 0.3, 4), round(south + 0.2, 4)],
            "properties": {
                "datetime": moment.isoformat().replace("+00:00", "Z"), "title": f"Scene {number}",
                "platform": f"kz-{1 + number % 2}", "instruments": ["msi"], "gsd": 4.0 + number % 3,
                "eo:cloud_cover": round(dice.uniform(0, 100), 1),
            },
            "assets": {
                "red": {"href": "./red.tif", "type": COG, "roles": ["data"]},
                "thumbnail": {"href": "./thumbnail.webp", "type": "image/webp", "roles": ["thumbnail"]},
            },
            "links": [],
        }  # fmt: skip
