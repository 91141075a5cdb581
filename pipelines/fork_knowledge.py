"""What every run would find out anew, found out once by the process that runs are forked from. Starts no thread."""

import numpy as np
import PIL.Image
import xarray as xr

from configs.registry import load_registry
from pipelines.software import software_versions
from processing.archive.pyramid import halve


def find_out() -> None:
    """Fill what libraries and our own modules keep for the life of a process."""
    load_registry()
    software_versions()
    # Formats that pictures are written in.
    PIL.Image.init()
    # Who cuts arrays into chunks.
    xr.DataArray(np.zeros(1)).chunk(1)
    # The first kernel that is called has numba make all its tables.
    halve(np.zeros((2, 2), dtype=np.uint16), 0)
