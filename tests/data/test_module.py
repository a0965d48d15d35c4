from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lic.data import BuiltinPhotos, CachedImages, DeadLeaves, ImageData, ImageFolder, write_png
from lic.data.derived import sample
from lic.data.images import resized, with_channels
from lic.data.splits import CHOICES, SPLITS
from lic.errors import UserError

from .patches import same, take

CONF = Path(__file__).parents[2] / "conf" / "data"
SETS = sorted(f.stem for f in CONF.glob("*.yaml") if "_" not in f.stem)  # without _base and combinations


def test_validation_images_come_whole_and_in_order() -> None:
    photos = BuiltinPhotos("valid")
    batches = list(ImageData(valid=photos).val_dataloader())
    assert len(batches) == len(photos)
    for batch, i in zip(batches, range(len(photos)), strict=True):
        assert batch.dtype == torch.uint8 and batch.shape[:2] == (1, 3)
        assert (batch[0].permute(1, 2, 0).numpy() == photos[i]).all()


def write(folder: Path, **images: tuple[int, int, int]) -> Path:
    for i, (name, shape) in enumerate(images.items()):
        write_png(folder / f"{name}.png", np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8))
    return folder


def test_channels_of_training_validation_and_test(tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", colour=(30, 40, 3), gray=(30, 40, 1))
    sets: dict[str, Any] = {"train": str(folder), "valid": str(folder), "test": str(folder)}
    images = ImageFolder(folder)
    for channels in (1, 3):
        data = ImageData(**sets, channels=channels, patch_size=16)
        assert take(data, 1)[0].shape == (8, channels, 16, 16)
        assert [batch.shape for batch in data.val_dataloader()] == 2 * [(1, channels, 30, 40)]
        assert data.test_set.names == images.names == ("colour", "gray")
        assert [data.test_set[i].shape[2] for i in range(2)] == ([1, 1] if channels == 1 else [3, 1])
        assert data.test_name == ("photos" if channels == 3 else "photos-gray")
    gray = ImageData(**sets, channels=1).test_set
    assert np.array_equal(gray[1], images[1]) and np.array_equal(gray[0], with_channels(images[0], 1))
    assert [ImageData(root=str(folder), channels=1).evaluation_set[i].shape for i in range(2)] == 2 * [
        (30, 40, 1)
    ]


def test_test_images_of_a_given_size(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_DATA", str(photos))
    plain, small = (
        composed("folder", "data.test=test"),
        composed("folder", "data.test=test", "data.test_size=[20,12]"),
    )
    assert small.test_set.names == plain.test_set.names and len(small.test_set) == 4
    for i in range(4):
        assert np.array_equal(small.test_set[i], resized(plain.test_set[i], (20, 12)))
    assert (plain.test_name, small.test_name) == ("test", "test-20x12"), "they are other images in reports"
    assert composed("folder", "data.test_size=[9,8]").evaluation_set[0].shape == (8, 9, 3)


def test_unions_of_sets(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_DATA", str(tmp_path))
    write(tmp_path / "more" / "x", **{"0": (50, 50, 3), "new": (60, 50, 3)})
    both = "[photos/train,more/x]"
    data = composed(
        "folder", f"data.train={both}", f"data.valid={both}", f"data.test={both}", "data.patch_size=16"
    )
    data.prepare_data()
    names = (*ImageFolder(photos / "train").names, "0-2", "new")
    assert data.test_set.names == names and len(data.val_dataloader()) == len(names) == 9
    assert data.test_name == "photos/train+more/x"
    assert take(data, 1)[0].shape == (8, 3, 16, 16)
    parts = "lic.data.BuiltinPhotos,split: test", "lic.data.cifar10,_partial_: true,split: test"
    mixed = f"[test,{{_target_: {parts[0]}}},{{_target_: {parts[1]}}}]"
    (photos / "cifar10").mkdir()
    (photos / "cifar10" / "test_batch.bin").write_bytes(bytes(2 * 3073))
    data = composed("folder", f"data.root={photos}", f"data.test={mixed}")
    assert len(data.test_set) == 4 + 4 + 2 and data.test_name == "test+builtin+folder"
    assert data.test_set[9].shape == (32, 32, 3)


def test_downloads_for_every_part_of_a_union(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("lic.data.splits.fetch", lambda name, root: asked.append(name))
    data = composed("div2k", "data.train=[div2k/a,coco/b,own]", "data.download=true", f"data.root={tmp_path}")
    with pytest.raises(UserError, match="does not exist"):
        data.setup("fit")
    assert asked == ["div2k", "coco", "div2k"]


def test_a_limit_of_training_images(photos: Path) -> None:
    def data(**options: Any) -> ImageData:
        return ImageData(train=str(photos / "train"), test=str(photos / "train"), patch_size=16, **options)

    limited = data(train_limit=2)
    assert len(cast(CachedImages, limited._patch_source())) == 2 and len(limited.test_set) == 7
    seen = {patch.tobytes() for patch in torch.cat(take(limited, 3)).numpy()}
    images = ImageFolder(photos / "train")
    chosen = sample(images, 2).names
    for i, name in enumerate(images.names):
        image = torch.from_numpy(images[i]).permute(2, 0, 1)
        windows = image.unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        crops = {crop.numpy().tobytes() for crop in torch.cat([windows, windows.flip(-1)])}
        assert bool(crops & seen) == (name in chosen)
    assert same(take(data(train_limit=7), 2), take(data(), 2)), "no more than there are changes nothing"


@pytest.mark.parametrize(
    "option", ["vertical_flips=true", "rotations=true", "horizontal_flips=false", "train_limit=3"]
)
def test_a_source_of_patches_refuses_what_it_would_ignore(option: str) -> None:
    sentence = (
        f"data.train is a DeadLeaves, which makes its own patches; leave out data.{option.partition('=')[0]}"
    )
    with pytest.raises(UserError, match=sentence):
        composed("builtin", f"data.{option}").prepare_data()
    with pytest.raises(UserError, match=r"data\.train is a Union, which has neither files nor patches"):
        ImageData(train=[DeadLeaves(), BuiltinPhotos("valid")]).prepare_data()

    class PatchesAlone:
        patches = DeadLeaves().patches

    with pytest.raises(UserError, match=r"data\.train is a PatchesAlone, which lacks"):
        ImageData(train=cast(Any, [PatchesAlone(), BuiltinPhotos("valid")])).prepare_data()
    ImageData(train=cast(Any, PatchesAlone()), patch_size=16).prepare_data()


def test_turned_patches_are_those_of_the_options(photos: Path) -> None:
    options: dict[str, Any] = {"horizontal_flips": False, "vertical_flips": True, "rotations": True}
    source = CachedImages(ImageFolder(photos / "train"), 16, **options)
    data = ImageData(train=str(photos / "train"), patch_size=16, seed=7, **options)
    assert np.array_equal(take(data, 3)[2].numpy(), source.patches((7, 2), range(8), 16))


def test_missing_sets_name_the_choices_that_have_one() -> None:
    data = ImageData(name="kodak", root=".", test="kodak")
    with pytest.raises(UserError, match=r"data=kodak has no train images.*data=builtin, folder, clic"):
        data.train_dataloader()
    with pytest.raises(UserError, match="data=kodak has no valid images"):
        data.val_dataloader()
    with pytest.raises(UserError, match=r"data=folder has no test images.*kodak"):
        _ = ImageData(train=DeadLeaves()).test_set


def test_folders_are_relative_to_the_root_and_that_to_the_start(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    data = ImageData(root="photos", train="train", valid=str(photos / "valid"), test="test", patch_size=16)
    data.prepare_data()
    data.setup("fit")
    assert len(data.val_dataloader()) == 1 and len(data.test_set) == 4
    assert list((photos.parent / "cache").glob("*.rgb"))


def test_a_bare_root_is_split(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        data = ImageData(root=str(photos), patch_size=16)
        data.setup("fit")
    assert "split into 10 training, 1 validation, 1 test images" in caplog.text
    assert len(data.val_dataloader()) == len(data.test_set) == 1
    assert data.test_set.names == ImageData(root=str(photos)).test_set.names
    assert take(data, 1)[0].shape == (8, 3, 16, 16)


@pytest.mark.parametrize(
    ("root", "test", "name"),
    [
        ("photos", "valid", "valid"),
        ("photos", "a/../valid", "valid"),
        ("photos/train", "..", "photos"),
        ("photos/train", "../valid", "valid"),
    ],
)
def test_a_test_set_is_called_as_its_folder(photos: Path, root: str, test: str, name: str) -> None:
    """Also where another folder than the root's own is meant."""
    for folder in ("photos/a", "photos/train", "photos/valid", "valid"):
        (photos.parent / folder).mkdir(exist_ok=True)
        write_png(photos.parent / folder / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert ImageData(root=str(photos.parent / root), train=DeadLeaves(), test=test).test_name == name
    assert ImageData(train=DeadLeaves(), test=f"{photos}/train/../{test}").test_name not in ("..", "")


def test_bad_folders_are_found_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("text")
    for root, message in (
        ("empty", "holds no image"),
        ("notes", "holds no image"),
        ("none", "is not a folder"),
    ):
        with pytest.raises(UserError, match=message):
            ImageData(root=str(tmp_path / root)).setup("fit")
    with pytest.raises(UserError, match="is not a folder"):
        ImageData(root=str(tmp_path), train=DeadLeaves(), test="none").setup("fit")


def test_printing_does_not_walk_through_the_batches() -> None:
    assert str(ImageData(train=DeadLeaves())) == "ImageData(folder)"


def composed(choice: str, *overrides: str) -> ImageData:
    with initialize_config_dir(str(CONF.parent), version_base="1.3"):
        config = compose(overrides=[f"+data={choice}", "+seed=5", *overrides])
    return cast(ImageData, instantiate(config.data))


@pytest.mark.parametrize("choice", SETS)
def test_every_set_composes_and_says_what_it_lacks(choice: str, tmp_path: Path) -> None:
    data = composed(choice, "data.batch_size=2", "data.patch_size=32", "data.num_workers=0")
    assert isinstance(data, ImageData) and (data.batch_size, data.patch_size) == (2, 32)
    assert str(data) == f"ImageData({choice})"
    if choice == "builtin":
        data.prepare_data()
        assert take(data, 1)[0].shape == (2, 3, 32, 32)
        assert data.test_set.names == BuiltinPhotos("test").names
        return
    with pytest.raises(UserError, match=f"data={choice} needs a folder; give data.root=FOLDER .* LIC_DATA"):
        data.setup("fit")
    with pytest.raises(UserError, match=r"does not exist|is not a folder|holds no image"):
        composed(choice, f"data.root={tmp_path}").setup("fit")


@pytest.mark.parametrize("choice", SETS)
def test_the_choices_in_messages_are_those_of_the_configs(choice: str) -> None:
    data = composed(choice)
    for split in SPLITS:
        has = choice == "folder" or bool(data._splits.sources[split])
        assert (choice in CHOICES[split]) == has


def test_environment_gives_the_root_and_other_test_sets_can_be_named(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIC_DATA", str(photos))
    assert isinstance(composed("folder", "data.test=test").test_set, ImageFolder)
    assert composed("div2k").test_set.names == BuiltinPhotos("test").names
    assert len(composed("div2k", "data.test=test").test_set) == 4


def test_downloads_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checksum"):
        composed("flickr2k", "data.download=true", f"data.root={tmp_path}").setup("fit")
    with pytest.raises(UserError, match="data=folder is not downloaded"):
        composed("folder", "data.download=true", f"data.root={tmp_path}").setup("fit")


def test_splits_of_real_photos(photo_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root, relative to the folder of the command, holds a folder for each split."""
    train, valid, kodak = (photo_folder(name) for name in ("train", "valid", "kodak"))
    monkeypatch.chdir(train.parent.parent)
    root = train.parent.name
    data = composed("folder", f"data.root={root}", "data.train=train", "data.valid=valid", "data.test=kodak")
    data.setup("fit")
    assert len(data.val_dataloader()) == len(list(valid.iterdir()))
    assert data.test_set.names == tuple(sorted(file.stem for file in kodak.iterdir()))


@pytest.mark.parametrize("many", [200, 0])
def test_images_that_are_needed_later_are_looked_at_before(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Also where there are so many that only their headers are."""
    monkeypatch.setattr("lic.data.checks._MANY", many)
    data = ImageData(train=DeadLeaves(), valid=str(photos / "valid"), test=str(photos / "valid"))
    data.look_through()
    with pytest.raises(UserError, match=r"of data.valid, has \d+x\d+ pixels and needs 161 a side for tests;"):
        data.look_through(161, "for tests")
    with pytest.raises(UserError, match=r"a side for this training; leave it out, or give other images\.$"):
        data.look_through(161)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"no image")
    for valid, test in ((bad, photos / "valid"), (photos / "valid", bad)):
        with pytest.raises(UserError, match=r"a.png is not an image"):
            ImageData(train=DeadLeaves(), valid=str(valid), test=str(test)).look_through()
