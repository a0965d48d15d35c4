"""CompressAI's entropy models, and the integer arithmetic and coder around them."""

from lic.entropy.context import NEIGHBOURS, ORDERS, CausalConv, Order, Scan, raster, wavefronts
from lic.entropy.integer import IntegerNetwork
from lic.entropy.models import (
    EntropyBottleneck,
    GaussianConditional,
    bands,
    is_quantile,
    quantile_loss,
    total_bits,
)
from lic.entropy.noise import add_noise, own_noise
from lic.entropy.tables import TableError, load_tables, tables, update_tables

__all__ = [
    "NEIGHBOURS",
    "ORDERS",
    "CausalConv",
    "EntropyBottleneck",
    "GaussianConditional",
    "IntegerNetwork",
    "Order",
    "Scan",
    "TableError",
    "add_noise",
    "bands",
    "is_quantile",
    "load_tables",
    "own_noise",
    "quantile_loss",
    "raster",
    "tables",
    "total_bits",
    "update_tables",
    "wavefronts",
]
