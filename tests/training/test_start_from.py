"""Weights of other runs in a new network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from lic.errors import UserError
from lic.models import build_model
from lic.store.model_file import export
from lic.training.start_from import start_from

MODEL: dict[str, Any] = {"name": "baseline", "width": 4, "kernel_size": 3}
SMALL = {"max_steps": 1, "val_check_interval": 1}


@pytest.fixture
def run(make_codec: Any, fit: Any, tmp_path: Path) -> Path:
    fit(make_codec(**MODEL), tmp_path / "run", **SMALL)
    return tmp_path / "run"


def _weights(run: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    return {key.removeprefix("net."): value for key, value in saved.items() if key.startswith("net.")}


@pytest.mark.parametrize("kind", ["run", "checkpoint", "model file"])
def test_all_weights_of_whatever_holds_a_model(run: Path, kind: str, tmp_path: Path) -> None:
    export(run, tmp_path / "a.lic-model")
    given = {"run": run, "checkpoint": run / "checkpoints/best.ckpt", "model file": tmp_path / "a.lic-model"}
    net = build_model(**MODEL)
    start_from(net, str(given[kind]), load=True)
    for name, value in _weights(run).items():
        assert torch.equal(net.state_dict()[name], value), name


def test_parts_are_taken_and_stay(run: Path, make_codec: Any, fit: Any, tmp_path: Path) -> None:
    codec = make_codec(seed=1, **MODEL)
    own = {name: value.clone() for name, value in codec.net.state_dict().items()}
    start_from(codec.net, [{"run": str(run), "parts": ["g_a"], "freeze": True}], load=True)
    fit(codec, tmp_path / "second", **SMALL)
    first, second = _weights(run), _weights(tmp_path / "second")
    assert all(torch.equal(first[name], second[name]) for name in first if name.startswith("g_a."))
    assert not torch.equal(second["g_s.0.weight"], first["g_s.0.weight"])
    assert not torch.equal(second["g_s.0.weight"], own["g_s.0.weight"]), "it has been trained"


def test_the_statistics_of_a_frozen_part_stay(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    codec = make_codec(**MODEL)
    codec.net.g_a.insert(1, nn.BatchNorm2d(4))
    codec.net.g_s.insert(1, nn.BatchNorm2d(4))
    start_from(codec.net, {"run": "another", "parts": ["g_a"], "freeze": True}, load=False)
    own = {name: value.clone() for name, value in codec.net.state_dict().items()}
    modes: dict[str, bool] = {}

    class Modes(Callback):
        def on_before_backward(self, trainer: Trainer, module: LightningModule, loss: Any) -> None:
            modes.update({name: part.training for name, part in codec.net.named_modules()})

    codec.is_codec = False  # its model is not that of the configuration
    fit(codec, tmp_path, Modes(), max_steps=3, val_check_interval=1)
    assert {name for name, training in modes.items() if not training} == {"g_a.1"}, "noise is for the others"
    after = codec.net.state_dict()
    assert all(torch.equal(after[name], own[name]) for name in own if name.startswith("g_a."))
    assert not torch.equal(after["g_s.1.running_mean"], own["g_s.1.running_mean"])


def test_a_resumed_run_needs_no_other_but_freezes(tmp_path: Path) -> None:
    net = build_model(**MODEL)
    own = {name: value.clone() for name, value in net.state_dict().items()}
    start_from(net, {"run": str(tmp_path / "gone"), "parts": ["g_s"], "freeze": True}, load=False)
    assert all(torch.equal(own[name], value) for name, value in net.state_dict().items())
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in net.named_parameters() if name.startswith("g_s.")}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("gone", "gone does not exist"),
        ({"parts": ["g_a"]}, "start_from cannot be"),
        ({"run": "run", "part": "g_a"}, "start_from cannot be"),
        ({"run": "run", "parts": ["h_a"]}, "has no h_a to start from other weights; it has g_a, g_s"),
        ({"run": "run", "parts": ["g_a.0.weigh"]}, "has no g_a.0.weigh"),
        ({"run": "run", "parts": "g_a"}, "start_from cannot be"),
        (5, "start_from cannot be 5"),
        ([], r"start_from cannot be \[\]"),
        ({}, r"start_from cannot be \{\}"),
        ("", "start_from cannot be ;"),
        ({"run": ""}, "start_from cannot be"),
        ([None], "start_from cannot be None"),
        *(
            ({"run": "run", "parts": parts}, "start_from cannot be .*; give a run")
            for parts in (
                5,
                True,
                False,
                [],
                {},
                [None],
                [5],
                [["g_a"]],
                {"g_a": None},
                {"g_a": 5},
                {5: "g_a"},
            )
        ),
        *(
            (
                {"run": "run", "parts": ["g_a"], "freeze": freeze},
                "start_from cannot be .* freeze true or false",
            )
            for freeze in ("no", "false", "yes", 0, 1, None, [True])
        ),
        ([["run"]], "start_from cannot be"),
        ({"run": "run", "parts": {"g_a": "g_s"}}, "run does not fit"),
        ({"run": "run", "freeze": True}, "freezes all of the network"),
    ],
)
def test_what_does_not_fit_is_refused(
    given: Any, sentence: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    with pytest.raises(UserError, match=sentence):
        start_from(build_model(**MODEL), given, load=True)


def test_another_shape_is_refused_and_nothing_taken(run: Path) -> None:
    net = build_model(**MODEL | {"width": 8})
    own = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(UserError, match=r"does not fit: .* has another shape or type or is missing"):
        start_from(net, str(run), load=True)
    assert all(torch.equal(own[name], value) for name, value in net.state_dict().items())


NO_TENSOR = r"best.ckpt cannot be used\. It holds something else than ordinary tensors"
OTHER_TYPE = "run does not fit: 0.weight has another shape or type"
ODD: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "text": (lambda weight: "text", NO_TENSOR),
    "sparse": (torch.Tensor.to_sparse, NO_TENSOR),
    "elsewhere": (lambda weight: weight.to("meta"), NO_TENSOR),
    "stretched": (lambda weight: torch.zeros(1).expand(10**9), NO_TENSOR),
    "not finite": (lambda weight: weight * torch.nan, r"best.ckpt cannot be used\. .* not finite"),
    "complex": (lambda weight: weight.to(torch.complex64), OTHER_TYPE),
    "double": (torch.Tensor.double, OTHER_TYPE),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_are_no_weights_is_refused(kind: str, run: Path) -> None:
    change, sentence = ODD[kind]
    file = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"]["net.g_a.0.weight"] = change(checkpoint["state_dict"]["net.g_a.0.weight"])
    torch.save(checkpoint, file)
    net = build_model(**MODEL)
    with pytest.raises(UserError, match=sentence):
        start_from(net, {"run": str(run), "parts": ["g_a"]}, load=True)


def test_a_whole_network_becomes_a_part_of_another(run: Path) -> None:
    net = nn.ModuleDict({"codec": build_model(**MODEL), "after": nn.Conv2d(3, 3, 3)})
    start_from(net, {"run": str(run), "parts": {"codec": ""}, "freeze": True}, load=True)
    for name, value in _weights(run).items():
        assert torch.equal(net["codec"].state_dict()[name], value), name
    assert not any(p.requires_grad for p in net["codec"].parameters())
    start_from(net, {"run": str(run), "parts": {"codec.g_s": "g_s"}}, load=True)
