from streamswarm_agent.faults import ProbeFault


class RefusedRequest(Exception):  # noqa: N818 - a word of the device's, that the caller may ask otherwise upon
    """The device doesn't answer this request; another it may.

    Attributes:
        fault: as a run would report it.
        unimplemented: whether the device knows nothing of the kind, rather than has something against this one.
    """

    def __init__(self, fault: ProbeFault, *, unimplemented: bool) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.unimplemented = unimplemented
