"""What surrounds CompressAI's entropy models."""

from lic.entropy.models import (
    EntropyBottleneck,
    GaussianConditional,
    is_quantile,
    load_tables,
    quantile_loss,
    tables,
    total_bits,
    update_tables,
)

__all__ = [
    "EntropyBottleneck",
    "GaussianConditional",
    "is_quantile",
    "load_tables",
    "quantile_loss",
    "tables",
    "total_bits",
    "update_tables",
]
