#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl: what it foretells is what happens, and it is an ICP client."""

import json

from daemon import BUILD
from lab import main
from net import PATIENCE
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

    def foretold(self, url):
        """The verdict on a URL and who would give it."""
        result = json.loads(self.daemon_here.icpctl("--json", "check", url).stdout)["results"][0]
        return result["verdict"].removeprefix("ICP_OP_").lower(), result["by"]

    def query(self, *words, check=True):
        command = (BUILD / "icpctl", "query", "-t", 1000 * PATIENCE)
        return self.client_side.run(*command, *words, check=check)

    def test_check_foretells_the_answer_and_who_gives_it(self):
        for url, verdict in ANSWERS.items():
            with self.subTest(url):
                foretold, by = self.foretold(url)
                self.assertEqual(foretold, verdict)
                self.assert_answered_by(self.daemon_here, by, verdict, url)

    def test_check_knows_the_rules(self):
        self.daemon_here.icpctl("rules", "add", "http://e.org/", "err")
        self.assertEqual(self.foretold(DENIED), ("err", "kernel"))
        self.assert_answered_by(self.daemon_here, "kernel", "err", DENIED)

    def test_status_is_what_the_daemon_says(self):
        printed = json.loads(self.daemon_here.icpctl("--json", "status").stdout)
        said = self.daemon_here.status()
        for status in (printed, said):
            del status["uptime"]
        self.assertEqual(printed, said)

    def test_check_is_no_query(self):
        before = self.daemon_here.status()["answered"]
        self.foretold(HIT)
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

    def test_query_draws_both_datagrams(self):
        drawing = self.query("-s", SERVER, "--dump", HIT).stdout
        for text in ("ICP_OP_QUERY", "ICP_OP_HIT", "+-+-+-+-", f"{HIT}\\x00"):
            self.assertIn(text, drawing)

    def test_query_tells_of_silence(self):
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


class SlowPolicies(Wire):
    mode = "off"

    def test_check_takes_as_long_as_its_policies(self):
        """Here that is more than icpctl waits for a daemon that is silent."""
        mute = """policy "{name}" {{
            kind = "helper" timeout = "6s" program = {{ "/bin/sh", "-c", "cat >/dev/null" }}
        }}
        """
        last = 'policy "30" { kind = "prefix" verdict = "denied" url = "http://" }'
        daemon = self.responder(mute.format(name="10") + mute.format(name="20") + last).start()
        self.assertIn("ICP_OP_DENIED", daemon.icpctl("check", HIT).stdout)


if __name__ == "__main__":
    main()
