"""Dead leaves: synthetic images with the statistics of photographs.

Opaque shapes whose sizes follow the power law r^-3 fall on one another (Matheron 1968; Lee, Mumford and
Huang, "Occlusion models for natural images", IJCV 2001). The picture is then scale invariant: its power
spectrum falls as about 1/f², and it has what a codec must learn from photographs: sharp occlusion edges at
all scales, smooth shading between them, textures, correlated colours, a little blur and sensor noise.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lic.data.images import Pixels

Floats = NDArray[np.float32]

_LAYERS = 3.0  # leaves that cover a pixel, on average
_CORNERS = 28  # of the polygon that outlines a leaf
_TILE = 256  # side of the periodic textures in pixels


class DeadLeaves:
    """Synthetic images: a finite `ImageSet` of squares, and an endless source of training patches.

    Args:
        count: Images in the set.
        size: Their sides in pixels.
        seed: Image ``i`` is a pure function of ``(seed, i)``, and no patch shows it. A training's own seed
            is part of the key of its patches; they differ with this one, too.
        chroma: Colour differences as a multiple of those that photographs have. Where channels have less in
            common, a short training with MS-SSIM learns colour sooner.
    """

    def __init__(self, count: int = 24, size: int = 256, seed: int = 0, chroma: float = 1) -> None:
        self.count, self.size, self.seed, self.chroma = count, size, seed, chroma
        self.names = tuple(f"leaves-{i:04d}" for i in range(count))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pixels:
        if not 0 <= index < self.count:
            raise IndexError(index)
        # with a key longer than any patch's: numpy takes (a, b) and (a, b, 0) for the same
        sequence = np.random.SeedSequence((self.seed, index), spawn_key=(0, 1))
        image = render(np.random.default_rng(sequence), self.size, self.chroma)
        return np.ascontiguousarray(image.transpose(1, 2, 0))

    def patches(self, key: tuple[int, int], items: range, size: int) -> Pixels:
        """Render one for each item, from (seed, key, item) alone: uint8 ``[len(items), 3, size, size]``."""
        spawn_key = (self.seed,) if self.seed else ()
        sequences = (np.random.SeedSequence((*key, item), spawn_key=spawn_key) for item in items)
        return np.stack([render(np.random.default_rng(each), size, self.chroma) for each in sequences])


def render(rng: np.random.Generator, size: int, chroma: float = 1) -> Pixels:
    """Render one dead-leaves image, uint8 ``[3, size, size]``.

    Only the outlines are drawn leaf by leaf, into a map of leaf numbers; everything else is looked up by
    that number, for all pixels at once.
    """
    leaves = _fall(rng, size + 2)  # a border of one pixel for the blur
    owner = _occlude(leaves, size + 2)
    return _develop(rng, _paint(rng, leaves, owner, chroma))


@dataclass(frozen=True)
class _Leaves:
    """The geometry of n leaves, the farthest first, in pixels; leaf 0 is the background."""

    x: Floats
    y: Floats
    radius: Floats
    outline: Floats  # [n, corners, 2]


def _fall(rng: np.random.Generator, size: int) -> _Leaves:
    """Draw the leaves. Pictures differ in how fine their finest leaves are, as photographs do."""
    smallest, largest = np.exp(rng.uniform(np.log(1.5), np.log(1.5 + size / 9))), 0.75 * size
    # density r^-3 between the two radii, by inverting the distribution function
    span = smallest**-2 - largest**-2
    count = 2 + int(_LAYERS * size**2 * span / (2 * np.pi * np.log(largest / smallest)))
    radius = ((smallest**-2 - rng.random(count) * span) ** -0.5).astype(np.float32)
    radius[0] = size
    x, y = (rng.random((2, count), np.float32) - 0.5) * (size + radius) + size / 2

    # ellipses, boxes and blobs, all as radius over angle, then stretched and turned
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False, dtype=np.float32)
    ellipse = np.ones_like(angle)
    box = 0.9 / np.maximum(abs(np.cos(angle)), abs(np.sin(angle)))
    phase = rng.random((3, count, 1), np.float32) * 2 * np.pi
    blob = 1 + sum(
        rng.normal(0, 0.16, (count, 1)) * np.cos(k * angle + p) for k, p in zip((2, 3, 5), phase, strict=True)
    )
    kind = rng.random((count, 1))
    reach = np.where(kind < 0.2, ellipse, np.where(kind < 0.4, box, blob)) * radius[:, None]
    stretch = np.exp(rng.normal(0, 0.45, (count, 1)))
    turn = rng.random((count, 1)) * 2 * np.pi
    a, b = reach * np.cos(angle) * stretch, reach * np.sin(angle) / stretch
    u, v = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
    return _Leaves(x, y, radius, np.stack([u + x[:, None], v + y[:, None]], axis=-1))


def _occlude(leaves: _Leaves, size: int) -> NDArray[np.int32]:
    """The number of the nearest leaf at every pixel, ``[size, size]``."""
    canvas = Image.new("I", (size, size), 0)
    polygon = ImageDraw.Draw(canvas).polygon
    outlines = leaves.outline.reshape(len(leaves.x), -1).tolist()
    for number in range(1, len(outlines)):
        polygon(outlines[number], fill=number)
    return np.asarray(canvas)


def _paint(rng: np.random.Generator, leaves: _Leaves, owner: NDArray[np.int32], strength: float) -> Floats:
    """Colour, shade and texture every pixel by its leaf; float ``[3, H, W]``, nominally 0…1."""
    count, (height, width) = len(leaves.x), owner.shape

    # a picture has a palette of a few colours; leaves scatter around them, less in chroma than in brightness
    palette = np.stack([rng.normal(0.46, 0.24, 5), *rng.normal(rng.normal(0, 0.04, (2, 1)), 0.09, (2, 5))])
    light, warm, green = palette[:, rng.integers(5, size=count)] + rng.normal(
        0, [[0.07], [0.02], [0.02]], (3, count)
    )
    light = np.clip(light, 0.04, 0.96)
    chroma = strength * np.stack([warm - green / 2, green / 2, -warm - green / 2])
    colour = (light + chroma * np.sqrt(light)).astype(np.float32)

    # light on the scene, and on a leaf: a slope and a bulge, in units of its radius
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = rng.normal(0, 0.16, (2, count)).astype(np.float32)
    bulge = rng.gamma(1.0, 0.1, count).astype(np.float32)
    inverse = 1 / leaves.radius
    u = (x - leaves.x[owner]) * inverse[owner]
    v = (y - leaves.y[owner]) * inverse[owner]
    shade = 1 + slope[0][owner] * u + slope[1][owner] * v - bulge[owner] * (u * u + v * v - 0.5)
    toward = rng.normal(0, 0.25, 2).astype(np.float32)
    shade *= 1 + toward[0] * (x / width - 0.5) + toward[1] * (y / height - 0.5)

    # texture: a window into one of the periodic fields
    amplitude = rng.gamma(0.6, 0.12, count).astype(np.float32)
    field = rng.integers(len(_textures()), size=count)
    down, right = rng.integers(_TILE, size=(2, count))
    row = (np.arange(height)[:, None] + down[owner]) % _TILE
    column = (np.arange(width) + right[owner]) % _TILE
    shade += amplitude[owner] * _textures()[field[owner], row, column]
    return colour[:, owner] * shade


@cache
def _textures() -> Floats:
    """Periodic random fields ``[12, tile, tile]`` of unit variance: clouds, grain, oriented ripples."""
    rng = np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(_TILE)[:, None], np.fft.fftfreq(_TILE)
    clouds = [
        (np.hypot(fx, fy) + 0.5 / _TILE) ** -power for power in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4)
    ]
    ripples = []
    for angle in np.pi * (np.arange(4) + rng.random(4)) / 4:
        along = abs(fx * np.cos(angle) + fy * np.sin(angle))
        across = abs(fx * np.sin(angle) - fy * np.cos(angle))
        ripples.append((along + 2 / _TILE) ** -0.6 * (across + 2 / _TILE) ** -1.5)
    noise = np.fft.fft2(rng.normal(size=(len(clouds) + len(ripples), _TILE, _TILE)))
    fields = np.fft.ifft2(noise * np.stack(clouds + ripples)).real
    fields -= fields.mean((1, 2), keepdims=True)
    return (fields / fields.std((1, 2), keepdims=True)).astype(np.float32)


def _develop(rng: np.random.Generator, image: Floats) -> Pixels:
    """Add what a lens, a sensor and a file do: blur (loses a border of one pixel), noise, 8-bit rounding."""
    side = rng.uniform(0.05, 0.22)
    image = (1 - 2 * side) * image[:, 1:-1] + side * (image[:, :-2] + image[:, 2:])
    image = (1 - 2 * side) * image[:, :, 1:-1] + side * (image[:, :, :-2] + image[:, :, 2:])
    image = 255 * image + rng.gamma(1.0, 1.0) * rng.standard_normal(image.shape, np.float32)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
