"""What a training logged, as its metrics.csv has it."""

import csv
from pathlib import Path


def values(metrics: Path, split: str) -> dict[str, list[float]]:
    """What was logged of a split, by name."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith(f"{split}/") and not name.endswith("images_per_s")]
    return {name: [float(row[name]) for row in rows if row[name]] for name in names}
