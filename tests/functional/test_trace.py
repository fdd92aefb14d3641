#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl trace: a line for each query in the kernel and the daemon, and no tracing afterwards."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import time

import icp
from daemon import BUILD, ForgedSocketServer
from lab import Lab, main
from net import PATIENCE, run, until
from wire import CLIENT, CLIENT6, DENIED, HIT, MISS, POLICIES, SERVER, SERVER6, Wire

TRACE_ROOM = 1024  # ENTRIES of user/server/trace.c


class Trace:
    """The output of icpctl trace during some queries."""

    def __init__(self, daemon, *words):
        self.process = subprocess.Popen(
            daemon.namespace.command(BUILD / "icpctl", "-S", daemon.control, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, number=signal.SIGINT):
        """End it by a signal; return the lines."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=PATIENCE)
        return output.splitlines()

    def wait(self):
        output, _ = self.process.communicate(timeout=PATIENCE)
        return output.splitlines()


class Tracing:
    """Tests with the kernel and without."""

    @contextlib.contextmanager
    def traced(self, daemon, *words):
        """A trace that shows all queries from now on. It ends even if it shows nothing."""
        trace = Trace(daemon, "--json", "trace", "--time", str(PATIENCE), *words)
        self.addCleanup(trace.process.stdout.close)
        self.addCleanup(lambda: trace.process.poll() is None and trace.process.kill())
        until(lambda: self.is_traced(daemon), "the trace to begin")
        yield trace

    def is_traced(self, daemon):
        return daemon.status()["tracers"] > 0

    def objects(self, lines):
        return [json.loads(line) for line in lines]

    def ask_numbered(self, url, number):
        """Ask from a new socket; return its address as traces show it."""
        client = self.client(self.client_side)
        client.exchange(icp.query(url, number), self.server)
        return f"{self.client_address}:{client.port}"

    def assert_shown(self, line, **expected):
        self.assertEqual({key: line.get(key) for key in expected}, expected, line)

    def shown(self, trace, count):
        """The first lines, read as they are printed."""
        return self.objects(trace.process.stdout.readline() for _ in range(count))

    def test_replies_of_the_daemon(self):
        daemon = self.a_daemon()
        with self.traced(daemon, "--count", "1") as trace:
            before = time.time()
            source = self.ask_numbered(DENIED, 4711)
            lines = [line for line in self.objects(trace.wait()) if line["by"] == "daemon"]
        self.assertEqual(trace.process.returncode, 0)
        for line in lines:
            self.assert_shown(
                line,
                source=source,
                destination=f"{self.server}:3130",
                request=4711,
                verdict="ICP_OP_DENIED",
                outcome="answered",
                decider="policy",
                policy="50-admin",
                url=DENIED,
            )
            self.assertLess(abs(line["time"] - before), PATIENCE)

    def test_rules_drains_and_unanswered_messages(self):
        daemon = self.a_daemon()
        daemon.icpctl("rules", "add", "http://rule.example.com/", "err")
        with self.traced(daemon) as trace:
            self.ask_numbered("http://rule.example.com/x", 1)
            daemon.icpctl("drain")
            self.ask_numbered(HIT, 2)
            daemon.icpctl("undrain")
            client = self.client(self.client_side)
            client.send(icp.query(HIT, 3, opcode=icp.SECHO), self.server)
            daemon.icpctl("drain", "--verdict=silence")
            client.send(icp.query(HIT, 5), self.server)
            until(lambda: daemon.count("silent.drain") == 1, "the drain's silence")
            daemon.icpctl("undrain")
            until(lambda: daemon.count("silent.opcode") == 1, "the silence")
            self.ask_numbered(MISS, 4)
            until(lambda: self.seen(trace, 4), "the last line")
        lines = [line for line in self.lines if line["outcome"] != "passed.malformed"]
        by_number = {line["request"]: line for line in lines}
        self.assert_shown(by_number[1], verdict="ICP_OP_ERR", decider="rule")
        self.assert_shown(by_number[2], verdict="ICP_OP_MISS_NOFETCH", decider="drain")
        self.assert_shown(
            by_number[3], verdict=None, outcome="silent.opcode", by="daemon", url=None, decider=None
        )
        self.assert_shown(by_number[4], verdict="ICP_OP_MISS", decider="default", url=MISS)
        self.assert_shown(by_number[5], verdict=None, outcome="silent.drain", decider="drain")
        trace.end()

    lines = ()

    def seen(self, trace, number):
        """Read lines until the daemon's line on this request."""
        self.lines = []
        while True:
            line = json.loads(trace.process.stdout.readline())
            self.lines.append(line)
            if line.get("request") == number and line["by"] == "daemon":
                return True

    def test_filters(self):
        daemon = self.a_daemon()
        with self.traced(daemon, "--url", DENIED, "-n", "1") as by_url, self.traced(
            daemon, "--source", f"{self.other_address[:-1]}8/29", "-n", "1"
        ) as by_source, self.traced(
            daemon, "--source", f"{self.client_address}/32", "-n", "2"
        ) as by_own_source:
            until(lambda: daemon.status()["tracers"] == 3, "all the traces to begin")
            self.ask_numbered(MISS, 1)
            self.ask_numbered(DENIED + "/x", 2)
            self.ask_numbered(MISS, 3)
            other = self.client(self.client_side, address=self.other_address)
            other.exchange(icp.query(HIT, 4), self.server)
            urls = {line["url"] for line in self.objects(by_url.wait())}
            self.assertEqual(urls, {DENIED + "/x"})
            self.assertEqual(len(by_own_source.wait()), 2)
            (line,) = self.objects(by_source.wait())
            self.assert_shown(line, source=f"{self.other_address}:{other.port}", request=4)

    def test_trace_ends_after_its_time(self):
        began = time.monotonic()
        trace = Trace(self.a_daemon(), "trace", "--time", "1")
        self.assertEqual(trace.wait(), [])
        self.assertEqual(trace.process.returncode, 0)
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_text_output(self):
        daemon = self.a_daemon()
        trace = Trace(daemon, "trace", "--count", "1", "-u", "http://long")
        until(lambda: self.is_traced(daemon), "the trace to begin")
        long = "http://long.example.com/".ljust(600, "x")
        source = self.ask_numbered(long, 77)
        (line,) = trace.wait()
        self.assertRegex(
            line,
            rf"^\d\d:\d\d:\d\d\.\d{{6}} {re.escape(source)} > {re.escape(self.server)}:3130 #77 "
            rf"daemon ICP_OP_MISS \(default\) {re.escape(long[:256])}\.\.\.$",
        )

    def test_invalid_filters(self):
        daemon = self.a_daemon()
        for words, code in (
            (("--source", "10.0.0.0/99"), 3),
            (("--url", "x" * 300), 3),
            (("--count", "0"), 1),
            (("--time", "x"), 1),
            (("more",), 1),
        ):
            done = daemon.icpctl("trace", *words, check=False)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertNotEqual(done.stderr, "")

    def test_killed_tracer_leaves_no_tracing_on(self):
        daemon = self.a_daemon()
        with self.traced(daemon) as trace:
            trace.end(signal.SIGKILL)
            until(lambda: not self.is_traced(daemon), "the trace to end")
        self.assertEqual(self.traced_until(), 0)

    def test_daemon_exits_during_a_trace(self):
        daemon = self.a_daemon()
        with self.traced(daemon) as trace:
            daemon.stop()
            self.assertFalse(json.loads("".join(trace.wait()))["ok"])
            self.assertEqual(trace.process.returncode, 2)

    def traced_until(self):
        return 0


class Userspace(Tracing, Lab):
    sanitized = True
    about_icpctl = True
    server = client_address = "127.0.0.1"
    other_address = "127.0.0.9"

    def setUp(self):
        super().setUp()
        self.client_side = self.namespace("server")

    def a_daemon(self):
        return self.daemon(self.client_side, POLICIES).start()

    def test_microseconds(self):
        """A time whose double is a little less than its microseconds."""
        control = self.directory() / "control.sock"
        line = {"time": 1700000000.120394, "source": "a", "request": 1, "url": "b"}
        with ForgedSocketServer(control, line):
            done = run(BUILD / "icpctl", "-S", control, "trace", "--count", "1", check=False)
        self.assertRegex(done.stdout, r"^\d\d:\d\d:\d\d\.120394 a > ")

    def test_ipv6(self):
        daemon = self.a_daemon()
        with self.traced(daemon, "-n", "1") as trace:
            client = self.client(self.client_side, socket.AF_INET6)
            client.exchange(icp.query(HIT, 5), "::1")
            (line,) = self.objects(trace.wait())
        self.assert_shown(line, source=f"[::1]:{client.port}", destination="[::1]:3130", by="daemon")

    def test_queries_that_find_no_room_are_counted(self):
        daemon = self.daemon(self.client_side, POLICIES, settings="workers = 2").start()
        with self.traced(daemon) as trace:
            client = self.client(self.client_side)
            with daemon.held():
                for _ in range(TRACE_ROOM + 10):
                    client.ask(HIT, self.server)
            self.assertEqual(daemon.count("failed.trace"), 10)
            lines = map(json.loads, trace.process.stdout)
            self.assertEqual(next(line["lost"] for line in lines if "lost" in line), 10)
            trace.end()

    def test_tracer_that_does_not_read(self):
        daemon = self.a_daemon()
        with self.traced(daemon) as trace:
            trace.process.send_signal(signal.SIGSTOP)
            client = self.client(self.client_side)
            url = "http://e.org/".ljust(250, "x")
            # More than the buffers of the socket and the daemon hold.
            until(
                lambda: [client.ask(url, self.server) for _ in range(100)]
                and daemon.count("answered.daemon") >= 6000,
                "many answers",
            )
            trace.process.send_signal(signal.SIGCONT)
            lines = map(json.loads, trace.process.stdout)
            self.assertTrue(any("lost" in line for line in lines), "not told what was lost")
            trace.end()


class Kernel(Tracing, Wire):
    sanitized = True
    about_icpctl = True
    server, client_address = SERVER, CLIENT
    other_address = "10.1.0.9"

    def setUp(self):
        super().setUp()
        self.client_side.add_address("c0", f"{self.other_address}/24")

    def a_daemon(self):
        return self.responder().start()

    def traced_until(self):
        dump = json.loads(
            self.server_side.run("bpftool", "-j", "map", "dump", "pinned", f"{self.pins}/control").stdout
        )
        return dump[0]["formatted"]["value"]["trace_until"]

    def test_replies_of_the_kernel(self):
        daemon = self.a_daemon()
        daemon.icpctl("rules", "add", "http://rule.example.com/", "err")
        with self.traced(daemon) as trace:
            self.assertGreater(self.traced_until(), 0)
            source = self.ask_numbered(HIT, 1)
            (line,) = self.shown(trace, 1)
            self.assert_shown(
                line,
                by="kernel",
                source=source,
                destination=f"{SERVER}:3130",
                request=1,
                verdict="ICP_OP_HIT",
                outcome="answered",
                decider="policy",
                policy="10-hit",
                url=HIT,
            )
            self.assertLess(abs(line["time"] - time.time()), PATIENCE)
            client = self.client(self.client_side, socket.AF_INET6)
            client.exchange(icp.query("http://rule.example.com/y", 2), SERVER6)
            (line,) = self.shown(trace, 1)
            self.assert_shown(
                line,
                by="kernel",
                source=f"[{CLIENT6}]:{client.port}",
                destination=f"[{SERVER6}]:3130",
                decider="rule",
                verdict="ICP_OP_ERR",
            )
            # A query that is passed up has a line of the kernel and then one of the daemon.
            self.ask_numbered(DENIED, 3)
            passed, answered = self.shown(trace, 2)
            self.assert_shown(
                passed, by="kernel", verdict=None, outcome="passed.horizon", request=3, url=DENIED
            )
            self.assert_shown(answered, by="daemon", policy="50-admin", request=3, url=DENIED)
            # The remembered decision names its policy.
            self.ask_numbered(DENIED, 4)
            (line,) = self.shown(trace, 1)
            self.assert_shown(line, by="kernel", policy="50-admin", verdict="ICP_OP_DENIED")
            self.ask_numbered("http://e.org/white space", 5)
            (line,) = self.shown(trace, 1)
            self.assert_shown(line, by="kernel", verdict="ICP_OP_ERR", decider=None)
            trace.end()

    def test_lines_are_in_the_order_of_time(self):
        """Those of kernel and daemon, although the main thread reads one after the other."""
        daemon = self.a_daemon()
        with self.traced(daemon) as trace:
            with daemon.held():
                for number in range(1, 5):
                    self.ask_numbered(f"{DENIED}/{number}", number)
            times = []
            while not (times and line["by"] == "daemon" and line["request"] == 4):
                (line,) = self.shown(trace, 1)
                times.append(line["time"])
            trace.end()
        self.assertEqual(times, sorted(times))

    def test_policy_names_after_a_reload(self):
        daemon = self.a_daemon()
        with self.traced(daemon) as trace:
            self.ask_numbered(HIT, 1)
            daemon.icpctl("policy", "add", "00", "kind=exact", "verdict=denied", f"url={HIT}")
            self.ask_numbered(HIT, 2)
            before, after = self.shown(trace, 2)
            trace.end()
        self.assert_shown(before, policy="10-hit", verdict="ICP_OP_HIT")
        self.assert_shown(after, policy="00", verdict="ICP_OP_DENIED")

    def test_killed_daemon_leaves_no_tracing_on(self):
        daemon = self.a_daemon()
        with self.traced(daemon) as trace:
            daemon.kill()
            trace.wait()
            self.assertEqual(trace.process.returncode, 2)
        # The permission to trace ends within a second, and is not renewed.
        self.assertLess(self.traced_until(), time.monotonic_ns() + 10**9)
        self.assertEqual(self.traced_until(), self.traced_until())
        next_daemon = self.responder().start()
        self.assertEqual(self.traced_until(), 0)
        self.assert_answered_by(next_daemon, "kernel", "hit", HIT)

    def test_events_lost_under_load_are_counted(self):
        daemon = self.a_daemon()
        count = 20_000  # more than a megabyte, which the daemon buffers for a slow reader
        with self.traced(daemon) as trace:
            self.assert_flooded(self.flood(SERVER, count, [f"{HIT}\thit"]), count)
            shown = lost = 0
            for line in trace.process.stdout:
                line = json.loads(line)
                lost += line.get("lost", 0)
                shown += "lost" not in line
                if shown + lost >= count:
                    break
            trace.end()
        self.assertEqual(shown + lost, count)
        self.assertGreater(shown, 0)
        self.assertGreater(lost, 0)
        self.assertGreater(daemon.count("failed.trace"), 0)


if __name__ == "__main__":
    main()
