"""What the system is told of the parts of files that will be used or are done with; it may listen or not."""

import os
from typing import BinaryIO


def advise(file: BinaryIO, start: int, size: int, advice: str) -> bool:
    """Give the advice ("WILLNEED", "DONTNEED") for so many bytes from ``start`` on; False where none is taken."""
    if not hasattr(os, "posix_fadvise"):  # on macOS and Windows
        return False
    try:
        os.posix_fadvise(file.fileno(), start, size, getattr(os, f"POSIX_FADV_{advice}"))
    except OSError:
        return False
    return True
