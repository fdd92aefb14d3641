#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The loader, its pins, and daemons with and without the rights to do its work."""

import os
import shutil

from daemon import BUILD
from lab import main
from wire import DENIED, HIT, SERVER, SERVER6, Wire

UNPRIVILEGED = (
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)


class Loader(Wire):
    mode = "native"
    sanitized = True

    def program(self, device="s0"):
        """The id and the mode of the program on a device."""
        xdp = self.server_side.link(device).get("xdp")
        if not xdp:
            return None, None
        attached = xdp.get("attached", [xdp])[0]
        return attached["prog"]["id"], {1: "native", 2: "generic"}[attached["mode"]]


class LifeOfTheProgram(Loader):
    def test_load_and_unload(self):
        self.load("s0")
        self.assertEqual(self.program()[1], "native")
        self.assertTrue(os.listdir(self.pins))
        self.load("--unload", "s0")
        self.assertEqual(self.program(), (None, None))
        self.assertFalse(os.path.exists(self.pins))

    def test_status(self):
        self.load("s0")
        status = self.load("--status", "s0").stdout
        for text in ("s0", "native", str(self.program()[0])):
            self.assertIn(text, status)

    def test_each_mode(self):
        for mode in ("native", "generic"):
            self.load("--mode", mode, "s0")
            self.assertEqual(self.program()[1], mode)
            self.load("--unload", "s0")

    def test_auto_takes_generic_where_native_is_not_to_be_had(self):
        self.load("--mode", "auto", "lo")
        self.assertEqual(self.program("lo")[1], "generic")

    def test_native_never_degrades(self):
        done = self.load("--mode", "native", "lo", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("generic", done.stderr)
        self.assertEqual(self.program("lo"), (None, None))

    def test_loading_again_changes_nothing(self):
        self.load("s0")
        before = self.program()
        self.load("s0")
        self.assertEqual(self.program(), before)

    def test_another_program_keeps_its_place(self):
        self.pass_all(self.server_side, "s0")
        other, _ = self.program()
        done = self.load("s0", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(other), done.stderr)
        self.assertIn("--replace", done.stderr)
        self.assertEqual(self.program()[0], other)
        self.load("--replace", "s0")
        self.assertNotEqual(self.program()[0], other)

    def test_unload_leaves_another_program_alone(self):
        self.pass_all(self.server_side, "s0")
        before = self.program()
        self.load("--unload", "s0", check=False)
        self.assertEqual(self.program(), before)

    def test_an_unknown_device(self):
        done = self.load("no-such-device", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-such-device", done.stderr)
        self.assertFalse(os.path.exists(self.pins))


class Daemons(Loader):
    def nobodys(self, daemon):
        """Starts a daemon as somebody without rights, from a copy that anybody may read."""
        program = shutil.copy(BUILD / "xdp-icpd", daemon.config.parent)
        return daemon.start(*UNPRIVILEGED, program=program)

    def test_a_daemon_without_rights_uses_the_loaders_pins(self):
        for mode in ("native", "generic"):
            with self.subTest(mode):
                self.load("--mode", mode, "s0")
                daemon = self.nobodys(self.responder(mode="auto"))
                self.assertEqual(daemon.count("mode"), mode)
                for address in (SERVER, SERVER6):
                    self.assert_answered_by(daemon, "kernel", "hit", HIT, address)
                    self.assert_answered_by(daemon, "daemon", "denied", DENIED, address)
                daemon.stop()
                self.load("--unload", "s0")

    def test_without_rights_and_pins_it_answers_in_userspace_and_says_so_once(self):
        daemon = self.nobodys(self.responder(mode="auto"))
        self.assertEqual(daemon.count("mode"), "userspace")
        self.assert_answered_by(daemon, "daemon", "hit", HIT)
        lines = [line for line in daemon.log.read_text().splitlines() if "xdp-icp-load" in line]
        self.assertEqual(len(lines), 1, daemon.log.read_text())

    def test_mode_off_leaves_the_interface_alone(self):
        daemon = self.responder(mode="off").start()
        self.assertEqual(daemon.count("mode"), "userspace")
        self.assertEqual(self.program(), (None, None))
        self.assert_answered_by(daemon, "daemon", "hit", HIT)

    def test_as_root_it_loads_by_itself_and_drops_its_rights(self):
        daemon = self.responder(mode="native").start()
        self.assertEqual(self.program()[1], "native")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        with open(f"/proc/{daemon.process.pid}/status") as lines:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in lines)
        self.assertNotIn("0", status["Uid"].split())
        self.assertEqual(int(status["CapEff"], 16), 0)

    def test_a_second_daemon_on_the_same_pins_is_refused(self):
        first = self.responder().start()
        second = self.responder(listen=("127.0.0.1:4130",))
        second.launch()
        self.assertNotEqual(second.wait(), 0)
        self.assertIn(self.pins, second.log.read_text())
        self.assert_answered_by(first, "kernel", "hit", HIT)
        self.assert_answered_by(first, "daemon", "denied", DENIED)

    def test_two_daemons_with_pins_of_their_own(self):
        first = self.responder().start()
        other = self.responder(
            interfaces=["lo"], mode="generic", pin_dir=self.pin_dir(), listen=("127.0.0.1:4130",)
        ).start()
        self.assertEqual([first.count("mode"), other.count("mode")], ["native", "generic"])
        self.assert_answered_by(first, "kernel", "hit", HIT)


if __name__ == "__main__":
    main()
