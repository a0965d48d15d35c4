import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lic.errors import UserError
from lic.precision import cpu_unit, precision

CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
CPUINFO = Path("/proc/cpuinfo")


def _unit_of_a_process(**caps: str) -> str:
    """Both caps are read once, when a process starts."""
    code = "from lic.precision import cpu_unit; print(cpu_unit())"
    environment = {key: value for key, value in os.environ.items() if key not in CAPS} | caps
    return subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip()


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CPU with some capabilities, at some level, under some cap of oneDNN, and no GPU."""

    def make(*has: str, level: str = "AVX512", cap: str | None = None) -> None:
        for variable in CAPS:
            monkeypatch.delenv(variable, raising=False)
        if cap:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(has, True))
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: level)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return make


@pytest.mark.skipif(not CPUINFO.exists(), reason="compares with Linux's own list of the CPU's features")
def test_this_cpu() -> None:
    flags = CPUINFO.read_text().split()
    assert _unit_of_a_process() == ("AVX512_BF16" if "avx512_bf16" in flags else "None")


@pytest.mark.parametrize(
    "caps", [{"ATEN_CPU_CAPABILITY": "avx2"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"DNNL_MAX_CPU_ISA": "AVX2"}]
)
def test_a_capped_process_has_none(caps: dict[str, str]) -> None:
    assert _unit_of_a_process(**caps) == "None"


@pytest.mark.parametrize(
    ("has", "level", "cap", "unit"),
    [
        (["avx2"], "AVX2", None, None),  # up to Zen 3, and most laptops
        (["avx2", "avx512_f", "avx512_vnni"], "AVX512", None, None),  # Cascade Lake
        (["avx512_f", "avx512_bf16"], "AVX512", None, "AVX512_BF16"),  # Zen 4
        (["avx512_f", "avx512_bf16", "amx_bf16"], "AVX512", "", "AVX512_BF16"),  # Sapphire Rapids
        (["avx512_f", "avx512_bf16"], "AVX512", "avx512_core_bf16", "AVX512_BF16"),
        (["avx512_f", "avx512_bf16"], "AVX512", "AVX10_1_512", "AVX512_BF16"),
        (["avx512_f", "avx512_bf16"], "AVX512", "AVX512_CORE_VNNI", None),
        (["avx512_f", "avx512_bf16"], "AVX512", "AVX2_VNNI_2", None),
    ],
)
def test_units_of_processors(cpu: Any, has: list[str], level: str, cap: str | None, unit: str | None) -> None:
    cpu(*has, level=level, cap=cap)
    assert cpu_unit() == unit


@pytest.mark.parametrize(
    ("asked", "has", "used", "words"),
    [
        ("auto", ["avx512_bf16"], "bf16-mixed", "Training in bfloat16: this CPU has AVX512_BF16."),
        ("auto", [], "32-true", "Training in float32: this CPU has no bfloat16 unit."),
        ("bf16-mixed", ["avx512_bf16"], "bf16-mixed", None),
        (
            "bf16-mixed",
            [],
            "bf16-mixed",
            "This CPU has no bfloat16 unit: emulated, a step can take 300 times",
        ),
        ("32-true", ["avx512_bf16"], "32-true", None),
        ("32-true", [], "32-true", None),
    ],
)
def test_one_line_says_which_and_why(
    cpu: Any, asked: str, has: list[str], used: str, words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    cpu(*has)
    with caplog.at_level(logging.INFO):
        assert precision(asked, "auto") == used
    assert [message.startswith(words or "") for message in caplog.messages] == [True] * bool(words)


@pytest.mark.parametrize(
    ("accelerator", "used"), [("gpu", "bf16-mixed"), ("auto", "bf16-mixed"), ("cpu", "32-true")]
)
def test_a_gpu_is_asked_where_one_is_used(
    cpu: Any, accelerator: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert precision("auto", accelerator) == used


def test_an_old_gpu_trains_in_float32(cpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu("avx512_bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert precision("auto", "gpu") == "32-true"


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"torch finds no GPU for trainer.accelerator=gpu; train without"):
        precision("auto", "gpu")
