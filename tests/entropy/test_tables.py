import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lic.entropy import (
    TableError,
    load_tables,
    tables,
    update_tables,
)


def test_tables_are_no_part_of_the_weights(net: Any) -> None:
    before = set(net.state_dict())
    update_tables(net)
    assert set(net.state_dict()) == before
    assert not [name for name in before if "cdf" in name or "offset" in name]


def test_tables_of_another_net_are_taken_as_they_are(net: Any) -> None:
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.z.quantiles.mul_(2)
    update_tables(other)
    load_tables(net, tables(other))
    assert tables(net).keys() == tables(other).keys()
    for name, table in tables(net).items():
        assert table.dtype == torch.int32 and torch.equal(table, tables(other)[name]), name
    update_tables(net)
    assert not torch.equal(tables(net)["z._cdf_length"], tables(other)["z._cdf_length"])


def test_updating_twice_changes_nothing(net: Any) -> None:
    update_tables(net)
    first = tables(net)
    update_tables(net)
    assert all(torch.equal(first[name], table) for name, table in tables(net).items())


@pytest.mark.parametrize("change", ["missing", "left over"])
def test_tables_that_do_not_fit_are_refused(net: Any, change: str) -> None:
    update_tables(net)
    saved = tables(net)
    if change == "missing":
        saved.pop("y._offset")
    else:
        saved["x._offset"] = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(TableError, match="entropy tables do not fit"):
        load_tables(net, saved)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("z._quantized_cdf", lambda t: t.flip(1)),
        ("z._quantized_cdf", lambda t: t + 1),
        ("z._quantized_cdf", lambda t: t[:-1]),
        ("z._quantized_cdf", lambda t: t[0]),
        ("z._quantized_cdf", lambda t: torch.tensor(5, dtype=torch.int32)),
        ("y._quantized_cdf", lambda t: t.float()),
        ("y._quantized_cdf", lambda t: t[:, :-1]),
        ("y._cdf_length", lambda t: t + 10**6),
        ("y._cdf_length", lambda t: t * 0 - 5),
        ("y._cdf_length", lambda t: t[1:]),
        ("z._offset", lambda t: t + 2**30),
        ("y._offset", lambda t: t * 0 - 2**31),
        ("z._offset", lambda t: t[:1]),
        ("y._scale_bounds", lambda t: t[:9]),
        ("y._scale_bounds", lambda t: t.flip(0)),
        ("y._scale_bounds", lambda t: t - 10**6),
        ("y._scale_bounds", lambda t: torch.cat([t[:-1], t[-1:] * 0 + 2**31 - 1])),
    ],
)
def test_tables_that_would_mislead_the_coder_are_refused(
    net: Any, name: str, damage: Callable[[Tensor], Tensor]
) -> None:
    update_tables(net)
    saved = tables(net)
    saved[name] = damage(saved[name])
    with pytest.raises(TableError):
        load_tables(net, saved)
