"""The Bokeh server of the page; imported only if Bokeh is installed."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.resources import Resources
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.views.static_handler import StaticHandler
from bokeh.server.views.ws import WSHandler
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.web import HTTPError

from market_abm.views.words.page import page_refused
from market_abm.watch.log import log_in_lines
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


class _Socket(WSHandler):
    """The connection of a page, refused to pages that may not connect."""

    def initialize(self, connects: Callable[[str, str], bool], **more: Any) -> None:
        super().initialize(**more)
        self._connects = connects

    async def prepare(self) -> None:
        """Refuse a page here: versions of Tornado differ in when they call ``check_origin``."""
        origin = self.request.headers.get("Origin")
        if origin is not None and not self._connects(origin, self.request.host):
            logging.getLogger(__name__).error(page_refused(origin))
            raise HTTPError(403)
        await super().prepare()

    def check_origin(self, origin: str) -> bool:
        return self._connects(origin, self.request.host)


def page_server(
    where: str,
    settings: Mapping[str, Any],
    sockets: Sequence[socket.socket],
    connects: Callable[[str, str], bool],
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
    connects
        Whether a page of an origin may connect to a host.
    """

    def open_page(document: Document) -> None:
        Page(document, where, settings)

    log_in_lines()
    tornado = _OfflineTornado(
        {"/": Application(FunctionHandler(open_page))},
        websocket_max_message_size_bytes=MAX_MESSAGE_BYTES,
    )
    application = {"application_context": tornado.applications["/"], "bokeh_websocket_path": "/ws"}
    tornado.add_handlers(".*", [("/ws", _Socket, {**application, "connects": connects})])
    http = _PromptServer(tornado)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), tornado, http)
