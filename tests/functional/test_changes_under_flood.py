#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies under load while the chain is replaced, gates flip, and daemons exit and start."""

import time

import icp
from lab import main
from net import until
from wire import ENDLESS, SERVER, Wire

MANY = 100_000
OPEN, GATED, REGEX = (f"http://{word}.example.com/" for word in ("open", "gated", "regex"))


class UnderFlood(Wire):
    mode = "native"

    def big_chain(self, verdict, name="10"):
        """The policy of MANY prefixes, and URLs of it for a flood."""
        path = self.files / f"{verdict}.urls"
        if not path.exists():
            path.write_text("".join(f"http://{i}.example.com/\t{verdict}\n" for i in range(MANY)))
            path.chmod(0o644)
        return f'policy "{name}" {{ kind = "prefix" file = "{path}" }}'

    def questions(self, verdicts):
        return [f"http://{i}.example.com/x\t{verdicts}" for i in range(0, MANY, 97)] + [
            "http://other.example.com/\tmiss"
        ]

    def setUp(self):
        super().setUp()
        self.files = self.directory()
        self.files.chmod(0o755)

    def test_a_chain_of_100000_prefixes_is_replaced(self):
        """Each reply follows the old chain or the new one, and all come from the kernel."""
        daemon = self.responder(self.big_chain("hit")).start()
        before = daemon.counts("answered.kernel", "answered.daemon")
        flood = self.flood(SERVER, ENDLESS, self.questions("hit,denied"))
        daemon.reload(self.big_chain("denied"))
        # In addition to the first flood: from now on only the new chain applies.
        self.assert_flooded(self.flood(SERVER, 20_000, self.questions("denied")), 20_000)
        outcome = self.end_flood(flood)
        after = daemon.counts("answered.kernel", "answered.daemon")
        self.assertEqual(set(outcome["verdicts"]), {"hit", "denied", "miss"})
        self.assertEqual(after[0] - before[0], outcome["answered"] + 20_000)
        self.assertEqual(after[1], before[1])

    def decided(self, daemon):
        """What the kernel has decided, by decider and verdict, without zeros."""
        listed = daemon.ask_control("GET", "/v1/policies")
        deciders = {one["name"]: one for one in listed.pop("policies")} | {
            name: one for name, one in listed.items() if isinstance(one, dict)
        }
        counts = {name: one["decided"]["kernel"] for name, one in deciders.items()}
        return {
            name: {verdict: n for verdict, n in by.items() if n} for name, by in counts.items()
        }

    def test_decisions_are_counted_by_policy(self):
        """No count is lost or another policy's, although a rank has another policy in the next chain."""
        rank_zero = 'policy "0" { kind = "prefix" verdict = "err" urls = { "http://none/" } }'
        daemon = self.responder(self.big_chain("hit")).start()
        flood = self.flood(SERVER, ENDLESS, self.questions("hit,denied"))
        daemon.reload(rank_zero + self.big_chain("denied", "20"))
        daemon.icpctl("rules", "add", "http://rule/", "err")
        self.assert_flooded(self.flood(SERVER, 10, ["http://rule/\terr"]), 10)
        sent = self.end_flood(flood)["verdicts"]
        daemon.icpctl("drain")
        self.assert_flooded(self.flood(SERVER, 20, [f"{OPEN}\tmiss_nofetch"]), 20)
        rest = {
            "0": {},
            "by_rule": {"err": 10},
            "by_drain": {"miss_nofetch": 20},
            "by_default": {"miss": sent["miss"]},
        }
        self.assertEqual(
            self.decided(daemon),
            rest
            | {
                "20": {"denied": sent["denied"]},
                "all": sent | {"err": 10, "miss_nofetch": 20},
            },
        )
        daemon.icpctl("undrain")
        daemon.reload(self.big_chain("hit", "20"))  # in the half of the first chain
        self.assert_flooded(self.flood(SERVER, 30, ["http://0.example.com/\thit"]), 30)
        self.assertEqual(self.decided(daemon)["20"], {"denied": sent["denied"], "hit": 30})
        daemon.stop()
        daemon.start()
        self.assert_flooded(self.flood(SERVER, 40, ["http://0.example.com/\thit"]), 40)
        self.assertEqual(self.decided(daemon)["20"], {"hit": 40})
        self.assertEqual(self.decided(daemon)["all"], {"hit": 40})
        shown = r"\n    decided in the kernel: 40 hit, last [-0-9]+ [:0-9]+\n"
        self.assertRegex(daemon.icpctl("policy", "list").stdout, shown)

    def gated_chain(self, flag):
        return f"""
            policy "1" {{ kind = "prefix" verdict = "hit" urls = {{ "{OPEN}" }} }}
            policy "2" {{ kind = "flag" verdict = "miss_nofetch" path = "{flag}" }}
            policy "3" {{ kind = "prefix" verdict = "hit" urls = {{ "{GATED}" }} }}
            policy "4" {{ kind = "regex" verdict = "denied" pattern = "(?=)regex" }}"""

    def test_flipping_gate(self):
        """
        Once the daemon has noticed, as its check shows, no reply comes from the former state.
        Leases are so long that no heartbeat has to do with it.
        """
        flag = self.files / "flag"
        daemon = self.responder(self.gated_chain(flag)).start()
        flood = self.flood(
            SERVER, ENDLESS, [f"{GATED}\thit,miss_nofetch", f"{OPEN}\thit"]
        )
        for verdict in ("miss_nofetch", "hit", "miss_nofetch"):
            if verdict == "hit":
                flag.unlink()
            else:
                flag.touch()
            until(
                lambda: daemon.checked(GATED) == f"ICP_OP_{verdict.upper()}", "the daemon to notice"
            )
            self.assert_flooded(self.flood(SERVER, 5000, [f"{GATED}\t{verdict}"]), 5000)
        self.end_flood(flood)
        self.assertEqual(daemon.count("answered.daemon"), 0)

    def test_each_chain_renews_its_lease(self):
        """No query is passed up between the end of one lease and the beginning of the next."""
        daemon = self.responder(self.gated_chain(self.files / "flag")).start()
        flood = self.flood(SERVER, ENDLESS, [f"{OPEN}\thit", f"{GATED}\thit"])
        for number in range(5):
            daemon.icpctl("reload")
            daemon.icpctl("policy", "add", f"9{number}", "kind=regex", "verdict=denied", "pattern=(?=)nobody")
        self.end_flood(flood)
        self.assertEqual(daemon.counts("answered.daemon", "passed.lease_expired"), (0, 0))

    def test_killed_daemon(self):
        """Prefixes are served without a gap; what depends on a gate ends with the lease."""
        lease = 2
        chain = self.gated_chain(self.files / "flag")
        daemon = self.responder(chain, lease=f"{lease}s").start()
        for url, verdict in ((GATED, "hit"), (REGEX, "denied")):
            until(
                lambda: self.is_answered_by_kernel(daemon, verdict, url), "the kernel to know that"
            )
        flood = self.flood(SERVER, ENDLESS, [f"{OPEN}\thit"])
        daemon.kill()
        time.sleep(1.5 * lease)
        client = self.client(self.client_side)
        for url in (GATED, REGEX):
            client.send(icp.query(url, 1), SERVER)
        # This query gets a reply; those before it got none.
        self.assertEqual(client.ask(OPEN, SERVER), "hit")
        self.end_flood(flood)

    def test_restart_and_upgrade_lose_no_reply(self):
        """Also to maps of another ABI: what the kernel cannot reply to waits for the daemon."""
        daemon = self.responder(self.gated_chain(self.files / "flag"), settings='on_exit = "keep"')
        daemon.start()
        flood = self.flood(SERVER, ENDLESS, [f"{OPEN}\thit"])
        set_abi = f"bpftool map update pinned {self.pins}/abi key hex 0 0 0 0 value hex 7 0 0 0"
        for change in ("true", set_abi):
            daemon.stop()
            self.server_side.run(*change.split())
            daemon.start()
            self.assertEqual(self.ask(GATED), "hit")
        self.end_flood(flood)
        self.assertIn("which are of ABI version 7", daemon.log.read_text())

    def test_next_daemon_takes_over_without_a_gap(self):
        """Within the lease, queries behind a gate are replied to without a gap as well."""
        chain = self.gated_chain(self.files / "flag")
        daemon = self.responder(chain).start()
        flood = self.flood(SERVER, ENDLESS, [f"{OPEN}\thit", f"{GATED}\thit"])
        for _ in range(3):
            daemon.kill()
            daemon.start()
            self.assertEqual(self.ask(GATED), "hit")
        self.end_flood(flood)
        self.assertEqual(daemon.count("passed.lease_expired"), 0)
        self.assert_answered_by(daemon, "kernel", "hit", GATED)


if __name__ == "__main__":
    main()
