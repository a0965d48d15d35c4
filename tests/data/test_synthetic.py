import numpy as np
import pytest

from lic.data import DeadLeaves
from lic.data.images import Pixels
from lic.data.synthetic import render


@pytest.fixture(scope="module")
def patches() -> Pixels:
    return DeadLeaves().patches((1, 0), range(32), 256)


def test_images_are_a_pure_function_of_seed_and_index() -> None:
    images = DeadLeaves(count=3, size=64, seed=5)
    assert images.names == ("leaves-0000", "leaves-0001", "leaves-0002") and len(images) == 3
    assert images[1].shape == (64, 64, 3) and images[1].dtype == np.uint8
    assert (images[1] == DeadLeaves(count=3, size=64, seed=5)[1]).all()
    assert (images[1] != images[2]).mean() > 0.5
    assert (images[1] != DeadLeaves(count=3, size=64, seed=6)[1]).mean() > 0.5
    with pytest.raises(IndexError):
        images[3]


def test_no_patch_is_an_image_of_the_set() -> None:
    """Validation and test images of one seed must not be among the training's patches."""
    images = DeadLeaves(count=4, size=32, seed=3)
    seen = {image.tobytes() for image in (images[i].transpose(2, 0, 1).copy() for i in range(4))}
    for source in (images, DeadLeaves(), DeadLeaves(seed=1)):
        patches = [patch for batch in range(4) for patch in source.patches((3, batch), range(3), 32)]
        assert len({patch.tobytes() for patch in patches} | seen) == 16


def test_patches_depend_on_the_seed() -> None:
    first, second = (DeadLeaves(seed=seed).patches((0, 0), range(1), 32) for seed in (1, 2))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, DeadLeaves(seed=1).patches((0, 0), range(1), 32))
    assert np.array_equal(
        DeadLeaves().patches((5, 2), range(3, 4), 8)[0], render(np.random.default_rng((5, 2, 3)), 8)
    )


@pytest.mark.parametrize("size", [1, 2, 16, 96, 257])
def test_any_size(size: int) -> None:
    assert DeadLeaves().patches((0, 0), range(2), size).shape == (2, 3, size, size)


def test_power_spectrum_falls_like_that_of_photographs(patches: Pixels) -> None:
    """Radially averaged power of the luminance against 1/f^2, over four octaves."""
    gray = patches.mean(1)
    gray -= gray.mean((1, 2), keepdims=True)
    window = np.hanning(256)
    power = (abs(np.fft.fft2(gray * np.outer(window, window))) ** 2).mean(0)
    frequency = np.fft.fftfreq(256, 1 / 256)
    radius = np.hypot(frequency[:, None], frequency).round().astype(int)
    rings = np.arange(4, 65)
    spectrum = np.array([power[radius == ring].mean() for ring in rings])
    slope = np.polyfit(np.log(rings), np.log(spectrum), 1)[0]
    assert -2.9 < slope < -1.9


def test_statistics_are_those_of_photographs(patches: Pixels) -> None:
    x = patches.astype(float)
    assert 90 < x.mean() < 150 and 45 < x.std() < 80
    assert (patches == 0).mean() < 0.05 and (patches == 255).mean() < 0.05
    gradient = np.diff(x.mean(1), axis=-1)
    # edges and smooth areas: gradients have far heavier tails than a Gaussian's kurtosis of 3
    assert (gradient**4).mean() / (gradient**2).mean() ** 2 > 10
    luminance = x.mean(1)
    chroma = x[:, 0] - x[:, 2]
    assert 0 < chroma.std() < 0.8 * luminance.std()
    assert np.corrcoef(x[:, 0].ravel(), x[:, 2].ravel())[0, 1] > 0.7  # channels go together
