"""One of several choices for each item: the most value within a capacity, nearly or exactly."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

# scipy's milp finds the same optima, but its HiGHS 1.12 at times prints to stdout, where --json writes, and
# cannot be told not to (github.com/ERGO-Code/HiGHS/issues/2783). Ctrl-C waits for its end, and its limit is a
# time, with which a slower machine may choose otherwise.

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Choices = NDArray[np.intp]
_Number = TypeVar("_Number", np.int64, np.float64)


@dataclass(frozen=True)
class Steps:
    """The concave hulls of all items as steps upwards from their lightest choices, the steepest first.

    Step s leads ``item[s]`` from choice ``source[s]`` to ``target[s]`` and adds ``weight[s]`` > 0 and
    ``value[s]`` > 0. All steps steeper than µ lead to the choices that maximise value - µ · weight.
    """

    lightest: Choices
    item: Choices
    source: Choices
    target: Choices
    weight: Integers
    value: Floats

    @classmethod
    def of(cls, weights: Integers, values: Floats) -> "Steps":
        """The steps of choices ``[items, choices]``."""
        by_weight = np.lexsort((-values, weights))
        found = [
            (item, a, b, weight[b] - weight[a], value[b] - value[a])
            for item, (order, weight, value) in enumerate(zip(by_weight, weights, values, strict=True))
            for a, b in pairwise(_hull(order, weight, value))
        ]
        found.sort(key=lambda step: -step[4] / step[3])
        item, source, target, weight = np.array([step[:4] for step in found], np.int64).reshape(-1, 4).T
        value = np.array([step[4] for step in found], np.float64)
        return cls(by_weight[:, 0], item, source, target, weight, value)

    def gain(self, rooms: Integers, items: NDArray[np.bool_]) -> Floats:
        """The most that the steps of some items add within each of ``rooms`` >= 0 if they could be split."""
        kept = items[self.item]
        weight = np.concatenate([[0], self.weight[kept].cumsum()])
        return np.interp(rooms, weight, np.concatenate([[0], self.value[kept].cumsum()]))


def lagrangian(weights: Integers, steps: Steps, capacity: int) -> Choices:
    """The sweep over µ: take the steps in their order, pass over those that do not fit, and go on."""
    chosen = steps.lightest.copy()
    room = capacity - _of(weights, chosen).sum()
    for item, source, target, weight in zip(
        steps.item, steps.source, steps.target, steps.weight, strict=True
    ):
        if weight <= room and chosen[item] == source:
            chosen[item] = target
            room -= weight
    return chosen


def bound(weights: Integers, values: Floats, steps: Steps, capacity: int) -> float:
    """No choice within the capacity is worth more."""
    room = capacity - _of(weights, steps.lightest).sum()
    return float(_of(values, steps.lightest).sum() + steps.gain(room, np.ones(len(weights), bool)))


def exact(
    weights: Integers, values: Floats, steps: Steps, capacity: int, known: float, work: int
) -> Choices | None:
    """The most value, up to the rounding of its sum; the least weight of that value.

    Item after item, a partial choice is kept if no lighter one has its value (Nemhauser and Ullmann, 1969),
    and if the bound of what can follow reaches ``known``, the value of some choice.

    Returns:
        None where more than ``work`` partial choices would have to be looked at.
    """
    count, choices = weights.shape
    rounding = 1e-12 * np.abs(values).max(axis=1).sum()
    lightest, least = _of(weights, steps.lightest), _of(values, steps.lightest)
    weight, value = np.zeros(1, np.int64), np.zeros(1)
    ahead = np.ones(count, bool)
    trail = []
    for item in range(count):
        ahead[item] = False
        work -= len(weight) * choices + len(steps.item)
        if work < 0:
            return None
        weight, value = np.add.outer(weight, weights[item]).ravel(), np.add.outer(value, values[item]).ravel()
        room = capacity - weight - lightest[ahead].sum()
        promise = value + least[ahead].sum() + steps.gain(room, ahead)
        kept = np.flatnonzero((room >= 0) & (promise >= known - rounding))
        kept = kept[np.lexsort((-value[kept], weight[kept]))]
        best = np.maximum.accumulate(value[kept])
        kept = kept[np.concatenate([[True], best[1:] > best[:-1]])]
        weight, value = weight[kept], value[kept]
        trail.append(kept)
    chosen = np.empty(count, np.intp)
    place = len(weight) - 1
    for item in reversed(range(count)):
        place, chosen[item] = divmod(trail[item][place], choices)
    return chosen


def _of(table: NDArray[_Number], choices: Choices) -> NDArray[_Number]:
    """The chosen one of each item."""
    return np.take_along_axis(table, choices[:, None], 1)[:, 0]


def _hull(order: Choices, weight: Integers, value: Floats) -> list[int]:
    """The corners of the concave hull, from the lightest choice up to the most valuable."""
    hull = [int(order[0])]
    for c in map(int, order[1:]):
        if value[c] <= value[hull[-1]]:
            continue
        while len(hull) > 1 and _is_below(hull[-2], hull[-1], c, weight, value):
            hull.pop()
        hull.append(c)
    return hull


def _is_below(a: int, b: int, c: int, weight: Integers, value: Floats) -> bool:
    """Whether b lies on or below the line from a to c."""
    return bool(
        (value[b] - value[a]) * (weight[c] - weight[b]) <= (value[c] - value[b]) * (weight[b] - weight[a])
    )
