"""Cubes and stacks of scenes, against the products that they are made of, and against Icechunk read by others."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import icechunk
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from processing.archive import cube_index, cube_repository, durable
from processing.archive.cube import open_cube
from processing.archive.cube_grid import TILE_M, ChunkGrid, Footing, Tile
from processing.archive.cube_keep import (
    cube_folder,
    cubes_in,
    keep_cube,
    note_product,
    notes_at,
    tiles_of,
    tiles_with_products,
)
from processing.archive.cube_state import read_state
from processing.archive.open import open_product
from processing.archive.scenes import open_scenes
from processing.archive.write import publish_product
from processing.model.errors import BadInput, Defect
from processing.model.product import Product, StoredGroup
from processing.model.qa import Qa
from tests.archive import synthetic

# rioxarray and odc multiply affines the old way
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

COLLECTION = "kazeosat-1-l1c"
CHUNK_M = 2000.0
ORIGIN = (650_000.0, 4_800_000.0)
TILE = Tile("EPSG:32643", 6, 47)
NAMES = ("red", "nir")


def publish(home: Path, number: int, *, at=(0, 0), days=0, package=None, shape=(700, 900), **changes) -> Product:
    """A scene whose first chunk lies ``at`` (down, right) chunks from the corner."""
    box = synthetic.geobox(shape, origin=(ORIGIN[0] + at[1] * CHUNK_M, ORIGIN[1] - at[0] * CHUNK_M))
    image = synthetic.image(synthetic.values(shape, 2, seed=number), box, NAMES)
    draft = synthetic.draft(
        NAMES, item=f"KZ1_{number}", visual=(), acquired=synthetic.ACQUIRED + timedelta(days=days),
        lineage=synthetic.lineage(package or f"{number:02d}", **changes),
    )  # fmt: skip
    return publish_product(home, draft, [image])


def keep(home: Path, *products: Product):
    for product in products:
        for tile in note_product(home, product):
            keep_cube(home, product.collection, tile)
    return read_state(cube_folder(home, COLLECTION, TILE))


@dataclass(frozen=True)
class Series:
    home: Path
    products: tuple[Product, ...]

    def opened(self, number: int, **how) -> xr.Dataset:
        return open_product(self.home / self.products[number].archive_href, **how).load()


@pytest.fixture(scope="session")
def series(tmp_path_factory) -> Series:
    """Four scenes, published out of order; the last begins in the tile to the north."""
    home = tmp_path_factory.mktemp("home of cubes")
    products = (
        publish(home, 1, days=3),
        publish(home, 2, at=(1, 2), days=9),
        publish(home, 3, at=(2, 1), days=1),
        publish(home, 4, at=(-1, 0), days=5),
    )
    keep(home, *products)
    return Series(home, products)


@pytest.fixture
def copy(series, tmp_path) -> Series:
    """The same somewhere else: to damage, and to show that a cube may move."""
    return Series(shutil.copytree(series.home, tmp_path / "moved", symlinks=True), series.products)


def expected(series: Series, number: int, cube: xr.Dataset, band: str, **how) -> np.ndarray:
    """A scene on a cube's pixels, by its own opening and xarray's alignment."""
    own = series.opened(number, **how)
    fill = int(Qa.NODATA) if band == "qa" else (0 if own[band].dtype == np.uint16 else np.nan)
    return own[band].reindex(y=cube.y, x=cube.x, fill_value=fill).values


ORDER = (2, 0, 3, 1)


def test_a_cube_is_its_scenes_in_the_order_of_time(series):
    cube = open_cube(series.home, COLLECTION, "epsg32643-e6-n47")
    assert cube.pixels.dims == ("time", "band", "y", "x")
    assert cube.pixels.dtype == "float32"
    assert list(cube.item.values) == ["KZ1_3", "KZ1_1", "KZ1_4", "KZ1_2"]
    assert cube.indexes["time"].is_monotonic_increasing
    assert str(cube.time.values[0])[:19] == "2026-04-25T05:20:11"
    assert (cube.odc.geobox.crs.epsg, cube.y.values[0], cube.attrs["pending"]) == (32643, 4_799_998.0, [])
    for place, number in enumerate(ORDER):
        for band in NAMES:
            found = cube.pixels.isel(time=place).sel(band=band).values
            np.testing.assert_array_equal(found, expected(series, number, cube, band))
        np.testing.assert_array_equal(cube.qa[place].values, expected(series, number, cube, "qa"))


def test_integers_masks_and_windows(series):
    box = (ORIGIN[0] + 2500, ORIGIN[1] - 4100, ORIGIN[0] + 4900, ORIGIN[1] - 2100)
    cube = open_cube(series.home, COLLECTION, TILE, bounds=box, masked=False)
    assert (cube.pixels.dtype, cube.pixels.shape) == ("uint16", (4, 2, 500, 600))
    masked = open_cube(series.home, COLLECTION, TILE, group="reflectance/r4m", bounds=box, mask=("cloud_not_tested",))
    assert masked.pixels.isnull().all()  # every pixel carries that flag
    for place, number in enumerate(ORDER):
        np.testing.assert_array_equal(cube.pixels.values[place, 1], expected(series, number, cube, "nir", masked=False))


def test_scenes_stack_to_what_the_cube_is_and_over_tiles(series):
    stores = [series.home / product.archive_href for product in series.products]
    stack = open_scenes(stores)
    assert list(stack.item.values) == ["KZ1_3", "KZ1_1", "KZ1_4", "KZ1_2"]
    assert stack.y.values[0] == ORIGIN[1] + CHUNK_M - 2
    cube = open_cube(series.home, COLLECTION, TILE)
    common = stack.sel(y=slice(cube.y[0], None)).load()
    trimmed = cube.sel(y=common.y, x=common.x)
    np.testing.assert_array_equal(common.pixels.values, trimmed.pixels.values)
    np.testing.assert_array_equal(common.qa.values, trimmed.qa.values)


def test_scenes_at_a_coarser_level_and_in_a_window(series):
    stores = [series.home / product.archive_href for product in series.products]
    stack = open_scenes(stores, resolution=8)
    assert abs(stack.x.values[1] - stack.x.values[0]) == 8
    np.testing.assert_array_equal(stack.pixels[1, 0].values, expected(series, 0, stack, "red", level=1))
    corner = (ORIGIN[0] + 5000, ORIGIN[1] - 4500, ORIGIN[0] + 5100, ORIGIN[1] - 4400)
    few = open_scenes(stores, bounds=corner)
    assert list(few.item.values) == ["KZ1_3", "KZ1_2"]
    assert few.pixels.shape == (2, 2, 25, 25)
    with pytest.raises(BadInput) as caught:
        open_scenes([])
    assert caught.value.kind == "scenes.none"


def test_scenes_of_another_map_are_refused(series, tmp_path):
    image = synthetic.image(
        synthetic.values((60, 60), 2), synthetic.geobox((60, 60), origin=(ORIGIN[0] + 1, ORIGIN[1])), NAMES
    )
    other = publish_product(tmp_path, synthetic.draft(NAMES, item="KZ1_9", visual=()), [image])
    with pytest.raises(BadInput) as caught:
        open_scenes([series.home / series.products[0].archive_href, tmp_path / other.archive_href])
    assert caught.value.kind == "scenes.grid"
    assert tiles_of(other) == ()


def test_opening_is_lazy_and_travels(series, no_compute):
    cube = open_cube(series.home, COLLECTION, TILE)
    assert open_cube(series.home, COLLECTION, TILE).pixels.data.name == cube.pixels.data.name
    assert len(pickle.dumps(cube)) < 100_000


def test_icechunk_and_xarray_alone_read_the_same(series):
    state = read_state(cube_folder(series.home, COLLECTION, TILE))
    folder = cube_folder(series.home, COLLECTION, TILE) / state.repository
    prefix = f"file://{series.home}/archive/"
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(folder)),
        authorize_virtual_chunk_access={prefix: icechunk.Credentials.LocalFileSystemAccess()},
    )
    plain = xr.open_zarr(repository.readonly_session("main").store, group="reflectance/r4m", consolidated=False)
    assert (plain.red.dims, plain.red.shape) == (("time", "y", "x"), (4, 25_000, 25_000))
    cube = open_cube(series.home, COLLECTION, TILE)
    np.testing.assert_array_equal(plain.time.values, cube.time.values)
    assert plain.attrs["items"] == list(cube.item.values)
    found = plain.red.sel(y=cube.y, x=cube.x).values
    np.testing.assert_allclose(found, cube.pixels.sel(band="red").values, atol=1e-6)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 200_000


def test_a_cube_moves_with_its_home(copy):
    cube = open_cube(copy.home, COLLECTION, TILE)
    np.testing.assert_array_equal(cube.pixels[1, 0].values, expected(copy, 0, cube, "red"))


def test_a_later_revision_takes_the_place_of_the_earlier(copy):
    newer = publish(copy.home, 1, days=3, resampling="lanczos")
    assert note_product(copy.home, newer) == (TILE,)
    assert open_cube(copy.home, COLLECTION, TILE).attrs["pending"] == ["KZ1_1"]
    kept = keep_cube(copy.home, COLLECTION, TILE)
    assert kept.rebuilt is None
    cube = open_cube(copy.home, COLLECTION, TILE)
    assert cube.sizes["time"] == 4
    assert cube.revision.values[1] == newer.revision != copy.products[0].revision
    assert {path.parts[-1] for path in notes_at(cube_folder(copy.home, COLLECTION, TILE))} == set()
    shutil.rmtree(copy.home / copy.products[0].archive_href)  # as retention may
    assert cube.pixels[1].mean().compute() > 0
    assert note_product(copy.home, newer) == ()


def test_a_product_that_went_goes_from_the_cube(copy):
    shutil.rmtree(copy.home / "products" / COLLECTION / "KZ1_3")
    state = keep_cube(copy.home, COLLECTION, TILE).state
    assert [part.item for part in state.stacks["reflectance/r4m"].slices] == ["KZ1_1", "KZ1_4", "KZ1_2"]
    cube = open_cube(copy.home, COLLECTION, TILE)
    for place, number in enumerate((0, 3, 1)):
        np.testing.assert_array_equal(cube.pixels[place, 0].values, expected(copy, number, cube, "red"))


def test_from_nothing_it_is_the_same(copy):
    before = open_cube(copy.home, COLLECTION, TILE).load()
    shutil.rmtree(copy.home / "cubes")
    assert list(cubes_in(copy.home, COLLECTION)) == []
    with pytest.raises(BadInput) as caught:
        open_cube(copy.home, COLLECTION, TILE)
    assert caught.value.kind == "cube.not_found"
    found = tiles_with_products(copy.home, COLLECTION)
    assert {tile.name: sorted(items) for tile, items in found.items()} == {
        "epsg32643-e6-n47": ["KZ1_1", "KZ1_2", "KZ1_3", "KZ1_4"],
        "epsg32643-e6-n48": ["KZ1_4"],
    }
    assert keep_cube(copy.home, COLLECTION, TILE).rebuilt == "there was none"
    xr.testing.assert_identical(open_cube(copy.home, COLLECTION, TILE).load(), before)


def test_the_repository_cut_at_any_file_is_noticed_and_made_again(copy):
    """What a power cut leaves of files that nobody synced: empty, or gone."""
    folder = cube_folder(copy.home, COLLECTION, TILE)
    whole = open_cube(copy.home, COLLECTION, TILE).load()
    for number, damage in enumerate(("empty", "gone", "flipped", "record")):
        state = read_state(folder)
        name = sorted(state.files)[number % len(state.files)]
        path = folder / "cube.json" if damage == "record" else folder / state.repository / name
        if damage == "gone":
            path.unlink()
        else:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            path.write_bytes(b"" if damage == "empty" else b"{" if damage == "record" else bytes(content))
        with pytest.raises(Defect) as caught:
            open_cube(copy.home, COLLECTION, TILE)
        assert caught.value.kind == "cube.damaged"
        assert keep_cube(copy.home, COLLECTION, TILE).rebuilt
        xr.testing.assert_identical(open_cube(copy.home, COLLECTION, TILE).load(), whole)
    (folder / read_state(folder).repository / "repo").write_bytes(b"")
    cube_repository._store.cache_clear()  # what this process had opened before it would go on reading
    with pytest.raises(Defect):
        open_cube(copy.home, COLLECTION, TILE).pixels[1, 0, 600:610, 600:610].compute()
    assert keep_cube(copy.home, COLLECTION, TILE).rebuilt


def test_a_commit_that_nobody_wrote_down_is_forgotten(copy, monkeypatch):
    """Killed between Icechunk's commit and the record: readers stay where they were, the next commit makes it good."""
    newer = publish(copy.home, 5, days=7)
    note_product(copy.home, newer)
    before = open_cube(copy.home, COLLECTION, TILE)
    with monkeypatch.context() as patch:
        patch.setattr(cube_index, "write_state", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            keep_cube(copy.home, COLLECTION, TILE)
    again = open_cube(copy.home, COLLECTION, TILE)
    assert again.attrs["pending"] == ["KZ1_5"]
    xr.testing.assert_identical(again.drop_attrs().load(), before.drop_attrs().load())
    assert keep_cube(copy.home, COLLECTION, TILE).rebuilt is None
    cube = open_cube(copy.home, COLLECTION, TILE)
    assert list(cube.item.values) == ["KZ1_3", "KZ1_1", "KZ1_4", "KZ1_5", "KZ1_2"]
    assert cube.attrs["pending"] == []


@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
def test_lost_bytes_raise_and_never_read_as_nodata(copy, how):
    cube = open_cube(copy.home, COLLECTION, TILE)
    shard = copy.home / copy.products[0].archive_href / "measurements/reflectance/r4m/red/c/0/0"
    content = bytearray(shard.read_bytes())
    if how == "lost":
        shard.unlink()
    else:
        content[len(content) // 3] ^= 1
        shard.write_bytes(content[: len(content) // 4] if how == "cut" else content)
    with pytest.raises(Defect):
        cube.pixels[1].compute()
    cube.pixels[0].compute()
    if how != "flipped":  # a flip is found by reading, not by building
        state = keep_cube(copy.home, COLLECTION, TILE, rebuild="asked for").state
        assert [part.item for part in state.left_out] == ["KZ1_1"]
        opened = open_cube(copy.home, COLLECTION, TILE)
        assert opened.sizes["time"] == 3
        assert opened.attrs["left_out"][0].startswith("KZ1_1: archive.")


def test_a_program_ends_well_after_a_read_that_failed(copy):
    """Reads that are left under way when the interpreter ends have been seen to crash it."""
    (copy.home / copy.products[0].archive_href / "measurements/reflectance/r4m/red/c/0/0").unlink()
    script = (
        "import sys; from pathlib import Path; from processing.archive.cube import open_cube\n"
        f"cube = open_cube(Path(sys.argv[1]), '{COLLECTION}', '{TILE.name}')\n"
        "try: cube.pixels.compute()\n"
        "except Exception as error: print(error.kind)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, copy.home], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (result.returncode, result.stdout.strip()) == (0, "cube.damaged"), result.stderr


def test_twenty_scenes_at_once_and_two_hundred_duplicates(tmp_path):
    """Twenty processes publish a scene of one tile each, and ten times more: one product each, all in the cube."""
    command = [sys.executable, "-m", "tests.archive.cube_committer", tmp_path, "20"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert result.returncode == 0, result.stderr[-2000:]
    items = sorted(f"KZ1_{number}" for number in range(20))
    assert sorted(path.name for path in (tmp_path / "products" / COLLECTION).iterdir()) == items
    assert len(list((tmp_path / "archive").rglob("*.zarr/manifest.json"))) == 2 * 20  # the store, and the link to it
    cube = open_cube(tmp_path, COLLECTION, TILE)
    assert sorted(cube.item.values) == items
    assert cube.indexes["time"].is_monotonic_increasing
    assert notes_at(cube_folder(tmp_path, COLLECTION, TILE)) == ()
    assert cube.pixels.notnull().any(("band", "y", "x")).all().compute()
    assert all(1 <= commits <= 2 for commits in json.loads(result.stdout))


def test_other_numbers_are_left_out_and_named(copy):
    image = synthetic.image(synthetic.values((700, 900), 2), synthetic.geobox(), NAMES)
    encoding = synthetic.REFLECTANCE.model_copy(update={"scale": 2e-4})
    draft = synthetic.draft(NAMES, item="KZ1_8", visual=(), encodings=dict.fromkeys(NAMES, encoding),
                            acquired=synthetic.ACQUIRED + timedelta(days=30))  # fmt: skip
    odd = publish_product(copy.home, draft, [image])
    state = keep(copy.home, odd)
    assert state.left_out[0].reason.startswith("cube.encoding")
    stack = open_scenes([copy.home / odd.archive_href, copy.home / copy.products[0].archive_href])
    np.testing.assert_allclose(stack.pixels[1, 0, :700, :900].values, image.pixels[0].values, atol=1.1e-4)


def test_durable_before_it_is_written_down(copy, monkeypatch):
    """Every file of the new snapshot is synced before the record that names it takes its place."""
    order = []
    for name in ("sync_file", "sync_folder"):
        real = getattr(durable, name)
        monkeypatch.setattr(durable, name, lambda path, real=real: order.append(Path(path)) or real(path))
    real_write = cube_index.write_state
    monkeypatch.setattr(cube_index, "write_state", lambda *given: order.append("record") or real_write(*given))
    state = keep(copy.home, publish(copy.home, 6, days=2))
    folder = cube_folder(copy.home, COLLECTION, TILE) / state.repository
    before = order[: order.index("record")]
    new = {folder / name for name in state.files} | {folder / "repo"}
    assert {path for path in new if path.stat().st_mtime_ns >= (folder / "repo").stat().st_mtime_ns - 10**9} <= set(
        before
    )
    assert {folder, folder / "snapshots", folder / "manifests", folder.parent} <= set(before)


@given(
    resolution=st.sampled_from([0.5, 0.7, 1.0, 2.0, 2.5, 4.0, 5.0, 6.25, 8.0, 10.0, 20.0]),
    left=st.integers(-300, 9000),
    top=st.integers(-20_000, 20_000),
    chunks=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_tiles_take_every_chunk_and_where_sizes_divide_only_once(resolution, left, top, chunks):
    pitch = resolution * 500
    group = StoredGroup(
        name="reflectance", path="x", resolution_m=resolution, crs="EPSG:32643",
        transform=(resolution, 0, left * pitch, 0, -resolution, top * pitch), shape=(chunks[0] * 500, chunks[1] * 500),
    )  # fmt: skip
    footing = Footing.of(group)
    assert footing is not None
    parts = [(tile, *footing.within(tile)) for tile in footing.tiles(group.crs)]
    assert all(rows and columns for _, rows, columns in parts)
    covered = sum(len(rows) * len(columns) for _, rows, columns in parts)
    assert covered >= chunks[0] * chunks[1]
    if (TILE_M / pitch).is_integer():
        assert covered == chunks[0] * chunks[1]
    for tile, rows, columns in parts:
        box = ChunkGrid(resolution).geobox(tile)
        top_left = box.affine * (columns.start * 500, rows.start * 500)
        assert Tile.of(tile.name) == tile
        assert (
            abs((top_left[0] - left * pitch) / pitch % 1) < 1e-6
            or abs((top_left[0] - left * pitch) / pitch % 1 - 1) < 1e-6
        )
        assert box.boundingbox.left <= tile.east * TILE_M + 1e-6
        assert box.boundingbox.top >= (tile.north + 1) * TILE_M - 1e-6


@pytest.mark.parametrize("name", ["43TGK", "epsg32643", "../../etc", "epsg32643-e6-n47/..", ""])
def test_what_is_no_tile_is_said(series, name):
    with pytest.raises(BadInput) as caught:
        open_cube(series.home, COLLECTION, name)
    assert caught.value.kind == "cube.tile"
