"""CompressAI's entropy models as lic uses them: in float32, one image at a time, tables kept apart.

CompressAI stops at this file: its lists of strings do not pass it, and the integer tables that its coder
works with are no part of a state dict. They are not trained, their sizes change with the weights, and
nested in another module CompressAI could not load them. A codec is weights plus `tables`.
"""

from collections.abc import Iterator, Mapping

import torch
from compressai import entropy_models as compressai_models
from compressai.models import get_scale_table
from torch import Tensor, nn

from lic.errors import UserError

_TABLES = ("_offset", "_quantized_cdf", "_cdf_length")
_LARGEST = 2**24  # integers up to here are exact in float32; far above, CompressAI's coder never returns


def total_bits(likelihoods: Tensor) -> Tensor:
    """The information of each item of a batch: [N, ...] probabilities in (0, 1] -> [N] bits."""
    return -likelihoods.log2().flatten(1).sum(1)


def _float32(x: Tensor) -> torch.autocast:
    """Likelihoods need float32: in bfloat16 a symbol's probability is off by up to 0.4 %."""
    return torch.autocast(x.device.type, enabled=False)


class EntropyBottleneck(compressai_models.EntropyBottleneck):
    """The factorized prior of Ballé et al. 2018, one learned density per channel.

    Filters (3, 3, 3) give 43 parameters and 3 quantiles per channel, as the tables of Cheng et al. 2019
    need; CompressAI's default has one layer more.
    """

    def __init__(self, channels: int):
        super().__init__(channels, filters=(3, 3, 3))
        _make_tables_transient(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] -> (noisy in training, else rounded latents; their likelihoods), both float32."""
        with _float32(x):
            return super().forward(x.float())

    def compress(self, x: Tensor) -> bytes:
        """Code the rounded latents of one image, [1, C, H, W]; a `UserError` if they are not numbers."""
        _check_codable(x)
        return super().compress(x)[0]

    def decompress(self, data: bytes, size: tuple[int, int]) -> Tensor:
        """The rounded latents, [1, C, *size], that `compress` coded."""
        return super().decompress([_bounded(data, self.channels * size[0] * size[1])], size)

    def symbols(self, x: Tensor) -> Tensor:
        """The integers around the medians that stand for x, [N, C, H, W]."""
        return self.quantize(x, "symbols", self._get_medians().reshape(1, -1, 1, 1))

    def round(self, x: Tensor) -> Tensor:
        """What `decompress` gives for x, [N, C, H, W]."""
        return self.quantize(x, "dequantize", self._get_medians().reshape(1, -1, 1, 1))

    def update_tables(self) -> None:
        """Derive the tables from the learned densities."""
        self.update(force=True)


class GaussianConditional(compressai_models.GaussianConditional):
    """y ~ N(mean, scale²) * U(-1/2, 1/2), coded with the 64 tables of Ballé et al. 2018.

    Scales are bounded below by 0.11 and likelihoods by 1e-9.
    """

    def __init__(self) -> None:
        super().__init__(get_scale_table().tolist())
        _make_tables_transient(self)

    def forward(self, y: Tensor, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] each -> (noisy in training, else round(y - means) + means; likelihoods), float32."""
        with _float32(y):
            return super().forward(y.float(), scales.float(), means.float())

    def compress(self, y: Tensor, means: Tensor, scales: Tensor) -> bytes:
        """Code the integers round(y - means) of one image, [1, C, H, W]; a `UserError` as above."""
        _check_codable(y - means)
        return super().compress(y, self.build_indexes(scales), means)[0]

    def decompress(self, data: bytes, scales: Tensor) -> Tensor:
        """The integers round(y - means), [1, C, H, W], that `compress` coded with the same scales."""
        data = _bounded(data, scales.numel())
        return super().decompress([data], self.build_indexes(scales), dtype=torch.int32)

    def update_tables(self) -> None:
        """Derive the tables from the scales; the same for every model on one machine."""
        self.update()


EntropyModel = EntropyBottleneck | GaussianConditional


def _check_codable(x: Tensor) -> None:
    if not (x.abs() < _LARGEST).all():
        raise UserError(
            "The network's latents are not finite or beyond all bounds: its training diverged. Use an "
            "earlier checkpoint, or train again with a smaller optimizer.lr."
        )


def _bounded(data: bytes, symbols: int) -> bytes:
    """The payload and zeros: on a forged one, CompressAI's coder reads on past the end.

    A symbol takes at most two 32-bit words, and an escape that the payload begins at most 15 times as many
    nibbles as it has.
    """
    return data + bytes(8 * (symbols + 1) + 16 * len(data))


def _make_tables_transient(module: nn.Module) -> None:
    for name in _TABLES:
        module.register_buffer(name, torch.IntTensor(), persistent=False)


def _entropy_models(net: nn.Module) -> Iterator[tuple[str, EntropyModel]]:
    return ((name, m) for name, m in net.named_modules() if isinstance(m, EntropyModel))


def update_tables(net: nn.Module) -> None:
    """Derive the integer coding tables of every entropy model in ``net`` from its learned densities."""
    for _, module in _entropy_models(net):
        module.update_tables()


def tables(net: nn.Module) -> dict[str, Tensor]:
    """The coding tables of ``net``, int32 on the CPU, by name."""
    return {
        f"{prefix}.{name}": getattr(module, name).cpu()
        for prefix, module in _entropy_models(net)
        for name in _TABLES
    }


def load_tables(net: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Give ``net`` the tables that `tables` returned, as they are.

    Raises:
        UserError: tables are missing or left over.
    """
    if saved.keys() != tables(net).keys():
        raise UserError("The entropy tables do not fit the model; save the model again with this lic.")
    for prefix, module in _entropy_models(net):
        for name in _TABLES:
            setattr(module, name, saved[f"{prefix}.{name}"].to(getattr(module, name).device, torch.int32))


def quantile_loss(net: nn.Module) -> Tensor:
    """CompressAI's auxiliary loss, summed: trains the quantiles that place the tables, nothing else."""
    losses = [m.loss() for _, m in _entropy_models(net) if isinstance(m, EntropyBottleneck)]
    return torch.stack(losses).sum() if losses else torch.zeros(())


def is_quantile(parameter_name: str) -> bool:
    """Whether a parameter is trained by `quantile_loss` alone."""
    return parameter_name.rpartition(".")[2] == "quantiles"
