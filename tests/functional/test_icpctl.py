#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl: its predictions, its queries, and bounds of the control socket."""

import json
import os
import socket
import subprocess
import time

from daemon import BUILD, ForgedSocketServer
from lab import Lab, main
from net import PATIENCE, until
from wire import DENIED, HIT, LATE, MISS, NOFETCH, POLICIES, SERVER, SERVER6, Wire

ANSWERS = {
    HIT: "hit",
    NOFETCH: "miss_nofetch",
    DENIED: "denied",
    LATE: "hit",
    MISS: "miss",
    HIT.ljust(255, "x"): "hit",
    HIT.ljust(256, "x"): "hit",
}


COSTLY = "http://cost.example.com/"
EXPENSIVE = f"""
policy "10-costly" {{ kind = "exact" verdict = "miss" cost = 7 urls = {{ "{COSTLY}" }} }}
"""


class Icpctl(Wire):
    mode = "native"
    sanitized = True
    about_icpctl = True

    def setUp(self):
        super().setUp()
        self.daemon_here = self.responder(POLICIES + EXPENSIVE).start()

    def predicted(self, url):
        """The predicted verdict on a URL, and who sends it."""
        result = json.loads(self.daemon_here.icpctl("--json", "check", url).stdout)["results"][0]
        return result["verdict"].removeprefix("ICP_OP_").lower(), result["by"]

    def query(self, *words, check=True):
        command = (BUILD / "icpctl", "query", "-w", 1000 * PATIENCE)
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
        self.assertIs(printed.pop("ok"), True)
        for status in (printed, said):
            # The client's kernel reports its multicast groups now and then, by an extension header.
            del status["uptime"], status["clock_ms"], status["passed"]["ipv6_extension"]
        self.assertEqual(printed, said)

    def test_recent(self):
        directory, icpctl = self.directory(), self.daemon_here.icpctl
        log, feed = directory / "access.log", directory / "warm.sock"
        settings = (f"log={log}", f"feed={feed}", "feed_mode=0666", "key=host+1", "host=e.net")
        icpctl("policy", "add", "99-warm", "kind=recent", "verdict=denied", "window=1h", *settings)

        def keys(*words):
            return json.loads(icpctl("--json", "recent", *words, "list", "99-warm").stdout)

        def known(*expected):
            until(lambda: {one["key"] for one in keys()["keys"]} == set(expected), expected)

        icpctl("recent", "add", "99-warm", "http://E.net/by-hand/1", "http://e.net/odd\\xff/")
        when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        log.write_text(f'::1 - - [{when}] "GET /by-log/1 HTTP/1.1" 200 1\n\0\n')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"http://e.net/by-feed/1", str(feed))
        known("e.net/by-hand/", "e.net/by-log/", "e.net/by-feed/", "e.net/odd\\xff/")
        self.assertEqual(self.predicted("http://e.net/by-log/2")[0], "denied")
        self.assert_answered_by(self.daemon_here, "daemon", "denied", "http://e.net/by-feed/2")
        self.assertEqual(self.predicted("http://e.net/else/")[0], "miss")
        icpctl("recent", "del", "99-warm", "http://e.net/by-hand/2", "http://e.net/odd\\xff/x")
        known("e.net/by-log/", "e.net/by-feed/")
        until(lambda: keys()["skipped"] == 1, "the line with a NUL")
        self.assertEqual(len(keys("-n", 1)["keys"]), 1)
        self.assertIn("1 of 2 keys shown", icpctl("recent", "-n", 1, "list", "99-warm").stdout)
        self.assertIn("fed since", icpctl("policy", "list").stdout)
        icpctl("recent", "flush", "99-warm")
        self.assertEqual(keys()["entries"], 0)
        self.assertEqual(self.predicted("http://e.net/by-log/2")[0], "miss")
        for policy, text in ("none", "there is no policy"), ("10-costly", "of the kind exact"):
            self.assertIn(text, icpctl("recent", "flush", policy, check=False).stderr)
        done = icpctl("recent", "add", "99-warm", "a b", check=False)
        self.assertIn("'a b': a URL has", done.stderr)

    def test_check_is_not_counted_as_a_query(self):
        before = self.daemon_here.status()["answered"]
        self.predicted(HIT)
        self.assertEqual(self.daemon_here.status()["answered"], before)

    def test_query_asks_any_responder(self):
        for server in (SERVER, f"{SERVER}:3130", SERVER6, f"[{SERVER6}]:3130"):
            for url, verdict in ANSWERS.items():
                with self.subTest(server=server, url=url):
                    self.assertIn(f"ICP_OP_{verdict.upper()}", self.query("-s", server, url).stdout)

    def test_query_of_several_servers(self):
        silent = f"{SERVER}:9"
        servers = ("-s", SERVER, "-s", f"[{SERVER6}]:3130", "-s", silent)
        done = self.query(*servers, "-w", 100, HIT, COSTLY, check=False)
        self.assertEqual(done.returncode, 4)
        rows = [tuple(line.split()) for line in done.stdout.splitlines()]
        self.assertEqual(rows.pop(0), ("SERVER", "VERDICT", "COST", "TIME", "URL"))
        names = (f"{SERVER}:3130", f"[{SERVER6}]:3130", silent)
        expected = {(HIT, "ICP_OP_HIT", "-"), (COSTLY, "ICP_OP_MISS", "7")}
        for name in names[:2]:
            found = {(row[-1], row[1], row[2]) for row in rows if row[0] == name}
            self.assertEqual(found, expected)
        lost = [row for row in rows if row[0] == silent]
        self.assertEqual([row[1:4] for row in lost], [("no-reply", "-", "-")] * 2)
        self.assertIn(f"{silent}: ", done.stderr)
        printed = json.loads(self.query("--json", *servers[:4], "-n", 2, COSTLY).stdout)
        self.assertEqual([one["server"] for one in printed["results"]], list(names[:2]))
        self.assertEqual([one["cost"] for one in printed["results"]], [7, 7])
        self.assertEqual([one["answered"] for one in printed["results"]], [2, 2])
        self.assertEqual(len(self.query(*servers[:4], "-n", 2, HIT).stdout.split("2/2")), 3)

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
    about_icpctl = True

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
        ok = "200 OK"
        for words, status, reply in (
            (("status",), ok, {"mode": bad, "horizon": bad, "interfaces": [{"name": bad}]}),
            (("stats",), ok, {bad: {"x": 1}, "passed": {bad: 1}}),
            (("policy", "list"), ok, {"default": bad, "policies": [{"name": bad, "kind": bad}]}),
            (("check", "x"), ok, {"results": [{"verdict": bad, "policy": bad}]}),
            (("reload",), "409 Conflict", {"error": bad}),
            (("reload",), f"409 {bad}", {}),
            (("trace",), ok, {"source": bad, "url": bad, bad: bad}),
        ):
            for options in ((), ("--json",)):
                with self.subTest(words, options=options):
                    path = self.directory() / "socket"
                    with ForgedSocketServer(path, reply, status):
                        done = subprocess.run(
                            [BUILD / "icpctl", "-S", path, *options, *words], capture_output=True
                        )
                    self.assertRegex(done.stdout + done.stderr, rb"\A[\n -~]*\Z")


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
