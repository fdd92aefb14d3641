#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Whatever replies, the reply is the one of the full chain: random chains and queries beside an
evaluator of its own (tests/fidelity). The many are compared within one process; some go through a
daemon, over a wire, while the chain changes by reloads and registrations, the rules by icpctl and
bpftool, and the gates by files.

`make fidelity` has more of it. XDP_ICP_FIDELITY_WIRE is how many scripts go over the wire,
XDP_ICP_FIDELITY_SEED the seed of the first.
"""

import json
import os
import random
import select
import shlex
import shutil
import socket
import subprocess
import sys
import time

import icp
import net
from daemon import BUILD, ROOT, percent
from lab import Lab, main
from net import until
from wire import CLIENT, CLIENT6, SERVER, SERVER6, Wire

sys.path.insert(0, str(ROOT / "tests/fidelity"))
import steps as script  # noqa: E402

PROGRAM = BUILD / "tests/fidelity"
CASES = ROOT / "tests/fidelity/cases"
SANITIZED = BUILD.name == "sanitized"
COMPARISONS = 50000 if SANITIZED else 500000
SCRIPTS = int(os.environ.get("XDP_ICP_FIDELITY_WIRE", "2" if SANITIZED else "6"))
SEED = int(os.environ.get("XDP_ICP_FIDELITY_SEED", "1"))
SKIPPED = 77
TRIES = 150  # to make a script shorter


class InOneProcess(Lab):
    xdp = True
    sanitized = True

    def test_random_chains(self):
        words = (PROGRAM, "-n", COMPARISONS, "-s", SEED, "-k", CASES)
        done = subprocess.run(
            [str(word) for word in (*words, *sorted(CASES.glob("*.case")))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(self.directory())},
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode == SKIPPED:
            self.skipTest(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stdout)


class Wrong(Exception):
    """A reply differs from what is expected."""


class Flight:
    """A query and its result."""

    def __init__(self, test, asking, url, wants_cost):
        test.number += 1
        self.socket, self.url, self.number = asking, url, test.number
        self.options = icp.FLAG_SRC_RTT if wants_cost else 0
        self.question = None  # the file of the question that a helper has to reply to
        self.reply = None

    def send(self):
        self.socket.send(icp.query(self.url, self.number, options=self.options))

    def has_reply(self):
        return bool(select.select([self.socket], [], [], 0)[0])

    def receive(self):
        try:
            self.reply = self.socket.recv(65536)
        except TimeoutError:
            raise Wrong("no reply") from None

    def leave(self, how):
        self.question.rename(f"{self.question}.{how}")

    def right(self, expected):
        told = expected["cost"] >= 0
        return icp.answer(
            expected["verdict"],
            self.url,
            self.number,
            options=icp.FLAG_SRC_RTT if told else 0,
            option_data=expected["cost"] if told else 0,
        )

    def compare(self, expectations, by):
        right = [self.right(expected) for expected in expectations]
        if self.reply not in right:
            shown = " or ".join(reply[:20].hex() for reply in right)
            raise Wrong(f"the {by} answers {self.reply[:20].hex()}, right is {shown}")


class OverTheWire(Wire):
    sanitized = True

    def setUp(self):
        super().setUp()
        self.directory_of_files = self.directory()
        os.chmod(self.directory_of_files, 0o755)
        shutil.copy(BUILD / "tests/voice", self.directory_of_files)
        shutil.copy(BUILD / "tests/plugins/voice.so", self.directory_of_files)
        self.questions = self.directory_of_files / "questions"
        self.questions.mkdir()
        self.hold = self.questions / "hold"
        self.feeds = self.directory_of_files / "feeds"
        self.feeds.mkdir()
        for directory in (self.questions, self.feeds):
            os.chmod(directory, 0o777)  # helpers and the daemon run as another user
        self.feeder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.feeder.close)
        self.responding = self.responder("").start()
        self.known = {CLIENT, CLIENT6}
        self.sockets = {}
        self.answers = 0
        for family, route in (("-4", "10.0.0.0/8"), ("-6", "2001:db8::/32")):
            self.server_side.run("ip", family, "route", "add", route, "dev", "s0")

    def control(self, *words):
        status, reply = self.responding.request(*words)
        if status != 200:
            raise Wrong(f"{words} is refused: {status}, {reply}")
        return reply

    def delete_rule(self, escaped):
        self.control("DELETE", f"/v1/rules?prefix={percent(escaped)}")

    def counts(self):
        status = self.control("GET", "/v1/status")
        answered = status["answered"]
        return answered["kernel"], answered["daemon"], status["passed"]["offload"]

    def new_socket(self, address):
        """A socket bound to an address, which is added to the client's namespace."""
        six = ":" in address
        if address not in self.known:
            self.client_side.add_address("c0", f"{address}/{128 if six else 32}")
            self.known.add(address)
        made = self.client_side.socket(socket.AF_INET6 if six else socket.AF_INET)
        self.addCleanup(made.close)
        made.settimeout(net.PATIENCE)
        made.bind((address, 0))
        made.connect((SERVER6 if six else SERVER, icp.PORT))
        return made

    def asking_from(self, address):
        if address not in self.sockets:
            self.sockets[address] = self.new_socket(address)
        return self.sockets[address]

    # --- one script

    def begin(self, seed):
        self.random = random.Random(seed)
        self.policies, self.default = {}, "miss"
        self.rules, self.drain = {}, None
        self.reload_with_all()
        for prefix in [rule["prefix"] for rule in self.control("GET", "/v1/rules")["rules"]]:
            self.delete_rule(prefix)
        self.control("DELETE", "/v1/drain")
        for path in self.directory_of_files.glob("flag-*"):
            path.unlink()
        self.changed = set()
        self.number = 0
        self.flights = []

    def end(self):
        """Complete all queries in flight."""
        for flight in self.flights:
            if flight.question:
                flight.leave("go")
                flight.receive()
        for path in [*self.questions.iterdir(), *self.directory_of_files.glob("*.words")]:
            path.unlink()

    def settings(self, name):
        place = sorted(self.policies).index(name)
        path = self.directory_of_files / f"{place}-{self.random.randrange(1 << 30)}.list"
        pairs = self.policies[name].settings(path, self.directory_of_files / "flag-x")
        if self.policies[name].kind == "recent":
            pairs.append((b"feed", bytes(self.feed(name))))
        return pairs

    def feed(self, name):
        return self.feeds / name.hex()

    def reload_with_all(self):
        """Write the configuration, and reload it in one of two ways."""
        for path in self.directory_of_files.glob("*.list"):
            path.unlink()
        sections = b"".join(
            script.section(name, self.flag_path(self.settings(name))) for name in self.policies
        )
        self.responding.configure(f"default = {self.default}\n{os.fsdecode(sections)}")
        if self.random.randrange(2):
            self.control("POST", "/v1/reload")
        else:
            before = self.control("GET", "/v1/status")["reloads"]
            self.responding.hang_up()
            until(lambda: self.control("GET", "/v1/status")["reloads"] > before, "the reload")

    def flag_path(self, pairs):
        """All flags are in one directory: flag-a, not flag-x/a."""
        return [
            (key, value.replace(b"/flag-x/", b"/flag-") if key == b"path" else value)
            for key, value in pairs
        ]

    def register(self, name):
        words = [key + b"=" + value for key, value in self.flag_path(self.settings(name))]
        self.responding.icpctl("policy", "add", os.fsdecode(name), *map(os.fsdecode, words))

    def follow_chain(self):
        """Apply changes of the chain to the daemon: all at once, or one by one."""
        if not self.changed:
            return
        present = {policy["name"] for policy in self.control("GET", "/v1/policies")["policies"]}
        # None: the default. What came and went makes another chain as well, which forgets.
        singly = all(
            name in self.policies or (name and script.escape(name) in present)
            for name in self.changed
        )
        # Queries in flight must not see a helper's change: a reload gives helpers new files.
        if not singly or self.flights or self.random.randrange(3) == 0:
            self.reload_with_all()
        else:
            for name in sorted(self.changed):
                if name in self.policies:
                    self.register(name)
                else:
                    self.responding.icpctl("policy", "remove", os.fsdecode(name))
        self.changed.clear()

    def by_bpftool(self, prefix, action, verdict="hit"):
        """The line that icpctl prints; with another value, it makes a rule without a verdict."""
        words = ("rules", "key", script.escape(prefix), "hit" if verdict == "none" else verdict)
        printed = self.responding.icpctl(*words).stdout.splitlines()
        line = next(line for line in printed if line.startswith(f"bpftool map {action} "))
        if verdict == "none":
            head, _, _ = line.rpartition(" value hex ")
            line = f"{head} value hex 4d 00 00 00"
        self.server_side.run(*shlex.split(line))

    def put_rule(self, prefix, verdict):
        if verdict == "none" or self.random.randrange(2):
            self.by_bpftool(prefix, "update", verdict)
        else:
            rule = {"prefix": script.escape(prefix), "verdict": verdict}
            self.control("POST", "/v1/rules", {"rules": [rule]})
        self.rules[prefix] = verdict

    def remove_rule(self, prefix):
        if prefix not in self.rules:
            return
        if self.random.randrange(2):
            self.by_bpftool(prefix, "delete")
        else:
            self.delete_rule(script.escape(prefix))
        del self.rules[prefix]

    def set_flag(self, name, on):
        path = self.directory_of_files / f"flag-{name.decode()}"
        if on:
            path.touch()
        else:
            path.unlink(missing_ok=True)
        # The daemon reads the changed file before it reads any later query.
        self.control("GET", "/v1/status")

    def set_drain(self, verdict):
        if verdict == "off":
            self.control("DELETE", "/v1/drain")
        else:
            self.control("PUT", "/v1/drain", {"verdict": verdict})
        self.drain = verdict

    def tell_recent(self, name, url, on):
        """The policy sees a URL, or it is taken back; without one, all are."""
        policy = self.policies[name]
        if not url:
            self.responding.icpctl("recent", "flush", os.fsdecode(name))
        elif on == "off" or self.random.randrange(2):
            what = "add" if on == "on" else "del"
            self.responding.icpctl("recent", what, "--", os.fsdecode(name), script.escape(url))
        else:
            self.send_to_feed(name, url)
        if on == "on" and policy.window() < script.LONG:
            time.sleep(policy.window())

    def send_to_feed(self, name, url):
        resource = f"/v1/recent/{percent(script.escape(name))}?limit=0"
        before = self.control("GET", resource)["requests"]
        self.feeder.sendto(url, bytes(self.feed(name)))
        until(
            lambda: self.control("GET", resource)["requests"] == before + 1, "the URL to be heard"
        )

    def take(self, step):
        what, *words = step
        if what == "default":
            self.default = words[0]
            self.changed.add(None)
        elif what == "policy":
            name, *rest = words
            self.policies[name] = script.Policy.of(rest)
            self.changed.add(name)
        elif what in ("text", "line") and words[0] in self.policies:
            name, text, *rest = words
            source = script.value_after(rest, "from")
            verdict = rest[0] if rest and rest[0] != "from" else None
            self.policies[name].add(script.Entry(text, what == "line", verdict, source))
            self.changed.add(name)
        elif what == "says" and words[0] in self.policies:
            name, text, verdict, *rest = words
            if self.policies[name].kind in ("helper", "plugin"):
                self.policies[name].say(text, verdict, script.value_after(rest, "from"))
        elif what == "time":
            time.sleep(int(words[0]) / 1000)
        elif what == "remove" and words[0] in self.policies:
            del self.policies[words[0]]
            self.changed.add(words[0])
        elif what == "recent" and words[0] in self.policies:
            if self.policies[words[0]].kind == "recent":
                self.tell_recent(*words)
        elif what == "flag":
            self.set_flag(words[0], words[1] == "on")
        elif what == "rule":
            self.put_rule(*words)
        elif what == "unrule":
            self.remove_rule(words[0])
        elif what == "drain":
            self.set_drain(words[0])

    # --- a query

    def check(self, source, url, expectations):
        """Compare the decider with `icpctl check`; return who replies according to it."""
        expected = expectations[0]
        if self.random.randrange(10):
            reply = self.control(
                "POST", "/v1/check", {"source": source, "urls": [script.escape(url)]}
            )
        else:
            words = ("--json", "check", "--source", source, "--", script.escape(url))
            reply = json.loads(self.responding.icpctl(*words).stdout)
        result = reply["results"][0]
        if expected["verdict"] == "silence":
            return "daemon"  # which sends no reply
        if result.get("remembered"):  # what a query gets, whatever the policies say by now
            said = result["verdict"], result["policy"] or ""
            right = [
                (f"ICP_OP_{one['verdict'].upper()}", script.escape(one["name"]))
                for one in expectations
            ]
            if said not in right:
                raise Wrong(f"check says {said}, remembered; right is one of {right}")
            return result["by"]
        named = icp.VERDICTS[expected["verdict"]]
        if result["verdict"] != f"ICP_OP_{expected['verdict'].upper()}":
            raise Wrong(f"check says {result['verdict']}, right is {named}")
        decider = {"policy": result.get("policy"), "rule": result.get("rule")}
        right = {"policy": None, "rule": None}
        if expected["decider"] in right:
            right[expected["decider"]] = script.escape(expected["name"])
        if decider != right:
            raise Wrong(f"check names {decider}, right is {right}")
        return result["by"]

    def has_recents(self):
        return any(policy.kind == "recent" for policy in self.policies.values())

    def has_replies(self):
        return any(policy.replies() for policy in self.policies.values())

    def query(self, step, expectations):
        _, source, url, *wants_cost = step
        expected = expectations[0]
        foretold = self.check(source, url, expectations)
        if expected["kernel"] and foretold != "kernel":
            if not self.has_recents():
                raise Wrong("check says that the daemon would answer what the kernel must know")
            # What such a policy knows is copied in steps.
            until(
                lambda: self.check(source, url, expectations) == "kernel",
                "check to say that the kernel answers what it must know",
            )
            foretold = "kernel"
        before = self.counts()
        flight = Flight(self, self.asking_from(source), url, wants_cost)
        if expected["verdict"] == "silence":
            silent = self.control("GET", "/v1/status")["silent"]["drain"]
            flight.send()
            until(
                lambda: self.control("GET", "/v1/status")["silent"]["drain"] == silent + 1,
                "the query to be met by silence",
            )
            return
        flight.send()
        flight.receive()
        after = self.counts()
        by = {(1, 0): "kernel", (0, 1): "daemon"}.get((after[0] - before[0], after[1] - before[1]))
        flight.compare(expectations if by == "kernel" else expectations[:1], by)
        # A remembered decision may expire in between; and the kernel passes one query in 65536 up
        # because its checksum does not tell whether it is complete (passed.offload).
        if by != foretold and not self.has_replies() and after[2] == before[2]:
            raise Wrong(f"answered by the {by}, check had said the {foretold}")
        self.answers += 2

    def open_questions(self):
        return {path for path in self.questions.iterdir() if path.suffix == ""} - {self.hold}

    def await_question(self, flight):
        """The next question to the helper, or a reply that needed none."""
        others = {other.question for other in self.flights}
        until(
            lambda: flight.has_reply() or self.open_questions() - others,
            "a helper to be asked, or a reply",
        )
        found = self.open_questions() - others
        flight.question = found.pop() if found else None

    def begin_flight(self, step, expectations):
        _, source, url, *wants_cost = step
        if expectations[0]["decider"] != "flight":
            self.query(step, expectations)
            return
        flight = Flight(self, self.new_socket(source), url, wants_cost)
        self.hold.touch()
        flight.send()
        self.await_question(flight)
        self.hold.unlink()
        if not flight.question:  # the kernel remembers
            flight.receive()
            flight.compare(expectations, "kernel")
        self.flights.append(flight)

    def reply(self, step, expectations):
        """Let a helper reply; `expectations` if this completes the query."""
        if not self.flights:
            return
        flight = self.flights[int(step[1]) % len(self.flights)]
        if flight.question:
            if not expectations:
                self.hold.touch()
            flight.leave("lost" if step[0] == "lose" else "go")
            flight.question = None
            if not expectations:
                self.await_question(flight)
                self.hold.unlink()
                if not flight.question:
                    raise Wrong("a query in flight is answered too early")
            else:
                flight.receive()
                flight.compare(expectations, "daemon, in flight,")
                self.answers += 1
        if expectations:
            flight.socket.close()
            self.flights.remove(flight)

    def expectations(self, lines):
        """{number of a step: possible replies, the one of the daemon first}"""
        done = subprocess.run(
            [PROGRAM, "--expect"], input=b"\n".join(lines), stdout=subprocess.PIPE, check=True
        )
        found = {}
        for line in done.stdout.splitlines():
            number, verdict, cost, decider, who, name = script.parse(line)
            expected = {
                "verdict": verdict,
                "cost": int(cost),
                "decider": decider,
                "kernel": who == "kernel",
                "name": name,
            }
            found.setdefault(int(number), []).append(expected)
        return found

    def run_steps(self, lines, expectations):
        for self.step, line in enumerate(lines):
            step = script.parse(line)
            expected = expectations.get(self.step, [])
            if step[0] not in script.CHAIN_STEPS:
                self.follow_chain()
            if step[0] == "ask":
                self.query(step, expected)
            elif step[0] == "begin":
                self.begin_flight(step, expected)
            elif step[0] in ("reply", "lose"):
                self.reply(step, expected)
            else:
                self.take(step)

    def run_script(self, lines, seed):
        """None, or the number of the first line with a wrong reply, and what is wrong."""
        expectations = self.expectations(lines)
        self.step = -1
        self.begin(seed)
        try:
            self.run_steps(lines, expectations)
        except (Wrong, AssertionError) as wrong:
            return self.step, str(wrong)
        finally:
            self.end()
        return None

    def shrink(self, lines, seed):
        tries, size = TRIES, len(lines) // 2
        while size and tries:
            at = 0
            while at + size < len(lines) and tries:
                tries -= 1
                shorter = lines[:at] + lines[at + size :]
                found = self.run_script(shorter, seed)
                if found and found[0] == len(shorter) - 1:
                    lines = shorter
                else:
                    at += size
            size //= 2
        return lines

    def assert_script(self, lines, seed, keep=None):
        found = self.run_script(lines, seed)
        if not found:
            return
        at, text = found
        if keep:
            lines = self.shrink(lines[: at + 1], seed)
            text += f"\nkept as {keep}"
            keep.write_bytes(
                b"# over the wire: " + text.splitlines()[0].encode() + b"\n" + b"\n".join(lines)
                + b"\n"
            )
        self.fail(text + "\n" + b"\n".join(lines[: at + 1]).decode(errors="replace"))

    def test_the_cases(self):
        for path in sorted(CASES.glob("*.case")):
            lines = [line for line in path.read_bytes().splitlines() if script.parse(line)]
            if any(script.beyond_the_wire(line) for line in lines):
                continue
            with self.subTest(path.name):
                self.assert_script(lines, 1)

    def test_random_scripts(self):
        for seed in range(SEED, SEED + SCRIPTS):
            with self.subTest(seed=seed):
                made = subprocess.run(
                    [PROGRAM, "--generate", str(seed)], stdout=subprocess.PIPE, check=True
                )
                self.assert_script(made.stdout.splitlines(), seed, CASES / f"wire-{seed}.case")
        if "XDP_ICP_FIDELITY_WIRE" in os.environ:
            print(f"# {self.answers} comparisons over the wire, all right")


if __name__ == "__main__":
    main()
