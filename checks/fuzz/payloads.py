"""Attacks on the coders of binary latents and of 8-bit images, below any network."""

import random

import numpy as np
import torch

from checks.fuzz.forging import mutate
from lic.entropy import adaptive_bits, bits, raw_bits
from lic.entropy.pixels import CODERS as PIXEL_CODERS

CODERS = (bits, adaptive_bits, raw_bits)
SHAPES = ((1, 1, 1, 1), (8, 5, 7, 8), (64, 16, 24, 8), (3, 1, 40, 3), (510, 2, 2, 255))  # n, h, w, steps
IMAGES = ((1, 1, 1), (1, 1, 3), (16, 24, 3), (40, 60, 1), (3, 500, 3))


class BinaryPayloads:
    """Decodes forged payloads with all coders; what they accept must be what they would write.

    The first bytes of an input choose the shape, the coder, and levels or bits.
    """

    def __init__(self) -> None:
        noise = np.random.default_rng(0)
        self.levels = [torch.from_numpy(noise.integers(0, s + 1, (h, w))) for _, h, w, s in SHAPES]
        self.valid = []
        for shape, ((n, h, w, steps), levels) in enumerate(zip(SHAPES, self.levels, strict=True)):
            for ones in (0.5, 0.03):
                flags = torch.from_numpy(noise.random((n, h, w)) < ones)
                for number, coder in enumerate(CODERS):
                    self.valid.append(bytes([shape, number, 0]) + coder.encode_bits(flags, levels, steps))
                    self.valid.append(bytes([shape, number, 1]) + coder.encode_levels(levels, steps))

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        chosen, other = rng.choice(self.valid), rng.choice(self.valid)
        return chosen[:3] + mutate(rng, chosen[3:], other[3:])

    def read(self, data: bytes) -> str:
        """See `Target`."""
        n, height, width, steps = SHAPES[data[0]]
        coder, payload, given = CODERS[data[1]], data[3:], self.levels[data[0]]
        if data[2]:
            levels = coder.decode_levels(payload, height, width, steps)
            assert coder.encode_levels(levels, steps) == payload
            return "levels"
        flags = coder.decode_bits(payload, given, n, steps)
        assert coder.encode_bits(flags, given, steps) == payload
        return "bits"


class PixelPayloads:
    """Decodes forged payloads of images with all coders; what they accept must be what they would write.

    The first bytes of an input choose the shape and the coder.
    """

    def __init__(self) -> None:
        noise = np.random.default_rng(0)
        self.coders = list(PIXEL_CODERS.values())
        self.valid = []
        for shape, size in enumerate(IMAGES):
            flat = np.repeat(noise.integers(0, 256, size[1:], np.uint8)[None], size[0], axis=0)
            steep = noise.geometric(0.3, size).clip(0, 255).astype(np.uint8)
            for image in (flat, steep, noise.integers(0, 256, size, np.uint8)):
                for number, coder in enumerate(self.coders):
                    self.valid.append(bytes([shape, number]) + coder.encode(image))

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        chosen, other = rng.choice(self.valid), rng.choice(self.valid)
        return chosen[:2] + mutate(rng, chosen[2:], other[2:])

    def read(self, data: bytes) -> str:
        """See `Target`."""
        coder, payload = self.coders[data[1]], data[2:]
        image = coder.decode(payload, IMAGES[data[0]])
        assert coder.encode(image) == payload
        return "an image"
