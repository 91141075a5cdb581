"""Compile the kernels once, when the environment is made, so that the first scene does not wait for it.

Run as ``python -m pipelines.warm``. A scene of 64 pixels goes through simulator and chain; numba keeps what it compiled
(see :mod:`processing.kernel_cache`).
"""

import tempfile
from pathlib import Path

from configs.registry import load_registry
from pipelines.drafts import scenes_bounds
from processing.chain import build_l1c
from processing.kernel_cache import drop_old_kernels
from processing.readers.dem import open_terrain
from processing.readers.find import open_delivery
from processing.testing.simulate import simulate

SENSORS = ("kazeosat-1-naomi", "kazeosat-2-keis")


def warm_kernels() -> None:
    """Use every kernel that the demo uses, on as few pixels as there can be."""
    drop_old_kernels()
    registry = load_registry()
    with tempfile.TemporaryDirectory(prefix="qyran-warm-") as folder:
        for sensor in SENSORS:
            simulated = simulate(Path(folder) / sensor, sensor=sensor, size=64)
            scenes = open_delivery(simulated.packages[0], sensors=registry.sensors).scenes
            terrain = open_terrain(simulated.dem, bounds=scenes_bounds(scenes))
            for image in build_l1c(scenes, terrain, registry.sensors[sensor], registry.recipes["l1c"], shard_px=500):
                image.pixels.data.compute()


if __name__ == "__main__":
    warm_kernels()
