"""What the suites for asv have in common: cases and contestants of `fastkl.bench`, compiled before the clock runs."""

from fastkl.bench.peers import FASTKL, SCIPY, Unsuitable, same

# SciPy does all of the job here: its times are those of the same rows.
LIBRARIES = {"fastkl": FASTKL, "scipy": SCIPY.on("all of it", same)}


class Contest:
    """A call is bound and run once in ``setup``, then timed, and its process' peak of memory taken.

    asv calls a function once to see how long it takes before it times it, but that call may be one that is timed, so
    nothing is left for it to compile. Import this under a name that begins with an underscore: asv runs what it finds.
    """

    def enter(self, peer, case):
        """Bind the call and compile; what a library can't do, or that it is not installed, asv shows as n/a."""
        try:
            self.call = peer.bind(peer.change(case))
            self.call()
        except (ImportError, Unsuitable) as reason:
            raise NotImplementedError(reason) from None  # how asv spells a skip

    def time_call(self, *params):
        """Time one call."""
        self.call()

    def peakmem_call(self, *params):
        """Peak memory of the process: data, compiler and call."""
        self.call()
