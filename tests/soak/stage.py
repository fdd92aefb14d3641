# SPDX-License-Identifier: GPL-2.0-or-later
"""
The environment of the soak: two veth pairs, native XDP on one and generic XDP on the other, a
daemon whose files are on a small disk, floods of good queries, hostile frames, and findings.
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import icp
import net
import promise
from daemon import BUILD, ROOT, Daemon
from net import until
from wire import CLIENT, CLIENT6, CLIENT_2, SERVER, SERVER6, SERVER_2, Wire

CLIENT6_2, SERVER6_2 = "fd00:2::1", "fd00:2::2"
MOVING = "10.1.0.77"
TO = {
    "native": SERVER,
    "native6": SERVER6,
    "generic": SERVER_2,
    "generic6": SERVER6_2,
    promise.MOVING: MOVING,
}
# For each veth: the peer, the source addresses of hostile frames, and the addresses they ask.
HOSTILE = {
    0: ("10.1.0.66", "fd00:1::66", SERVER, SERVER6),
    1: ("10.2.0.66", "fd00:2::66", SERVER_2, SERVER6_2),
}
CLIENTS = {0: (CLIENT, CLIENT6), 1: (CLIENT_2, CLIENT6_2)}
COUNTERS = re.findall(r"X\(([A-Z0-9_]+),", (ROOT / "include/counters.h").read_text())
DISK_BYTES = 256 << 10
LEASE = "2s"
LOST_AFTER = 30  # seconds without a reply; generous for a busy machine
FLOOD_RATE = 1000  # queries a second on each veth during a change
MARGIN = 0.1  # seconds for which floods continue after a change
STEADY = 1500  # queries on each veth between changes
ENDLESS = 5_000_000

# By how much the memory of a daemon may grow during its life.
GROWTH_MAX = 2 << 20  # bytes; replaced chains fragment the heap


class Findings:
    """Failures by kind; the first few of each are printed."""

    NAMES = (
        "promised replies lost by the kernel",
        "promised replies lost by the daemon",
        "wrong replies",
        "replies larger than their query",
        "replies to frames that must get none",
        "growth of memory",
        "growth of descriptors or threads",
        "left behind",
        "faults that went wrong",
    )
    SHOWN = 3

    def __init__(self, say):
        self.say = say
        self.counts, self.shown = collections.Counter(), collections.Counter()

    def add(self, name, count, text):
        assert name in self.NAMES, name
        if not count:
            return
        self.counts[name] += count
        self.shown[name] += 1
        if self.shown[name] <= self.SHOWN:
            self.say(f"{name}: {count}\n    " + "\n    ".join(text.splitlines()[:20]))


class Hostile:
    """The generator of hostile frames on a veth, and its counters."""

    def __init__(self, stage, number, rate, seed):
        device, far = f"c{number}", f"s{number}"
        command = stage.client_side.command(
            BUILD / "tests/hostile",
            *("--seed", seed, "--first", 0x40000000 * (number + 1), "--rate", rate),
            *("--corpus", ROOT / "tests/fuzz/corpus/icp"),
            *(device, stage.server_side.mac(far), *HOSTILE[number], *TO.values()),
        )
        self.counts = {}
        self.errors = (stage.files / f"hostile-{number}.log").open("w+")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.counts = json.loads(line)

    def stop(self):
        """End it; return its messages about bad replies, and its exit code."""
        self.process.terminate()
        self.reader.join()
        code = self.process.wait(net.PATIENCE)
        self.process.stdout.close()
        self.errors.seek(0)
        with self.errors:
            return code, self.errors.read()


class Life:
    """Resources of one daemon from its start to its exit."""

    def __init__(self, pid):
        self.pid = pid
        until(lambda: len(self.helpers()) == 2, "both helpers to run")
        self.first = self.descriptors(), self.threads()
        self.memory = []  # bytes, after each fault

    def status(self, name):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s*(\d+)", text, re.MULTILINE)[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return self.status("Threads")

    def helpers(self):
        found = []
        for path in pathlib.Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError):
                found += path.read_text().split()
        return [int(pid) for pid in found if self.name_of(pid) == "sh"]

    @staticmethod
    def name_of(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def look(self):
        """After a fault, descriptors and threads must be as before; memory is checked later."""
        self.memory.append(self.status("VmRSS") << 10)
        try:
            until(
                lambda: self.descriptors() <= self.first[0] and self.threads() <= self.first[1],
                "descriptors and threads",
            )
        except AssertionError:
            descriptors, threads = self.descriptors(), self.threads()
            text = (
                f"{self.first[0]} descriptors and {self.first[1]} threads at the daemon's start, "
                f"{descriptors} and {threads} now"
            )
            self.first = descriptors, threads  # report it once
            return text
        return None

    def growth(self):
        """Growth in bytes from the first quarter of its life to the last."""
        quarter = len(self.memory) // 4
        if quarter < 4:
            return 0
        # The first fault of each kind may allocate memory that stays. What is freed may stay with the
        # process until the next change of the chain trims the heap: the least of a quarter is without
        # that, and grows with a leak as much as the median would.
        return min(self.memory[-quarter:]) - min(self.memory[quarter : 2 * quarter])


class Stage(Wire):
    mode = "native"

    def build(self, seed, rate):
        self.findings = Findings(self.say)
        self.replies = self.excused = 0
        self.growth = 0  # bytes, largest of all daemons
        self.files = self.directory()
        self.files.chmod(0o755)
        promise.write_files(self.files)
        net.connect(
            *(self.client_side, "c1", [f"{CLIENT_2}/24", f"{CLIENT6_2}/64"]),
            *(self.server_side, "s1", [f"{SERVER_2}/24", f"{SERVER6_2}/64"]),
        )
        self.state = promise.State()
        self.make_disk()
        self.server = Daemon(
            self.server_side,
            self.disk,
            promise.policies(self.state, self.files),
            mode="auto",  # c1 has no program, so s1 gets generic mode
            interfaces=("s0", "s1"),
            pin_dir=self.pins,
            control=self.disk / "control.sock",
            lease=LEASE,
            settings="workers = 2",
        )
        self.keep(self.server.log)
        self.addCleanup(lambda: self.server.process and self.server.kill())
        self.server.start()
        self.life = Life(self.server.process.pid)
        self.introduce()
        self.hostile = [Hostile(self, number, rate // 2, seed) for number in HOSTILE]
        for one in self.hostile:
            self.addCleanup(lambda one=one: one.process.poll() is None and one.stop())

    def make_disk(self):
        """A separate file system for the configuration, the drop-ins and the log."""
        self.disk = self.files / "disk"
        self.disk.mkdir()
        options = f"size={DISK_BYTES},mode=1777"
        net.run("mount", "-t", "tmpfs", "-o", options, "soak", self.disk)
        self.addCleanup(net.run, "umount", "--lazy", self.disk)
        drop_ins = self.disk / "xdp-icp.conf.d"
        drop_ins.mkdir()
        net.run("chown", "nobody", drop_ins)

    def introduce(self):
        """
        Add permanent neighbour entries: the source addresses of hostile frames do not answer
        neighbour discovery, and no reply may be lost because discovery was slow.
        """
        for number, (source, source6, server, server6) in HOSTILE.items():
            client, client6 = CLIENTS[number]
            near, far = self.client_side.mac(f"c{number}"), self.server_side.mac(f"s{number}")
            for namespace, device, mac, addresses in (
                (self.server_side, f"s{number}", near, (source, source6, client, client6)),
                (self.client_side, f"c{number}", far, (server, server6)),
            ):
                for address in addresses:
                    namespace.run(
                        *("ip", "neigh", "replace", address, "lladdr", mac),
                        *("dev", device, "nud", "permanent"),
                    )

    # --- single queries

    def answers(self, wire, url=promise.ALWAYS, seconds=0.5):
        """Does one query get a reply within this time?"""
        address = TO[wire]
        with self.client_side.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET
        ) as asker:
            asker.settimeout(seconds)
            try:
                asker.connect((address, icp.PORT))
                asker.send(icp.query(url, 1))
                return bool(asker.recv(65536))
            except OSError:
                return False

    # --- floods

    def drops(self):
        """Frames and datagrams dropped because a queue was full, by place."""
        drops = {
            "passed.offload": self.passed_offload(),
            "datagrams to the client": self.socket_drops(self.client_side),
            "datagrams to the server": self.socket_drops(self.server_side),
        }
        for namespace in (self.client_side, self.server_side):
            for link in json.loads(namespace.run("ip", "-s", "-json", "link", "show").stdout):
                drops[link["ifname"]] = link["stats64"]["tx"]["dropped"]
        if self.state.daemon == promise.RUNS:
            with contextlib.suppress(OSError, ValueError):
                drops["failed.pending"] = self.server.count("failed.pending")
        return drops

    @staticmethod
    def excuses(replier, wire, states):
        """The places whose drops can explain a lost reply."""
        if wire.startswith("generic"):
            yield from ("c1", "s1")
        else:
            yield from ("c0", "s0")
        yield "datagrams to the client"
        if replier == promise.DAEMON:
            yield from ("datagrams to the server", "failed.pending")
        elif wire.startswith("generic") and any(one.daemon != promise.RUNS for one in states):
            yield "passed.offload"

    def passed_offload(self):
        """
        In generic mode the kernel passes up one query in 65536 because it cannot tell whether the
        checksum is complete. Read from the map, as there may be no daemon.
        """
        counters = json.loads(
            self.server_side.run(
                "bpftool", "-j", "map", "dump", "pinned", f"{self.pins}/counters"
            ).stdout
        )
        index = COUNTERS.index("PASSED_OFFLOAD")
        return sum(cpu["value"] for cpu in counters[index]["formatted"]["values"])

    @staticmethod
    def socket_drops(namespace):
        text = namespace.run("cat", "/proc/net/snmp", "/proc/net/snmp6").stdout
        names, values = (line.split() for line in text.splitlines() if line.startswith("Udp:"))
        udp = dict(zip(names[1:], map(int, values[1:])))
        udp6 = dict(line.split() for line in text.splitlines() if line.startswith("Udp6"))
        return udp["RcvbufErrors"] + int(udp6["Udp6RcvbufErrors"])

    def judge_lost(self, lost, replier, wire, states, before, text):
        """Excuse one lost reply for each drop that can explain it."""
        now = self.drops()
        moved = {
            name: now[name] - before.get(name, 0)
            for name in self.excuses(replier, wire, states)
            if now.get(name, 0) > before.get(name, 0)
        }
        excused = min(lost, sum(moved.values()))
        self.excused += excused
        if excused and self.options.verbose:
            self.say(f"excused: {moved}, {text}")
        self.findings.add(f"promised replies lost by the {replier}", lost - excused, text)

    def start_floods(self, states, count, *options):
        floods = {}
        for wire in (*promise.WIRES, promise.MOVING):
            if not all(wire in state.wires for state in states):
                continue
            path = self.files / f"questions-{wire}"
            path.write_text(promise.questions(wire, states))
            command = self.client_side.command(
                *(BUILD / "tests/flood", "--lost-after", LOST_AFTER, *options, "--sockets", 2),
                *("--window", 32, TO[wire], count, path),
            )
            floods[wire] = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        return floods

    def end_floods(self, floods, states, before, what):
        for wire, process in floods.items():
            output, errors = process.communicate(timeout=600)
            try:
                outcome = json.loads(output)
            except ValueError:
                self.findings.add(
                    "faults that went wrong", 1, f"the flood on {wire} ended\n{output}{errors}"
                )
                continue
            text = f"{what}, on the wire {wire}: {output}{errors}"
            self.replies += outcome["answered"]
            self.findings.add("wrong replies", outcome["wrong"] + outcome["duplicates"], text)
            for replier in ("kernel", "daemon"):
                if lost := outcome[f"lost_{replier}"]:
                    self.judge_lost(lost, replier, wire, states, before, text)

    @contextlib.contextmanager
    def during(self, what, *states):
        """
        A change to the last of the states through the others: floods continue, and each reply must
        be correct in one of these states.
        """
        states = (self.state, *states)
        before = self.drops()
        floods = self.start_floods(states, ENDLESS, "--rate", FLOOD_RATE, "--announce")
        try:
            for process in floods.values():
                process.stdout.readline()
            yield
            self.state = states[-1]
            time.sleep(MARGIN)
        finally:
            for process in floods.values():
                process.terminate()
            self.end_floods(floods, states, before, f"during {what}")

    def steady(self, what, *states):
        """No change: every query gets the reply that the state, or one of `states`, promises."""
        before = self.drops()
        states = states or (self.state,)
        floods = self.start_floods(states, STEADY)
        self.end_floods(floods, states, before, f"after {what}")

    # --- the daemon

    def configure(self):
        self.server.configure(promise.policies(self.state, self.files))

    def end_life(self):
        growth = self.life.growth()
        self.growth = max(self.growth, growth)
        if growth > GROWTH_MAX:
            self.findings.add(
                "growth of memory", 1, f"{growth >> 10} KiB in {len(self.life.memory)} faults"
            )
        self.life = None

    def look(self, what):
        """After a fault: check the daemon's resources and the generators of hostile frames."""
        if self.life and (text := self.life.look()):
            self.findings.add("growth of descriptors or threads", 1, f"after {what}: {text}")
        for one in self.hostile:
            assert one.process.poll() is None, f"a generator ended: {one.stop()}"
        # The disk is small: keep only the end of a long log.
        if self.server.log.stat().st_size > DISK_BYTES // 4:
            os.truncate(self.server.log, 0)

    def hostile_count(self, name):
        return sum(one.counts.get(name, 0) for one in self.hostile)

    def end(self):
        """End everything cleanly, and leave nothing behind."""
        for one in self.hostile:
            code, text = one.stop()
            if code not in (0, 1):
                self.findings.add("faults that went wrong", 1, f"hostile: exit {code}\n{text}")
            for finding, name in (
                ("replies larger than their query", "larger"),
                ("replies to frames that must get none", "forbidden"),
                ("wrong replies", "wrong"),
            ):
                self.findings.add(finding, one.counts.get(name, 0), text)
            # Some hostile frames are good queries: without any reply, no reply was captured.
            if not one.counts.get("good"):
                self.findings.add("faults that went wrong", 1, f"no reply on a wire: {one.counts}")
        if self.life:
            self.end_life()
        if self.server.process:
            self.server.stop()
        for device in ("s0", "s1"):
            self.load("--unload", device)
        if os.path.isdir(self.pins) and os.listdir(self.pins):
            self.findings.add("left behind", 1, f"{self.pins}: {os.listdir(self.pins)}")
