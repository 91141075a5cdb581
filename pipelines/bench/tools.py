"""Qyran and its peers: which of them are here, and how each is told to do the same work."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from processing.readers.versions import gdal_version

Bounds = tuple[float, float, float, float]

_OTB_KERNELS = {"nearest": "nn", "bilinear": "linear", "cubic": "bco"}
_WARP_MEMORY_MB = 2000
_OTB_MEMORY_MB = 4096
PEERS_VENV = "QYRAN_PEERS"
"""Variable that names the environment in which orthority is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The work: one image onto one grid."""

    image: Path
    dem: Path
    crs: str
    resolution_m: float
    bounds: Bounds
    """xmin, ymin, xmax, ymax, on whole pixels."""
    shape: tuple[int, int]
    """Rows, columns."""
    resampling: str
    threads: int
    floating: bool = False
    """The image holds float32, and NaN is nodata; else uint16, and 0 is."""
    whole: bool = True
    """The grid holds all that the image sees."""

    @property
    def nodata(self) -> str:
        """As the tools take it."""
        return "nan" if self.floating else "0"

    @property
    def creation(self) -> dict[str, str]:
        """How peers write their TIFF: tiled, Zstandard at its fastest level, differences of neighbours."""
        return {
            "TILED": "YES",
            "COMPRESS": "ZSTD",
            "ZSTD_LEVEL": "1",
            "PREDICTOR": "3" if self.floating else "2",
            "NUM_THREADS": str(self.threads),
            "BIGTIFF": "IF_SAFER",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One way to do the work."""

    key: str
    label: str
    note: str
    """What a reader of its figures should know."""
    version: str | None
    """Program and version; None: not installed here."""
    install: str
    """How to install it."""
    command: Callable[[Job, Path], list[str]]
    """The command that does a job into a folder."""
    output: Callable[[Job], str]
    """Name of what it writes there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    resamplings: frozenset[str] = frozenset({"nearest", "bilinear", "cubic", "lanczos"})
    bounded: bool = True
    """Whether it can be told which part of the map to make."""

    def refuses(self, job: Job) -> str | None:
        """Why this job is not for this tool, or None."""
        if self.version is None:
            return "not installed"
        if job.resampling not in self.resamplings:
            return f"has no {job.resampling} resampling"
        if not (self.bounded or job.whole):
            return "cannot be told to make a part of the map"
        return None


def qyran_tools() -> tuple[Tool, ...]:
    """Qyran itself, into its own format and into a COG."""
    return tuple(
        Tool(
            key=f"qyran-{suffix}",
            label=f"Qyran, {words}",
            note=note,
            version=f"Qyran {importlib.metadata.version('qyran')}",
            install="",
            command=lambda job, folder, suffix=suffix: _qyran(job, folder / f"out.{suffix}"),  # type: ignore[misc]
            output=lambda _, suffix=suffix: f"out.{suffix}",  # type: ignore[misc]
        )
        for suffix, words, note in (
            ("zarr", "Zarr", "writes overviews, quality flags and checksums as well"),
            ("tif", "COG", "writes overviews as well"),
        )
    )


def peer_tools(threads: int) -> tuple[Tool, ...]:
    """Every peer, found or not, in the order of the table."""
    return (*_gdalwarps(), _rasterio(), *_otbs(threads), _orthority())


def _qyran(job: Job, out: Path) -> list[str]:
    start = [sys.executable, "-c", "from pipelines.cli import main; main()"]
    script = Path(sys.executable).parent / "qyran"
    return [
        *([str(script)] if script.is_file() else start),
        "ortho", str(job.image), "--dem", str(job.dem), "--vertical-datum", "ellipsoid", "--crs", job.crs,
        "--resolution", f"{job.resolution_m:.10g}", "--bounds", *(f"{value:.10g}" for value in job.bounds),
        "--resampling", job.resampling, "--out", str(out),
    ]  # fmt: skip


def _gdalwarps() -> tuple[Tool, ...]:
    said = _said("gdalwarp", "--version")
    version = re.search(r"GDAL [\d.]+", said) if said else None
    variants: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
        ("gdalwarp", "gdalwarp", "as it comes: exact transformer with a DEM", ()),
        ("gdalwarp-xscale1", "gdalwarp XSCALE=YSCALE=1", "the fairest GDAL", ("-wo", "XSCALE=1", "-wo", "YSCALE=1")),
        ("gdalwarp-et", "gdalwarp -et 0.125", "approximating: not the same work", ("-et", "0.125")),
    )
    return tuple(
        Tool(
            key=key,
            label=label,
            note=note,
            version=version[0] if version else None,
            install="apt-get install gdal-bin",
            command=lambda job, folder, extra=extra: _gdalwarp(job, folder / "out.tif", extra),  # type: ignore[misc]
            output=lambda _: "out.tif",
        )
        for key, label, note, extra in variants
    )


def _gdalwarp(job: Job, out: Path, extra: tuple[str, ...]) -> list[str]:
    written = [part for name, value in job.creation.items() for part in ("-co", f"{name}={value}")]
    return [
        "gdalwarp", "-q", "-rpc", "-to", f"RPC_DEM={job.dem}", "-t_srs", job.crs,
        "-te", *(f"{value:.10g}" for value in job.bounds), "-tr", *(2 * [f"{job.resolution_m:.10g}"]),
        "-multi", "-wo", f"NUM_THREADS={job.threads}", "-wm", str(_WARP_MEMORY_MB), "-r", job.resampling,
        "-dstnodata", job.nodata, *extra, *written, str(job.image), str(out),
    ]  # fmt: skip


def _rasterio() -> Tool:
    return Tool(
        key="rasterio",
        label="rasterio reproject",
        note="tolerance=0, all bands in one call",
        version=f"rasterio {importlib.metadata.version('rasterio')} (GDAL {gdal_version()})",
        install="",
        command=lambda job, folder: [sys.executable, _script(), _rasterio_job(job, folder / "out.tif")],
        output=lambda _: "out.tif",
    )


def _script() -> str:
    """The peer's script, run by its path so that nothing of Qyran's is imported with it."""
    found = importlib.util.find_spec("processing.testing.rasterio_warp")
    assert found is not None
    assert found.origin is not None
    return found.origin


def _rasterio_job(job: Job, out: Path) -> str:
    left, _, _, top = job.bounds
    return json.dumps(
        {
            "image": str(job.image),
            "dem": str(job.dem),
            "out": str(out),
            "crs": job.crs,
            "transform": [job.resolution_m, 0.0, left, 0.0, -job.resolution_m, top],
            "shape": job.shape,
            "resampling": job.resampling,
            "nodata": job.nodata,
            "threads": job.threads,
            "creation": job.creation,
        }
    )


def _otbs(threads: int) -> tuple[Tool, ...]:
    said = _said("otbcli_OrthoRectification", "-help")
    version = re.search(r"version ([\d.]+)", said) if said else None
    return tuple(
        Tool(
            key=f"otb-{spacing}gsd",
            label=f"OTB, grid of {spacing} px" if spacing > 1 else "OTB, grid of every px",
            note="truncates to uint16; no nodata",
            version=f"OTB {version[1]}" if version else None,
            install="apt-get install otb-bin",
            command=lambda job, folder, spacing=spacing: _otb(job, folder / "out.tif", spacing),  # type: ignore[misc]
            output=lambda _: "out.tif",
            environment={"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)},
            resamplings=frozenset(_OTB_KERNELS),
        )
        for spacing in (4, 1)
    )


def _otb(job: Job, out: Path, spacing: int) -> list[str]:
    left, _, _, top = job.bounds
    code = int(job.crs.removeprefix("EPSG:"))
    creation = "".join(f"&gdal:co:{name}={value}" for name, value in job.creation.items())
    pitch = f"{job.resolution_m:.10g}"
    return [
        "otbcli_OrthoRectification", "-io.in", str(job.image), "-io.out", f"{out}?{creation}",
        "float" if job.floating else "uint16",
        "-map", "utm", "-map.utm.zone", str(code % 100), "-map.utm.northhem", str(code // 100 == 326).lower(),
        "-outputs.mode", "auto", "-outputs.ulx", f"{left:.10g}", "-outputs.uly", f"{top:.10g}",
        "-outputs.sizex", str(job.shape[1]), "-outputs.sizey", str(job.shape[0]),
        "-outputs.spacingx", pitch, "-outputs.spacingy", f"-{pitch}", "-elev.dem", str(job.dem.parent),
        "-opt.ram", str(_OTB_MEMORY_MB), "-interpolator", _OTB_KERNELS[job.resampling],
        "-opt.gridspacing", f"{spacing * job.resolution_m:.10g}", "-progress", "false",
    ]  # fmt: skip


def _orthority() -> Tool:
    place = os.environ.get(PEERS_VENV)
    inside = Path(place) / "bin" / "oty" if place else None
    program = str(inside) if inside and inside.is_file() else shutil.which("oty")
    said = _said(program, "--version") if program else None
    return Tool(
        key="orthority",
        label="orthority",
        note="chooses its own bounds",
        version=f"orthority {said.split()[-1]}" if said else None,
        install=f"python3 -m venv DIR && DIR/bin/pip install orthority && export {PEERS_VENV}=DIR",
        command=lambda job, folder: [
            program or "oty", "rpc", "-d", str(job.dem), "-c", job.crs, "-r", f"{job.resolution_m:.10g}", "-ap",
            "-nbo", "-i", job.resampling, "-di", "bilinear", "-od", str(folder),
            *(part for name, value in job.creation.items() for part in ("-co", f"{name}={value}")), str(job.image),
        ],
        output=lambda job: f"{job.image.stem}_ORTHO.tif",
        bounded=False,
    )  # fmt: skip


def _said(*command: str) -> str | None:
    """What a program says of itself; None where it is not installed or does not start."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout + done.stderr).strip() or None
