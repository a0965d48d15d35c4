import numpy as np
import pytest
from scipy.stats import entropy

from lic.entropy.symbols import Symbols


@pytest.mark.parametrize("spread", [1, 7, 90])
def test_the_entropy_is_scipys(spread: int) -> None:
    values = np.random.default_rng(0).normal(128, spread, (3, 20, 30)).clip(0, 255).astype(np.uint8)
    symbols, (_, counts) = Symbols.of(values), np.unique(values, return_counts=True)
    assert (symbols.count, symbols.distinct) == (1800, len(counts))
    assert symbols.entropy == pytest.approx(entropy(counts, base=2))
    assert symbols.bits == pytest.approx(1800 * symbols.entropy)


def test_the_ends() -> None:
    assert Symbols.of(np.full(9, 255, np.uint8)) == Symbols(9, 1, 0)
    assert Symbols.of(np.arange(256, dtype=np.uint8)) == Symbols(256, 256, 8 * 256)
    assert Symbols.of(np.zeros((0, 3), np.uint8)) == Symbols(0, 0, 0) and Symbols(0, 0, 0).entropy == 0
