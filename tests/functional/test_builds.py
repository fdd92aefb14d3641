#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Chains are built outside the event loop: concurrency and order of changes."""

import pathlib
import shutil

from daemon import BUILD, Request
from lab import main
from net import until
from wire import ENDLESS, SERVER, Wire

MANY = 300_000
CHANGES_MAX = 16  # pending changes
OPEN, GATED = (f"http://{word}.example.com/" for word in ("open", "gated"))


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

    def begun(self, daemon, *words):
        """A request that has been read."""
        request = Request(daemon.control, *words)
        daemon.status()
        return request

    def reload(self, daemon):
        return self.begun(daemon, "POST", "/v1/reload")

    def flip(self, daemon):
        """Flip the gate and wait until the daemon has noticed."""
        if self.flag.exists():
            self.flag.unlink()
            verdict = "ICP_OP_HIT"
        else:
            self.flag.touch()
            verdict = "ICP_OP_MISS_NOFETCH"
        until(lambda: daemon.checked(GATED) == verdict, "the daemon to notice")


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
        request = self.reload(daemon)
        replies = flips = 0
        while request.is_open():
            self.flip(daemon)
            flips += request.is_open()
            replies += daemon.status()["reloads"] == 0
        self.assertEqual(request.reply()[0], 200)
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
        return daemon, self.reload(daemon)

    def prefix(self, verdict):
        return {"kind": "prefix", "verdict": verdict, "url": "http://"}

    def add(self, daemon, name, verdict, *, save=False):
        resource = f"/v1/policies/{name}" + ("?save=true" if save else "")
        return self.begun(daemon, "PUT", resource, self.prefix(verdict))

    def remove(self, daemon, name):
        return self.begun(daemon, "DELETE", f"/v1/policies/{name}")

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
        self.assertEqual(request.reply(), (200, {"policies": 4}))
        self.assertEqual(daemon.counts("policies", "reloads"), (4, 1))
        self.assertEqual(self.ask(GATED), "miss_nofetch")

    def test_changes_are_made_in_order(self):
        daemon, request = self.begin()
        requests = [
            request,
            self.add(daemon, "0", "denied"),
            self.add(daemon, "0", "err", save=True),
            self.remove(daemon, "none"),
            self.begun(daemon, "PUT", "/v1/policies/00", {"verdict": "hit"}),
            self.remove(daemon, "3"),
            self.reload(daemon),
            self.remove(daemon, "1"),
            self.add(daemon, "8", "hit", save=True),
        ]
        for _ in range(5):  # only the reload
            daemon.hang_up()
            self.assertEqual(self.ask(OPEN), "hit")
        self.assertEqual(daemon.count("policies"), 3)
        self.assertTrue(all(one.is_open() for one in requests))
        self.wait.unlink()
        replies = [one.reply() for one in requests]
        self.assertEqual([status for status, _ in replies], [200] * 3 + [409] * 2 + [200] * 4)
        self.assertEqual([reply.get("policies") for _, reply in replies[5:]], [4, 5, 4, 5])
        self.assertIn("there is no policy 'none'", replies[3][1]["error"])
        self.assertIn("'kind' is missing", replies[4][1]["error"])
        until(lambda: daemon.count("reloads") == 3, "the last reload")
        names = [policy["name"] for policy in daemon.ask_control("GET", "/v1/policies")["policies"]]
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
            self.add(daemon, f"0{i}", "hit") for i in range(CHANGES_MAX)
        ]
        for one in requests[::2]:
            one.socket.close()  # the change is made nevertheless
        status, refused = daemon.request("PUT", "/v1/policies/x", self.prefix("hit"))
        self.assertEqual(status, 409)
        self.assertIn(f"{CHANGES_MAX} changes", refused["error"])
        self.wait.unlink()
        self.assertEqual(request.reply()[0], 200)
        for one in requests[1::2]:
            self.assertEqual(one.reply()[0], 200)
        self.assertEqual(daemon.count("policies"), 4 + CHANGES_MAX)

    def test_exit_during_a_build(self):
        """The build and all pending changes are cancelled, with a reply."""
        daemon, request = self.begin()
        another = self.add(daemon, "0", "hit", save=True)
        daemon.process.terminate()
        until(lambda: "exiting on" in daemon.log.read_text(), "the end to begin")
        self.wait.unlink()
        for one in (request, another):
            self.assertIn("the daemon is ending, nothing is changed", one.reply()[1]["error"])
        self.assertEqual(daemon.wait(), 0)
        self.assertFalse(pathlib.Path(f"{daemon.config}.d").exists())

    def test_exit_with_a_drain(self):
        """Changes are still made while the daemon drains."""
        daemon = self.responder(self.gated_chain(), settings='drain_time = "1h"').start()
        daemon.configure(self.gated_chain() + self.waits())
        request = self.reload(daemon)
        daemon.process.terminate()
        until(lambda: self.ask(OPEN) == "miss_nofetch", "the drain")
        self.wait.unlink()
        self.assertEqual(request.reply()[0], 200)


if __name__ == "__main__":
    main()
