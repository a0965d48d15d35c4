"""Building blocks of the networks."""

from lic.layers.conv import StridedPointwise, SubPixelConv, TransposedPointwise, conv, tconv
from lic.layers.eight_bits import eight_bits
from lic.layers.gdn import GDN
from lic.layers.padding import crop, pad, padded_size
from lic.layers.residual import Res, ResDown, ResUp
from lic.layers.space_to_depth import depth_to_space, space_to_depth
from lic.layers.upsample import UPSAMPLERS, upsampler

__all__ = [
    "GDN",
    "UPSAMPLERS",
    "Res",
    "ResDown",
    "ResUp",
    "StridedPointwise",
    "SubPixelConv",
    "TransposedPointwise",
    "conv",
    "crop",
    "depth_to_space",
    "eight_bits",
    "pad",
    "padded_size",
    "space_to_depth",
    "tconv",
    "upsampler",
]
