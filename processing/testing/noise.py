"""Repeatable chance for compiled code: hashing and smooth noise on lattices anchored to the ground."""

import numpy as np

from processing.testing.compiled import compiled, compiled_inline

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xC2B2AE3D27D4EB4F)
_C = np.uint64(0x165667B19E3779F9)
_M = np.uint64(0xD6E8FEB86659FD93)
_29 = np.uint64(29)
_32 = np.uint64(32)
_48 = np.uint64(48)
_16 = np.uint64(16)
_LOW16 = np.uint64(0xFFFF)
_11 = np.uint64(11)
_UNIT = 1.0 / 9007199254740992.0


@compiled_inline
def scramble(i: int, j: int, seed: int) -> np.uint64:
    """64 mixed bits of two integers and a seed: multiplied by odd constants, folded, and mixed once more.

    Less thorough than a generator must be, and enough for a landscape: neighbours do not resemble each other.
    """
    h = np.uint64(i) * _A + np.uint64(j) * _B + np.uint64(seed) * _C
    h = (h ^ (h >> _32)) * _M
    return h ^ (h >> _29)


@compiled_inline
def chance(i: int, j: int, seed: int) -> float:
    """Uniform in [0, 1), the same for the same three integers."""
    share: float = float(scramble(i, j, seed) >> _11) * _UNIT
    return share


@compiled_inline
def bell(i: int, j: int, seed: int) -> float:
    """Nearly normal, mean 0 and variance 1: the sum of four uniforms (Irwin-Hall), never beyond 3.5."""
    bits = scramble(i, j, seed)
    total = (bits & _LOW16) + ((bits >> _16) & _LOW16) + ((bits >> _32) & _LOW16) + (bits >> _48)
    deviation: float = (float(total) / 65535.0 - 2.0) * 1.7320508075688772
    return deviation


@compiled
def smooth_noise(x: float, y: float, seed: int) -> float:
    """Value noise in [-1, 1] with features of size 1 (Perlin's smooth step between hashed lattice values)."""
    fx, fy = np.floor(x), np.floor(y)
    i, j = int(fx), int(fy)
    u, v = x - fx, y - fy
    u = u * u * (3.0 - 2.0 * u)
    v = v * v * (3.0 - 2.0 * v)
    top = chance(i, j, seed) * (1.0 - u) + chance(i + 1, j, seed) * u
    bottom = chance(i, j + 1, seed) * (1.0 - u) + chance(i + 1, j + 1, seed) * u
    value: float = 2.0 * (top * (1.0 - v) + bottom * v) - 1.0
    return value


@compiled
def fractal_noise(x: float, y: float, octaves: int, seed: int) -> float:
    """Sum of octaves of smooth noise, each half as large and half as strong; about [-1, 1]."""
    total, strength = 0.0, 0.5
    for octave in range(octaves):
        total += strength * smooth_noise(x, y, seed + octave)
        # Turned a little at each octave, or the lattice would show.
        x, y = 1.62 * x + 1.18 * y + 17.1, -1.18 * x + 1.62 * y + 9.7
        strength *= 0.5
    return total


@compiled
def ridged_noise(x: float, y: float, octaves: int, seed: int) -> float:
    """Ridged multifractal in about [0, 1] (Musgrave 1994): crests where the noise crosses zero."""
    total, strength, weight = 0.0, 0.5, 1.0
    for octave in range(octaves):
        crest = 1.0 - abs(smooth_noise(x, y, seed + octave))
        crest *= crest * weight
        total += strength * crest
        weight = min(max(1.6 * crest, 0.0), 1.0)
        x, y = 1.55 * x + 1.20 * y + 5.3, -1.20 * x + 1.55 * y + 31.7
        strength *= 0.42
    return total
