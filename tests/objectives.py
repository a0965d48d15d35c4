"""What tests train for."""

from lic.store.objective import Objective


def rd(lmbda: float, distortion: str = "mse") -> Objective:
    """J = λ·D + R."""
    return Objective.rate_distortion(lmbda, distortion)
