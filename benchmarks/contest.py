"""What the suites for asv have in common: cases and contestants of `fastkl.bench`, compiled before the clock runs."""

from fastkl.bench.peers import FASTKL, SCIPY, Unsuitable, same

LIBRARIES = {"fastkl": FASTKL, "scipy": SCIPY.on("all of it", same)}


def contestant_of(job, name):
    """Of a job: "scipy", the first that is SciPy's; "reference", if that is another library; or a peer by its name.

    Slow ones do a part of a job elsewhere; here all do the whole, so that their times can be compared.
    """
    if name == "scipy":
        found = [peer for peer in job.peers if peer.package == "scipy"]
    elif name == "reference":
        found = [peer for peer in job.peers if peer.name == job.reference and peer.package not in ("fastkl", "scipy")]
    else:
        found = [peer for peer in job.peers if peer.name == name]
    if not found:
        raise NotImplementedError(f"{job.name} has no {name}")  # how asv spells a skip
    return found[0].on("all of it", same)


class _Contest:
    """A call is bound and run once in ``setup``, then timed, and its process' peak of memory taken.

    asv calls a function once to see how long it takes before it times it, but that call may be one that is timed, so
    nothing is left for it to compile. The name begins with an underscore: asv runs what it finds.
    """

    # Samples at least and at most, and seconds: each is one call, however short, for there is a setup.
    repeat = (2, 50, 5.0)
    call = None

    def enter(self, peer, make):
        """Make the case, bind the call and compile; what can't be done, or is not installed, asv shows as n/a.

        asv comes back to ``setup`` before each call, with the parameters that this instance had before: then all that
        is there already.
        """
        if self.call is not None:
            return
        try:
            call = peer.bind(peer.change(make()))
            call()
        except (ImportError, Unsuitable) as reason:
            raise NotImplementedError(reason) from None
        self.call = call

    def time_call(self, *params):
        """Time one call."""
        self.call()

    def peakmem_call(self, *params):
        """Peak memory of the process: data, compiler and call."""
        self.call()
