"""How many different bytes there are, and how many bits each carries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Symbols:
    """Bytes as a memoryless source gives them: ``count``, how many ``distinct`` ones, the ``bits`` of all.

    ``bits`` are the zeroth-order entropy of their histogram times ``count``: no code that gives each byte a
    fixed length is shorter. Codes that follow what changes from place to place can be.
    """

    count: int
    distinct: int
    bits: float

    @classmethod
    def of(cls, values: NDArray[np.uint8]) -> "Symbols":
        """Those of an array of any shape."""
        counts = np.bincount(values.ravel(), minlength=1)
        counts = counts[counts > 0]
        bits = float(counts @ np.log2(counts.sum() / counts)) if counts.size else 0.0
        return cls(int(counts.sum()), counts.size, bits)

    @property
    def entropy(self) -> float:
        """Bits per byte."""
        return self.bits / self.count if self.count else 0.0
