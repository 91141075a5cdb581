"""Every reader keeps the contract of all readers."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from processing.readers.dimap import DimapReader
from processing.readers.dimap_v1 import DimapV1Reader
from processing.readers.geotiff_rpc import GeotiffRpcReader
from processing.readers.protocol import SceneReader
from processing.readers.sentinel2 import Sentinel2Reader
from processing.testing.contracts import SceneReaderContract
from processing.testing.minimal import MinimalPackage, write_dimap_v1, write_dimap_v2


class TestDimapV2Tiff(SceneReaderContract):
    @pytest.fixture
    def reader(self) -> SceneReader:
        return DimapReader()

    @pytest.fixture
    def package(self, kz1: MinimalPackage) -> Path:
        return kz1.root


class TestDimapV2Jpeg2000(TestDimapV2Tiff):
    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        return write_dimap_v2(tmp_path / "delivered", driver="JP2OpenJPEG", lines=96, samples=80).root


class TestDimapV1(SceneReaderContract):
    @pytest.fixture
    def reader(self) -> SceneReader:
        return DimapV1Reader()

    @pytest.fixture
    def package(self, kz2: MinimalPackage) -> Path:
        return kz2.root


class TestGeotiffRpc(SceneReaderContract):
    @pytest.fixture
    def reader(self) -> SceneReader:
        return GeotiffRpcReader()

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        return write_dimap_v1(tmp_path / "delivered", lines=70, samples=90).images[0].files[0]


class TestSentinel2(SceneReaderContract):
    @pytest.fixture
    def reader(self) -> SceneReader:
        return Sentinel2Reader()

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        return _safe(tmp_path / "delivered")


_BANDS = {10: ("B02", "B03", "B04", "B08"), 20: ("B05", "B06", "B07", "B8A", "B11", "B12"), 60: ("B01", "B09", "B10")}


def _safe(folder: Path) -> Path:
    """A Sentinel-2 product of 60, 30 and 10 pixels a side."""
    root = folder / "S2A_MSIL1C_20220125T151701_N0400_R125_T18LTM_20220125T190036.SAFE"
    images = root / "GRANULE" / "L1C" / "IMG_DATA"
    images.mkdir(parents=True)
    random = np.random.default_rng(5)
    names = []
    for resolution, labels in _BANDS.items():
        side = 60 * 10 // resolution
        for label in labels:
            counts = random.integers(1, 9000, (1, side, side), dtype=np.uint16)
            name = f"T18LTM_20220125T151701_{label}"
            shape = {"count": 1, "height": side, "width": side, "dtype": "uint16"}
            with rasterio.open(
                images / f"{name}.jp2", "w", driver="JP2OpenJPEG", REVERSIBLE="YES", QUALITY=100, **shape
            ) as dataset:
                dataset.write(counts)
            names.append(f"GRANULE/L1C/IMG_DATA/{name}")
    (root / "MTD_MSIL1C.xml").write_text(_product(names), encoding="utf-8")
    (root / "GRANULE" / "L1C" / "MTD_TL.xml").write_text(_tile(), encoding="utf-8")
    return root


def _product(names: list[str]) -> str:
    files = "".join(f"<IMAGE_FILE>{name}</IMAGE_FILE>" for name in names)
    return f"""<n1:Level-1C_User_Product xmlns:n1="https://example.org/psd"><n1:General_Info><Product_Info>
<PRODUCT_URI>S2A_MSIL1C_20220125T151701.SAFE</PRODUCT_URI><PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
<PROCESSING_BASELINE>04.00</PROCESSING_BASELINE><Datatake><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
<SENSING_ORBIT_NUMBER>125</SENSING_ORBIT_NUMBER><SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION></Datatake>
<Product_Organisation><Granule_List><Granule>{files}</Granule></Granule_List></Product_Organisation></Product_Info>
<Product_Image_Characteristics><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>
<Reflectance_Conversion><U>1.03</U></Reflectance_Conversion></Product_Image_Characteristics></n1:General_Info>
<n1:Geometric_Info><Product_Footprint><Product_Footprint><Global_Footprint><EXT_POS_LIST>-12 -77 -12 -76 -13 -76 -12 -77
</EXT_POS_LIST></Global_Footprint></Product_Footprint></Product_Footprint></n1:Geometric_Info>
</n1:Level-1C_User_Product>"""


def _tile() -> str:
    grids = "".join(
        f'<Size resolution="{r}"><NROWS>{600 // r}</NROWS><NCOLS>{600 // r}</NCOLS></Size>'
        f'<Geoposition resolution="{r}">'
        f"<ULX>199980</ULX><ULY>8700040</ULY><XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>"
        for r in _BANDS
    )
    return f"""<n1:Level-1C_Tile_ID xmlns:n1="https://example.org/psd"><n1:General_Info>
<SENSING_TIME>2022-01-25T15:26:35.509574Z</SENSING_TIME></n1:General_Info><n1:Geometric_Info><Tile_Geocoding>
<HORIZONTAL_CS_CODE>EPSG:32718</HORIZONTAL_CS_CODE>{grids}</Tile_Geocoding><Tile_Angles><Mean_Sun_Angle>
<ZENITH_ANGLE>28.4</ZENITH_ANGLE><AZIMUTH_ANGLE>107.1</AZIMUTH_ANGLE></Mean_Sun_Angle></Tile_Angles></n1:Geometric_Info>
</n1:Level-1C_Tile_ID>"""
