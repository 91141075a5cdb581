"""What every package reader promises, as a test class to subclass.

A newcomer's reader proves itself with a dozen lines::

    class TestMyReader(SceneReaderContract):
        @pytest.fixture
        def reader(self):
            return MyReader()

        @pytest.fixture
        def package(self, tmp_path):
            return a_small_package_with_pixels(tmp_path)

        @pytest.fixture
        def sensors(self):
            return load_registry().sensors
"""

import copy
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path

import dask
import dask.array
import numpy as np

from configs.schema import SensorConfig
from processing.model.errors import BadInput
from processing.model.scene import Delivery
from processing.readers.package import PackageFiles, list_folder, single_file
from processing.readers.protocol import SceneReader

_SMALL_PICKLE = 200_000


def package_files(package: Path) -> PackageFiles:
    """A package as readers take it."""
    return list_folder(package) if package.is_dir() else single_file(package)


class SceneReaderContract:
    """Tests of :class:`processing.readers.protocol.SceneReader`; fixtures ``reader``, ``package``, ``sensors``.

    ``package`` is a folder or file with pixels, small enough to be computed whole, and writable.
    """

    def _read(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig], *, pixels: bool = True
    ) -> Delivery:
        return reader.read(package_files(package), sensors, pixels=pixels)

    def test_claims_its_package_and_no_other(self, reader: SceneReader, package: Path, tmp_path: Path) -> None:
        """A reader knows its own format, and leaves strangers alone without complaint."""
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        (stranger / "notes.txt").write_text("nothing of interest", encoding="utf-8")
        (stranger / "empty.xml").touch()
        assert reader.claims(package_files(package))
        assert not reader.claims(package_files(stranger))

    def test_every_scene_is_complete(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig]
    ) -> None:
        """Identity, time, bands and either a model or a map are there, and pixels agree with them."""
        delivery = self._read(reader, package, sensors)
        assert delivery.format == reader.format
        assert delivery.delivery_id
        assert delivery.scenes
        for scene in delivery.scenes:
            assert scene.acquired.tzinfo is not None
            assert len(set(scene.band_names)) == len(scene.bands) > 0
            assert (scene.model is None) != (scene.map_grid is None)
            assert (scene.pixels is None) == (scene.no_pixels is not None)
            if scene.pixels is not None:
                assert scene.pixels.dims == ("band", "line", "sample")
                assert scene.pixels.shape == (len(scene.bands), *scene.shape)

    def test_pixels_are_lazy_and_their_graph_repeats(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig]
    ) -> None:
        """Same package, same graph; a task is small, and reads the same after a journey between processes."""
        first, second = (self._read(reader, package, sensors).scenes for _ in range(2))
        for scene, again in zip(first, second, strict=True):
            if scene.pixels is None or again.pixels is None:
                continue
            array = scene.pixels.data
            assert isinstance(array, dask.array.Array)
            assert array.name == again.pixels.data.name
            assert array.numblocks[0] == 1, "a chunk holds all bands of its window"
            assert len(pickle.dumps(scene)) < _SMALL_PICKLE
            # Copied the way it travels between processes: by what it reduces to.
            travelled = copy.deepcopy(scene.pixels)
            with dask.config.set(scheduler="synchronous"):
                np.testing.assert_array_equal(array.compute(), travelled.data.compute())

    def test_rechunked_pixels_are_the_same(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig]
    ) -> None:
        """Windows read alone equal the same windows of the whole."""
        for scene in self._read(reader, package, sensors).scenes:
            if scene.pixels is None:
                continue
            with dask.config.set(scheduler="threads", num_workers=4):
                whole = scene.pixels.compute().values
                parts = scene.pixels.chunk({"line": 17, "sample": 23}).compute().values
                corner = scene.pixels[-1:, -5:, -7:].compute().values
            np.testing.assert_array_equal(parts, whole)
            np.testing.assert_array_equal(corner, whole[-1:, -5:, -7:])

    def test_without_pixels_only_metadata_is_read(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig]
    ) -> None:
        """``pixels=False`` attaches none, and says nothing else differently."""
        full, bare = (self._read(reader, package, sensors, pixels=flag).scenes for flag in (True, False))
        assert all(scene.pixels is None for scene in bare)
        assert list(full) == list(bare)

    def test_a_package_is_left_as_it_was(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig]
    ) -> None:
        """Reading writes nothing: no sidecar, no cache."""
        before = {path: path.stat().st_mtime_ns for path in package.parent.rglob("*")}
        for scene in self._read(reader, package, sensors).scenes:
            if scene.pixels is not None:
                scene.pixels[:, :1, :1].compute(scheduler="synchronous")
        assert {path: path.stat().st_mtime_ns for path in package.parent.rglob("*")} == before

    def test_a_cut_image_is_refused_never_zeros(
        self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig], tmp_path: Path
    ) -> None:
        """Every image file is cut to its first half in turn: an error, at the latest when computing."""
        folder = package if package.is_dir() else package.parent
        for image in sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".tif", ".jp2"}):
            cut = tmp_path / f"cut-{image.name}"
            shutil.copytree(folder, cut)
            target = cut / image.relative_to(folder)
            target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
            kind = self._refusal(reader, cut if package.is_dir() else cut / package.name, sensors)
            assert kind in {"truncated", "raster.corrupt", "raster.unreadable"}, f"{image.name} cut to half: {kind}"

    def _refusal(self, reader: SceneReader, package: Path, sensors: Mapping[str, SensorConfig]) -> str | None:
        """Kind of the error a package ends in when all of it is computed; None when it is read without complaint."""
        try:
            for scene in self._read(reader, package, sensors).scenes:
                if scene.pixels is not None:
                    scene.pixels.compute(scheduler="synchronous")
        except BadInput as error:
            return error.kind
        return None
