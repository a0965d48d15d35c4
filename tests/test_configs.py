"""Every file under conf/ composes, says only what exists, and stays small enough to read."""

import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_object, instantiate
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import TensorDataset

from lic.data import ImageData
from lic.entry import user_message
from lic.errors import UserError
from lic.layers import UPSAMPLERS
from lic.models import MODELS, build_model
from lic.models.image_upsampling import IMAGE_UPSAMPLERS
from lic.precision import precision
from lic.store.description import model_options
from lic.sweep.names import register_resolvers
from lic.training.base import Training
from lic.training.build import build_data, build_net, build_training
from lic.training.callbacks import callbacks_of
from lic.training.options import checked_config

from .outside import GrayThumbnail

CONF = Path(__file__).parents[1] / "conf"
GROUPS = ("model", "data", "trainer", "training", "logger")
EXPERIMENTS = sorted(
    str(p.relative_to(CONF / "experiment").with_suffix("")) for p in CONF.glob("experiment/**/*.yaml")
)
WITH_UPSAMPLE = {"resnet3x3_4": set(UPSAMPLERS), "icm_irm": set(IMAGE_UPSAMPLERS)}

Compose = Callable[..., DictConfig]


def _options(group: str) -> list[str]:
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert names
    return [name for name in names if not name.startswith("_")]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Compose]:
    """Compose train.yaml, or another, as Hydra does at the command line."""
    register_resolvers()

    def make(*overrides: str, name: str = "train") -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(
                name, [*overrides, f"hydra.runtime.output_dir={tmp_path}"], return_hydra_config=True
            )
        HydraConfig.instance().set_config(cfg)
        cfg = cfg.copy()
        OmegaConf.set_struct(cfg, False)
        cfg.pop("hydra")
        OmegaConf.set_struct(cfg, True)
        return cfg

    yield make
    HydraConfig.instance().cfg = None


def _targets(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from _targets(value)


def _check_targets(cfg: DictConfig) -> None:
    """Everything named exists and takes the keywords that it is given."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    for node in _targets(content):
        target = get_object(node["_target_"])
        keywords = {key for key in node if key not in ("_target_", "_partial_")}
        parameters = inspect.signature(target).parameters
        if not any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
            assert keywords <= set(parameters), node["_target_"]


@pytest.mark.parametrize(("group", "option"), [(g, option) for g in GROUPS for option in _options(g)])
def test_every_option_composes_and_names_what_exists(config: Compose, group: str, option: str) -> None:
    small = option in ("cifar10", "stl10")  # too small for the default distortion
    cfg = config(f"{group}={option}", "data.root=photos", *["distortion=mse"] * small)
    _check_targets(cfg)
    checked_config(cfg)


@pytest.mark.parametrize(
    ("model", "upsample"), itertools.product(sorted(MODELS), ["", *UPSAMPLERS, *IMAGE_UPSAMPLERS])
)
def test_models_and_upsamplers(config: Compose, model: str, upsample: str) -> None:
    choice = [f"upsample={upsample}"] if upsample else []
    if upsample and model not in WITH_UPSAMPLE:
        with pytest.raises(HydraException) as caught:
            config(f"model={model}", *choice)
        expected = "The chosen model takes no upsample=; leave the choice out or choose another model."
        assert user_message(caught.value) == expected
        return
    cfg = config(f"model={model}", *choice, "model.width=8")
    if upsample and upsample not in WITH_UPSAMPLE[model]:
        with pytest.raises(InstantiationException) as refused:
            instantiate(cfg.model)
        assert f"Unknown upsampler {upsample!r}; choose upsample=" in str(user_message(refused.value))
        return
    net = instantiate(cfg.model)
    assert type(net) is MODELS[model]
    if upsample:
        assert cfg.model.upsample == upsample


def test_conf_offers_every_model_and_upsampler() -> None:
    assert _options("model") == sorted(MODELS)
    assert _options("upsample") == sorted({*UPSAMPLERS, *IMAGE_UPSAMPLERS})


@pytest.mark.parametrize("model", sorted(MODELS))
def test_conf_and_constructors_have_the_same_defaults(config: Compose, model: str) -> None:
    """describe_model leaves out what is default, so the two must not disagree."""
    options = model_options({"model": OmegaConf.to_container(config(f"model={model}").model, resolve=True)})
    assert options.pop("name") == model
    parameters = inspect.signature(MODELS[model]).parameters
    assert options == {name: parameter.default for name, parameter in parameters.items()}


def test_the_bottleneck_follows_the_width_unless_it_is_given(config: Compose) -> None:
    assert config("model.width=48").model.bottleneck == 48
    assert config("model.bottleneck=192").model == config("model.bottleneck=192", "model.width=128").model


@pytest.mark.parametrize(
    ("options", "patch_size", "fitting"),
    [
        ({"name": "hyperprior"}, 32, None),  # CIFAR-10's, padded
        ({"name": "hyperprior", "pixel_unshuffle": 2}, 256, None),
        ({"name": "hyperprior", "pixel_unshuffle": 2}, 64, 128),
        ({"name": "hyperprior", "pixel_unshuffle": 4}, 256, None),
        ({"name": "resnet3x3_4", "pixel_unshuffle": 4}, 384, 512),
        ({"name": "baseline", "pixel_unshuffle": 2}, 96, None),
        ({"name": "baseline", "pixel_unshuffle": 4}, 96, 128),
        ({"name": "fastdic"}, 96, None),  # the same latents as the scale hyperprior's
        ({"name": "fastdic", "drop": False}, 96, 128),
    ],
)
def test_patches_that_blocks_of_pixels_would_pad_are_refused(
    options: dict[str, Any], patch_size: int, fitting: int | None
) -> None:
    model = {"_target_": "lic.models.build_model", "width": 4} | options
    plain = {
        "model": model,
        "data": {"patch_size": patch_size},
        "start": "random",
        "lambda": 1,
        "distortion": "mse",
    }
    if fitting is None:
        assert build_net(OmegaConf.create(plain), plain).architecture
        return
    with pytest.raises(UserError, match=f" {patch_size} .*; give data.patch_size={fitting} or a smaller"):
        build_net(OmegaConf.create(plain), plain)


def test_what_lic_could_not_save_or_test_is_refused_before_the_training(config: Compose) -> None:
    cfg = config("model=baseline", "model.width=8", "model._target_=lic.models.Baseline", "~model.name")
    with pytest.raises(UserError, match="makes a Baseline, which a checkpoint of lic could not describe"):
        build_net(cfg, {})
    cfg = OmegaConf.create({"data": {"_target_": "lightning.LightningDataModule"}})
    with pytest.raises(UserError, match=r"data must be an ImageData .* not a LightningDataModule"):
        build_data(cfg)
    for split in ("train", "valid", "test"):
        data = ImageData(**{split: TensorDataset()})  # type: ignore[arg-type]
        with pytest.raises(UserError, match=f"data.{split} is a TensorDataset, which lacks what an image"):
            data.prepare_data()


def test_options_of_lightning_are_used_or_refused(config: Compose) -> None:
    refused = {
        "+trainer.fast_dev_run=true": "trainer=debug takes a few steps",
        "+trainer.logger=true": "choose logger=wandb",
        "+trainer.gradient_clip_val=0.5": "optimizer.clip_norm",
        "+trainer.max_stepss=3": "Unknown option trainer.max_stepss",
        "trainer.accumulate_grad_batches=3": "val_check_interval=.* counts batches, and a step has 3",
        "trainer.max_steps=1.5": "trainer.max_steps must be a whole number from 1 on, not 1.5",
        "trainer.max_steps=true": "trainer.max_steps must be a whole number",
        "trainer.val_check_interval=null": "val_check_interval must be a whole number from 1 on, not None",
        "trainer.accumulate_grad_batches=null": "accumulate_grad_batches must be a whole number",
        "data.patch_size=null": "data.patch_size must be a whole number",
        "+trainer.limit_train_batches=0": "there is no step to take",
        "+trainer.max_epochs=2": "trainer.max_epochs has no place .*; give trainer.max_steps",
        "data.epoch_batches=3 trainer.accumulate_grad_batches=2": "epoch_batches=3 counts batches",
        "trainer=ddp trainer.accelerator=cpu": "counts processes; give a number",
        "experiment=cai2019/fig1 trainer=gpu": "would take the place of the schedule",
        "trainer.devices=0": "trainer.devices must be a number from 1 on",
        "trainer.devices=two": "trainer.devices must be a number from 1 on",
        "trainer.num_nodes=0": "trainer.num_nodes must be a number of machines, not 0",
        "+trainer.enable_checkpointing=false": "ends in a checkpoint",
        "+training.lmbd=3": "lmbd",
        "+sede=3": "Unknown option sede",
        "+optimizer.momentum=3": "Unknown option optimizer.momentum",
        "data.channels=1": "image_channels=3 .* data.channels=1; give data.channels=3, or model.channels=1",
        "training._target_=lic.training.Nothing": "lic.training.Nothing cannot be looked up",
        "training._target_=lic.nowhere.Nothing": "lic.nowhere.Nothing cannot be looked up: .*; name a class",
        "training._target_=math.pi": "training._target_=math.pi cannot be looked up",
        "training._target_=null": "training._target_=None cannot be looked up",
        "model=icm_irm upsample=srgan +upsample.momentum=1": "Unknown option upsample.momentum",
        "checkpoint_minutes=0": "checkpoint_minutes must be a positive number, not 0",
    }
    for override, sentence in refused.items():
        with pytest.raises(UserError, match=sentence):
            plain = checked_config(cfg := config(*override.split()))
            build_training(cfg, plain, build_net(cfg, plain), build_data(cfg))
    plain = checked_config(config("trainer.max_steps=1e6", "trainer.limit_val_batches=2"))
    assert plain["trainer"]["max_steps"] == 1_000_000 and isinstance(plain["trainer"]["max_steps"], int)
    assert checked_config(config("+trainer.max_time=00:00:10:00"))
    assert checked_config(
        config("model=icm_irm", "upsample=srgan", "upsample.weights=RUN", "upsample.freeze=false")
    )


def test_sizes_of_a_generator_are_options_of_its_upsampler(config: Compose) -> None:
    options = config("model=icm_irm", "upsample=srgan", "upsample.width=8", "upsample.blocks=2").model
    assert (options.generator_width, options.generator_blocks) == (8, 2)
    with pytest.raises(HydraException) as caught:
        config("model=icm_irm", "upsample.width=8")
    assert "The chosen upsample has no option 'width'" in str(user_message(caught.value))


def test_a_gray_model_wants_gray_data(config: Compose) -> None:
    plain = checked_config(cfg := config())
    with pytest.raises(UserError, match=r"image_channels=1 .* data.channels=3; give data.channels=1"):
        build_training(cfg, plain, GrayThumbnail(), build_data(cfg))


def test_epochs_hold_whole_steps(config: Compose) -> None:
    plain = checked_config(cfg := config("trainer.accumulate_grad_batches=2"))
    data = ImageData(epoch_batches=3)  # as data of somebody's own may, without an option
    with pytest.raises(UserError, match=r"data\.epoch_batches=3 counts batches, and a step has 2 of them"):
        build_training(cfg, plain, build_net(cfg, plain), data)


def test_own_callbacks_are_called(config: Compose) -> None:
    cfg = config("trainer.callbacks=[{_target_: lightning.pytorch.callbacks.LearningRateMonitor}]")
    _, made = callbacks_of(cfg, "val/rd_cost")
    assert next(type(callback).__name__ for callback in made) == "LearningRateMonitor"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_builds_its_network(config: Compose, experiment: str) -> None:
    cfg = config(f"experiment={experiment}", "data.root=photos")
    _check_targets(cfg)
    plain: Any = checked_config(cfg)
    net = build_model(**model_options(plain))
    assert isinstance(instantiate(cfg.training, _partial_=True)(net, plain), Training)
    assert isinstance(instantiate(cfg.data), ImageData)


@pytest.mark.parametrize("data", _options("data"))
def test_eval_composes_with_every_set(config: Compose, data: str) -> None:
    cfg = config(f"data={data}", "data.root=photos", name="eval")
    _check_targets(cfg)
    assert isinstance(instantiate(cfg.data), ImageData)


@pytest.mark.parametrize("trainer", ["default", "demo", "debug"])
def test_trainers_can_be_made(config: Compose, trainer: str) -> None:
    cfg = config(f"trainer={trainer}", "trainer.accelerator=cpu").trainer
    made = instantiate(cfg, precision=precision(cfg.precision, cfg.accelerator), logger=False)
    assert isinstance(made, Trainer)
    assert made.max_steps % made.val_check_interval == 0, "the last step is validated"


def test_loggers_are_those_of_the_documentation(config: Compose) -> None:
    loggers = {name: set(config(f"logger={name}").logger) for name in _options("logger")}
    assert loggers == {
        "csv": {"csv"},
        "wandb": {"csv", "wandb"},
        "tensorboard": {"csv", "tensorboard"},
        "none": set(),
    }


@pytest.mark.parametrize(
    "override",
    [
        "lamda=5",
        "trainer.max_step=3",
        "model.kernel=3",
        "data.batch=2",
        "optimizer.learning_rate=1",
        "model=vgg",
        "data=imagenet",
        "upsample=nearest",
        "trainer=tpu",
        "logger=excel",
        "experiment=none_such",
        "distortion",
        "lambda=5,10",
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(config: Compose, override: str) -> None:
    with pytest.raises(HydraException) as caught:
        config(override)
    message = user_message(caught.value)
    assert message and "\n" not in message and "Traceback" not in message
    key, _, value = override.partition("=")
    assert key.rpartition(".")[-1] in message or value in message


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_files_are_short_and_tell_what_they_are(file: Path) -> None:
    lines = [line.strip() for line in file.read_text().splitlines()]
    content = [line for line in lines if line and not line.startswith("#")]
    if file.name not in ("train.yaml", "eval.yaml") and file.parent.name != "help":
        assert len(content) <= 20
