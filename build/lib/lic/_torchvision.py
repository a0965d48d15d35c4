"""Lets torchvision be imported beside a CPU build of torch.

The torchvision wheel on PyPI is built for CUDA. Beside a CPU torch its C++ operators do not load, and
``import torchvision`` (hence compressai, and lightning through torchmetrics) ends in "operator
torchvision::nms does not exist", because torchvision registers fake kernels for operators that nobody
declared. Declaring the two schemas is enough; lic calls neither operator.

An import hook keeps this lazy (``import lic`` loads no torch) and makes it hold in every process that
imports lic: data workers, DDP ranks, cluster jobs.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[object] = []  # torch.library removes the operators when the object dies


class _TorchvisionFinder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "torchvision":
            sys.meta_path.remove(_TorchvisionFinder)
            spec = PathFinder.find_spec(name, path, target)
            if spec and spec.origin:
                _declare_missing_operators(Path(spec.origin).parent)
        return None  # the ordinary finders import it


def _declare_missing_operators(package: Path) -> None:
    import torch  # only when torchvision is wanted

    for extension in package.glob("_C*.so"):
        try:
            torch.ops.load_library(str(extension))
        except OSError:  # built for another torch
            continue
        return
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    _libraries.append(library)


def install() -> None:
    """Prepare for the first import of torchvision; does nothing if it is already imported or absent."""
    if "torchvision" not in sys.modules and importlib.util.find_spec("torchvision"):
        sys.meta_path.insert(0, _TorchvisionFinder)
