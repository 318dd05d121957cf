"""The server of the page: on loopback by default, with a market for each tab.

All that a page loads is from this server; its content security policy forbids any other source.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from market_abm.errors import MarketError, installing

if TYPE_CHECKING:
    from bokeh.server.server import BaseServer

LOOPBACK = "127.0.0.1"


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach ``address``."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def may_connect(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Whether a page may connect: only one that the server itself has served.

    Parameters
    ----------
    origin
        Where the browser says that the page is from, such as ``http://127.0.0.1:5006``.
    host
        The host and port to which it connects, as the browser names them. A page of this machine
        must be from there too: then a tunnel may end at any port, and pages of other ports may not
        connect.
    allowed
        Hosts and ports, in small letters, whose pages may connect.
    """
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    place = parts.netloc.lower()
    return place in allowed or (place == host.lower() and is_loopback(name))


def server(
    where: str,
    settings: Mapping[str, Any],
    *,
    address: str = LOOPBACK,
    port: int = 0,
    more_origins: Iterable[str] = (),
) -> tuple[BaseServer, str]:
    """A server of pages, not yet started.

    Only pages that it served itself may connect to it; see :func:`may_connect`.

    Parameters
    ----------
    where
        A file, or the name of an available experiment.
    settings
        Overrides by dotted key.
    address
        The address to listen on.
    port
        The port; 0 takes any free one.
    more_origins
        Other hosts, with their ports, by which browsers reach it: behind a proxy.

    Returns
    -------
    BaseServer
        The server.
    str
        The URL of the page.

    Raises
    ------
    MarketError
        Bokeh is not installed, or the address or port is not available.
    """
    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise MarketError(
            "Bokeh, which serves the page, is not installed",
            remedy=installing("bokeh>=3.6,<4"),
        ) from None
    from bokeh.server.util import bind_sockets

    from market_abm.watch.bokeh_server import page_server

    try:
        sockets, port = bind_sockets(address, port)
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "there is no such address or port"
        raise MarketError(
            f"cannot listen on {address}, port {port} ({why})",
            remedy="choose another with --port; 0 takes any that is free",
        ) from None
    origins = [_origin(name, port) for name in _names(address)]
    others = [each.rpartition("//")[2].rstrip("/") for each in more_origins]
    allowed = frozenset(each.lower() for each in (*origins, *others))
    connects = partial(may_connect, allowed=allowed)
    return page_server(where, settings, sockets, connects), f"http://{origins[0]}/"


def _names(address: str) -> list[str]:
    """The host names with which a browser may reach a server that listens on ``address``."""
    if is_loopback(address):
        return [address, *({LOOPBACK, "localhost"} - {address})]
    try:
        everywhere = ip_address(address).is_unspecified
    except ValueError:
        everywhere = False
    if not everywhere:
        return [address]
    own = socket.gethostname()
    with_numbers = {entry[4][0] for entry in socket.getaddrinfo(own, None)}
    return [own, LOOPBACK, "localhost", *(str(each) for each in with_numbers)]


def _origin(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
