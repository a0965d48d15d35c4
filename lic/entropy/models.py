"""CompressAI's entropy models as lic uses them: in float32, on the CPU when coding, one image at a time.

CompressAI stops at this file: its lists of strings do not pass it, and the integers that its coder works
with are tables (see `lic.entropy.tables`), because nested in another module CompressAI could not load them.
"""

from collections.abc import Iterator, Mapping

import torch
from compressai import entropy_models as compressai_models
from compressai.models import get_scale_table
from torch import Tensor, nn

from lic.entropy import rans
from lic.entropy.noise import add_noise
from lic.entropy.tables import Tabled, TableError, check_shape, register_tables
from lic.errors import UserError

UNIT = 2.0**-12
"""Means and scales are integer multiples of this when coding."""

_LARGEST_SCALE = 256  # of the tables of Ballé et al.
_LARGEST = 2**24  # integers up to here are exact in float32; the range coder holds 32 bits
_PRECISION = 16  # bits of a probability
_BAND = 1 << 21  # symbols that are coded together
_BAND_ROWS = 4  # a band has a multiple of these, whole rows of z


def total_bits(likelihoods: Tensor) -> Tensor:
    """The information of each item of a batch: [N, ...] probabilities in (0, 1] -> [N] bits."""
    return -likelihoods.log2().flatten(1).sum(1)


def bands(channels: int, height: int, width: int, *, least: int = _BAND_ROWS) -> Iterator[slice]:
    """The rows of a latent that are coded together: about two million symbols, whatever the image.

    Each band is a payload of its own, so that coding takes no more memory for a larger image. A latent of
    up to 6 megapixels' image is one band. ``least`` rows, a multiple of 4, are together in any case.
    """
    rows = max(_BAND // (channels * width) // _BAND_ROWS * _BAND_ROWS, least)
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def _float32(x: Tensor) -> torch.autocast:
    """Likelihoods need float32: in bfloat16 a symbol's probability is off by up to 0.4 %."""
    return torch.autocast(x.device.type, enabled=False)


class _Coder(Tabled):
    """The common part of both of CompressAI's models: tables of cumulative frequencies, and a range coder."""

    table_types = dict.fromkeys(("_offset", "_quantized_cdf", "_cdf_length"), torch.int32)
    _offset: Tensor
    _quantized_cdf: Tensor
    _cdf_length: Tensor

    def check_tables(self, tables: Mapping[str, Tensor]) -> None:
        """See `Tabled.check_tables`."""
        count = self._tables_needed()
        cdf, length, offset = (tables[name] for name in ("_quantized_cdf", "_cdf_length", "_offset"))
        check_shape("_quantized_cdf", cdf, (count, cdf.shape[-1] if cdf.ndim else 0))
        check_shape("_cdf_length", length, (count,))
        check_shape("_offset", offset, (count,))
        columns = torch.arange(cdf.shape[1])
        inside = columns < length[:, None]
        rising = (cdf.diff(dim=1) > 0) | ~inside[:, 1:]
        ends = torch.where(columns == length[:, None] - 1, cdf == 1 << _PRECISION, True)
        near = (offset > -_LARGEST) & (offset < _LARGEST)  # abs() of the least integer is negative
        good = rising.all() and ends.all() and not cdf[:, 0].any() and near.all()
        if not good or length.min() < 3 or length.max() > cdf.shape[1]:
            raise TableError("The tables of probabilities are damaged.")

    def _tables_needed(self) -> int:
        raise NotImplementedError

    @property
    def _tables(self) -> rans.Tables:
        return self._quantized_cdf, self._cdf_length, self._offset


class EntropyBottleneck(_Coder, compressai_models.EntropyBottleneck):
    """The factorized prior of Ballé et al. 2018, one learned density per channel.

    Filters (3, 3, 3) give 43 parameters and 3 quantiles per channel, as the tables of Cheng et al. 2019
    need; CompressAI's own models have (3, 3, 3, 3).
    """

    def __init__(self, channels: int, filters: tuple[int, ...] = (3, 3, 3)):
        super().__init__(channels, filters=filters)
        register_tables(self, self.table_types, torch.int32)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] -> (noisy in training, else rounded latents; their likelihoods), both float32."""
        with _float32(x):
            return super().forward(x.float())

    def quantize(self, inputs: Tensor, mode: str, means: Tensor | None = None) -> Tensor:
        """CompressAI's, with `add_noise`; its forward pass gives [C, 1, N * H * W]."""
        return add_noise(inputs, 2) if mode == "noise" else super().quantize(inputs, mode, means)

    def compress(self, x: Tensor) -> tuple[list[bytes], Tensor]:
        """Code one image's latents [1, C, H, W]: a payload per band, and the rounded latents, float32.

        Raises:
            UserError: the latents are not numbers.
        """
        symbols = _rounded(x.float() - self._medians())
        indexes = self._indexes(x.shape)
        rows = bands(*x.shape[1:])
        return [rans.encode(symbols[:, :, r], indexes[:, :, r], self._tables) for r in rows], (
            symbols + self._medians()
        )

    def decompress(self, payloads: Iterator[bytes], size: tuple[int, int]) -> Tensor:
        """The rounded latents, [1, C, *size], from the next payloads that `compress` made."""
        indexes = self._indexes(torch.Size((1, self.channels, *size)))
        rows = bands(self.channels, *size)
        parts = [rans.decode(next(payloads), indexes[:, :, r], self._tables) for r in rows]
        return torch.cat(parts, 2) + self._medians()

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
        """Random latents of the coding tables: (N, H, W) -> [N, C, H, W]."""
        frequencies = self._quantized_cdf.diff(dim=1).clamp_min(0).float()
        frequencies.scatter_(1, self._cdf_length.long()[:, None] - 2, 0)  # no escapes
        count = shape[0] * shape[1] * shape[2]
        symbols = torch.multinomial(frequencies, count, replacement=True, generator=generator)
        symbols += self._offset[:, None]
        return symbols.view(-1, *shape).transpose(0, 1) + self._medians()

    def samples(self) -> list[Tensor]:
        """Random latents: independent, in blocks, and constant over space, as those of smooth images are."""
        generator = torch.Generator().manual_seed(0)
        layouts = ((2, 8, 1), (8, 2, 2), (16, 1, 2))  # images, blocks along a side, latents along a block's
        return [
            self.sample((count, side, side), generator)
            .repeat_interleave(block, 2)
            .repeat_interleave(block, 3)
            for count, side, block in layouts
        ]

    def update_tables(self) -> None:
        """See `Tabled.update_tables`."""
        self.update(force=True)

    def _tables_needed(self) -> int:
        return self.channels

    def _medians(self) -> Tensor:
        return self._get_medians().detach().reshape(1, -1, 1, 1)

    def _indexes(self, shape: torch.Size) -> Tensor:
        return torch.arange(self.channels).view(1, -1, 1, 1).expand(shape)


class GaussianConditional(_Coder, compressai_models.GaussianConditional):
    """y ~ N(mean, scale²) * U(-1/2, 1/2), coded with the 64 tables of Ballé et al. 2018.

    Scales are bounded below by 0.11 and likelihoods by 1e-9. When coding, means and scales are multiples of
    `UNIT` and so are the bounds between two tables. Means and scales are keywords: CompressAI's methods of
    these names take them in the other order.
    """

    table_types = _Coder.table_types | {"_scale_bounds": torch.int32}
    _scale_bounds: Tensor

    def __init__(self) -> None:
        super().__init__(get_scale_table().tolist())
        register_tables(self, self.table_types, torch.int32)
        self._lookup = self._lookup_of = torch.empty(0)  # the table of each multiple of `UNIT`

    def forward(self, y: Tensor, *, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] each -> (noisy in training, else round(y - means) + means; likelihoods), float32."""
        with _float32(y):
            return super().forward(y.float(), scales.float(), means.float())

    def quantize(self, inputs: Tensor, mode: str, means: Tensor | None = None) -> Tensor:
        """CompressAI's, with `add_noise`."""
        return add_noise(inputs) if mode == "noise" else super().quantize(inputs, mode, means)

    def compress(self, y: Tensor, *, means: Tensor, scales: Tensor) -> tuple[bytes, Tensor]:
        """Code the integers round(y - means) of one band, [1, C, H, W]; the payload and y_hat, float32.

        Raises:
            UserError: the latents are not numbers.
        """
        symbols = self.symbols(y, means)
        return self.encode(symbols, self.indexes(scales)), symbols + means

    def decompress(self, payload: bytes, *, means: Tensor, scales: Tensor) -> Tensor:
        """The y_hat of `compress`, from the same means and scales."""
        return rans.decode(payload, self.indexes(scales), self._tables) + means

    def symbols(self, y: Tensor, means: Tensor) -> Tensor:
        """The integers round(y - means), int32.

        Raises:
            UserError: the latents are not numbers.
        """
        return _rounded(y.float() - means)

    def indexes(self, scales: Tensor) -> Tensor:
        """The smallest table whose scale is not below each of ``scales``, as CompressAI chooses; int32."""
        bounds = self._scale_bounds
        if self._lookup_of is not bounds:  # tables are replaced, never written to
            counts = torch.diff(bounds, prepend=bounds.new_tensor([-1]), append=bounds[-1:] + 1)
            self._lookup = torch.arange(len(counts), dtype=torch.int32).repeat_interleave(counts)
            self._lookup_of = bounds
        units = (scales / UNIT).clamp_(0, len(self._lookup) - 1).to(torch.int32)
        return self._lookup.index_select(0, units.flatten()).view(units.shape)

    def encode(self, symbols: Tensor, indexes: Tensor) -> bytes:
        """The payload of `symbols`, each coded with the table that `indexes` names."""
        return rans.encode(symbols, indexes, self._tables)

    def decoder(self, payload: bytes, count: int) -> rans.Decoder:
        """Decodes the ``count`` symbols of a payload, some at a time."""
        return rans.Decoder(payload, count, self._tables)

    def update_tables(self) -> None:
        """See `Tabled.update_tables`; the same for every model on one machine."""
        self.update()
        self._scale_bounds = (self.scale_table[:-1].double() / UNIT).floor().to(self._scale_bounds)

    def check_tables(self, tables: Mapping[str, Tensor]) -> None:
        """See `Tabled.check_tables`."""
        super().check_tables(tables)
        bounds = tables["_scale_bounds"]
        check_shape("_scale_bounds", bounds, (self._tables_needed() - 1,))
        if not (bounds[1:] > bounds[:-1]).all() or bounds[0] < 0 or bounds[-1] > _LARGEST_SCALE / UNIT:
            raise TableError("The bounds between the tables of scales do not rise from 0 to 256.")

    def _tables_needed(self) -> int:
        return len(self.scale_table)


def _rounded(x: Tensor) -> Tensor:
    symbols = x.round()
    if not (symbols.abs() < _LARGEST).all():
        raise UserError(
            "The network's latents are not finite or beyond all bounds: its training diverged. Use an "
            "earlier checkpoint, or train again with a smaller optimizer.lr."
        )
    return symbols.to(torch.int32)


def quantile_loss(net: nn.Module) -> Tensor:
    """CompressAI's auxiliary loss, summed: trains the quantiles that place the tables, nothing else."""
    losses = [m.loss() for m in net.modules() if isinstance(m, EntropyBottleneck)]
    return torch.stack(losses).sum() if losses else torch.zeros(())


def is_quantile(parameter_name: str) -> bool:
    """Whether a parameter is trained by `quantile_loss` alone."""
    return parameter_name.rpartition(".")[2] == "quantiles"
