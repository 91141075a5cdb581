"""Phase correlation against displacements made by the Fourier shift theorem, which is exact."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import fourier_shift

from processing.model.errors import Defect
from processing.registration.correlate import gradient_magnitude, phase_shift

SIDE, MARGIN = 128, 32


def texture(seed: int, steep: float = 1.5) -> npt.NDArray[np.float64]:
    """Periodic texture with a natural image's falling spectrum, nothing that a pixel grid cannot hold displaced."""
    size = SIDE + 2 * MARGIN
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    frequency[0, 0] = 1.0
    power = frequency**-steep * (frequency < 0.5)
    noise = np.fft.fft2(np.random.default_rng(seed).standard_normal((size, size)))
    image = np.fft.ifft2(noise * power).real
    return image / image.std()


def pair(seed: int, dy: float, dx: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Patches of an image and of the same displaced: each sees ground at its edges that the other does not."""
    image = texture(seed)
    displaced = np.fft.ifft2(fourier_shift(np.fft.fft2(image), (dy, dx))).real
    inner = np.s_[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
    return image[inner].astype(np.float32), displaced[inner].astype(np.float32)


@given(st.integers(0, 10_000), st.floats(-20, 20), st.floats(-20, 20))
def test_any_displacement_is_found_to_two_hundredths_of_a_pixel(seed: int, dy: float, dx: float) -> None:
    for normalization in ("phase", None):
        shift = phase_shift(*pair(seed, dy, dx), normalization=normalization)  # type: ignore[arg-type]
        assert shift.dy == pytest.approx(dy, abs=0.02)
        assert shift.dx == pytest.approx(dx, abs=0.02)
        assert shift.correlation > 0.7
    assert shift.found


def test_another_band_of_the_same_ground_is_found_too() -> None:
    reference, moving = pair(1, 2.37, -1.61)
    other_band = (np.exp(-0.4 * moving) * 300.0 + 40.0).astype(np.float32)
    shift = phase_shift(gradient_magnitude(reference), gradient_magnitude(other_band), normalization=None)
    assert (shift.dy, shift.dx) == pytest.approx((2.37, -1.61), abs=0.05)


def test_noise_costs_what_the_literature_says() -> None:
    """Measured elsewhere on 256-pixel patches at a signal-to-noise ratio of 10: 0.008 px unnormalised."""
    misses = []
    for seed in range(8):
        random = np.random.default_rng(1000 + seed)
        reference, moving = pair(seed, 0.31, -0.77)
        noisy = [patch + random.normal(0, 0.1, patch.shape) for patch in (reference, moving)]
        shift = phase_shift(noisy[0], noisy[1], normalization=None)
        misses.append([shift.dy - 0.31, shift.dx + 0.77])
    assert np.sqrt(np.mean(np.square(misses))) < 0.02


def test_unlike_patches_are_told_from_like_ones() -> None:
    unlike = [phase_shift(pair(seed, 0, 0)[0], pair(seed + 100, 0, 0)[0]) for seed in range(20)]
    like = [phase_shift(*pair(seed, 3.3, 4.4)) for seed in range(20)]
    assert max(shift.quality for shift in unlike) < min(shift.quality for shift in like)
    assert max(shift.correlation for shift in unlike) < min(shift.correlation for shift in like)


def test_patches_without_texture_or_with_holes_have_no_displacement() -> None:
    image = pair(3, 0, 0)[0]
    holed = image.copy()
    holed[5, 5] = np.nan
    for other in (holed, np.full_like(image, 7.0)):
        shift = phase_shift(image, other)
        assert not shift.found
        assert shift.quality == 0.0
    # Texture in one corner pixel only, gone once both are cut to shared ground.
    lone = np.zeros_like(image)
    lone[0, 0] = 1.0
    assert not phase_shift(lone, lone[::-1, ::-1].copy()).found


def test_patches_of_two_sizes_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(Defect, match="cannot correlate"):
        phase_shift(np.ones((16, 16)), np.ones((16, 17)))
