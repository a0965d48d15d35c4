"""What a finished run or sweep leaves for people: classical codecs beside it, rd.csv, report.html."""

from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lic.data import ImageSet
from lic.evaluation.evaluate import CLASSICAL, evaluate_classical
from lic.evaluation.points import collect, table, write_rd_csv
from lic.evaluation.report import write_report

RD_FILE, REPORT_FILE = "rd.csv", "report.html"


def summarize(folder: Path, wandb_project: str | None = None) -> Path:
    """Write the folder's ``rd.csv`` and ``report.html`` and print its points; the report's path.

    Args:
        folder: a run, a sweep, or any folder above some.
        wandb_project: also record the points as a W&B run of this project.

    Raises:
        UserError: there is no result below ``folder``.
    """
    points = collect([folder])
    classical = folder / CLASSICAL
    write_rd_csv(folder / RD_FILE, [point for point in points if classical not in point.run.parents])
    report = folder / REPORT_FILE
    write_report([folder], report, source=folder.resolve().name)
    console = Console()
    console.print(table(points))
    console.print(f"Points: {folder / RD_FILE}\nReport: {report}", soft_wrap=True, highlight=False)
    if wandb_project:
        from lic.tracking import log_sweep  # only where W&B is wanted

        log_sweep(folder, points, wandb_project)
    return report


def add_classical(folder: Path) -> None:
    """Measure the classical codecs that the runs below ``folder`` ask for, once per test set."""
    points = collect([folder])
    measured = {(point.result.images, point.result.codec.model) for point in points}
    targets: dict[tuple[Any, ...], Path] = {}
    for point in points:
        config_file, result = _configuration(point.run, folder), point.result
        if not config_file or not result.codec.learned:
            continue
        number = f"-{len(targets) + 1}" if targets else ""
        target = targets.setdefault(result.images, folder / CLASSICAL / f"{result.data}{number}")
        cfg = OmegaConf.load(config_file)
        for name in OmegaConf.select(cfg, "classical") or ():
            if (result.images, name) not in measured:
                measured.add((result.images, name))
                evaluate_classical(name, images_of(cast(DictConfig, cfg))[0], target, result.data)
    if (folder / CLASSICAL).is_dir():
        write_rd_csv(folder / CLASSICAL / RD_FILE, collect([folder / CLASSICAL]))


def _configuration(run: Path, folder: Path) -> Path | None:
    """Of a run, or of the evaluation below ``folder`` that measured several models in folders of its own."""
    for place in (run, *run.parents):
        if (file := place / ".hydra" / "config.yaml").exists():
            return file
        if place == folder.resolve():
            break
    return None


def images_of(cfg: DictConfig) -> tuple[ImageSet, str]:
    """The images that a run measures, and their name in reports.

    A training keeps a part of a bare folder for the test; an evaluation takes all of it.
    """
    data = instantiate(cfg.data)
    evaluates_all = "model" not in cfg and data.is_plain_folder
    return (data.all_images if evaluates_all else data.test_set), data.test_name
