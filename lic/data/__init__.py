"""Image files, image sets, training patches, and the data module that brings them to a training."""

from typing import TYPE_CHECKING, Any

from lic.data.binary import cifar10, stl10
from lic.data.cache import CachedImages
from lic.data.derived import folder_part
from lic.data.images import Pixels, read_image, to_batch, to_float, to_image, to_pil, to_uint8, write_png
from lic.data.sources import BuiltinPhotos, ImageFolder, ImageSet
from lic.data.synthetic import DeadLeaves

if TYPE_CHECKING:
    from lic.data.module import ImageData

__all__ = [
    "BuiltinPhotos",
    "CachedImages",
    "DeadLeaves",
    "ImageData",
    "ImageFolder",
    "ImageSet",
    "Pixels",
    "cifar10",
    "folder_part",
    "read_image",
    "stl10",
    "to_batch",
    "to_float",
    "to_image",
    "to_pil",
    "to_uint8",
    "write_png",
]


def __getattr__(name: str) -> Any:
    if name == "ImageData":  # on demand: Lightning takes seconds to import, and coding an image needs none
        from lic.data.module import ImageData

        return ImageData
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
