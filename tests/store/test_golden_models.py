"""Model files and streams that every later version must read as this one wrote them.

Run as a script, this file writes what is missing in tests/golden; it never replaces a file. What people keep
stays readable: when the format of model files changes, old golden files remain, and new ones come beside.
"""

import hashlib
from pathlib import Path
from typing import Any

import lic

# isort: split
import numpy as np
import pytest
import torch

from lic.atomic import write_bytes
from lic.bitstream import Stream
from lic.codecs.base import FileCodec
from lic.codecs.compact import METHODS
from lic.codecs.learned import LearnedCodec
from lic.data import read_image, write_png
from lic.data.images import Pixels
from lic.entropy import bits, update_tables
from lic.entropy.pixels import CODERS
from lic.models import CompactImage, CompressionModel, ResidualGN, TransformCoding, build_model
from lic.models.residual import STEPS
from lic.models.srgan import SRResNet, enlarge
from lic.store.description import Description
from lic.store.load import load_codec, load_network
from lic.store.model_file import describe_model_file, write_model
from lic.store.objective import Objective

from ..objectives import rd

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS: dict[str, dict[str, Any]] = {
    "baseline-1": {"name": "baseline", "kernel_size": 3, "width": 4},
    "hyperprior-1": {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 4},
    "scale_hyperprior-1": {"name": "scale_hyperprior", "width": 4, "bottleneck": 6},
    "slowdic-1": {"name": "slowdic", "width": 4, "bottleneck": 6},
    "residual_gn-1": {"name": "residual_gn", "width": 4, "bottleneck": 16},
    "comcnn_reccnn-1": {"name": "comcnn_reccnn", "width": 4},
    "icm_irm-1": {"name": "icm_irm", "width": 4},
    "icm_irm-srgan-1": {"name": "icm_irm", "width": 4, "upsample": "srgan"}
    | {"generator_width": 4, "generator_blocks": 1},
}
LATENTS = {
    "baseline-1": "12afcb1068aebe1fea6692e04369179c9a750815890688d50acca55e3fdc81eb",
    "hyperprior-1": "f67321f306000019ab5ac2760d0f74ac38636fdcd112f14cb2e912d4f4e855af",
    "scale_hyperprior-1": "1e1b6da71a62a5e3dfb421d7283a9403caad4067df2d3b3ed1f287e3442b603f",
    "slowdic-1": "4ecce6684fe09f740d5f44794f27a024d3e9315d0da72a3174793203e6014ffd",
    "residual_gn-1": "77e16985fac12354470c3207ff8dfd7f66f24e3c2b545f526e16bf5b6bb3c193",
    "comcnn_reccnn-1": "adedd20693bc79c971d0d171895150334f704c4d2531af6fb7a1dfa964de1a26",
    "icm_irm-1": "072fb7acd0a9e53b8121288f207cd55bb3f46175c66b9e17732c14f914479b5d",
    "icm_irm-srgan-1": "a83213b84a38c8bca45fe904bd0fa97fc17e53271bf77c836c63812358c41b2d",
}
"""SHA-256 of y_hat, float32, of binary codes, or of a compact image: what is equal on every machine."""
WITH_FLOATS = ["baseline-1", "hyperprior-1", "scale_hyperprior-1", "slowdic-1"]
"""Whose latents follow from sums, if of integers."""


@pytest.mark.parametrize("name", MODELS)
def test_an_old_model_decodes_its_old_stream(name: str) -> None:
    codec = load_codec(GOLDEN / f"{name}.lic-model")
    data = (GOLDEN / f"{name}.lic").read_bytes()
    assert _latents(codec, data) == LATENTS[name]
    decoded, expected = codec.decode(data).astype(int), read_image(GOLDEN / f"{name}.png").astype(int)
    assert decoded.shape == expected.shape == (40, 100, 3)
    assert np.abs(decoded - expected).max() <= 1, "floating-point sums may round otherwise, by one level"


DECODE = """
import hashlib, sys, lic
from pathlib import Path
from lic.bitstream import Stream

from torch.backends.cpu import get_cpu_capability
for stem in map(Path, sys.argv[1:]):
    stream = Stream.unpack(stem.with_suffix(".lic").read_bytes())
    y_hat = lic.load(stem.with_suffix(".lic-model")).net.latents(stream)
    print(hashlib.sha256(y_hat.contiguous().numpy().tobytes()).hexdigest(), get_cpu_capability())
"""


def test_an_old_machine_finds_the_same_latents(run_python: Any) -> None:
    oldest = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    done = run_python(
        "-c", DECODE, *(GOLDEN / name for name in WITH_FLOATS), **oldest
    )  # importing takes longest
    assert done.stdout.splitlines() == [f"{LATENTS[name]} DEFAULT" for name in WITH_FLOATS], done.stderr


@pytest.mark.parametrize("name", MODELS)
def test_an_old_model_codes_new_images(name: str) -> None:
    codec = lic.load(GOLDEN / f"{name}.lic-model")
    image = _image()[:31, :17]
    encoded = codec.encode(image)
    assert np.array_equal(codec.decode(encoded.data), encoded.reconstruct())


@pytest.mark.parametrize("name", MODELS)
def test_an_old_model_still_says_what_it_is(name: str) -> None:
    said = {entry.name: entry.value for entry in describe_model_file(GOLDEN / f"{name}.lic-model")}
    assert MODELS[name].items() <= said.items()
    assert said["version"] == (1 if name in WITH_FLOATS else 2), "as it was when the file was written"
    assert (said["lambda"], said["distortion"], said["steps"]) == (0.01, "mse", 0)
    assert load_codec(GOLDEN / f"{name}.lic-model").info.objective["lambda"] == 0.01


def test_an_old_generator_enlarges_as_it_did() -> None:
    net, info = load_network(GOLDEN / "srgan-1.lic-model")
    assert isinstance(net, SRResNet) and (info.model, info.setting) == ("srgan", "MSE")
    expected = read_image(GOLDEN / "srgan-1.png").astype(int)
    assert expected.shape == (40, 100, 3)
    assert np.abs(enlarge(net.eval(), _image()[:10, :25], 1024).astype(int) - expected).max() <= 1


def _latents(codec: FileCodec, data: bytes) -> str:
    assert isinstance(codec, LearnedCodec)
    stream = Stream.unpack(data)
    if isinstance(codec.net, ResidualGN):
        first, *rest = stream.payloads
        levels = bits.decode_levels(first, 3, 7, STEPS)
        codes = [bits.decode_bits(payload, levels, codec.net.bottleneck, STEPS) for payload in rest]
        assert levels.unique().numel() > 4 and len(codes) == 2
        return hashlib.sha256(torch.cat([levels.unsqueeze(0), *codes]).numpy().tobytes()).hexdigest()
    if isinstance(codec.net, CompactImage):
        (payload,) = stream.payloads
        compact = CODERS[METHODS[stream.method]].decode(payload, (20, 50, 3))
        assert len(np.unique(compact)) > 50
        return hashlib.sha256(compact.tobytes()).hexdigest()
    assert isinstance(codec.net, TransformCoding)
    y_hat = codec.net.latents(stream)
    return hashlib.sha256(y_hat.contiguous().numpy().tobytes()).hexdigest()


def _image() -> Pixels:
    rows, columns, channels = np.mgrid[:40, :100, :3]
    return ((9 * rows + 5 * columns + 40 * channels + rows * columns % 7) % 256).astype(np.uint8)


def _net(options: dict[str, Any]) -> CompressionModel:
    """A network whose weights have few digits and repeat, for git, and whose latents vary."""
    torch.manual_seed(0)
    net = build_model(**options)
    with torch.no_grad():
        for transform in (getattr(net, part) for part in ("g_a", "h_a", "h_s") if hasattr(net, part)):
            [layer for layer in transform.children() if hasattr(layer, "weight")][-1].weight.mul_(16)
        for name, weight in net.named_parameters():
            if name.startswith("entropy_parameters") and len(weight) in (640, 512) and weight.ndim == 4:
                weight.copy_(weight[:8, :8].repeat(len(weight) // 8, weight.shape[1] // 8, 1, 1))
            weight.copy_((weight * 256).round() / 256)
        if "gaussian_conditional.scale_table" in net.state_dict():
            net.get_buffer("gaussian_conditional.scale_table").copy_(torch.linspace(0.11, 16, 64))
        if "entropy_bottleneck.quantiles" in net.state_dict():
            net.get_parameter("entropy_bottleneck.quantiles")[:, 0, 1] = torch.tensor([-0.25, 0, 0.125, 0.25])
        if "up.generator.last.bias" in net.state_dict():  # an image that is neither black nor flat
            net.get_parameter("up.generator.last.weight").mul_(4)
            net.get_parameter("up.generator.last.bias").fill_(0.5)
        if isinstance(net, ResidualGN):  # a map with most levels
            net.get_parameter("importance.4.weight").mul_(16)
            net.get_parameter("importance.4.bias").fill_(2)
    assert isinstance(net, CompressionModel)
    update_tables(net)
    return net


def _write(name: str) -> None:
    net = _net(MODELS[name])
    description = Description(MODELS[name], rd(0.01))
    codec = LearnedCodec(net, description.info(net))
    encoded = codec.encode(_image())
    write_model(GOLDEN / f"{name}.lic-model", net, description, {"steps": 0})
    write_bytes(GOLDEN / f"{name}.lic", encoded.data)
    write_png(GOLDEN / f"{name}.png", encoded.reconstruct())
    print(f'LATENTS["{name}"] = "{_latents(codec, encoded.data)}"')


def _write_generator() -> None:
    """One whose trunk does something, as a trained one's does."""
    options: dict[str, Any] = {"name": "srgan", "width": 4, "blocks": 1}
    torch.manual_seed(0)
    net = build_model(**options)
    assert isinstance(net, SRResNet)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter)).mul_(256).round_().div_(256)
    description = Description(options, Objective({"distortion": "mse"}, "MSE"))
    write_model(GOLDEN / "srgan-1.lic-model", net, description, {"steps": 0})
    write_png(GOLDEN / "srgan-1.png", enlarge(net.eval(), _image()[:10, :25], 1024))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if not (GOLDEN / "srgan-1.lic-model").exists():
        _write_generator()
    for missing in MODELS:
        if not (GOLDEN / f"{missing}.lic-model").exists():
            _write(missing)
