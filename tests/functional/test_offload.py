#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Queriers whose checksums are left to an offload: on the same host, in containers, behind a router
and behind a destination NAT. The kernel's reply to such a query must arrive, whatever the length of
the URL, and only replies that arrive may be counted.
"""

import random
import socket

import icp
import net
from lab import main
from wire import CLIENT, FAMILIES, SERVER, SERVER6, Wire

LENGTHS = range(1, 256)
BATCH = 64  # queries in flight: fewer than any socket buffer holds
ALIAS, ALIAS6 = "10.1.0.77", "fd00:1::77"
FAR, FAR6 = "10.3.0.1", "fd00:3::1"  # addresses of a querier behind a router
SERVICE = "10.9.9.9"  # an address that a router translates
WAIT = 20  # seconds for a reply in flight


def url_of(length, seed):
    """Bytes that vary the checksums from query to query."""
    choice = random.Random(1000 * seed + length)
    return "".join(choice.choices("abcdefghijklmnopqrstuvwxyz0123456789/.-_", k=length))


class Offload(Wire):
    """Tests for both modes."""

    def start(self, **settings):
        self.daemon_here = self.responder('default = "hit"', **settings).start()

    def assert_all_answered(self, namespace, address, what):
        """A query of each length gets a reply, and the counter agrees."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        client = self.client(namespace, family)
        client.socket.settimeout(WAIT)
        before = self.daemon_here.counts("answered.kernel", "answered.daemon")
        lost = []
        for first in range(0, len(LENGTHS), BATCH):
            expected = {}
            for length in LENGTHS[first : first + BATCH]:
                number = next(client.numbers)
                url = url_of(length, number)
                expected[icp.answer("hit", url, number)] = length
                client.send(icp.query(url, number), address)
            try:
                while expected:
                    reply, _ = client.receive()
                    self.assertIsNotNone(expected.pop(reply, None), f"{what}: a wrong reply")
            except TimeoutError:
                lost += expected.values()
        client.close()
        self.assertEqual(lost, [], f"{what}: no reply to URLs of these lengths")
        kernel, daemon = (
            after - former
            for after, former in zip(
                self.daemon_here.counts("answered.kernel", "answered.daemon"), before
            )
        )
        self.assertEqual(kernel + daemon, len(LENGTHS), what)
        # One in 65536 is passed up in generic mode (passed.offload).
        self.assertGreaterEqual(kernel, len(LENGTHS) - 2, what)

    def test_peer_with_and_without_offloads(self):
        for address in (ALIAS, ALIAS6):
            self.server_side.add_address("s0", f"{address}/{64 if ':' in address else 24}")
        self.start()
        for here in ("on", "off"):
            for there in ("on", "off"):
                self.client_side.run("ethtool", "-K", "c0", "tx", here)
                self.server_side.run("ethtool", "-K", "s0", "tx", there)
                for address in (SERVER, SERVER6, ALIAS, ALIAS6):
                    what = f"{address}, tx {here} and {there}"
                    self.assert_all_answered(self.client_side, address, what)

    def behind_the_router(self):
        """A querier behind the client's namespace, which routes by a device without offloads."""
        far = self.namespace("far")
        net.connect(
            far,
            "f0",
            [f"{FAR}/24", f"{FAR6}/64"],
            self.client_side,
            "r0",
            ["10.3.0.254/24", "fd00:3::fe/64"],
        )
        far.run("ip", "route", "add", "default", "via", "10.3.0.254")
        far.run("ip", "route", "add", "default", "via", "fd00:3::fe")
        self.server_side.run("ip", "route", "add", "default", "via", CLIENT)
        self.server_side.run("ip", "route", "add", "default", "via", "fd00:1::1")
        for device in ("c0", "r0"):  # neighbour discovery of a router uses such an address
            self.client_side.add_address(device, "fe80::fe/64")
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            # /proc/sys/net belongs to the namespace of the process that opens it.
            self.client_side.run("sh", "-c", f"echo 1 >/proc/sys/net/{setting}")
        return far

    def test_behind_a_router(self):
        far = self.behind_the_router()
        self.start()
        for offload in ("on", "off"):
            self.client_side.run("ethtool", "-K", "r0", "tx", offload)
            for _, address in FAMILIES:
                self.assert_all_answered(far, address, f"{address}, next hop with tx {offload}")

    def test_behind_a_destination_nat(self):
        far = self.behind_the_router()
        self.client_side.run(
            "nft",
            f"table ip nat {{ chain pre {{ type nat hook prerouting priority dstnat; "
            f"ip daddr {SERVICE} dnat to {SERVER}; }}; }}",
        )
        self.start()
        for offload in ("on", "off"):
            self.client_side.run("ethtool", "-K", "r0", "tx", offload)
            self.assert_all_answered(far, SERVICE, f"DNAT, next hop with tx {offload}")


class Native(Offload):
    mode = "native"


class Generic(Offload):
    mode = "generic"

    def test_the_host_itself(self):
        self.server_side.add_address("lo", "127.0.0.2/8")
        self.start(interfaces=["lo"])
        for address in ("127.0.0.1", "127.0.0.2", "::1", SERVER, SERVER6):
            self.assert_all_answered(self.server_side, address, f"{address} on the host itself")


del Offload

if __name__ == "__main__":
    main()
