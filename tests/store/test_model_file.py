import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from lic.codecs.learned import fingerprint
from lic.entropy import load_tables, tables
from lic.errors import UserError
from lic.models import CompressionModel, build_model
from lic.status import write_status
from lic.store.description import Description
from lic.store.model_file import describe_model_file, export, is_model_file, read_model, write_model

from ..objectives import rd

MODEL: dict[str, Any] = {"width": 8, "name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3}
DESCRIPTION = Description(MODEL, rd(0.015), {"optimizer.lr": 0.001})


@pytest.fixture(scope="module")
def net(make_net: Any) -> CompressionModel:
    return make_net(**MODEL)


@pytest.fixture(scope="module")
def original(net: CompressionModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "a.lic-model"
    write_model(path, net, DESCRIPTION, {"steps": 3, "data": "builtin"})
    return path.read_bytes()


@pytest.fixture
def file(original: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "a.lic-model"
    path.write_bytes(original)
    return path


def _take_apart(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The header without its metadata, the description, and the numbers of a model file."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")["lic-model"]), data[8 + length :]


def _put_together(header: dict[str, Any], content: Any, numbers: bytes) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    header = {"__metadata__": {"lic-model": text}} | header
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + numbers


def _with_content(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    header, content, numbers = _take_apart(data)
    change(content)
    return _put_together(header, content, numbers)


def _with_tensors(data: bytes, change: Callable[[dict[str, Tensor]], Any]) -> bytes:
    tensors, content = load(data), _take_apart(data)[1]
    change(tensors)
    return save(tensors, {"lic-model": json.dumps(content)})


def _with_table(data: bytes, name: str, change: Callable[[Tensor], Any]) -> bytes:
    """Another table, and the fingerprint that fits it: no accident, but what a forger would do."""
    tensors, content = load(data), _take_apart(data)[1]
    net = build_model(**content["model"])
    net.load_state_dict({k.removeprefix("weights."): v for k, v in tensors.items() if "weights." in k})
    load_tables(net, {k.removeprefix("tables."): v for k, v in tensors.items() if "tables." in k})
    assert fingerprint(net).hex() == content["fingerprint"]
    change(net.get_buffer(name))
    change(tensors[f"tables.{name}"])
    content["fingerprint"] = fingerprint(net).hex()
    return save(tensors, {"lic-model": json.dumps(content)})


@pytest.mark.filterwarnings("ignore:.*searchsorted")
def test_what_is_written_is_read(variant: dict[str, Any], make_net: Any, tmp_path: Path) -> None:
    net = make_net(**variant)
    description = Description(variant, rd(5, "ms_ssim"))
    state = torch.get_rng_state()
    write_model(tmp_path / "a.lic-model", net, description, {})
    copy, read = read_model(tmp_path / "a.lic-model")
    assert torch.equal(torch.get_rng_state(), state)
    assert read == description
    assert fingerprint(copy) == fingerprint(net)
    for name, value in net.state_dict().items():
        other = copy.state_dict()[name]
        assert torch.equal(other, value) and other.stride() == value.stride(), name
    for name, table in tables(net).items():
        assert torch.equal(tables(copy)[name], table) and tables(copy)[name].dtype == table.dtype, name


def test_the_same_model_gives_the_same_bytes(make_net: Any, original: bytes, tmp_path: Path) -> None:
    for number in range(3):
        write_model(tmp_path / f"{number}", make_net(**MODEL), DESCRIPTION, {"steps": 3, "data": "builtin"})
        assert (tmp_path / f"{number}").read_bytes() == original


def test_it_is_a_safetensors_file_with_one_text(file: Path) -> None:
    header, content, _ = _take_apart(file.read_bytes())
    assert {name.split(".")[0] for name in header} == {"weights", "tables"}
    assert content == {
        "version": 2,
        "fingerprint": fingerprint(read_model(file)[0]).hex(),
        "model": MODEL,
        "objective": rd(0.015).plain(),
        "variant": {"optimizer.lr": 0.001},
        "training": {"steps": 3, "data": "builtin"},
    }
    assert is_model_file(file)


def test_a_run_is_exported_with_its_results(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "a.lic-model"
    fit(make_codec(**MODEL), run, max_steps=2)
    (run / "test.json").write_text(json.dumps({"data": "kodak", "mean": {"bpp": 0.25, "psnr": None}}))
    for status, means in (("running", {}), ("done", {"test_data": "kodak", "test_bpp": 0.25})):
        write_status(run, status=status)
        export(run, file)
        said = {entry.name: entry.value for entry in describe_model_file(file)}
        assert {key: value for key, value in said.items() if key.startswith("test_")} == means
    checkpoint = {entry.name: entry.value for entry in describe_model_file(run)}
    assert said == {"version": 2} | checkpoint
    assert (said["name"], said["width"], said["lambda"], said["distortion"]) == (
        "hyperprior",
        8,
        0.015,
        "mse",
    )
    assert (said["steps"], said["seed"]) == (2, 0)
    assert isinstance(said["validation_cost"], float) and said["validation_cost"] > 0
    export(tmp_path / "a.lic-model", tmp_path / "b.lic-model")
    assert (tmp_path / "b.lic-model").read_bytes() == (tmp_path / "a.lic-model").read_bytes()


def test_the_validation_cost_is_the_checkpoints_own(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    fit(make_codec(**MODEL), tmp_path, max_steps=1)
    checkpoint = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    own = checkpoint["callbacks"]["Checkpoints"]["cost"]
    checkpoint["callbacks"] = {"Users": {"cost": -1.0}} | checkpoint["callbacks"]
    torch.save(checkpoint, tmp_path / "a.ckpt")
    said = {entry.name: entry.value for entry in describe_model_file(tmp_path / "a.ckpt")}
    assert said["validation_cost"] == own > 0


def test_a_failed_export_leaves_the_file_that_was_there(file: Path, make_net: Any) -> None:
    data = file.read_bytes()
    net = make_net(**MODEL)
    with torch.no_grad():
        net.get_parameter("g_s.6.bias")[0] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        write_model(file, net, DESCRIPTION, {})
    assert file.read_bytes() == data and len(list(file.parent.iterdir())) == 1


FORGERIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", "not a model file"),
    "text": (lambda data: b"hello, world", "not a model file"),
    "cut": (lambda data: data[:-1], "not a model file"),
    "half": (lambda data: data[: len(data) // 2], "not a model file"),
    "longer": (lambda data: data + b"\0", "not a model file"),
    "huge header": (lambda data: struct.pack("<Q", 1 << 40) + data[8:], "not a model file"),
    "other safetensors": (lambda data: save({"a": torch.ones(1)}), "not a model file"),
    "no JSON": (lambda data: _put_together(_take_apart(data)[0], "{", b""), "not a model file"),
    "deep JSON": (lambda data: _put_together({}, "[" * 100_000, b""), "not a model file"),
    "a list": (lambda data: _put_together({}, [1], b""), "not a model file"),
    "no version": (lambda data: _with_content(data, lambda c: c.pop("version")), "not a model file"),
    "newer": (lambda data: _with_content(data, lambda c: c.update(version=3)), "version 3.*a newer lic"),
    "no model": (lambda data: _with_content(data, lambda c: c.pop("model")), "does not describe"),
    "model a list": (lambda data: _with_content(data, lambda c: c.update(model=[])), "does not describe"),
    "no training": (lambda data: _with_content(data, lambda c: c.pop("training")), "not a model file"),
    "escapes": (lambda data: _with_content(data, lambda c: c["training"].update(a="\x1b[2J")), "not a model"),
    "unknown": (lambda data: _with_content(data, lambda c: c["model"].update(name="os")), "Unknown model"),
    "option": (lambda data: _with_content(data, lambda c: c["model"].update(x=1)), "cannot be built"),
    "wide": (lambda data: _with_content(data, lambda c: c["model"].update(width=10**9)), "not fit"),
    "wider": (lambda data: _with_content(data, lambda c: c["model"].update(width=4000)), "not fit"),
    "negative": (lambda data: _with_content(data, lambda c: c["model"].update(width=-8)), "width must be"),
    "NaN": (lambda data: _with_content(data, lambda c: c["model"].update(width=torch.nan)), "not describe"),
    "no objective": (
        lambda data: _with_content(data, lambda c: c.pop("objective")),
        "what it was trained for",
    ),
    "infinite λ": (
        lambda data: _with_content(data, lambda c: c["objective"]["values"].update({"lambda": 1e999})),
        "what it was trained for",
    ),
    "old without λ": (lambda data: _with_content(data, lambda c: c.update(version=1)), "not a model file"),
    "other options": (
        lambda data: _with_content(data, lambda c: c["model"].update(kernel_size=5)),
        "not fit",
    ),
    "fingerprint": (
        lambda data: _with_content(data, lambda c: c.update(fingerprint="00000000")),
        "damaged: .* not 00000000",
    ),
    "no weight": (lambda data: _with_tensors(data, lambda t: t.pop("weights.g_a.0.weight")), "not fit"),
    "no table": (
        lambda data: _with_tensors(data, lambda t: t.pop("tables.entropy_bottleneck._offset")),
        "not fit",
    ),
    "more": (lambda data: _with_tensors(data, lambda t: t.update(code=torch.ones(1))), "holds 'code'"),
    "float64": (
        lambda data: _with_tensors(data, lambda t: t.update({k: t[k].double() for k in t if "g_a" in k})),
        "not fit",
    ),
    "not finite": (
        lambda data: _with_tensors(data, lambda t: t["weights.g_a.0.weight"].fill_(torch.inf)),
        "not finite",
    ),
    "weight": (
        lambda data: _with_tensors(data, lambda t: t["weights.g_a.0.weight"].add_(1)),
        "is damaged",
    ),
    "falling table": (
        lambda data: _with_table(data, "entropy_bottleneck._quantized_cdf", Tensor.neg_),
        "tables of probabilities are damaged",
    ),
    "falling bounds": (
        lambda data: _with_table(data, "gaussian_conditional._scale_bounds", Tensor.neg_),
        "bounds .* do not rise",
    ),
    "large integers": (
        lambda data: _with_table(data, "moments.weight_0", lambda weight: weight.fill_(32767)),
        "do not keep its sums exact",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_and_damaged_files_are_refused_in_one_sentence(name: str, file: Path) -> None:
    forge, sentence = FORGERIES[name]
    file.write_bytes(forge(file.read_bytes()))
    with pytest.raises(UserError, match=rf"a\.lic-model cannot be used\. .*({sentence})"):
        read_model(file)


def test_what_is_damaged_does_not_describe_itself(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match="It is damaged: its content has the fingerprint"):
        describe_model_file(file)


def test_every_bit_of_the_numbers_counts(file: Path) -> None:
    data = bytearray(file.read_bytes())
    first = 8 + int.from_bytes(data[:8], "little")
    for position in range(first, len(data), len(data) // 50):
        data[position] ^= 1
        file.write_bytes(data)
        with pytest.raises(UserError, match="cannot be used"):
            read_model(file)
        data[position] ^= 1
