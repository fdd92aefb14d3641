#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics: what is served by HTTP on TCP, to whom, and that it delays nothing else."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import time

import icp
from lab import Lab, main
from net import PATIENCE, until

PORT = 9130
CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text"
HOSTILE = 'policy \'20 "q\\\\n{}\' { kind = "flag" verdict = "miss_nofetch" path = "/nowhere/flag" }'
POLICIES = f"""
policy "10-mine" {{ kind = "prefix" verdict = "hit" url = "http://a/" }}
{HOSTILE}
"""


class Served(Lab):
    sanitized = True

    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")
        self.daemon_here = self.daemon(
            self.server, POLICIES, settings=f'metrics = "127.0.0.1:{PORT}"'
        ).start()

    def connect(self):
        stream = self.server.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(stream.close)
        stream.settimeout(PATIENCE)
        stream.connect(("127.0.0.1", PORT))
        return stream

    def ask(self, method, path, body=None, **headers):
        """Status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        connection.sock = self.connect()
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read().decode()

    def samples(self):
        """All samples, by name with labels."""
        _, _, text = self.ask("GET", "/metrics", Accept=OPEN)
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def test_formats(self):
        status, headers, text = self.ask("GET", "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, CLASSIC))
        self.assertIn("# TYPE xdp_icp_replies_total counter\n", text)
        self.assertNotIn("_created", text)
        status, headers, text = self.ask("GET", "/metrics", Accept=f"{OPEN};version=1.0.0,*/*;q=0.1")
        self.assertEqual((status, headers["Content-Type"].split(";")[0]), (200, OPEN))
        self.assertIn("# TYPE xdp_icp_replies counter\n", text)
        self.assertRegex(text, r"\nxdp_icp_replies_created\{by=\"daemon\"\} \d+")
        self.assertTrue(text.endswith("\n# EOF\n"))

    def test_status_tells_the_address(self):
        said = self.daemon_here.icpctl("status").stdout
        self.assertIn(f"metrics     http://127.0.0.1:{PORT}/metrics\n", said)

    def test_counts(self):
        client = self.client(self.server)
        for number, url in enumerate(["http://a/1", "http://a/2", "http://b/"], 1):
            client.exchange(icp.query(url, number), "127.0.0.1")
        client.exchange(icp.query("http://c /", 4), "127.0.0.1")
        mine = 'xdp_icp_decisions_total{decider="policy",policy="10-mine",verdict="hit",by="daemon"}'
        until(lambda: self.samples()[mine] == 2, "the decisions to be shown")
        samples = self.samples()
        self.assertEqual(samples['xdp_icp_replies_total{by="daemon"}'], 4)
        # No policy has decided about what is no URL, nor has the default.
        self.assertEqual(sum(value for name, value in samples.items() if "decisions_total" in name), 3)
        self.assertEqual(
            samples['xdp_icp_decisions_total{decider="default",verdict="miss",by="daemon"}'], 1
        )
        # Backslash and quote are escaped for JSON's sake, and then as label values are.
        self.assertIn(r'xdp_icp_policy_matches{policy="20 \"q\\\\n{}"}', samples)

    def test_latency_counts_what_waits_for_the_daemon(self):
        process = self.daemon_here.process
        client = self.client(self.server)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # until all threads have stopped
        client.send(icp.query("http://a/", 1), "127.0.0.1")
        time.sleep(0.06)
        process.send_signal(signal.SIGCONT)
        client.receive()
        name = "xdp_icp_daemon_reply_seconds"
        until(lambda: self.samples()[f"{name}_count"], "the reply to be counted")
        samples = self.samples()
        self.assertEqual([samples[f'{name}_bucket{{le="{le}"}}'] for le in ("0.05", "+Inf")], [0, 1])
        self.assertGreaterEqual(samples[f"{name}_sum"], 0.06)
        for _ in range(2):
            last = self.daemon_here.status()["latency"][-1]
            self.assertEqual(last, {"within": None, "replies": 1})
            self.daemon_here.icpctl("reload")

    def test_requests_that_are_refused(self):
        for method, path, host, expected in (
            ("POST", "/metrics", "localhost", 405),
            ("PUT", "/v1/drain", "localhost", 404),
            ("DELETE", "/metrics", "localhost", 405),
            ("GET", "/metrics/", "localhost", 404),
            ("GET", "/v1/rules", "localhost", 404),
            ("GET", "/v1/counters", "localhost", 404),
            ("POST", "/v1/check", "localhost", 405),
            ("GET", "/v1/status", "evil.example.org", 403),
            ("GET", "/x", "localhost", 404),
            ("GET", "/metrics", "evil.example.org", 403),
            ("GET", "/metrics", "localhost.example.org", 403),
            ("GET", "/metrics", "[::1]:9130", 200),
            ("GET", "/metrics", "LOCALHOST:9130", 200),
            ("GET", "/metrics", socket.gethostname(), 200),
            ("GET", "/v1", "192.0.2.1", 200),
        ):
            with self.subTest(f"{method} {path} {host}"):
                status, _, text = self.ask(method, path, Host=host)
                self.assertEqual(status, expected, text)
        status, headers, _ = self.ask("POST", "/metrics", "{}")
        self.assertEqual((status, headers.get_all("Allow")), (405, ["GET"]))
        status, headers, text = self.ask("HEAD", "/metrics")
        self.assertEqual((status, text), (200, ""))
        self.assertGreater(int(headers["Content-Length"]), 1000)

    def get(self, path, expected=200, **headers):
        """The JSON that is served, of this status."""
        status, _, text = self.ask("GET", path, **headers)
        self.assertEqual(status, expected, text)
        return json.loads(text)

    def test_page(self):
        pages = [self.ask("GET", "/") for _ in range(2)]
        for status, headers, text in pages:
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            nonces = set(re.findall(r'nonce="?-?([0-9a-f]{32})', text))
            policy = headers["Content-Security-Policy"]
            self.assertEqual(set(re.findall(r"'nonce-([0-9a-f]+)'", policy)), nonces)
            self.assertIn("default-src 'none'", policy)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Referrer-Policy"], "no-referrer")
            self.assertNotIn("unsafe", policy)
            self.assertNotRegex(text, r"innerHTML|insertAdjacentHTML|document\.write|\bon[a-z]+=")
            self.assertNotRegex(text, r"(src|href)=.(https?:)?//")
        name = "Content-Security-Policy"
        self.assertNotEqual(pages[0][1][name], pages[1][1][name])
        self.assertIn("default-src 'none'", self.ask("GET", "/v1/status")[1][name])

    def test_what_is_public(self):
        log = f'host = e.org window = 1m log = "{self.daemon_here.config.parent}/no.log"'
        recent = f'policy "30" {{ kind = recent verdict = hit key = host {log} }}'
        self.daemon_here.reload(POLICIES + recent)
        status, policies = self.get("/v1/status"), self.get("/v1/policies")
        self.assertEqual((status["mode"], policies["count"]), ("userspace", 3))
        self.assertEqual(["why" in state for state in status["states"]], [True, False])
        self.assertIn("answered", status)
        for name in ("config", "pin_dir", "pid", "listen", "metrics"):
            self.assertNotIn(name, status)
        self.assertNotIn("where", policies["policies"][0])
        self.assertNotIn(str(self.daemon_here.config.parent), json.dumps([status, policies]))
        self.daemon_here.config.write_text("secret")
        self.daemon_here.icpctl("reload", check=False)
        error = until(lambda: self.get("/v1/status")["last_reload"]["error"], "the reload's error")
        self.assertIn("icpctl status", error)

    def test_check(self):
        before = self.daemon_here.count("answered.daemon")
        result = self.get("/v1/check?url=http%3A%2F%2Fa%2F1&source=192.0.2.1")["results"][0]
        self.assertEqual((result["verdict"], result["policy"]), ("ICP_OP_HIT", "10-mine"))
        self.assertEqual(self.daemon_here.count("answered.daemon"), before)
        for path in ("/v1/check", "/v1/check?url=" + 4097 * "x", "/v1/check?url=%ff"):
            self.get(path, 400)
        self.assertIn("not an IPv4", self.get("/v1/check?url=a&source=x", 400)["error"])
        self.get("/v1/check?url=a", 403, **{"Sec-Fetch-Site": "cross-site"})
        self.get("/v1/check?url=a", 200, **{"Sec-Fetch-Site": "same-origin"})
        answers = {self.ask("GET", "/v1/check?url=a")[0] for _ in range(40)}
        self.assertLessEqual(answers, {200, 503})
        until(lambda: self.ask("GET", "/v1/check?url=a")[0] == 200, "another check to be granted")

    def test_checks_that_wait_are_few(self):
        mute = """policy "50" {
            kind = "helper" timeout = "10s" program = { "/bin/sh", "-c", "cat >/dev/null" }
        }"""
        self.daemon_here.reload(mute)
        held = [self.connect() for _ in range(6)]
        for stream in held:
            stream.sendall(b"GET /v1/check?url=http://e/ HTTP/1.1\r\nHost: localhost\r\n\r\n")

        def refused(stream):
            with contextlib.suppress(BlockingIOError):
                return b" 503 " in stream.recv(64, socket.MSG_PEEK | socket.MSG_DONTWAIT)

        until(lambda: sum(map(bool, map(refused, held))) == 2, "two of six checks to be refused")
        for stream in held:
            stream.close()
        self.daemon_here.reload("")
        until(lambda: self.ask("GET", "/v1/check?url=a")[0] == 200, "checks to have ended")

    def test_a_body_is_not_read(self):
        stream = self.connect()
        stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: [::]\r\nContent-Length: 1000000\r\n\r\nx")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(stream.recv(1 << 16), b"")

    def test_connections_that_are_held_open(self):
        held = [self.connect() for _ in range(40)]
        for stream in held:
            with contextlib.suppress(ConnectionError):
                stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        self.assertEqual(self.ask("GET", "/metrics")[0], 200)
        self.assertEqual(self.daemon_here.request("GET", "/v1/status")[0], 200)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(held[0].recv(1), b"", "the oldest connection is not closed")

    def test_rules_are_counted_in_slices(self):
        rules = [{"prefix": f"http://{number}/", "verdict": "miss"} for number in range(1000)]
        self.daemon_here.ask_control("PUT", "/v1/rules", {"rules": rules})
        until(lambda: self.samples()['xdp_icp_map_entries{map="rules"}'] == 1000, "them to be counted")

    def test_many_requests(self):
        """After a number of connections there is a pause, and no end."""
        for _ in range(250):
            self.assertEqual(self.ask("HEAD", "/metrics")[0], 200)

    def test_the_address_is_free_again_at_once(self):
        self.client(self.server).ask("http://a/", "127.0.0.1")
        replies, created = (f'xdp_icp_replies_{name}{{by="daemon"}}' for name in ("total", "created"))
        until(lambda: self.samples()[replies] == 1, "the reply to be shown")
        before = self.samples()[created]
        self.daemon_here.stop()
        self.daemon_here.start()
        self.assertEqual(self.samples()[replies], 0)
        self.assertGreater(self.samples()[created], before)
        other = self.daemon(self.server, settings=f'metrics = "127.0.0.1:{PORT}"', listen=["127.0.0.1:3140"])
        other.launch()
        self.assertEqual(other.wait(), 1)
        told = f"metrics 127.0.0.1:{PORT}: Address already in use; another process has it: stop that"
        self.assertIn(told, other.log.read_text())


if __name__ == "__main__":
    main()
