#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies to single datagrams, by the daemon's sockets alone."""

import socket
import struct

import icp
from lab import Lab, main
from net import until

POLICIES = """
policy "10-cheap" {
    kind = "prefix"
    verdict = "miss"
    cost = 77
    urls = { "http://cheap.example.com/" }
}
policy "20-hit" {
    kind = "prefix"
    urls = { "http://hit.example.com/" }
    verdict = "hit"
}
policy "30-nofetch" {
    kind = "prefix"
    urls = { "http://nofetch.example.com/" }
    verdict = "miss_nofetch"
}
policy "40-denied" {
    kind = "prefix"
    urls = { "http://denied.example.com/" }
    verdict = "denied"
}
policy "50-err" {
    kind = "prefix"
    urls = { "http://err.example.com/" }
    verdict = "err"
}
"""
HIT = "http://hit.example.com/x"
NUMBER = 0xDEADBEEF
LONGEST_URL = "http://hit.example.com/".ljust(16384 - 25, "x")


class Responder(Lab):
    """A daemon and a client on the loopback device of a namespace."""

    sanitized = True

    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")
        self.start()

    def start(self, settings=""):
        self.daemon_here = self.daemon(self.server, POLICIES, settings=settings).start()
        self.ask_from(socket.AF_INET, "127.0.0.1")

    def ask_from(self, family, address):
        self.client_here = self.client(self.server, family)
        self.address = address

    def assert_answer(self, query, expected):
        self.assertEqual(self.client_here.exchange(query, self.address), expected)

    def assert_silence(self, datagram, reason):
        """The next reply belongs to the next query, and one counter has risen by one."""
        before = self.daemon_here.status()["silent"]
        self.client_here.send(datagram, self.address)
        self.assertEqual(self.client_here.ask(HIT, self.address), "hit")
        after = self.daemon_here.status()["silent"]
        self.assertEqual(after, before | {reason: before[reason] + 1})


class Verdicts(Responder):
    def test_each_verdict(self):
        for verdict, host in (
            ("hit", "hit"),
            ("miss_nofetch", "nofetch"),
            ("denied", "denied"),
            ("err", "err"),
            ("miss", "other"),
        ):
            with self.subTest(verdict):
                url = f"http://{host}.example.com/x?y#z"
                self.assert_answer(icp.query(url, NUMBER), icp.answer(verdict, url, NUMBER))

    def test_request_number_is_echoed(self):
        for number in (1, 255, 256, 0x01020304, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            with self.subTest(number):
                self.assert_answer(icp.query(HIT, number), icp.answer("hit", HIT, number))

    def test_sender_host_address_is_echoed(self):
        query = icp.query(HIT, NUMBER, sender="255.254.0.1")
        self.assert_answer(query, icp.answer("hit", HIT, NUMBER, sender="255.254.0.1"))

    def test_url_of_all_bytes_but_nul_and_white_space(self):
        url = b"http://hit.example.com/" + bytes(
            byte for byte in range(1, 256) if byte not in b"\t\n\v\f\r "
        )
        self.assert_answer(icp.query(url, NUMBER), icp.answer("hit", url, NUMBER))

    def test_urls_of_all_lengths(self):
        for length in (1, 7, 8, 9, 254, 255, 256, 257, 1024, 4095, 8191):
            with self.subTest(length):
                url = "http://hit.example.com/".ljust(length, "x")[:length]
                verdict = "hit" if length > 23 else "miss"
                self.assert_answer(icp.query(url, NUMBER), icp.answer(verdict, url, NUMBER))

    def test_the_longest_message_is_answered(self):
        query = icp.query(LONGEST_URL, NUMBER)
        self.assertEqual(len(query), 16384)
        self.assert_answer(query, icp.answer("hit", LONGEST_URL, NUMBER))


class Options(Responder):
    def test_src_rtt_returns_the_cost_of_the_policy(self):
        url = "http://cheap.example.com/"
        self.assert_answer(
            icp.query(url, NUMBER, options=icp.FLAG_SRC_RTT),
            icp.answer("miss", url, NUMBER, options=icp.FLAG_SRC_RTT, option_data=77),
        )

    def test_no_cost_without_src_rtt(self):
        url = "http://cheap.example.com/"
        self.assert_answer(icp.query(url, NUMBER), icp.answer("miss", url, NUMBER))

    def test_src_rtt_without_a_cost(self):
        query = icp.query(HIT, NUMBER, options=icp.FLAG_SRC_RTT, option_data=0x12345678)
        self.assert_answer(query, icp.answer("hit", HIT, NUMBER))

    def test_hit_obj_is_ignored(self):
        query = icp.query(HIT, NUMBER, options=icp.FLAG_HIT_OBJ)
        self.assert_answer(query, icp.answer("hit", HIT, NUMBER))

    def test_unknown_options_are_not_echoed(self):
        query = icp.query(HIT, NUMBER, options=0x3FFFFFFF, option_data=0xFFFFFFFF)
        self.assert_answer(query, icp.answer("hit", HIT, NUMBER))


class Mistakes(Responder):
    """Queries that get ERR."""

    def test_a_query_without_a_usable_url(self):
        header_only = icp.message(b"", opcode=icp.QUERY, number=NUMBER)
        cut = {
            f"{20 + size} bytes": icp.message(b"\0\0\0\0"[:size], opcode=icp.QUERY, number=NUMBER)
            for size in range(1, 5)
        }
        for name, query in {
            "20 bytes": header_only,
            **cut,
            "an empty URL": icp.query("", NUMBER),
            "no NUL": icp.query(HIT, NUMBER, end=b""),
            "one byte, no NUL": icp.query("h", NUMBER, end=b""),
            "two NULs": icp.query(HIT, NUMBER, end=b"\0\0"),
            "a NUL within": icp.query("http://hit.example.com/\0x", NUMBER),
            "a NUL within, white space before": icp.query("http://hit.example.com/ \0x", NUMBER),
            "a NUL within, no NUL": icp.query("http://hit.example.com/\0x", NUMBER, end=b""),
        }.items():
            with self.subTest(name):
                self.assert_answer(query, icp.error_without_url(NUMBER))

    def test_white_space_in_the_url(self):
        for byte in b"\x09\x0a\x0b\x0c\x0d\x20":
            for place, url in {
                "first": b"%chttp://hit.example.com/",
                "within": b"http://hit.example.com/%cx",
                "last": b"http://hit.example.com/%c",
            }.items():
                with self.subTest(byte=byte, place=place):
                    url %= byte
                    self.assert_answer(icp.query(url, NUMBER), icp.answer("err", url, NUMBER))

    def test_white_space_late_in_a_long_url(self):
        url = LONGEST_URL[:-1] + " "
        self.assert_answer(icp.query(url, NUMBER), icp.answer("err", url, NUMBER))

    def test_other_control_characters_are_not_white_space(self):
        for byte in (0x01, 0x08, 0x0E, 0x1F, 0x7F, 0x80, 0x85, 0xA0, 0xFF):
            with self.subTest(byte):
                url = b"http://hit.example.com/%cx" % byte
                self.assert_answer(icp.query(url, NUMBER), icp.answer("hit", url, NUMBER))


class Silence(Responder):
    """Only queries get a reply: two responders must not reply to each other forever."""

    def test_less_than_a_header(self):
        query = icp.query(HIT, NUMBER)
        for size in range(20):
            with self.subTest(size):
                self.assert_silence(query[:size], "short")

    def test_more_than_the_longest_message(self):
        for excess in (1, 2, 3000):
            with self.subTest(excess):
                url = LONGEST_URL + "x" * excess
                # The length field must not be the reason.
                for length in (None, 16384):
                    self.assert_silence(icp.query(url, NUMBER, length=length), "long")

    def test_a_length_field_that_is_not_the_datagrams_length(self):
        right = len(icp.query(HIT, NUMBER))
        for length in (0, 20, right - 1, right + 1, right + 256, 0xFFFF):
            with self.subTest(length):
                self.assert_silence(icp.query(HIT, NUMBER, length=length), "length")

    def test_other_versions(self):
        for version in (0, 1, 3, 255):
            with self.subTest(version):
                self.assert_silence(icp.query(HIT, NUMBER, version=version), "version")

    def test_other_opcodes(self):
        for opcode in range(256):
            if opcode != icp.QUERY:
                with self.subTest(opcode):
                    self.assert_silence(icp.query(HIT, NUMBER, opcode=opcode), "opcode")

    def test_reply_gets_no_reply(self):
        self.assert_silence(icp.error_without_url(NUMBER), "opcode")
        self.assert_silence(icp.answer("err", HIT, NUMBER), "opcode")

    def test_request_number_zero(self):
        self.assert_silence(icp.query(HIT, 0), "request_zero")

    def test_answer_request_zero(self):
        self.daemon_here.stop()
        self.start("answer_request_zero = true")
        self.assert_answer(icp.query(HIT, 0), icp.answer("hit", HIT, 0))

    def test_source_port_zero(self):
        query = icp.query(HIT, NUMBER)
        raw = self.server.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        self.addCleanup(raw.close)
        before = self.daemon_here.count("silent.source")
        # IPv4 allows no checksum.
        raw.sendto(struct.pack("!HHHH", 0, icp.PORT, 8 + len(query), 0) + query, (self.address, 0))
        self.assertEqual(self.client_here.ask(HIT, self.address), "hit")
        # Earlier datagrams may arrive later: the sender can be moved to another CPU.
        until(lambda: self.daemon_here.count("silent.source") == before + 1, "the silence")


class Addresses(Responder):
    """The reply comes from the address that was asked, which Client.exchange checks."""

    def test_ipv6(self):
        self.ask_from(socket.AF_INET6, "::1")
        self.assert_answer(icp.query(HIT, NUMBER), icp.answer("hit", HIT, NUMBER))
        self.assert_silence(icp.query(HIT, NUMBER, version=3), "version")

    def test_loopback_network(self):
        self.ask_from(socket.AF_INET, "127.200.3.4")
        self.assert_answer(icp.query(HIT, NUMBER), icp.answer("hit", HIT, NUMBER))

    def test_secondary_addresses(self):
        for family, address, bits in (
            (socket.AF_INET, "192.0.2.10", 24),
            (socket.AF_INET, "192.0.2.11", 24),
            (socket.AF_INET6, "2001:db8::10", 64),
            (socket.AF_INET6, "2001:db8::11", 64),
        ):
            with self.subTest(address):
                self.server.add_address("lo", f"{address}/{bits}")
                self.ask_from(family, address)
                self.assert_answer(icp.query(HIT, NUMBER), icp.answer("hit", HIT, NUMBER))

    def test_a_single_address_and_another_port(self):
        self.daemon_here.stop()
        self.daemon(self.server, POLICIES, listen=("127.0.0.1:4130", "[::1]:4131")).start()
        for family, address, port in (
            (socket.AF_INET, "127.0.0.1", 4130),
            (socket.AF_INET6, "::1", 4131),
        ):
            with self.subTest(address):
                client = self.client(self.server, family)
                reply = client.exchange(icp.query(HIT, NUMBER), address, port)
                self.assertEqual(reply, icp.answer("hit", HIT, NUMBER))

    def test_many_queries_at_once(self):
        """More than one batch: each querier gets its replies, each of them once."""
        clients = [self.client(self.server) for _ in range(8)]
        for number in range(1, 33):
            for client in clients:
                client.send(icp.query(f"{HIT}/{client.port}", number), self.address)
        for client in clients:
            answers = {client.receive()[0] for _ in range(32)}
            self.assertEqual(
                answers,
                {icp.answer("hit", f"{HIT}/{client.port}", number) for number in range(1, 33)},
            )


if __name__ == "__main__":
    main()
