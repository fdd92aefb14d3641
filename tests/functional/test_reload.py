#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration: errors name file and line, and change nothing."""

import json
import os
import pwd
import re
import time
import zlib

from daemon import BUILD, listed
from lab import Lab, main
from net import PATIENCE, run, until
from wire import HIT, SERVER, Wire

GOOD = """
policy "10" {
    kind = "prefix"
    verdict = "hit"
    urls = { "http://e.org/" }
}
"""
OTHER = GOOD.replace("hit", "denied")
URL = "http://e.org/x"

# Each has its error in the third line of the policies.
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
        """FILE:LINE of a text in the configuration."""
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
        generation, none = self.daemon_here.counts("generation", "last_reload")
        self.assertIsNone(none)
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.ask(), "denied")
        status = self.daemon_here.status()
        self.assertEqual(status["generation"], generation + 1)
        self.assertIsNone(status["last_reload"]["error"])
        self.assertLess(abs(status["last_reload"]["time"] - time.time()), 2 * PATIENCE)
        self.assertEqual(status["config"], str(self.daemon_here.config))

    def test_reload_by_signal(self):
        self.daemon_here.start()
        self.daemon_here.configure(OTHER)
        self.daemon_here.hang_up()
        until(lambda: self.ask() == "denied", "the reload")

    def test_error_changes_nothing_and_is_reported(self):
        self.daemon_here.start()
        for name, policies in MISTAKES.items():
            with self.subTest(name):
                done = self.daemon_here.reload(policies, check=False)
                self.assertEqual(done.returncode, 3)
                self.assert_names_the_line(done.stderr)
                error = done.stderr.removeprefix("icpctl: ").strip()
                self.assertIn(f"nothing is changed: {error}\n", self.daemon_here.log.read_text())
                self.assertEqual(self.daemon_here.count("last_reload")["error"], error)
                self.assertIn(error, self.daemon_here.icpctl("status").stdout)
                self.assertEqual(self.ask(), "hit")
        self.daemon_here.reload(OTHER)
        self.assertEqual(self.ask(), "denied")
        self.assertIsNone(self.daemon_here.count("last_reload")["error"])

    def assert_names_the_line(self, text):
        first = int(self.place_of("policy ").rpartition(":")[2])
        places = [
            int(line)
            for line in re.findall(f"{re.escape(str(self.daemon_here.config))}:(\\d+): ", text)
        ]
        self.assertTrue(places, text)
        # An unterminated string is noticed where the next one begins.
        self.assertIn(places[0], range(first, first + 4), text)

    def test_error_on_sighup_changes_nothing_and_is_logged(self):
        self.daemon_here.start()
        self.daemon_here.configure(MISTAKES["no such kind"])
        self.daemon_here.hang_up()
        until(
            lambda: f"{self.place_of('no-such-kind')}: " in self.daemon_here.log.read_text(),
            "a log line",
        )
        self.assertEqual(self.ask(), "hit")

    def test_missing_file_changes_nothing(self):
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

    def test_hang_up_during_the_start(self):
        """It waits until the daemon can reload."""
        urls = self.directory() / "urls"
        urls.write_text("".join(f"http://e.org/{n}\n" for n in range(300_000)))
        self.daemon_here.configure(f'policy "1" {{ kind = prefix verdict = hit file = "{urls}" }}')
        self.daemon_here.launch()
        until(self.daemon_here.control.exists, "the socket")
        self.daemon_here.hang_up()
        until(lambda: "reloaded" in self.daemon_here.log.read_text(), "the reload")

    def test_the_end_within_a_health_check(self):
        """A connection that is just refused is freed as well (sanitized)."""
        check = 'kind = health verdict = miss http = "http://127.0.0.1:1/" interval = 10ms'
        self.daemon_here.configure("".join(f'policy "{n}" {{ {check} }}\n' for n in range(20)))
        for _ in range(8):
            self.daemon_here.start()
            until(lambda: self.daemon_here.count("states")[0]["name"] == "down", "refusals")
            self.daemon_here.stop()

    def test_check_of_a_valid_configuration(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_check_reports_an_error(self):
        for name, policies in MISTAKES.items():
            with self.subTest(name):
                self.daemon_here.configure(policies)
                done = self.check()
                self.assertEqual(done.returncode, 1)
                self.assert_names_the_line(done.stderr)

    def test_check_tells_what_a_start_would_do(self):
        directory = self.daemon_here.config.parent
        helper = 'kind = "helper" program = { "/bin/sh", "-c", "id -u >>$0; exec %s", "%s" }'
        quick = helper % ("sed -u s/.*/-/", directory / "users")
        shadowed = GOOD.replace("10", "20").replace('.org/"', '.org/x", "http://f.org/"')
        self.daemon_here.configure(f'{GOOD} {shadowed} policy "30" {{ {quick} }}')
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], ": 3 policies, 3 prefixes$")
        self.assertRegex(lines[1], "^policy '30' and all policies after it are evaluated by the daemon: ")
        self.assertRegex(
            lines[2],
            "^policy '20': 1 of 2 entries is never reached: 'http://e.org/x' is already decided by policy '10'$",
        )
        self.assertRegex(lines[3], r"^policy '30': replies \(2 of 2 children run\)$")
        nobody = {str(pwd.getpwnam("nobody").pw_uid)}
        self.assertEqual(set((directory / "users").read_text().split()), nobody)
        # One that writes its replies when its buffer is full, as most do into a pipe.
        slow = helper % ("sed s/.*/-/", directory / "users")
        self.daemon_here.configure(f'policy "30" {{ {quick} }} policy "40" {{ {slow} }}')
        done = self.check()
        self.assertEqual(done.returncode, 1)
        self.assertIn("policy '30': replies", done.stdout)
        self.assertRegex(done.stderr, r"^policy '40': neither a verdict nor - .*\n$")

    def test_check_tells_what_no_cache_asks_for(self):
        self.daemon_here.configure('policy "1" { kind = prefix verdict = hit url = "www.e.org/" }')
        self.assertIn(
            "policy '1': 1 of 1 entries matches no URL in the form in which caches ask for it: "
            "'www.e.org/': it has no scheme, such as http://\n",
            self.check().stdout,
        )

    def test_no_start_with_an_error(self):
        self.daemon_here.configure(MISTAKES["no such kind"])
        self.daemon_here.launch()
        self.assertEqual(self.daemon_here.wait(), 1)
        self.assertIn(f"{self.place_of('no-such-kind')}: ", self.daemon_here.log.read_text())


def of_many(count, verdict="hit"):
    """A policy of `count` prefixes, the last of which matches HIT."""
    urls = [f"http://{n}.example.com/" for n in range(1, count)] + ["http://hit.example.com/"]
    return f'policy "10" {{ kind = "prefix" verdict = "{verdict}" urls = {listed(urls)} }}'


class InTheKernel(Wire):
    """Options that need a restart keep their values, in the kernel too."""

    mode = "native"
    sanitized = True
    ADDRESS, PORT = "10.1.0.77", 4130

    def assert_says(self, daemon, text):
        until(lambda: text in daemon.log.read_text(), f"the daemon to say '{text}'")

    def test_more_addresses_wait_for_the_next_start(self):
        daemon = self.responder().start()
        daemon.listen = (*daemon.listen, f"0.0.0.0:{self.PORT}", f"[::]:{self.PORT}")
        daemon.configure(of_many(1, "denied"))
        daemon.hang_up()
        self.assert_says(daemon, "listen: the change takes effect at the next start")
        until(lambda: self.ask(HIT) == "denied", "the reload")
        # Now the daemon updates all addresses in the kernel.
        self.server_side.add_address("s0", f"{self.ADDRESS}/24")
        until(
            lambda: self.is_answered_by_kernel(daemon, "denied", HIT, self.ADDRESS),
            f"the kernel to answer to {self.ADDRESS}",
        )
        for address in (SERVER, self.ADDRESS):
            self.assert_port_closed(address, self.PORT)
        self.assertEqual(daemon.count("listen"), ["0.0.0.0:3130", "[::]:3130"])
        daemon.stop()

    def test_the_kernel_keeps_the_chain_if_asked_to(self):
        settings = 'on_exit = "keep" drain_time = "1h"'  # there is nothing to drain for
        daemon = self.responder(settings=settings).start()
        daemon.stop()
        self.assertEqual(self.ask(HIT), "hit")
        daemon.start()
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        daemon.reload(of_many(1, "denied"))
        daemon.stop()
        self.assertEqual(self.ask(HIT), "denied")
        # What is drained is not to be asked, whatever the chain says.
        daemon.settings = [line.removesuffix(' drain_time = "1h"') for line in daemon.settings]
        daemon.configure(of_many(1))
        daemon.start()
        daemon.icpctl("drain")
        daemon.stop()
        self.assert_port_closed(SERVER, 3130)

    def test_other_sizes_wait_for_the_next_start(self):
        sizes = "rules_max = 8 prefixes_max = 8"
        daemon = self.responder(settings=sizes, verdicts_max=8).start()
        daemon.settings = [line.replace("= 8", "= 9") for line in daemon.settings]
        daemon.configure(of_many(2))
        told = "rules_max, prefixes_max, verdicts_max: the change takes effect at the next start"
        self.assertEqual(daemon.icpctl("reload").stdout, f"{told}\n")
        self.assert_says(daemon, told)
        self.assertEqual(daemon.ask_control("POST", "/v1/reload")["restart"], told.split(":")[0])
        self.assertEqual(daemon.counts("rules_max", "prefixes_max"), (8, 8))
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_no_start_with_more_prefixes_than_prefixes_max(self):
        daemon = self.responder(of_many(5), settings="prefixes_max = 4")
        daemon.launch()
        self.assertEqual(daemon.wait(), 1)
        self.assertRegex(daemon.log.read_text(), "5 prefixes.*prefixes_max is 4")
        done = run(BUILD / "xdp-icpd", "-c", daemon.config, "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "5 prefixes.*prefixes_max is 4")
        self.assertEqual(self.program(), (None, None))
        self.assertFalse(os.path.exists(self.pins))

    def test_assigned_prefixes_without_room_are_the_daemons(self):
        """Assignments by others do not keep it from starting; it logs why the kernel is silent."""
        state = self.directory()
        keys = [("members/a", {"weight": 1})]
        keys += [(f"assign/{URL}{number}", {"verdict": "denied"}) for number in range(5)]
        head = {"format": 1, "cluster": "site", "self": "a", "lease": 0, "revision": 1, "as_of": 1}
        lines = [head, *({"key": key, "value": value} for key, value in keys)]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        text += json.dumps({"crc32": zlib.crc32(text.encode())})
        (state / "cluster-site").write_text(f"{text}\n")
        os.chmod(state, 0o755)
        policy = """policy "10" { kind = "exact" verdict = "hit" url = "http://first/" }
        policy "20" { kind = "partition" cluster = "site" }"""
        cluster = f"""cluster "site" {{
            etcd = {{ "http://127.0.0.1:9" }} member = "a" state = "{state}"
        }}"""
        for room, who, told in ((5, "daemon", 1), (6, "kernel", 0)):
            daemon = self.responder(policy, settings=f"prefixes_max = {room} {cluster}").start()
            self.assert_answered_by(daemon, "kernel", "hit", "http://first/")
            self.assert_answered_by(daemon, who, "denied", f"{URL}4")
            daemon.icpctl("reload")
            self.assert_answered_by(daemon, who, "denied", f"{URL}3")
            said = daemon.log.read_text()
            self.assertEqual(said.count("its 5 texts have no room"), told, said)
            daemon.stop()
        # Nor do maps that were made without these prefixes.
        self.load("--unload", "s0")
        self.load("s0", settings="prefixes_max = 5")
        daemon = self.responder(policy, settings=cluster, interfaces=[]).start()
        self.assert_answered_by(daemon, "kernel", "hit", "http://first/")
        self.assert_answered_by(daemon, "daemon", "denied", f"{URL}4")

    def test_check_tells_the_room_for_keys_seen_lately(self):
        recent = 'policy "%s" { kind = "recent" verdict = "hit" window = 1h entries_max = 200000 }'
        daemon = self.responder(recent % "10" + recent % "20")
        check = ("-c", daemon.config, "--check")
        lines = run(BUILD / "xdp-icpd", *check).stdout.splitlines()
        found = re.fullmatch(
            "room in the kernel for keys seen lately: 400000 of 400000, which take (.*) MiB",
            lines[2],
        )
        self.assertGreater(float(found[1]), 400000 * 104 / (1 << 20))
        daemon.configure("")
        self.assertNotIn("keys", run(BUILD / "xdp-icpd", *check).stdout)

    def test_the_chain_doubles_without_a_restart(self):
        daemon = self.responder(of_many(2500)).start()
        self.assertEqual(daemon.count("prefixes_max"), 5000)
        done = daemon.reload(of_many(5001, "err"), check=False)
        self.assertRegex(
            done.stderr,
            "5001 prefixes, .* of 5001 lines .* room for 5000; restart the daemon, which makes room",
        )
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        daemon.reload(of_many(5000, "denied"))
        self.assert_answered_by(daemon, "kernel", "denied", HIT)
        networks = listed(f"10.{n >> 8}.{n & 255}.0/24" for n in range(1025))
        sources = f'policy "1" {{ kind = "source" verdict = "err" from = {networks} }}'
        done = daemon.reload(sources, check=False)
        self.assertRegex(done.stderr, "1025 networks .* room for 1024; restart the daemon")
        # A restart keeps maps that have some room left, and replaces those that have not.
        for count, room in ((4000, 5000), (4001, 8002)):
            daemon.stop()
            daemon.configure(of_many(count))
            daemon.start()
            self.assertEqual(daemon.count("prefixes_max"), room)
            self.assertEqual("replacing the maps" in daemon.log.read_text(), room > 5000)
            self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_suffixes_and_hosts_count_as_prefixes(self):
        others = (
            'policy "20" { kind = "suffix" verdict = "miss" texts = { ".gif", ".png" } }\n'
            'policy "30" { kind = "host" verdict = "denied" host = "example.org" }\n'
        )
        daemon = self.responder(of_many(1) + others, settings="prefixes_max = 4").start()
        self.assertEqual(daemon.counts("prefixes", "prefixes_used"), (4, 4))
        self.assert_answered_by(daemon, "kernel", "denied", "http://EXAMPLE.org:80/")
        done = daemon.reload(of_many(2) + others, check=False)
        self.assertRegex(done.stderr, "5 prefixes, suffixes, hosts and substrings.*at least 5")
        self.assert_answered_by(daemon, "kernel", "miss", "http://example.org/x.png")

    def test_no_reload_with_more_prefixes_than_prefixes_max(self):
        daemon = self.responder(of_many(4), settings="prefixes_max = 4").start()
        done = daemon.reload(of_many(5, "denied"), check=False)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, "5 prefixes.*prefixes_max")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        daemon.hang_up()
        self.assert_says(daemon, "nothing is changed")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        daemon.reload(of_many(4, "denied"))
        self.assert_answered_by(daemon, "kernel", "denied", HIT)


if __name__ == "__main__":
    main()
