#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clusters: membership and assignments by a real etcd, with faults, and by a hostile one."""

import base64
import contextlib
import json
import os
import pathlib
import queue
import signal
import socket
import threading
import time
import urllib.parse

from daemon import BUILD
from etcd import PORT, Etcd
from lab import Lab, main
from net import PATIENCE, run, until
from neighbour import NOBODY

ADMIN = "http://www.example.org/admin/"
POLICY = 'policy "80-site" { kind = "partition"  cluster = "site"  verdict = "hit"  others = "miss" }'


def listen(port):
    return (f"127.0.0.1:{port}",)


class WallClock:
    """That of a process with tests/plugins/jump.c."""

    def __init__(self, path):
        self.path = path

    def jump(self, seconds):
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self.path)


class ClusterLab(Lab):
    ttl = "2s"
    endpoint = f"http://127.0.0.1:{PORT}"

    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")

    def member(self, name, port, settings="", endpoints=None, state=None, **more):
        daemon = self.daemon(self.server, listen=listen(port), **more)
        if not state:
            state = self.directory()
            os.chown(state, NOBODY, -1)
            os.chmod(state, 0o755)
        daemon.state = state / "cluster-site"
        etcd = ", ".join(f'"{one}"' for one in endpoints or [self.endpoint])
        daemon.settings.append(
            f'cluster "site" {{ etcd = {{ {etcd} }} member = "{name}" ttl = {self.ttl}\n'
            f'state = "{state}"\n{settings} }}'
        )
        daemon.configure(POLICY)
        return daemon

    def etcd(self, *options, **settings):
        etcd = Etcd(self.server, self.directory(), *options, **settings)
        self.addCleanup(etcd.kill)
        return etcd

    @staticmethod
    def cluster(daemon):
        return daemon.ask_control("GET", "/v1/clusters")["clusters"][0]

    def until_state(self, daemon, state, **more):
        """Wait until the state is that, and other members have those values."""
        wanted = {"state": state, **more}

        def reached():
            cluster = self.cluster(daemon)
            return all(cluster[name] == value for name, value in wanted.items())

        try:
            until(reached, f"{wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.cluster(daemon)}") from error

    def until_error(self, daemon, text):
        until(lambda: text in (self.cluster(daemon)["error"] or ""), f"the error {text}")

    def names(self, daemon):
        return [one["name"] for one in self.cluster(daemon)["list"]]

    @staticmethod
    def verdicts(daemon):
        return [daemon.checked(f"http://www.example.org/{i}") for i in range(20)]

    def owners(self, *daemons):
        """For each of some URLs the number of the daemon that owns it; None: they do not agree."""
        found = list(zip(*map(self.verdicts, daemons)))
        if any(of_url.count("ICP_OP_HIT") != 1 for of_url in found):
            return None
        return [of_url.index("ICP_OP_HIT") for of_url in found]

    def drained(self, daemon):
        return [one["name"] for one in self.cluster(daemon)["list"] if one["drained"]]


class Cluster(ClusterLab):
    def test_members_and_what_operators_change(self):
        etcd = self.etcd().start()
        a = self.member("origin-a", 3130, "weight = 200").start()
        b = self.member("origin-b", 3131).start()
        for daemon in (a, b):
            self.until_state(daemon, "ok", members=2)
        self.assertEqual(
            self.cluster(b)["list"][0],
            {
                "name": "origin-a",
                "weight": 200,
                "drained": False,
                "version": a.status()["version"],
                "addresses": "127.0.0.1:3130",
            },
        )

        a.icpctl("cluster", "drain", "origin-b")
        until(lambda: self.drained(a) == self.drained(b) == ["origin-b"], "the drain")
        urls = [f"http://www.example.org/{i}" for i in range(20)]
        until(lambda: {a.checked(url) for url in urls} == {"ICP_OP_HIT"}, "all to be taken over")
        until(lambda: {b.checked(url) for url in urls} == {"ICP_OP_MISS"}, "all to be left")
        b.icpctl("cluster", "undrain", "origin-b")
        until(lambda: self.drained(a) == self.drained(b) == [], "the end of the drain")

        strange = "http://e.org/\\xff\\\\"
        for prefix, target in (
            (ADMIN, "origin-b"),
            ("http://e.org/", "MISS"),
            (strange, "origin-a"),
        ):
            a.icpctl("cluster", "assign", prefix, target)
        self.until_state(b, "ok", assignments=3)
        until(
            lambda: [b.checked(ADMIN), a.checked(ADMIN)] == ["ICP_OP_HIT", "ICP_OP_MISS"],
            "the owner",
        )
        value = etcd.ctl("get", "--print-value-only", f"/xdp-icp/site/assign/{ADMIN}").stdout
        self.assertEqual(json.loads(value), {"member": "origin-b"})
        self.refused(a, "there is no member 'x'", "assign", ADMIN, "x")
        self.refused(a, "there is no member 'x'", "drain", "x")
        self.refused(a, "not drained", "undrain", "origin-a")
        self.refused(a, "white space", "assign", "http://e.org/ ", "miss")
        self.refused(a, "not assigned", "unassign", ADMIN + "x")
        self.plan(a, strange)
        for prefix in (ADMIN, strange):
            b.icpctl("cluster", "unassign", prefix)
        self.until_state(a, "ok", assignments=1)

        self.ask_for_help(a)
        self.try_nonsense(etcd, a, b)
        self.try_the_own_key(etcd, a, b)
        self.reload(a, b)
        b.stop()
        self.until_state(a, "ok", members=1)

    def refused(self, daemon, text, *words):
        done = daemon.icpctl("cluster", *words, check=False)
        self.assertEqual(done.returncode, 3, done)
        self.assertIn(text, done.stderr)

    def ask_for_help(self, a):
        text = a.icpctl("cluster", "status").stdout
        self.assertIn("site, ok, 2 members, 1 assigned prefix, confirmed", text)
        self.assertRegex(text, r"\n  origin-a +weight 200, this one, 127\.0\.0\.1:3130\n")
        self.assertRegex(a.icpctl("status").stdout, r"\nclusters +site, ok, 2 members,")
        self.assertIn('cluster "site" {', a.icpctl("config", "dump").stdout)
        status = json.loads(a.icpctl("--json", "cluster", "status").stdout)["clusters"][0]
        self.assertNotIn("list", a.status()["clusters"][0])
        self.assertEqual(status["members"], 2)

    def try_nonsense(self, etcd, a, b):
        """It is reported, and everything else stays as it was."""
        before = self.cluster(a)["list"]
        keys = {
            "members/zero": '{"weight": 0}',
            "members/no-json": "\xff{",
            "members/a b": '{"weight": 1}',
            f"members/{'x' * 65}": '{"weight": 1}',
            "members/origin-b": '{"weight": 1, "name": "origin-a"}',
            "assign/": '{"member": "origin-a"}',
            "other": "x" * 100000,
        }
        for number, (key, value) in enumerate(keys.items()):
            etcd.put(key, value)
            until(lambda: self.cluster(a)["bad_keys"] == number + 1, f"{key} is bad")
        etcd.put("assign/http://unknown.org/", '{"member": "unknown"}')
        self.until_state(a, "ok", assignments=2)
        until(lambda: "weight" in a.log.read_text(), "a message")
        for key in keys:
            if key != "members/origin-b":
                etcd.delete("--", f"/xdp-icp/site/{key}")
        etcd.delete("--", "/xdp-icp/site/assign/http://unknown.org/")
        self.until_state(a, "ok", assignments=1)
        self.assertEqual(self.cluster(a)["list"], before)
        # Its own key, which another has overwritten without a lease, is not its own any more.
        self.until_error(b, "another member has the name")
        self.until_state(b, "unregistered")
        etcd.delete("/xdp-icp/site/members/origin-b")
        self.until_state(b, "ok", members=2)

    def try_the_own_key(self, etcd, a, b):
        """It comes back when it is deleted, and when the lease is lost."""
        etcd.delete("/xdp-icp/site/members/origin-a")
        self.until_state(a, "ok", members=2)
        lease = self.cluster(a)["lease"]
        etcd.ctl("lease", "revoke", lease)
        until(lambda: self.cluster(a)["lease"] not in (None, lease), "another lease")
        for daemon in (a, b):
            self.until_state(daemon, "ok", members=2)

    def reload(self, a, b):
        """A cluster that has changed is started again, with the same lease; the same one goes on."""
        lease, reads = self.cluster(a)["lease"], self.cluster(a)["reads"]
        a.icpctl("reload")
        self.assertEqual(self.cluster(a)["reads"], reads)
        a.settings[-1] = a.settings[-1].replace("weight = 200", "weight = 201")
        a.reload(POLICY)
        until(
            lambda: self.names(b) == ["origin-a", "origin-b"]
            and self.cluster(b)["list"][0]["weight"] == 201,
            "the weight",
        )
        self.until_state(a, "ok", members=2, lease=lease)
        settings = a.settings.pop()
        a.configure(POLICY)
        self.assertEqual(a.icpctl("reload", check=False).returncode, 3)  # the policy is left
        a.reload("")
        until(lambda: a.ask_control("GET", "/v1/clusters")["clusters"] == [], "no cluster")
        self.until_state(b, "ok", members=1)
        a.settings.append(settings)
        a.reload(POLICY)
        self.until_state(b, "ok", members=2)
        until(lambda: self.names(a) == ["origin-a", "origin-b"], "the members")

    def plan(self, a, strange):
        """Plans know the assignments of the daemon's map."""
        file = self.directory() / "urls"
        file.write_text(f"{ADMIN}1\nhttp://e.org/1\n{strange}1\n{strange}1\n")
        for words, expected in (
            ((), []),
            (("--unassign", strange), [("origin-a", "ICP_OP_MISS", 2)]),
            ((f"--assign={ADMIN}=origin-a", "--without=origin-b"), [("origin-b", "origin-a", 1)]),
        ):
            told = json.loads(a.icpctl("--json", "cluster", "plan", *words, file).stdout)
            moves = [(one["from"], one["to"], one["requests"]) for one in told["moves"]]
            self.assertEqual(moves, expected)
        page = a.ask_control("GET", "/v1/clusters/assignments?limit=2")
        self.assertEqual((len(page["assignments"]), page["count"]), (2, 3))
        last = urllib.parse.quote(page["assignments"][-1]["prefix"])
        rest = a.ask_control("GET", f"/v1/clusters/assignments?limit=2&after={last}")["assignments"]
        self.assertEqual([one["prefix"] for one in rest], [ADMIN])

    def test_a_map_that_no_chain_could_be_built_by(self):
        """It takes effect when the cause is gone, here a file that was missing for a moment."""
        self.etcd().start()
        urls = self.directory() / "urls"
        urls.write_text("http://other.example.org/\n")
        urls.parent.chmod(0o755)
        a = self.member("origin-a", 3130)
        a.configure(POLICY + f'policy "10" {{ kind = "prefix" verdict = "miss" file = "{urls}" }}')
        a.start()
        self.until_state(a, "ok", members=1)
        until(lambda: a.checked(ADMIN) == "ICP_OP_HIT", "the first map")
        urls.rename(f"{urls}.away")
        a.icpctl("cluster", "assign", ADMIN, "denied")
        failure = "cannot rebuild the chain for a new cluster map"
        until(lambda: failure in a.log.read_text(), "the chain not to be built")
        self.assertEqual(a.checked(ADMIN), "ICP_OP_HIT")
        pathlib.Path(f"{urls}.away").rename(urls)
        until(lambda: a.checked(ADMIN) == "ICP_OP_DENIED", "the map to take effect")

    def test_two_daemons_of_one_name(self):
        """The second one says so, and takes over when the first ends."""
        self.etcd().start()
        a = self.member("origin-a", 3130).start()
        self.until_state(a, "ok", members=1)
        b = self.member("origin-a", 3131).start()
        self.until_error(b, "127.0.0.1:3130")
        self.until_state(b, "unregistered", members=1)
        self.until_state(a, "ok", members=1)
        a.stop()
        self.until_state(b, "ok", members=1)


class Faults(ClusterLab):
    ttl = "60s"  # the lease lasts, unless a test is about that

    def test_etcd_comes_and_goes(self):
        etcd = self.etcd()
        a = self.member("origin-a", 3130, 'when_isolated = "miss"').start()
        until(lambda: self.cluster(a)["error"], "an error")
        self.assertEqual(self.cluster(a)["members"], 0)
        self.assertIsNone(self.cluster(a)["age"])
        self.refused_in_time(a)
        etcd.start()
        self.until_state(a, "ok", members=1, saved=True)
        lease = self.cluster(a)["lease"]
        etcd.put("assign/http://e.org/", '{"verdict": "miss"}')
        self.until_state(a, "ok", assignments=1, saved=True)

        # Gone: the last map stays, also for a daemon that is killed and started.
        etcd.kill()
        self.until_state(a, "unreachable", members=1, assignments=1)
        a.kill()
        clock = self.wall_clock()
        a.start("env", f"LD_PRELOAD={BUILD}/tests/plugins/jump.so", f"XDP_ICP_JUMP={clock.path}")
        self.until_state(a, "unreachable", members=1, assignments=1, lease=None)
        self.assertIsNotNone(self.cluster(a)["age"])

        # That the wall clock has passed the end of the lease means nothing.
        clock.jump(1_000_000_000)
        failures = self.cluster(a)["failures"]
        until(lambda: self.cluster(a)["failures"] > failures, "another attempt")
        self.until_state(a, "unreachable", isolated=False)
        self.assertEqual(a.checked(ADMIN), "ICP_OP_HIT")

        # Back: with the lease of before.
        clock.jump(-1_000_000_000)
        etcd.start()
        self.until_state(a, "ok", members=1, assignments=1, lease=lease)
        self.compact(etcd, a)
        self.damage(etcd, a)

    def wall_clock(self):
        clock = WallClock(self.directory() / "clock")
        clock.jump(0)
        return clock

    def refused_in_time(self, a):
        """A change that does not reach etcd fails with the reason."""
        done = a.icpctl("cluster", "assign", ADMIN, "miss", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("etcd has not replied", done.stderr)
        self.assertIn("Failed to connect", done.stderr)

    def compact(self, etcd, a):
        """The revision to resume the watch at is gone: everything is read again."""
        reads = self.cluster(a)["reads"]
        a.process.send_signal(signal.SIGSTOP)
        try:
            etcd.kill()
            etcd.start()
            etcd.put("assign/http://f.org/", '{"verdict": "hit"}')
            etcd.put("assign/http://g.org/", '{"verdict": "hit"}')
            etcd.ctl("compact", str(etcd.revision()))
        finally:
            a.process.send_signal(signal.SIGCONT)
        self.until_state(a, "ok", assignments=3, saved=True)
        self.assertEqual(self.cluster(a)["reads"], reads + 1)

        # Resumed where it was, without that.
        etcd.kill()
        self.until_state(a, "unreachable")
        etcd.start()
        etcd.delete("/xdp-icp/site/assign/http://g.org/")
        self.until_state(a, "ok", assignments=2, saved=True)
        self.assertEqual(self.cluster(a)["reads"], reads + 1)

    def damage(self, etcd, a):
        """A file that is damaged, or another user's, is not used."""
        a.stop()
        etcd.kill()
        text = a.state.read_bytes()
        a.state.write_bytes(text.replace(b"f.org", b"g.org"))
        a.start()
        self.assertEqual(self.cluster(a)["members"], 0)
        self.assertIn("damaged", self.cluster(a)["state_error"])
        a.kill()
        a.state.write_bytes(text)
        os.chown(a.state, 12345, -1)
        a.start()
        self.assertEqual(self.cluster(a)["members"], 0)
        self.assertIn("12345", self.cluster(a)["state_error"])

    def test_a_key_that_was_deleted_while_there_was_no_watch(self):
        """A read of all keys without the key of this member has the effect of its deletion."""
        self.ttl = "60s"
        own = "/xdp-icp/site/members/origin-a"
        etcd = self.etcd().start()
        a = self.member("origin-a", 3130).start()
        self.until_state(a, "ok", members=1, saved=True)
        a.process.send_signal(signal.SIGSTOP)
        etcd.kill()
        etcd.start()
        etcd.delete(own)
        for number in range(5):
            etcd.put("drained/x", str(number))
        etcd.ctl("compact", str(etcd.revision()))
        a.process.send_signal(signal.SIGCONT)
        until(lambda: self.cluster(a)["reads"] == 2, "all to be read")
        until(lambda: own in etcd.ctl("get", own, "--keys-only").stdout, "the key")
        self.until_state(a, "ok", members=1)

    def test_a_daemon_that_fails_to_start(self):
        """It has read the lease of the running daemon, and leaves it alone."""
        etcd = self.etcd().start()
        a = self.member("origin-a", 3130).start()
        self.until_state(a, "ok", members=1, saved=True)
        lease = self.cluster(a)["lease"]
        other = a.config.with_name("other.conf")
        missing = 'policy "x" { kind = prefix  verdict = hit  file = "/missing" }'
        other.write_text(a.config.read_text().replace(":3130", ":3131") + missing)
        done = a.namespace.run(BUILD / "xdp-icpd", "-c", other, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/missing", done.stderr)
        self.assertIn("granted", etcd.ctl("lease", "timetolive", lease).stdout)

    def test_a_wiped_etcd_is_no_reason_to_own_everything(self):
        self.ttl = "2s"
        etcd = self.etcd().start()
        a, b, c = [
            self.member(f"origin-{name}", port).start()
            for name, port in (("a", 3130), ("b", 3131), ("c", 3132))
        ]
        self.until_state(a, "ok", members=3, saved=True)
        before = until(lambda: self.owners(a, b, c), "all to agree")
        self.assertEqual(set(before), {0, 1, 2})
        # All are there: they register again, and meanwhile none takes everything for its own.
        reads = [self.cluster(daemon)["reads"] for daemon in (a, b, c)]
        etcd.wipe()
        etcd.start()
        until(
            lambda: self.assertIn("ICP_OP_MISS", self.verdicts(a))
            or all(
                self.cluster(daemon)["reads"] > last
                for daemon, last in zip((a, b, c), reads, strict=True)
            ),
            "the loss to be seen",
        )
        for daemon in (a, b, c):
            self.until_state(daemon, "ok", members=3)
        until(lambda: self.owners(a, b, c) == before, "all to own what they did")
        b.kill()
        c.kill()
        etcd.wipe()
        etcd.start()
        of_a = [owner == 0 for owner in before]
        self.until_state(a, "below_floor", members=3, members_found=1, members_min=2)
        self.assertEqual([verdict == "ICP_OP_HIT" for verdict in self.verdicts(a)], of_a)
        self.assertIn("the last map stays", a.icpctl("cluster", "status").stdout)
        a.stop()
        a.start()
        self.until_state(a, "below_floor", members=3)
        b.start()
        self.until_state(a, "ok", members=2)

    def test_a_member_that_is_cut_off(self):
        self.ttl = "1s"
        self.need_xdp()
        etcd = self.etcd().start()
        a = self.member(
            "origin-a", 3130, 'when_isolated = "miss"',
            mode="generic", interfaces=["lo"], pin_dir=self.pin_dir(), lease="500ms",
        ).start()  # fmt: skip
        self.until_state(a, "ok", members=1, saved=True)
        etcd.process.send_signal(signal.SIGSTOP)
        self.until_state(a, "isolated", members=1)
        until(lambda: a.checked(ADMIN) == "ICP_OP_MISS", "nothing to be its own")
        etcd.process.send_signal(signal.SIGCONT)
        self.until_state(a, "ok", members=1)
        until(lambda: a.checked(ADMIN) == "ICP_OP_HIT", "all to be its own")
        self.assertRegex(a.log.read_text(), "isolated: its lease has expired[^$]*no longer isolated")
        self.lose_the_daemon(a)

    def lose_the_daemon(self, a):
        """The kernel goes on, unless that is only for a member that is not cut off."""
        client = self.client(self.server)
        client.socket.connect(("127.0.0.1", 3130))  # or a closed port is no error
        first = 'policy "10" { kind = exact  verdict = denied  url = "http://e.org/" }\n'

        def ask(url):
            try:
                return client.ask(url, "127.0.0.1")
            except ConnectionRefusedError:
                return None  # the kernel has passed it up

        for setting, lives in (("miss", "; in the kernel while the daemon lives"), ("keep", "")):
            a.settings[-1] = a.settings[-1].replace('"miss"', f'"{setting}"')
            a.configure(first + POLICY)
            if a.process:
                a.icpctl("reload")
            else:
                a.start()
            self.until_state(a, "ok", members=1)
            until(lambda: a.checked(ADMIN) == "ICP_OP_HIT", "the map")
            result = a.ask_control("POST", "/v1/check", {"urls": [ADMIN]})["results"][0]
            self.assertEqual(result["explanation"], f"key {ADMIN}: owner origin-a{lives}")
            listed = a.ask_control("GET", "/v1/policies")["policies"]
            self.assertEqual([one["lease"] for one in listed], [False, bool(lives)])
            self.assertEqual("only while the daemon" in self.check(a), bool(lives))
            self.assertEqual("the daemon lives" in a.icpctl("policy", "list").stdout, bool(lives))
            before = a.count("answered.kernel")
            until(lambda: ask(ADMIN) == "hit" and a.count("answered.kernel") > before, "the kernel")
            a.kill()
            if lives:
                until(lambda: ask(ADMIN) is None, "the end of the daemon's lease")
            else:
                time.sleep(1)
            self.assertEqual((ask(ADMIN), ask("http://e.org/")), (None if lives else "hit", "denied"))

    @staticmethod
    def check(daemon):
        return daemon.namespace.run(BUILD / "xdp-icpd", "-c", daemon.config, "--check").stdout

    def test_without_a_directory_nothing_is_saved(self):
        """It is reported with the remedy, also by --check, and everything else works."""
        self.etcd().start()
        directory = self.directory()
        os.chmod(directory, 0o755)
        missing = directory / "missing"
        a = self.member("origin-a", 3130, state=missing).start()
        self.until_state(a, "ok", members=1, saved=False)
        remedy = f"as root: install -d -o {NOBODY} {missing}"
        until(lambda: remedy in (self.cluster(a)["state_error"] or ""), "the remedy")
        self.assertEqual(a.log.read_text().count(remedy), 1)
        self.assertIn(remedy, self.check(a))

    def test_an_endpoint_that_says_nothing(self):
        self.etcd().start()
        with self.server.socket(socket.AF_INET, socket.SOCK_STREAM) as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            self.ttl = "2s"
            a = self.member("origin-a", 3130, endpoints=[endpoint, self.endpoint]).start()
            self.until_state(a, "ok", members=1, endpoint=self.endpoint)


class Secrets(ClusterLab):
    """TLS with certificates of both sides, and a user with a password."""

    ttl = "60s"
    endpoint = f"https://127.0.0.1:{PORT}"

    def certificates(self):
        directory = self.directory()
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        for name in ("ca", "server", "client"):
            extra = [] if name == "ca" else ["-CA", "ca.pem", "-CAkey", "ca.key"]
            # The gateway refuses users whose certificate has a name of its own.
            subject = "/O=xdp-icp" if name == "client" else f"/CN={name}"
            if name != "ca":
                extra += ["-addext", "basicConstraints=critical,CA:FALSE"]
            run(
                *make, *extra, "-nodes", "-days", "2", "-subj", subject,
                "-addext", "subjectAltName=IP:127.0.0.1",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", cwd=directory,
            )  # fmt: skip
        os.chown(directory / "client.key", NOBODY, -1)
        return directory

    def test_tls_and_tokens(self):
        files = self.certificates()
        client = [f"--cacert={files}/ca.pem", f"--cert={files}/client.pem"]
        etcd = self.etcd(
            "--client-cert-auth",
            f"--trusted-ca-file={files}/ca.pem",
            f"--cert-file={files}/server.pem",
            f"--key-file={files}/server.key",
            scheme="https",
            client=[*client, f"--key={files}/client.key"],
        ).start()
        etcd.ctl("user", "add", "root:secret")
        etcd.ctl("user", "grant-role", "root", "root")
        etcd.ctl("user", "add", "icp:hunter2")
        etcd.ctl("role", "add", "icp")
        etcd.ctl("role", "grant-permission", "icp", "readwrite", "--prefix=true", "/xdp-icp/")
        etcd.ctl("user", "grant-role", "icp", "icp")
        etcd.ctl("auth", "enable")
        etcd.client.append("--user=root:secret")

        password = files / "password"
        password.write_text("wrong\n")
        tls = f'ca = "{files}/ca.pem"  cert = "{files}/client.pem"  key = "{files}/client.key"\n'
        login = f'user = "icp"  password_file = "{password}"'
        a = self.member("origin-a", 3130, tls + login).start()
        self.until_error(a, "authentication failed")
        self.until_error(a, "user icp: ")
        password.write_text("hunter2\n")
        self.until_state(a, "ok", members=1)

        # etcd forgets tokens by a restart.
        etcd.kill()
        etcd.start()
        etcd.put("assign/http://e.org/", '{"verdict": "hit"}')
        self.until_state(a, "ok", members=1, assignments=1)
        a.icpctl("cluster", "assign", ADMIN, "origin-a")
        self.until_state(a, "ok", assignments=2)

        b = self.member("origin-b", 3131, login).start()
        self.until_error(b, "certificate")
        self.assertEqual(self.cluster(b)["members"], 0)

        # A file that cannot be read is named, also by --check, and nothing counts as a reply of etcd.
        for name, setting in (
            ("ca", tls.replace("ca.pem", "missing.pem")),
            ("password_file", login.replace("/password", "/missing")),
            ("key", tls.replace("client.key", "server.key")),
        ):
            with self.subTest(file=name):
                a.stop()
                a.settings[-1] = a.settings[-1].split("state =")[0] + (
                    f'state = "{a.state.parent}"\n{setting} }}'
                )
                a.configure(POLICY)
                told = f"{name} '{files}/.*': cannot read: .*; let the daemon's user read it"
                checked = a.namespace.run(
                    BUILD / "xdp-icpd", "-c", a.config, "--check", check=False
                )
                self.assertEqual(checked.returncode, 1, checked.stderr)
                self.assertRegex(checked.stderr, f"cluster 'site': {told}")
                a.start()
                self.until_error(a, f"{name} '{files}/")
                self.assertRegex(self.cluster(a)["error"], told)
                self.assertEqual(self.cluster(a)["connected"], False)
                self.assertNotIn("etcd replies", a.log.read_text().split("exiting on")[-1])

        # The certificate is for 127.0.0.1.
        c = self.member("origin-c", 3132, tls + login, [f"https://localhost:{PORT}"]).start()
        self.until_error(c, "localhost")
        self.until_error(c, "certificate subject name")


class Hostile(ClusterLab):
    """A server that replies arbitrarily: its faults are reported, and the daemon survives."""

    def serve(self, answer):
        """Send answer(path) to each request, and all that it yields."""
        listener = self.server.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen()
        threads = []

        def reply(stream):
            with stream, contextlib.suppress(OSError, IndexError, ValueError):
                with stream.makefile("rb") as request:
                    path = request.readline().split()[1].decode()
                    while line := request.readline().strip():
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split()[1])
                    request.read(length)
                stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                for part in answer(path):
                    stream.sendall(part)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    stream, _ = listener.accept()
                    stream.settimeout(PATIENCE)
                    threads.append(threading.Thread(target=reply, args=[stream], daemon=True))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()

        def end():
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            listener.close()
            for thread in threads:
                thread.join(PATIENCE)

        return end

    @staticmethod
    def endless(part):
        while True:
            yield part

    GOOD = {
        "lease/grant": [b'{"ID": "7", "TTL": "2"}'],
        "lease/keepalive": [b'{"result": {"ID": "7", "TTL": "2"}}'],
        "kv/txn": [b'{"succeeded": true}'],
        "kv/range": [b'{"header": {"revision": "5"}}'],
        "watch": [b'{"result": {"created": true, "header": {"revision": "5"}}}\n'],
    }

    MEMBER = base64.b64encode(b"/xdp-icp/site/members/origin-a").decode()
    WEIGHT = base64.b64encode(b'{"weight": 100}').decode()

    @contextlib.contextmanager
    def play(self, **answers):
        """
        Serve what answers has for a method, or else GOOD, and a watch of what is put into the queue.
        Yields the daemon.
        """
        self.changes = queue.Queue()
        self.watched = threading.Event()
        answers = {"watch": self.watch, **answers}
        a = self.member("origin-a", 3130).start()

        def answer(path):
            name = path.removeprefix("/v3/")
            method = name.rpartition("/")[2]
            return answers[method]() if method in answers else self.GOOD[name]

        end = self.serve(answer)
        try:
            yield a
        finally:
            for _ in range(100):
                self.changes.put(None)
            end()

    def watch(self):
        self.watched.set()
        yield from self.GOOD["watch"]
        while change := self.changes.get():
            yield f'{{"result": {{"events": [{change}]}}}}\n'.encode()

    @staticmethod
    def alive(revision):
        header = f'"header": {{"revision": "{revision}"}}'
        return f'{{"result": {{"ID": "7", "TTL": "6", {header}}}}}'.encode()

    def test_a_reply_that_the_watch_has_overtaken(self):
        """It has an older revision than the watch, which is no reason to read everything again."""
        self.ttl = "6s"
        key, value = (
            base64.b64encode(text).decode()
            for text in (b"/xdp-icp/site/assign/http://e.org/", b'{"verdict": "hit"}')
        )
        known = f'"kvs": [{{"key": "{self.MEMBER}", "value": "{self.WEIGHT}", "lease": "7"}}]'
        event = f'{{"kv": {{"key": "{key}", "value": "{value}", "mod_revision": "6"}}}}'
        reads = []

        def keepalive():
            reads.append(self.cluster(a)["reads"])
            if len(reads) == 1:
                self.changes.put(event)
                until(lambda: self.cluster(a)["assignments"] == 1, "the change")
            yield self.alive(6 if len(reads) == 2 else 5)

        page = [f'{{"header": {{"revision": "5"}}, {known}}}'.encode()]
        with self.play(keepalive=keepalive, range=lambda: page) as a:
            until(lambda: self.cluster(a)["reads"] > 1, "a loss that is one")
            self.assertEqual(reads[:3], [1, 1, 1])

    def test_a_claim_that_the_watch_has_overtaken(self):
        """The key is put and deleted before the reply to the put has come: it is put again."""
        self.ttl = "6s"
        claims = []

        def claim():
            claims.append(1)
            if len(claims) == 1:
                self.watched.wait(PATIENCE)
                put = f'"key": "{self.MEMBER}", "value": "{self.WEIGHT}", "lease": "7"'
                self.changes.put(f'{{"kv": {{{put}, "mod_revision": "6"}}}}')
                gone = f'{{"key": "{self.MEMBER}", "mod_revision": "7"}}'
                self.changes.put(f'{{"type": "DELETE", "kv": {gone}}}')
                time.sleep(0.5)  # until they have been read
            yield b'{"succeeded": true}'

        with self.play(txn=claim, keepalive=lambda: [self.alive(9)]) as a:
            until(lambda: len(claims) > 1, "another put")
            until(lambda: self.cluster(a)["registered"], "the key")

    def test_a_deletion_whose_first_reply_is_lost(self):
        self.ttl = "6s"
        deletions = []

        def delete():
            deletions.append(1)
            if len(deletions) > 1:
                yield b'{"header": {"revision": "9"}}'

        with self.play(deleterange=delete, keepalive=lambda: [self.alive(9)]) as a:
            until(lambda: self.cluster(a)["registered"], "the key")
            a.icpctl("cluster", "unassign", ADMIN)
            self.assertEqual(len(deletions), 2)

    def test_hostile_replies(self):
        key = base64.b64encode(b"/xdp-icp/site/assign/http://e.org/").decode()
        page = f'{{"header": {{"revision": "5"}}, "kvs": [{{"key": "{key}"}}], "more": true}}'
        a = self.member("origin-a", 3130).start()
        for what, bad, told in (
            ("lease/grant", [b""], "not JSON"),
            ("lease/grant", [b"[1"], "not JSON"),
            ("lease/grant", [b'{"ID": "x", "TTL": "-1"}'], "a lease without"),
            ("kv/range", [b"{" + b'"a":{' * 100000], "not JSON"),
            ("kv/range", [b'{"kvs": [{"key": "!"}]}'], "malformed key"),
            ("kv/range", [b'{"kvs": [7]}'], "malformed key"),
            ("kv/range", [b'{"more": true}'], "does not advance"),
            ("kv/range", [page.encode()], "does not advance"),
            ("kv/range", self.endless(b" " * 100000), "too large"),
            ("watch", [b"x\n"], "not a JSON object"),
            ("watch", [b'{"result": {"canceled": true}}\n'], "cancelled"),
            ("watch", [b'{"result": {"events": [{"kv": {"key": 7}}]}}\n'], "malformed event"),
            ("watch", self.endless(b"x" * 100000), "too large"),
        ):
            with self.subTest(what=what, told=told):
                replies = {f"/v3/{path}": parts for path, parts in self.GOOD.items()}
                if what == "kv/range":  # a lease that is lost makes the daemon read all again
                    replies["/v3/lease/keepalive"] = [b'{"result": {"ID": "7"}}']
                replies[f"/v3/{what}"] = bad
                end = self.serve(lambda path: replies.get(path, [b"{}"]))
                try:
                    self.until_error(a, told)
                finally:
                    end()
        self.assertLess(self.memory(a), 200 << 20)

    @staticmethod
    def memory(daemon):
        with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
