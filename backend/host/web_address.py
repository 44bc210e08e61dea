"""Where the web process listens: loopback only until sign-in exists, and on a port that is free."""

import http.client
import ipaddress
import socket
from http import HTTPStatus

from backend.host.errors import HostError
from backend.i18n import _

PROBE_SECONDS = 3.0


def require_loopback(host: str) -> None:
    """Raises HostError for an address that other machines could reach."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise HostError(_("Redrive has no sign-in yet, so it answers on this machine only; {host} would let others in. "
                          "Set REDRIVE_HOST to 127.0.0.1.").format(host=host or _("every address")))


def require_free_port(host: str, port: int) -> None:
    """Raises HostError when something listens there already."""
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left is free
            probe.bind(address)
    except OSError as exc:
        raise HostError(_("Port {port} of {host} cannot be used: {reason}. Set REDRIVE_PORT to another one, "
                          "e.g. REDRIVE_PORT={other} make run").format(
                              port=port, host=host, reason=(exc.strerror or str(exc)).lower(),
                              other=port + 1 if port < 65535 else port - 1)) from exc


def address(host: str, port: int) -> str:
    bare = host.strip("[]")
    return f"http://[{bare}]:{port}" if ":" in bare else f"http://{bare}:{port}"


def is_healthy(host: str, port: int) -> bool:
    """Does the web process answer /healthz with 200?"""
    connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
