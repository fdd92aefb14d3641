#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The XDP program between two namespaces: which queries the kernel and the daemon reply to."""

import socket

from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    fragment6,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

import icp
from lab import main
from net import until
from wire import (
    CLIENT,
    CLIENT6,
    CLIENT_2,
    DENIED,
    ENDLESS,
    FAMILIES,
    HIT,
    LATE,
    MISS,
    NOFETCH,
    POLICIES,
    SERVER,
    SERVER6,
    Wire,
)

NUMBER = 0x0BADCAFE


def flipping(verdict):
    """POLICIES behind a policy whose verdict changes with each reload."""
    return (
        f'policy "05-flip" {{ kind = "prefix" verdict = "{verdict}" '
        'urls = { "http://flip.example.com/" } }' + POLICIES
    )


class Kernel:
    """Tests for both native and generic mode."""

    def setUp(self):
        super().setUp()
        self.daemon_here = self.responder().start()
        self.assertEqual(self.daemon_here.count("mode"), self.mode)

    # --- queries by sockets, with the partial checksums of a veth

    def test_prefixes_are_answered_in_the_kernel(self):
        for _, address in FAMILIES:
            self.assert_answered_by(self.daemon_here, "kernel", "hit", HIT, address)
            self.assert_answered_by(self.daemon_here, "kernel", "miss_nofetch", NOFETCH, address)
            self.assert_answered_by(
                self.daemon_here, "kernel", "hit", "http://hit.example.com/admin/", address
            )

    def test_regex_decision_is_remembered(self):
        for _, address in FAMILIES:
            for url, verdict in ((DENIED, "denied"), (LATE, "hit"), (MISS, "miss")):
                url = f"{url}/{address}"
                self.assert_answered_by(self.daemon_here, "daemon", verdict, url, address)
                self.assert_answered_by(self.daemon_here, "kernel", verdict, url, address)

    def test_long_urls_are_answered_by_the_daemon(self):
        for _, address in FAMILIES:
            self.assert_answered_by(self.daemon_here, "kernel", "hit", HIT.ljust(255, "x"), address)
            # Queries of more than one frame, too.
            for length in (1300, 1500, 5000, 8191):
                self.assert_answered_by(
                    self.daemon_here, "daemon", "hit", HIT.ljust(length, "x"), address
                )

    def test_malformed_urls_get_err(self):
        for family, address in FAMILIES:
            url = "http://hit.example.com/a b"
            for query, expected in (
                (icp.query(url, NUMBER), icp.answer("err", url, NUMBER)),
                (icp.query(HIT, NUMBER, end=b""), icp.error_without_url(NUMBER)),
            ):
                self.assertEqual(self.asker[family].exchange(query, address), expected)

    def test_other_messages_get_no_reply(self):
        for family, address in FAMILIES:
            for reason, datagram in {
                "opcode": icp.query(HIT, NUMBER, opcode=icp.HIT),
                "version": icp.query(HIT, NUMBER, version=3),
                "length": icp.query(HIT, NUMBER, length=30),
                "request_zero": icp.query(HIT, 0),
                "short": icp.query(HIT, NUMBER)[:19],
            }.items():
                with self.subTest(reason, address=address):
                    before = self.daemon_here.count(f"silent.{reason}")
                    self.asker[family].send(datagram, address)
                    until(
                        lambda: self.daemon_here.count(f"silent.{reason}") == before + 1,
                        "the silence",
                    )
                    self.assertEqual(self.ask(HIT, address), "hit")

    def test_multicast_query_gets_a_unicast_reply(self):
        client = self.asker[socket.AF_INET]
        client.socket.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(CLIENT)
        )
        client.send(icp.query(HIT, NUMBER), "224.0.0.1")
        self.assertEqual(client.receive(), (icp.answer("hit", HIT, NUMBER), SERVER))

    def test_broadcast_query_gets_no_reply(self):
        client = self.asker[socket.AF_INET]
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for address in ("10.1.0.255", "255.255.255.255"):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"c0")
            before = self.daemon_here.count("silent.broadcast")
            client.send(icp.query(HIT, NUMBER), address)
            until(
                lambda: self.daemon_here.count("silent.broadcast") == before + 1,
                "silence to a broadcast",
            )
            self.assertEqual(self.ask(HIT), "hit")

    def test_added_and_removed_addresses(self):
        for address, bits in (("10.1.0.77", 24), ("fd00:1::77", 64)):
            self.server_side.add_address("s0", f"{address}/{bits}")
            until(
                lambda: self.is_answered_by_kernel(self.daemon_here, "hit", HIT, address),
                f"the kernel to answer to {address}",
            )
            self.server_side.run("ip", "addr", "del", f"{address}/{bits}", "dev", "s0")
            frame = self.frame(HIT, address, sport=9)  # no socket receives a reply
            tap = self.tap(self.client_side, "c0")

            def not_by_kernel():
                before = self.daemon_here.count("answered.kernel")
                tap.send(frame)
                # Frames keep their order: a reply to the second shows that the first was processed.
                self.assertEqual(self.ask(HIT), "hit")
                return self.daemon_here.count("answered.kernel") == before + 1

            until(not_by_kernel, f"the kernel not to answer to {address} any more")

    # --- frames built by hand

    def frame(self, url=HIT, address=SERVER, *, tags=(), source=None, **udp):
        """A query as a frame with full checksums, from the querier's port or `sport`."""
        client, server = self.client_side.mac("c0"), self.server_side.mac("s0")
        frame = Ether(src=client, dst=server)
        for tag in tags:
            frame /= tag
        if ":" in address:
            frame /= IPv6(src=source or CLIENT6, dst=address, hlim=3)
        else:
            frame /= IP(src=source or CLIENT, dst=address, ttl=3, id=0x1234)
        port = self.asker[socket.AF_INET6 if ":" in address else socket.AF_INET].port
        return frame / UDP(**{"sport": port, "dport": icp.PORT} | udp) / Raw(icp.query(url, NUMBER))

    def reply_frame(self, tap):
        """The next frame from the ICP port."""

        def is_reply(data):
            frame = Ether(data)
            return UDP in frame and frame[UDP].sport == icp.PORT

        data = tap.receive_until(is_reply)
        return data, Ether(data)

    def test_the_answer_as_a_frame(self):
        tap = self.tap(self.client_side, "c0")
        for address, source in ((SERVER, CLIENT), (SERVER6, CLIENT6)):
            with self.subTest(address):
                query = self.frame(HIT, address)
                data, frame = self.assert_answered_in_kernel(tap, query)
                network = frame[IPv6 if ":" in address else IP]
                self.assertEqual((frame.src, frame.dst), (query.dst, query.src))
                self.assertEqual((network.src, network.dst), (address, source))
                self.assertEqual(network.hlim if ":" in address else network.ttl, 64)
                self.assertEqual(frame[UDP].dport, query[UDP].sport)
                self.assertEqual(bytes(frame[UDP].payload), icp.answer("hit", HIT, NUMBER))
                self.assert_checksums(data)

    def assert_answered_in_kernel(self, tap, query):
        before = self.daemon_here.count("answered.kernel")
        tap.send(query)
        reply = self.reply_frame(tap)
        self.assertEqual(self.daemon_here.count("answered.kernel"), before + 1)
        return reply

    def assert_checksums(self, data):
        """Scapy builds the same frame from the same fields."""
        frame = Ether(data)
        for layer in (IP, UDP):
            if layer in frame:
                del frame[layer].chksum
        self.assertEqual(bytes(frame), data)

    def test_vlan_tags_are_kept(self):
        tap = self.tap(self.client_side, "c0")
        for name, tags in {
            "802.1Q": [Dot1Q(vlan=7, prio=3)],
            "QinQ": [Dot1AD(vlan=100, prio=1), Dot1Q(vlan=7)],
            "802.1Q twice": [Dot1Q(vlan=4094), Dot1Q(vlan=1)],
        }.items():
            for address in (SERVER, SERVER6):
                with self.subTest(name, address=address):
                    query = self.frame(HIT, address, tags=tags)
                    data, frame = self.assert_answered_in_kernel(tap, query)
                    tagged = 12 + 4 * len(tags)
                    self.assertEqual(data[12:tagged], bytes(query)[12:tagged])
                    self.assertEqual(bytes(frame[UDP].payload), icp.answer("hit", HIT, NUMBER))
                    self.assert_checksums(data)

    def assert_counted(self, reason, frame, answered=None):
        """The frame is passed up for this reason, and gets the reply of the daemon, or none."""
        tap = self.tap(self.client_side, "c0")
        kernel, passed = self.daemon_here.counts("answered.kernel", f"passed.{reason}")
        tap.send(frame)
        client = self.asker[socket.AF_INET6 if IPv6 in frame else socket.AF_INET]
        if answered:
            self.assertEqual(client.receive()[0], answered)
        self.assertEqual(self.ask(HIT, SERVER6 if IPv6 in frame else SERVER), "hit")
        self.assertEqual(
            self.daemon_here.counts("answered.kernel", f"passed.{reason}"), (kernel + 1, passed + 1)
        )

    def test_padding_is_ignored(self):
        tap = self.tap(self.client_side, "c0")
        for address in (SERVER, SERVER6):
            query = bytes(self.frame(HIT, address)) + b"padding that is not zero"
            _, frame = self.assert_answered_in_kernel(tap, query)
            datagram = bytes(frame[UDP].payload)[: frame[UDP].len - 8]
            self.assertEqual(datagram, icp.answer("hit", HIT, NUMBER))
            # The receiver verifies the checksums.
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.assertEqual(self.asker[family].receive(), (datagram, address))

    def test_ipv4_without_a_udp_checksum(self):
        _, frame = self.assert_answered_in_kernel(
            self.tap(self.client_side, "c0"), self.frame(HIT, chksum=0)
        )
        self.assertEqual(bytes(frame[UDP].payload), icp.answer("hit", HIT, NUMBER))

    def test_wrong_checksums_get_no_answer(self):
        for address in (SERVER, SERVER6):
            right = Ether(bytes(self.frame(HIT, address)))
            self.assert_counted(
                "checksum", self.frame(HIT, address, chksum=right[UDP].chksum ^ 0x0100)
            )
        self.assert_counted("checksum", self.frame(HIT, SERVER6, chksum=0))
        header = self.frame(HIT)
        header[IP].chksum = 0x1234
        self.assert_counted("checksum", header)

    def test_frames_to_other_hosts_pass(self):
        for address in (SERVER, SERVER6):
            frame = self.frame(HIT, address)
            frame.dst = "02:00:00:00:00:99"
            self.assert_counted("mac", frame)

    def test_invalid_sources_get_no_reply(self):
        for address, source in (
            (SERVER, "0.0.0.0"),
            (SERVER, "224.0.0.1"),
            (SERVER, "255.255.255.255"),
            (SERVER, "10.1.0.255"),
            (SERVER6, "::"),
            (SERVER6, "ff02::1"),
        ):
            with self.subTest(source):
                self.assert_counted("source", self.frame(HIT, address, source=source))
        for address in (SERVER, SERVER6):
            self.assert_counted("source", self.frame(HIT, address, sport=0))

    def test_ip_options_and_extension_headers_go_to_the_daemon(self):
        expected = icp.answer("hit", HIT, NUMBER)
        frame = self.frame(HIT)
        frame[IP].options = [IPOption_NOP()] * 4
        self.assert_counted("ip_options", frame, expected)
        frame = self.frame(HIT, SERVER6)
        datagram = frame[UDP].copy()
        # The checksum does not cover extension headers: that of the plain packet is correct.
        datagram.chksum = Ether(bytes(frame))[UDP].chksum
        frame[IPv6].remove_payload()
        before = self.daemon_here.counts("answered.kernel", "answered.daemon")
        self.tap(self.client_side, "c0").send(frame / IPv6ExtHdrDestOpt() / datagram)
        self.assertEqual(self.asker[socket.AF_INET6].receive()[0], expected)
        after = self.daemon_here.counts("answered.kernel", "answered.daemon")
        self.assertEqual(after, (before[0], before[1] + 1))
        # Not exactly one: multicast listener reports have extension headers too.
        self.assertGreater(self.daemon_here.count("passed.ipv6_extension"), 0)

    def test_fragments_get_the_same_answer_from_the_daemon(self):
        url = HIT.ljust(200, "x")
        expected = icp.answer("hit", url, NUMBER)
        for address, client in ((SERVER, socket.AF_INET), (SERVER6, socket.AF_INET6)):
            with self.subTest(address):
                self.assert_answered_by(self.daemon_here, "kernel", "hit", url, address)
                whole = self.frame(url, address)
                if address == SERVER:
                    pieces = fragment(whole, 64)
                else:
                    ip6 = whole[IPv6]
                    datagram = Raw(bytes(Ether(bytes(whole))[UDP]))
                    ip6.remove_payload()
                    packet = (
                        IPv6(src=ip6.src, dst=ip6.dst) / IPv6ExtHdrFragment(nh=17, id=1) / datagram
                    )
                    pieces = [
                        Ether(src=whole.src, dst=whole.dst) / piece
                        for piece in fragment6(packet, 150)
                    ]
                self.assertGreater(len(pieces), 1)
                tap = self.tap(self.client_side, "c0")
                counters = ("answered.kernel", "answered.daemon", "passed.fragment")
                kernel, user, passed = self.daemon_here.counts(*counters)
                for piece in pieces:
                    tap.send(piece)
                self.assertEqual(self.asker[client].receive(), (expected, address))
                # Only the first fragment has the port; only an IPv4 one is counted as a fragment.
                passed += address == SERVER
                self.assertEqual(self.daemon_here.counts(*counters), (kernel, user + 1, passed))

    def test_other_traffic_passes(self):
        """A ping, and UDP to a closed port."""
        tap = self.tap(self.client_side, "c0")
        for address, request, reply in (
            (SERVER, ICMP(), lambda frame: ICMP in frame and frame[ICMP].type == 0),
            (SERVER6, ICMPv6EchoRequest(), lambda frame: ICMPv6EchoReply in frame),
            (
                SERVER,
                None,
                lambda frame: ICMP in frame and (frame[ICMP].type, frame[ICMP].code) == (3, 3),
            ),
        ):
            with self.subTest(address=address, request=request):
                frame = self.frame(HIT, address, dport=3131)
                if request:
                    network = frame[IPv6 if ":" in address else IP]
                    network.remove_payload()
                    frame /= request
                tap.send(frame)
                tap.receive_until(lambda data: reply(Ether(data)))

    # --- many queries

    RELOADS = 20

    def questions(self, flip):
        """For the flood: URLs whose verdict is constant, and URLs whose verdict changes."""
        lines = []
        for i in range(100):
            lines += [
                f"{HIT}/{i}\thit",
                f"{NOFETCH}/{i}\tmiss_nofetch",
                f"http://flip.example.com/{i}\t{flip}",
            ]
        return lines + [f"{DENIED}/{i}\tdenied" for i in range(10)]

    def asks_until(self, url, verdict, address):
        """Ask until this is the verdict; return the number of queries."""
        verdicts = []

        def given():
            verdicts.append(self.ask(url, address))
            return verdicts[-1] == verdict

        until(given, f"{verdict} for {url}")
        return len(verdicts)

    def test_a_flood_with_reloads(self):
        """Every reply is correct at all times; a changing verdict is the old one or the new one."""
        verdicts = ("hit", "miss_nofetch")
        daemon = self.daemon_here
        for address in (SERVER, SERVER6):
            daemon.reload(flipping(verdicts[0]))
            before = daemon.counts("answered.kernel", "answered.daemon")
            flood = self.flood(address, ENDLESS, self.questions(",".join(verdicts)))
            asked = 0
            for reload in range(1, self.RELOADS + 1):
                verdict = verdicts[reload % 2]
                daemon.configure(flipping(verdict))
                daemon.hang_up()
                asked += self.asks_until("http://flip.example.com/", verdict, address)
            daemon.status()  # the kernel changes first; now the daemon has changed as well
            # Some more queries, so that the last chain replies to some.
            self.assert_flooded(self.flood(address, 5000, self.questions(verdict)), 5000)
            outcome = self.end_flood(flood)
            self.assertEqual(set(outcome["verdicts"]), {*verdicts, "denied"})
            count = outcome["answered"] + 5000
            after = daemon.counts("answered.kernel", "answered.daemon")
            self.assertEqual(sum(after) - sum(before), count + asked)
            # All but the URLs of the regex and the queries during a change of the chain.
            self.assertGreater(after[0] - before[0], count // 2)

            daemon.reload(flipping("denied"))
            self.assert_flooded(self.flood(address, 5000, self.questions("denied")), 5000)


class Native(Kernel, Wire):
    mode = "native"


class Generic(Kernel, Wire):
    mode = "generic"


class Userspace(Wire):
    """The same queries and replies without a program."""

    xdp = False
    mode = "off"
    sanitized = True

    def test_all_is_answered_by_the_daemon(self):
        daemon = self.responder().start()
        self.assertEqual(daemon.count("mode"), "userspace")
        for _, address in FAMILIES:
            for url, verdict in (
                (HIT, "hit"),
                (NOFETCH, "miss_nofetch"),
                (DENIED, "denied"),
                (LATE, "hit"),
                (MISS, "miss"),
                (HIT.ljust(8191, "x"), "hit"),
            ):
                self.assert_answered_by(daemon, "daemon", verdict, url, address)

    def test_ipv6_multicast_and_link_local_queries(self):
        self.responder().start()
        client = self.asker[socket.AF_INET6]
        index = self.client_side.link("c0")["ifindex"]
        client.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        client.send(icp.query(HIT, NUMBER), "ff02::1")
        self.assertEqual(client.receive(), (icp.answer("hit", HIT, NUMBER), SERVER6))
        # From an address that does not tell the interface.
        self.server_side.add_address("s0", "fe80::2/64")
        self.client_side.add_address("c0", "fe80::1/64")
        client = self.client(self.client_side, socket.AF_INET6, CLIENT6)
        client.socket.sendto(icp.query(HIT, NUMBER), ("fe80::2", icp.PORT, 0, index))
        reply, source = client.receive()
        self.assertEqual(reply, icp.answer("hit", HIT, NUMBER))
        self.assertTrue(source.startswith("fe80::2"), source)

    def accept_any_way(self, side):
        """The way back to a source need not be the interface by which its packets come."""
        command = "for i in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$i; done"
        side.run("sh", "-c", command)

    def test_replies_take_the_way_that_routes_say(self):
        """Queries that come by one interface are replied to by another."""
        self.responder().start()
        self.second_wire()
        # Neither do the client's requests tell the address, nor does it reply to those for it.
        for setting, value in (("announce", 2), ("ignore", 1)):
            path = f"/proc/sys/net/ipv4/conf/all/arp_{setting}"
            self.client_side.run("sh", "-c", f"echo {value} >{path}")
        for side in (self.client_side, self.server_side):
            self.accept_any_way(side)
        self.client_side.add_address("lo", "10.9.0.1/32")
        self.server_side.run("ip", "route", "add", "10.9.0.1", "via", CLIENT_2, "dev", "s1")
        self.assertEqual(self.client(self.client_side, address="10.9.0.1").ask(HIT, SERVER), "hit")

    def test_replies_that_cannot_be_sent_are_counted(self):
        helper = '''policy "80" { kind = helper program = { "/bin/sh", "-c",
            "while read -r line; do echo hit; done" } }'''
        self.client_side.add_address("lo", "10.9.0.1/32")
        self.accept_any_way(self.server_side)
        for policies in ("", helper):
            daemon = self.responder(policies, settings='metrics = "127.0.0.1:9130"').start()
            self.assertEqual(self.ask(MISS), "hit" if policies else "miss")
            client = self.client(self.client_side, address="10.9.0.1")
            self.server_side.run("ip", "route", "replace", "prohibit", "10.9.0.1")
            client.send(icp.query(MISS, NUMBER), SERVER)
            until(lambda: daemon.count("failed.send") == 1, "the failure")
            self.assertEqual(daemon.count("answered.daemon"), 1)
            self.assertEqual(sum(one["replies"] for one in daemon.count("latency")), 1)
            daemon.stop()


class Life(Wire):
    """What remains after the daemon has exited."""

    mode = "native"
    sanitized = True
    LIVES = 5

    def test_prefixes_survive_a_killed_daemon(self):
        daemon = self.responder().start()
        self.assertEqual(self.ask(HIT), "hit")
        daemon.kill()
        self.assertEqual(
            [self.ask(HIT, SERVER), self.ask(NOFETCH, SERVER6)], ["hit", "miss_nofetch"]
        )

    def test_the_next_daemon_takes_over(self):
        daemon = self.responder().start()
        daemon.kill()
        next_daemon = self.responder(flipping("denied")).start()
        self.assert_answered_by(next_daemon, "kernel", "denied", "http://flip.example.com/")
        self.assert_answered_by(next_daemon, "kernel", "hit", HIT)
        self.assert_answered_by(next_daemon, "daemon", "denied", DENIED)

    def test_no_reply_is_missing_while_daemons_restart(self):
        """The kernel keeps its prefixes; meanwhile nothing else could reply."""
        daemon = self.responder().start()
        questions = [f"{HIT}\thit", f"{NOFETCH}\tmiss_nofetch"]
        flood = self.flood(SERVER, ENDLESS, questions)
        for _ in range(self.LIVES):
            daemon.kill()
            self.assert_flooded(self.flood(SERVER, 1000, questions), 1000)
            daemon.start()
        self.end_flood(flood)

    def test_clean_exit_removes_the_chain(self):
        self.responder().start().stop()
        self.assert_port_closed()

    def test_userspace_daemon_disables_a_stale_program(self):
        """The program and its maps remain, but this daemon uses neither the chain nor the rules."""
        rule = "http://rule.example.com/"
        daemon = self.responder().start()
        daemon.icpctl("rules", "add", rule, "err")
        daemon.kill()
        self.assertEqual([self.ask(HIT), self.ask(rule)], ["hit", "err"])
        alone = self.responder(POLICIES.replace('"hit"', '"denied"'), mode="off").start()
        self.assertEqual(alone.count("mode"), "userspace")
        for _, address in FAMILIES:
            self.assert_answered_by(alone, "daemon", "denied", HIT, address)
            self.assert_answered_by(alone, "daemon", "miss", rule, address)
        self.assertEqual(self.program()[1], "native")

    def test_failed_start_keeps_the_chain(self):
        daemon = self.responder().start()
        daemon.kill()
        failing = self.responder(control="/proc/no/such/directory/control.sock")
        failing.launch()
        self.assertEqual(failing.wait(), 1)
        self.assertIn("cannot create the directory", failing.log.read_text())
        self.assertEqual(
            [self.ask(HIT, SERVER), self.ask(NOFETCH, SERVER6)], ["hit", "miss_nofetch"]
        )


if __name__ == "__main__":
    main()
