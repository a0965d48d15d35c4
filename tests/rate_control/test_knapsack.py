import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from lic.rate_control.knapsack import Choices, Floats, Integers, Steps, bound, exact, lagrangian

Instance = tuple[Integers, Floats]


def alike_files(rng: np.random.Generator, items: int, choices: int) -> Instance:
    """Bits and qualities as models of rising rates give them; not every model is better on every image."""
    rate = (
        rng.uniform(0.1, 0.3, (items, 1)) * (1 + 0.5 * np.arange(choices)) * rng.uniform(0.8, 1.2, (items, 1))
    )
    weights = (rate * rng.uniform(0.9, 1.1, (items, choices)) * 49152).astype(np.int64) * 8
    return weights, 1 - 0.06 * np.exp(-0.5 * np.arange(choices)) * rng.uniform(0.5, 1.5, (items, choices))


def anything(rng: np.random.Generator, items: int, choices: int) -> Instance:
    """The larger file may well be the worse one, and qualities may be negative."""
    return rng.integers(1, 1000, (items, choices)), rng.normal(size=(items, choices))


def ties(rng: np.random.Generator, items: int, choices: int) -> Instance:
    return rng.integers(1, 4, (items, choices)), rng.integers(0, 3, (items, choices)).astype(float)


def proportional(rng: np.random.Generator, items: int, choices: int) -> Instance:
    """Each bit is worth the same: bounds rule nothing out."""
    weights = rng.integers(1, 1000, (items, choices))
    return weights, weights / 1000


KINDS = (alike_files, anything, ties, proportional)
Make = Callable[[np.random.Generator, int, int], Instance]


def total(table: Integers | Floats, chosen: Choices) -> float:
    return table[np.arange(len(table)), chosen].sum().item()


def capacities(weights: Integers) -> list[int]:
    """From what only the lightest choices keep to, up to what every choice keeps to."""
    low, high = weights.min(axis=1).sum(), weights.max(axis=1).sum()
    return np.linspace(low, high, 9).astype(int).tolist()


def solve(weights: Integers, values: Floats, capacity: int) -> tuple[Choices, Choices]:
    steps = Steps.of(weights, values)
    near = lagrangian(weights, steps, capacity)
    best = exact(weights, values, steps, capacity, total(values, near), 10**7)
    assert best is not None
    return near, best


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(("items", "choices"), [(1, 1), (1, 3), (6, 2), (15, 2), (7, 3), (5, 4)])
def test_no_choice_is_better(make: Make, items: int, choices: int) -> None:
    for seed in range(3):
        weights, values = make(np.random.default_rng(seed), items, choices)
        every = np.array(list(itertools.product(range(choices), repeat=items)))
        all_weights = weights[np.arange(items), every].sum(axis=1)
        all_values = values[np.arange(items), every].sum(axis=1)
        for capacity in capacities(weights):
            near, best = solve(weights, values, capacity)
            most = all_values[all_weights <= capacity].max()
            assert total(values, best) == pytest.approx(most, abs=1e-12)
            as_good = all_values >= most - 1e-12
            if make is ties:
                assert total(weights, best) == all_weights[as_good].min(), "the smaller files of equal worth"
            assert max(total(weights, best), total(weights, near)) <= capacity
            assert total(values, near) <= most + 1e-12
            assert most <= bound(weights, values, Steps.of(weights, values), capacity) + 1e-12


@pytest.mark.parametrize(("items", "choices"), [(24, 4), (60, 3), (500, 2)])
def test_an_integer_program_finds_the_same(items: int, choices: int) -> None:
    weights, values = alike_files(np.random.default_rng(items), items, choices)
    one_each = np.kron(np.eye(items), np.ones(choices))
    for capacity in capacities(weights)[1::3]:
        solver = milp(
            -1e4 * values.ravel(),
            integrality=np.ones(values.size),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(weights.ravel(), ub=capacity), LinearConstraint(one_each, 1, 1)],
            options={"mip_rel_gap": 0},
        )
        _, best = solve(weights, values, capacity)
        assert total(values, best) == pytest.approx(-1e-4 * solver.fun, abs=1e-8)


@pytest.mark.parametrize("make", KINDS)
def test_more_room_is_never_worse(make: Make) -> None:
    weights, values = make(np.random.default_rng(5), 24, 3)
    rooms = range(int(weights.min(axis=1).sum()), int(weights.max(axis=1).sum()) + 1)
    worth = [total(values, solve(weights, values, room)[1]) for room in rooms[:: max(1, len(rooms) // 40)]]
    assert np.diff(worth).min() >= -1e-12 and worth[-1] > worth[0]


def test_all_room_takes_the_best_of_each() -> None:
    weights, values = anything(np.random.default_rng(0), 50, 3)
    for chosen in solve(weights, values, int(weights.max(axis=1).sum())):
        assert np.array_equal(chosen, values.argmax(axis=1))


def test_a_thousand_images_are_chosen_exactly_and_hard_ones_given_up() -> None:
    rng = np.random.default_rng(0)
    weights, values = alike_files(rng, 1000, 2)
    capacity = capacities(weights)[3]
    near, best = solve(weights, values, capacity)
    gap = bound(weights, values, Steps.of(weights, values), capacity) - total(values, best)
    assert 0 <= gap < 1e-3 and total(values, near) <= total(values, best)

    weights, values = proportional(rng, 1000, 2)
    steps = Steps.of(weights, values)
    near = lagrangian(weights, steps, capacities(weights)[3])
    assert exact(weights, values, steps, capacities(weights)[3], total(values, near), 10**5) is None
