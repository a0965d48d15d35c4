"""L = MSE(x, x_hat) + α·MAE(I_in, I_out) + λ·var(compact): equation 2 of Deshmukh and Pollett, with α and λ.

The only place that fixes its scales: means over the pixels of an image, with pixels on 0…1. As printed, the
first term is the square of a sum of differences, which the text calls a mean squared error. "I_out" has two
readings, the choices of `COMPARED`. The terms have no weights, and the first grows with the square
of the pixels' scale: alike on pixels of 0…255, they have α = 1/255 on 0…1. With α = 1, a residual costs some
twenty times what it gains and becomes zero. The variance is the introduction's "very low variance in pixel
values" of the compact image, for which equation 2 has no term: λ weighs it, and so the rate. Without λ it is
left out.
"""

from torch import Tensor

from lic.losses.rate_distortion import is_usual

LAMBDA_RANGE = (1e-4, 1e-1)
COMPARED = ("final", "residual")
"""What I_out is: the final image ("we do not want this image to be substantially different from the final
output"), or word for word "the output image after the fifth block … before they are added", the residual."""


def terms(x: Tensor, x_hat: Tensor, enlarged: Tensor, compact: Tensor, compared: str) -> dict[str, Tensor]:
    """The three terms of each image [N], without their weights, by their names in the logs.

    Args:
        x: the images, [N, C, H, W] in 0…1.
        x_hat: the final images.
        enlarged: I_in, what the up-sampler makes of the compact images.
        compact: [N, C, h, w].
        compared: with I_in, one of `COMPARED`.
    """
    residual = x_hat - enlarged
    shift = residual if compared == "final" else enlarged - residual
    return {
        "distortion": (x_hat - x).square().flatten(1).mean(1),
        "shift": shift.abs().flatten(1).mean(1),
        "variance": compact.flatten(1).var(1, correction=0),
    }


def lambda_warning(lmbda: float) -> str | None:
    """A sentence if λ lies more than tenfold outside its usual range, else None."""
    if is_usual(lmbda, LAMBDA_RANGE):
        return None
    low, high = LAMBDA_RANGE
    return (
        f"lambda={lmbda:g} is far outside the usual range of this training ({low:g} to {high:g}), where it "
        "weighs the variance of the compact image: larger ones make it smoother. lambda=null leaves it out."
    )
