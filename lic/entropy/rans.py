"""The range coder: arrays in, the bytes of `compressai.ans` out.

CompressAI's own binding takes Python lists, of the tables too, which is most of the time it needs. The
compiled module ``_rans`` reads the arrays as they are and writes the same bytes. Where it could not be
built, CompressAI's coder does the work.
"""

import logging

import numpy as np
import torch
from compressai.ans import RansDecoder, RansEncoder
from numpy.typing import NDArray
from torch import Tensor

from lic.bitstream import StreamError

try:
    from lic.entropy import _rans
except ImportError:  # no compiler when lic was installed
    _rans = None  # type: ignore[assignment]
    logging.getLogger(__name__).warning(
        "The compiled range coder is missing; coding is several times slower, that of slowdic many times."
    )

_INITIAL_STATE = 1 << 31  # of the encoder; the decoder ends with it

Tables = tuple[Tensor, Tensor, Tensor]
"""Cumulative frequencies [T, L], the length of each row and its first symbol [T]; int32."""


def encode(symbols: Tensor, indexes: Tensor, tables: Tables) -> bytes:
    """Code integers, each with the table that its index names; shapes are equal and do not matter."""
    if _rans:
        cdf, length, offset = map(_array, tables)
        return _rans.encode(_array(symbols), _array(indexes), cdf, length, offset)
    return RansEncoder().encode_with_indexes(_list(symbols), _list(indexes), *_lists(tables))


def decode(payload: bytes, indexes: Tensor, tables: Tables) -> Tensor:
    """The integers of `encode`, int32 in the shape of ``indexes``.

    Raises:
        StreamError: the payload cannot be that of so many symbols. CompressAI's coder does not notice it.
    """
    decoder = Decoder(payload, indexes.numel(), tables)
    symbols = decoder.decode(indexes)
    decoder.finish()
    return symbols


class Decoder:
    """Decodes the ``count`` symbols of one payload, some at a time.

    Raises:
        StreamError: by `decode` and `finish`, as by the function `decode`.
    """

    def __init__(self, payload: bytes, count: int, tables: Tables):
        if _rans:
            self._payload, self._tables = payload, [_array(table) for table in tables]
            self._lookup = _rans.lookup(*self._tables)
            self._progress = np.zeros(2, np.uint64)
        else:
            self._lists, self._coder = _lists(tables), RansDecoder()
            self._coder.set_stream(payload + bytes(_read_beyond(payload, count)))

    def decode(self, indexes: Tensor) -> Tensor:
        """The next symbols, int32 in the shape of ``indexes``."""
        if not _rans:
            values = self._coder.decode_stream(_list(indexes), *self._lists)
            return torch.tensor(values, dtype=torch.int32).view(indexes.shape)
        symbols = torch.empty(indexes.shape, dtype=torch.int32)
        cdf, length, offset = self._tables
        out = symbols.numpy()
        try:
            _rans.decode(
                self._payload, _array(indexes), cdf, length, offset, self._lookup, out, self._progress
            )
        except ValueError as error:
            raise _wrong(str(error)) from error
        return symbols

    def finish(self) -> None:
        """Make sure that the payload holds these symbols and no more."""
        if _rans and self._progress.tolist() != [_INITIAL_STATE, len(self._payload) // 4]:
            raise _wrong("it does not end where its symbols do")


def _wrong(why: str) -> StreamError:
    return StreamError(
        f"The stream cannot be decoded ({why}): the file is forged, or this machine does not compute "
        "as IEEE 754 prescribes; decode it on another machine."
    )


def _read_beyond(payload: bytes, symbols: int) -> int:
    """How far CompressAI's coder may read beyond the end of a forged payload.

    A symbol takes at most two 32-bit words, and an escape that the payload begins at most 15 times as many
    nibbles as it has.
    """
    return 8 * (symbols + 1) + 16 * len(payload)


def _array(x: Tensor) -> NDArray[np.int32]:
    return x.to(torch.int32).contiguous().numpy()


def _list(x: Tensor) -> list[int]:
    return x.flatten().tolist()


def _lists(tables: Tables) -> tuple[list[list[int]], list[int], list[int]]:
    cdf, length, offset = tables
    return cdf.tolist(), length.tolist(), offset.tolist()
