"""How a run says that it can't begin, or that it had to stop."""

import errno

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)

BEGIN_ANEW = "force=True without resume=True begins anew"


class Refused(ValueError):
    """Nothing was computed: a result or an unfinished run is in the way, or what is to be resumed is something else."""


class InvalidHistogram(ValueError):
    """A row is no histogram; the message says which, in which file, and why."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the message says what is kept."""


def is_full(error: OSError) -> bool:
    """True if a disk, or what may be written on it, is full."""
    return error.errno in _FULL
