"""The content losses of SRGAN, beside torchvision's VGG19."""

import os
import zipfile
from pathlib import Path
from typing import Any

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import pytest
import torch
import torchvision

from lic.errors import UserError
from lic.losses.content import FeatureLoss, pixel_loss, vgg19_features


def test_pixels_are_compared_as_of_the_papers_range() -> None:
    x, y = torch.rand(2, 2, 3, 8, 8)
    each = pixel_loss(x, y)
    assert each.shape == (2,)
    expected = torch.nn.functional.mse_loss(2 * x[0] - 1, 2 * y[0] - 1)
    assert each[0].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG19 of random values, without its dense layers."""
    file = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.manual_seed(0)
    torch.save({f"features.{k}": v for k, v in vgg19_features().state_dict().items()}, file)
    return file


def test_features_are_torchvisions(weights: Path) -> None:
    with torch.device("meta"):
        whole = torchvision.models.vgg19()
    theirs = whole.features[:36].to_empty(device="cpu").eval()
    state = torch.load(weights, weights_only=True)
    theirs.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    normalize = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    x, y = torch.rand(2, 1, 3, 32, 32)
    with torch.no_grad():
        a, b = (theirs(normalize(image)) for image in (x, y))
    loss = FeatureLoss(weights)
    assert loss(x, y).item() == pytest.approx(0.006 * (a - b).square().mean().item(), rel=1e-3)
    x.requires_grad_()
    loss(x, y).sum().backward()
    assert x.grad is not None and x.grad.any()
    assert not any(p.requires_grad for p in loss.net.parameters())


class _Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ([1, 2], "cannot be read"),
        ({"features.0.weight": _Evil()}, "cannot be read"),
        ({}, "features.0.weight is missing"),
        ({"features.0.weight": torch.zeros(64, 3, 5, 5)}, r"not of the shape \[64, 3, 3, 3\]"),
        ({"features.0.weight": torch.full((64, 3, 3, 3), torch.nan)}, "no tensor of finite numbers"),
        ({"features.0.weight": "text"}, "is no VGG19"),
        ({"features.0.weight": torch.zeros(64, 3, 3, 3, device="meta")}, "no tensor of finite numbers"),
        ({"features.0.weight": torch.zeros(64, 3, 3, 3).to(torch.float8_e4m3fn)}, "no tensor of finite"),
        ({"features.0.weight": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])}, "no tensor of"),
    ],
)
def test_other_files_are_refused(
    content: Any, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vgg.pth"
    if content is not None:
        torch.save(content, file)
    with pytest.raises(UserError, match=sentence) as refused:
        FeatureLoss(file)
    assert str(refused.value).startswith(f"content.weights={file} ") and capsys.readouterr().out == ""


def test_what_is_no_file_or_grows_is_refused_unread(tmp_path: Path) -> None:
    pipe, packed, whole = tmp_path / "pipe", tmp_path / "packed.pth", tmp_path / "whole.pth"
    os.mkfifo(pipe)
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, whole)
    with zipfile.ZipFile(whole) as found, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name in found.namelist():
            made.writestr(name, found.read(name))
    for file in (pipe, packed):
        with pytest.raises(UserError, match="cannot be read"):
            FeatureLoss(file)
