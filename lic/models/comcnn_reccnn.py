"""ComCNN and RecCNN of Jiang et al. 2017, the baseline of Deshmukh and Pollett: docs/deshmukh_pollett.md."""

from torch import nn

from lic.errors import UserError
from lic.layers import conv
from lic.layers.upsample import Bicubic
from lic.models.base import check_flag, check_layer_width
from lic.models.compact import CompactImage

DEPTH = 20
"""Convolutions of RecCNN."""


class ComCNNRecCNN(CompactImage):
    """Three convolutions make the compact image, twenty the residual of its bicubic interpolation.

    ``batch_norm`` and ``stride_layer`` are where the texts differ. Deshmukh and Pollett have a batch
    normalization in ComCNN, Jiang's code has none. The stride is in the second layer there, "the first
    convolutional layer uses a stride of two" here.

    Args:
        width: channels of all layers between.
        stride: see `CompactImage`; the papers' is 2.
        stride_layer: 2 or 1, the layer that has it.
        batch_norm: whether ComCNN has a batch normalization. RecCNN always has its 18.
        quantise_in_training: see `CompactImage`.
        channels: of the image, 3 or 1.

    Raises:
        UserError: an option that is none of these.
    """

    def __init__(
        self,
        width: int = 64,
        stride: int = 2,
        stride_layer: int = 2,
        batch_norm: bool = True,
        quantise_in_training: bool = True,
        channels: int = 3,
    ):
        super().__init__(stride, channels, quantise_in_training)
        check_layer_width("model.width", width)
        check_flag("model.batch_norm", batch_norm)
        if type(stride_layer) is not int or stride_layer not in (1, 2):
            raise UserError(f"model.stride_layer must be 1 or 2, not {stride_layer!r}.")
        c, w = channels, width
        first, second = (stride, 1) if stride_layer == 1 else (1, stride)
        self.com = nn.Sequential(
            conv(c, w, 3, first),
            nn.ReLU(),
            conv(w, w, 3, second),
            *([nn.BatchNorm2d(w)] if batch_norm else []),
            nn.ReLU(),
            conv(w, c, 3),
        )
        self.up = Bicubic(c, stride)
        self.rec = nn.Sequential(
            conv(c, w, 3),
            nn.ReLU(),
            *(layer for _ in range(DEPTH - 2) for layer in (conv(w, w, 3), nn.BatchNorm2d(w), nn.ReLU())),
            conv(w, c, 3),
        )
        self.start()
