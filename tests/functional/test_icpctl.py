#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl: its predictions, its queries, and bounds of the control socket."""

import json
import os
import socket
import subprocess

from daemon import BUILD, ForgedSocketServer
from lab import Lab, main
from net import PATIENCE, until
from wire import DENIED, HIT, LATE, MISS, NOFETCH, SERVER, SERVER6, Wire

ANSWERS = {
    HIT: "hit",
    NOFETCH: "miss_nofetch",
    DENIED: "denied",
    LATE: "hit",
    MISS: "miss",
    HIT.ljust(255, "x"): "hit",
    HIT.ljust(256, "x"): "hit",
}


class Icpctl(Wire):
    mode = "native"
    sanitized = True

    def setUp(self):
        super().setUp()
        self.daemon_here = self.responder().start()

    def predicted(self, url):
        """The predicted verdict on a URL, and who sends it."""
        result = json.loads(self.daemon_here.icpctl("--json", "check", url).stdout)["results"][0]
        return result["verdict"].removeprefix("ICP_OP_").lower(), result["by"]

    def query(self, *words, check=True):
        command = (BUILD / "icpctl", "query", "-t", 1000 * PATIENCE)
        return self.client_side.run(*command, *words, check=check)

    def test_check_predicts_the_reply_and_who_sends_it(self):
        for url, verdict in ANSWERS.items():
            with self.subTest(url):
                predicted, by = self.predicted(url)
                self.assertEqual(predicted, verdict)
                self.assert_answered_by(self.daemon_here, by, verdict, url)

    def test_check_knows_the_rules(self):
        self.daemon_here.icpctl("rules", "add", "http://e.org/", "err")
        self.assertEqual(self.predicted(DENIED), ("err", "kernel"))
        self.assert_answered_by(self.daemon_here, "kernel", "err", DENIED)

    def test_status(self):
        printed = json.loads(self.daemon_here.icpctl("--json", "status").stdout)
        said = self.daemon_here.status()
        for status in (printed, said):
            del status["uptime"]
        self.assertEqual(printed, said)

    def test_check_is_not_counted_as_a_query(self):
        before = self.daemon_here.status()["answered"]
        self.predicted(HIT)
        self.assertEqual(self.daemon_here.status()["answered"], before)

    def test_query_asks_any_responder(self):
        for server in (SERVER, f"{SERVER}:3130", SERVER6, f"[{SERVER6}]:3130"):
            for url, verdict in ANSWERS.items():
                with self.subTest(server=server, url=url):
                    self.assertIn(f"ICP_OP_{verdict.upper()}", self.query("-s", server, url).stdout)

    def test_query_counts(self):
        kernel = self.daemon_here.count("answered.kernel")
        self.query("-s", SERVER, "-n", 20, HIT)
        self.assertEqual(self.daemon_here.count("answered.kernel"), kernel + 20)

    def test_query_prints_both_datagrams(self):
        drawing = self.query("-s", SERVER, "--dump", HIT).stdout
        for text in ("ICP_OP_QUERY", "ICP_OP_HIT", "+-+-+-+-", f"{HIT}\\x00"):
            self.assertIn(text, drawing)

    def test_query_reports_a_timeout(self):
        done = self.query("-s", f"{SERVER}:9", "--timeout", 100, HIT, check=False)
        self.assertEqual(done.returncode, 4)

    def test_no_daemon(self):
        self.daemon_here.stop()
        done = self.daemon_here.icpctl("status", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(str(self.daemon_here.control), done.stderr)

    def test_rules_without_a_daemon(self):
        self.daemon_here.kill()
        rules = ("rules", "--pin-dir", self.pins)
        self.daemon_here.icpctl(*rules, "add", "http://e.org/", "denied")
        self.assertEqual(self.ask("http://e.org/x"), "denied")
        self.assertIn("http://e.org/\t", self.daemon_here.icpctl(*rules, "list").stdout)
        self.daemon_here.icpctl(*rules, "del", "http://e.org/")
        self.assertEqual(self.daemon_here.icpctl(*rules, "list").stdout, "")


class NamesOfAnyBytes(Wire):
    """Names and paths of any bytes break nothing and send no control sequences to a terminal."""

    mode = "off"
    NAME = os.fsdecode(b"10 \xe9\x9b31m \\")  # invalid UTF-8, and a control sequence of terminals
    PRINTED = r"10 \xe9\x9b31m \\"
    URL = r"http://e.org/\x1b]0;\x9b\\"
    sanitized = True

    def setUp(self):
        super().setUp()
        directory = self.directory()
        script = directory / os.fsdecode(b"\xff.lua")
        script.write_text("function check(url) return 'hit' end")
        name = self.NAME.replace("\\", "\\\\")
        self.daemon_here = self.responder(
            f'policy "{name}" {{ kind = "lua" file = "{script}" }}'
        ).start()

    def icpctl(self, *words, check=True):
        done = self.daemon_here.icpctl(*words, check=check)
        for text in (done.stdout, done.stderr):
            self.assertRegex(text, r"\A[\t\n -~]*\Z")
        return done

    def json(self, *words):
        return json.loads(self.icpctl("--json", *words).stdout)

    def test_names_are_escaped(self):
        self.assertEqual(self.json("status")["horizon"], self.PRINTED)
        self.assertIn(self.PRINTED, self.icpctl("status").stdout)
        self.assertEqual(self.json("policy", "list")["policies"][0]["name"], self.PRINTED)
        self.assertIn(self.PRINTED, self.icpctl("policy", "list").stdout)
        result = self.json("check", self.URL)["results"][0]
        self.assertEqual((result["policy"], result["url"]), (self.PRINTED, self.URL))
        self.assertIn(f"policy {self.PRINTED}", self.icpctl("check", self.URL).stdout)

    def test_names_are_escaped_in_traces(self):
        trace = subprocess.Popen(
            self.server_side.command(
                BUILD / "icpctl", "-S", self.daemon_here.control, "trace", "-n", 1
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: self.daemon_here.count("tracers"), "the trace to begin")
        self.assertEqual(self.ask("http://e.org/"), "hit")
        self.assertIn(f"(policy {self.PRINTED}) http://e.org/", trace.communicate()[0])

    def test_what_list_prints_names_the_policy(self):
        for save in ((), ("--save",)):
            added = os.fsdecode(b"20-\xff")
            words = ("kind=prefix", "verdict=denied", "url=http://")
            self.icpctl("policy", *save, "add", added, *words)
            if save:
                self.icpctl("reload")
            names = [policy["name"] for policy in self.json("policy", "list")["policies"]]
            self.assertEqual(names, [self.PRINTED, r"20-\xff"])
            self.icpctl("policy", *save, "remove", names[1])
        self.icpctl("policy", "remove", self.PRINTED)
        self.assertEqual(self.json("policy", "list")["policies"], [])
        self.assertEqual(self.ask("http://e.org/"), "miss")

    def test_rules_and_errors_are_escaped(self):
        self.icpctl("rules", "add", self.URL, "denied")
        self.assertIn(self.URL, self.icpctl("rules", "list").stdout)
        self.assertEqual(self.icpctl("check", self.URL).stdout.count(self.URL), 2)
        for words in (
            ("policy", "remove", "\x1b[2J"),
            ("policy", "add", "x\x1b[2J", "kind=prefix"),
            ("policy", "add", "x", os.fsdecode(b"k\xff=1")),
            ("rules", "add", "a", "\x1b[2J"),
        ):
            with self.subTest(words):
                self.assertNotEqual(self.icpctl(*words, check=False).returncode, 0)

    def test_names_are_escaped_in_the_log(self):
        self.icpctl("policy", "remove", self.PRINTED)
        log = self.daemon_here.log.read_bytes()
        self.assertIn(rb"policy '10 \xe9\x9b31m \' removed", log)
        self.assertRegex(log, rb"\A[\n -~]*\Z")


class Libraries(Lab):
    def test_icpctl_loads_neither_libevent_nor_libxdp(self):
        loaded = subprocess.run(["ldd", BUILD / "icpctl"], capture_output=True, check=True).stdout
        self.assertIn(b"libjansson", loaded)
        self.assertNotRegex(loaded, rb"libevent|libxdp")


class ForgedSocket(Lab):
    """The socket may be forged: its replies are escaped."""

    def test_replies_are_escaped(self):
        bad = "a\x1b]0;x\x07\x9b"
        for words, reply in (
            (("status",), {"ok": True, "mode": bad, "horizon": bad, "interfaces": [{"name": bad}]}),
            (("stats",), {"ok": True, bad: {"x": 1}, "passed": {bad: 1}}),
            (("policy", "list"), {"ok": True, "default": bad, "policies": [{"name": bad, "kind": bad}]}),
            (("check", "x"), {"ok": True, "results": [{"verdict": bad, "policy": bad}]}),
            (("reload",), {"ok": False, "error": bad}),
        ):
            for options in ((), ("--json",)):
                with self.subTest(words, options=options):
                    path = self.directory() / "socket"
                    with ForgedSocketServer(path, reply):
                        done = subprocess.run(
                            [BUILD / "icpctl", "-S", path, *options, *words], capture_output=True
                        )
                    self.assertRegex(done.stdout + done.stderr, rb"\A[\n -~]*\Z")


class ManyConnections(Lab):
    """Other users cannot lock root out of the control socket by connections or requests."""

    sanitized = True
    OTHER = 65534
    CONNECTIONS = 80  # more than the total limit
    RULES = 20000

    def setUp(self):
        super().setUp()
        policies = 'policy "10" { kind = "prefix" verdict = "hit" url = "http://" }'
        settings = f"rules_max = {self.RULES}"
        self.daemon_here = self.daemon(
            self.namespace("server"), policies, mode="off", settings=settings
        ).start()
        os.chmod(self.daemon_here.control, 0o666)

    def connect(self):
        """Connect as another user, who may read."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(stream.close)
        stream.settimeout(PATIENCE)
        os.seteuid(self.OTHER)
        try:
            stream.connect(str(self.daemon_here.control))
        finally:
            os.seteuid(0)
        return stream

    def send(self, stream, command, **members):
        stream.sendall(json.dumps({"command": command, **members}).encode() + b"\n")

    def is_answered_meanwhile(self, command, **members):
        """Send a long request and then short ones: are the short ones replied to first?"""
        long_one = self.connect()
        self.send(long_one, command, **members)
        for _ in range(10):  # some may be handled while the request is being read
            self.assertTrue(self.daemon_here.ask_control("stats")["ok"])
        long_one.setblocking(False)
        try:
            return not long_one.recv(1 << 16).strip()  # blanks are keepalives
        except BlockingIOError:
            return True

    def test_large_check_delays_no_other_request(self):
        """It is handled in slices: later requests are replied to in between."""
        urls = ["a"] * 4096
        self.assertTrue(any(self.is_answered_meanwhile("check", urls=urls) for _ in range(30)))

    def test_long_list_of_rules_delays_no_other_request(self):
        rules = [{"prefix": f"http://{n}/", "verdict": "hit"} for n in range(self.RULES)]
        self.assertEqual(self.daemon_here.ask_control("rules-load", rules=rules)["loaded"], self.RULES)
        self.assertTrue(any(self.is_answered_meanwhile("rules-list") for _ in range(30)))
        self.assertEqual(len(self.daemon_here.ask_control("rules-list")["rules"]), self.RULES)
        for command, members in (("rules-list", {}), ("rules-load", {"rules": rules})):
            stream = self.connect()
            self.send(stream, command, **members)
            stream.close()  # which cancels the request
        self.assertTrue(self.daemon_here.status()["ok"])

    def test_check_of_too_many_urls(self):
        stream = self.connect()
        self.send(stream, "check", urls=["http://e.org/"] * 4097)
        self.assertIn("at most 4096", json.loads(stream.makefile().readline())["error"])

    def test_peer_of_a_check_closes(self):
        """At any stage: with URLs still to begin, and some that wait for a helper."""
        mute = """policy "20" {
            kind = "helper" timeout = "10s" program = { "/bin/sh", "-c", "cat >/dev/null" }
        }"""
        self.daemon_here.configure(mute)
        self.daemon_here.icpctl("reload")
        for number in range(20):
            stream = self.connect()
            self.send(stream, "check", urls=["http://e.org/"] * 40)
            if number % 2:
                self.daemon_here.status()
            stream.close()
        stream = self.connect()
        self.send(stream, "check", urls=["http://e.org/"] * 40)
        self.daemon_here.status()
        self.daemon_here.stop()  # with a pending request

    def test_idle_connections(self):
        crowd = [self.connect() for _ in range(self.CONNECTIONS)]
        self.assertEqual(self.daemon_here.icpctl("status", check=False).returncode, 0)
        refusal = json.loads(crowd[-1].makefile().readline())
        self.assertFalse(refusal["ok"])
        self.assertIn("too many connections", refusal["error"])
        self.assertIn("ok", self.daemon_here.icpctl("--json", "drain").stdout)


class SlowPolicies(Wire):
    mode = "off"

    def test_check_takes_as_long_as_its_policies(self):
        """Longer here than icpctl waits for a silent daemon."""
        mute = """policy "{name}" {{
            kind = "helper" timeout = "6s" program = {{ "/bin/sh", "-c", "cat >/dev/null" }}
        }}
        """
        last = 'policy "30" { kind = "prefix" verdict = "denied" url = "http://" }'
        daemon = self.responder(mute.format(name="10") + mute.format(name="20") + last).start()
        self.assertIn("ICP_OP_DENIED", daemon.icpctl("check", HIT).stdout)


if __name__ == "__main__":
    main()
