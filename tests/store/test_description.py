from dataclasses import replace
from typing import Any

import pytest

from lic.errors import UserError
from lic.store.description import Description
from lic.store.objective import Objective

from ..objectives import rd

MODEL = {"name": "baseline", "width": 8, "kernel_size": 3}


@pytest.mark.parametrize(
    ("objective", "variant", "told"),
    [
        (Objective({"rate": 0.01, "phase": 1}, "phase 1", "duel"), {"rate": "0.01", "phase": 1}, "duel"),
        (Objective({"rate": 0.01}, "rate 0.01"), {"+rate": 0.01}, ""),
        (
            rd(5),
            {"lambda": 5, "distortion": "mse", "model": "baseline", "model.width": 8, "kernel_size": 3},
            "mse",
        ),
        (rd(5), {}, "mse"),
        (
            rd(5),
            {"optimizer.lr": 0.1, "lambda": 5, "+data.limit": "3"},
            "mse, optimizer.lr=0.1, data.limit=3",
        ),
        (Objective({"gan": 1}), {"lambda": 5}, "lambda=5"),  # an objective without λ knows nothing of it
    ],
)
def test_what_moves_along_a_curve_does_not_make_another(
    make_net: Any, objective: Objective, variant: dict[str, Any], told: str
) -> None:
    curve = Description(MODEL, objective, variant).info(make_net(**MODEL)).curve
    assert curve == "baseline · width 8 · kernel_size 3" + (f" ({told})" if told else "")


@pytest.mark.parametrize("objective", [{"values": {"": 1}}, {"values": {"x" * 101: 1}}, {"values": [1]}, 3])
def test_an_objective_is_a_small_table(objective: Any) -> None:
    with pytest.raises(UserError, match="trained for"):
        Description.parse({"model": MODEL}, objective)


def test_lambda_moves_along_a_curve_where_a_training_says_so_and_in_older_files() -> None:
    older = {key: value for key, value in rd(5).plain().items() if key != "moving"}
    assert Objective.parse(older) == rd(5) and rd(5).moving == ["lambda"]
    other = Objective({"lambda": 5})
    assert Objective.parse(other.plain()).moving == other.moving == []


def test_overrides_that_were_once_written_as_one_text_are_still_read() -> None:
    source = {"model": MODEL, "variant": "optimizer.lr=0.1, data=a=b"}
    assert Description.parse(source, rd(5).plain()).variant == {"optimizer.lr": "0.1", "data": "a=b"}


def test_a_curve_is_what_its_points_have_in_common_whatever_its_name(make_net: Any) -> None:
    net = make_net(**MODEL)
    key = Description(MODEL, rd(5)).info(net).key
    same = [
        Description(MODEL | {"pixel_unshuffle": 1}, rd(7)),  # which is the default
        Description(MODEL, replace(rd(5), setting="any", curve="text")),
        Description(MODEL, rd(5), {"lambda": "5,7"}),
    ]
    others = [
        Description(MODEL, rd(5, "ms_ssim")),
        Description(MODEL, rd(5), {"seed": "1"}),
        Description(MODEL, Objective({**rd(5).values, "phase": 2}, rd(5).setting, rd(5).curve)),
        Description(MODEL | {"kernel_size": 5}, rd(5)),
        Description(MODEL, replace(rd(5), moving=[])),
    ]
    assert {description.info(net).key for description in same} == {key}
    assert key not in {description.info(net).key for description in others}


def test_an_override_of_a_node_is_not_that_of_a_value_of_its_name(make_net: Any) -> None:
    """An objective with a value "optimizer" says nothing of optimizer.lr."""
    objective = Objective({"optimizer": "sgd"})
    keys = {Description(MODEL, objective, {"optimizer.lr": lr}).info(make_net(**MODEL)).key for lr in (1, 2)}
    assert len(keys) == 2
    moving = Objective({"weight": 1}, moving=["weight", "gan.weight"])
    assert not Description(MODEL, moving, {"gan.weight": 1}).info(make_net(**MODEL)).choices
