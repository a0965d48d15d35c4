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
        (Objective({"rate": 0.01, "phase": 1}, "phase 1", "duel"), "rate=0.01, phase=1", "duel"),
        (Objective({"rate": 0.01}, "rate 0.01"), "+rate=0.01", ""),
        (rd(5), "lambda=5, distortion=mse, model=baseline, model.width=8, kernel_size=3", "mse"),
        (rd(5), "", "mse"),
        (rd(5), "optimizer.lr=0.1, lambda=5, data.limit=3", "mse, optimizer.lr=0.1, data.limit=3"),
        (Objective({"gan": 1}), "lambda=5", "lambda=5"),  # an objective without λ knows nothing of it
    ],
)
def test_what_moves_along_a_curve_does_not_make_another(
    make_net: Any, objective: Objective, variant: str, told: str
) -> None:
    curve = Description(MODEL, objective, variant).info(make_net(**MODEL)).curve
    assert curve == "baseline · width 8 · kernel_size 3" + (f" ({told})" if told else "")


@pytest.mark.parametrize("objective", [{"values": {"": 1}}, {"values": {"x" * 101: 1}}, {"values": [1]}, 3])
def test_an_objective_is_a_small_table(objective: Any) -> None:
    with pytest.raises(UserError, match="trained for"):
        Description.parse({"model": MODEL}, objective)
