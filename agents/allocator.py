"""How glibc gives memory back: not after every chunk.

By default glibc returns a freed mebibyte to the kernel at once, and the next chunk pays for
fresh pages again: half of what a stream costs. Both thresholds are set together, since one
alone turns off the dynamic one and makes it worse.

Owns: `keep_freed_memory`. Free of torch and of grpc.
"""

import ctypes
from typing import Final

_SETTINGS: Final = (
    (-3, 32 << 20),  # M_MMAP_THRESHOLD, the most that is accepted
    (-1, 256 << 20),  # M_TRIM_THRESHOLD
    (-2, 16 << 20),  # M_TOP_PAD
    (-8, 2),  # M_ARENA_MAX
)


def keep_freed_memory() -> bool:
    """Tells glibc to keep what is freed, up to 256 MiB an arena; before the first large allocation.

    Returns:
        Whether it was told: elsewhere than on Linux with glibc nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(option, value) for option, value in _SETTINGS])
