"""The experiments as rows of papers: which network each trains, for what, and that whole rows are sweeps."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lic.models import build_model
from lic.sweep.names import register_resolvers

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
    for key in ("model", "data", "trainer", "optimizer", "lambda", "distortion"):
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


def test_the_schedule_of_cheng_2019_is_that_of_the_papers() -> None:
    assert _config("experiment=cheng2019/section3_schedule").trainer == _config("trainer=paper").trainer
    assert _config("experiment=cheng2019/section3_schedule", "trainer=debug").trainer.max_steps == 4


def test_choices_of_the_command_line_win() -> None:
    config = _config("experiment=cai2019/fig1", "model=slowdic", "lambda=0.002", "trainer=demo")
    assert (config.model.name, config["lambda"], config.trainer.max_steps) == ("slowdic", 0.002, 300)
