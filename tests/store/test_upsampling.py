"""Models with another up-sampler than they were trained with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lic.codecs.learned import LearnedCodec, fingerprint
from lic.data import DeadLeaves
from lic.errors import UserError
from lic.models import ICMIRM, build_model
from lic.models.image_upsampling import GeneratorUpsampler
from lic.store.load import load_codec
from lic.store.model_file import describe_model_file, read_model
from lic.store.upsampling import exchange_upsamplers, generator_options, open_generator

from ..saved import save_run

GENERATOR: dict[str, Any] = {"name": "srgan", "width": 4, "blocks": 1}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of three models with interpolation, of a generator, and of a codec with another."""
    for seed, (name, options) in enumerate(
        {
            "two": {"name": "icm_irm", "width": 4},
            "three": {"name": "icm_irm", "width": 4, "stride": 3, "upsample": "bicubic"},
            "gray": {"name": "icm_irm", "width": 4, "channels": 1, "generator_width": None},
            "trained": {"name": "icm_irm", "width": 4, "upsample": "srgan"}
            | {"generator_width": 8, "generator_blocks": 2},
            "generator": GENERATOR,
            "another": GENERATOR,
            "jiang": {"name": "comcnn_reccnn", "width": 4},
        }.items()
    ):
        torch.manual_seed(seed)
        save_run(tmp_path / name, build_model(**options), options)
    return tmp_path


def srgan(runs: Path, generator: str = "generator", **others: Any) -> dict[str, Any]:
    unset = {"width": None, "blocks": None, "freeze": True}
    return {"name": "srgan", "weights": str(runs / generator), **unset, **others}


@pytest.mark.parametrize("name", ["two", "three", "gray", "trained"])
def test_the_networks_stay_and_the_generator_is_the_runs(runs: Path, name: str) -> None:
    (file,) = exchange_upsamplers([runs / name], runs / "out", srgan(runs))
    assert file == runs / "out" / "model.lic-model"
    net, description = read_model(file)
    before, generator = load_codec(runs / name), open_generator(runs / "generator")
    assert isinstance(before, LearnedCodec) and isinstance(before.net, ICMIRM) and isinstance(net, ICMIRM)
    assert isinstance(net.up, GeneratorUpsampler)
    for mine, theirs in (
        (net.com, before.net.com), (net.rec, before.net.rec), (net.up.generator, generator),
    ):  # fmt: skip
        other = theirs.state_dict()
        assert all(torch.equal(value, other[key]) for key, value in mine.state_dict().items())
    assert description.model["upsample"] == "srgan"
    said = {entry.name: entry.value for entry in describe_model_file(file)}
    assert said["upsample.weights"] == fingerprint(generator).hex()
    assert {key: description.model[key] for key in generator_options(generator)} == generator_options(
        generator
    )


@pytest.mark.parametrize("name", ["two", "three", "gray", "trained"])
def test_a_model_of_its_own_codes_files(runs: Path, name: str) -> None:
    (file,) = exchange_upsamplers([runs / name], runs, srgan(runs))
    (same,) = exchange_upsamplers([runs / name], runs / "again", srgan(runs))
    assert file.read_bytes() == same.read_bytes()
    codec, before = load_codec(file), load_codec(runs / name)
    assert codec.fingerprint != before.fingerprint
    for height, width in ((1, 1), (21, 34)):
        image = DeadLeaves(1, 40)[0][:height, :width]
        image = image[..., :1] if name == "gray" else image
        encoded = codec.encode(image)
        decoded = codec.decode(encoded.data)
        assert decoded.shape == image.shape and np.array_equal(decoded, encoded.reconstruct())
        with pytest.raises(UserError, match="written by another model"):
            before.decode(encoded.data)


def test_each_up_sampler_has_a_label_and_a_curve_of_its_own(runs: Path) -> None:
    sources = [runs / "two", runs / "three"]
    infos = [load_codec(file).info for file in exchange_upsamplers(sources, runs / "a", srgan(runs))]
    assert infos[0].key != infos[1].key, "of this training, strides move along no curve"
    other, _ = exchange_upsamplers(sources, runs / "b", srgan(runs, "another"))
    plain, _ = exchange_upsamplers(sources, runs / "c", {"name": "bicubic"})
    keys = {infos[0].key, load_codec(other).info.key, load_codec(plain).info.key}
    assert len(keys) == 3
    assert "srgan · generator_width 4 · generator_blocks 1" in infos[0].curve
    assert "bicubic" in load_codec(plain).info.curve
    assert [path.name for path in (other, plain)] == ["model-1.lic-model"] * 2


def test_interpolation_in_place_of_a_generator_leaves_nothing_of_it(runs: Path) -> None:
    (file,) = exchange_upsamplers([runs / "trained"], runs, {"name": "bicubic"})
    net, description = read_model(file)
    assert description.model == {"name": "icm_irm", "width": 4, "upsample": "bicubic"}
    assert not list(net.get_submodule("up").parameters())


def test_a_choice_of_a_sweep_that_is_exchanged_is_told_no_more(runs: Path) -> None:
    checkpoint = torch.load(runs / "two" / "checkpoints" / "best.ckpt", weights_only=True)
    variant = {"upsample": "bicubic", "upsample.weights": "A", "alpha": 2}
    checkpoint["hyper_parameters"]["config"]["variant"] = variant
    torch.save(checkpoint, runs / "two" / "checkpoints" / "best.ckpt")
    (file,) = exchange_upsamplers([runs / "two"], runs, {"name": "bicubic"})
    assert read_model(file)[1].variant == {"alpha": 2}


@pytest.mark.parametrize(
    ("sources", "choice", "words"),
    [
        ([], {}, r"give the model, too: ckpt=RUN\."),
        (["two"], {"name": "tconv"}, "Unknown upsampler 'tconv'; choose upsample=bicubic or upsample=srgan"),
        (["two"], {"weights": None}, "train one with `python train.py model=srgan`, and give its run"),
        (["two"], {"width": 4}, "upsample.width is of trainings.*leave it out"),
        (["two"], {"blocks": 1}, "upsample.blocks is of trainings"),
        (["two"], {"freeze": False}, "upsample.freeze is of trainings"),
        (["two", "jiang"], {}, "jiang is of model=comcnn_reccnn, which takes no up-sampler of images; leave"),
        (["two", "generator"], {}, "generator is of model=srgan, which takes no up-sampler"),
        (
            ["two"],
            {"weights": "two"},
            "is of model=icm_irm, which is no generator; give",
        ),
        (["two"], {"weights": "gone"}, "gone does not exist; give the folder of a run"),
    ],
)
def test_what_cannot_be_exchanged_is_refused_before_anything_is_written(
    runs: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], choice: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(runs)
    with pytest.raises(UserError, match=words):
        exchange_upsamplers([Path(name) for name in sources], runs / "out", srgan(runs) | choice)
    assert not (runs / "out").exists()


def test_a_forged_generator_is_refused(runs: Path) -> None:
    """One that claims to be large, one of other weights than it says, and one of no numbers."""
    file = runs / "generator" / "checkpoints" / "best.ckpt"
    whole = torch.load(file, weights_only=True)
    model, weights = whole["hyper_parameters"]["config"]["model"], whole["state_dict"]
    some = next(iter(weights))
    for forged_model, forged_weights, words in (
        (model | {"width": 100_000}, weights, "does not fit the model it names"),
        (model | {"blocks": 2}, weights, "does not fit the model it names"),
        (model, weights | {some: weights[some] * torch.nan}, "not finite"),
        (model, weights | {some: "text"}, "something else than ordinary tensors"),
        (model | {"width": {"_target_": "os.system"}}, weights, "does not describe its model"),
    ):
        config = {"model": forged_model}
        torch.save(whole | {"hyper_parameters": {"config": config}, "state_dict": forged_weights}, file)
        with pytest.raises(UserError, match=words):
            exchange_upsamplers([runs / "two"], runs / "out", srgan(runs))
    assert not (runs / "out").exists()
