"""Metadata documents and coordinate chunks are, byte for byte, those that zarr-python writes for the same hierarchy."""

import json
import shutil
import warnings

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
from zarr.errors import ZarrUserWarning

BLOSC = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", blocksize=1 << 20)


def documents(store):
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob("zarr.json"))}


def test_consolidation_is_that_of_zarr(published, tmp_path):
    theirs = tmp_path / "theirs.zarr"
    shutil.copytree(published.store, theirs)
    paths = [path.parent.relative_to(theirs).as_posix() for path in theirs.rglob("zarr.json")]
    consolidated = [path for path in paths if b'"consolidated_metadata"' in (theirs / path / "zarr.json").read_bytes()]
    assert len(consolidated) == 1 + len(published.images) + sum(path.count("/") == 2 for path in paths)
    for path in paths:
        document = json.loads((theirs / path / "zarr.json").read_bytes())
        document.pop("consolidated_metadata", None)
        (theirs / path / "zarr.json").write_text(json.dumps(document, indent=2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)
        for path in sorted(consolidated, key=lambda path: -path.count("/") if path != "." else 1):
            zarr.consolidate_metadata(theirs, path=None if path == "." else path, zarr_format=3)
    assert documents(published.store) == documents(theirs)


def test_arrays_and_axes_are_those_of_zarr(published, tmp_path):
    ours = zarr.open_group(published.store, path="measurements", mode="r", use_consolidated=False)
    theirs = zarr.create_group(tmp_path / "theirs.zarr", path="measurements")
    kinds = set()
    for path, array in ours.members(max_depth=None):
        if isinstance(array, zarr.Group):
            continue
        kinds.add((array.ndim, str(array.dtype)))
        copy = theirs.create_array(
            path,
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunks,
            shards=array.shards,
            serializer=BytesCodec(),
            compressors=(BLOSC, Crc32cCodec()) if array.ndim else (Crc32cCodec(),),
            fill_value=array.fill_value,
            dimension_names={0: (), 1: (path[-1],), 2: ("y", "x")}[array.ndim],
            attributes=dict(array.attrs),
            config={"write_empty_chunks": True},
        )
        written, expected = (root / "measurements" / path for root in (published.store, tmp_path / "theirs.zarr"))
        assert (written / "zarr.json").read_bytes() == (expected / "zarr.json").read_bytes()
        if array.ndim < 2:
            copy[...] = np.asarray(array[...])
            chunk = "c/0" if array.ndim else "c"
            assert (written / chunk).read_bytes() == (expected / chunk).read_bytes()
    assert kinds == {(0, "int32"), (1, "float64"), (2, "uint16")}
