"""The smallest true packages: a few dozen pixels, every document a reader needs, and a model one can check by hand.

For a reader's own tests; whole scenes with terrain, camera and truth come from :mod:`processing.testing.simulate`.
The model is a plane one: a pixel is ``gsd_m`` of ground, lines run south, samples east, and the ground moves
``SHIFT_M_PER_M`` metres west in the image's sense for each metre of height.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window

LON, LAT, HEIGHT = 76.998, 43.25, 900.0
"""Where images lie: within one shard of the archive's grid, and on both sides of 77 degrees east, where tiles meet."""
METRES_PER_DEGREE = 111_195.0
HEIGHT_SCALE_M = 500.0
SHIFT_M_PER_M = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimalImage:
    """One image of a minimal package, and the counts written into it."""

    document: Path
    files: tuple[Path, ...]
    labels: tuple[str, ...]
    """Band labels in pixel order."""
    counts: npt.NDArray[np.uint16]
    """``(band, line, sample)``."""
    gsd_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimalPackage:
    """A minimal package on disk."""

    root: Path
    images: tuple[MinimalImage, ...]


def ground_of(image: MinimalImage, line: float, sample: float, height: float) -> tuple[float, float]:
    """``(lon, lat)`` of an image point, by the plane model itself; line and sample corner-zero."""
    lines, samples = image.counts.shape[1:]
    east = (sample - samples / 2) * image.gsd_m + SHIFT_M_PER_M * (height - HEIGHT)
    north = (lines / 2 - line) * image.gsd_m
    return LON + east / (METRES_PER_DEGREE * np.cos(np.radians(LAT))), LAT + north / METRES_PER_DEGREE


def write_dimap_v2(
    folder: Path, *, lines: int = 48, samples: int = 64, tiles: tuple[int, int] = (1, 1), driver: str = "GTiff"
) -> MinimalPackage:
    """A KazEOSat-1 package with a multispectral and a panchromatic image, in the manner of its DIMAP v2 family.

    Parameters
    ----------
    folder
        Where the package's folder is made.
    lines, samples
        Size of the multispectral image; the panchromatic one has four times as many.
    tiles
        Rows and columns of tiles each image is cut into.
    driver
        ``GTiff`` or ``JP2OpenJPEG``.
    """
    root = folder / "DS_DZHR1_201804290705439_KZ1_E071N51_005402"
    images = []
    for name, labels, scale in (("MS", ("B0", "B1", "B2", "B3"), 1), ("P", ("P",), 4)):
        place = root / "VOL_DZHR1_001" / f"IMG_DZHR1_{name}_001"
        place.mkdir(parents=True)
        counts = _counts(len(labels), lines * scale, samples * scale)
        suffix = ".TIF" if driver == "GTiff" else ".JP2"
        files = _write_tiles(place, f"IMG_DZHR1_{name}_001", counts, tiles, driver, suffix)
        document = place / f"DIM_DZHR1_{name}_001.XML"
        image = MinimalImage(document=document, files=files, labels=labels, counts=counts, gsd_m=4.0 / scale)
        document.write_text(_dimap_v2(image, name, tiles), encoding="utf-8")
        (place / f"RPC_DZHR1_{name}_001.XML").write_text(_rpc_document(image), encoding="utf-8")
        images.append(image)
    return MinimalPackage(root=root, images=tuple(images))


def write_dimap_v1(folder: Path, *, lines: int = 48, samples: int = 64) -> MinimalPackage:
    """A KazEOSat-2 package in the manner of Keystone: ``KM....dim`` and a TIFF with RPC tags."""
    root = folder / "KM0057d3MI_004_MUL_L1R"
    root.mkdir(parents=True)
    labels = ("BLUE", "GREEN", "RED", "REDEDGE", "NIR")
    counts = _counts(len(labels), lines, samples)
    path = root / f"{root.name}.tif"
    document = root / f"{root.name}.dim"
    image = MinimalImage(document=document, files=(path,), labels=labels, counts=counts, gsd_m=6.5)
    with rasterio.open(path, "w", **_profile("GTiff", counts)) as dataset:
        dataset.write(counts)
        dataset.update_tags(ns="RPC", **_rpc_tags(image))
    document.write_text(_dimap_v1(image), encoding="utf-8")
    return MinimalPackage(root=root, images=(image,))


def _counts(bands: int, lines: int, samples: int) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(bands * 7919 + lines).integers(1, 4000, (bands, lines, samples), dtype=np.uint16)


def _profile(driver: str, counts: npt.NDArray[np.uint16]) -> dict[str, object]:
    shape = {"count": counts.shape[0], "height": counts.shape[1], "width": counts.shape[2], "dtype": "uint16"}
    lossless = {"REVERSIBLE": "YES", "QUALITY": 100} if driver == "JP2OpenJPEG" else {}
    return {"driver": driver, **shape, **lossless}


def _write_tiles(
    place: Path, stem: str, counts: npt.NDArray[np.uint16], tiles: tuple[int, int], driver: str, suffix: str
) -> tuple[Path, ...]:
    files = []
    for row, rows in enumerate(np.array_split(np.arange(counts.shape[1]), tiles[0]), start=1):
        for column, columns in enumerate(np.array_split(np.arange(counts.shape[2]), tiles[1]), start=1):
            path = place / f"{stem}_R{row}C{column}{suffix}"
            part = np.ascontiguousarray(counts[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
            with rasterio.open(path, "w", **_profile(driver, part)) as dataset:
                dataset.write(part, window=Window(0, 0, part.shape[2], part.shape[1]))
            files.append(path)
    return tuple(files)


def _figures(image: MinimalImage) -> dict[str, float]:
    """Scales of the plane model: half the image on the ground."""
    lines, samples = image.counts.shape[1:]
    return {
        "line_scale": lines / 2,
        "samp_scale": samples / 2,
        "lat_scale": lines / 2 * image.gsd_m / METRES_PER_DEGREE,
        "long_scale": samples / 2 * image.gsd_m / (METRES_PER_DEGREE * float(np.cos(np.radians(LAT)))),
    }


def _polynomials(image: MinimalImage) -> dict[str, list[float]]:
    """RPC00B terms 1 L P H ...: the line falls with latitude, the sample rises with longitude and falls with height."""
    shift_px = SHIFT_M_PER_M * HEIGHT_SCALE_M / image.gsd_m
    one = [1.0] + [0.0] * 19
    line, sample = [0.0] * 20, [0.0] * 20
    line[2], sample[1], sample[3] = -1.0, 1.0, -shift_px / (image.counts.shape[2] / 2)
    return {"LINE_NUM": line, "LINE_DEN": one, "SAMP_NUM": sample, "SAMP_DEN": one}


def _rpc_tags(image: MinimalImage) -> dict[str, str]:
    """As RPC00B: the centre of the first pixel is (0, 0)."""
    lines, samples = image.counts.shape[1:]
    figures = _figures(image)
    offsets = {"LINE_OFF": lines / 2 - 0.5, "SAMP_OFF": samples / 2 - 0.5, "LAT_OFF": LAT, "LONG_OFF": LON}
    tags = {name: repr(value) for name, value in (offsets | {"HEIGHT_OFF": HEIGHT}).items()}
    tags |= {name.upper(): repr(value) for name, value in figures.items()} | {"HEIGHT_SCALE": repr(HEIGHT_SCALE_M)}
    return tags | {f"{name}_COEFF": " ".join(map(repr, terms)) for name, terms in _polynomials(image).items()}


def _rpc_document(image: MinimalImage) -> str:
    """As the PeruSat family writes it: the centre of the first pixel is (1, 1)."""
    lines, samples = image.counts.shape[1:]
    figures = _figures(image)
    names = {"LINE": "ROW", "SAMP": "COL"}
    terms = "".join(
        f"<{names[key[:4]]}{key[4:]}_COEFF_{index}>{value!r}</{names[key[:4]]}{key[4:]}_COEFF_{index}>"
        for key, values in _polynomials(image).items()
        for index, value in enumerate(values, start=1)
    )
    validity = {
        "COL_OFF": samples / 2 + 0.5,
        "COL_SCALE": figures["samp_scale"],
        "ROW_OFF": lines / 2 + 0.5,
        "ROW_SCALE": figures["line_scale"],
        "LON_OFF": LON,
        "LON_SCALE": figures["long_scale"],
        "LAT_OFF": LAT,
        "LAT_SCALE": figures["lat_scale"],
        "HEIGHT_OFF": HEIGHT,
        "HEIGHT_SCALE": HEIGHT_SCALE_M,
    }
    domain = "".join(f"<{name}>{value!r}</{name}>" for name, value in validity.items())
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<Rpc_Document><Inverse_Model>{terms}</Inverse_Model>"
        f"<Validity>{domain}</Validity></Rpc_Document>\n"
    )


def _vertices(image: MinimalImage, vertex: str) -> str:
    lines, samples = image.counts.shape[1:]
    ring = ((0, 0), (0, samples), (lines, samples), (lines, 0))
    corners = [ground_of(image, line, sample, HEIGHT) for line, sample in ring]
    return "".join(vertex.format(lon=repr(float(lon)), lat=repr(float(lat))) for lon, lat in corners)


def _dimap_v2(image: MinimalImage, name: str, tiles: tuple[int, int]) -> str:
    counts, gains = image.counts, {"B0": 5.975, "B1": 5.742, "B2": 7.859, "B3": 10.275, "P": 10.409}
    esun = {"B0": 1982.7, "B1": 1826.1, "B2": 1540.5, "B3": 1094.7, "P": 1706.5}
    places = [(row, column) for row in range(1, tiles[0] + 1) for column in range(1, tiles[1] + 1)]
    files = "".join(
        f'<Data_File tile_R="{row}" tile_C="{column}"><DATA_FILE_PATH href="{path.name}"/></Data_File>'
        for (row, column), path in zip(places, image.files, strict=True)
    )
    bands = "".join(
        f"<Band_Radiance><BAND_ID>{label}</BAND_ID><CALIBRATION_DATE>2018-01-01T00:00:00Z</CALIBRATION_DATE>"
        "<MEASURE_DESC>Raw radiometric counts (DN) to TOA Radiance (L). Formulae L=DN/GAIN+BIAS</MEASURE_DESC>"
        "<MEASURE_UNIT>watt/m2/steradians/micrometers</MEASURE_UNIT>"
        f"<GAIN>{gains[label]}</GAIN><BIAS>0</BIAS></Band_Radiance>"
        f"<Band_Solar_Irradiance><BAND_ID>{label}</BAND_ID><VALUE>{esun[label]}</VALUE></Band_Solar_Irradiance>"
        for label in image.labels
    )
    vertices = _vertices(image, "<Vertex><LON>{lon}</LON><LAT>{lat}</LAT></Vertex>")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Dimap_Document>
<Metadata_Identification><METADATA_FORMAT version="2.0">DIMAP</METADATA_FORMAT>
<METADATA_PROFILE>KZ1_SENSOR</METADATA_PROFILE></Metadata_Identification>
<Dataset_Identification><DATASET_TYPE>RASTER_SENSOR</DATASET_TYPE>
<DATASET_NAME>SEN_DZHR1_20180429070543_000</DATASET_NAME></Dataset_Identification>
<Dataset_Content><Dataset_Components><Component><COMPONENT_TITLE>RPC Model</COMPONENT_TITLE>
<COMPONENT_PATH href="RPC_DZHR1_{name}_001.XML"/></Component></Dataset_Components>
<Dataset_Extent>{vertices}</Dataset_Extent></Dataset_Content>
<Geoposition><Raster_CRS><PIXEL_ORIENTATION>CENTER</PIXEL_ORIENTATION><PIXEL_ORIGIN>1</PIXEL_ORIGIN></Raster_CRS>
</Geoposition>
<Processing_Information><Product_Settings><PROCESSING_LEVEL>SENSOR</PROCESSING_LEVEL>
<SPECTRAL_PROCESSING>{name}</SPECTRAL_PROCESSING></Product_Settings></Processing_Information>
<Raster_Data><Data_Access><Data_Files>{files}</Data_Files></Data_Access>
<Raster_Dimensions><NROWS>{counts.shape[1]}</NROWS><NCOLS>{counts.shape[2]}</NCOLS>
<NBANDS>{counts.shape[0]}</NBANDS></Raster_Dimensions>
<Raster_Encoding><DATA_TYPE>INTEGER</DATA_TYPE><NBITS>16</NBITS><SIGN>UNSIGNED</SIGN></Raster_Encoding>
<Raster_Display><Special_Value><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_COUNT>0</SPECIAL_VALUE_COUNT></Special_Value><Special_Value>
<SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_COUNT>4095</SPECIAL_VALUE_COUNT></Special_Value>
</Raster_Display></Raster_Data>
<Radiometric_Data><Radiometric_Calibration><Instrument_Calibration><Band_Measurement_List>{bands}
</Band_Measurement_List></Instrument_Calibration></Radiometric_Calibration></Radiometric_Data>
<Geometric_Data><Use_Area><Located_Geometric_Values><LOCATION_TYPE>Center</LOCATION_TYPE>
<TIME>2018-04-29T07:05:43.9Z</TIME><Acquisition_Angles><AZIMUTH_ANGLE>101.5</AZIMUTH_ANGLE>
<VIEWING_ANGLE>12.5</VIEWING_ANGLE><INCIDENCE_ANGLE>14.04</INCIDENCE_ANGLE></Acquisition_Angles>
<Solar_Incidences><SUN_AZIMUTH>150.0</SUN_AZIMUTH><SUN_ELEVATION>58.0</SUN_ELEVATION></Solar_Incidences>
</Located_Geometric_Values></Use_Area></Geometric_Data>
<Dataset_Sources><Source_Identification><SOURCE_ID>DS_DZHR1_201804290705439_KZ1_E071N51_005402</SOURCE_ID>
<Strip_Source><MISSION>DZHR</MISSION><MISSION_INDEX>1</MISSION_INDEX><IMAGING_DATE>2018-04-29</IMAGING_DATE>
<IMAGING_TIME>07:05:43.9</IMAGING_TIME></Strip_Source></Source_Identification></Dataset_Sources>
</Dimap_Document>
"""


def _dimap_v1(image: MinimalImage) -> str:
    bands = "".join(
        f"<Spectral_Band_Info><BAND_INDEX>{index}</BAND_INDEX><BAND_DESCRIPTION>{label}</BAND_DESCRIPTION>"
        "<PHYSICAL_GAIN>0.02</PHYSICAL_GAIN><PHYSICAL_BIAS>0.0</PHYSICAL_BIAS></Spectral_Band_Info>"
        for index, label in enumerate(image.labels, start=1)
    )
    vertices = _vertices(image, "<Vertex><FRAME_LON>{lon}</FRAME_LON><FRAME_LAT>{lat}</FRAME_LAT></Vertex>")
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<Dimap_Document>
<Metadata_Id><METADATA_FORMAT version="1.1">DIMAP</METADATA_FORMAT>
<METADATA_PROFILE>DMCii</METADATA_PROFILE></Metadata_Id>
<Dataset_Id><DATASET_NAME>{image.document.stem}</DATASET_NAME></Dataset_Id>
<Production><PRODUCT_TYPE>L1R</PRODUCT_TYPE></Production>
<Dataset_Frame>{vertices}</Dataset_Frame>
<Raster_Encoding><NBITS>16</NBITS></Raster_Encoding>
<Data_Access><Data_File><DATA_FILE_PATH href="{image.files[0].name}"/></Data_File></Data_Access>
<Raster_Dimensions><NCOLS>{image.counts.shape[2]}</NCOLS><NROWS>{image.counts.shape[1]}</NROWS>
<NBANDS>{image.counts.shape[0]}</NBANDS></Raster_Dimensions>
<Image_Interpretation>{bands}</Image_Interpretation>
<Image_Display><Band_Display_Order><RED_CHANNEL>1</RED_CHANNEL><BLUE_CHANNEL>3</BLUE_CHANNEL></Band_Display_Order>
<Special_Value><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX><SPECIAL_VALUE_TEXT>nodata</SPECIAL_VALUE_TEXT>
</Special_Value></Image_Display>
<Dataset_Sources><Source_Information><SOURCE_ID>KM_L0R_0057d3</SOURCE_ID><Scene_Source>
<MISSION>KAZEOSAT 2</MISSION><INSTRUMENT>KEIS</INSTRUMENT><IMAGING_DATE>2018-04-29</IMAGING_DATE>
<IMAGING_TIME>01:27:08.5</IMAGING_TIME><INCIDENCE_ANGLE>14.04</INCIDENCE_ANGLE><VIEWING_ANGLE>12.5</VIEWING_ANGLE>
<SUN_AZIMUTH>93.8</SUN_AZIMUTH><SUN_ELEVATION>24.4</SUN_ELEVATION></Scene_Source></Source_Information>
</Dataset_Sources>
</Dimap_Document>
"""
