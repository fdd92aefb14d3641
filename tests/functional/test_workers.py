#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several worker threads: replies, changes and counters."""

import os
import pathlib
import socket
import time

import icp
from daemon import BUILD
from lab import main
from net import until
from wire import ENDLESS, SERVER, SERVER6, Wire

WORKERS = 4
COUNT = 20_000
LEFT_BYTES_MAX = 4 << 20  # queued for the main thread
GROUP = "239.1.2.3"
HIT, MISS = "http://hit.example.com/x", "http://other.example.com/"
BOTH = [f"{HIT}\thit", f"{MISS}\tmiss"]


def prefix(verdict="hit"):
    return f'policy "50" {{ kind = "prefix" verdict = "{verdict}" url = "http://hit.example.com/" }}'


class Workers(Wire):
    mode = "off"
    sanitized = True

    def setUp(self):
        super().setUp()
        self.files = self.directory()
        self.files.chmod(0o755)

    def start(self, policies, **settings):
        settings = {"settings": f"workers = {WORKERS}"} | settings
        return self.responder(policies, **settings).start()

    def file(self, name, text, mode=0o644):
        path = self.files / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def threads(self, daemon):
        """Number of voluntary context switches of each worker."""
        tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task")
        return {
            task.name: next(
                int(line.split()[1])
                for line in (task / "status").read_text().splitlines()
                if line.startswith("voluntary_ctxt_switches")
            )
            for task in tasks.iterdir()
            if (task / "comm").read_text() == "worker\n"
        }


    def await_workers(self, daemon, count=WORKERS):
        """A thread gets its name after it has been started."""
        until(lambda: len(self.threads(daemon)) == count, f"{count} workers")


class Alone(Workers):
    def test_number_of_threads(self):
        for settings, count in (
            ("workers = 1", 0),
            ("workers = 5", 5),
            ("", min(len(os.sched_getaffinity(0)), 8) if len(os.sched_getaffinity(0)) > 1 else 0),
        ):
            daemon = self.start(prefix(), settings=settings)
            self.await_workers(daemon, count)
            self.assertEqual(self.ask(HIT), "hit")
            daemon.stop()

    def test_each_worker_replies_and_counts_are_exact(self):
        """The reply comes from the address asked, also if the socket is bound to a wildcard."""
        others = ("10.1.0.77", "fd00:1::77")
        for address in others:
            bits = 64 if ":" in address else 24
            self.server_side.add_address("s0", f"{address}/{bits}")
        daemon = self.start(prefix())
        sockets = self.server_side.run("ss", "-Hnlu", "sport = :3130").stdout.splitlines()
        self.assertEqual(len(sockets), 2 * WORKERS)
        self.await_workers(daemon)
        waited = self.threads(daemon)
        expected = 0
        for address in (SERVER, SERVER6, *others):
            self.assert_flooded(self.flood(address, COUNT, BOTH), COUNT)
            expected += COUNT
            self.assertEqual(daemon.count("answered.daemon"), expected)
        for address in (SERVER, SERVER6, *others):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for _ in range(32):  # source ports, whose hash selects the worker
                client = self.client(self.client_side, family)
                self.assertEqual(client.ask(HIT, address), "hit")
                client.exchange(icp.query("", 7), address)
                client.send(icp.query(HIT, 7)[:-1], address)
                client.close()
                expected += 2
        until(lambda: daemon.count("silent.length") == 128, "silence to what is wrong")
        self.assertEqual(daemon.count("answered.daemon"), expected)
        self.assertEqual(len(waited), WORKERS)
        for thread, count in self.threads(daemon).items():
            self.assertGreater(count, waited[thread], "a worker has not worked")

    def test_one_worker_replies_to_multicast(self):
        """Every socket of an address gets a copy; one worker replies, and one counter rises."""
        daemon = self.start(prefix())
        member = self.server_side.socket(socket.AF_INET)
        self.addCleanup(member.close)
        self.server_side.run("ip", "route", "add", "224.0.0.0/4", "dev", "s0")
        self.client_side.run("ip", "route", "add", "224.0.0.0/4", "dev", "c0")
        member.setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            socket.inet_aton(GROUP) + socket.inet_aton(SERVER),
        )
        client = self.client(self.client_side)
        client.send(icp.query(HIT, 5), GROUP)
        self.assertEqual(client.receive(), (icp.answer("hit", HIT, 5), SERVER))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.send(icp.query(HIT, 6), "10.1.0.255")
        for _ in range(8):
            another = self.client(self.client_side)
            self.assertEqual(another.ask(HIT, SERVER), "hit")
        until(lambda: daemon.count("silent.broadcast"), "silence to the broadcast")
        self.assertEqual(daemon.counts("silent.broadcast", "answered.daemon"), (1, 9))
        client.socket.setblocking(False)
        self.assertRaises(BlockingIOError, client.socket.recv, 65536)

    def test_a_second_daemon_is_refused(self):
        self.start(prefix())
        second = self.responder(prefix(), settings=f"workers = {WORKERS}")
        second.launch()
        self.assertEqual(second.wait(), 1)
        self.assertIn("another process has it", second.log.read_text())

    def test_reloads_under_flood(self):
        """Each reply follows the old or the new chain; after the reload, the new one."""
        many = "".join(f"http://{i}.example.com/\thit\n" for i in range(30_000))
        path = self.file("many", many)
        big = f'policy "90" {{ kind = "prefix" file = "{path}" }}'
        daemon = self.start(prefix("hit") + big)
        flood = self.flood(SERVER, ENDLESS, [f"{HIT}\thit,denied", f"{MISS}\tmiss"])
        for verdict in ("denied", "hit") * 5:
            daemon.reload(prefix(verdict) + big)
            self.assert_flooded(self.flood(SERVER, 1000, [f"{HIT}\t{verdict}"]), 1000)
        answered = self.end_flood(flood)["answered"]
        self.assertEqual(daemon.count("answered.daemon"), answered + 10 * 1000)

    def test_policies_rules_and_drains_under_flood(self):
        daemon = self.start(prefix())
        flood = self.flood(
            SERVER, ENDLESS, [f"{HIT}\thit,denied,err,miss_nofetch", f"{MISS}\tmiss,miss_nofetch"]
        )
        policy = ("kind=prefix", "verdict=denied", "url=http://hit.")
        for _ in range(3):
            for words, verdict in (
                (("policy", "add", "40", *policy), "denied"),
                (("rules", "add", "http://hit.", "err"), "err"),
                (("drain",), "miss_nofetch"),
                (("undrain",), "err"),
                (("rules", "del", "http://hit."), "denied"),
                (("policy", "remove", "40"), "hit"),
            ):
                daemon.icpctl(*words)
                self.assert_flooded(self.flood(SERVER, 500, [f"{HIT}\t{verdict}"]), 500)
        self.end_flood(flood)

    def test_a_gate_under_flood(self):
        flag = self.files / "flag"
        gate = f'policy "40" {{ kind = "flag" verdict = "denied" path = "{flag}" }}'
        daemon = self.start(gate + prefix())
        flood = self.flood(SERVER, ENDLESS, [f"{HIT}\thit,denied"])
        for verdict in ("denied", "hit") * 5:
            flag.touch() if verdict == "denied" else flag.unlink()
            until(
                lambda: daemon.checked(HIT) == f"ICP_OP_{verdict.upper()}",
                "the daemon to notice",
            )
            self.assert_flooded(self.flood(SERVER, 500, [f"{HIT}\t{verdict}"]), 500)
        self.end_flood(flood)

    def changes(self, daemon, before=""):
        """
        All changes that affect replies of workers: the change, and the verdict on HIT afterwards,
        which is `hit` at first. `before` comes before the policies that are added and removed.
        """
        flag = self.files / "flag"
        gate = f'policy "10" {{ kind = "flag" verdict = "denied" path = "{flag}" }}'
        policy = ("policy", "add", "40", "kind=prefix", "url=http://hit.")

        def reload(verdict):
            daemon.reload(gate + before + prefix(verdict))

        def flip(change, verdict):
            change()
            until(
                lambda: daemon.checked(HIT) == f"ICP_OP_{verdict.upper()}",
                "the daemon to notice",
            )

        reload("hit")
        return (
            (lambda: reload("miss_nofetch"), "miss_nofetch"),
            (lambda: daemon.icpctl(*policy, "verdict=denied"), "denied"),
            (lambda: daemon.icpctl(*policy, "verdict=err"), "err"),
            (lambda: flip(flag.touch, "denied"), "denied"),
            (lambda: flip(flag.unlink, "err"), "err"),
            (lambda: daemon.icpctl("policy", "remove", "40"), "miss_nofetch"),
            (lambda: daemon.icpctl("rules", "add", "http://hit.", "err"), "err"),
            (lambda: daemon.icpctl("drain", "--verdict", "denied"), "denied"),
            (lambda: daemon.icpctl("undrain"), "err"),
            (lambda: daemon.icpctl("rules", "del", "http://hit."), "miss_nofetch"),
            (lambda: reload("hit"), "hit"),
        )

    def client_of_each(self, daemon):
        """A client for each worker: the source port selects the worker."""
        self.await_workers(daemon)
        clients = {}
        while len(clients) < WORKERS:
            client = self.client(self.client_side)
            waited = self.threads(daemon)
            client.ask(HIT, SERVER)
            worker = until(
                lambda: [t for t, count in self.threads(daemon).items() if count > waited[t]],
                "who has answered to wait again",
            )
            clients.setdefault(worker[0], client)
        return clients.values()

    def test_changes_reach_every_worker(self):
        daemon = self.start(prefix())
        clients = self.client_of_each(daemon)
        for change, verdict in self.changes(daemon):
            change()
            for client in clients:
                self.assertEqual(client.ask(HIT, SERVER), verdict)

    def processor_time(self, daemon):
        """CPU time of all threads but the main one, in ticks."""
        return sum(
            sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))
            for stat in pathlib.Path(f"/proc/{daemon.process.pid}/task").glob("*/stat")
            if stat.parent.name != str(daemon.process.pid)
        )

    def sent(self):
        """Number of datagrams sent in the server's namespace."""
        names, values = (
            line.split()
            for line in self.server_side.run("cat", "/proc/self/net/snmp").stdout.splitlines()
            if line.startswith("Udp:")
        )
        return int(values[names.index("OutDatagrams")])

    def test_changes_wait_for_queries_in_progress(self):
        """When a change is reported as done, no worker decides by the former state any more."""
        slow = f"{HIT}/slow{'x' * 100}"
        patterns = self.file("patterns", "(?=)slow(x+x+)+[a-w]\n" * 2000)  # each runs into its limit
        daemon = self.start(prefix())
        client = self.client(self.client_side)
        former = "hit"
        regex = f'policy "20" {{ kind = "regex" verdict = "err" file = "{patterns}" }}'
        for number, (change, verdict) in enumerate(self.changes(daemon, regex), 1):
            sent, begun = self.sent(), self.processor_time(daemon)
            client.send(icp.query(slow, number), SERVER)
            until(
                lambda: self.processor_time(daemon) > begun + 1 or self.sent() > sent,
                "a worker to be at it, or to know without the regex",
            )
            change()
            self.assertEqual(self.sent(), sent + 1)
            self.assertEqual(client.receive()[0], icp.answer(former, slow, number))
            former = verdict

    SLOW_VERDICTS = {"lua": "denied", "helper": "err"}

    def slow_policies(self):
        """A policy of each kind with `main_thread`; writes the files that its children run."""
        script = self.file(
            "check.lua",
            """
            local seen = {}
            function check(url, source)
                for i = 1, 100 do seen[i] = url .. source .. i end
                if url:find("lua") then return "denied" end
            end
            """,
        )
        helper = self.file(
            "helper",
            "#!/bin/sh\n"
            'while read -r url _; do case "$url" in *helper*) echo err;; *) echo -;; esac; done\n',
            0o755,
        )
        return {
            "lua": f'policy "30" {{ kind = "lua" file = "{script}" timeout = "10s" }}',
            "helper": f'policy "40" {{ kind = "helper" program = "{helper}" timeout = "10s" }}',
        }

    def slow_chain(self, *kinds):
        """These policies, with others for any thread before and after them."""
        policies = self.slow_policies()
        return f"""
            policy "10" {{ kind = "regex" verdict = "hit" patterns = {{ 'a+b|(?=)regex', '^x(y)+$' }} }}
            policy "20" {{ kind = "glob" verdict = "miss_nofetch" pattern = "*glob*" }}
            {" ".join(policies[kind] for kind in kinds)}
            {prefix()}"""

    def test_policies_of_the_main_thread(self):
        questions = [
            "http://e.org/regex\thit",
            "http://e.org/aaaab\thit",
            "http://e.org/glob\tmiss_nofetch",
            f"{HIT}\thit",
            f"{MISS}\tmiss",
        ]
        for kinds in (("lua",), ("helper",), ("lua", "helper")):
            daemon = self.start(self.slow_chain(*kinds))
            all_questions = questions + [
                f"http://e.org/{kind}\t{self.SLOW_VERDICTS[kind]}" for kind in kinds
            ]
            count = (200 if BUILD.name == "sanitized" else 1000) * len(all_questions)
            for address in (SERVER, SERVER6):
                self.assert_flooded(self.flood(address, count, all_questions), count)
            self.assertEqual(
                daemon.counts("answered.daemon", "failed.pending", "failed.limit"),
                (2 * count, 0, 0),
            )
            daemon.stop()

    def all_is_read(self, daemon):
        """All sockets are empty, and every worker sleeps."""
        process = pathlib.Path(f"/proc/{daemon.process.pid}")
        sockets = [line.split() for line in (process / "net/udp").read_text().splitlines()[1:]]
        return all(
            fields[4].endswith(":00000000") for fields in sockets if fields[1].endswith(":0C3A")
        ) and all(
            (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
            for task in (process / "task").iterdir()
            if task.name != str(daemon.process.pid)
        )

    def test_dropped_queries_are_counted(self):
        """While the main thread is blocked, the queue for it is limited in bytes."""
        settings = f'workers = {WORKERS} metrics = "127.0.0.1:9130"'
        daemon = self.start(self.slow_chain("lua"), settings=settings)
        client = self.client(self.client_side)
        for length in (20, 8000):
            url = "http://e.org/lua".ljust(length, "x")
            answered, failed = daemon.counts("answered.daemon", "failed.pending")
            sent = 2 * LEFT_BYTES_MAX // (length + 400)
            with daemon.held():
                for number in range(1, sent + 1):
                    client.send(icp.query(url, number), SERVER)
                    if number % 64 == 0:  # the socket buffers have a limit too
                        until(lambda: self.all_is_read(daemon), "the workers to have read all")
                until(lambda: self.all_is_read(daemon), "the workers to have read all")

            def counts():
                now = daemon.counts("answered.daemon", "failed.pending")
                return now[0] - answered, now[1] - failed

            until(lambda: sum(counts()) == sent, "each to be answered or counted")
            answered, failed = counts()
            self.assertLess(answered * (length + 24), LEFT_BYTES_MAX)
            self.assertGreater(answered * (length + 800), LEFT_BYTES_MAX)
            self.assertEqual(self.ask(url), "denied")
            client.close()
            client = self.client(self.client_side)
        latency, answered = daemon.counts("latency", "answered.daemon")
        self.assertEqual(sum(one["replies"] for one in latency), answered)

    def test_gates_while_the_main_thread_is_blocked(self):
        """Workers rely on gates for the time of the lease, then pass queries to the main thread."""
        flag = self.files / "flag"
        gate = f'policy "40" {{ kind = "flag" verdict = "denied" path = "{flag}" }}'
        before = 'policy "30" { kind = "prefix" verdict = "hit" url = "http://e.org/" }'
        daemon = self.start(gate + before + prefix(), lease="200ms")
        client = self.client(self.client_side)
        for change, verdict in ((flag.touch, "denied"), (flag.unlink, "hit")):
            with daemon.held():
                change()
                time.sleep(0.5)
                client.send(icp.query(HIT, 1), SERVER)
                until(lambda: self.all_is_read(daemon), "a worker to have read it")
                # Policies before the gate still decide.
                self.assertEqual(client.ask("http://e.org/", SERVER), "hit")
            self.assertEqual(client.receive()[0], icp.answer(verdict, HIT, 1))
        daemon.stop()
        # Until the lease expires they need no main thread.
        daemon = self.start(gate + before + prefix())
        with daemon.held():
            flag.touch()
            self.assertEqual(client.ask(HIT, SERVER), "hit")

    def test_exit_under_flood(self):
        """Received queries get their replies before the daemon exits."""
        daemon = self.start(self.slow_chain("lua"))
        client = self.client(self.client_side)
        flood = self.flood(SERVER, ENDLESS, ["http://e.org/regex\thit", "http://e.org/lua\tdenied"])
        for _ in range(20):
            self.assertEqual(client.ask(HIT, SERVER), "hit")
        daemon.stop()
        flood.kill()
        flood.wait()


class BesideTheKernel(Workers):
    mode = "native"
    sanitized = False

    def test_decisions_of_workers_are_remembered_for_their_chain(self):
        """After a reload the kernel has no remembered decision of the former chain."""

        def regex(verdict):
            return f'policy "50" {{ kind = "regex" verdict = "{verdict}" pattern = "(?=)hit" }}'

        urls = [f"http://hit.example.com/{i}" for i in range(300)]
        daemon = self.start(regex("hit"))
        flood = self.flood(SERVER, ENDLESS, [f"{url}\thit,denied" for url in urls])
        for verdict in ("denied", "hit") * 5:
            daemon.reload(regex(verdict))
            questions = [f"{url}\t{verdict}" for url in urls]
            for _ in range(2):
                self.assert_flooded(self.flood(SERVER, 3000, questions), 3000)
        outcome = self.end_flood(flood)
        kernel, own = daemon.counts("answered.kernel", "answered.daemon")
        self.assertEqual(kernel + own, outcome["answered"] + 20 * 3000)
        self.assertGreater(kernel, 0)
        self.assertGreater(own, 0)


if __name__ == "__main__":
    main()
