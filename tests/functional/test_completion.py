#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a shell completes."""

import os
import re
import subprocess

from daemon import BUILD, ROOT
from lab import Lab, main

COMPLETION = ROOT / "scripts/completion"
POLICIES = "".join(
    f'policy "{name}" {{ kind = "prefix" verdict = "hit" urls = {{ "http://{number}/" }} }}\n'
    for number, name in enumerate(("10-mine", "10 spaces", r"10\\back", "20-$(id)"))
)


class Completion(Lab):
    def setUp(self):
        super().setUp()
        self.environment = os.environ | {"PATH": f"{BUILD}:{os.environ['PATH']}"}

    def candidates(self, *words):
        done = subprocess.run(
            [COMPLETION / "complete", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return set(done.stdout.splitlines())

    def test_from_the_help(self):
        self.assertLessEqual({"policy", "rules", "undrain"}, self.candidates("icpctl", ""))
        self.assertLessEqual({"--json", "--socket"}, self.candidates("icpctl", "-"))
        self.assertLessEqual({"list", "add", "remove"}, self.candidates("icpctl", "policy", ""))
        self.assertLessEqual({"list", "load", "key"}, self.candidates("icpctl", "rules", ""))
        self.assertIn("--source", self.candidates("icpctl", "--json", "check", "-"))
        self.assertLessEqual({"query", "help"}, self.candidates("icpctl", "help", ""))
        self.assertIn("--dump", self.candidates("icpctl", "query", "http://e.org/", "--"))
        for program, option in (("xdp-icpd", "--check"), ("icpblast", "--rate")):
            self.assertIn(option, self.candidates(program, "-"))
        verdicts = {"hit", "miss", "miss_nofetch", "denied", "err"}
        self.assertEqual(self.candidates("icpctl", "rules", "add", "http://e.org/", ""), verdicts)
        self.assertEqual(self.candidates("icpctl", "drain", "--verdict", ""), verdicts | {"silence"})
        self.assertIn("verdict=hit", self.candidates("icpctl", "policy", "add", "1", "verdict=h"))
        self.assertIn("lo", self.candidates("xdp-icp-load", ""))
        self.assertEqual(self.candidates("xdp-icpd", "-c", ""), set())  # files

    def test_from_the_daemon(self):
        daemon = self.daemon(self.namespace("server"), POLICIES).start()
        prefix = r'http://e.org/a"\\'
        daemon.icpctl("rules", "add", prefix, "hit")
        socket = ("-S", str(daemon.control))
        names = {"10-mine", "10 spaces", r"10\\back", "20-$(id)"}
        self.assertEqual(self.candidates("icpctl", *socket, "policy", "remove", "1"), names)
        long = (f"--socket={daemon.control}",)
        self.assertEqual(self.candidates("icpctl", *long, "policy", "add", ""), names)
        self.assertEqual(self.candidates("icpctl", *socket, "rules", "del", ""), {prefix})
        # bash quotes them, and runs nothing of what is typed or found.
        for typed, expected in (
            ("10\\ ", r"10\ spaces"),
            ("10\\\\b", r"10\\\\back"),
            ("20", r"20-\$\(id\)"),
            ("'20-$(touch", ""),
        ):
            self.assertEqual(self.bash("icpctl", *socket, "policy", "remove", typed), expected)
        for words, expected in (
            ((*long, "policy", "remove", "10-"), "10-mine"),
            (("rules", "add", "http://e.org:8080/", "mi"), "miss\nmiss_nofetch"),
            (("policy", "add", "1", "verdict=h"), "hit"),
        ):
            self.assertEqual(self.bash("icpctl", *words), expected)

    def bash(self, *words):
        """As bash hands them over, in whose words = and : stand alone."""
        words = [part for word in words for part in re.findall("[=:]+|[^=:]+", word) or [""]]
        script = (COMPLETION / "xdp-icp.bash").read_text()
        script = script.replace("@PREFIX@/libexec/xdp-icp", str(COMPLETION))
        done = subprocess.run(
            [
                *("bash", "-c", script + '\ncompopt() { :; }; COMP_WORDS=("$@")\n'
                "COMP_CWORD=$(($# - 1)); _xdp_icp; printf '%s\\n' \"${COMPREPLY[@]}\""),
                *("bash", *words),
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.rstrip("\n")


if __name__ == "__main__":
    main()
