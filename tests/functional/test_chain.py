#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The chain at run time: adding and removing policies, gates, remembered decisions, drain."""

import contextlib
import json
import os
import re
import signal
import socket
import time

import icp
from daemon import BUILD, Request
from lab import Lab, main
from neighbour import NOBODY
from net import PATIENCE, until
from wire import CLIENT, SERVER, Wire

FOO, BAR, BAZ = (f"http://example.com/{word}" for word in ("foo", "bar", "baz"))
BOTH = "http://example.com/foo/baz"


# The chain, the datagrams and the boxes of the README of zc.icp.
FOO_AND_BAZ = """
policy foo { kind = substring verdict = ICP_OP_HIT text = foo }
policy baz { kind = substring verdict = ICP_OP_MISS_NOFETCH text = baz }
"""
RULE = "+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+\n"
BOX = (
    RULE
    + "|%s|   Version: 2  |     Message Length: %d        |\n"
    + RULE
    + "|                    Request Number: %-27X|\n"
    + RULE
    + "|                    Options: 0                                 |\n"
    + RULE
    + "|                    Option Data: 0                             |\n"
    + RULE
    + "|                    Sender Host Address: 0                     |\n"
    + RULE
    + "|                                                               |\n"
    + "|    Payload: %s|\n"
    + "|                                                               |\n"
    + RULE
)
DATAGRAMS = (
    (
        "http://example.com/",
        b"\x01\x02\x00,\xde\xad\xbe\xef" + 16 * b"\0" + b"http://example.com/\0",
        b"\x03\x02\x00(\xde\xad\xbe\xef" + 12 * b"\0" + b"http://example.com/\0",
        ("  ICP_OP_QUERY ", 44, r"\x00\x00\x00\x00http://example.com/\x00           "),
        ("  ICP_OP_MISS  ", 40, r"http://example.com/\x00                           "),
    ),
    (
        "http://example.com/foo",
        b"\x01\x02\x00/\xde\xad\xbe\xef" + 16 * b"\0" + b"http://example.com/foo\0",
        b"\x02\x02\x00+\xde\xad\xbe\xef" + 12 * b"\0" + b"http://example.com/foo\0",
        ("  ICP_OP_QUERY ", 47, r"\x00\x00\x00\x00http://example.com/foo\x00        "),
        ("  ICP_OP_HIT   ", 43, r"http://example.com/foo\x00                        "),
    ),
)


class Walk:
    """The example of the README of zc.icp: each step takes effect with the next query."""

    def policies(self, daemon):
        return json.loads(daemon.icpctl("--json", "policy", "list").stdout)["policies"]

    def test_zc_icp_readme(self):
        daemon = self.a_daemon("")
        self.assertEqual(self.ask(FOO), "miss")
        daemon.icpctl("policy", "add", "foo", "kind=substring", "verdict=ICP_OP_HIT", "text=foo")
        self.assertEqual(self.ask(FOO), "hit")
        self.assertEqual(self.ask(BAR), "miss")
        daemon.icpctl(
            "policy", "add", "baz", "kind=substring", "verdict=miss_nofetch", "texts=baz"
        )
        for url, verdict in ((FOO, "hit"), (BAR, "miss"), (BAZ, "miss_nofetch")):
            self.assertEqual(self.ask(url), verdict)
        self.assertEqual(self.ask(BOTH), "miss_nofetch")
        names = [policy["name"] for policy in self.policies(daemon)]
        self.assertEqual(names, ["baz", "foo"])

    def test_zc_icp_datagrams(self):
        """The kernel replies to the second query, because it has the decision by then."""
        self.a_daemon(FOO_AND_BAZ)
        for url, query, answer, _, _ in 2 * DATAGRAMS:
            self.assertEqual(self.exchange(query), answer, url)

    def test_zc_icp_boxes(self):
        self.a_daemon(FOO_AND_BAZ)
        for url, _, _, query, answer in 2 * DATAGRAMS:
            text = self.query("--dump", url)
            number = int(re.search("Request Number: ([0-9A-F]+) ", text)[1], 16)
            boxes = "".join(BOX % (*box[:2], number, box[2]) for box in (query, answer))
            self.assertEqual(text[: len(boxes)], boxes)
            verdict = answer[0].strip()
            self.assertRegex(text[len(boxes) :], rf"\A{verdict}  \d+\.\d+ ms  {url}\n\Z")

    def test_the_same_name_replaces(self):
        daemon = self.a_daemon("")
        daemon.icpctl("policy", "add", "x", "kind=prefix", "verdict=hit", f"urls={FOO}")
        self.assertEqual(self.ask(FOO), "hit")
        daemon.icpctl("policy", "add", "x", "kind=exact", "verdict=denied", f"urls={BAR}")
        self.assertEqual(self.ask(FOO), "miss")
        self.assertEqual(self.ask(BAR), "denied")
        daemon.icpctl("policy", "remove", "x")
        self.assertEqual(self.ask(BAR), "miss")

    def test_error_changes_nothing(self):
        daemon = self.a_daemon("")
        daemon.icpctl("policy", "add", "x", "kind=prefix", "verdict=hit", f"urls={FOO}")
        for words in (
            ("add", "x", "kind=no-such-kind"),
            ("add", "x", "kind=regex", "verdict=hit", "pattern=("),
            ("add", "x", "kind=prefix", "verdict=perhaps", f"urls={FOO}"),
            ("remove", "y"),
        ):
            done = daemon.icpctl("policy", *words, check=False)
            self.assertEqual(done.returncode, 3, words)
            self.assertRegex(done.stderr, "kind|pattern|verdict|no policy")
            self.assertEqual(self.ask(FOO), "hit")

    def test_a_drain(self):
        daemon = self.a_daemon(f"policy x {{ kind = prefix verdict = hit urls = {{ '{FOO}' }} }}")
        daemon.icpctl("rules", "add", BAR, "hit")
        daemon.icpctl("drain")
        self.assertEqual([self.ask(FOO), self.ask(BAR)], ["miss_nofetch"] * 2)
        self.assertRegex(daemon.icpctl("check", FOO).stdout, f"^ICP_OP_MISS_NOFETCH  {FOO}  drain, ")
        daemon.icpctl("drain", "--verdict", "denied")
        self.assertEqual(self.ask(FOO), "denied")
        daemon.icpctl("undrain")
        self.assertEqual([self.ask(FOO), self.ask(BAR)], ["hit"] * 2)
        daemon.icpctl("drain", "--verdict", "silence")
        before = daemon.count("silent.drain")
        self.send(FOO)
        until(lambda: daemon.count("silent.drain") == before + 1, "the query to be met by silence")
        self.assertEqual(
            daemon.icpctl("check", FOO).stdout,
            f"no reply  {FOO}  (the host is drained in silence)\n",
        )
        daemon.icpctl("undrain")

    def test_health_state_survives_a_reload(self):
        """After the reload no check can complete: the origin accepts connections in silence."""
        daemon = self.a_daemon("")
        ports = []
        for port in (8001, 8002):
            ports.append(daemon.namespace.socket(socket.AF_INET, socket.SOCK_STREAM))
            self.addCleanup(ports[-1].close)
            ports[-1].bind(("127.0.0.1", port))
        health = """policy 1 { kind = health verdict = miss_nofetch http = "http://127.0.0.1:8001/"
                               fall = 5 interval = 10ms timeout = 1h }"""
        daemon.reload(health)
        until(lambda: self.ask(FOO) == "miss_nofetch", "the origin to be dead")
        for silent in ports:
            silent.listen()
        daemon.icpctl("reload")
        self.assertEqual(self.ask(FOO), "miss_nofetch")
        daemon.icpctl("policy", "add", "2", "kind=prefix", "verdict=hit", f"url={FOO}")
        self.assertEqual(self.ask(FOO), "miss_nofetch")
        daemon.reload(health.replace("8001", "8002"))
        self.assertEqual(self.ask(FOO), "miss")

    def test_a_second_signal_ends_a_drain_at_once(self):
        daemon = self.a_daemon(
            f"drain_time = '1h' policy x {{ kind = prefix verdict = hit urls = {{ '{FOO}' }} }}"
        )
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: self.ask(FOO) == "miss_nofetch", "the drain")
        done = daemon.icpctl("undrain", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("about to exit", done.stderr)
        self.assertEqual(self.ask(FOO), "miss_nofetch")
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)

    def test_exit_after_a_drain(self):
        """The test above covers the replies during the drain."""
        daemon = self.a_daemon("drain_time = '1s'")
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertGreaterEqual(time.monotonic() - began, 1)


class Userspace(Walk, Lab):
    sanitized = True

    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")
        self.asking = self.client(self.server)

    def a_daemon(self, policies):
        return self.daemon(self.server, policies).start()

    def ask(self, url):
        return self.asking.ask(url, "127.0.0.1")

    def exchange(self, datagram):
        return self.asking.exchange(datagram, "127.0.0.1")

    def query(self, *words):
        command = (BUILD / "icpctl", "query", "-s", "127.0.0.1", "-w", 1000 * PATIENCE)
        return self.server.run(*command, *words).stdout

    def send(self, url):
        self.asking.send(icp.query(url, 4711), "127.0.0.1")


class States(Lab):
    FLIPS = 40

    def setUp(self):
        super().setUp()
        server = self.namespace("server")
        self.asking = self.client(server)
        self.flag = self.directory() / "flag"
        self.daemon_here = self.daemon(
            server,
            f"""policy 1 {{ kind = flag verdict = denied path = "{self.flag}" }}
                policy 2 {{ kind = health verdict = err tcp = "127.0.0.1:9" interval = 10ms }}
                policy 3 {{ kind = helper children = 1 program = {{ "/bin/sh", "-c", "exit 3" }} }}
                policy 4 {{ kind = prefix verdict = hit url = "{FOO}" }}""",
        ).start()

    def states(self):
        return {one["policy"]: one for one in self.daemon_here.count("states")}

    def lines(self, name):
        log = self.daemon_here.log.read_text()
        return re.findall(rf"^xdp-icpd: policy '{name}': (.*)$", log, re.M)

    def test_states_are_shown_and_logged(self):
        until(lambda: self.lines("2"), "the origin to be down")
        until(lambda: self.lines("3"), "the helper to be dead")
        why = "3 checks in a row failed, the last: Connection refused"
        self.assertEqual(self.lines("2"), [f"down, gives ICP_OP_ERR ({why})"])
        self.assertRegex(self.lines("3")[0], r"^dead \(0 of 1 .* ended with exit code 3, restart ")
        down = self.states()["2"]
        self.assertEqual(
            (down["name"], down["why"], down["trouble"], down["matches"]),
            ("down", why, True, True),
        )
        self.assertLess(abs(down["since"] - time.time()), 2 * PATIENCE)
        self.assertEqual(list(self.states()), ["1", "2", "3"])
        shown = rf"down since [-0-9]+ [:0-9]+, matches \({why}\)\n"
        for words in (("status",), ("policy", "list")):
            self.assertRegex(self.daemon_here.icpctl(*words).stdout, shown)
        listed = self.daemon_here.ask_control("GET", "/v1/policies")["policies"]
        self.assertEqual(listed[1]["state"]["name"], "down")
        self.assertIsNone(listed[3]["state"])
        # A reload changes none of it.
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.states()["2"]["since"], down["since"])
        self.assertEqual(len(self.lines("2")), 1)

    def test_flips_do_not_flood_the_log(self):
        """But the last state is logged in the end."""
        for _ in range(self.FLIPS // 2):
            self.flag.touch()
            until(lambda: self.asking.ask(FOO, "127.0.0.1") == "denied", "the flag to count")
            self.flag.unlink()
            until(lambda: self.asking.ask(FOO, "127.0.0.1") != "denied", "the flag to count")
        self.flag.touch()
        self.assertLess(len(self.lines("1")), self.FLIPS)
        until(lambda: self.lines("1")[-1].startswith("set, gives ICP_OP_DENIED"), "the last line")
        self.assertRegex(self.lines("1")[-1], r" \(and \d+ more since the last\)$")


    def test_decisions_are_counted(self):
        daemon = self.daemon_here
        hits = 'kind = exact url = "{}" verdict = hit'
        daemon.reload(f"policy 4 {{ {hits.format(FOO)} }}")
        daemon.icpctl("rules", "add", BAR, "denied")
        for url in (FOO, FOO, BAR, BAZ):
            self.asking.ask(url, "127.0.0.1")
        daemon.icpctl("check", FOO)  # is not counted
        # The same name counts on after a reload.
        daemon.reload(f"policy 4 {{ {hits.format(FOO).replace('= hit', '= err')} }}")
        self.asking.ask(FOO, "127.0.0.1")
        daemon.icpctl("drain")
        self.asking.ask(FOO, "127.0.0.1")
        listed = daemon.ask_control("GET", "/v1/policies")
        deciders = (listed["policies"][0], *map(listed.get, ("by_rule", "by_default", "by_drain")))
        self.assertEqual(
            [{name: n for name, n in one["decided"]["daemon"].items() if n} for one in deciders],
            [{"hit": 2, "err": 1}, {"denied": 1}, {"miss": 1}, {"miss_nofetch": 1}],
        )
        for one in deciders:
            self.assertLess(abs(one["last_decided"] - time.time()), 2 * PATIENCE)
        shown = r"\n    decided in the daemon: 2 hit, 1 err, last [-0-9]+ [:0-9]+\n"
        self.assertRegex(daemon.icpctl("policy", "list").stdout, shown)

    def test_no_policy_is_in_the_kernel(self):
        listed = self.daemon_here.ask_control("GET", "/v1/policies")
        self.assertEqual({one["kernel"] for one in listed["policies"]}, {False})
        self.assertEqual({one["why"] for one in listed["policies"]}, {"mode is off"})
        self.assertIs(listed["default_kernel"], False)


class Kernel(Walk, Wire):
    sanitized = True

    def a_daemon(self, policies, **settings):
        return self.responder(policies, **settings).start()

    def exchange(self, datagram):
        return self.asker[socket.AF_INET].exchange(datagram, SERVER)

    def query(self, *words):
        command = (BUILD / "icpctl", "query", "-s", SERVER, "-w", 1000 * PATIENCE)
        return self.client_side.run(*command, *words).stdout

    def send(self, url):
        self.asker[socket.AF_INET].send(icp.query(url, 4711), SERVER)

    def test_decisions_of_the_daemon_are_remembered(self):
        daemon = self.a_daemon("policy x { kind = regex verdict = hit pattern = 'fo+(?=)' }")
        self.assert_answered_by(daemon, "daemon", "hit", FOO)
        self.assert_answered_by(daemon, "kernel", "hit", FOO)
        self.assert_answered_by(daemon, "daemon", "miss", BAR)
        self.assert_answered_by(daemon, "kernel", "miss", BAR)
        # Adding a policy invalidates all remembered decisions at once.
        daemon.icpctl("policy", "add", "a", "kind=regex", "verdict=denied", "pattern=(?=)foo")
        self.assert_answered_by(daemon, "daemon", "denied", FOO)
        self.assert_answered_by(daemon, "kernel", "denied", FOO)

    def test_hot_urls_stay_remembered_under_load(self):
        daemon = self.a_daemon(
            "policy x { kind = regex verdict = hit pattern = 'fo+(?=)' }", verdicts_max=1024
        )
        self.assertEqual(self.ask(FOO), "hit")
        for i in range(6000):
            self.assertEqual(self.ask(f"http://random.example.com/{i}"), "miss")
            if i % 20 == 0:
                self.assertEqual(self.ask(FOO), "hit")
        self.assert_answered_by(daemon, "kernel", "hit", FOO)

    def test_a_gate_in_the_kernel(self):
        flag = self.directory() / "drain"
        os.chmod(flag.parent, 0o755)
        daemon = self.a_daemon(
            f"""policy 1 {{ kind = flag verdict = miss_nofetch path = "{flag}" }}
                policy 2 {{ kind = prefix verdict = hit urls = {{ "{FOO}" }} }}"""
        )
        self.assert_answered_by(daemon, "kernel", "hit", FOO)
        flag.touch()
        until(lambda: self.ask(FOO) == "miss_nofetch", "the gate")
        self.assert_answered_by(daemon, "kernel", "miss_nofetch", FOO)
        flag.unlink()
        until(lambda: self.ask(FOO) == "hit", "the gate")
        self.assert_answered_by(daemon, "kernel", "hit", FOO)

    def test_check_tells_why(self):
        directory = self.directory()
        os.chmod(directory, 0o755)
        script = directory / "x.lua"
        script.write_text("asked = 0 function check() asked = asked + 1 "
                          "return asked == 1 and 'hit' or 'err' end")
        daemon = self.a_daemon(
            f"""policy 1 {{ kind = prefix verdict = hit url = "{FOO}" }}
                policy 2 {{ kind = host verdict = miss host = "h.org" }}
                policy 3 {{ kind = source verdict = denied from = "::1" }}
                policy 4 {{ kind = lua file = "{script}" children = 1 ttl = 1h }}
                policy 5 {{ kind = prefix verdict = hit url = "{BAZ}" }}"""
        )

        def check(url, *words):
            shown = daemon.icpctl("check", *words, url).stdout
            reply = json.loads(daemon.icpctl("--json", "check", *words, url).stdout)
            return reply["results"][0], shown

        result, shown = check(FOO)
        self.assertEqual((result["by"], result["remembered"]), ("kernel", False))
        self.assertIn(", answered by the kernel (compiled from the chain)\n", shown)
        # Squid is not ::1.
        result, shown = check(BAR)
        self.assertTrue(result["by_source"])
        self.assertRegex(shown, r"^ICP_OP_DENIED .* policy 3.*, for a query from ::1, see --source\n")
        self.assertEqual(self.ask(BAR), "hit")
        # By now the script would say otherwise.
        result, shown = check(BAR, "--source", CLIENT)
        self.assertEqual(
            (result["verdict"], result["policy"], result["by"], result["remembered"]),
            ("ICP_OP_HIT", "4", "kernel", True),
        )
        self.assertRegex(shown, r"by the kernel \(remembered from a reply of the daemon\)\n$")
        result, shown = check(BAZ, "--source", CLIENT)
        self.assertEqual((result["by"], result["horizon"]), ("daemon", "4"))
        self.assertIn("(policy '4' prevents a reply by the kernel: a policy of its kind", shown)
        result, _ = check("http://[::2]/", "--source", CLIENT)
        self.assertEqual((result["by"], result["horizon"]), ("daemon", "2"))
        self.assertIn("cannot read this URL's host", result["why"])
        places = [(one["kernel"], one.get("why")) for one in self.policies(daemon)]
        self.assertEqual([kernel for kernel, _ in places], [True, True, True, False, False])
        self.assertEqual(places[4][1], "policy '4' before it is there")
        self.assertRegex(daemon.icpctl("policy", "list").stdout, r"\(default\) +ICP_OP_MISS +daemon\n")

    def test_many_substrings(self):
        """As many as no automaton holds: the kernel finds them by their first bytes."""
        texts = self.directory() / "texts"
        texts.write_text("".join(f"/item-{number:05}/\n" for number in range(3000)))
        daemon = self.a_daemon(f'policy 1 {{ kind = substring verdict = hit file = "{texts}" }}')
        urls = {f"http://e.org{'x' * pad}/item-0{pad:04}/": "hit" for pad in range(8)}
        urls |= {"http://e.org/item-03000/": "miss", "http://e.org/item-00001": "miss"}
        self.assertEqual({url: self.ask(url) for url in urls}, urls)
        self.assertEqual(daemon.counts("answered.kernel", "answered.daemon"), (len(urls), 0))
        self.assertEqual(
            [(one["kernel"], one["texts"]) for one in self.policies(daemon)], [(True, 3000)]
        )
        self.assertIn(" (3000 texts)\n", daemon.icpctl("policy", "list").stdout)
        # Texts that are too short for that have an automaton beside the others.
        texts.write_text("?\n" + "".join(f"/{n:04x}.{n * 40503 % 65536:04x}/\n" for n in range(5000)))
        daemon.icpctl("reload")
        for url in ("http://e.org/x?", "http://e.org/0001.9e37/"):
            self.assertTrue(self.is_answered_by_kernel(daemon, "hit", url))
        self.assertTrue(self.is_answered_by_kernel(daemon, "miss", "http://e.org/0001.9e38/"))
        self.assertRegex(
            daemon.icpctl("policy", "list").stdout, r" \(\d+ states, \d+ bytes\) \(5000 texts\)\n"
        )
        # One text over and over, and none that comes before it in the list, but could.
        texts.write_text("zzzz\n" + "".join(f"aaa{digit}\tdenied\n" for digit in "a12345678"))
        daemon.icpctl("reload")
        url = 100 * "a"
        self.assertEqual(self.ask(url), "denied")
        result = json.loads(daemon.icpctl("--json", "check", url).stdout)["results"][0]
        self.assertEqual((result["by"], result["horizon"]), ("daemon", "1"))
        self.assertIn("could begin at too many places of this URL", result["why"])

    def test_gates_expire_with_the_lease(self):
        """Also if the daemon's clock is ahead of the kernel's or behind."""
        ahead, behind = (["unshare", "-T", "--monotonic", by] for by in ("100000", "-1"))
        for prefix in [], ahead, behind:
            daemon = self.responder(
                f"""policy 1 {{ kind = prefix verdict = hit urls = {{ "{BAR}" }} }}
                    policy 2 {{ kind = flag verdict = miss_nofetch path = "/nowhere/at/all" }}
                    policy 3 {{ kind = prefix verdict = hit urls = {{ "{FOO}" }} }}""",
                lease="500ms",
            )
            daemon.start(*prefix)
            time.sleep(1)
            until(lambda: self.is_answered_by_kernel(daemon, "hit", FOO), "a heartbeat")
            daemon.kill()
            time.sleep(1)
            self.send(FOO)
            self.assertEqual(self.ask(BAR), "hit")  # and there was no reply to the query before

    def test_daemon_undoes_its_drain_on_exit(self):
        """Otherwise the kernel would give the verdict of the drain forever."""
        daemon = self.a_daemon("")
        daemon.icpctl("rules", "add", FOO, "hit")
        for verdict in ("denied", "silence"):
            daemon.icpctl("drain", "--verdict", verdict)
            daemon.stop()
            self.assertEqual(self.ask(FOO), "hit")
            daemon.start()

    def test_requests_while_the_daemon_ends(self):
        """A query waits for a helper: status needs its chain, and no drain may stay behind."""
        sleeper = 'kind = helper timeout = 10s program = { "/bin/sleep", "60" }'
        daemon = self.a_daemon(f'policy "1" {{ {sleeper} }}')
        self.send(FOO)
        until(lambda: self.busy_helpers(daemon), "the helper to be asked")
        daemon.process.terminate()
        while daemon.process.poll() is None:
            for request in (("GET", "/v1/status"), ("PUT", "/v1/drain", {"verdict": "denied"})):
                with contextlib.suppress(OSError):
                    Request(daemon.control, *request).reply()
        self.assertEqual(daemon.wait(), 0)
        self.assert_port_closed(SERVER, 3130)

    def busy_helpers(self, daemon):
        (policy,) = daemon.ask_control("GET", "/v1/policies")["policies"]
        return policy["helper"]["busy"]

    def test_a_drain_that_is_saved_has_no_gap(self):
        """Nor does the loader end it, which runs before each start of the service."""
        daemon = self.a_daemon("")
        os.mkdir(f"{daemon.config}.d")
        os.chown(f"{daemon.config}.d", NOBODY, -1)
        daemon.icpctl("rules", "add", FOO, "hit")
        daemon.icpctl("drain", "--save", "--verdict", "denied")
        daemon.icpctl("drain", "--verdict", "silence")
        daemon.stop()
        self.assertEqual(self.ask(FOO), "denied")
        self.load("s0")
        self.assertEqual(self.ask(FOO), "denied")
        daemon.start()
        self.assert_answered_by(daemon, "kernel", "denied", FOO)
        daemon.icpctl("undrain")
        self.assert_answered_by(daemon, "kernel", "hit", FOO)
        daemon.stop()
        self.assertEqual(self.ask(FOO), "hit")

    def test_sources_in_the_kernel(self):
        daemon = self.a_daemon(
            f"""policy 1 {{ kind = source verdict = denied from = {{ "{CLIENT}/32" }} }}
                policy 2 {{ kind = prefix verdict = hit urls = {{ "{FOO}" }} }}"""
        )
        self.assert_answered_by(daemon, "kernel", "denied", FOO)
        self.assert_answered_by(daemon, "kernel", "hit", FOO, "fd00:1::2")


if __name__ == "__main__":
    main()
