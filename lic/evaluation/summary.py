"""What a finished run or sweep leaves for people: classical codecs beside it, rd.csv, report.html."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

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
    write_report([folder], report, title=folder.resolve().name)
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
    measured = {(point.result.data, point.result.codec.model) for point in points}
    for point in points:
        config_file = point.run / ".hydra" / "config.yaml"
        if not config_file.exists():
            continue
        cfg, data = OmegaConf.load(config_file), point.result.data
        for name in OmegaConf.select(cfg, "classical") or ():
            if (data, name) not in measured:
                measured.add((data, name))
                images = instantiate(cfg.data).test_set
                evaluate_classical(name, images, folder / CLASSICAL / data, data)
    if (folder / CLASSICAL).is_dir():
        write_rd_csv(folder / CLASSICAL / RD_FILE, collect([folder / CLASSICAL]))
