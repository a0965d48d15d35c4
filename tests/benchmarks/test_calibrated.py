import json
from typing import Any

import pytest

MEASURE = """
import json, sys
from benchmarks.calibrated import calibrated
import torch
from lic.coding.codec import CodecInfo
from lic.coding.learned import LearnedCodec
from lic.data import BuiltinPhotos

net = calibrated(**json.loads(sys.argv[1]))
codec = LearnedCodec(net, CodecInfo("", "", learned=True, model=""))
image = BuiltinPhotos("test")[2]
y, encoded = codec.analyze(image), codec.encode(image)
assert (codec.decode(encoded.data) == encoded.reconstruct()).all() and not net.training
print((y.round() != 0).float().mean().item(), 8 * len(encoded.data) / y.numel())
"""


@pytest.mark.parametrize("options", [{"name": "fastdic"}, {"name": "slowdic"}], ids=lambda o: o["name"])
def test_latents_are_neither_empty_nor_full(run_python: Any, options: dict[str, Any]) -> None:
    done = run_python("-c", MEASURE, json.dumps(options | {"width": 16, "bottleneck": 16}))
    assert done.returncode == 0, done.stderr
    share, bits = done.stdout.split()
    assert 0.15 < float(share) < 0.45 and 0.8 < float(bits) < 2.5
