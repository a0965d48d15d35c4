from numpy import int32, uint64
from numpy.typing import NDArray

_Array = NDArray[int32]

def encode(symbols: _Array, indexes: _Array, cdf: _Array, length: _Array, offset: _Array) -> bytes: ...
def lookup(cdf: _Array, length: _Array, offset: _Array) -> bytes: ...
def decode(
    payload: bytes,
    indexes: _Array,
    cdf: _Array,
    length: _Array,
    offset: _Array,
    lookup: bytes,
    symbols: _Array,
    progress: NDArray[uint64],
) -> None: ...
