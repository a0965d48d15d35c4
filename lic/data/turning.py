"""How patches are turned: mirrored, upside down, by right angles, or by any angle."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from lic.data.images import Pixels

Rotations = bool | Literal["any"]
_REACH = 2  # pixels that bicubic interpolation looks beyond a place

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Turns:
    """What becomes of each patch, beside where it is cut from.

    Args:
        horizontal_flips: half of the patches are mirrored.
        vertical_flips: half of them are turned upside down.
        rotations: each is turned by a random multiple of 90 degrees; ``any``: by any angle.
    """

    horizontal_flips: bool = True
    vertical_flips: bool = False
    rotations: Rotations = False

    def numbers(self, key: tuple[int, int], items: range) -> Numbers:
        """Of each patch two random numbers 0…1, drawn by another generator than those of the crops."""
        if not (self.vertical_flips or self.rotations):
            return np.zeros((2, len(items)))
        sequence = np.random.SeedSequence(key, spawn_key=(1,))
        return np.random.default_rng(sequence).random((items.stop, 2))[items.start :].T

    def tilts(self, numbers: Numbers, room: Numbers) -> Numbers:
        """Angles in radians, up to 45 degrees to either side, which turns by 90 degrees make any angle.

        A tilted square needs up to √2 times its side, and no corner may lie outside of the image: one with
        less room is tilted by less, and one of just the square not at all.

        Args:
            numbers: random, 0…1.
            room: the image's shorter side over the patch's, from 1 on.
        """
        if self.rotations != "any":
            return np.zeros_like(numbers)
        most = math.pi / 4 - np.arccos(np.minimum(room / math.sqrt(2), 1))
        return (2 * numbers - 1) * most

    def turn(self, patches: Pixels, mirrored: Numbers, upside_down: Numbers, quarters: Numbers) -> None:
        """Turn patches [N, C, S, S] in place, by random numbers 0…1 of each."""
        # with torch, which has vector instructions for it; numpy goes byte by byte
        for i in np.flatnonzero((mirrored < 0.5) & self.horizontal_flips):
            patches[i] = torch.from_numpy(patches[i]).flip(-1).numpy()
        if not (self.vertical_flips or self.rotations):
            return
        flips = (upside_down < 0.5) & self.vertical_flips
        turns = (4 * quarters).astype(int) * bool(self.rotations)
        for patch, flip, turn in zip(torch.from_numpy(patches), flips, turns, strict=True):
            patch.copy_(torch.rot90(patch.flip(-2) if flip else patch.clone(), int(turn), (-2, -1)))


def sides_of(tilts: Numbers, size: int) -> NDArray[np.int64]:
    """The sides of the squares that hold tilted ones of side ``size``."""
    return np.ceil(size * (np.cos(tilts) + np.abs(np.sin(tilts))) - 1e-9).astype(np.int64)


def tilted(image: Pixels, corner: tuple[int, int], side: int, size: int, tilt: float) -> Pixels:
    """A patch [C, size, size] in the middle of a square of an image [C, H, W], counterclockwise by ``tilt``.

    Bicubic (Keys' kernel, a = -3/4): bilinear interpolation would take a seventh of a photo's contrast
    between neighbours.

    Args:
        image: uint8.
        corner: the square's top and left.
        side: of the square, as `sides_of` says.
        size: of the patch.
        tilt: in radians.
    """
    top, left = (max(place - _REACH, 0) for place in corner)
    window = image[:, top : corner[0] + side + _REACH, left : corner[1] + side + _REACH]
    steps = torch.arange(size) - (size - 1) / 2
    rows, columns = steps[:, None], steps[None]
    y = corner[0] - top + (side - 1) / 2 + math.cos(tilt) * rows + math.sin(tilt) * columns
    x = corner[1] - left + (side - 1) / 2 + math.cos(tilt) * columns - math.sin(tilt) * rows
    height, width = window.shape[1:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
    pixels = torch.from_numpy(window.astype(np.float32))
    patch = F.grid_sample(pixels[None], grid[None], "bicubic", "border", align_corners=True)
    return patch[0].round_().clamp_(0, 255).to(torch.uint8).numpy()
