#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket, by curl and by many connections: resources, rights, limits."""

import json
import os
import subprocess

import icp
from daemon import Request
from lab import Lab, main
from neighbour import STRANGER
from net import PATIENCE, until

POLICY = 'policy "10" { kind = "prefix" verdict = "hit" url = "http://" }'


class Curl(Lab):
    """Requests by curl, as a script makes them."""

    sanitized = True

    def setUp(self):
        super().setUp()
        self.daemon_here = self.daemon(self.namespace("server"), POLICY).start()

    def curl(self, resource, *words, user=None):
        """Status and reply."""
        done = subprocess.run(
            [
                *("curl", "--silent", "--show-error", "--unix-socket", self.daemon_here.control),
                *("--write-out", "%{http_code} %{content_type}", *words, f"http://xdp-icp{resource}"),
            ],
            capture_output=True,
            check=True,
            text=True,
            user=user,
            timeout=PATIENCE,
        )
        text, _, last = done.stdout.rpartition("\n")
        status, kind = last.split()
        self.assertEqual(kind, "application/json")
        return int(status), json.loads(text)

    def test_reading(self):
        status, reply = self.curl("/v1/status")
        self.assertEqual((status, reply["policies"]), (200, 1))
        status, reply = self.curl("/v1/check", "-d", '{"urls": ["http://e.org/", "a b"]}')
        verdicts = [result["verdict"] for result in reply["results"]]
        self.assertEqual((status, verdicts), (200, ["ICP_OP_HIT", "ICP_OP_ERR"]))
        self.assertIn("answered", self.curl("/v1/counters")[1])
        paths = {one["path"] for one in self.curl("/v1")[1]["resources"]}
        self.assertIn("/v1/policies/", paths)

    def test_policies(self):
        place = "/v1/policies/20%20%5cxff"
        body = '{"kind": "prefix", "verdict": "denied", "urls": ["ftp://", "gopher://"]}'
        self.assertEqual(self.curl(place, "-X", "PUT", "-d", body), (200, {"policies": 2}))
        names = [policy["name"] for policy in self.curl("/v1/policies")[1]["policies"]]
        self.assertEqual(names, ["10", "20 \\xff"])
        self.assertEqual(self.curl(place, "-X", "DELETE"), (200, {"policies": 1}))
        self.assertEqual(self.curl(place, "-X", "DELETE")[0], 409)
        for body in ('{"kind": 7}', '{"kind": ["prefix", [7]]}', '{"kind": "\\\\x00"}', "[]", "x"):
            self.assertEqual(self.curl(place, "-X", "PUT", "-d", body)[0], 400, body)
        self.assertEqual(self.curl("/v1/policies/a%5cx00", "-X", "DELETE")[0], 400)
        self.assertEqual(self.curl("/v1/reload", "-X", "POST"), (200, {"policies": 1}))

    def test_saved_policies(self):
        body = '{"kind": "prefix", "verdict": "denied", "url": "ftp://"}'
        self.curl("/v1/policies/20?save=true", "-X", "PUT", "-d", body)
        self.assertEqual(self.curl("/v1/reload", "-X", "POST"), (200, {"policies": 2}))
        self.curl("/v1/policies/20?save=true", "-X", "DELETE")
        self.assertEqual(self.curl("/v1/reload", "-X", "POST"), (200, {"policies": 1}))

    def test_rules(self):
        rules = {"rules": [{"prefix": "", "verdict": "err"}, {"prefix": r"a&\xff", "verdict": "hit"}]}
        self.assertEqual(self.curl("/v1/rules", "-d", json.dumps(rules)), (200, {"loaded": 2, "removed": 0}))
        shown = {rule["prefix"]: rule["verdict"] for rule in self.curl("/v1/rules")[1]["rules"]}
        self.assertEqual(shown, {"": "ICP_OP_ERR", r"a&\xff": "ICP_OP_HIT"})
        removed = (200, {"loaded": 0, "removed": 1})
        self.assertEqual(self.curl("/v1/rules?prefix=", "-X", "DELETE"), removed)
        self.assertEqual(self.curl("/v1/rules?prefix=", "-X", "DELETE")[0], 404)
        self.assertEqual(self.curl("/v1/rules?prefix=a%26%ff", "-X", "DELETE"), removed)
        self.assertEqual(self.curl("/v1/rules", "-X", "DELETE")[0], 400)
        three = {"rules": [{"prefix": one, "verdict": "hit"} for one in "abc"]}
        self.assertEqual(self.curl("/v1/rules", "-d", json.dumps(three))[0], 200)
        change = {"rules": [{"prefix": "a", "verdict": None}, {"prefix": "z", "verdict": None}]}
        self.assertEqual(self.curl("/v1/rules", "-d", json.dumps(change))[0], 404)
        change["rules"][1]["verdict"] = "err"
        mixed = (200, {"loaded": 1, "removed": 1})
        self.assertEqual(self.curl("/v1/rules", "-d", json.dumps(change)), mixed)
        replaced = (200, {"loaded": 3, "removed": 1})
        self.assertEqual(self.curl("/v1/rules", "-X", "PUT", "-d", json.dumps(three)), replaced)
        shown = [rule["prefix"] for rule in self.curl("/v1/rules")[1]["rules"]]
        self.assertEqual(sorted(shown), ["a", "b", "c"])
        for rule in ({"prefix": "a"}, {"prefix": "a", "verdict": "no"}, {"verdict": "hit"}, 7):
            self.assertEqual(self.curl("/v1/rules", "-d", json.dumps({"rules": [rule]}))[0], 409)
            both = {"rules": [*three["rules"], rule]}
            self.assertEqual(self.curl("/v1/rules", "-X", "PUT", "-d", json.dumps(both))[0], 409)
        self.assertEqual(self.curl("/v1/rules", "-d", "{}")[0], 400)

    def test_drain(self):
        self.assertEqual(self.curl("/v1/drain", "-X", "PUT")[1]["drain"], "ICP_OP_MISS_NOFETCH")
        body = '{"verdict": "silence"}'
        reply = {"drain": "silence", "drain_saved": None}
        self.assertEqual(self.curl("/v1/drain", "-X", "PUT", "-d", body)[1], reply)
        self.assertEqual(self.curl("/v1/drain", "-X", "PUT", "-d", '{"verdict": "no"}')[0], 400)
        self.assertEqual(self.curl("/v1/drain", "-X", "DELETE"), (200, reply | {"drain": None}))

    def test_arguments_that_are_no_utf8(self):
        """They are refused, and not ignored."""
        for words in (("drain", "--verdict=denied\udcff"), ("check", "--source=\udcff", "http://x/")):
            done = self.daemon_here.icpctl(*words, check=False)
            self.assertEqual(done.returncode, 3)
            self.assertIn(r"\xff'", done.stderr)
        self.assertIsNone(self.daemon_here.status()["drain"])

    def test_unknown_names(self):
        """A request with a wrong name is refused instead of doing something else."""
        for method, path, body, told in (
            ("PUT", "/v1/drain", '{"reply": "hit"}', "unknown member 'reply'; known: verdict"),
            ("PUT", "/v1/drain", '{"verdict": 7}', "verdict 'not a string': unknown; it can be"),
            ("PUT", "/v1/drain?save=maybe", "{}", "save 'maybe': must be true or false"),
            ("PUT", "/v1/drain?keep=true", "{}", "unknown argument 'keep'; known: save"),
            ("PUT", "/v1/policies/10?save=1", '{"kind": "exact"}', "save '1': must be"),
            ("DELETE", "/v1/policies/10?save=1", "", "save '1': must be"),
            ("POST", "/v1/check", '{"urls": [], "from": "::1"}', "unknown member 'from'; known: urls source"),
            ("POST", "/v1/check", '{"urls": [], "source": 7}', "source 'not a string': not an"),
            ("GET", "/v1/status?verbose=1", "", "unknown argument 'verbose'; none is known here"),
        ):
            with self.subTest(path=path, body=body):
                status, reply = self.curl(path, "-X", method, *(["-d", body] if body else []))
                self.assertEqual(status, 400, reply)
                self.assertIn(told, reply["error"])
        self.assertEqual(self.curl("/v1/status")[1]["drain"], None)

    def test_trace(self):
        trace = subprocess.Popen(
            [
                *("curl", "--silent", "--no-buffer", "--unix-socket", self.daemon_here.control),
                "http://xdp-icp/v1/trace?url=http://e.org/&source=127.0.0.0/8",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: self.daemon_here.count("tracers"), "the trace to begin")
        client = self.client(self.daemon_here.namespace)
        for url in ("ftp://e.org/", "http://e.org/x"):
            client.exchange(icp.query(url, 1), "127.0.0.1")
        self.assertEqual(json.loads(trace.stdout.readline())["url"], "http://e.org/x")
        trace.terminate()
        trace.communicate()
        until(lambda: not self.daemon_here.count("tracers"), "the trace to end")

    def test_rights_of_a_reader(self):
        os.chmod(self.daemon_here.control, 0o666)
        os.chmod(self.daemon_here.control.parent, 0o755)
        for one in self.curl("/v1", user=STRANGER)[1]["resources"]:
            if one["path"] == "/v1/trace":
                continue
            resource = one["path"] + "x" * one["path"].endswith("/")
            status, _ = self.curl(resource, "-X", one["method"], user=STRANGER)
            # There is no such member, nor any cluster.
            missing = resource != one["path"] or one["path"] == "/v1/clusters/assignments"
            allowed = 400 if one["method"] == "POST" else 404 if missing else 200
            expected = 403 if one["changes"] or one["secret"] else allowed
            self.assertEqual(status, expected, one)
        self.assertIsNone(self.daemon_here.status()["drain"])


class ManyConnections(Lab):
    """Other users cannot lock root out of the control socket by connections or requests."""

    sanitized = True
    CONNECTIONS = 80  # more than the total limit
    RULES = 20000

    def setUp(self):
        super().setUp()
        settings = f"rules_max = {self.RULES}"
        self.daemon_here = self.daemon(self.namespace("server"), POLICY, settings=settings).start()
        os.chmod(self.daemon_here.control, 0o666)

    def begin(self, *words, uid=STRANGER):
        """A request as another user, who may read."""
        request = Request(self.daemon_here.control, *words, uid=uid)
        self.addCleanup(request.socket.close)
        return request

    def check(self, count):
        return self.begin("POST", "/v1/check", {"urls": ["http://e.org/"] * count})

    def is_answered_meanwhile(self, *words):
        """Send a long request and then short ones: are the short ones replied to first?"""
        long_one = self.begin(*words)
        for _ in range(10):  # some may be handled while the request is being read
            self.daemon_here.ask_control("GET", "/v1/counters")
        return long_one.is_open()

    def test_large_check_delays_no_other_request(self):
        """It is handled in slices: later requests are replied to in between."""
        urls = {"urls": ["a"] * 4096}
        self.assertTrue(
            any(self.is_answered_meanwhile("POST", "/v1/check", urls) for _ in range(30))
        )

    def test_long_list_of_rules_delays_no_other_request(self):
        rules = [{"prefix": f"http://{n}/", "verdict": "hit"} for n in range(self.RULES)]
        load = ("POST", "/v1/rules", {"rules": rules})
        self.assertEqual(self.daemon_here.ask_control(*load)["loaded"], self.RULES)
        self.assertTrue(any(self.is_answered_meanwhile("GET", "/v1/rules") for _ in range(30)))
        self.assertEqual(len(self.daemon_here.ask_control("GET", "/v1/rules")["rules"]), self.RULES)
        self.begin("GET", "/v1/rules").socket.close()  # which cancels the request
        self.begin(*load, uid=0).socket.close()
        self.daemon_here.status()

    def test_check_of_too_many_urls(self):
        status, reply = self.check(4097).reply()
        self.assertEqual(status, 400)
        self.assertIn("at most 4096", reply["error"])

    def test_check_of_too_many_values(self):
        """A value takes a hundred times the memory of its text."""
        nested = {"urls": [["{"] * 5, [{}] * 200_000]}
        status, reply = self.begin("POST", "/v1/check", nested).reply()
        self.assertEqual(status, 413, reply)
        self.assertIn("more than 20000 values", reply["error"])
        quoted = {"urls": ['\\"{},:' * 100] * 200}
        self.assertEqual(self.begin("POST", "/v1/check", quoted).reply()[0], 200)

    def test_readers_trace(self):
        """They leave room for root."""
        for _ in range(6):
            self.begin("GET", "/v1/trace")
        until(lambda: self.daemon_here.count("tracers") == 6, "six traces")
        status, reply = self.begin("GET", "/v1/trace").reply()
        self.assertEqual(status, 503)
        self.assertIn("6 clients are already tracing", reply["error"])
        self.begin("GET", "/v1/trace", uid=0)
        until(lambda: self.daemon_here.count("tracers") == 7, "root's trace")

    def test_number_of_many_rules(self):
        """They are counted in slices, so that status delays nothing."""
        rules = [{"prefix": f"http://{n}/", "verdict": "hit"} for n in range(self.RULES)]
        self.daemon_here.ask_control("POST", "/v1/rules", {"rules": rules[:4096]})
        self.assertEqual(self.daemon_here.status()["rules"], 4096)
        self.daemon_here.ask_control("POST", "/v1/rules", {"rules": rules})
        self.assertNotEqual(self.daemon_here.status()["rules"], self.RULES)
        until(lambda: self.daemon_here.status()["rules"] == self.RULES, "the count")

    def test_many_checks_wait_for_policies(self):
        """Those of readers leave the helper room for queries; all are decided in the end."""
        go = self.directory() / "go"
        wait = f"while ! test -e {go}; do sleep 0.1; done; while read -r url; do echo hit; done"
        self.daemon_here.configure(
            f"""policy "20" {{
                kind = "helper" timeout = "10s" program = {{ "/bin/sh", "-c", "{wait}" }}
            }}"""
        )
        self.daemon_here.icpctl("reload")

        def asked():
            (policy,) = self.daemon_here.ask_control("GET", "/v1/policies")["policies"]
            return policy["helper"]["busy"] + policy["helper"]["queued"]

        left = self.check(20)
        until(lambda: asked() == 16, "a check to wait")
        left.socket.close()  # the helper still has its questions
        checks = [self.check(20) for _ in range(5)]
        until(lambda: asked() >= 24, "the checks to wait")
        self.assertEqual({asked() for _ in range(20)}, {24})
        go.touch()
        for status, reply in [check.reply() for check in checks]:
            self.assertEqual((status, len(reply["results"])), (200, 20))

    def test_peer_of_a_check_closes(self):
        """At any stage: with URLs still to begin, and some that wait for a helper."""
        mute = """policy "20" {
            kind = "helper" timeout = "10s" program = { "/bin/sh", "-c", "cat >/dev/null" }
        }"""
        self.daemon_here.reload(mute)
        for number in range(20):
            request = self.check(40)
            if number % 2:
                self.daemon_here.status()
            request.socket.close()
        self.check(40)
        self.daemon_here.status()
        self.daemon_here.stop()  # with a pending request

    def test_idle_connections(self):
        crowd = [self.begin() for _ in range(self.CONNECTIONS)]
        self.assertEqual(self.daemon_here.icpctl("status", check=False).returncode, 0)
        crowd[-1].send("GET", "/v1/status")
        status, refusal = crowd[-1].reply()
        self.assertEqual(status, 503)
        self.assertIn("too many connections", refusal["error"])
        self.assertIn("ok", self.daemon_here.icpctl("--json", "drain").stdout)


if __name__ == "__main__":
    main()
