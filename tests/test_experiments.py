"""The experiments as rows of papers: which network each trains, for what, and that whole rows are sweeps."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from lic.models import ResidualGN, build_model
from lic.sweep.names import register_resolvers
from lic.training.compact import Compact
from lic.training.two_phase import TwoPhase

CONF = Path(__file__).parents[1] / "conf"
FILES = sorted(p for p in CONF.glob("experiment/*/*.yaml") if not p.name.startswith("_"))


def _config(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sweep_over_the_files_of_a_paper_finds_what_they_share(file: Path) -> None:
    """``+experiment/PAPER=glob(…)`` makes the paper's folder the group of names without a slash."""
    paper, name = file.parent.name, file.stem
    by_glob, alone = _config(f"+experiment/{paper}={name}"), _config(f"experiment={paper}/{name}")
    assert by_glob.keys() == alone.keys()
    for key in by_glob.keys() - {"variant"}:  # which names the command
        assert by_glob._get_node(key) == alone._get_node(key), key


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("baseline_low", 5_075_843),
        ("baseline_high", 11_816_323),
        ("fastdic_low", 4_280_972),
        ("fastdic_high", 9_985_036),
        ("fastdic_r4", 3_658_928),
        ("fastdic_keep4", 5_133_452),
        ("slowdic_low", 14_130_467),
    ],
)
def test_networks_of_cai_2019(name: str, parameters: int) -> None:
    """The counts are CompressAI's, for fastdic those of its description."""
    options: dict[str, Any] = dict(_config(f"experiment=cai2019/{name}").model)
    del options["_target_"]
    assert sum(p.numel() for p in build_model(**options).parameters()) == parameters


@pytest.mark.parametrize("name", [file.stem for file in FILES if file.parent.name == "cai2019"])
def test_trainings_of_cai_2019(name: str) -> None:
    config = _config(f"experiment=cai2019/{name}")
    assert (config.distortion, config.data.train, config.data.valid) == ("mse", "clic/train", "clic/valid")
    assert (config.optimizer.lr, config.optimizer.final_lr) == (1e-4, 1e-4)
    assert config.trainer.max_steps == (4 if name == "complexity" else 2_000_000)
    high = (config.model.get("bottleneck") or 0) == 320
    assert (0.02 < config["lambda"] <= 0.1) if high else (0.001 <= config["lambda"] < 0.02)
    if name.startswith("subpixel_"):
        assert config.model.pixel_unshuffle == 2
        without = _config(f"experiment=cai2019/{name}", "model.pixel_unshuffle=1")
        assert without.model == {**config.model, "pixel_unshuffle": 1}


@pytest.mark.parametrize(
    ("name", "parameters", "most_bpp"),
    [
        ("phase1", 2_367_111, 0.5),
        ("phase2", 2_367_111, 0.5),
        ("fig5_sizes", 2_367_111, 0.5),
        ("fig5_r3", 18_052_877, 1.0),
        ("fig9_importance", 2_514_823, 1.0),
        ("fig9_no_importance", 2_302_454, 0.469),
        ("fig10_channel_residual", 2_514_823, 1.0),
        ("global_residual", 2_367_111, 0.5),
        ("no_global_residual", 1_285_124, 0.5),
        ("normalization", 2_367_111, 0.5),
        ("postprocess", 2_963_210, 0.5),
        ("figs6_8", 2_367_111, 0.5),
    ],
)
def test_trainings_of_applsci_2020(name: str, parameters: int, most_bpp: float) -> None:
    config = _config(f"experiment=applsci2020/{name}", "data.root=photos")
    options: dict[str, Any] = dict(config.model)
    del options["_target_"]
    net = build_model(**options)
    assert isinstance(net, ResidualGN) and sum(p.numel() for p in net.parameters()) == parameters
    assert round((1 + len(net.residual)) * net.bottleneck / 256, 3) == most_bpp
    assert config.data.train == ["clic/train", "flickr2k/Flickr2K_HR", "div2k/DIV2K_train_HR"]
    assert (config.data.valid, config.data.patch_size) == ("clic/valid", 320)
    assert config.optimizer.lr == (2e-5 if name == "postprocess" else 2e-4)
    training = instantiate(config.training, _partial_=True)(net, {})
    assert isinstance(training, TwoPhase), "its options fit each other"
    starts = name in ("phase2", "fig5_sizes", "postprocess", "figs6_8")
    assert (training.distortion_share == 0) == starts


def test_all_trainings_of_applsci_2020_are_tested() -> None:
    marks = test_trainings_of_applsci_2020.pytestmark  # type: ignore[attr-defined]
    names = {name for name, *_ in marks[0].args[1]}
    assert names == {file.stem for file in FILES if file.parent.name == "applsci2020"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("baseline", 711_110),
        ("table1_baseline_gray", 706_498),
        ("table3_icm_irm", 439_302),
        ("table5_icm_irm_gray", 434_690),
        ("no_skips", 439_302),
        ("plain_convolutions", 599_942),
        ("three_maps", 402_458),
        ("unbounded", 439_302),
        ("equation2", 439_302),
        ("strides", 439_302),
        ("jiang", 706_370),
        ("stl10", 439_302),
        ("cifar10", 439_302),
        ("clic", 439_302),
        ("image_count", 439_302),
        ("srgan_upsampler", 439_302 + 1_549_462),
    ],
)
def test_trainings_of_deshmukh_and_pollett(name: str, parameters: int) -> None:
    """Sums of the tables of layers."""
    config = _config(f"experiment=deshmukh_pollett/{name}", "data.root=photos")
    options: dict[str, Any] = dict(config.model)
    del options["_target_"]
    net = build_model(**options)
    assert sum(p.numel() for p in net.parameters()) == parameters
    training = instantiate(config.training, _partial_=True)(net, {})
    assert isinstance(training, Compact) and training.lmbda is None
    assert config.data.channels == net.image_channels == (1 if "gray" in name or name == "jiang" else 3)
    sides = {"jiang": 180, "stl10": 96, "cifar10": 32}
    assert (config.data.patch_size, config.data.rotations) == (sides.get(name, 200), "any")
    assert (config.data.test, config.data.test_size) == ("kodak", [200, 200])
    crops = 50 * 264_000
    batch = config.data.batch_size
    assert config.trainer.max_steps * batch == crops
    assert config.trainer.val_check_interval * batch * 50 == pytest.approx(crops, rel=1e-3)
    assert config.trainer.limit_val_batches == pytest.approx(66_000 * 200**2 / (640 * 480), rel=2e-3)


def test_all_trainings_of_deshmukh_and_pollett_are_tested() -> None:
    marks = test_trainings_of_deshmukh_and_pollett.pytestmark  # type: ignore[attr-defined]
    names = {name for name, *_ in marks[0].args[1]}
    assert names | {"srgan"} == {file.stem for file in FILES if file.parent.name == "deshmukh_pollett"}


def test_each_size_starts_from_its_own_first_phase() -> None:
    config = _config("experiment=applsci2020/fig5_sizes", "model.width=128", "model.bottleneck=32")
    assert config.start_from == "multirun/SIZES/model.width-128_model.bottleneck-32"


def test_the_schedule_of_cheng_2019_is_that_of_the_papers() -> None:
    assert _config("experiment=cheng2019/section3_schedule").trainer == _config("trainer=paper").trainer
    assert _config("experiment=cheng2019/section3_schedule", "trainer=debug").trainer.max_steps == 4


def test_choices_of_the_command_line_win() -> None:
    config = _config("experiment=cai2019/fig1", "model=slowdic", "lambda=0.002", "trainer=demo")
    assert (config.model.name, config["lambda"], config.trainer.max_steps) == ("slowdic", 0.002, 300)
