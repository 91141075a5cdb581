"""Shards written in one go hold, chunk for chunk, the bytes that zarr-python writes, and read back through it."""

import hashlib

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from processing.archive.shard_file import ShardFile


def array_of(store, shape, dtype, chunk, shard, fill):
    return zarr.create_array(
        store,
        name="a",
        shape=shape,
        dtype=dtype,
        chunks=chunk,
        shards=shard,
        serializer=BytesCodec(),
        compressors=(BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", blocksize=1 << 20), Crc32cCodec()),
        fill_value=fill,
        config={"write_empty_chunks": True, "read_missing_chunks": False},
    )


def write_shard(store, key, values, shard, chunk, fill):
    file = ShardFile(store, key, shard, chunk, fill)
    for row in range(0, values.shape[0], chunk[0]):
        file.put(values[row : row + chunk[0]])
    return file.close()


def chunks_of(content, chunks):
    """Encoded chunks of a shard, row by row, found through its index; None for an absent one."""
    count = chunks[0] * chunks[1]
    index = np.frombuffer(content[-16 * count - 4 : -4], dtype="<u8").reshape(count, 2)
    return [None if start == 2**64 - 1 else content[int(start) : int(start + size)] for start, size in index]


@settings(deadline=None, max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    chunk=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    chunks=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dtype=st.sampled_from(["uint16", "int16", "uint8"]),
    seed=st.integers(0, 9),
)
def test_the_same_bytes_as_zarr(tmp_path_factory, shape, chunk, chunks, dtype, seed):
    folder = tmp_path_factory.mktemp("shards")
    shard = (chunk[0] * chunks[0], chunk[1] * chunks[1])
    values = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    fill = 7
    array_of(folder / "theirs", shape, dtype, chunk, shard, fill)[:] = values
    ours = array_of(folder / "ours", shape, dtype, chunk, shard, fill)
    for row in range(-(-shape[0] // shard[0])):
        for column in range(-(-shape[1] // shard[1])):
            part = values[row * shard[0] : (row + 1) * shard[0], column * shard[1] : (column + 1) * shard[1]]
            key = f"a/c/{row}/{column}"
            record = write_shard(folder / "ours", key, part, shard, chunk, fill)
            written = (folder / "ours" / key).read_bytes()
            assert (record.size, record.sha256) == (len(written), hashlib.sha256(written).hexdigest())
            theirs = (folder / "theirs" / key).read_bytes()
            assert chunks_of(written, chunks) == chunks_of(theirs, chunks)
            assert len(written) == len(theirs)
    np.testing.assert_array_equal(ours[:], values)


def test_a_flipped_bit_is_noticed_by_any_reader(tmp_path):
    values = np.arange(64, dtype="uint16").reshape(8, 8)
    array = array_of(tmp_path, (8, 8), "uint16", (4, 4), (8, 8), 0)
    write_shard(tmp_path, "a/c/0/0", values, (8, 8), (4, 4), 0)
    path = tmp_path / "a/c/0/0"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises((ValueError, RuntimeError)):
            array[:]
