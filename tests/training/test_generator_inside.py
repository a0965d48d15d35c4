"""The training of networks around a generator: whose weights it has, what stays, what goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from lic.errors import UserError
from lic.models import build_model
from lic.store.load import load_codec
from lic.training.compact import Compact
from lic.training.start_from import start_as_configured

from ..saved import save_run
from .recording import At, PowerCutError, Recorder, power_cut

MODEL: dict[str, Any] = {"name": "icm_irm", "width": 4, "upsample": "srgan", "stride": 3} | {
    "generator_width": 4,
    "generator_blocks": 1,
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    models: dict[str, dict[str, Any]] = {
        "generator": {"name": "srgan", "width": 4, "blocks": 1},
        "wide": {"name": "srgan", "width": 8, "blocks": 2},
        "codec": {"name": "icm_irm", "width": 4, "stride": 3},
    }
    for name, options in models.items():
        torch.manual_seed(3)
        save_run(tmp_path / name, build_model(**options), options)
    return tmp_path


def config(**upsample: Any) -> Any:
    start = upsample.pop("start_from", None)
    given = {"name": "srgan", "weights": None, "freeze": True} | upsample
    return OmegaConf.create({"start_from": start, "upsample": given})


def make(cfg: Any, *, load: bool = True, model: dict[str, Any] | None = None, **options: Any) -> Compact:
    torch.manual_seed(0)
    net = build_model(**model or MODEL)
    start_as_configured(net, cfg, load=load)
    return Compact(net, {"model": model or MODEL}, seed=0, **options)  # type: ignore[arg-type]


def fit_small(fit: Any, codec: Compact, folder: Path, *callbacks: Any, **options: Any) -> Any:
    return fit(
        codec, folder, *callbacks, **{"patch_size": 24, "val_check_interval": 2, "max_steps": 4} | options
    )


def generator_of(codec: Compact) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in codec.net.get_submodule("up.generator").state_dict().items()}


def test_a_frozen_generator_stays_to_the_last_bit(runs: Path, fit: Any) -> None:
    codec = make(config(weights=str(runs / "generator")))
    before = generator_of(codec)
    stored = torch.load(runs / "generator" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(stored[f"net.{name}"], value) for name, value in before.items())
    recorder = Recorder()
    trainer = fit_small(fit, codec, runs / "new", recorder)
    assert all(torch.equal(before[name], value) for name, value in generator_of(codec).items())
    trained = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    generator = list(codec.net.get_submodule("up").parameters())
    assert generator and not any(id(p) in trained or p.grad is not None for p in generator)
    first, last = recorder.weights[0], recorder.weights[-1]
    moved = {name.partition(".")[0] for name in first if not torch.equal(first[name], last[name])}
    assert moved == {"com", "rec"}


def test_a_run_needs_its_generators_no_more(runs: Path, fit: Any) -> None:
    codec = make(config(weights=str(runs / "generator")))
    fit_small(fit, codec, runs / "new")
    (runs / "generator").rename(runs / "moved")
    loaded = load_codec(runs / "new")
    assert loaded.info.options["upsample"] == "srgan" and loaded.info.options["generator_width"] == 4
    assert loaded.net.state_dict().keys() == codec.net.state_dict().keys()  # type: ignore[attr-defined]


def test_in_the_loop_it_learns_with_its_statistics(runs: Path, fit: Any) -> None:
    codec = make(config(weights=str(runs / "generator"), freeze=False))
    before = generator_of(codec)
    fit_small(fit, codec, runs / "new")
    after = generator_of(codec)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert not {name for name in same if name.endswith(("weight", "running_mean"))}


def test_in_turns_it_learns_with_what_is_behind_the_codec(runs: Path, fit: Any) -> None:
    recorder = Recorder()
    codec = make(config(weights=str(runs / "generator"), freeze=False), turns=1)
    fit_small(fit, codec, runs / "new", recorder, max_steps=6)
    for before, after, moving in ((0, 2, {"up", "rec"}), (3, 5, {"com"})):
        first, last = recorder.weights[before], recorder.weights[after]
        moved = {name.partition(".")[0] for name in first if not torch.equal(first[name], last[name])}
        assert moved == moving


@pytest.mark.parametrize("freeze", [True, False])
def test_a_resumed_run_continues_without_the_generators_run(runs: Path, fit: Any, freeze: bool) -> None:
    cfg = config(weights=str(runs / "generator"), freeze=freeze)
    whole = make(cfg)
    fit_small(fit, whole, runs / "whole", max_steps=6)
    with pytest.raises(PowerCutError):
        fit_small(fit, make(cfg), runs / "parts", At(3, power_cut), max_steps=6)
    (runs / "generator").rename(runs / "moved")
    resumed = make(cfg, load=False)
    last = str(runs / "parts" / "checkpoints" / "last.ckpt")
    fit_small(fit, resumed, runs / "parts", max_steps=6, ckpt_path=last)
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name]), name


def test_start_from_is_for_the_others_at_the_same_time(runs: Path) -> None:
    entry = {"run": str(runs / "codec"), "parts": ["com", "rec"]}
    codec = make(config(weights=str(runs / "generator"), start_from=entry))
    stored = torch.load(runs / "codec" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    own = codec.net.state_dict()
    assert stored and all(torch.equal(own[k.removeprefix("net.")], value) for k, value in stored.items())
    with pytest.raises(UserError, match="freezes all of the network"):
        make(config(weights=str(runs / "generator"), start_from=entry | {"freeze": True}))


def test_models_without_a_generator_are_not_asked_for_one() -> None:
    cfg = OmegaConf.create({"start_from": None, "upsample": {"name": "bicubic"}})
    make(cfg, model={"name": "icm_irm", "width": 4})
    make(OmegaConf.create({"start_from": None}), model={"name": "comcnn_reccnn", "width": 4})


@pytest.mark.parametrize(
    ("upsample", "words"),
    [
        ({}, r"upsample=srgan needs .*; train one with `python train.py model=srgan`, and give its run as "),
        ({"weights": "gone"}, "gone does not exist; give the folder of a run"),
        ({"weights": "codec"}, "codec is of model=icm_irm, which is no generator; give a run of model=srgan"),
        ({"weights": "wide"}, "wide has other sizes .*; give upsample.width=8 upsample.blocks=2"),
        ({"weights": "generator", "freeze": "no"}, "upsample.freeze must be true or false, not 'no'"),
    ],
)
def test_what_does_not_fit_is_refused(
    runs: Path, monkeypatch: pytest.MonkeyPatch, upsample: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(runs)
    with pytest.raises(UserError, match=words):
        make(config(**upsample))
