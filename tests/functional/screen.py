# SPDX-License-Identifier: GPL-2.0-or-later
"""A program on a terminal of its own, and what its screen shows."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading

import pyte

from net import PATIENCE, until


class Screen:
    """A process whose standard input, output and error are a terminal."""

    def __init__(self, command, columns=80, lines=24, **environment):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.lock = threading.Lock()
        self.raw = b""
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],  # it gets a signal when the size changes
            stdin=slave,
            stdout=slave,
            stderr=slave,
            # pyte does not know all of what xterm has.
            env=os.environ | {"TERM": "linux", **environment},
        )
        self.slave = slave
        self.ended = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def resize(self, columns, lines):
        with self.lock:
            self.screen.resize(lines, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self):
        while not self.ended.is_set():
            if not select.select([self.master], [], [], 0.1)[0]:
                continue
            with self.lock:
                text = os.read(self.master, 1 << 16)
                self.raw += text
                self.stream.feed(text)

    def text(self):
        with self.lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, keys):
        os.write(self.master, keys)

    def await_text(self, *texts):
        """Wait until all of the texts are on the screen at once; return what it shows."""

        def found():
            self.shown = self.text()
            return all(text in self.shown for text in texts)

        try:
            until(found, f"{texts} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.text()}") from None
        return self.shown

    def wait(self):
        return self.process.wait(PATIENCE)

    def await_restored(self):
        """
        Wait until the terminal's modes are those of the beginning, and the cursor is shown. What a
        process has written last arrives some time after its end.
        """
        until(self.is_restored, "the terminal to be restored")

    def is_restored(self):
        with self.lock:
            shows_cursor = b"\x1b[?25h" in self.raw[-100:]
        return shows_cursor and termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.ended.set()
        self.reader.join()
        os.close(self.master)
        os.close(self.slave)
