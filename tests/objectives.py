"""What tests train for."""

from lic.store.objective import Objective


def rd(lmbda: float, distortion: str = "mse") -> Objective:
    """The objective of `lic.training.rate_distortion.RateDistortion`."""
    return Objective({"lambda": float(lmbda), "distortion": distortion}, f"λ = {lmbda:g}", distortion)
