"""What trainings of a network that enlarges images share: its data, and its validation."""

from pathlib import Path

from torch import Tensor

from lic.data import ImageSet, to_float, to_uint8
from lic.data.module import ImageData
from lic.errors import UserError
from lic.evaluation.result import Result
from lic.evaluation.super_resolution import Enlargement, evaluate_enlarging
from lic.layers.upsample import Bicubic
from lic.metrics.quality import psnr
from lic.models.base import Network
from lic.models.srgan import FACTOR, SRResNet, shrunk, whole_blocks
from lic.store.load import load_network
from lic.training.base import Training


class Enlarging(Training):
    """Crops and validation images are made smaller; the network makes the large ones of these again.

    In validation, whole images are cut to a multiple of `FACTOR`. Logged are the MSE of the enlargement on
    pixels of 0…1, its PSNR in 8 bits, and the PSNR of bicubic interpolation beside it.
    """

    is_codec = False
    net: SRResNet

    @staticmethod
    def check_net(net: Network, name: str) -> None:
        """Refuse other networks than `SRResNet`; ``name`` is of the training."""
        if not isinstance(net, SRResNet):
            raise UserError(f"training={name} is of model=srgan; choose another training=.")

    def check_data(self, data: ImageData) -> None:
        """See `Training.check_data`: patches are made smaller by a whole factor."""
        if data.patch_size % FACTOR:
            raise UserError(
                f"Patches are made {FACTOR} times smaller, and data.patch_size={data.patch_size} is no "
                f"multiple of that; give data.patch_size={max(FACTOR, data.patch_size // FACTOR * FACTOR)}."
            )
        data.look_through(FACTOR, f"to be made {FACTOR} times smaller", FACTOR)

    def evaluate(self, run: Path, images: ImageSet, data: str) -> dict[str, Result | Enlargement]:
        """See `Training.evaluate`."""
        return {"test": evaluate_enlarging(load_network(run), images, run, data)}

    def enlarged(self, x: Tensor) -> Tensor:
        """What the network makes of the small images of x [N, 3, H, W], in float32 and of the same size."""
        x_hat: Tensor = self.net(shrunk(x))
        return x_hat.float()

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Enlarge one whole image, uint8 [1, 3, H, W], from its small one."""
        image = whole_blocks(batch)
        x = to_float(image)
        by_bicubic = Bicubic(3, FACTOR)(shrunk(x))
        x_hat = self.enlarged(x)
        self.log("val/mse", (x_hat - x).square().mean(), batch_size=1)
        self.log("val/psnr", psnr(to_uint8(x_hat), image), prog_bar=True, batch_size=1)
        self.log("val/psnr_bicubic", psnr(to_uint8(by_bicubic), image), prog_bar=True, batch_size=1)
