"""What lies at a place, at metre scale: an analytic landscape that any sensor, and the truth, see the same.

A place has two materials that mix, and a brightness. Everything is a function of the ground position alone (local
metres of :mod:`processing.testing.relief`) and of the seed, so nothing depends on who looks or in which order.
"""

import numpy as np

from processing.testing.compiled import compiled
from processing.testing.materials import Cover, Material
from processing.testing.noise import chance, smooth_noise
from processing.testing.relief import RIVER_OFFSET, RIVER_REACH, RIVER_SPACING, river_x

Ground = tuple[int, int, int, float, float, bool]
"""Cover class, first and second material, share of the second, brightness, whether a built or grown thing shades it."""

# Compiled code reads plain integers.
_FIELD, _GRASS, _FOREST = int(Cover.FIELD), int(Cover.GRASS), int(Cover.FOREST)
_ROCK, _BUILT, _WATER, _SNOW = int(Cover.ROCK), int(Cover.BUILT), int(Cover.WATER), int(Cover.SNOW)
_M_LAKE, _M_RIVER, _M_GRAVEL = int(Material.LAKE), int(Material.RIVER), int(Material.GRAVEL)
_M_DARK, _M_LIGHT, _M_TRACK = int(Material.SOIL_DARK), int(Material.SOIL_LIGHT), int(Material.TRACK)
_M_LUSH, _M_DRY, _M_SHRUB = int(Material.GRASS_LUSH), int(Material.GRASS_DRY), int(Material.SHRUB)
_M_CONIFER, _M_LEAF = int(Material.CONIFER), int(Material.BROADLEAF)
_M_GREY, _M_RED, _M_SCREE = int(Material.ROCK_GREY), int(Material.ROCK_RED), int(Material.SCREE)
_M_SNOW, _M_ICE = int(Material.SNOW), int(Material.ICE)
_M_ASPHALT, _M_CONCRETE = int(Material.ASPHALT), int(Material.CONCRETE)
_M_WHITE, _M_GREY_ROOF = int(Material.ROOF_WHITE), int(Material.ROOF_GREY)
_CROPS = np.array(
    [
        Material.WHEAT,
        Material.WHEAT,
        Material.WHEAT,
        Material.ALFALFA,
        Material.YOUNG_CROP,
        Material.YOUNG_CROP,
        Material.STUBBLE,
        Material.RAPE,
        Material.SOIL_DARK,
        Material.SOIL_LIGHT,
        Material.GRASS_DRY,
        Material.GRASS_LUSH,
    ],
    dtype=np.int64,
)
_ROOFS = np.array(
    [
        Material.ROOF_RED,
        Material.ROOF_RED,
        Material.ROOF_GREY,
        Material.ROOF_GREY,
        Material.ROOF_BLUE,
        Material.ROOF_WHITE,
    ],
    dtype=np.int64,
)

_BLOCK = (124.0, 86.0)
_STREET = (9.0, 7.0)
_PARCELS = (430.0, 270.0)
_COS_TOWN, _SIN_TOWN = np.cos(0.14), np.sin(0.14)
_COS_FIELD, _SIN_FIELD = np.cos(-0.31), np.sin(-0.31)


@compiled
def _building(u: float, v: float, seed: int) -> tuple[int, float, float]:
    """Roof material (-1: none), height (m) and offset from the ridge of what stands at a place in street axes."""
    bu, bv = int(np.floor(u / _BLOCK[0])), int(np.floor(v / _BLOCK[1]))
    along, across = u - bu * _BLOCK[0] - _STREET[0], v - bv * _BLOCK[1] - _STREET[1]
    if along < 0.0 or across < 0.0:
        return -1, 0.0, 0.0
    kind = chance(bu, bv, seed + 80)
    if kind < 0.10:
        return -1, 0.0, 0.0
    if kind < 0.28:
        slab = across - (22.0 if across < 39.0 else 57.0)
        if abs(slab) < 7.0 and 12.0 < along < 100.0 and not 52.0 < along < 60.0:
            return _M_WHITE if chance(bu, bv, seed + 81) < 0.5 else _M_GREY_ROOF, 15.0, slab
        return -1, 0.0, 0.0
    plot = int(along / 23.0)
    side = 0 if across < 39.5 else 1
    number = 2 * (bu * 5 + plot) + side
    if along > 115.0 or chance(number, bv, seed + 82) < 0.08:
        return -1, 0.0, 0.0
    cu = along - 23.0 * plot - 11.5 + 5.0 * (chance(number, bv, seed + 83) - 0.5)
    cv = across - (18.0 if side == 0 else 60.0) + 10.0 * (chance(number, bv, seed + 84) - 0.5)
    if abs(cu) > 4.5 + 3.0 * chance(number, bv, seed + 85) or abs(cv) > 4.0 + 2.5 * chance(number, bv, seed + 86):
        return -1, 0.0, 0.0
    return int(_ROOFS[int(chance(number, bv, seed + 87) * 6)]), 5.0, cv


@compiled
def _crown(x: float, y: float, size: float, share: float, sun: tuple[float, float], seed: int) -> float:
    """Brightness of a tree's crown at a place, by the sun; 0 where no crown is."""
    i, j = int(np.floor(x / size)), int(np.floor(y / size))
    if chance(i, j, seed) >= share:
        return 0.0
    radius = size * (0.32 + 0.18 * chance(i, j, seed + 1))
    dx = x - (i + 0.5) * size - 0.2 * size * (chance(i, j, seed + 2) - 0.5)
    dy = y - (j + 0.5) * size - 0.2 * size * (chance(i, j, seed + 3) - 0.5)
    far = (dx * dx + dy * dy) / (radius * radius)
    if far > 1.0:
        return 0.0
    return 1.0 + 0.35 * (dx * sun[0] + dy * sun[1]) / radius


@compiled
def _town(x: float, y: float, sun: tuple[float, float, float], seed: int) -> Ground:
    u, v = _COS_TOWN * x + _SIN_TOWN * y, -_SIN_TOWN * x + _COS_TOWN * y
    east, north = _COS_TOWN * sun[0] + _SIN_TOWN * sun[1], -_SIN_TOWN * sun[0] + _COS_TOWN * sun[1]
    roof, _, off_ridge = _building(u, v, seed)
    grain = smooth_noise(x / 1.7, y / 1.7, seed + 90)
    if roof >= 0:
        return _BUILT, roof, roof, 0.0, 1.0 + (0.12 if off_ridge * north > 0.0 else -0.10) + 0.04 * grain, False
    shaded = False
    for distance in (1.5, 4.0, 8.0, 13.0, 20.0):
        _, top, _ = _building(u + distance * east, v + distance * north, seed)
        if top > distance * sun[2]:
            shaded = True
    along = u - np.floor(u / _BLOCK[0]) * _BLOCK[0]
    across = v - np.floor(v / _BLOCK[1]) * _BLOCK[1]
    if along < _STREET[0] or across < _STREET[1]:
        kerb = min(abs(along - 0.5 * _STREET[0]) - 0.5 * _STREET[0], abs(across - 0.5 * _STREET[1]) - 0.5 * _STREET[1])
        paved = _M_CONCRETE if kerb > -1.4 else _M_ASPHALT
        return _BUILT, paved, _M_DRY, 0.08, 1.0 + 0.06 * grain, shaded
    crown = _crown(x, y, 6.5, 0.34, (sun[0], sun[1]), seed + 92)
    if crown > 0.0:
        return _BUILT, _M_LEAF, _M_SHRUB, 0.3, crown, shaded
    yard = 0.5 + 0.5 * smooth_noise(x / 9.0, y / 9.0, seed + 91)
    return _BUILT, _M_LUSH if yard > 0.45 else _M_TRACK, _M_DRY, yard, 1.0 + 0.10 * grain, shaded


@compiled
def _field(x: float, y: float, sun: tuple[float, float, float], seed: int) -> Ground:
    u, v = _COS_FIELD * x + _SIN_FIELD * y, -_SIN_FIELD * x + _COS_FIELD * y
    band = int(np.floor(v / _PARCELS[1]))
    u += 190.0 * chance(band, 5, seed + 100)
    cell = int(np.floor(u / _PARCELS[0]))
    along, across = u - cell * _PARCELS[0], v - band * _PARCELS[1]
    grain = smooth_noise(x / 2.1, y / 2.1, seed + 101)
    if across < 5.0:
        worn = smooth_noise(x / 6.0, y / 6.0, seed + 102)
        return _FIELD, _M_TRACK, _M_DRY, 0.15 + 0.15 * worn, 1.0 + 0.07 * grain, False
    belted = chance(cell, band, seed + 103) < 0.45
    if belted and along < 13.0:
        crown = _crown(x, y, 7.0, 0.85, (sun[0], sun[1]), seed + 104)
        if crown > 0.0:
            return _FOREST, _M_LEAF, _M_SHRUB, 0.25, crown, False
        return _GRASS, _M_LUSH, _M_DRY, 0.5, 0.75 + 0.1 * grain, False
    strips = 1 + int(chance(cell, band, seed + 105) * 4.0)
    strip = int(along / _PARCELS[0] * strips)
    edge = along - strip * _PARCELS[0] / strips
    if edge < 2.5:
        return _FIELD, _M_DRY, _M_TRACK, 0.4, 1.0 + 0.08 * grain, False
    number = cell * 8 + strip
    crop = int(_CROPS[int(chance(number, band, seed + 106) * 12)])
    soil = _M_DARK if chance(number, band, seed + 107) < 0.6 else _M_LIGHT
    patchy = smooth_noise(x / 47.0, y / 47.0, seed + 108)
    furrow = u / (3.1 + 2.4 * chance(number, band, seed + 109))
    rows = abs(furrow - np.floor(furrow) - 0.5) - 0.25
    share = 0.13 + 0.11 * patchy + 0.16 * rows
    tone = 0.92 + 0.16 * chance(number, band, seed + 110)
    return _FIELD, crop, soil, max(share, 0.0), tone * (1.0 + 0.05 * grain + 0.05 * patchy), False


@compiled
def _mountain(x: float, y: float, forest: float, rock: float, sun: tuple[float, float, float], seed: int) -> Ground:
    rough = smooth_noise(x / 14.0, y / 14.0, seed + 120)
    grain = smooth_noise(x / 2.6, y / 2.6, seed + 121)
    if rock + 0.35 * rough > 0.0:
        kind = smooth_noise(x / 210.0, y / 210.0, seed + 122)
        share = min(max(0.5 + 0.9 * smooth_noise(x / 33.0, y / 33.0, seed + 123), 0.0), 1.0)
        stone = _M_RED if kind > 0.35 else _M_GREY
        return _ROCK, stone, _M_SCREE, share, 0.95 + 0.16 * rough + 0.16 * grain, False
    if forest + 0.45 * rough > 0.0:
        crown = _crown(x, y, 6.0, min(0.55 + 0.6 * forest, 0.95), (sun[0], sun[1]), seed + 124)
        if crown > 0.0:
            return _FOREST, _M_CONIFER, _M_SHRUB, 0.12, crown, False
        return _FOREST, _M_SHRUB, _M_CONIFER, 0.55, 0.62 + 0.10 * grain, False
    dry = min(max(0.45 + 0.75 * smooth_noise(x / 130.0, y / 130.0, seed + 125) + 0.25 * rough, 0.0), 1.0)
    if rough * rough + 0.8 * forest > 0.25:
        return _GRASS, _M_SHRUB, _M_LUSH, 0.35, 0.95 + 0.18 * grain, False
    return _GRASS, _M_LUSH, _M_DRY, dry, 1.0 + 0.07 * grain + 0.05 * rough, False


@compiled
def _road(x: float, y: float, cultivated: bool) -> float:
    """Half-widths from a main road's middle: below 1 on the road."""
    nearest = 9.0
    if abs(y - 620.0) < 160.0:
        nearest = abs(y - 620.0 - 110.0 * np.sin(x / 1500.0)) / 5.5
    if cultivated:
        west = x - np.floor(x / 3000.0) * 3000.0
        nearest = min(nearest, abs(west - 1450.0 + 0.04 * (y - 600.0)) / 4.5)
    return nearest


@compiled
def ground_at(x: float, y: float, scores: tuple[float, ...], sun: tuple[float, float, float], seed: int) -> Ground:
    """What lies at a place.

    Parameters
    ----------
    x, y
        Local metres.
    scores
        Town, lake, cultivated, forest, rock, snow: positive where they lie.
    sun
        Horizontal unit vector towards the sun (east, north) and the tangent of its elevation.
    seed
        Of the landscape.
    """
    town, lake, cultivated, forest, rock, snow = scores
    ripple = smooth_noise(x / 7.0, y / 7.0, seed + 70)
    if lake > -0.12:
        if lake > 0.02 * ripple:
            return _WATER, _M_LAKE, _M_RIVER, min(max(0.35 - lake, 0.0), 0.3), 1.0 + 0.05 * ripple, False
        return _GRASS, _M_GRAVEL if lake > -0.03 else _M_LUSH, _M_DRY, 0.3, 1.0 + 0.1 * ripple, False
    aside = 99.0
    number = int(np.floor((x - RIVER_OFFSET) / RIVER_SPACING + 0.5))
    if abs(x - RIVER_OFFSET - number * RIVER_SPACING) < RIVER_REACH:
        aside = abs(x - river_x(number, y)) + 2.0 * ripple
    if aside < 16.0 and snow < 0.9:
        if aside < 6.5:
            return _WATER, _M_RIVER, _M_LAKE, 0.3, 1.0 + 0.08 * ripple, False
        return _ROCK, _M_GRAVEL, _M_SHRUB, 0.25 + 0.2 * ripple, 1.0 + 0.10 * ripple, False
    if snow + 0.30 * ripple > 0.0:
        firn = smooth_noise(x / 60.0, y / 60.0, seed + 71)
        melt = min(max(0.30 - 0.8 * snow, 0.0), 0.45)
        return (
            _SNOW,
            _M_SNOW,
            _M_GREY if melt > 0.0 else _M_ICE,
            max(melt, 0.12 + 0.12 * firn),
            1.0 + 0.03 * ripple,
            False,
        )
    road = _road(x, y, cultivated > 0.0)
    if road < 1.0:
        lane = 1.0 if abs(road - 0.07) > 0.05 else 1.5
        return _BUILT, _M_ASPHALT, _M_CONCRETE, 0.15 if road < 0.75 else 0.7, lane + 0.05 * ripple, False
    if cultivated > -0.4 and town + 0.03 * ripple > 0.0:
        return _town(x, y, sun, seed)
    if cultivated + 0.15 * ripple > 0.0:
        return _field(x, y, sun, seed)
    return _mountain(x, y, forest, rock, sun, seed)
