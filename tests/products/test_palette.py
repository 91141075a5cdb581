"""Colour tables."""

import numpy as np
import pytest

from processing.model.errors import BadInput
from processing.products.palette import colour_table


def test_runs_from_red_over_pale_to_green() -> None:
    table = colour_table("rdylgn")
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    assert table[0].tolist() == [0xA5, 0x00, 0x26]
    assert table[-1].tolist() == [0x00, 0x68, 0x37]
    middle = table[127:129].astype(int)
    assert (middle.min(axis=0) > [230, 230, 170]).all()
    assert np.abs(np.diff(table.astype(int), axis=0)).max() <= 5, "no step a person could see"


def test_an_unknown_palette_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="rdylgn"):
        colour_table("jet")
