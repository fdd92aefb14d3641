#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The loader, its pins, and daemons with and without privileges."""

import fcntl
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import bpf
from daemon import BUILD, VERDICTS_MAX, listed
from lab import main, pins
from net import children, until
from wire import DENIED, FAMILIES, HIT, POLICIES, SERVER, SERVER6, SERVER_2, Wire

UNPRIVILEGED = (
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)
# Shows a process the pins as the service's unit does: nothing else of the file system above them.
PINS_ALONE = (
    "unshare",
    "--mount",
    "sh",
    "-ec",
    """
    mount --bind "$1" /mnt
    mount -t tmpfs -o mode=755 tmpfs "$(dirname "$1")"
    mkdir "$1"
    mount --bind /mnt "$1"
    shift
    exec "$@"
    """,
    "sh",
)


class Loader(Wire):
    mode = "native"
    sanitized = False

    def change_abi(self):
        """Have the maps be of ABI version 77."""
        self.server_side.run(
            *f"bpftool map update pinned {self.pins}/abi key hex 00 00 00 00 value hex".split(),
            *struct.pack("=I", 77).hex(" ").split(),
        )


class LoadAndUnload(Loader):
    def test_load_and_unload(self):
        self.load("--mode", "native", "s0")
        self.assertEqual(self.program()[1], "native")
        self.assertTrue(os.listdir(self.pins))
        self.load("--unload", "s0")
        self.assertEqual(self.program(), (None, None))
        self.assertFalse(os.path.exists(self.pins))

    def test_all_interfaces(self):
        self.second_wire()
        configured = 'interfaces = { "s0", "no-such-device", "s1" }'
        done = self.load("--all", "--mode", "native", settings=configured, check=False)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("no-such-device", done.stderr)
        self.assertEqual([self.program(device)[1] for device in ("s0", "s1")], ["native"] * 2)
        self.load("--unload", "--all")  # whatever is configured by now
        self.assertEqual([self.program(device)[1] for device in ("s0", "s1")], [None] * 2)
        self.assertFalse(os.path.exists(self.pins))
        self.load("--unload", "--all")
        for settings in ("", f'{configured}\nmode = "off"'):
            self.assertIn("nothing to load", self.load("--all", settings=settings).stderr)
        self.assertEqual(self.load("--all", "s0", check=False).returncode, 1)

    def test_status(self):
        self.load("--mode", "native", "s0")
        status = self.load("--status", "s0").stdout
        for text in ("s0", "native", str(self.program()[0])):
            self.assertIn(text, status)

    def test_each_mode(self):
        for mode in ("native", "generic"):
            self.load("--mode", mode, "s0")
            self.assertEqual(self.program()[1], mode)
            self.load("--unload", "s0")

    def test_auto_falls_back_to_generic(self):
        self.load("--mode", "auto", "lo")
        self.assertEqual(self.program("lo")[1], "generic")

    def test_auto_is_native_on_a_veth_whose_peer_carries_a_program(self):
        self.need_kernel(6, 3)  # which reports the peer
        done = self.load("--mode", "auto", "s0")
        self.assertEqual(self.program()[1], "native")
        self.assertNotIn("no native mode", done.stderr)

    def test_auto_is_generic_on_a_veth_whose_peer_carries_none(self):
        """Native mode is possible, but every reply would be lost."""
        self.client_side.run("ip", "link", "set", "dev", "c0", "xdpdrv", "off")
        done = self.load("--mode", "auto", "s0")
        self.assertEqual(self.program()[1], "generic")
        self.assertRegex(done.stderr, "s0: no native mode: .*peer carries no XDP program")
        self.load("--unload", "s0")
        daemon = self.responder(mode="auto").start()
        self.assertEqual(daemon.count("mode"), "generic")
        self.assertRegex(daemon.log.read_text(), "s0: no native mode: .*peer carries no")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_native_never_degrades(self):
        done = self.load("--mode", "native", "lo", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("generic", done.stderr)
        self.assertEqual(self.program("lo"), (None, None))
        self.assertFalse(os.path.exists(self.pins))

    def test_a_program_that_was_to_be_replaced_stays(self):
        link = ("ip", "link", "set", "dev", "lo", "xdpgeneric", "pinned", self.pass_program)
        self.server_side.run(*link)
        before = self.program("lo")
        done = self.load("--replace", "--mode", "native", "lo", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(self.program("lo"), before)

    def test_an_interface_that_is_gone_keeps_no_pins(self):
        self.second_wire()
        for device in ("s0", "s1"):
            self.load(device)
        self.server_side.run("ip", "link", "del", "dev", "s1")
        self.load("--unload", "s0")
        self.assertFalse(os.path.exists(self.pins))

    def test_queries_before_the_first_daemon(self):
        """No policy of a chain that was never written needs the lease."""
        self.load("s0")
        self.assert_port_closed()
        daemon = self.responder().start()
        self.assertEqual(daemon.counts("passed.horizon", "passed.lease_expired"), (1, 0))

    def test_pins_in_the_directory_of_libxdp(self):
        """libxdp locks it itself, and would wait for a lock of the loader, which takes none."""
        above = f"{pins(os.getpid())}/xdp"
        os.mkdir(above)
        self.pins = f"{above}/icp"
        self.load("s0")
        directory = os.open(above, os.O_RDONLY)
        fcntl.flock(directory, fcntl.LOCK_EX)
        done = self.load("--unload", "lo")  # carries none: libxdp is not needed
        os.close(directory)
        self.assertNotIn("locked", done.stderr)
        self.load("--unload", "s0")

    def test_loading_twice(self):
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

    def test_unload_keeps_another_program(self):
        self.pass_all(self.server_side, "s0")
        before = self.program()
        self.load("--unload", "s0", check=False)
        self.assertEqual(self.program(), before)

    def test_unload_without_access_to_a_pin(self):
        """A state that cannot be read is an error with its cause, and the pins stay."""
        self.load("s0")
        before = sorted(os.listdir(self.pins))
        os.chown(f"{self.pins}/control", 12345, 12345)
        done = self.load("--unload", "s0", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{self.pins}/control is a link, or belongs to another user", done.stderr)
        os.unlink(f"{self.pins}/interfaces")
        done = self.load("--unload", "s0", check=False)
        self.assertIn(f"{self.pins}/control is a link", done.stderr)
        os.unlink(f"{self.pins}/control")
        done = self.load("--unload", "s0", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("carries an xdp_icp", done.stderr)
        self.assertEqual(
            sorted(os.listdir(self.pins)), sorted(set(before) - {"control", "interfaces"})
        )

    def test_an_unknown_device(self):
        done = self.load("no-such-device", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-such-device", done.stderr)
        self.assertFalse(os.path.exists(self.pins))
        self.load("s0")
        done = self.load("--status", "no-such-device", check=False)
        self.assertEqual(done.returncode, 6)
        self.assertIn("no-such-device: no such device", done.stderr)

    def test_status_and_unload(self):
        """Only one of them is allowed, because the intention would be unclear."""
        self.load("s0")
        for words in (("--status", "--unload"), ("--unload", "--status")):
            self.assertEqual(self.load(*words, "s0", check=False).returncode, 1)
        self.assertEqual(self.program()[1], "native")


class AtTheSameTime(Loader):
    """Loaders take turns."""

    mode = "generic"

    def loading(self, device):
        """A loader that runs."""
        config = self.directory() / "loader.conf"
        config.write_text(f'pin_dir = "{self.pins}"\nverdicts_max = {VERDICTS_MAX}\n')
        program = (BUILD / "xdp-icp-loader", "-c", config, "--mode", "generic", device)
        return subprocess.Popen(
            self.server_side.command(*program), stderr=subprocess.PIPE, text=True
        )

    def assert_loaded(self, loader):
        _, errors = loader.communicate()
        self.assertEqual(loader.returncode, 0, errors)

    def test_two_loaders(self):
        for _ in range(3):
            for loader in [self.loading("s0"), self.loading("lo")]:
                self.assert_loaded(loader)
            self.assertEqual([self.program(device)[1] for device in ("s0", "lo")], 2 * ["generic"])
            self.load("--status", "s0")
            self.load("--unload", "--all")
            self.assertEqual([self.program(device)[1] for device in ("s0", "lo")], 2 * [None])

    def test_a_daemon_that_starts_meanwhile(self):
        for mode in ("generic", "off"):
            loader = self.loading("lo")
            until(lambda: os.path.exists(self.pins), "the loader to begin")
            daemon = self.responder(mode=mode).start()
            self.assert_loaded(loader)
            self.assertNotIn("another daemon", daemon.log.read_text())
            self.assertEqual(self.program("lo")[1], "generic")
            who = "kernel" if mode == "generic" else "daemon"
            self.assert_answered_by(daemon, who, "hit", HIT)
            daemon.stop()
            self.load("--unload", "--all")


class Replacement(Loader):
    """Replacing maps keeps the rules, and is done completely or not at all."""

    LARGER = "prefixes_max = 10000"
    RULE = "http://rule.example.com/"

    def setUp(self):
        super().setUp()
        self.second_wire()
        self.daemon_here = self.responder().start()
        self.daemon_here.icpctl("rules", "add", self.RULE, "err")

    def rules(self, *words):
        return self.daemon_here.icpctl("rules", "--pin-dir", self.pins, *words).stdout

    def assert_rules_count(self, *addresses):
        """Old and new rules apply without a daemon, in the kernel."""
        for address in addresses:
            self.assertEqual(self.ask(self.RULE, address), "err")
        for verdict in ("denied", "miss_nofetch"):
            self.rules("add", f"{self.RULE}new/", verdict)
            for address in addresses:
                self.assertEqual(self.ask(f"{self.RULE}new/", address), verdict)
        self.rules("del", f"{self.RULE}new/")

    def test_a_load_that_fails_changes_nothing(self):
        self.daemon_here.kill()
        self.pass_all(self.server_side, "s1")
        before = (sorted(os.listdir(self.pins)), self.program(), self.rules("list"))
        done = self.load("s1", settings=self.LARGER, check=False)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(
            (sorted(os.listdir(self.pins)), self.program(), self.rules("list")), before
        )
        self.assertEqual(glob.glob(f"{self.pins}*"), [self.pins])
        for address in (SERVER, SERVER6):
            self.assertEqual(self.ask(HIT, address), "hit")
        self.assert_rules_count(SERVER, SERVER6)
        # And a later load succeeds.
        self.server_side.run("ip", "link", "set", "dev", "s1", "xdpdrv", "off")
        self.load("s1", "--mode", "native", settings=self.LARGER)
        self.assertEqual(self.rules("list"), before[2])
        self.assert_rules_count(SERVER, SERVER6, SERVER_2)

    def test_larger_maps_keep_the_rules(self):
        self.daemon_here.kill()
        before = self.rules("list")
        done = self.load("s1", "--mode", "native", settings=self.LARGER)
        self.assertIn(f"{self.pins}: replacing the maps there", done.stderr)
        self.assertEqual(self.rules("list"), before)
        self.assertEqual(glob.glob(f"{self.pins}*"), [self.pins])
        self.assertEqual([self.program(device)[1] for device in ("s0", "s1")], 2 * ["native"])
        self.assert_rules_count(SERVER, SERVER6, SERVER_2)
        daemon = self.responder(interfaces=["s0", "s1"], settings=self.LARGER).start()
        self.assertEqual(daemon.count("prefixes_max"), 10000)
        for address in (SERVER, SERVER6, SERVER_2):
            self.assert_answered_by(daemon, "kernel", "hit", HIT, address)
            self.assert_answered_by(daemon, "kernel", "err", self.RULE, address)

    def test_other_sizes(self):
        """More keys seen lately than there is room for, or another number of verdicts."""
        self.daemon_here.kill()
        recent = 'policy "1" { kind = "recent" verdict = "hit" window = 1h entries_max = 200000 }'
        self.assertIn("replacing the maps there", self.load("s0", settings=recent).stderr)
        for verdicts_max, replaced in ((VERDICTS_MAX, False), (VERDICTS_MAX // 2, True)):
            daemon = self.responder(recent, verdicts_max=verdicts_max).start()
            self.assertEqual("replacing the maps there" in daemon.log.read_text(), replaced)
            daemon.kill()

    def test_new_maps_that_cannot_be_moved(self):
        """What is there then is a mixture, which is not used."""
        self.daemon_here.kill()
        before = self.rules("list")
        os.unlink(f"{self.pins}/control")
        os.mkdir(f"{self.pins}/control")
        done = self.load("s1", "--mode", "native", settings=self.LARGER, check=False)
        self.assertIn("cannot be moved there", done.stderr)
        os.rmdir(f"{self.pins}/control")
        self.assertIn("which are incomplete", self.load("s1").stderr)
        self.assertEqual(self.rules("list"), before)

    def test_a_load_that_was_killed(self):
        """It has moved some of the new maps to the place of the old, and its program is attached."""
        self.daemon_here.kill()
        before, pins = self.rules("list"), self.pins
        names = sorted(os.listdir(pins))
        urls = listed(f"http://{number}.example.com/" for number in range(1000))
        policy = f'policy "1" {{ kind = "prefix"\n verdict = "hit"\n urls = {urls} }}'
        for moved in (["prefixes"], ["abi", "prefixes"], ["prefixes", "control"]):
            with self.subTest(moved=moved):
                self.load("s0", "--mode", "native", settings=self.LARGER)
                self.server_side.run("ip", "link", "set", "dev", "s0", "xdpdrv", "off")
                self.pins = f"{pins}-new"
                self.load("s0", "--mode", "native", settings="prefixes_max = 64")
                self.pins = pins
                os.chown(f"{pins}-new", 0, 0)
                os.unlink(f"{pins}/abi")
                for name in moved:
                    os.rename(f"{pins}-new/{name}", f"{pins}/{name}")
                daemon = self.responder(policy).start()
                self.assert_answered_by(daemon, "kernel", "hit", "http://999.example.com/")
                self.assertEqual(self.rules("list"), before)
                self.assertEqual(sorted(os.listdir(pins)), names)
                self.assertEqual(glob.glob(f"{pins}*"), [pins])
                daemon.kill()

    def test_another_abi_keeps_the_rules(self):
        self.daemon_here.kill()
        before = self.rules("list")
        self.change_abi()
        refused = self.daemon_here.icpctl("rules", "-p", self.pins, "list", check=False)
        self.assertIn("ABI version 77", refused.stderr)
        done = self.load("s0")
        self.assertRegex(
            done.stderr, f"{self.pins}: replacing the maps there, .*ABI version 77 .this is "
        )
        self.assertEqual(self.rules("list"), before)
        self.assert_rules_count(SERVER, SERVER6)

    def test_maps_that_a_daemon_holds_are_not_replaced(self):
        done = self.load("s1", settings=self.LARGER, check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn("a daemon uses them", done.stderr)
        self.assertEqual(self.program("s1"), (None, None))
        self.assert_answered_by(self.daemon_here, "kernel", "err", self.RULE)


class LeftOver(Loader):
    """A program that still replies by the chain of a daemon that is gone, and has no pins."""

    OTHER = POLICIES.replace('"hit"', '"denied"')
    mode = "generic"

    def setUp(self):
        super().setUp()
        self.first = self.responder().start()
        self.assertEqual(self.ask(HIT), "hit")
        self.left = self.program()
        self.pins_of_first, self.pins = self.pins, self.pin_dir()

    def assert_next_replies(self, who, **settings):
        daemon = self.responder(self.OTHER, **settings).start()
        self.assertIn(f"detached the XDP program xdp_icp (id {self.left[0]})", daemon.log.read_text())
        for _, address in FAMILIES:
            self.assert_answered_by(daemon, who, "denied", HIT, address)

    def test_another_pin_dir(self):
        self.first.kill()
        self.assert_next_replies("kernel")
        self.assertEqual(self.program()[1], "generic")

    def test_another_pin_dir_and_mode_off(self):
        self.first.kill()
        self.assert_next_replies("daemon", mode="off")
        self.assertEqual(self.program(), (None, None))

    def test_removed_pins_and_another_interface(self):
        self.first.kill()
        bpf.remove_pins(self.pins_of_first)
        self.pins = self.pins_of_first
        self.assert_next_replies("daemon", interfaces=["lo"])
        self.assertEqual(self.program(), (None, None))

    def test_maps_of_another_version_and_mode_off(self):
        self.first.kill()
        self.pins = self.pins_of_first
        self.change_abi()
        self.assert_next_replies("daemon", mode="off")

    def test_maps_of_another_version_and_no_interfaces(self):
        self.first.kill()
        self.pins = self.pins_of_first
        self.change_abi()
        self.assert_next_replies("daemon", mode="auto", interfaces=[])

    def test_the_child_that_loads_is_killed(self):
        """Only it could tell what became of the program, so the start fails."""
        self.first.kill()
        self.pins = self.pins_of_first
        urls = self.directory() / "urls"
        urls.write_text("".join(f"http://e.org/{n}/\n" for n in range(400_000)))
        slow = f'policy "00" {{ kind = prefix verdict = hit file = "{urls}" }}'
        following = self.responder(slow, mode="auto")
        following.launch()
        os.kill(until(lambda: children(following.process.pid), "the child")[0], signal.SIGKILL)
        self.assertEqual(following.wait(), 1)
        self.assertIn("the other process of the start has ended", following.log.read_text())

    def test_unload_all(self):
        """What a living daemon uses stays."""
        bpf.remove_pins(self.pins_of_first)
        self.load("--unload", "--all")
        self.assertEqual(self.program(), self.left)
        self.first.kill()
        self.load("--unload", "--all")
        self.assertEqual(self.program(), (None, None))

    def test_another_user(self):
        self.first.kill()
        self.pins = self.pins_of_first
        following = self.responder(self.OTHER, settings='user = "daemon"')
        following.launch()
        self.assertEqual(following.wait(), 1)
        self.assertIn("`xdp-icp-load --unload --all`", following.log.read_text())
        self.load("--unload", "--all")
        following.start()
        self.assert_answered_by(following, "kernel", "denied", HIT)

    def test_a_living_daemon_keeps_its_program(self):
        """Another daemon has other addresses, and the loader finds those of its own in use."""
        other = self.responder(self.OTHER, listen=(f"{SERVER}:4130",)).start()
        self.assertEqual(other.count("mode"), "userspace")
        self.assertEqual(self.load("s0", check=False).returncode, 5)
        self.assertEqual(self.program(), self.left)
        self.assert_answered_by(self.first, "kernel", "hit", HIT)
        other.stop()
        self.first.kill()
        self.load("s0")
        self.assertNotEqual(self.program()[0], self.left[0])
        self.assert_port_closed()


class Daemons(Loader):
    def test_a_program_that_never_had_a_daemon(self):
        """It replies by rules alone, and keeps its place from loaders, not from a daemon."""
        self.load("s0")
        left = self.program()
        self.pins = self.pin_dir()
        self.assertEqual(self.load("s0", check=False).returncode, 5)
        self.assertEqual(self.program(), left)
        daemon = self.responder(mode="native").start()
        self.assertNotEqual(self.program(), left)
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def unprivileged(self, daemon, *prefix):
        """Start a daemon as an unprivileged user, from a copy that all users may read."""
        program = shutil.copy(BUILD / "xdp-icpd", daemon.config.parent)
        return daemon.start(*prefix, *UNPRIVILEGED, program=program)

    def test_a_daemon_without_rights_uses_the_loaders_pins(self):
        for mode in ("native", "generic"):
            with self.subTest(mode):
                self.load("--mode", mode, "s0")
                daemon = self.unprivileged(self.responder(mode="auto"))
                self.assertEqual(daemon.count("mode"), mode)
                for address in (SERVER, SERVER6):
                    self.assert_answered_by(daemon, "kernel", "hit", HIT, address)
                    denied = f"{DENIED}/{mode}/{address}"  # not yet remembered
                    self.assert_answered_by(daemon, "daemon", "denied", denied, address)
                daemon.stop()
                self.load("--unload", "s0")

    def test_a_daemon_that_sees_the_pins_alone(self):
        self.load("s0")
        daemon = self.unprivileged(self.responder(mode="auto"), *PINS_ALONE, self.pins)
        self.assertEqual(daemon.count("mode"), "native")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_without_rights_and_pins_it_falls_back_to_userspace(self):
        daemon = self.unprivileged(self.responder(mode="auto"))
        self.assertEqual(daemon.count("mode"), "userspace")
        self.assert_answered_by(daemon, "daemon", "hit", HIT)
        lines = [line for line in daemon.log.read_text().splitlines() if "xdp-icp-load" in line]
        self.assertEqual(len(lines), 1, daemon.log.read_text())

    def test_an_interface_that_is_deleted(self):
        """It is named, with the remedy, and so is its return."""
        daemon = self.responder(mode="generic").start()
        self.server_side.run("ip", "link", "set", "dev", "s0", "xdpgeneric", "off")
        until(lambda: "s0 no longer carries" in daemon.log.read_text(), "the loss")
        self.load("--mode", "generic", "s0")
        until(lambda: "s0 carries the program" in daemon.log.read_text(), "the return")
        self.server_side.run("ip", "link", "del", "dev", "s0")
        told = "interface s0 is gone, .*: `xdp-icp-load s0`"
        until(lambda: re.search(told, daemon.log.read_text()), "the deletion")

    def test_mode_off_leaves_the_interface_alone(self):
        daemon = self.responder(mode="off").start()
        self.assertEqual(daemon.count("mode"), "userspace")
        self.assertEqual(self.program(), (None, None))
        self.assert_answered_by(daemon, "daemon", "hit", HIT)

    def test_as_root_it_loads_and_drops_privileges(self):
        daemon = self.responder(mode="native").start()
        self.assertEqual(self.program()[1], "native")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        with open(f"/proc/{daemon.process.pid}/status") as lines:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in lines)
        self.assertNotIn("0", status["Uid"].split())
        self.assertEqual(int(status["CapEff"], 16), 0)

    def test_a_kernel_without_types(self):
        types = "/sys/kernel/btf"
        if not os.path.exists(types):
            self.skipTest("this kernel has none to hide")
        hide = f'mount -t tmpfs none {types}; exec "$@"'
        daemon = self.responder(mode="native").start("unshare", "--mount", "sh", "-ec", hide, "sh")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        daemon.icpctl("rules", "add", HIT, "denied")
        self.assert_answered_by(daemon, "kernel", "denied", HIT)

    def test_a_second_daemon_on_the_same_pins_is_refused(self):
        first = self.responder().start()
        second = self.responder(listen=("127.0.0.1:4130",))
        second.launch()
        self.assertNotEqual(second.wait(), 0)
        self.assertIn(self.pins, second.log.read_text())
        self.assert_answered_by(first, "kernel", "hit", HIT)
        self.assert_answered_by(first, "daemon", "denied", DENIED)

    def refused_elsewhere(self, told):
        for words in (("c0",), ("no-such-device",), ("--unload", "--all"), ("--status",)):
            done = self.load(*words, namespace=self.client_side, check=False)
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertRegex(done.stderr, f"{self.pins}: .*in another network namespace; {told}")

    def test_the_loader_in_another_namespace_than_the_program(self):
        self.load("s0")
        self.refused_elsewhere("run xdp-icp-load there")
        daemon = self.responder().start()
        self.refused_elsewhere("run `nsenter")
        self.assertEqual(daemon.status()["interfaces"][0]["mode"], "native")
        daemon.kill()
        self.refused_elsewhere("run xdp-icp-load there")
        self.assertEqual(self.program()[1], "native")
        # What is attached nowhere any more can be removed.
        self.server_side.run("ip", "link", "set", "dev", "s0", "xdpdrv", "off")
        self.load("--unload", "--all", namespace=self.client_side)
        self.assertFalse(os.path.exists(self.pins))

    def test_the_loader_changes_the_mode_under_a_daemon(self):
        daemon = self.responder().start()
        for mode in ("generic", "native"):
            self.load("--mode", mode, "s0")
            for _, address in FAMILIES:
                until(
                    lambda: self.is_answered_by_kernel(daemon, "hit", HIT, address),
                    f"the kernel to answer in mode {mode}",
                )
            # Wait: the daemon checks this repeatedly.
            time.sleep(2.5)
            for _, address in FAMILIES:
                self.assert_answered_by(daemon, "kernel", "hit", HIT, address)
                denied = f"{DENIED}/{mode}/{address}"  # not yet remembered
                self.assert_answered_by(daemon, "daemon", "denied", denied, address)
            status = daemon.status()
            self.assertEqual(
                (status["mode"], [(one["name"], one["mode"]) for one in status["interfaces"]]),
                (mode, [("s0", mode)]),
            )
            self.assertNotIn("reason", status)
            self.assertIn(f"s0: mode {mode}", self.load("--status").stdout)

    def test_the_loader_adds_an_interface_under_a_daemon(self):
        self.second_wire()
        daemon = self.responder().start()
        self.assertEqual(self.ask(HIT, SERVER_2), "hit")
        self.load("--mode", "generic", "s1")
        until(
            lambda: self.is_answered_by_kernel(daemon, "hit", HIT, SERVER_2),
            "the kernel to answer on the second interface",
        )
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        self.assertEqual(
            {(one["name"], one["mode"]) for one in daemon.count("interfaces")},
            {("s0", "native"), ("s1", "generic")},
        )
        self.load("--unload", "s1")
        self.assertEqual(self.ask(HIT, SERVER_2), "hit")
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_the_loader_leaves_chains_to_a_daemon(self):
        """Also a half that was never written: the daemon may be about to activate it."""
        pin = f"{self.pins}/chain"
        key = (*"key hex".split(), *struct.pack("=I", 0).hex(" ").split())
        daemon = self.responder(mode="generic").start()

        def read():
            found = self.server_side.run("bpftool", "-j", "map", "lookup", "pinned", pin, *key)
            return bytes(int(byte, 16) for byte in json.loads(found.stdout)["value"])

        if struct.unpack_from("=I", read())[0]:
            key = (*key[:2], *struct.pack("=I", 1).hex(" ").split())
        chain = read()
        self.assertEqual(struct.unpack_from("=I", chain)[0], 0)
        marked = chain[:4] + struct.pack("=I", 77) + chain[8:]
        value = ("value", "hex", *marked.hex(" ").split())
        self.server_side.run("bpftool", "map", "update", "pinned", pin, *key, *value)
        self.load("s0", "--mode", "generic")
        self.assertEqual(read(), marked)
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_two_daemons_with_pins_of_their_own(self):
        first = self.responder().start()
        other = self.responder(
            interfaces=["lo"], mode="generic", pin_dir=self.pin_dir(), listen=("127.0.0.1:4130",)
        ).start()
        self.assertEqual([first.count("mode"), other.count("mode")], ["native", "generic"])
        self.assert_answered_by(first, "kernel", "hit", HIT)


if __name__ == "__main__":
    main()
