# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces, the links between them, and clients in them."""

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import time

import icp

PATIENCE = 120  # seconds: a limit that only a hanging test reaches
NETNS = "/run/netns"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
RTF_LOCAL = 0x80000000
RTM_GETLINK, NLM_F_REQUEST, IFLA_IFNAME, IFLA_OPERSTATE = 18, 1, 3, 16
OPERSTATE_UP = 6
LIBC = ctypes.CDLL(None, use_errno=True)


def until(condition, what):
    """Wait until the condition is true; return its value."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.01)
    return result


def children(pid):
    """The process ids of a process's children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as pids:
            return [int(child) for child in pids.read().split()]
    except FileNotFoundError:
        return []


def run(*command, check=True, **options):
    """Run a command, with no input unless `input` is given; a failure raises its output."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=3 * PATIENCE,
        **{} if "input" in options else {"stdin": subprocess.DEVNULL},
        **options,
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done


class Namespace:
    """
    A network namespace. A process that stays enters it by nsenter: `ip netns exec` would hide the
    bpffs. Commands that end are forked from a thread that is there, without another program. What each
    test does needs as few processes as possible: they make up most of what the tests cost.
    """

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        with self.socket(socket.AF_INET) as any_socket:
            set_up(any_socket, "lo")

    def ip(self, *lines):
        """Commands of `ip` in here, by one process."""
        run("ip", "-netns", self.name, "-batch", "-", input="\n".join(lines))

    def command(self, *words):
        return ["nsenter", f"--net={NETNS}/{self.name}", *map(str, words)]

    def run(self, *words, **options):
        with self.entered():
            return run(*words, **options)

    @contextlib.contextmanager
    def entered(self):
        """Sockets and processes that the calling thread creates in here belong to the namespace."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(
            f"{NETNS}/{self.name}", "rb"
        ) as there:
            set_namespace(there)
            try:
                yield
            finally:
                set_namespace(home)

    def socket(self, family, kind=socket.SOCK_DGRAM, protocol=0):
        with self.entered():
            return socket.socket(family, kind, protocol)

    def link(self, device):
        """What `ip link` prints of a device; /sys may belong to another namespace."""
        return json.loads(self.run("ip", "-json", "link", "show", "dev", device).stdout)[0]

    def is_operational(self, device):
        """Whether the device is up and has a carrier, and the kernel has acted on that."""
        attribute = struct.pack("=HH16s", 20, IFLA_IFNAME, device.encode())
        message = struct.pack("=IHHII16x", 32 + len(attribute), RTM_GETLINK, NLM_F_REQUEST, 0, 0)
        with self.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
            netlink.send(message + attribute)
            reply = netlink.recv(65536)
        at = 32
        while at < len(reply):
            length, kind = struct.unpack_from("=HH", reply, at)
            if kind == IFLA_OPERSTATE:
                return reply[at + 4] == OPERSTATE_UP
            at += (length + 3) & ~3
        raise AssertionError(f"no state of {device}: {reply!r}")

    def mac(self, device):
        with self.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
            packets.bind((device, 0))
            return packets.getsockname()[4].hex(":")

    def add_address(self, device, address):
        """Add an address that is usable at once; on a device that is down, when it comes up."""
        self.ip(adding(device, address))
        if "UP" in self.link(device)["flags"]:
            self.await_address(address)

    def await_address(self, address):
        """Even with nodad, a work queue of the kernel makes an IPv6 address usable."""
        host = address.partition("/")[0]
        if ":" not in host:
            return
        route = socket.inet_pton(socket.AF_INET6, host).hex() + " 80 "

        def is_local():
            with self.entered(), open("/proc/thread-self/net/ipv6_route") as routes:
                found = [line.split()[8] for line in routes if line.startswith(route)]
            return any(int(flags, 16) & RTF_LOCAL for flags in found)

        until(is_local, f"{address} to be usable")

    def delete(self):
        remove_namespace(self.name)


def adding(device, address):
    """Without nodad an IPv6 address is unusable until duplicate address detection is done."""
    return f"addr add {address} dev {device} {'nodad' if ':' in address else ''}"


def set_up(any_socket, device):
    """Have the device of the socket's namespace up."""
    request = struct.pack("16sH14x", device.encode(), IFF_UP)
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def set_namespace(file):
    if LIBC.setns(file.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def remove_namespace(name):
    """Kill the remaining processes of the namespace by their ids, and delete it."""
    namespace = os.stat(f"{NETNS}/{name}").st_ino

    def is_inside(pid):
        with contextlib.suppress(OSError):  # it has ended, or root may not look at it
            return os.stat(f"/proc/{pid}/ns/net").st_ino == namespace

    def pids():
        found = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [pid for pid in found if is_inside(pid) and pid != os.getpid()]

    if left := pids():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not pids(), f"the processes of {name} to end")
    run("ip", "netns", "delete", name)


def connect(one, one_device, one_addresses, other, other_device, other_addresses):
    """Create a veth pair between two namespaces, with the default offloads."""
    run(
        *("ip", "link", "add", one_device, "netns", one.name, "type", "veth"),
        *("peer", "name", other_device, "netns", other.name),
    )
    ends = ((one, one_device, one_addresses), (other, other_device, other_addresses))
    for namespace, device, addresses in ends:
        namespace.ip(
            # No router solicitations and no link-local address: only the test sends packets.
            f"link set {device} addrgenmode none",
            *(adding(device, address) for address in addresses),
            f"link set {device} up",
        )
    for namespace, device, addresses in ends:
        until(lambda: namespace.is_operational(device), f"{device} to come up")
        for address in addresses:
            namespace.await_address(address)


class Client:
    """A querier with its own UDP socket."""

    numbers = itertools.count(1)

    def __init__(self, namespace, family=socket.AF_INET, address=""):
        self.socket = namespace.socket(family)
        self.socket.bind((address, 0))
        self.socket.settimeout(PATIENCE)
        self.port = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()

    def send(self, datagram, address, port=icp.PORT):
        self.socket.sendto(datagram, (address, port))

    def receive(self):
        """The next datagram and its source address."""
        datagram, source = self.socket.recvfrom(65536)
        return datagram, source[0]

    def exchange(self, datagram, address, port=icp.PORT):
        """Send a datagram; return the first reply, which must come from the address asked."""
        self.send(datagram, address, port)
        reply, source = self.socket.recvfrom(65536)
        assert source[:2] == (address, port), f"asked {address} port {port}, answered by {source}"
        return reply

    def ask(self, url, address):
        """Return the verdict on a URL; the rest of the reply is checked."""
        number = next(self.numbers)
        reply = self.exchange(icp.query(url, number), address)
        verdict = icp.verdict_of(reply)
        assert verdict in icp.VERDICTS and reply == icp.answer(
            verdict, url, number
        ), f"{url!r}, request {number}, was answered by {reply!r}"
        return verdict


class Tap:
    """Send and receive whole frames on a device."""

    ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, VLAN_VALID, VLAN_TPID_VALID = 3, 263, 8, 0x10, 0x40
    AUXDATA = struct.Struct("IIIHHHH")

    def __init__(self, namespace, device):
        self.socket = namespace.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ETH_P_ALL)
        )
        self.socket.setsockopt(self.SOL_PACKET, self.PACKET_AUXDATA, 1)
        self.socket.bind((device, self.ETH_P_ALL))
        self.socket.settimeout(PATIENCE)

    def close(self):
        self.socket.close()

    def send(self, frame):
        self.socket.send(bytes(frame))

    def receive(self):
        """The next frame from the peer, with the outer VLAN tag that the kernel removed."""
        while True:
            frame, extras, _, (_, _, kind, *_) = self.socket.recvmsg(65536, 256)
            if kind != socket.PACKET_OUTGOING:
                break
        for _, _, data in extras:
            status, _, _, _, _, tag, kind = self.AUXDATA.unpack(data[: self.AUXDATA.size])
            if status & self.VLAN_VALID:
                kind = kind if status & self.VLAN_TPID_VALID else 0x8100
                frame = frame[:12] + struct.pack("!HH", kind, tag) + frame[12:]
        return frame

    def receive_until(self, wanted, others=1000):
        """The first matching frame, among a limited number of others."""
        for _ in range(others):
            if wanted(frame := self.receive()):
                return frame
        raise AssertionError(f"{others} frames, none of which matches")
