"""What may be wrong with the host. Commands print str() as it is and exit with 2."""


class HostError(RuntimeError):
    """Something on this machine or at a given address is not as needed; str() is one line with the next step."""
