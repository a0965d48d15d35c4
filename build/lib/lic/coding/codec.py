"""What every codec is to the rest of lic, learned or classical: image -> file -> image."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from lic.data.images import Pixels


@dataclass(frozen=True)
class CodecInfo:
    """Who a codec is, in reports and tables.

    ``curve`` names the R-D curve that its point lies on (a model and its fixed choices), ``setting`` is
    what moves along the curve ("λ = 5", "quality 50").
    """

    curve: str
    setting: str
    learned: bool
    model: str
    upsample: str | None = None
    lmbda: float | None = None
    distortion: str | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class Encoded:
    """A coded image: ``data`` is the whole file.

    ``reconstruct`` gives the image that the encoder expects its decoder to find, ``estimate_bits`` the
    rate that the likelihoods promise (NaN where a codec has none). Both are computed when called, so that
    the time of `FileCodec.encode` is the time of coding.
    """

    data: bytes
    reconstruct: Callable[[], Pixels]
    estimate_bits: Callable[[], float]


class FileCodec(ABC):
    """A codec that evaluation, reports and the command line can use."""

    info: CodecInfo
    suffix: str

    @abstractmethod
    def encode(self, image: Pixels) -> Encoded:
        """Code an image of any size from 1x1."""

    @abstractmethod
    def decode(self, data: bytes) -> Pixels:
        """The image in `encode`'s file.

        Raises:
            UserError: the bytes are no such file, damaged, or another model's.
        """
