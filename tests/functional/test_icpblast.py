#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The load generator: counts, detection of wrong replies, and where it may send."""

import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import icp
import net
from daemon import BUILD
from lab import main
from wire import CLIENT, CLIENT_2, FAMILIES, SERVER, SERVER_2, Wire

BLAST = BUILD / "icpblast"
REFUSED, USAGE = 3, 2
SO_RCVBUFFORCE = 33
QUESTIONS = {
    "hit": "http://hit.example.com/%d",
    "miss_nofetch": "http://nofetch.example.com/%d",
    "denied": "http://e.org/admin/%d",
    "miss": "http://e.org/%d",
}
HIT_URLS = ("--url", "http://hit.example.com/%d", "--urls", 1000)


class Blast(Wire):
    mode = "native"
    sanitized = False

    def setUp(self):
        super().setUp()
        if self.mode == "native":
            self.take_off()

    def take_off(self):
        """Detach the program at the client's end: icpblast attaches its own."""
        self.client_side.run("ip", "link", "set", "dev", "c0", "xdpdrv", "off")

    def blast(self, *words, status=0, where=None):
        """Run it; return its JSON, or its standard error if it prints none."""
        done = (where or self.client_side).run(BLAST, "--json", "--quiet", *words, check=False)
        self.assertEqual(done.returncode, status, f"{words}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout else done.stderr

    def start(self, *words):
        """Run it in the background; communicate() of what is returned has its JSON."""
        command = self.client_side.command(BLAST, "--json", "-q", *words, SERVER)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def file(self, text):
        path = self.directory() / "urls"
        path.write_text(text)
        return path

    def assert_sums_up(self, said, number):
        """Under load a reply may be lost, but none is counted twice or missed."""
        self.assertEqual(said["sent"], number)
        self.assertEqual(said["good"] + said["bad"] + said["lost"], number)
        self.assertEqual(said["good"], sum(said["opcodes"].values()))
        self.assertEqual(said["bad"], sum(said["faults"].values()))
        self.assertGreater(said["good"] + said["bad"], 0)


def address_of(family, address):
    return f"[{address}]" if family == socket.AF_INET6 else address


class AgainstTheDaemon(Blast):
    def setUp(self):
        super().setUp()
        self.daemon_here = self.responder().start()

    def test_all_verdicts_are_as_the_file_expects(self):
        questions = self.file(
            "".join(
                f"{pattern % i}\t{verdict}\n"
                for i in range(100)
                for verdict, pattern in QUESTIONS.items()
            )
        )
        for sender in ("live", "socket"):
            for family, address in FAMILIES:
                with self.subTest(sender=sender, address=address):
                    said = self.blast(
                        *("--file", questions, "--number", 20000, "--sender", sender),
                        address_of(family, address),
                    )
                    self.assert_sums_up(said, 20000)
                    self.assertEqual((said["bad"], said["sender"]), (0, sender))
                    self.assertEqual(set(said["opcodes"]), set(QUESTIONS))

    def test_counts_agree_with_the_kernel(self):
        before = self.daemon_here.count("answered.kernel")
        said = self.blast(*HIT_URLS, "--number", 20000, "--expect", "hit", SERVER)
        answered = self.daemon_here.count("answered.kernel") - before
        self.assertLessEqual(said["good"], answered)
        self.assertLessEqual(answered, said["sent"])

    def test_wrong_verdict_is_detected(self):
        questions = self.file("http://hit.example.com/a\thit\nhttp://hit.example.com/b\thit\n")
        self.daemon_here.icpctl("rules", "add", "http://hit.example.com/b", "denied")
        for sender in ("live", "socket"):
            with self.subTest(sender=sender):
                said = self.blast(
                    *("-f", questions, "-n", 2000, "--sender", sender), SERVER, status=1
                )
                self.assert_sums_up(said, 2000)
                self.assertEqual(set(said["faults"]), {"opcode"})
                self.assertEqual(set(said["opcodes"]), {"hit"})

    def test_expected_silence(self):
        silence = (*HIT_URLS, "--expect", "none", "--number", 1000, "--sample", 1, SERVER)
        self.daemon_here.icpctl("drain", "--verdict", "silence")
        for sender in ("live", "socket"):
            with self.subTest(sender=sender):
                said = self.blast(*silence, "--sender", sender)
                self.assertEqual((said["silent"], said["good"], said["bad"]), (1000, 0, 0))
                self.assertEqual(said["latency_ms"]["sampled"], 0)
        self.daemon_here.icpctl("undrain")
        said = self.blast(*silence, status=1)
        self.assertEqual((said["good"], set(said["faults"])), (0, {"opcode"}))

    def test_no_reply_is_a_failure(self):
        self.daemon_here.icpctl("drain", "--verdict", "silence")
        said = self.blast(*HIT_URLS, "--expect", "hit", "--number", 1000, SERVER, status=1)
        self.assertEqual((said["good"], said["bad"], said["lost"]), (0, 0, 1000))
        self.assertEqual(said["latency_ms"]["max"], None)

    def test_hint_if_no_reply_arrives(self):
        words = (BLAST, "--quiet", *HIT_URLS, "--number", 1000, SERVER)
        self.assertNotIn("perhaps none arrived", self.client_side.run(*words).stdout)
        self.daemon_here.icpctl("drain", "--verdict", "silence")
        said = self.client_side.run(*words, check=False).stdout
        self.assertIn("an XDP program in native mode, or `ethtool -K DEVICE gro on`", said)
        said = self.client_side.run(*words, "--sender", "socket", check=False).stdout
        self.assertNotIn("perhaps none arrived", said)

    def test_uniform_and_zipf_distribution(self):
        def verdicts(*words):
            questions = self.file(
                "http://hit.example.com/\thit\n"
                + "".join(f"http://nofetch.example.com/{i}\tmiss_nofetch\n" for i in range(9))
            )
            said = self.blast("-f", questions, "-n", 50000, *words, SERVER)
            return said["opcodes"]["hit"] / said["good"]

        self.assertAlmostEqual(verdicts(), 0.1, delta=0.03)
        self.assertAlmostEqual(verdicts("--zipf", 1), 1 / 2.929, delta=0.03)

    def test_number_rate_and_time_limits(self):
        for sender in ("live", "socket"):
            with self.subTest(sender=sender):
                began = time.monotonic()
                said = self.blast(
                    *(*HIT_URLS, "--rate", 200, "--time", 1, "--sender", sender), SERVER
                )
                seconds = time.monotonic() - began
                self.assertGreaterEqual(said["seconds"], 1)
                # Measured outside: sending goes on until the generator has stopped.
                self.assertLessEqual(said["sent"], 200 * seconds + 64 + 16)
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
        said = self.blast(*HIT_URLS, "--number", 9999, "--cores", cores, SERVER)
        self.assertEqual(said["sent"], 9999)

    def test_rates_are_those_of_the_whole_run(self):
        for sender in ("live", "socket"):
            with self.subTest(sender=sender):
                said = self.blast(*HIT_URLS, "--number", 100, "--sender", sender, SERVER)
                rate = said["sent"] / said["seconds"]
                self.assertAlmostEqual(said["queries_per_second"] / rate, 1, places=3)
                self.assertGreaterEqual(said["queries_per_second"], said["replies_per_second"])

    def test_every_query_can_be_timed(self):
        said = self.blast(*HIT_URLS, "--number", 500, "--rate", 1000, SERVER)
        times = said["latency_ms"]
        self.assertEqual((times["sampled"], times["answered"]), (500, said["good"]))
        self.assertGreater(times["p50"], 0)
        self.assertLessEqual(times["p50"], times["p99"])
        said = self.blast(*HIT_URLS, "--number", 5120, "--sample", 10, SERVER)
        self.assertEqual(said["latency_ms"]["sampled"], 512)
        said = self.blast(*HIT_URLS, "--number", 100, "--rate", 1000, "--deadline", 0, SERVER)
        self.assertEqual(said["latency_ms"]["in_time"], 0)

    def test_nothing_is_left_behind(self):
        self.blast(*HIT_URLS, "--number", 100, SERVER)
        self.assertNotIn("xdp", self.client_side.link("c0"))
        command = self.client_side.command(BLAST, "-q", *HIT_URLS, "--time", 1000, SERVER)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number):
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                net.until(lambda: "xdp" in self.client_side.link("c0"), "the check to be attached")
                process.send_signal(number)
                process.wait(net.PATIENCE)
                net.until(lambda: "xdp" not in self.client_side.link("c0"), "it to go")

    def test_progress_and_interruption(self):
        words = (BLAST, "--json", *HIT_URLS, "--time", 1000, SERVER)
        master, terminal = os.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen(
            self.client_side.command(*words), stdout=subprocess.PIPE, stderr=terminal, text=True
        )
        os.close(terminal)
        line = ""
        while "without" not in line:
            line += os.read(master, 4096).decode()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=net.PATIENCE)
        self.assertRegex(line, r"^\r *\d+ s: \d+ queries/s, \d+ good replies/s, 0 bad, \d+ without")
        self.assertEqual(process.returncode, 0)
        self.assertGreater(json.loads(output)["good"], 0)

    def test_attached_program_is_reported(self):
        self.pass_all(self.client_side, "c0")
        said = self.blast(*HIT_URLS, "--number", 1, SERVER, status=USAGE)
        self.assertIn("c0: cannot attach the check of the replies", said)
        self.assertIn("carries an XDP program already", said)
        self.assertIn("`ip link set dev c0 xdpdrv off`", said)
        self.assertIn("if another icpblast runs there, end that", said)

    def test_output_that_cannot_be_written_is_an_error(self):
        for where in (">/dev/full", ">&-"):
            with self.subTest(where=where):
                words = ("sh", "-c", f'exec "$0" "$@" {where}', BLAST, "-q", "-n", 1)
                done = self.client_side.run(*words, *HIT_URLS, SERVER, check=False)
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertIn("icpblast: cannot write the output: ", done.stderr)

    def test_one_query_is_singular(self):
        said = self.client_side.run(BLAST, "-n", 1, *HIT_URLS, SERVER, check=False).stdout
        self.assertRegex(said, "^1 query in ")

    def test_name_that_is_not_utf8(self):
        name = os.fsdecode(b"c\xff")
        self.client_side.run("ip", "link", "set", "c0", "down")
        self.client_side.run("ip", "link", "set", "c0", "name", name)
        self.client_side.run("ip", "link", "set", name, "up")
        words = (BLAST, "--json", "-n", 1, *HIT_URLS, "--mac", self.server_side.mac("s0"), SERVER)
        done = self.client_side.run(*words, check=False)
        self.assertEqual(json.loads(done.stdout)["interface"], "c\\xff")


class Held(Blast):
    """Senders that are held up, by a packet socket."""

    mode = "off"
    sanitized = False
    WORDS = (*HIT_URLS, "--expect", "none", "--mac", "02:00:00:00:00:01")

    def start(self, *words):
        return super().start("--sender", "socket", *self.WORDS, *words)

    def test_missed_queries_are_not_made_up_for(self):
        rate = 10000
        tap = self.tap(self.server_side, "s0")
        began = time.monotonic()
        process = self.start("--rate", rate, "--time", 1000)
        tap.receive_until(lambda frame: b"http://hit.example.com/" in frame)
        process.send_signal(signal.SIGSTOP)
        net.until(lambda: self.all_stopped(process.pid), "all threads to stop")
        stopped = time.monotonic()
        time.sleep(2)  # whatever it is, it does not count for what may be sent
        held = time.monotonic() - stopped
        process.send_signal(signal.SIGCONT)
        # Long enough for it to catch up, if it did.
        for _ in range(1000):
            tap.receive_until(lambda frame: b"http://hit.example.com/" in frame)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=net.PATIENCE)
        most = rate * (time.monotonic() - began - held)
        self.assertLessEqual(json.loads(said)["sent"], most + 64 + 16)

    @staticmethod
    def all_stopped(pid):
        states = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat") as stat:
                states.append(stat.read().rpartition(") ")[2][0])
        return set(states) == {"T"}

    def test_full_queue_ends_with_the_run(self):
        shape = ("tc", "qdisc", "add", "dev", "c0", "root", "tbf", "rate", "8kbit")
        done = self.client_side.run(*shape, "burst", 1500, "limit", 1, check=False)
        if done.returncode:
            self.skipTest(f"tc: {done.stderr.strip()}")
        for words, number in (
            (("--time", 0.5), None),
            (("--number", 100), signal.SIGINT),
            (("--time", 1000), signal.SIGTERM),
        ):
            with self.subTest(words=words):
                process = self.start(*words)
                if number:
                    net.until(lambda: "xdp" in self.client_side.link("c0"), "the check")
                    net.until(lambda: self.catches(process.pid, number), "the handler")
                    process.send_signal(number)
                said, _ = process.communicate(timeout=net.PATIENCE)
                self.assertEqual(json.loads(said)["sent"], 0)

    @staticmethod
    def catches(pid, number):
        with open(f"/proc/{pid}/status") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
        return int(caught.split()[1], 16) >> (number - 1) & 1


class Echo(Blast):
    """Against a program that only exchanges the addresses."""

    sanitized = False

    def test_echoed_queries_need_expect_echo(self):
        pin = self.pins + "-limit"
        net.run("bpftool", "prog", "load", BUILD / "bench/limit.bpf.o", pin)
        self.server_side.run("ip", "link", "set", "dev", "s0", "xdpdrv", "pinned", pin)
        for family, address in FAMILIES:
            with self.subTest(address=address):
                words = (*HIT_URLS, "--number", 5000, address_of(family, address))
                said = self.blast("--expect", "echo", *words)
                self.assert_sums_up(said, 5000)
                self.assertEqual(set(said["opcodes"]), {"query"})
                said = self.blast(*words, status=1)
                self.assertEqual((said["good"], set(said["faults"])), (0, {"length"}))


class Offload(Blast):
    """Daemon only: by default the network stack leaves the checksum to the device."""

    mode = "off"

    def test_offloaded_checksum_is_counted(self):
        self.responder(interfaces=[]).start()
        words = (*HIT_URLS, "--number", 500, "--rate", 2000, "--expect", "hit", SERVER)
        said = self.blast(*words)
        self.assertEqual((said["bad"], said["checksum_offloaded"]), (0, said["good"]))
        self.server_side.run("ethtool", "-K", "s0", "tx", "off")
        said = self.blast(*words)
        self.assertEqual((said["bad"], said["checksum_offloaded"]), (0, 0))


class Loopback(Blast):
    mode = "generic"

    def test_beside_a_program_on_the_loopback_interface(self):
        daemon = self.responder(interfaces=["lo"]).start()
        for address in ("127.0.0.1", "[::1]", SERVER):
            with self.subTest(address=address):
                said = self.blast(
                    *(*HIT_URLS, "--number", 2000, "--expect", "hit"),
                    *("--rate", 5000, address),
                    where=self.server_side,
                )
                self.assert_sums_up(said, 2000)
                self.assertEqual((said["interface"], said["bad"]), ("lo", 0))
        self.assertGreater(daemon.count("answered.kernel"), 0)


class Faulty(Blast):
    """Against a responder whose replies have one fault each."""

    mode = "off"
    sanitized = False
    NUMBER = 20

    def setUp(self):
        super().setUp()
        self.wire = self.tap(self.server_side, "s0")
        self.wire.socket.settimeout(0.05)

    def lie(self, change):
        """Reply to each query, changed by `change`, until the returned function is called."""
        ended = threading.Event()

        def answer():
            while not ended.is_set():
                try:
                    query = Ether(self.wire.receive())
                except TimeoutError:
                    continue
                if UDP not in query or query[UDP].dport != icp.PORT:
                    continue
                message = bytes(query[UDP].payload)
                url = message[24:-1]
                number = int.from_bytes(message[4:8], "big")
                reply = (
                    Ether(src=query.dst, dst=query.src)
                    / IP(src=query[IP].dst, dst=query[IP].src)
                    / UDP(sport=icp.PORT, dport=query[UDP].sport)
                    / Raw(icp.answer("hit", url, number))
                )
                for frame in change(reply):
                    self.wire.send(frame)

        thread = threading.Thread(target=answer)
        thread.start()

        def end():
            ended.set()
            thread.join()

        return end

    def outcome(self, change):
        end = self.lie(change)
        try:
            done = self.client_side.run(
                *(BLAST, "--json", "-q", "-r", 100, "-n", self.NUMBER, "-e", "hit"),
                *("-u", "http://e.org/odd/%d", "-k", 3, SERVER),
                check=False,
            )
        finally:
            end()
        return json.loads(done.stdout), done.returncode

    def test_each_fault_is_named(self):
        def patched(at, new):
            """Overwrite bytes of the message from `at` on, and correct the checksum."""

            def change(reply):
                load = bytearray(reply.load)
                begin = at % len(load)
                load[begin : begin + len(new)] = new
                reply.load = bytes(load)
                return [reply]

            return change

        def field(layer, name, value):
            def change(reply):
                reply = Ether(bytes(reply))
                setattr(reply[layer], name, value(getattr(reply[layer], name)))
                return [reply]

            return change

        def cut(reply):
            reply.load = reply.load[:-2] + b"\0"
            return [reply]

        faults = {
            "header": [
                field(Ether, "src", lambda _: "02:00:00:00:00:99"),
                lambda reply: [reply.__class__(bytes(reply).replace(b"\x45\0", b"\x46\0", 1))],
            ],
            "length": [
                cut,
                patched(2, (999).to_bytes(2, "big")),
                field(UDP, "len", lambda size: size - 1),
            ],
            "ip_checksum": [field(IP, "chksum", lambda sum_: sum_ ^ 0x0101)],
            "udp_checksum": [
                field(UDP, "chksum", lambda sum_: sum_ ^ 0x0101),
                field(UDP, "chksum", lambda _: 0),
            ],
            "version": [patched(1, b"\3")],
            "request_number": [patched(7, b"\0"), patched(4, b"\xff")],
            "options": [patched(8, b"\x40"), patched(14, b"\1")],
            "url": [patched(20, b"H"), patched(-2, b"9"), patched(-1, b"x")],
            "opcode": [patched(0, b"\3"), patched(0, b"\1"), patched(0, b"\xc8")],
        }
        for fault, changes in faults.items():
            for number, change in enumerate(changes):
                with self.subTest(fault=fault, number=number):
                    said, status = self.outcome(change)
                    self.assertEqual(said["faults"], {fault: self.NUMBER})
                    self.assertEqual((said["good"], status), (0, 1))

    def test_correct_replies_are_no_fault(self):
        said, status = self.outcome(lambda reply: [reply])
        self.assertEqual((said["good"], said["bad"], status), (self.NUMBER, 0, 0))

    def test_duplicate_reply_is_detected(self):
        said, status = self.outcome(lambda reply: [reply, reply])
        self.assertEqual((said["good"], said["lost"], status), (self.NUMBER, 0, 1))
        self.assertEqual(list(said["faults"]), ["twice"])
        # The last one may arrive after the end.
        self.assertIn(said["faults"]["twice"], (self.NUMBER - 1, self.NUMBER))

    def test_duplicate_reply_replaces_no_other(self):
        queries = itertools.count()
        said, status = self.outcome(lambda reply: [reply, reply] if next(queries) % 2 else [])
        self.assertEqual((said["good"], said["lost"], status), (self.NUMBER // 2,) * 2 + (1,))

    def test_slow_replies_keep_their_queries(self):
        """More sampled queries wait for a reply than the upper bits of 20 have slots."""
        number = 5000
        self.wire.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.wire.socket.settimeout(net.PATIENCE)
        process = self.start("-r", 5000, "-n", number, "-e", "echo", "-u", "http://e.org/")
        frames = []
        while len(frames) < number:
            frame = self.wire.receive()
            if frame.endswith(b"http://e.org/\0"):
                frames.append(frame)
        for frame in frames:
            turned = frame[6:12] + frame[:6] + frame[12:26] + frame[30:34] + frame[26:30]
            self.wire.send(turned + frame[36:38] + frame[34:36] + frame[38:])
        said = json.loads(process.communicate(timeout=net.PATIENCE)[0])
        self.assertEqual((said["good"], said["faults"]), (number, {}))
        self.assertEqual(said["latency_ms"]["answered"], number)

    def withhold(self):
        """Start it with a responder that keeps its replies in the returned list."""
        held = []
        self.addCleanup(self.lie(lambda reply: held.append(reply) or []))
        process = self.start("-r", 100, "-t", 1000, "-u", "http://e.org/%d", "-k", 3)
        net.until(lambda: len(held) >= self.NUMBER, "queries")
        return process, held

    def test_replies_are_awaited_after_a_signal(self):
        process, held = self.withhold()
        process.send_signal(signal.SIGINT)

        def ended():
            while held:
                self.wire.send(held.pop(0))
            return process.poll() is not None

        net.until(ended, "the end")
        said = json.loads(process.communicate()[0])
        self.assertEqual((said["good"], said["lost"]), (said["sent"], 0))
        self.assertEqual(process.returncode, 0)

    def test_second_signal_ends_the_wait(self):
        process, held = self.withhold()

        def ended():
            process.send_signal(signal.SIGINT)
            self.wire.send(held[0])  # as long as something comes, the wait goes on
            return process.poll() is not None

        net.until(ended, "the end")
        self.assertGreater(json.loads(process.communicate()[0])["lost"], 0)

    def test_reply_from_another_address_is_ignored(self):
        def elsewhere(reply):
            reply[UDP].sport = icp.PORT + 1
            return [reply]

        said, status = self.outcome(elsewhere)
        self.assertEqual((said["good"], said["bad"], status), (0, 0, 1))
        self.assertEqual(said["lost"], self.NUMBER)


class Refusals(Blast):
    mode = "off"

    def refused(self, *words):
        said = self.blast(*HIT_URLS, "--number", 100, *words, status=REFUSED)
        self.assertIn("--anywhere", said)
        return said

    def test_other_interfaces_are_refused(self):
        self.client_side.run("ip", "tuntap", "add", "t0", "mode", "tap")
        self.client_side.add_address("t0", f"{CLIENT_2}/24")
        self.client_side.run("ip", "link", "set", "t0", "up")
        said = self.refused(SERVER_2)
        self.assertIn("t0 is neither the loopback interface nor a veth", said)
        sent = json.loads(self.client_side.run("ip", "-json", "-s", "link", "show", "t0").stdout)
        self.assertEqual(sent[0]["stats64"]["tx"]["packets"], 0)

    def test_veth_into_a_bridge_is_refused(self):
        self.second_wire()
        self.server_side.run("ip", "link", "add", "b0", "type", "bridge")
        self.server_side.run("ip", "addr", "flush", "dev", "s1")
        self.server_side.run("ip", "link", "set", "s1", "master", "b0")
        self.server_side.run("ip", "link", "set", "b0", "addrgenmode", "none")
        self.server_side.add_address("b0", f"{SERVER_2}/24")
        self.server_side.run("ip", "link", "set", "b0", "up")
        net.until(lambda: self.server_side.is_operational("b0"), "the bridge")
        self.responder(interfaces=[]).start()
        self.refused(SERVER_2)
        self.client_side.add_address("lo", "192.0.2.1/32")
        self.client_side.run("ip", "route", "add", "10.3.0.0/24", "dev", "c1", "src", "192.0.2.1")
        self.assertIn("c1 is neither", self.refused("10.3.0.1"))
        said = self.blast(
            *(*HIT_URLS, "--number", 100, "--rate", 500, "--anywhere", SERVER_2)
        )
        self.assertEqual((said["bad"], said["interface"]), (0, "c1"))

    def test_missing_rights_are_named(self):
        done = self.client_side.run(
            *("setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"),
            *(BLAST, *HIT_URLS, "-n", 1, SERVER),
            check=False,
        )
        self.assertEqual(done.returncode, USAGE)
        self.assertRegex(done.stderr, "interface c0: .*: Permission denied; it needs root")

    def test_unresolved_address_is_reported(self):
        said = self.blast(*HIT_URLS, "--number", 1, "10.1.0.77", status=USAGE)
        self.assertIn("10.1.0.77:3130 on c0: no host there has this address", said)

    def test_usage_errors_name_the_remedy(self):
        bad = self.file("http://e.org/\thit\nhttp://e.org/x\tyes\n")
        long = self.file("http://e.org/".ljust(256, "x"))
        for words, expected in (
            ((), "ADDRESS is missing"),
            ((SERVER,), "give either --file or --url"),
            (("-u", "x", "e.org"), "with numbers, not names"),
            (("-u", "x", "-e", "yes", SERVER), "--expect: unknown verdict 'yes'"),
            (("-f", bad, SERVER), f"{bad}:2: unknown verdict 'yes'"),
            (("-f", long, SERVER), f"{long}:1: a URL of 256 bytes; it has 1 to 255"),
            (("-f", "/nonexistent", SERVER), "/nonexistent: No such file"),
            (("-u", "x", "-k", 2, SERVER), "has no %d"),
            (("-u", "x", "-c", 1023, SERVER), "may not run on core 1023"),
            (("-u", "x", "-t", "now", SERVER), "'now' is not a number"),
            (("-u", "x", "--sender", "live", CLIENT), "the loopback interface takes no live"),
            (("-u", "x", "--mac", "1ff:2:3:4:5:6", SERVER), "'1ff:2:3:4:5:6' is not a MAC address"),
            (("-u", "x", "--mac", "1f:2:3:4:5:6", SERVER), "'1f:2:3:4:5:6' is not a MAC address"),
            (("-u", "x", f"[::ffff:{SERVER}]"), f"is an IPv4 address; write it as {SERVER}:3130"),
            (("-u", "x", "-e", "\33[1m", SERVER), "unknown verdict '\\x1b[1m'"),
            (("-u", "x", "-r", "\33[1m", SERVER), "'\\x1b[1m' is not a number"),
            (("-f", "/\33[1m", SERVER), "/\\x1b[1m: No such file"),
        ):
            with self.subTest(words=words):
                self.assertIn(expected, self.blast(*words, status=USAGE))

    def test_unusual_files(self):
        windows = self.file("http://e.org/\thit\r\nhttp://e.org/x\tyes\r\n")
        said = self.blast("-f", windows, SERVER, status=USAGE)
        self.assertIn(":2: unknown verdict 'yes';", said)
        said = self.blast("-f", self.file("http://e.org/\0x\n"), SERVER, status=USAGE)
        self.assertIn(":1: the URL has a NUL byte", said)
        limited = ("prlimit", "--as=200000000", BLAST, "-f", "/dev/zero", SERVER)
        done = self.client_side.run(*limited, check=False)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("/dev/zero: Cannot allocate memory", done.stderr)


if __name__ == "__main__":
    main()
