"""Image positions of a window of output pixels: by layers where they keep the bound, exact where they do not."""

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from processing.geometry.lattice import Lattice, Nodes
from processing.geometry.mapping import Mapping, map_points
from processing.geometry.terrain import Terrain
from processing.geometry.tile_kernel import Ground, map_tile, sort_out_tile
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]


def map_window(
    nodes: Nodes,
    lattice: Lattice,
    geobox: GeoBox,
    rows: tuple[int, int],
    cols: tuple[int, int],
    model: SensorModel,
    terrain: Terrain,
    image: tuple[int, int],
) -> Mapping:
    """Image positions of the centres of a rectangle of output pixels, within the lattice's bound of the exact ones.

    A pixel's position depends on its own lattice cell and nothing else: not on the window.

    Parameters
    ----------
    nodes
        Around at least this window, from :func:`processing.geometry.lattice.lattice_nodes`.
    lattice, geobox, model, terrain
        What the nodes were made of.
    rows, cols
        First and last (excluded) output row and column.
    image
        Lines and samples of the image.
    """
    shape = (rows[1] - rows[0], cols[1] - cols[0])
    line, sample = np.empty(shape), np.empty(shape)
    ground = ground_of(nodes, lattice, terrain)
    corner = (rows[0], cols[0])
    odd = map_tile(ground, corner, line, sample)
    void = np.zeros(shape, dtype=np.bool_)
    again = _broken_cells(nodes, lattice, rows, cols)
    if any(odd):
        beyond = np.empty(shape, dtype=np.bool_)
        sort_out_tile(ground, corner, image, void, beyond)
        again |= beyond
    if again.any():
        row, col = np.nonzero(again)
        at_row, at_col = (row + rows[0] + 0.5).astype(np.float64), (col + cols[0] + 0.5).astype(np.float64)
        exact = map_points(geobox, at_row, at_col, model, terrain, image, lattice.middle_m)
        line[again], sample[again], void[again] = exact.line, exact.sample, exact.void
    return Mapping(line=line, sample=sample, void=void)


def ground_of(nodes: Nodes, lattice: Lattice, terrain: Terrain) -> Ground:
    """Lattice and terrain as the kernels take them."""
    return Ground(
        nodes=nodes.values,
        first_node=(nodes.row0, nodes.col0),
        step=lattice.step,
        layers=(lattice.middle_m, lattice.reach_m),
        heights=terrain.heights,
    )


def _broken_cells(
    nodes: Nodes, lattice: Lattice, rows: tuple[int, int], cols: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Pixels of a window that lie in cells which may not be interpolated."""
    cell_rows = np.arange(*rows) // lattice.step - nodes.row0
    cell_cols = np.arange(*cols) // lattice.step - nodes.col0
    part = nodes.exact[cell_rows[0] : cell_rows[-1] + 1, cell_cols[0] : cell_cols[-1] + 1]
    if not part.any():
        return np.zeros((cell_rows.size, cell_cols.size), dtype=np.bool_)
    return np.asarray(nodes.exact[np.ix_(cell_rows, cell_cols)])
