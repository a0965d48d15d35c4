"""Which numbers a training computes in: what ``trainer.precision`` comes to on this machine."""

import logging
import os

import torch

from lic.errors import UserError

PRECISIONS = ("auto", "32-true", "bf16-mixed")
_UNITS = {"avx512_bf16": "AVX512_BF16", "amx_bf16": "AMX"}  # as torch and as people call them
_WITH_UNIT = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")  # in oneDNN's names of instruction sets

_log = logging.getLogger(__name__)


def precision(asked: str, accelerator: str) -> str:
    """Lightning's precision for ``trainer.precision`` and ``trainer.accelerator``; a line says which and why.

    ``auto`` is ``bf16-mixed`` where the device multiplies bfloat16 by itself, and else ``32-true``: emulated,
    a product takes hundreds of times as long as in float32.

    Raises:
        UserError: a GPU is asked for, and there is none.
    """
    on_gpu = accelerator != "cpu" and (torch.cuda.is_available() or torch.backends.mps.is_available())
    if accelerator in ("gpu", "cuda", "mps") and not on_gpu:
        raise UserError(
            f"torch finds no GPU for trainer.accelerator={accelerator}; train without trainer=gpu or ddp, or "
            "install the torch that fits your GPU."
        )
    device, unit = ("GPU", gpu_unit()) if on_gpu else ("CPU", cpu_unit())
    if asked == "auto" and unit:
        _log.info("Training in bfloat16: this %s has %s.", device, unit)
    elif asked == "auto":
        _log.info("Training in float32: this %s has no bfloat16 unit.", device)
    elif asked == "bf16-mixed" and not unit:
        _log.warning(
            "This %s has no bfloat16 unit: emulated, a step can take 300 times as long as in float32; give "
            "trainer.precision=auto or 32-true.",
            device,
        )
    return asked if asked != "auto" else "bf16-mixed" if unit else "32-true"


def cpu_unit() -> str | None:
    """The unit that multiplies bfloat16 on this CPU, as far as this process may use it; None if nothing does.

    The environment can cap the instruction sets of torch's own loops (``ATEN_CPU_CAPABILITY``) and of
    oneDNN's (``ONEDNN_MAX_CPU_ISA``), which compute most of a network.
    """
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not any(n in cap.upper() for n in _WITH_UNIT):
        return None
    has = torch.cpu.get_capabilities()
    return next((name for key, name in _UNITS.items() if has.get(key)), None)


def gpu_unit() -> str | None:
    """The unit that multiplies bfloat16 on the first GPU; None if nothing does, or it is none of CUDA's."""
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16 units"
    return None
