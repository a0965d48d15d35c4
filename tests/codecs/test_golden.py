"""A file that this version must write byte for byte and read for as long as the format's version is 3.

A trained network would not do: its floating-point sums differ in the last bit from CPU to CPU, which may
turn a symbol. The network here computes with operations that IEEE 754 defines exactly (no sum has more
than one term), and its coding tables are integers written out below. What remains is what the file fixes:
header, fingerprint, checksums, the order of the payloads and symbols, and the rANS coder.
"""

from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.bitstream import Stream
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.entropy import EntropyBottleneck, GaussianConditional, load_tables
from lic.models.hyperprior import MeanScaleHyperprior

FILE = Path(__file__).parents[1] / "golden" / "exact.lic"

rows, columns, channels = np.mgrid[:13, :21, :3]
IMAGE = ((9 * rows + 5 * columns + 40 * channels + rows * columns % 7) % 256).astype(np.uint8)


class Analysis(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle((x * 255).round() - 128, 2)


class Synthesis(nn.Module):
    def forward(self, y_hat: Tensor) -> Tensor:
        return (F.pixel_shuffle(y_hat, 2) + 128) / 255


class HyperAnalysis(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return y[:, ::3, ::2, ::2] / 16


class HyperSynthesis(nn.Module):
    def forward(self, z_hat: Tensor, rows: slice = slice(None)) -> Tensor:
        means = z_hat.repeat_interleave(3, 1).repeat_interleave(2, 2).repeat_interleave(2, 3) * 16
        return torch.cat([means, 2 + means.abs() / 16], 1)[:, :, rows]


class Exact(MeanScaleHyperprior):
    """Lossless: y are the pixels, z every sixteenth of them, divided by 16; y's mean is the nearest z."""

    downsampling, stride, latent_channels = 4, 2, 12

    def __init__(self) -> None:
        super().__init__()
        self.g_a, self.g_s = Analysis(), Synthesis()
        self.h_a, self.h_s, self.entropy_parameters = HyperAnalysis(), HyperSynthesis(), nn.Identity()
        self.moments = self.h_s  # type: ignore[assignment]
        self.entropy_bottleneck, self.gaussian_conditional = EntropyBottleneck(4), GaussianConditional()
        values = {name: torch.full_like(value, 0.5) for name, value in self.state_dict().items()}
        values["entropy_bottleneck.quantiles"] = torch.tensor([-8.0, 0.0, 8.0]).repeat(4, 1, 1)
        values["gaussian_conditional.scale_table"] = torch.arange(1, 65) / 4
        self.load_state_dict(values)
        load_tables(
            self,
            {
                f"{name}.{table}": value
                for name, count in (("entropy_bottleneck", 4), ("gaussian_conditional", 64))
                for table, value in _triangular(count).items()
            }
            | {"gaussian_conditional._scale_bounds": torch.arange(1, 64, dtype=torch.int32) << 10},
        )


def _triangular(count: int) -> dict[str, Tensor]:
    """Tables of symbols -r…r with frequencies r+1-|s| and one escape symbol, r growing by one per four."""
    radii = [4 + i // 4 for i in range(count)]
    cdfs = torch.zeros(count, 2 * radii[-1] + 3, dtype=torch.int32)
    for i, r in enumerate(radii):
        steps = [r + 1 - abs(s) for s in range(-r, r + 1)] + [1]
        sums = [0, *accumulate(steps)]
        cdfs[i, : len(sums)] = torch.tensor([65536 * s // sums[-1] for s in sums])
    lengths = torch.tensor([2 * r + 3 for r in radii], dtype=torch.int32)
    offsets = torch.tensor([-r for r in radii], dtype=torch.int32)
    return {"_quantized_cdf": cdfs, "_cdf_length": lengths, "_offset": offsets}


def _codec() -> LearnedCodec:
    return LearnedCodec(Exact(), CodecInfo("exact", "", learned=True, model="exact"))


def test_the_image_codes_to_the_golden_file() -> None:
    encoded = _codec().encode(IMAGE)
    assert encoded.data == FILE.read_bytes()
    assert np.array_equal(encoded.reconstruct(), IMAGE)


def test_the_golden_file_decodes_to_the_image() -> None:
    assert np.array_equal(_codec().decode(FILE.read_bytes()), IMAGE)


def test_the_golden_file_uses_the_whole_format() -> None:
    stream = Stream.unpack(FILE.read_bytes())
    assert (stream.width, stream.height, len(stream.payloads)) == (21, 13, 2)
    net = Exact()
    y = net.g_a(F.pad(torch.from_numpy(IMAGE).permute(2, 0, 1)[None] / 255, (0, 3, 0, 3), mode="replicate"))
    residual = y - net.h_s(net.h_a(y).round())[:, :12]
    assert residual.abs().max() > 20, "some symbols escape from the tables"
