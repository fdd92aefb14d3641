#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl policy --save: a saved change is what a reload finds, or nothing is changed."""

import os
import pathlib

from daemon import BUILD
from lab import Lab, main
from net import run
from neighbour import NOBODY

FOO, BAR = "http://e.org/foo", "http://e.org/bar"


class Saved(Lab):
    def start(self, policies=""):
        self.server = self.namespace("server")
        self.client_here = self.client(self.server)
        self.daemon_here = self.daemon(self.server, policies)
        self.drop_ins = pathlib.Path(f"{self.daemon_here.config}.d")
        self.daemon_here.start()

    def own(self):
        """Make the directory of the saved policies."""
        self.drop_ins.mkdir(exist_ok=True)
        os.chown(self.drop_ins, NOBODY, -1)

    def ask(self, url=FOO):
        return self.client_here.ask(url, "127.0.0.1")

    def policy(self, *words, check=True):
        return self.daemon_here.icpctl("policy", *words, check=check)

    def add(self, name, verdict, *words, check=True):
        return self.policy(
            "add", name, "kind=prefix", f"verdict={verdict}", f"url={FOO}", *words, check=check
        )

    def policies(self):
        reply = self.daemon_here.ask_control("GET", "/v1/policies")
        return {policy["name"]: policy["verdict"] for policy in reply["policies"]}

    def assert_refused(self, done, text):
        """Nothing is changed, now and by a reload."""
        self.assertEqual(done.returncode, 3, done)
        self.assertIn(text, done.stderr)
        before = self.policies()
        self.assertEqual(os.path.exists(f"{self.drop_ins}/10.conf.new"), False)
        self.daemon_here.ask_control("POST", "/v1/reload")
        self.assertEqual(self.policies(), before)

    def test_they_survive_a_restart(self):
        self.start()
        self.own()
        strange = "20 \"odd\" 'na/me' ${HOME} \\x"
        self.policy("add", strange, "kind=regex", "verdict=hit", r"patterns=\.(gif|png)$", "--save")
        self.add("gone", "hit")
        self.daemon_here.stop()
        self.daemon_here.start()
        self.assertEqual(self.ask("http://e.org/x.gif"), "hit")
        self.assertEqual(self.ask("http://e.org/xgif"), "miss")
        self.assertEqual(self.ask(), "miss")
        self.policy("remove", strange, "--save")
        self.assertEqual(self.ask("http://e.org/x.gif"), "miss")
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.ask("http://e.org/x.gif"), "miss")

    def test_without_a_directory_nothing_is_changed(self):
        """The error has the command that makes it, and the one that lets the daemon write."""
        self.start()
        os.chmod(self.drop_ins.parent, 0o755)
        self.assert_refused(
            self.add("10", "hit", "--save", check=False),
            f"Permission denied; as root: install -d -o {NOBODY} {self.drop_ins}",
        )
        self.assertEqual(self.ask(), "miss")
        run("install", "-d", self.drop_ins)
        command = f"chown {NOBODY} {self.drop_ins}"
        self.assert_refused(self.add("10", "hit", "--save", check=False), f"as root: {command}")
        self.assertEqual(self.ask(), "miss")
        run(*command.split())
        self.add("10", "hit", "--save")
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.ask(), "hit")
        os.chown(self.drop_ins, 0, -1)
        self.assert_refused(self.policy("remove", "10", "--save", check=False), command)
        self.assertEqual(self.ask(), "hit")

    def test_a_file_that_is_read_later(self):
        """Its name begins with that of the policy's own."""
        self.start()
        self.own()
        later = self.drop_ins / "10.conf.conf"
        later.write_text(f'policy "10" {{ kind = prefix verdict = denied url = "{FOO}" }}\n')
        self.daemon_here.icpctl("reload")
        self.assert_refused(self.add("10", "hit", "--save", check=False), f"{later}:1 defines")

    def test_on_a_full_disk_nothing_is_changed(self):
        self.start()
        self.own()
        run("mount", "-t", "tmpfs", "-o", "size=8k,mode=777", "tmpfs", self.drop_ins)
        self.addCleanup(run, "umount", self.drop_ins)
        self.add("10", "hit", "--save")
        filler = self.drop_ins / "filler"
        filler.write_bytes(bytes(4096))
        for name in ("10", "20"):
            self.assert_refused(
                self.add(name, "denied", "--save", check=False), "No space left on device"
            )
            self.assertEqual(self.policies(), {"10": "ICP_OP_HIT"})
        self.policy("remove", "10", "--save")  # takes no room
        self.assertEqual(self.ask(), "miss")

    def test_a_policy_that_cannot_be_started(self):
        """Its file has been written by then."""
        self.start()
        self.own()
        program = self.directory() / "program"
        program.touch(0o755)
        words = ("add", "10", "kind=helper", f"program={program}", "--save")
        self.assert_refused(self.policy(*words, check=False), "Exec format error")
        self.assertEqual(list(self.drop_ins.iterdir()), [])

    def test_the_policy_of_the_configuration_counts_again(self):
        mine = f'policy "10" {{ kind = prefix verdict = hit url = "{FOO}" }}'
        self.start(mine)
        config = self.daemon_here.config
        line = config.read_text().splitlines().index(mine) + 1
        where = f"{config}:{line}"
        for words in (("--save",), ()):  # an override that is saved, and one that is not
            self.add("10", "denied", *words)
            self.assertEqual(self.ask(), "denied")
            done = self.policy("remove", "10", "--save")
            self.assertEqual(done.stdout, f"policy '10' is again the one defined at {where}\n")
            self.assertEqual(self.ask(), "hit")
            self.assertEqual(list(self.drop_ins.iterdir()), [])
        self.assert_refused(
            self.policy("remove", "10", "--save", check=False), f"defined in {where}: remove it"
        )
        self.assertEqual(self.ask(), "hit")
        # One that was removed until the next reload only.
        self.add("10", "denied", "--save")
        self.policy("remove", "10")
        self.assertEqual(self.ask(), "miss")
        self.policy("remove", "10", "--save")
        self.assertEqual(self.ask(), "hit")
        # The configuration as it is now counts, as for a reload.
        self.add("10", "denied", "--save")
        self.daemon_here.configure("")
        self.assertEqual(self.policy("remove", "10", "--save").stdout, "")
        self.assertEqual(self.policies(), {})

    def assert_drained(self, now, saved):
        status = self.daemon_here.status()
        self.assertEqual((status["drain"], status["drain_saved"]), (now, saved))
        self.assertEqual(self.ask(), now.removeprefix("ICP_OP_").lower() if now else "hit")

    def test_a_drain(self):
        self.start(f'policy "10" {{ kind = prefix verdict = hit url = "{FOO}" }}')
        icpctl = self.daemon_here.icpctl
        os.chmod(self.drop_ins.parent, 0o755)
        done = icpctl("drain", "--save", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(f"nothing is changed: {self.drop_ins}: cannot be made", done.stderr)
        self.assert_drained(None, None)
        self.own()
        icpctl("drain", "--save", "--verdict", "denied")
        icpctl("reload")
        self.assert_drained("ICP_OP_DENIED", "ICP_OP_DENIED")
        command = (BUILD / "xdp-icpd", "-c", self.daemon_here.config, "--check")
        self.assertIn(f"kept in {self.drop_ins}: ICP_OP_DENIED", run(*command).stdout)
        # One that is not saved counts until the end of the daemon.
        icpctl("drain", "--verdict", "err")
        self.assertIn("ICP_OP_ERR to every query", icpctl("status").stdout)
        self.assert_drained("ICP_OP_ERR", "ICP_OP_DENIED")
        self.daemon_here.stop()
        self.daemon_here.start()
        self.assert_drained("ICP_OP_DENIED", "ICP_OP_DENIED")
        self.assertIn("draining as before the start", self.daemon_here.log.read_text())
        os.chown(self.drop_ins, 0, -1)
        self.assertIn(f"chown {NOBODY}", icpctl("undrain", check=False).stderr)
        self.assert_drained("ICP_OP_DENIED", "ICP_OP_DENIED")
        self.own()
        icpctl("undrain")
        self.assert_drained(None, None)
        self.assertEqual(list(self.drop_ins.iterdir()), [])
        self.daemon_here.stop()
        (self.drop_ins / "drain").write_text("deny\x1b\n")
        done = run(*command, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("drain: 'deny\\x1b' must be silence, hit, miss", done.stderr)
        (self.drop_ins / "drain").write_text("silence\n")
        self.daemon_here.start()
        self.assertEqual(self.daemon_here.status()["drain"], "silence")

    def test_another_file_that_is_read_later(self):
        """The other file would win at the next reload."""
        self.start()
        self.own()
        other = self.drop_ins / "50-local.conf"
        other.write_text(f'policy "10" {{ kind = prefix verdict = denied url = "{FOO}" }}\n')
        self.daemon_here.icpctl("reload")
        done = self.add("10", "hit", "--save", check=False)
        self.assert_refused(done, f"{other}:1 defines policy '10' as well")
        self.assertEqual(list(self.drop_ins.iterdir()), [other])
        self.assertEqual(self.ask(), "denied")
        done = self.policy("remove", "10", "--save", check=False)
        self.assert_refused(done, f"policy '10' is defined in {other}:1")


if __name__ == "__main__":
    main()
