"""Where the time of coding one image goes, as processes of the command line and inside.

python benchmarks/coding.py MODEL IMAGE [--threads 1]

Prints the wall time of `lic compress` and `lic decompress` as processes, what of it the transforms and the
entropy coding take, and how the range coder compares to CompressAI's own methods on the same symbols.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lic  # makes torchvision importable

# isort: split
import torch
from compressai.entropy_models import GaussianConditional
from timing import median

from lic import allocator
from lic.codecs import TILE
from lic.codecs.learned import LearnedCodec
from lic.data import read_image
from lic.models.hyperprior import ContextFreeHyperprior


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a run folder, a checkpoint or a model file")
    parser.add_argument("image", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    allocator.tune()
    compress, decompress = processes(arguments)
    inside(arguments.model, arguments.image, compress, decompress)


def processes(arguments: argparse.Namespace) -> tuple[float, float]:
    """Seconds of `lic compress` and `lic decompress`."""
    command = shutil.which("lic", path=Path(sys.executable).parent)
    assert command, "lic is not installed"
    with tempfile.TemporaryDirectory() as folder:
        stream, picture = f"{folder}/a.lic", f"{folder}/a.png"

        def run(*words: str) -> None:
            environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
            words = (command, *words, "-m", str(arguments.model), "--force")
            subprocess.run(words, env=environment, check=True, capture_output=True)

        return (
            median(lambda: run("compress", str(arguments.image), stream)),
            median(lambda: run("decompress", stream, picture)),
        )


@torch.inference_mode()
def inside(model: Path, image: Path, compress: float, decompress: float) -> None:
    """Print the shares of transforms and entropy coding, and the coder against CompressAI's."""
    codec = lic.load(model)
    assert isinstance(codec, LearnedCodec)
    net, pixels = codec.net, read_image(image)
    assert isinstance(net, ContextFreeHyperprior), "a model with a hyperprior is needed"
    y = net.analyze(pixels, TILE)
    payloads, y_hat = net.encode_latents(y)
    size = tuple(side * net.stride for side in y.shape[2:])
    analysis, coding = median(lambda: net.analyze(pixels, TILE)), median(lambda: net.encode_latents(y))
    decoding = median(lambda: net.decode_latents(iter(payloads), (size[0], size[1])))
    synthesis = median(lambda: net.g_s(y_hat))
    print(f"{'seconds':12}{'process':>10}{'transform':>11}{'entropy coding':>16}{'start and rest':>16}")
    for name, process, transform, entropy in (
        ("compress", compress, analysis, coding),
        ("decompress", decompress, synthesis, decoding),
    ):
        rest = process - transform - entropy
        print(f"{name:12}{process:10.3f}{transform:11.3f}{entropy:16.3f}{rest:16.3f}")

    _, z_hat = net.entropy_bottleneck.compress(net.hyper_analysis(y))
    means, scales = net.split(net.moments(z_hat, slice(0, y.shape[2])))
    ours, theirs = (
        net.gaussian_conditional,
        GaussianConditional(net.gaussian_conditional.scale_table.tolist()),
    )
    theirs.update()
    payload, _ = ours.compress(y, means=means, scales=scales)
    indexes = theirs.build_indexes(scales)
    assert theirs.compress(y, indexes, means) == [payload]
    ratios = (
        median(lambda: theirs.compress(y, theirs.build_indexes(scales), means))
        / median(lambda: ours.compress(y, means=means, scales=scales)),
        median(lambda: theirs.decompress([payload], theirs.build_indexes(scales), means=means))
        / median(lambda: ours.decompress(payload, means=means, scales=scales)),
    )
    print(f"GaussianConditional against CompressAI's, indexes included, the same {len(payload):,} bytes:")
    print(f"  compress x{ratios[0]:.1f}, decompress x{ratios[1]:.1f}  ({y.numel():,} symbols)")


if __name__ == "__main__":
    main()
