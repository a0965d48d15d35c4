import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.data import ImageFolder, Pixels, write_png
from lic.data.sources import ImageSet
from lic.evaluation import evaluate as evaluation
from lic.evaluation.evaluate import evaluate
from lic.evaluation.result import Result
from lic.report.summary import add_classical, summarize

from ..made_runs import MakeRun, learned

QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)


class Blank(FileCodec):
    """A codec with a hostile name that makes every image black."""

    info = CodecInfo("net [/x]", "λ = [old]", learned=True, model="blank")
    suffix = ".blank"

    def encode(self, image: Pixels) -> Encoded:
        black = np.zeros_like(image)
        size = np.array(image.shape[:2], np.uint16)
        return Encoded(size.tobytes(), lambda: black, lambda: 32.0)

    def decode(self, data: bytes) -> Pixels:
        return np.zeros((*np.frombuffer(data, np.uint16), 3), np.uint8)


def photos(folder: Path, side: int = 20) -> ImageSet:
    for name in ("a", "b"):
        write_png(folder / f"{name}.png", np.full((side, 30, 3), 99, np.uint8))
    return ImageFolder(folder)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    return photos(tmp_path / "photos")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each folder was measured, from its name's set on."""
    times: Counter[str] = Counter()

    def counted(codec: FileCodec, images: ImageSet, folder: Path, *args: Any, **options: Any) -> Result:
        times["/".join(folder.parts[-2:])] += 1
        return evaluate(codec, images, folder, *args, **options)

    monkeypatch.setattr(evaluation, "evaluate", counted)
    return times


def run(images: ImageSet, folder: Path, data: str = "photos") -> Result:
    return evaluate(Blank(), images, folder, data, [0])


def test_each_quality_is_measured_once(tmp_path: Path, images: ImageSet, measured: Counter[str]) -> None:
    result, sweep = run(images, tmp_path / "sweep" / "a"), tmp_path / "sweep"
    for _ in range(2):
        add_classical(sweep, ["jpeg"], images, result)
    assert measured == {f"photos/jpeg-{quality}": 1 for quality in QUALITIES}
    (sweep / "classical" / "photos" / "jpeg-50" / "test.json").unlink()  # as an interrupted job leaves it
    add_classical(sweep, ["jpeg", "webp"], images, result)
    assert measured["photos/jpeg-50"] == 2 and measured["photos/jpeg-60"] == 1
    assert sum(measured.values()) == 2 * len(QUALITIES) + 1


def test_jobs_at_the_same_time_measure_once(tmp_path: Path, images: ImageSet, measured: Counter[str]) -> None:
    result = run(images, tmp_path / "sweep" / "a")
    with ThreadPoolExecutor(4) as pool:
        for done in [
            pool.submit(add_classical, tmp_path / "sweep", ["jpeg"], images, result) for _ in range(4)
        ]:
            done.result()
    assert measured == {f"photos/jpeg-{quality}": 1 for quality in QUALITIES}


def test_other_images_of_the_same_name_have_a_folder_of_their_own(
    tmp_path: Path, images: ImageSet, measured: Counter[str]
) -> None:
    others, sweep = photos(tmp_path / "others", side=24), tmp_path / "sweep"
    for number, source in enumerate((images, others, images, others)):
        add_classical(sweep, ["jpeg"], source, run(source, sweep / str(number)))
    assert {key.split("/")[0] for key in measured} == {"photos", "photos-2"}
    assert set(measured.values()) == {1}
    assert Result.load(sweep / "classical" / "photos-2" / "jpeg-5" / "test.json").rows[0].height == 24


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        ("..", "images"),
        (".", "images"),
        ("", "images"),
        ("../../elsewhere", "elsewhere"),
        ("clic/valid", "clic_valid"),
        ("<b> λ 蜂", "b_λ_蜂"),
        ("x" * 300, "x" * 60),
        ("蜂" * 300, "蜂" * 60),
    ],
)
def test_the_name_of_a_set_is_no_path(tmp_path: Path, images: ImageSet, data: str, folder: str) -> None:
    add_classical(tmp_path / "sweep", ["jpeg"], images, replace(run(images, tmp_path / "run"), data=data))
    files = list(tmp_path.rglob("jpeg-5/test.json"))
    assert files == [tmp_path / "sweep" / "classical" / folder / "jpeg-5" / "test.json"]
    assert Result.load(files[0]).data == data


def test_an_absolute_name_stays_below_the_sweep(tmp_path: Path, images: ImageSet) -> None:
    result = replace(run(images, tmp_path / "run"), data=str(tmp_path / "elsewhere"))
    add_classical(tmp_path / "sweep", ["jpeg"], images, result)
    assert not (tmp_path / "elsewhere").exists()
    assert len(list((tmp_path / "sweep" / "classical").glob("*/jpeg-*/test.json"))) == len(QUALITIES)


def test_sets_whose_names_make_one_folder_are_two(tmp_path: Path, images: ImageSet) -> None:
    for data in ("a/b", "a_b", "a/b"):
        add_classical(tmp_path, ["jpeg"], images, replace(run(images, tmp_path / "run"), data=data))
    found = {file.parts[-3]: Result.load(file).data for file in tmp_path.rglob("jpeg-5/test.json")}
    assert found == {"a_b": "a/b", "a_b-2": "a_b"}


def test_no_classical_codecs_leave_no_folder(tmp_path: Path, images: ImageSet) -> None:
    add_classical(tmp_path / "sweep", [], images, run(images, tmp_path / "sweep" / "a"))
    assert not (tmp_path / "sweep" / "classical").exists()


def test_names_and_folders_are_no_markup(
    tmp_path: Path, images: ImageSet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "[/x] [old]"
    result = run(images, folder / "a", "photos \udcff")  # a name that is no UTF-8
    add_classical(folder, ["jpeg"], images, result)
    summarize(folder)
    out, err = capsys.readouterr()
    assert f"Report: {folder / 'report.html'}" in out and "net [/x]" in out and "λ = [old]" in out
    assert "net [/x], λ = [old]" in err
    assert r"photos \udcff, 2 images" in (folder / "report.html").read_text("utf-8")
    rows = (folder / "rd.csv").read_text().splitlines(), (folder / "classical" / "rd.csv").read_text()
    assert len(rows[0]) == 2 and rows[1].count("JPEG") == len(QUALITIES)


def test_configurations_of_strangers_are_not_even_read(
    make_run: MakeRun, tmp_path: Path, images: ImageSet
) -> None:
    """Hydra would make the folder of ``_target_``."""
    job = make_run("sweep/stranger", learned("net", 5), 0.3, 30)
    config = {"data": {"_target_": "os.mkdir", "path": str(tmp_path / "ran")}, "classical": ["webp"]}
    for folder in (job, tmp_path / "sweep"):
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
    add_classical(tmp_path / "sweep", ["jpeg"], images, run(images, tmp_path / "sweep" / "job"))
    summarize(tmp_path / "sweep")
    assert not (tmp_path / "ran").exists()
    assert "WebP" not in (tmp_path / "sweep" / "classical" / "rd.csv").read_text()
