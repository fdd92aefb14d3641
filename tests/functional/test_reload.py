#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration: what is wrong in it is told by file and line, and changes nothing."""

import re

from daemon import BUILD
from lab import Lab, main
from net import run, until

GOOD = """
policy "10" {
    kind = "prefix"
    verdict = "hit"
    urls = { "http://e.org/" }
}
"""
OTHER = GOOD.replace("hit", "denied")
URL = "http://e.org/x"

# The mistake of each stands on the third line of the policies.
MISTAKES = {
    "no such kind": GOOD.replace('"prefix"', '"no-such-kind"'),
    "no such setting": GOOD.replace("kind", "knid"),
    "no such verdict": GOOD.replace("kind", "verdict").replace('"prefix"', '"perhaps"'),
    "an open string": GOOD.replace('"prefix"', '"prefix'),
    "a pattern that is none": GOOD.replace(
        'kind = "prefix"', 'kind = "regex" pattern = "(" '
    ).replace('urls = { "http://e.org/" }', ""),
}


class Reload(Lab):
    sanitized = True

    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")
        self.client_here = self.client(self.server)
        self.daemon_here = self.daemon(self.server, GOOD)

    def ask(self, url=URL):
        return self.client_here.ask(url, "127.0.0.1")

    def place_of(self, text):
        """FILE:LINE of a piece of the configuration."""
        lines = self.daemon_here.config.read_text().splitlines()
        number = next(n for n, line in enumerate(lines, 1) if text in line)
        return f"{self.daemon_here.config}:{number}"

    def check(self):
        return run(BUILD / "xdp-icpd", "-c", self.daemon_here.config, "--check", check=False)

    def test_reload_by_icpctl(self):
        self.daemon_here.start()
        self.assertEqual(self.ask(), "hit")
        self.daemon_here.configure(OTHER)
        self.assertEqual(self.ask(), "hit")
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.ask(), "denied")

    def test_reload_by_signal(self):
        self.daemon_here.start()
        self.daemon_here.configure(OTHER)
        self.daemon_here.hang_up()
        until(lambda: self.ask() == "denied", "the reload")

    def test_a_mistake_changes_nothing_and_is_told(self):
        self.daemon_here.start()
        for name, policies in MISTAKES.items():
            with self.subTest(name):
                self.daemon_here.configure(policies)
                done = self.daemon_here.icpctl("reload", check=False)
                self.assertEqual(done.returncode, 3)
                self.assert_names_the_line(done.stderr)
                self.assertEqual(self.ask(), "hit")
        self.daemon_here.configure(OTHER)
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.ask(), "denied")

    def assert_names_the_line(self, text):
        first = int(self.place_of("policy ").rpartition(":")[2])
        places = [
            int(line)
            for line in re.findall(f"{re.escape(str(self.daemon_here.config))}:(\\d+): ", text)
        ]
        self.assertTrue(places, text)
        # An open string shows itself where the next one begins.
        self.assertIn(places[0], range(first, first + 4), text)

    def test_a_mistake_on_hang_up_changes_nothing_and_is_logged(self):
        self.daemon_here.start()
        self.daemon_here.configure(MISTAKES["no such kind"])
        self.daemon_here.hang_up()
        until(
            lambda: f"{self.place_of('no-such-kind')}: " in self.daemon_here.log.read_text(),
            "a log line",
        )
        self.assertEqual(self.ask(), "hit")

    def test_a_file_that_is_gone_changes_nothing(self):
        self.daemon_here.start()
        self.daemon_here.config.unlink()
        done = self.daemon_here.icpctl("reload", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(str(self.daemon_here.config), done.stderr)
        self.assertEqual(self.ask(), "hit")

    def test_a_list_of_urls_in_a_file(self):
        urls = self.daemon_here.config.with_name("urls")
        urls.write_text("http://e.org/a/\nhttp://e.org/b/\tdenied\n")
        self.daemon_here.configure(
            f'policy "10" {{ kind = "prefix" verdict = "hit" file = "{urls}" }}'
        )
        self.daemon_here.start()
        asked = [f"http://e.org/{page}/" for page in "abc"]
        self.assertEqual([self.ask(url) for url in asked], ["hit", "denied", "miss"])
        urls.write_text("http://e.org/c/\tmiss_nofetch\n")
        self.daemon_here.icpctl("reload")
        self.assertEqual([self.ask(url) for url in asked], ["miss", "miss", "miss_nofetch"])
        urls.write_text("http://e.org/c/\thit\nhttp://e.org/d/\tperhaps\n")
        done = self.daemon_here.icpctl("reload", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(f"{urls}:2: ", done.stderr)
        self.assertEqual([self.ask(url) for url in asked], ["miss", "miss", "miss_nofetch"])

    def test_check_of_a_good_configuration_says_nothing_ill(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_check_of_a_mistake(self):
        for name, policies in MISTAKES.items():
            with self.subTest(name):
                self.daemon_here.configure(policies)
                done = self.check()
                self.assertEqual(done.returncode, 1)
                self.assert_names_the_line(done.stderr)

    def test_no_start_with_a_mistake(self):
        self.daemon_here.configure(MISTAKES["no such kind"])
        self.daemon_here.launch()
        self.assertEqual(self.daemon_here.wait(), 1)
        self.assertIn(f"{self.place_of('no-such-kind')}: ", self.daemon_here.log.read_text())


if __name__ == "__main__":
    main()
