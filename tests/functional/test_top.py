#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl top, status --watch, stats --diff, progress: on a terminal and elsewhere."""

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess

from daemon import BUILD
from lab import Lab, main
from net import PATIENCE, until
from wire import HIT, MISS, Wire

HAS_PYTE = importlib.util.find_spec("pyte") is not None
if HAS_PYTE:
    from screen import Screen

POLICIES = os.fsdecode(
    b"""
policy "05-flag" { kind = "flag" verdict = "denied" path = "%s" }
policy "06 \x9b2J" { kind = "prefix" verdict = "hit" url = "http://x/" }
policy "10-hit" { kind = "prefix" verdict = "hit" url = "http://hit." }
policy "50-admin" { kind = "regex" verdict = "denied" pattern = "/admin(?=/|$)" }
"""
) + "".join(
    f'policy "{rank}-more" {{ kind = "prefix" verdict = "hit" url = "http://{rank}/" }}\n'
    for rank in range(60, 90)
)


class Top(Wire):
    mode = "native"
    sanitized = True

    def setUp(self):
        super().setUp()
        self.flag = self.directory() / "flag"
        self.daemon_here = self.responder(POLICIES % self.flag).start()

    def icpctl(self, *words):
        return [BUILD / "icpctl", "-S", self.daemon_here.control, *words]

    def top(self, columns=80, lines=24):
        if not HAS_PYTE:
            self.skipTest("python3-pyte is missing")
        screen = Screen(self.icpctl("top"), columns, lines)
        self.addCleanup(screen.close)
        screen.await_text("KERNEL/S")
        return screen

    def row(self, screen, name):
        """The words of a policy's line behind its name; none while it is being drawn."""
        found = re.search(rf"^{re.escape(name)} +(.*)$", screen.text(), re.M)
        return found[1].split() if found else []

    def await_row(self, screen, name, *words):
        until(lambda: set(words) <= set(self.row(screen, name)), f"{words} of {name} on the screen")

    def test_what_it_shows(self):
        screen = self.top()
        for _ in range(3):
            self.ask(HIT)
        self.ask(MISS)
        self.await_row(screen, "10-hit", "prefix", "HIT", "kernel", "3")
        self.await_row(screen, "50-admin", "regex", "DENIED", "daemon", "0")
        shown = screen.await_text("mode native", "s0 native", "prefixes 2 of 4096", "passed up")
        self.assertIn(r"06 \x9b2J ", shown)  # not a control sequence
        self.assertNotIn(b"\x9b", screen.raw)
        self.assertNotIn("89-more", shown)
        self.flag.touch()
        self.await_row(screen, "05-flag", "!", "set")
        self.flag.unlink()
        self.await_row(screen, "05-flag", "not")

        screen.press(b"\x1b[B\x1b[B")
        screen.await_text("10-hit: decided last", "3 of 35")
        screen.press(b"s")
        screen.await_text("sorted by rate")
        screen.press(b"s")
        total = screen.await_text("sorted by total")
        self.assertLess(total.index("\n10-hit"), total.index("\n05-flag"))
        screen.press(b"ss\x1b[4~")  # End
        screen.await_text("sorted by rank", "89-more", "35 of 35", "\n(default)")
        screen.press(b"\x1b[1~")
        screen.await_text("05-flag: not set since", " 1 of 35")
        screen.resize(120, 50)
        screen.await_text("(default)")
        until(lambda: len(screen.text().splitlines()) == 50, "the last line to be used")
        screen.resize(20, 5)  # nothing to read, but no harm
        screen.resize(80, 24)
        screen.await_text("q quit")
        screen.press(b"q")
        self.assertEqual(screen.wait(), 0)
        screen.await_restored()

    def test_rates(self):
        screen = self.top()

        def rates():
            self.ask(HIT)
            found = re.search(r"^answered +(\S+)/s: kernel (\S+) \(", screen.text(), re.M)
            return found and float(found[2]) > 0 and found[1] == found[2]

        until(rates, "rates")
        screen.await_text("hit ", "(100.0 %)")

    def test_the_daemon_goes_and_comes_back(self):
        screen = self.top()
        self.ask(HIT)
        self.await_row(screen, "10-hit", "1")
        self.daemon_here.stop()
        screen.await_text("trying again: ", "no such socket", "rates come with")
        self.daemon_here.start()
        until(lambda: "trying again" not in screen.text(), "the daemon on the screen")
        until(lambda: "rates come" not in screen.text(), "rates")
        self.assertNotIn("-1.", screen.text())
        with self.daemon_here.held():  # a daemon that hangs keeps the terminal from no key
            screen.await_text("no reply for")
            screen.press(b"j")
            screen.await_text(" 2 of 3")
            screen.press(b"q")
            self.assertEqual(screen.wait(), 0)
        screen.await_restored()

    def test_a_signal_restores_the_terminal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            screen = self.top()
            screen.process.send_signal(number)
            self.assertEqual(screen.wait(), 0)
            screen.await_restored()

    def test_without_a_terminal(self):
        done = subprocess.run(self.icpctl("top"), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("icpctl status --watch", done.stderr)
        if HAS_PYTE:
            for terminal in ("no-such", "dumb"):
                screen = Screen(self.icpctl("top"), TERM=terminal)
                self.addCleanup(screen.close)
                screen.await_text(f"TERM={terminal}: unknown")
                self.assertEqual(screen.wait(), 1)

    def test_watch(self):
        """Also after a restart, and never a negative rate."""
        watch = subprocess.Popen(
            self.icpctl("--json", "status", "--watch=1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        text = subprocess.Popen(
            self.icpctl("status", "--watch=1"), stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(text.stdout.close)
        self.addCleanup(watch.stdout.close)
        first = json.loads(watch.stdout.readline())
        self.ask(HIT)
        later = first
        while later["answered"]["kernel"] < 1:
            later = json.loads(watch.stdout.readline())
        self.assertGreater(later["clock_ms"], first["clock_ms"])
        until(lambda: "/s by the kernel" in text.stdout.readline(), "rates")
        self.daemon_here.stop()
        until(lambda: "trying again" in text.stdout.readline(), "the report")
        self.daemon_here.start()
        until(lambda: re.search(" [0-9.]+/s by the kernel", text.stdout.readline()), "rates")
        for process in (watch, text):
            process.terminate()
            process.wait()

    def test_diff(self):
        self.ask(HIT)
        self.client(self.client_side).socket.sendto(b"x", ("10.1.0.2", 3130))
        diff = subprocess.Popen(self.icpctl("--json", "stats", "--diff=2"), stdout=subprocess.PIPE)
        while diff.poll() is None:
            self.ask(MISS)
        found = json.load(diff.stdout)
        diff.stdout.close()
        kernel, seconds = found["answered"]["kernel"], found["seconds"]
        self.assertGreater(kernel["count"], 0)
        self.assertAlmostEqual(kernel["rate"] * seconds / kernel["count"], 1, delta=0.01)
        self.assertEqual(found["answered"]["daemon"], {"count": 0, "rate": 0.0})
        text = subprocess.run(self.icpctl("stats", "--diff"), stdout=subprocess.PIPE, text=True)
        self.assertIn("answered.daemon 0 0.0/s\n", text.stdout)
        self.assertNotIn("silent.short", text.stdout)
        for word in ("--diff=0", "--diff=x"):
            done = subprocess.run(self.icpctl("stats", word), capture_output=True, text=True)
            self.assertEqual((done.returncode, "must be 1 to" in done.stderr), (1, True))


class InPlaceOfTheDaemon(Lab):
    """A slow daemon, or one that replies at the wrong moment: here the test replies."""

    def setUp(self):
        super().setUp()
        directory = self.directory()
        self.path, self.rules = directory / "socket", directory / "rules"
        self.rules.write_text("http://a/\thit\n")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.settimeout(PATIENCE)
        self.listener.bind(str(self.path))
        self.listener.listen()

    def take(self, line):
        """The connection of the next request, which must begin with `line`."""
        stream, _ = self.listener.accept()
        self.addCleanup(stream.close)
        stream.settimeout(PATIENCE)
        with stream.makefile("rb") as request:
            self.assertEqual(request.readline().decode().rpartition(" ")[0], line)
        return stream

    def reply(self, stream, reply):
        text = json.dumps(reply)
        stream.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        stream.close()

    def test_progress(self):
        if not HAS_PYTE:
            self.skipTest("python3-pyte is missing")
        command = [BUILD / "icpctl", "-S", self.path, "rules", "load", self.rules]
        screen = Screen(command, 40)
        self.addCleanup(screen.close)
        change = self.take("POST /v1/rules")
        for written, shown in ((0, "the daemon checks"), (5, "5 of 10 rules written")):
            asked = self.take("GET /v1/rules/change")
            self.reply(asked, {"runs": True, "written": written, "all": written and 10})
            screen.await_text(shown)
        self.reply(change, {"loaded": 1, "removed": 0})
        self.assertEqual(screen.wait(), 0)
        self.assertEqual(screen.await_text("1 rule loaded").strip(), "1 rule loaded")

    def test_no_progress_without_a_terminal(self):
        command = [BUILD / "icpctl", "-S", self.path, "rules", "load", self.rules]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            change = self.take("POST /v1/rules")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.5)  # the time in which a terminal would see something
            self.reply(change, {"loaded": 1, "removed": 0})
            self.assertEqual(process.stdout.read(), b"1 rule loaded\n")

    def test_diff_across_a_restart(self):
        command = [BUILD / "icpctl", "-S", self.path, "stats", "--diff"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            # The clock of the second daemon may be ahead of that of the first.
            for pid, clock, count in ((7, 500, 100), (8, 1500, 3), (8, 2500, 13)):
                status = {"pid": pid, "clock_ms": clock, "answered": {"daemon": count}}
                self.reply(self.take("GET /v1/status"), status)
            self.assertEqual(process.stdout.read(), b"answered.daemon 10 10.0/s\n")
            self.assertIn(b"restarted meanwhile", process.stderr.read())


if __name__ == "__main__":
    main()
