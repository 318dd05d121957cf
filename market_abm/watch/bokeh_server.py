"""The Bokeh server of the page; imported only if Bokeh is installed."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.resources import Resources
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.views.static_handler import StaticHandler
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream

from market_abm.watch.page import Page

MAX_MESSAGE_BYTES = 1_000_000
"""Bytes of one message from a browser."""


class _OfflineTornado(BokehTornado):
    """Serves all scripts itself, and logs nothing to the console of a browser."""

    def resources(self, absolute_url: str | bool | None = None) -> Resources:
        return Resources(
            mode="server",
            root_url="/",
            components=["bokeh", "bokeh-widgets"],
            log_level="fatal",
            path_versioner=StaticHandler.append_version,
        )


class _PromptServer(HTTPServer):
    """Sends each message without delay: the browser answers before it gets the next but one."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        stream.set_nodelay(True)
        super().handle_stream(stream, address)


def page_server(
    where: str,
    settings: Mapping[str, Any],
    sockets: Sequence[socket.socket],
    origins: Sequence[str],
) -> BaseServer:
    """A server of pages on open sockets, not yet started.

    Parameters
    ----------
    where
        A file, or the name of an available experiment.
    settings
        Overrides by dotted key.
    sockets
        The sockets to listen on.
    origins
        The hosts with ports whose pages may connect.
    """

    def open_page(document: Document) -> None:
        Page(document, where, settings)

    logging.getLogger("bokeh").setLevel(logging.ERROR)
    tornado = _OfflineTornado(
        {"/": Application(FunctionHandler(open_page))},
        extra_websocket_origins=list(origins),
        websocket_max_message_size_bytes=MAX_MESSAGE_BYTES,
    )
    http = _PromptServer(tornado)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), tornado, http)
