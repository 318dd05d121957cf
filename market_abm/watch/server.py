"""Serve the page, a market a tab: on loopback, unless told otherwise.

All that a page needs comes from here, and a policy in its head lets it ask nobody else.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from market_abm.errors import MarketError

if TYPE_CHECKING:
    from bokeh.document import Document
    from bokeh.server.server import BaseServer

LOOPBACK = "127.0.0.1"


MAX_MESSAGE_BYTES = 1_000_000
"""Bytes that a browser may send at once."""


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach ``address``."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def server(
    where: str, settings: Mapping[str, Any], *, address: str = LOOPBACK, port: int = 0
) -> tuple[BaseServer, str]:
    """A server, not yet started, of pages for the experiment ``where``; and its URL.

    With ``port`` 0 it takes any that is free. Only pages that it served itself may connect to it.

    Raises:
        MarketError: Bokeh is not installed, or the address or the port cannot be had.
    """
    try:
        from bokeh.application import Application
        from bokeh.application.handlers.function import FunctionHandler
        from bokeh.resources import Resources
        from bokeh.server.server import BaseServer
        from bokeh.server.tornado import BokehTornado
        from bokeh.server.util import bind_sockets
        from bokeh.server.views.static_handler import StaticHandler
    except ImportError:
        raise MarketError(
            "Bokeh, which serves the page, is not installed",
            remedy="pip install 'market-abm[web]'",
        ) from None
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.iostream import IOStream

    from market_abm.watch.page import Page

    class Offline(BokehTornado):
        """Scripts come from this server, and say nothing on a browser's console."""

        def resources(self, absolute_url: str | bool | None = None) -> Resources:
            return Resources(
                mode="server",
                root_url="/",
                components=["bokeh", "bokeh-widgets"],
                log_level="fatal",
                path_versioner=StaticHandler.append_version,
            )

    class Prompt(HTTPServer):
        """Sends each message at once: a browser answers it before it gets the next but one."""

        def handle_stream(self, stream: IOStream, address: Any) -> None:
            stream.set_nodelay(True)
            super().handle_stream(stream, address)

    def open_page(document: Document) -> None:
        Page(document, where, settings)

    logging.getLogger("bokeh").setLevel(logging.ERROR)
    try:
        sockets, port = bind_sockets(address, port)
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "there is no such address or port"
        raise MarketError(
            f"cannot listen on {address}, port {port} ({why})",
            remedy="choose another with --port; 0 takes any that is free",
        ) from None
    tornado = Offline(
        {"/": Application(FunctionHandler(open_page))},
        extra_websocket_origins=[_origin(name, port) for name in _names(address)],
        websocket_max_message_size_bytes=MAX_MESSAGE_BYTES,
    )
    http = Prompt(tornado)
    http.add_sockets(sockets)
    url = f"http://{_origin(_names(address)[0], port)}/"
    return BaseServer(IOLoop.current(), tornado, http), url


def _names(address: str) -> list[str]:
    """By what names a browser may call a server that listens on ``address``."""
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
