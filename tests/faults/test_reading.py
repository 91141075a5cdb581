"""Bits that turn over and objects that are lost, at reading: an error, or the right values; never others."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401 - gives datasets their .rio

from processing.archive.open import open_product
from processing.archive.write import publish_product
from processing.model.errors import Defect
from tests.archive import synthetic
from tests.faults import witness
from tests.faults.counts import COUNTS

FLIPS_IN_CI = 150


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    product = publish_product(home, synthetic.draft(), [synthetic.scene((120, 150))])
    return home / product.archive_href


def everything(store: Path) -> dict[str, np.ndarray]:
    """All pixels of all levels, physical values and flags, and where they lie."""
    dataset = open_product(store).load()
    found = {name: variable.to_numpy() for name, variable in dataset.variables.items()}
    return found | {"crs": np.array([str(dataset.rio.crs)])}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one
    )


def test_one_bit_anywhere_in_a_store_is_never_read_as_other_values(store, tmp_path):
    right = everything(store)
    objects = [path.relative_to(store) for path in witness.files_under(store)]
    strewn = random.Random(11)
    asked = os.environ.get("QYRAN_FAULTS", "")
    refused, wrong = 0, []
    for _ in range(int(asked) if asked.isdecimal() else 5000 if asked else FLIPS_IN_CI):
        copy = shutil.copytree(store, tmp_path / "copy.zarr")
        victim = copy / strewn.choice(objects)
        content = bytearray(victim.read_bytes())
        place, bit = strewn.randrange(len(content)), strewn.randrange(8)
        content[place] ^= 1 << bit
        victim.write_bytes(content)
        COUNTS["injected flipped bit"] += 1
        try:
            values = everything(copy)
        except Exception:  # noqa: BLE001 - whatever says that something is wrong
            refused += 1
        else:
            if not same(values, right):
                wrong.append(f"{victim.relative_to(copy)} byte {place} bit {bit}")
        shutil.rmtree(copy)
    COUNTS["silent"] += len(wrong)
    assert wrong == []
    assert refused > 0


def test_a_bit_of_a_scale_factor_is_told_of(store, tmp_path):
    """What no checksum of a chunk covers: the numbers that give the pixels their meaning."""
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    victim = copy / "measurements/reflectance/r4m/zarr.json"
    content = victim.read_bytes()
    assert b'"scale_factor": 0.0001' in content
    victim.write_bytes(content.replace(b'"scale_factor": 0.0001', b'"scale_factor": 0.0003'))
    with pytest.raises(Defect) as caught:
        open_product(copy)
    assert caught.value.kind == "archive.corrupt"


def test_no_lost_object_is_read_as_nodata(store, tmp_path):
    right = everything(store)
    for victim in witness.files_under(store):
        copy = shutil.copytree(store, tmp_path / "copy.zarr")
        (copy / victim.relative_to(store)).unlink()
        COUNTS["injected lost object"] += 1
        try:
            assert same(everything(copy), right), f"without {victim.relative_to(store)} other values are read"
        except AssertionError:
            COUNTS["silent"] += 1
            raise
        except Exception:  # noqa: BLE001 - whatever says that something is missing
            pass
        shutil.rmtree(copy)
