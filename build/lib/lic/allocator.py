"""Keeps glibc from giving large tensors back to the kernel after every operation.

glibc serves blocks over 32 MiB by mmap, whatever its settings say, unless mmap is turned off: each large
activation is mapped, page-faulted and unmapped in every layer of every step. Serving them from the heap
makes training on the CPU about 1.6 times faster for about a quarter more peak memory. No value changes.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def tune() -> bool:
    """Set glibc's allocator for this process; False where there is no glibc to set."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 << 20))
    return all(mallopt(option, value) == 1 for option, value in settings)
