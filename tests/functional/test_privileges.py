#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting as root while another user tries to interfere."""

import contextlib
import fcntl
import grp
import os
import pathlib
import pty
import pwd
import shutil
import stat
import subprocess
import time

from daemon import BUILD
from lab import Lab, main, pins
from neighbour import NOBODY, STRANGER, exchange, keeps_at_it, run_as
from net import children, until
from wire import HIT, POLICIES, Wire

NOGROUP = pwd.getpwnam("nobody").pw_gid
SECRET = "http://secret.example.com/"
LARGER = "prefixes_max = 10000"


class Private(Lab):
    """Root owns a file that no other user may read."""

    def setUp(self):
        super().setUp()
        self.files = self.directory()
        self.secret = self.files / "secret"
        self.secret.write_text(f"{SECRET}\n")
        self.secret.chmod(0o600)

    def assert_secret_is_roots(self):
        status = self.secret.stat()
        self.assertEqual((status.st_uid, status.st_gid), (0, 0))
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)

    def started_or_ended(self, daemon):
        return "is ready, mode" in daemon.log.read_text() or daemon.process.poll() is not None

    def refused(self, daemon, *texts):
        """The daemon refuses to start, and logs why."""
        daemon.launch()
        self.assertNotEqual(daemon.wait(), 0)
        for text in texts:
            self.assertIn(str(text), daemon.log.read_text())


class Pins(Private, Wire):
    mode = "native"

    def setUp(self):
        super().setUp()
        os.chmod(pins(os.getpid()), 0o1777)  # like the root of a bpffs
        self.bait = f"{self.pins}/bait"

    def pin_names(self):
        return sorted(set(os.listdir(self.pins)) - {"bait"})

    def start_and_kill(self, **settings):
        self.responder(**settings).start().kill()

    def put_links(self):
        """Symlinks in place of all pins but the one by which the program is recognised."""
        for name in set(self.pin_names()) - {"control"}:
            os.unlink(f"{self.pins}/{name}")
            os.symlink(self.secret, f"{self.pins}/{name}")

    def test_symlinks_in_place_of_pins(self):
        self.start_and_kill()
        self.assertTrue(run_as(NOBODY, self.put_links))
        daemon = self.responder().start()
        self.assert_secret_is_roots()
        self.assert_answered_by(daemon, "kernel", "hit", HIT)

    def test_symlink_created_during_a_start(self):
        self.start_and_kill()
        self.assertTrue(run_as(NOBODY, lambda: os.symlink(self.secret, self.bait)))
        pin = f"{self.pins}/trace"
        for milliseconds in range(2, 80, 4):
            daemon = self.responder(mode="auto")

            def attack():
                while not daemon.control.exists():
                    pass
                time.sleep(milliseconds / 1000)
                exchange(self.bait, pin)

            with keeps_at_it(NOBODY, attack, most=1):
                daemon.launch()
                # It may fall back to userspace, but must not use the wrong file.
                until(lambda: self.started_or_ended(daemon), "the daemon to start or to end")
            daemon.kill()
            self.assert_secret_is_roots()
            if os.path.islink(pin):
                exchange(self.bait, pin)

    def test_symlinks_before_the_loader(self):
        self.load("s0")
        self.assertTrue(run_as(NOBODY, self.put_links))
        self.load("s0")
        self.assert_secret_is_roots()
        self.assertTrue(run_as(NOBODY, self.put_links))
        self.load("--unload", "s0", check=False)
        self.assert_secret_is_roots()

    def test_hard_link_to_a_foreign_pin(self):
        """With fs.protected_hardlinks = 0 any user can link any file."""
        self.start_and_kill()
        self.second_wire()
        mine, self.pins = self.pins, self.pin_dir()
        self.load("s1", settings="user = root")
        others, self.pins = self.pins, mine
        os.unlink(f"{self.pins}/rules")
        os.link(f"{others}/rules", f"{self.pins}/rules")
        self.start_and_kill()
        self.assertEqual(os.stat(f"{others}/rules").st_uid, 0)

    def test_pin_dir_of_another_user(self):
        self.assertTrue(run_as(STRANGER, lambda: os.mkdir(self.pins)))
        self.refused(self.responder(), self.pins, f"belongs to uid {STRANGER}")
        done = self.load("s0", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"belongs to uid {STRANGER}", done.stderr)
        self.assertEqual(os.listdir(self.pins), [])
        self.assertEqual(self.program(), (None, None))

    def test_link_in_place_of_the_pin_dir(self):
        self.start_and_kill()
        before, self.pins = self.pins, self.pin_dir()
        os.symlink(before, self.pins)
        self.addCleanup(os.unlink, self.pins)
        self.refused(self.responder(), self.pins, "is a link to one")
        self.assertIn("is a link to one", self.load("s0", check=False).stderr)

    def test_pin_of_a_map_with_larger_values(self):
        """What is read from it would overrun the memory of the loader."""
        self.start_and_kill()
        pin = f"{self.pins}/interfaces"
        os.unlink(pin)
        words = f"map create {pin} type hash key 4 value 4000 entries 8 name bait"
        self.server_side.run("bpftool", *words.split())
        os.chown(pin, NOBODY, NOGROUP)
        done = self.load("--status", check=False)
        self.assertIn(f"{pin}: has keys or values of another size", done.stderr)

    def test_foreign_entry_in_place_of_the_new_maps(self):
        self.start_and_kill()
        self.assertTrue(run_as(STRANGER, lambda: os.mkdir(f"{self.pins}-new")))
        before = self.pin_names()
        done = self.load("s0", settings=LARGER, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"{self.pins}-new belongs to uid {STRANGER}", done.stderr)
        self.assertEqual(self.pin_names(), before)
        self.assertEqual(self.ask(HIT), "hit")
        self.assertEqual(os.listdir(f"{self.pins}-new"), [])

    def test_pin_dir_below_a_foreign_directory(self):
        self.pins = f"{pins(os.getpid())}/below/pins"
        self.assertTrue(run_as(STRANGER, lambda: os.mkdir(os.path.dirname(self.pins))))
        self.refused(self.responder(), f"belongs to uid {STRANGER}", "chown root")
        self.assertEqual(os.listdir(os.path.dirname(self.pins)), [])

    def assert_private(self):
        for name in ("", *self.pin_names()):
            status = os.stat(f"{self.pins}/{name}")
            expected = 0o600 if name else 0o700
            self.assertEqual(stat.S_IMODE(status.st_mode), expected, name)
            self.assertEqual(status.st_uid, NOBODY, name)

    def test_pins_belong_to_the_user(self):
        daemon = self.responder().start()
        self.assert_private()
        icpctl = shutil.copy(BUILD / "icpctl", daemon.config.parent)
        words = (icpctl, "rules", "-p", self.pins, "add", HIT, "denied")

        def put_a_rule():
            os.execv(words[0], list(map(str, words)))

        self.assertFalse(run_as(STRANGER, put_a_rule, gid=NOGROUP))
        self.assert_answered_by(daemon, "kernel", "hit", HIT)
        self.assertTrue(run_as(NOBODY, put_a_rule, gid=NOGROUP))
        self.assert_answered_by(daemon, "kernel", "denied", HIT)

    def test_permissions_of_an_older_version_are_corrected(self):
        self.load("s0")
        os.chmod(self.pins, 0o755)
        for name in self.pin_names():
            os.chmod(f"{self.pins}/{name}", 0o660)
        self.load("s0")
        self.assert_private()


class Lock(Private, Wire):
    mode = "native"

    def held(self):
        """Does a process hold the lock on the pins, according to /proc/locks?"""
        inode = os.stat(self.pins).st_ino
        with open("/proc/locks") as lines:
            return any(f":{inode} " in line for line in lines if "FLOCK" in line)

    def test_other_users_cannot_take_the_lock(self):
        self.responder().start().kill()
        self.assertFalse(run_as(STRANGER, lambda: os.open(self.pins, os.O_RDONLY)))

    def test_lock_is_held_while_maps_are_replaced(self):
        self.responder().start().kill()
        daemon = self.responder(settings=LARGER)
        daemon.launch()
        seen = 0
        while not self.started_or_ended(daemon):
            if os.path.exists(f"{self.pins}-new") and not self.held():
                # In this order: it may be moved in between.
                self.assertFalse(os.path.exists(f"{self.pins}-new"), "a load without the lock")
            seen += os.path.exists(f"{self.pins}-new")
        self.assertTrue(seen)
        self.assertTrue(self.held())

    def lock(self):
        directory = os.open(self.pins, os.O_RDONLY)
        self.addCleanup(os.close, directory)
        fcntl.flock(directory, fcntl.LOCK_EX)

    def test_mode_off_detaches_a_program_whose_chain_it_cannot_close(self):
        self.responder().start().kill()
        self.lock()
        daemon = self.responder("", mode="off").start()
        self.assertIn(self.pins, daemon.log.read_text())
        self.assert_answered_by(daemon, "daemon", "miss", HIT)
        self.assertEqual(self.program(), (None, None))

    def test_mode_off_without_privileges_reports_a_chain_it_cannot_close(self):
        self.load("s0")
        self.lock()
        daemon = self.responder(mode="off")
        program = shutil.copy(BUILD / "xdp-icpd", daemon.config.parent)
        daemon.start("setpriv", f"--reuid={NOBODY}", "--clear-groups", program=program)
        self.assertIn("may reply by another chain", daemon.log.read_text())
        self.assertIn(self.pins, daemon.log.read_text())

    def test_mode_off_closes_the_chain_of_a_dead_daemon(self):
        self.responder().start().kill()
        daemon = self.responder("", mode="off").start()
        self.assertEqual(self.ask(HIT), "miss")
        self.assertNotIn("may reply by another chain", daemon.log.read_text())


class Start(Private, Wire):
    mode = "native"

    def setUp(self):
        super().setUp()
        self.daemon_here = self.responder()
        self.drop_ins = self.daemon_here.config.with_name("xdp-icp.conf.d")
        self.drop_ins.mkdir()
        os.chown(self.drop_ins, NOBODY, NOGROUP)

    def drop_in(self, text):
        path = self.drop_ins / "neighbour.conf"
        self.assertTrue(run_as(NOBODY, lambda: path.write_text(text)))
        return path

    def check(self):
        return self.server_side.run(
            BUILD / "xdp-icpd", "-c", self.daemon_here.config, "--check", check=False
        )

    def load_it(self):
        return self.server_side.run(
            BUILD / "xdp-icp-loader", "-c", self.daemon_here.config, "s0", check=False
        )

    def assert_refused(self, *texts):
        for done in (self.check(), self.load_it()):
            self.assertEqual(done.returncode, 1, done.stderr)
            for text in texts:
                self.assertIn(str(text), done.stderr)
        self.refused(self.daemon_here, *texts)
        self.assertEqual(self.program(), (None, None))
        self.assertFalse(os.path.exists(self.pins))

    def test_drop_in_names_a_file_of_root(self):
        for kind, setting in (("prefix", "file"), ("lua", "file")):
            with self.subTest(kind):
                verdict = 'verdict = "hit"' if kind == "prefix" else ""
                self.drop_in(
                    f'policy "00" {{ kind = {kind} {verdict} {setting} = "{self.secret}" }}'
                )
                self.assert_refused(self.secret, "Permission denied")

    def test_drop_in_is_a_symlink_to_a_file_of_root(self):
        path = self.drop_ins / "neighbour.conf"
        self.assertTrue(run_as(NOBODY, lambda: path.symlink_to(self.secret)))
        self.assert_refused(path, "Permission denied")

    def test_drop_in_expands_no_variables(self):
        path = self.drop_in(
            'policy "00" {\n kind = prefix\n verdict = "hit"\n urls = { "${XDP_ICP_SECRET}" }\n}'
        )
        self.assert_refused(f"{path}:4: ", "environment")

    def test_a_saved_policy_is_read_back(self):
        self.daemon_here.start()
        url = "http://e.org/${HOME}/"
        self.daemon_here.icpctl(
            "policy", "add", "--save", "00", "kind=prefix", "verdict=denied", f"urls={url}"
        )
        self.daemon_here.stop()
        self.daemon_here.start()
        self.assertEqual(self.ask(f"{url}x"), "denied")

    def test_environment_of_helpers(self):
        helper = self.files / "helper"
        helper.write_text("#!/bin/sh\nenv >&2\nwhile read -r url; do echo hit; done\n")
        helper.chmod(0o755)
        settings = "policy helper { kind = helper program = \"%s\" }"
        self.daemon_here.configure(
            POLICIES.replace("http://hit.example.com/", "http://${XDP_ICP_HOST}/", 1)
            + settings % helper
        )
        self.daemon_here.start("env", "XDP_ICP_SECRET=secret", "XDP_ICP_HOST=hit.example.com")
        until(lambda: "XDP_ICP_HOST=hit.example.com" in self.daemon_here.log.read_text(), "env")
        self.assertNotIn("XDP_ICP_SECRET", self.daemon_here.log.read_text())
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.ask(HIT), "hit")
        # One that was not named at the start is not silently empty.
        self.daemon_here.configure('policy "1" { kind = prefix verdict = hit\nurl = "${XDP_ICP_SECRET}" }')
        done = self.daemon_here.icpctl("reload", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, rf"conf:\d+: \${{XDP_ICP_SECRET}}: .* restart the daemon")
        self.assertEqual(self.ask(HIT), "hit")

    def on_roots_terminal(self, *command, interrupt_at=None):
        """
        Run a command in the session of a leader on a terminal, as a shell does, press Ctrl-C when a text
        is shown, and return all that is.
        """
        pid, master = pty.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.dup2(os.open(self.secret, os.O_RDONLY), 77)
                subprocess.run(command, pass_fds=[77], timeout=30)
            os._exit(0)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: it is over
            while some := os.read(master, 65536):
                shown += some
                if interrupt_at and interrupt_at in shown:
                    os.write(master, b"\x03")
                    interrupt_at = None
        os.close(master)
        os.waitpid(pid, 0)
        return shown.decode()

    def test_code_of_the_user_on_roots_terminal(self):
        """It can neither type into root's shell nor read what root types, or has open."""
        plugin = pathlib.Path(shutil.copy(BUILD / "tests/plugins/terminal.so", self.files))
        self.drop_in(f'policy "00" {{ kind = plugin file = "{plugin}" }}')
        config = ("-c", self.daemon_here.config)
        for command in (
            (BUILD / "xdp-icpd", *config, "--check"),
            (BUILD / "xdp-icpd", *config),
            (BUILD / "xdp-icp-loader", *config, "s0"),
        ):
            with self.server_side.entered():
                shown = self.on_roots_terminal(*command)
            self.assertIn("terminal none, writes yes, types 0, reads 0, descriptor none", shown)

    def test_keyboard_of_roots_terminal(self):
        command = (BUILD / "xdp-icpd", "-c", self.daemon_here.config)
        with self.server_side.entered():
            shown = self.on_roots_terminal(*command, interrupt_at=b"is ready, mode native")
        self.assertIn("exiting on SIGINT", shown)

    def test_configuration_writable_by_others(self):
        config = self.daemon_here.config
        config.chmod(0o664)
        self.assert_refused(config, "chmod go-w")
        config.chmod(0o644)
        config.parent.chmod(0o777)
        self.assert_refused(config.parent, "chmod go-w")
        config.parent.chmod(0o1777)
        os.chown(config, STRANGER, 0)
        self.assert_refused(config, f"uid {STRANGER}", "chown root")
        os.chown(config, 0, 0)
        self.daemon_here.start()

    def test_check_reports_what_the_user_cannot_read(self):
        self.daemon_here.config.chmod(0o600)
        done = self.check()
        self.assertEqual(done.returncode, 0)
        self.assertIn("user nobody cannot read", done.stderr)
        self.daemon_here.start()
        self.assertIn("user nobody cannot read", self.daemon_here.log.read_text())
        self.assertNotEqual(self.daemon_here.icpctl("reload", check=False).returncode, 0)

    def test_a_log_that_the_user_may_not_read(self):
        log = self.directory() / "access.log"
        log.touch(0o640)
        os.chown(log, 0, grp.getgrnam("adm").gr_gid)
        self.daemon_here.configure(
            f'policy "p" {{ kind = "recent" verdict = "hit" window = 1m log = "{log}" host = "e" }}'
        )
        text = f"{log}: cannot read the log: Permission denied"
        self.refused(self.daemon_here, text, "`usermod -aG adm nobody`")
        self.assertIn(text, self.check().stderr)

    def test_remaining_privileges(self):
        self.daemon_here.start()
        with open(f"/proc/{self.daemon_here.process.pid}/status") as lines:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in lines)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Groups"].split(), [str(NOGROUP)])
        self.assertEqual(set(status["Uid"].split()), {str(NOBODY)})
        self.assertEqual(set(status["Gid"].split()), {str(NOGROUP)})
        for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)

    def test_the_child_that_loads_ends_with_its_parent(self):
        urls = self.files / "urls"
        urls.write_text("".join(f"http://e.org/{n}/\n" for n in range(400_000)))
        self.daemon_here.configure(
            f'policy "00" {{ kind = prefix verdict = hit file = "{urls}" }}'
        )
        self.daemon_here.launch()
        pid = self.daemon_here.process.pid

        (loader,) = until(lambda: children(pid), "the child")
        self.daemon_here.kill()
        until(lambda: not os.path.exists(f"/proc/{loader}"), "the child to end")
        self.assertEqual(self.program(), (None, None))
        self.assertFalse(os.path.exists(self.pins))


class ControlSocket(Private):
    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")

    def test_symlink_alternating_with_the_socket(self):
        directory = self.files / "neighbours"
        self.assertTrue(run_as(NOBODY, lambda: directory.mkdir(mode=0o755)))
        bait, path = directory / "bait", directory / "control.sock"
        self.assertTrue(run_as(NOBODY, lambda: bait.symlink_to(self.secret)))
        with keeps_at_it(NOBODY, lambda: exchange(bait, path)):
            for _ in range(12):
                daemon = self.daemon(self.server, control=path)
                daemon.launch()
                until(lambda: self.started_or_ended(daemon), "the daemon to start or to end")
                daemon.kill()
                self.assert_secret_is_roots()
                for left in (bait, path):
                    with contextlib.suppress(FileNotFoundError):
                        left.unlink()
                bait.symlink_to(self.secret)

    def assert_made_for_the_user(self, path):
        status = os.lstat(path)
        self.assertEqual((status.st_uid, status.st_gid), (NOBODY, NOGROUP))
        self.assertTrue(stat.S_ISSOCK(status.st_mode))
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o660)

    def test_directory_of_root(self):
        directory = self.files / "roots"
        directory.mkdir()
        path = directory / "control.sock"
        for _ in range(2):  # the second one replaces what the first could not remove
            daemon = self.daemon(self.server, control=path).start()
            self.assert_made_for_the_user(path)
            self.assertEqual(os.stat(directory).st_uid, 0)
            daemon.stop()

    def test_missing_directories(self):
        directory = self.files / "roots"
        directory.mkdir()
        path = directory / "a/b/control.sock"
        daemon = self.daemon(self.server, control=path).start("sh", "-c", 'umask 0; exec "$@"', "-")
        self.assert_made_for_the_user(path)
        self.assertEqual(os.stat(path.parent).st_uid, NOBODY)
        self.assertEqual(os.stat(path.parent.parent).st_uid, 0)
        for made in (path.parent, path.parent.parent):
            self.assertEqual(stat.S_IMODE(os.stat(made).st_mode), 0o755)
        daemon.stop()
        self.assertFalse(path.exists())

    def test_link_to_a_directory_of_root(self):
        """Root follows no link of another user, wherever it leads."""
        roots = self.files / "roots"
        roots.mkdir()
        users = self.files / "users"
        self.assertTrue(run_as(NOBODY, lambda: users.mkdir(mode=0o755)))
        self.assertTrue(run_as(NOBODY, lambda: (users / "run").symlink_to(roots)))
        for path in (users / "run/control.sock", users / "run/made/control.sock"):
            self.refused(self.daemon(self.server, control=path), users, "Permission denied")
            self.assertEqual(os.listdir(roots), [])
        inner = roots / "inner"
        inner.mkdir()
        (roots / "link").symlink_to(inner)  # root's own is followed
        self.daemon(self.server, control=roots / "link/made/control.sock").start()
        self.assert_made_for_the_user(inner / "made/control.sock")

    def test_directory_of_another_user(self):
        directory = self.files / "strangers"
        self.assertTrue(run_as(STRANGER, lambda: directory.mkdir(mode=0o755)))
        path = directory / "control.sock"
        self.refused(self.daemon(self.server, control=path), path, "Permission denied")
        self.assertEqual(os.listdir(directory), [])


if __name__ == "__main__":
    main()
