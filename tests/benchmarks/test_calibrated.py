import json
from typing import Any

import pytest

MEASURE = """
import json, sys
from benchmarks.calibrated import calibrated
import torch
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.data import BuiltinPhotos

image = BuiltinPhotos("test")[2]
for name in json.loads(sys.argv[1]):
    net = calibrated(name, width=16, bottleneck=16)
    codec = LearnedCodec(net, CodecInfo("", "", learned=True, model=""))
    y, encoded = net.analyze(image, codec.tile), codec.encode(image)
    assert (codec.decode(encoded.data) == encoded.reconstruct()).all() and not net.training
    print((y.round() != 0).float().mean().item(), 8 * len(encoded.data) / y.numel())
"""


@pytest.mark.slow
def test_latents_are_neither_empty_nor_full(run_python: Any) -> None:
    names = ["fastdic", "slowdic"]
    done = run_python("-c", MEASURE, json.dumps(names))  # one process: importing takes most of the time
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        share, bits = map(float, line.split())
        assert 0.15 < share < 0.45 and 0.8 < bits < 2.5
    assert len(done.stdout.splitlines()) == len(names)
