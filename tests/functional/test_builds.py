#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Chains are built outside the event loop: concurrency and order of changes."""

import json
import pathlib
import shutil
import socket

from daemon import BUILD
from lab import main
from net import PATIENCE, until
from wire import ENDLESS, SERVER, Wire

MANY = 300_000
CHANGES_MAX = 16  # pending changes
OPEN, GATED = (f"http://{word}.example.com/" for word in ("open", "gated"))


class Request:
    """A request on the control socket that is not replied to at once."""

    def __init__(self, daemon, command, **members):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(daemon.control))
        self.socket.sendall(json.dumps({"command": command, **members}).encode() + b"\n")
        daemon.status()  # the daemon reads the request before this one

    def reply(self):
        """The reply, or None if there is none yet."""
        with self.socket, self.socket.makefile("rb") as reply:
            text = reply.read()
        return json.loads(text) if text.strip() else None

    def is_open(self):
        """Is there no reply yet?"""
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(1 << 16, socket.MSG_PEEK).strip()
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)


class Builds(Wire):
    def setUp(self):
        super().setUp()
        self.files = self.directory()
        self.flag, self.wait = self.files / "flag", self.files / "wait"

    def gated_chain(self):
        return f"""
            policy "1" {{ kind = "prefix" verdict = "hit" urls = {{ "{OPEN}" }} }}
            policy "2" {{ kind = "flag" verdict = "miss_nofetch" path = "{self.flag}" }}
            policy "3" {{ kind = "prefix" verdict = "hit" urls = {{ "{GATED}" }} }}"""

    def checked(self, daemon, url):
        return daemon.ask_control("check", urls=[url])["results"][0]["verdict"]

    def flip(self, daemon):
        """Flip the gate and wait until the daemon has noticed."""
        if self.flag.exists():
            self.flag.unlink()
            verdict = "ICP_OP_HIT"
        else:
            self.flag.touch()
            verdict = "ICP_OP_MISS_NOFETCH"
        until(lambda: self.checked(daemon, GATED) == verdict, "the daemon to notice")


class Large(Builds):
    mode = "native"

    def big_policy(self, verdict):
        path = self.files / f"{verdict}.urls"
        path.write_text("".join(f"http://{i}.example.com/\t{verdict}\n" for i in range(MANY)))
        path.chmod(0o644)
        return f'policy "0" {{ kind = "prefix" file = "{path}" }}'

    def test_event_loop_is_not_blocked(self):
        """Gates, the heartbeat and the control socket are served during a build."""
        daemon = self.responder(self.gated_chain() + self.big_policy("hit"), lease="3s").start()
        flood = self.flood(
            SERVER,
            ENDLESS,
            [f"{OPEN}\thit", f"{GATED}\thit,miss_nofetch", "http://7.example.com/\thit,denied"],
        )
        daemon.configure(self.gated_chain() + self.big_policy("denied"))
        request = Request(daemon, "reload")
        replies = flips = 0
        while request.is_open():
            self.flip(daemon)
            flips += request.is_open()
            replies += daemon.status()["reloads"] == 0
        self.assertTrue(request.reply()["ok"])
        self.assertEqual(self.ask("http://7.example.com/"), "denied")
        self.end_flood(flood)
        self.assertGreater(replies, 3)
        self.assertGreater(flips, 3)
        self.assertEqual(daemon.count("passed.lease_expired"), 0)


class Waiting(Builds):
    mode = "off"
    sanitized = True

    def waits(self):
        """A policy whose building ends when the file self.wait is removed."""
        self.wait.touch()
        plugin = pathlib.Path(shutil.copy(BUILD / "tests/plugins/waits.so", self.files))
        return f'policy "9" {{ kind = plugin file = "{plugin}" arguments = {{ "{self.wait}" }} }}'

    def begin(self):
        """A daemon, and its reload in progress."""
        daemon = self.responder(self.gated_chain(), settings="workers = 2").start()
        daemon.configure(self.gated_chain() + self.waits())
        return daemon, Request(daemon, "reload")

    def prefix(self, verdict):
        return [["kind", "prefix"], ["verdict", verdict], ["url", "http://"]]

    def test_event_loop_is_not_blocked(self):
        daemon, request = self.begin()
        for _ in range(2):
            self.flip(daemon)
            self.assertEqual(self.ask(OPEN), "hit")
        self.flip(daemon)
        self.assertEqual(self.ask(GATED), "miss_nofetch")
        self.assertTrue(request.is_open())
        self.assertEqual(daemon.count("policies"), 3)
        self.wait.unlink()
        self.assertEqual(request.reply(), {"ok": True, "policies": 4})
        self.assertEqual(daemon.counts("policies", "reloads"), (4, 1))
        self.assertEqual(self.ask(GATED), "miss_nofetch")

    def test_changes_are_made_in_order(self):
        daemon, request = self.begin()
        requests = [
            request,
            Request(daemon, "policy-add", name="0", settings=self.prefix("denied")),
            Request(daemon, "policy-add", name="0", settings=self.prefix("err"), save=True),
            Request(daemon, "policy-remove", name="none"),
            Request(daemon, "policy-add", name="00", settings=self.prefix("hit")[1:]),
            Request(daemon, "policy-remove", name="3"),
            Request(daemon, "reload"),
            Request(daemon, "policy-remove", name="1"),
            Request(daemon, "policy-add", name="8", settings=self.prefix("hit"), save=True),
        ]
        for _ in range(5):  # only the reload
            daemon.hang_up()
            self.assertEqual(self.ask(OPEN), "hit")
        self.assertEqual(daemon.count("policies"), 3)
        self.assertTrue(all(one.is_open() for one in requests))
        self.wait.unlink()
        replies = [one.reply() for one in requests]
        self.assertEqual([reply["ok"] for reply in replies], [True] * 3 + [False] * 2 + [True] * 4)
        self.assertEqual([reply.get("policies") for reply in replies[5:]], [4, 5, 4, 5])
        self.assertIn("there is no policy 'none'", replies[3]["error"])
        self.assertIn("'kind' is missing", replies[4]["error"])
        until(lambda: daemon.count("reloads") == 3, "the last reload")
        names = [policy["name"] for policy in daemon.ask_control("policy-list")["policies"]]
        self.assertEqual(names, ["0", "1", "2", "3", "8", "9"])
        self.assertEqual(self.ask(OPEN), "err")
        log = daemon.log.read_text()
        places = [log.index(text) for text in ("'0' added", "'0' replaced", "'3' removed")]
        places += [log.index("reloaded", places[-1]), log.index("'1' removed"), log.index("'8' add")]
        self.assertEqual(places, sorted(places))
        daemon.stop()
        daemon.start()
        self.assertEqual(daemon.count("policies"), 6)

    def test_pending_changes_are_limited(self):
        daemon, request = self.begin()
        requests = [
            Request(daemon, "policy-add", name=f"0{i}", settings=self.prefix("hit"))
            for i in range(CHANGES_MAX)
        ]
        for one in requests[::2]:
            one.socket.close()  # the change is made nevertheless
        refused = daemon.ask_control("policy-add", name="x", settings=self.prefix("hit"))
        self.assertFalse(refused["ok"])
        self.assertIn(f"{CHANGES_MAX} changes", refused["error"])
        self.wait.unlink()
        self.assertTrue(request.reply()["ok"])
        for one in requests[1::2]:
            self.assertTrue(one.reply()["ok"])
        self.assertEqual(daemon.count("policies"), 4 + CHANGES_MAX)

    def test_exit_during_a_build(self):
        """The build and all pending changes are cancelled, with a reply."""
        daemon, request = self.begin()
        another = Request(daemon, "policy-add", name="0", settings=self.prefix("hit"), save=True)
        daemon.process.terminate()
        until(lambda: "ends on" in daemon.log.read_text(), "the end to begin")
        self.wait.unlink()
        for one in (request, another):
            self.assertIn("the daemon ends, nothing is changed", one.reply()["error"])
        self.assertEqual(daemon.wait(), 0)
        self.assertFalse(pathlib.Path(f"{daemon.config}.d").exists())

    def test_exit_with_a_drain(self):
        """Changes are still made while the daemon drains."""
        daemon = self.responder(self.gated_chain(), settings='drain_time = "1h"').start()
        daemon.configure(self.gated_chain() + self.waits())
        request = Request(daemon, "reload")
        daemon.process.terminate()
        until(lambda: self.ask(OPEN) == "miss_nofetch", "the drain")
        self.wait.unlink()
        self.assertTrue(request.reply()["ok"])


if __name__ == "__main__":
    main()
