"""Shipped policies, altered for tests."""

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "policies"


def altered(
    home: Path, name: str, *, excluded: dict[str, Any] | None = None, sensitive: dict[str, Any] | None = None,
    buffer_m: float | None = None,
) -> None:  # fmt: skip
    """Lay a policy with areas of a test's own into ``HOME/configs``."""
    folder = home / "configs" / "policies"
    (folder / "areas").mkdir(parents=True, exist_ok=True)
    text = (FOLDER / f"{name}.yaml").read_text()
    if buffer_m is not None:
        text = re.sub(r"buffer_m: \d+", f"buffer_m: {buffer_m}", text)
    (folder / f"{name}.yaml").write_text(text)
    for area, geometry in (("excluded", excluded), ("sensitive", sensitive)):
        if geometry is not None:
            (folder / "areas" / f"kazakhstan-{area}.geojson").write_text(json.dumps(geometry))
