import math
from typing import Any

import pytest

from lic.metrics.complexity import Totals, layer_costs
from lic.models import MODELS, build_model
from lic.papers import paper_of
from lic.papers.cheng2019 import PAPER, TABLE_8, TABLE_9, network_table
from lic.papers.paper import is_as_printed
from lic.report.complexity import complexity_tables, layer_table


def test_the_programs_table_9_is_the_papers(published: Any) -> None:
    assert [(str(row.parameters), row.flops, f"{row.relative:.2f}") for row in TABLE_9] == [
        (row["parameters"], row["flops"], row["relative_flops"]) for row in published("cheng2019_table9")
    ]
    for row in TABLE_9[:3]:
        totals = Totals.of(layer_costs(build_model(**row.model)))
        assert totals.parameters == row.parameters and is_as_printed(totals.flops, row.flops), row.label


def test_tables_print_what_differs_from_the_paper() -> None:
    caption = layer_table(TABLE_8).caption
    assert (
        isinstance(caption, str) and "16 of its 17 FLOPs are misprints" in caption and "g_s.4" not in caption
    )
    verdicts = list(network_table({"name": "hyperprior", "width": 64}).columns[-1].cells)
    assert verdicts[:8] == ["the same"] * 8
    assert verdicts[8:] == ["the same*; one rule: 2.43e10, 2.06", "the same*; one rule: 2.49e10, 2.11", "–"]


def test_equal_networks_are_one_however_they_are_written() -> None:
    """What is the default may be said or not, and names of networks are not compared."""
    said = TABLE_8 | {"aux_kernel_size": 5, "width": 128, "pixel_unshuffle": 1}
    assert layer_table(said).caption == layer_table(TABLE_8).caption
    assert len(list(network_table(said).columns[0].cells)) == len(TABLE_9)
    assert layer_table(TABLE_8 | {"width": 64}).caption is None


@pytest.mark.parametrize("model", ["baseline", "hyperprior", "resnet3x3_3", "resnet3x3_4"])
def test_its_families(model: str) -> None:
    assert paper_of(model) is PAPER and math.isnan(PAPER.decoding_speed({"name": model}))


def test_a_model_of_no_paper_has_its_layers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", MODELS["baseline"])
    assert paper_of("toy") is None
    (table,) = complexity_tables({"name": "toy", "width": 8})
    assert str(table.title).startswith("Layers of toy") and "Table" not in str(table.title)
