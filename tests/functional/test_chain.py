#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The chain while the daemon runs: policies that come and go, gates, what is remembered, a drain."""

import os
import json
import signal
import socket
import time

import icp
from lab import Lab, main
from net import until
from wire import CLIENT, SERVER, Wire

FOO, BAR, BAZ = (f"http://example.com/{word}" for word in ("foo", "bar", "baz"))
BOTH = "http://example.com/foo/baz"


class Walk:
    """The walk through zc.icp's README: each step counts with the next query."""

    def policies(self, daemon):
        return json.loads(daemon.icpctl("--json", "policy", "list").stdout)["policies"]

    def test_the_readme_of_zc_icp(self):
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

    def test_the_same_name_replaces(self):
        daemon = self.a_daemon("")
        daemon.icpctl("policy", "add", "x", "kind=prefix", "verdict=hit", f"urls={FOO}")
        self.assertEqual(self.ask(FOO), "hit")
        daemon.icpctl("policy", "add", "x", "kind=exact", "verdict=denied", f"urls={BAR}")
        self.assertEqual(self.ask(FOO), "miss")
        self.assertEqual(self.ask(BAR), "denied")
        daemon.icpctl("policy", "remove", "x")
        self.assertEqual(self.ask(BAR), "miss")

    def test_a_mistake_changes_nothing(self):
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

    def test_what_is_saved_outlives_a_restart(self):
        daemon = self.a_daemon("")
        # The daemon has dropped its rights: the directory must be its own.
        directory = daemon.config.with_name(daemon.config.name + ".d")
        directory.mkdir()
        os.chmod(directory, 0o777)
        strange = "20 \"odd\" 'na/me' ${HOME} \\x"
        daemon.icpctl(
            "policy", "add", strange, "kind=regex", "verdict=hit", r"patterns=\.(gif|png)$", "--save"
        )
        daemon.icpctl("policy", "add", "gone", "kind=prefix", "verdict=hit", f"urls={FOO}")
        daemon.stop()
        daemon.start()
        self.assertEqual(self.ask("http://e.org/x.gif"), "hit")
        self.assertEqual(self.ask("http://e.org/xgif"), "miss")
        self.assertEqual(self.ask(FOO), "miss")
        daemon.icpctl("policy", "remove", strange, "--save")
        self.assertEqual(self.ask("http://e.org/x.gif"), "miss")
        daemon.icpctl("reload")
        self.assertEqual(self.ask("http://e.org/x.gif"), "miss")

    def test_a_drain(self):
        daemon = self.a_daemon(f"policy x {{ kind = prefix verdict = hit urls = {{ '{FOO}' }} }}")
        daemon.icpctl("rules", "add", BAR, "hit")
        daemon.icpctl("drain")
        self.assertEqual([self.ask(FOO), self.ask(BAR)], ["miss_nofetch"] * 2)
        daemon.icpctl("drain", "--verdict", "denied")
        self.assertEqual(self.ask(FOO), "denied")
        daemon.icpctl("undrain")
        self.assertEqual([self.ask(FOO), self.ask(BAR)], ["hit"] * 2)
        daemon.icpctl("drain", "--verdict", "silence")
        before = daemon.count("silent.drain")
        self.send(FOO)
        until(lambda: daemon.count("silent.drain") == before + 1, "the query to be met by silence")
        daemon.icpctl("undrain")

    def test_a_dead_origin_stays_dead_across_a_reload(self):
        """For seconds nobody could know anew; nothing listens on port 1."""
        health = """policy 1 { kind = health verdict = miss_nofetch tcp = "127.0.0.1:1"
                               fall = 5 interval = 1s }"""
        daemon = self.a_daemon(health)
        until(lambda: self.ask(FOO) == "miss_nofetch", "the origin to be dead")
        daemon.icpctl("reload")
        self.assertEqual(self.ask(FOO), "miss_nofetch")
        daemon.icpctl("policy", "add", "2", "kind=prefix", "verdict=hit", f"url={FOO}")
        self.assertEqual(self.ask(FOO), "miss_nofetch")
        daemon.configure(health.replace(":1\"", ":2\""))
        daemon.icpctl("reload")
        self.assertEqual(self.ask(FOO), "miss")

    def test_the_end_after_a_drain(self):
        daemon = self.a_daemon(
            f"drain_time = '2s' policy x {{ kind = prefix verdict = hit urls = {{ '{FOO}' }} }}"
        )
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: self.ask(FOO) == "miss_nofetch", "the drain")
        self.assertEqual(daemon.wait(), 0)


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

    def send(self, url):
        self.asking.send(icp.query(url, 4711), "127.0.0.1")


class Kernel(Walk, Wire):
    sanitized = True

    def a_daemon(self, policies, **settings):
        return self.responder(policies, **settings).start()

    def send(self, url):
        self.asker[socket.AF_INET].send(icp.query(url, 4711), SERVER)

    def test_what_the_daemon_decides_is_remembered(self):
        daemon = self.a_daemon("policy x { kind = regex verdict = hit pattern = 'fo+' }")
        self.assert_answered_by(daemon, "daemon", "hit", FOO)
        self.assert_answered_by(daemon, "kernel", "hit", FOO)
        self.assert_answered_by(daemon, "daemon", "miss", BAR)
        self.assert_answered_by(daemon, "kernel", "miss", BAR)
        # A registration invalidates all of it at once.
        daemon.icpctl("policy", "add", "a", "kind=substring", "verdict=denied", "text=foo")
        self.assert_answered_by(daemon, "daemon", "denied", FOO)
        self.assert_answered_by(daemon, "kernel", "denied", FOO)

    def test_hot_urls_survive_a_flood_of_others(self):
        daemon = self.a_daemon(
            "verdicts_max = 1024 policy x { kind = regex verdict = hit pattern = 'fo+' }"
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

    def test_what_is_watched_stops_with_the_lease(self):
        daemon = self.a_daemon(
            f"""lease = "500ms"
                policy 1 {{ kind = prefix verdict = hit urls = {{ "{BAR}" }} }}
                policy 2 {{ kind = flag verdict = miss_nofetch path = "/nowhere/at/all" }}
                policy 3 {{ kind = prefix verdict = hit urls = {{ "{FOO}" }} }}"""
        )
        self.assertEqual(self.ask(FOO), "hit")
        daemon.kill()
        time.sleep(1)
        self.send(FOO)
        self.assertEqual(self.ask(BAR), "hit")  # and nothing came for the one before it

    def test_sources_in_the_kernel(self):
        daemon = self.a_daemon(
            f"""policy 1 {{ kind = source verdict = denied from = {{ "{CLIENT}/32" }} }}
                policy 2 {{ kind = prefix verdict = hit urls = {{ "{FOO}" }} }}"""
        )
        self.assert_answered_by(daemon, "kernel", "denied", FOO)
        self.assert_answered_by(daemon, "kernel", "hit", FOO, "fd00:1::2")


if __name__ == "__main__":
    main()
