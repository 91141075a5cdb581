"""Compile the kernels once, when the environment is made, so that the first scene does not wait for it.

Run as ``python -m pipelines.warm``, which makes an empty database for Prefect too. A scene of 64 pixels goes through
simulator and chain; numba keeps what it compiled (see :mod:`processing.kernel_cache`).
"""

import tempfile
from pathlib import Path

import numpy as np

from configs.registry import load_registry
from pipelines.drafts import scenes_bounds
from pipelines.new_database import make_empty_database
from processing.archive.export import export_ortho
from processing.chain import build_l1c
from processing.geometry.pixel_kernel import interleave
from processing.kernel_cache import drop_old_kernels
from processing.readers.dem import open_terrain
from processing.readers.find import open_delivery
from processing.testing.simulate import simulate

SENSORS = ("kazeosat-1-naomi", "kazeosat-2-keis")
DELIVERED_TYPES = ("uint8", "uint16", "int16", "float32")
"""Of pixels: one kernel each."""


def warm_kernels() -> None:
    """Use every kernel that the demo uses, on as few pixels as there can be."""
    drop_old_kernels()
    registry = load_registry()
    with tempfile.TemporaryDirectory(prefix="qyran-warm-") as folder:
        for sensor in SENSORS:
            simulated = simulate(Path(folder) / sensor, sensor=sensor, size=64)
            scenes = open_delivery(simulated.packages[0], sensors=registry.sensors).scenes
            terrain = open_terrain(simulated.dem, bounds=scenes_bounds(scenes))
            for image in build_l1c(scenes, terrain, registry.sensors[sensor], registry.recipes["l1c"]):
                image.pixels.data.compute()
                export_ortho([image], Path(folder) / f"{sensor}-{image.group}.zarr")
            for rigorous in (scene.rigorous for scene in scenes if scene.rigorous is not None):
                rigorous.ground_to_image(*rigorous.image_to_ground(32.0, 32.0, 1000.0), 1000.0)
    for dtype in DELIVERED_TYPES:
        # A window of a larger image: its rows do not lie one behind the other.
        window = np.zeros((1, 9, 9), dtype=dtype)[:, 1:8, 1:8]
        interleave(window, 0.0, 9.0, np.empty((7, 7, 1), dtype=np.float32))


if __name__ == "__main__":
    warm_kernels()
    make_empty_database()
