"""Peak memory and time of coding one large image, against CompressAI's untiled calls.

python benchmarks/memory.py [--size WIDTHxHEIGHT] [--tiles 512,1024] [--model NAME [OPTION=NUMBER …]]

Every measurement is a process of its own: its peak is that of the whole process, interpreter and libraries
included. Both sides are a scale hyperprior (N, M = 128, 192) with random weights; with ``--model``, lic's
alone is measured, with another network.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 4000, 3000


def main() -> None:
    """Print a row for each coder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default=f"{WIDTH}x{HEIGHT}")
    parser.add_argument("--tiles", default="512,768,1024")
    parser.add_argument("--model", nargs="+", default=["scale_hyperprior"])
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    if arguments.work:
        coder, step, folder = arguments.work
        print(json.dumps(work(coder, step, Path(folder), (height, width), arguments.model)))
        return
    coders = [
        "imports only",
        *(["compressai"] if arguments.model == ["scale_hyperprior"] else []),
        "lic untiled",
        *(f"lic {tile}" for tile in arguments.tiles.split(",")),
    ]
    print(f"{'':14}{'compress':>22}{'decompress':>22}   ({width}x{height}, {' '.join(arguments.model)})")
    with tempfile.TemporaryDirectory() as folder:
        for coder in coders:
            cells = []
            for step in ("compress", "decompress"):
                command = [sys.executable, __file__, "--size", arguments.size, "--work", coder, step, folder]
                command += ["--model", *arguments.model]
                result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                cells.append(f"{result['peak']:10.2f} GB{result['seconds']:7.1f} s")
            print(f"{coder:14}{''.join(f'{cell:>22}' for cell in cells)}")


def work(coder: str, step: str, folder: Path, size: tuple[int, int], model: list[str]) -> dict[str, float]:
    """Code the image, or decode what was coded, and say what it took."""
    import lic  # noqa: F401 - makes torchvision importable
    from lic import allocator

    # isort: split
    import torch

    torch.manual_seed(0)
    if coder.startswith("lic"):
        allocator.tune()  # as every command of lic does
        run = _ours(coder.removeprefix("lic "), step, folder, size, *model)
    elif coder == "compressai":
        run = _theirs(step, folder, size)
    else:
        import compressai.zoo  # noqa: F401

        run = lambda: None  # noqa: E731
    start = time.perf_counter()
    with torch.inference_mode():
        run()
    seconds = time.perf_counter() - start
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "seconds": seconds}


def _image(size: tuple[int, int]) -> Any:
    """Smooth colours with some noise, uint8 [H, W, 3], made row by row: its making must not be the peak."""
    image = np.empty((*size, 3), np.uint8)
    noise = np.random.default_rng(0)
    columns = np.arange(size[1])[:, None] / (50, 70, 90)
    for row in range(size[0]):
        image[row] = 100 + 60 * np.sin(row / 60 + columns) + noise.integers(0, 30, (size[1], 3))
    return image


def _ours(tile: str, step: str, folder: Path, size: tuple[int, int], name: str, *options: str) -> Any:
    from lic.codecs.base import CodecInfo
    from lic.codecs.networks import codec_of
    from lic.entropy import update_tables
    from lic.models import build_model

    numbers = (option.split("=") for option in options)
    net = build_model(name, **{key: int(number) for key, number in numbers})
    update_tables(net.eval())
    side = -(-max(size) // 64) * 64 if tile == "untiled" else int(tile)
    codec = codec_of(net, CodecInfo("", "", learned=True, model=""), tile=side)
    file = folder / "ours.lic"
    if step == "compress":
        image = _image(size)
        return lambda: file.write_bytes(codec.encode(image).data)
    return lambda: codec.decode(file.read_bytes())


def _theirs(step: str, folder: Path, size: tuple[int, int]) -> Any:
    import torch
    import torch.nn.functional as F
    from compressai.models import ScaleHyperprior

    net = ScaleHyperprior(128, 192).eval()
    net.update()
    file = folder / "theirs.pt"
    if step == "compress":
        image = _image(size)

        def compress() -> None:
            x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            x = F.pad(x, (0, -size[1] % 64, 0, -size[0] % 64))
            torch.save(net.compress(x), file)

        return compress

    def decompress() -> None:
        out = torch.load(file)
        x_hat = net.decompress(out["strings"], out["shape"])["x_hat"]
        (x_hat[..., : size[0], : size[1]] * 255).round().byte().numpy()

    return decompress


if __name__ == "__main__":
    main()
