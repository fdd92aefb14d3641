# SPDX-License-Identifier: GPL-2.0-or-later
"""
The base class of the functional tests: it creates namespaces, daemons and directories, removes
them afterwards, and reports in the Test Anything Protocol, as the programs in C do.

Everything that outlives a process has the id of the test process in its name, so that concurrent
runs do not collide and tests/run can clean up after one that was killed.
"""

import glob
import itertools
import os
import pathlib
import platform
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import unittest

import bpf
import net
from daemon import BUILD, Daemon

os.environ["PATH"] += ":/usr/sbin:/sbin"  # ip, bpftool, squid
KERNEL_NEEDED = (5, 18)  # bpf_xdp_load_bytes


def prefix(pid):
    return f"xi{pid}-"


def pins(pid):
    return f"{bpf.FILE_SYSTEM}/xdp-icp-test-{pid}"


def sweep(pid):
    """Remove what the test process `pid` left behind; return the names."""
    found = []
    for path in glob.glob(f"{net.NETNS}/{prefix(pid)}*"):
        net.remove_namespace(os.path.basename(path))
        found.append(path)
    for path in glob.glob(f"{tempfile.gettempdir()}/{prefix(pid)}*"):
        unmount_below(path)
        shutil.rmtree(path)
        found.append(path)
    if bpf.remove_pins(pins(pid)):
        found.append(pins(pid))
    return found


def unmount_below(directory):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for place in [line.split()[1] for line in mounts]:
            if place.startswith(f"{directory}/"):
                net.run("umount", "--lazy", place)


class Lab(unittest.TestCase):
    sanitized = False  # run a second time, with programs that are built with sanitizers
    xdp = False  # needs a kernel that can load the program
    numbers = itertools.count(1)
    about_icpctl = False  # then it has sanitizers as the daemon has
    LOG_LINES = 100

    def setUp(self):
        self.said = []  # logs of processes that ended, printed with a failure
        if os.geteuid() != 0:
            self.skipTest("network namespaces need root")
        if not (BUILD / "xdp-icpd").exists():
            self.fail(f"{BUILD}/xdp-icpd is missing: make it first")
        if self.xdp:
            self.need_xdp()

    def need_kernel(self, major, minor):
        release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
        if release < (major, minor):
            self.skipTest(f"Linux {platform.release()} is older than {major}.{minor}")

    def need_xdp(self):
        self.need_kernel(*KERNEL_NEEDED)
        bpf.mount_file_system()
        os.makedirs(pins(os.getpid()), exist_ok=True)
        self.addCleanup(bpf.remove_pins, pins(os.getpid()))
        self.pass_program = f"{pins(os.getpid())}/pass"
        try:
            bpf.pin_pass_program(self.pass_program)
        except OSError as error:
            self.skipTest(f"an XDP program cannot be loaded: {error}")
        # libxdp keeps files of its own in the bpffs: have it put them where sweep() removes them.
        os.environ["LIBXDP_BPFFS"] = pins(os.getpid())

    def namespace(self, name):
        namespace = net.Namespace(f"{prefix(os.getpid())}{next(self.numbers)}-{name}")
        self.addCleanup(namespace.delete)
        return namespace

    def directory(self):
        path = tempfile.mkdtemp(prefix=prefix(os.getpid()))
        self.addCleanup(shutil.rmtree, path)
        os.chmod(path, 0o1777)  # the daemon may run as another user
        return pathlib.Path(path)

    def pin_dir(self):
        return f"{pins(os.getpid())}/{next(self.numbers)}"

    def keep(self, log):
        """Print the final content of the file with a failure."""

        def read():
            lines = log.read_text(errors="replace").splitlines()[-self.LOG_LINES :]
            self.said.append("\n".join([f"{log.name}:", *lines]))

        self.addCleanup(read)

    def daemon(self, namespace, policies="", **settings):
        """A daemon that must exit cleanly after the test, unless the test has ended it."""
        daemon = Daemon(namespace, self.directory(), policies, **settings)
        if self.about_icpctl:
            daemon.build_of_icpctl = BUILD
        self.keep(daemon.log)
        self.addCleanup(lambda: daemon.process and daemon.stop())
        return daemon

    def client(self, namespace, family=socket.AF_INET, address=""):
        client = net.Client(namespace, family, address)
        self.addCleanup(client.close)
        return client

    def tap(self, namespace, device):
        tap = net.Tap(namespace, device)
        self.addCleanup(tap.close)
        return tap

    def pass_all(self, namespace, device):
        """Native XDP on a veth needs a program at the peer, or its replies are dropped."""
        namespace.run("ip", "link", "set", "dev", device, "xdpdrv", "pinned", self.pass_program)


class Report(unittest.TestResult):
    """Print a line `ok N - NAME` per test, with the details of a failure as comments."""

    SHOWN = 3  # failed subtests

    def __init__(self):
        super().__init__()
        self.number = 0
        self.problems = []
        self.skipped_for = None

    def line(self, state, test):
        self.number += 1
        print(f"{state} {self.number} - {test}", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self.problems.append("".join(traceback.format_exception(*err)))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.problems.append(f"{subtest}\n" + "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skipped_for = reason

    def stopTest(self, test):
        super().stopTest(test)
        if self.problems:
            self.line("not ok", name(test))
            self.explain(test)
        elif self.skipped_for:
            self.line("ok", f"{name(test)} # SKIP {self.skipped_for}")
        else:
            self.line("ok", name(test))
        self.problems, self.skipped_for = [], None

    def explain(self, test):
        texts = self.problems[: self.SHOWN]
        if len(self.problems) > self.SHOWN:
            texts.append(f"and {len(self.problems) - self.SHOWN} more")
        for line in "\n".join([*texts, *test.said]).splitlines():
            print(f"# {line}", flush=True)


def name(test):
    """MODULE.CLASS.METHOD, although the module runs as __main__."""
    return test.id().replace("__main__", pathlib.Path(sys.argv[0]).stem)


def chosen(suite, words):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, words)
        elif not words or any(word in name(test) for word in words):
            if test.sanitized or BUILD.name != "sanitized":
                yield test


def main():
    """Run the tests of the calling module, or those whose names contain one of the arguments."""
    tests = list(chosen(unittest.defaultTestLoader.loadTestsFromName("__main__"), sys.argv[1:]))
    report = Report()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    print(f"1..{len(tests)}", flush=True)
    try:
        unittest.TestSuite(tests).run(report)
    except KeyboardInterrupt:
        sweep(os.getpid())  # first: the reader of our output may have exited as well
        print("Bail out! interrupted", flush=True)
        sys.exit(130)
    sys.exit(0 if report.wasSuccessful() else 1)
