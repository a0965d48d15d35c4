"""The published image sets: where they come from, and where they lie below ``data.root``.

Checksums of the archives are those that TensorFlow Datasets publishes. Those of Kodak are of the files at
r0k.us; concatenated, they have the SHA-1 that NeuralCompression publishes (076e2a5f…266bc5).
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lic.data.download import download, unpack
from lic.errors import UserError
from lic.locking import in_turn


@dataclass(frozen=True)
class Published:
    """One file of a set; ``target`` is relative to the root.

    An archive is unpacked into the folder ``target``; another file becomes ``target``. Without a published
    checksum it has to be fetched by hand.
    """

    url: str
    target: str
    sha256: str | None


def fetch(name: str, root: Path) -> None:
    """Download and unpack what is missing of the set ``name`` below ``root``, one process at a time.

    Raises:
        UserError: The set has no public address or no published checksum (the sentence says where to get it
            and where to put it), a download fails, or the root cannot be written.
    """
    if name not in PUBLISHED:
        raise UserError(
            f"data={name} is not downloaded; of the sets, {', '.join(PUBLISHED)} have public addresses."
        )
    if all((root / part.target).exists() for part in PUBLISHED[name]):
        return
    try:
        with in_turn(root / ".download.lock", "downloads to the same folder"):
            for part in PUBLISHED[name]:
                if not (root / part.target).exists():
                    _fetch(name, part, root / part.target)
    except OSError as error:
        raise UserError(f"{root} cannot be written ({error}); give another data.root.") from error


def _fetch(name: str, part: Published, target: Path) -> None:
    if part.sha256 is None:
        raise UserError(
            f"data={name} is not downloaded, because no checksum of it is published; "
            f"fetch {part.url} and unpack it so that {target} holds the images."
        )
    remote = PurePosixPath(part.url)
    if remote.suffix in {".zip", ".gz", ".tar"}:
        archive = target.parent / remote.name
        download(part.url, part.sha256, archive)
        unpack(archive, target)
        archive.unlink()
    else:
        download(part.url, part.sha256, target)


_ETH = "https://data.vision.ee.ethz.ch/cvl"
_COCO = "http://images.cocodataset.org/zips"
_KODAK = (
    "a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd",
    "4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd",
    "e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db",
    "e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa",
    "10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53",
    "363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18",
    "b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4",
    "ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7",
    "6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d",
    "9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23",
    "7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6",
    "d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980",
    "bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08",
    "55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e",
    "7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683",
    "a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54",
    "37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b",
    "1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa",
    "b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc",
    "3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a",
    "ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b",
    "1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29",
    "e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf",
    "1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96",
)

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "kodak": tuple(
        Published(f"http://r0k.us/graphics/kodak/kodak/kodim{n:02d}.png", f"kodak/kodim{n:02d}.png", sha256)
        for n, sha256 in enumerate(_KODAK, 1)
    ),
    "clic": (
        Published(
            f"{_ETH}/clic/professional_train_2020.zip",
            "clic/train",
            "54a2a684b5cbd0db91770a8695efb774fed1f612194fee68bceaf6b1c48e5d5f",
        ),
        Published(
            f"{_ETH}/clic/professional_valid_2020.zip",
            "clic/valid",
            "00be38092ade2ab5163b65f7f6523d46c7bca147007f559adbb02c0afc236b7d",
        ),
        Published(
            f"{_ETH}/clic/test/CLIC2020Professional_test.zip",
            "clic/test",
            "857df244fc2bfa5da28d4c66bf0db16ee99bfc79eb807be8afa89cd507852884",
        ),
    ),
    "div2k": (
        Published(
            f"{_ETH}/DIV2K/DIV2K_train_HR.zip",
            "div2k/DIV2K_train_HR",
            "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
        ),
        Published(
            f"{_ETH}/DIV2K/DIV2K_valid_HR.zip",
            "div2k/DIV2K_valid_HR",
            "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
        ),
    ),
    "flickr2k": (Published("https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar", "flickr2k/Flickr2K_HR", None),),
    "coco": (
        Published(
            f"{_COCO}/train2017.zip",
            "coco/train2017",
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
        Published(
            f"{_COCO}/val2017.zip",
            "coco/val2017",
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
    ),
    "stl10": (
        Published(
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            "stl10",
            "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        ),
    ),
    "cifar10": (
        Published(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "cifar10",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
}
