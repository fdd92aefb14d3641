# SPDX-License-Identifier: GPL-2.0-or-later
"""
The environment of the benchmarks: two namespaces with several veth pairs between them, the
responders, and the load beside them. All of it is removed afterwards.

On a veth, a query and its reply are sent and received on one core, unless a process replies. So
"one core" runs everything: generator, program and check. A process that replies has the next core
to itself; the network stack receives on the first one.
"""

import contextlib
import glob
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))
import bpf  # noqa: E402
import icp  # noqa: E402
import net  # noqa: E402
from daemon import BUILD, Daemon  # noqa: E402

net.PATIENCE = 180  # seconds: a million prefixes take long on a slow machine

BPF_ENABLE_STATS = 32
CORE, NEXT_CORE = (sorted(os.sched_getaffinity(0)) * 2)[:2]
BUSY_LOOPS = 16
QUOTA = 0.2  # of a core
SLICE_WEIGHT = 1000  # of the systemd slice; others have 100
SQUID = """
http_port 127.0.0.1:3128
icp_port 3130
icp_access allow all
http_access deny all
log_icp_queries off
client_db off
cache deny all
cache_mem 8 MB
access_log none
cache_log {directory}/cache.log
cache_store_log none
pid_filename {directory}/squid.pid
visible_hostname squid.example.org
cache_effective_user proxy
coredump_dir none
memory_cache_shared off
pinger_enable off
shutdown_lifetime 0 seconds
"""


class Wire:
    """A veth pair: c0 on the client's side, s0 on the server's, and so on."""

    def __init__(self, stage, number):
        self.stage = stage
        self.near, self.far = f"c{number}", f"s{number}"
        self.address, address6 = f"10.1.{number}.2", f"fd00:1:{number}::2"
        self.to = {
            "ipv4": self.address,
            "ipv6": f"[{address6}]",
            "elsewhere": f"{self.address}:{icp.PORT + 1}",
        }
        net.connect(
            stage.client,
            self.near,
            [f"10.1.{number}.1/24", f"fd00:1:{number}::1/64"],
            stage.server,
            self.far,
            [f"{self.address}/24", f"{address6}/64"],
        )

    def attach(self, pin):
        self.stage.server.run("ip", "link", "set", "dev", self.far, "xdpdrv", "pinned", pin)

    def program(self):
        """The id of the program at the far end."""
        return self.stage.server.link(self.far)["xdp"]["prog"]["id"]


class Built(contextlib.ExitStack):
    """An ExitStack that build() fills: if a step fails, those before it are undone."""

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.close()
            raise
        return self


class Stage(Built):
    def build(self):
        name = f"xb{os.getpid()}-"
        self.pins = f"{bpf.FILE_SYSTEM}/xdp-icp-bench-{os.getpid()}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=name))
        self.callback(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o1777)  # responders run as other users
        if not os.path.ismount(bpf.FILE_SYSTEM):
            net.run("mount", "-t", "bpf", "bpf", bpf.FILE_SYSTEM)
        os.makedirs(self.pins)
        self.callback(bpf.remove_pins, self.pins)
        os.environ["LIBXDP_BPFFS"] = self.pins
        self.client = net.Namespace(name + "client")
        self.callback(self.client.delete)
        self.server = net.Namespace(name + "server")
        self.callback(self.server.delete)
        net.run("bpftool", "prog", "loadall", BUILD / "bench/limit.bpf.o", f"{self.pins}/bench")
        self.responder = Wire(self, 0)  # for xdp-icp
        self.limit = Wire(self, 1)
        self.limit.attach(f"{self.pins}/bench/limit")
        self.plain = Wire(self, 2)  # for processes
        self.plain.attach(f"{self.pins}/bench/pass")
        # With generic XDP there is no native program, without which a veth receives live frames
        # only if GRO is on.
        self.generic = Wire(self, 3)
        self.server.run("ethtool", "-K", self.generic.far, "gro", "on")

    def subdirectory(self):
        path = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        os.chmod(path, 0o1777)
        return path

    def blast(self, address, *words, prefix=()):
        """Run icpblast; return its report, with wrong replies. No reply at all is an error."""
        command = [BUILD / "icpblast", "--json", "--quiet", "--cores", CORE, *words, address]
        done = self.client.run(*prefix, *command, check=False)
        if done.returncode > 1 or not done.stdout:
            raise RuntimeError(f"icpblast: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def daemon(self, policies="", core=None, **settings):
        """An xdp-icpd; `start_time` is the time until it replied."""
        settings.setdefault("pin_dir", f"{self.pins}/xdp-icp")
        daemon = Daemon(self.server, self.subdirectory(), policies, **settings)
        began = time.monotonic()
        try:
            daemon.start(*(["taskset", "-c", str(core)] if core is not None else []))
            daemon.start_time = time.monotonic() - began
            yield daemon
        finally:
            if daemon.process and daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGCONT)
                daemon.process.terminate()
                daemon.process.wait()
            for device in settings.get("interfaces", ()):
                for place in ("xdpdrv", "xdpgeneric"):
                    self.server.run("ip", "link", "set", "dev", device, place, "off", check=False)
            bpf.remove_pins(settings["pin_dir"])

    def daemon_takes(self, setting):
        """Does this daemon know the setting?"""
        daemon = Daemon(self.server, self.subdirectory(), settings=setting)
        checked = net.run(BUILD / "xdp-icpd", "-c", daemon.config, "--check", check=False)
        return checked.returncode == 0

    @contextlib.contextmanager
    def process(self, *command, core=None, **options):
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        process = subprocess.Popen(
            self.server.command(*pinned, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )
        try:
            net.until(lambda: self.answers(process, command), f"{command[0]} to answer")
            yield process
        finally:
            process.terminate()
            process.wait()

    def answers(self, process, command):
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} has ended with {process.returncode}")
        asked = self.client.run(
            BUILD / "icpctl", "query", "-s", self.plain.address, "http://example.org/", check=False
        )
        return asked.returncode == 0

    def squid(self, core=None):
        directory = self.subdirectory()
        shutil.chown(directory, "proxy")
        config = directory / "squid.conf"
        config.write_text(SQUID.format(directory=directory))
        (directory / "cache.log").touch()
        shutil.chown(directory / "cache.log", "proxy")
        name = "".join(filter(str.isalnum, directory.name))
        return self.process("squid", "-N", "-n", name, "-f", config, core=core)

    def loop(self, core=None):
        return self.process(BUILD / "bench/recvmmsg_loop", 3130, core=core)


class Statistics:
    """Nanoseconds per run of a program, measured by the kernel while entered."""

    def __enter__(self):
        self.descriptor = bpf.bpf(BPF_ENABLE_STATS, struct.pack("=I", 0))
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)

    @staticmethod
    def read(program):
        said = json.loads(net.run("bpftool", "-j", "prog", "show", "id", program).stdout)
        return said.get("run_time_ns", 0), said.get("run_cnt", 0)

    def measure(self, program, run):
        time_before, count_before = self.read(program)
        run()
        time_after, count_after = self.read(program)
        runs = count_after - count_before
        return (time_after - time_before) / runs if runs else None


# --- load


@contextlib.contextmanager
def busy_loops(count=BUSY_LOOPS):
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(count)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


class ControlGroups(Built):
    """Groups of processes with a share of the CPU or a quota."""

    PERIOD = 100000  # microseconds

    def __init__(self, directory):
        super().__init__()
        self.mount = directory / "cgroup"

    def build(self):
        self.mount.mkdir()
        self.callback(self.mount.rmdir)
        self.unified = self.mounted("cgroup2") and self.has_cpu()
        if not self.unified:
            self.unmount()
            if not self.mounted("cgroup", "-o", "cpu"):
                raise RuntimeError("no control group for cpu can be had here")
        self.callback(self.unmount)
        if self.unified:
            self.enable()

    def mounted(self, kind, *options):
        done = net.run("mount", "-t", kind, *options, "none", self.mount, check=False)
        return done.returncode == 0

    def unmount(self):
        net.run("umount", self.mount, check=False)

    def has_cpu(self):
        return "cpu" in (self.mount / "cgroup.controllers").read_text().split()

    def enable(self):
        control = self.mount / "cgroup.subtree_control"
        if "cpu" not in control.read_text().split():
            control.write_text("+cpu")
            self.callback(control.write_text, "-cpu")

    def limits(self, quota, weight):
        if quota and self.unified:
            return {"cpu.max": f"{int(quota * self.PERIOD)} {self.PERIOD}"}
        if quota:
            return {
                "cpu.cfs_period_us": str(self.PERIOD),
                "cpu.cfs_quota_us": str(int(quota * self.PERIOD)),
            }
        if self.unified:
            return {"cpu.weight": str(weight)}
        return {"cpu.shares": str(weight * 1024 // 100)}

    @contextlib.contextmanager
    def group(self, *members, quota=None, weight=100):
        """Put processes into a group of their own: with a quota, in cores, or a weight."""
        group = self.mount / f"xdp-icp-bench-{os.getpid()}-{members[0]}"
        group.mkdir()
        try:
            for name, value in self.limits(quota, weight).items():
                (group / name).write_text(value)
            for member in members:
                (group / "cgroup.procs").write_text(str(member))
            yield
        finally:
            for member in members:
                (self.mount / "cgroup.procs").write_text(str(member))
            group.rmdir()


@contextlib.contextmanager
def realtime(pid):
    """All threads of the process at the lowest realtime priority."""
    net.run("chrt", "--all-tasks", "--fifo", "--pid", "1", pid)
    try:
        yield
    finally:
        net.run("chrt", "--all-tasks", "--other", "--pid", "0", pid)


# --- memory


def kernel_memory(pid, program):
    """Bytes of the maps that the process has open or the program uses."""
    sizes = {}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with contextlib.suppress(OSError):
            fields = dict(
                line.split(":", 1) for line in pathlib.Path(path).read_text().splitlines()
            )
            if "map_id" in fields:
                sizes[int(fields["map_id"])] = int(fields["memlock"])
    said = json.loads(net.run("bpftool", "-j", "prog", "show", "id", program).stdout)
    for number in said.get("map_ids", []):
        if number not in sizes:
            map_ = json.loads(net.run("bpftool", "-j", "map", "show", "id", number).stdout)
            sizes[number] = int(map_["bytes_memlock"])
    return sum(sizes.values())


def process_memory(pid):
    """Private memory of the process in bytes, without files and shared maps."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no RssAnon in /proc")
