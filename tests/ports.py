"""Ports for the servers of tests."""

import secrets
import socket
from contextlib import suppress

FIRST = 20_000
GIVEN_AWAY_FROM = 32_768  # the first port that Linux gives away by itself (ip_local_port_range); other systems begin above


def free_port() -> int:
    """One that no server of another test is given by chance before it is taken."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port := FIRST + secrets.randbelow(GIVEN_AWAY_FROM - FIRST)))
            return port
