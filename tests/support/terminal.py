"""Commands in a terminal that nobody sees."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from support.commands import COMMAND

pty = pytest.importorskip("pty")


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class Terminal:
    """A command that believes it is in a terminal of 100 by 30, and what it has shown so far."""

    def __init__(self, *arguments, cwd):
        self.reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        fixed = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            env={**environment, **fixed},
        )
        os.close(writer)
        self.shown = b""

    def read(self, until=None):
        """Read until this has been shown, or to the end of the command; but not for ever."""
        end = time.monotonic() + 60
        while until is None or until not in self.shown:
            if not select.select([self.reader], [], [], max(0, end - time.monotonic()))[0]:
                self.process.kill()
                pytest.fail(f"no end after a minute: {self.shown[-2000:]!r}")
            try:
                chunk = os.read(self.reader, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                chunk = b""
            if not chunk:
                os.close(self.reader)
                self.process.wait(timeout=30)
                break
            self.shown += chunk
        return self.shown.decode("utf-8", errors="ignore")
