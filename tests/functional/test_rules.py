#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's rules, by bpftool or icpctl: they apply from the next query on."""

import os
import shlex
import socket

import icp
from daemon import ForgedSocketServer, Request
from lab import main
from net import until
from wire import DENIED, ENDLESS, HIT, MISS, SERVER, SERVER6, Wire

HOST = "http://hit.example.com/"
RULES = 50000  # many steps


class Rules:
    """Tests with BPF and without; `self.ask` asks daemon_here."""

    sanitized = True
    about_icpctl = True
    too_many = (  # when three others are there
        ("POST", (HOST, "http://0.example.com/"), "4 rules"),
        ("PUT", "abcd", "4 rules"),
    )

    def setUp(self):
        super().setUp()
        self.start()

    def start(self, **settings):
        self.daemon_here = self.responder(**settings).start()

    def restart(self, **settings):
        self.daemon_here.stop()
        if self.xdp:
            self.load("--unload", "s0")  # a map keeps the size with which it was created
        self.start(**settings)

    def rules(self):
        return dict(
            line.split("\t")
            for line in self.daemon_here.icpctl("rules", "list").stdout.splitlines()
        )

    def test_rule_precedes_the_chain(self):
        self.daemon_here.icpctl("rules", "add", HOST, "denied")
        self.assertEqual(self.ask(HIT), "denied")
        self.daemon_here.icpctl("rules", "add", HOST, "err")  # replaces the former
        self.assertEqual(self.ask(HIT), "err")
        self.daemon_here.icpctl("rules", "del", HOST)
        self.assertEqual(self.ask(HIT), "hit")

    def test_the_longest_rule_decides(self):
        for prefix, verdict in (
            ("http://", "denied"),
            (HOST, "miss_nofetch"),
            (HOST + "x/y", "miss"),
        ):
            self.daemon_here.icpctl("rules", "add", prefix, verdict)
        self.assertEqual(self.ask(MISS), "denied")
        self.assertEqual(self.ask(HOST + "x/"), "miss_nofetch")
        self.assertEqual(self.ask(HOST + "x/yz"), "miss")

    def test_check_names_the_rule(self):
        """The longest one decides, whatever the verdicts of its prefixes."""
        rules = ["", "http://", HOST, HOST + "x", HOST + "x/y", "http://z.example.com/"]
        rules += [f"http://{number}.example.com/" for number in range(600)]  # several slices
        path = self.directory() / "rules"
        path.write_text("".join(f"{rule}\tdenied\n" for rule in rules))
        self.daemon_here.icpctl("rules", "load", path)
        urls = [HIT, MISS, HOST, HOST + "x/yz", "http:/", "ftp://e.org/", "z", DENIED]
        urls += [f"http://{number}.example.com/x" for number in range(0, 700, 70)]
        results = self.daemon_here.ask_control("POST", "/v1/check", {"urls": urls})["results"]
        for url, result in zip(urls, results, strict=True):
            longest = max((rule for rule in rules if url.startswith(rule)), key=len)
            self.assertEqual((result["url"], result["rule"]), (url, longest))

    def test_a_rule_for_everything(self):
        self.daemon_here.icpctl("rules", "add", "", "hit")
        self.assertEqual([self.ask(DENIED), self.ask(MISS)], ["hit", "hit"])

    def test_list_prints_what_load_reads(self):
        for prefix, verdict in ((HOST, "denied"), ("http://b.example.com/", "hit")):
            self.daemon_here.icpctl("rules", "add", prefix, verdict)
        printed = self.daemon_here.icpctl("rules", "list").stdout
        for prefix in self.rules():
            self.daemon_here.icpctl("rules", "del", prefix)
        self.assertEqual(self.rules(), {})
        self.assertEqual(self.ask(HIT), "hit")
        path = self.directory() / "rules"
        path.write_text(printed)
        self.daemon_here.icpctl("rules", "load", path)
        self.assertEqual(self.daemon_here.icpctl("rules", "list").stdout, printed)
        self.assertEqual(self.ask(HIT), "denied")

    def test_reload_keeps_rules(self):
        self.daemon_here.icpctl("rules", "add", HOST, "denied")
        before = self.rules()
        self.daemon_here.reload("")
        self.assertEqual(self.rules(), before)
        self.assertEqual([self.ask(HIT), self.ask(MISS)], ["denied", "miss"])

    def test_invalid_rules_are_refused(self):
        for words in (("add", HOST, "perhaps"), ("add", "x" * 300, "hit"), ("del", HOST)):
            with self.subTest(words):
                done = self.daemon_here.icpctl("rules", *words, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertTrue(done.stderr.strip())
        self.assertEqual(self.rules(), {})
        self.assertEqual(self.ask(HIT), "hit")

    def test_a_full_map_is_an_error_that_names_the_limit(self):
        self.restart(settings="rules_max = 3")
        for n in range(3):
            self.daemon_here.icpctl("rules", "add", f"http://{n}.example.com/", "denied")
        for prefix in (HOST, "http://2.example.com/longer"):
            done = self.daemon_here.icpctl("rules", "add", prefix, "denied", check=False)
            self.assertEqual(done.returncode, 3)
            self.assertIn("rules_max", done.stderr)
            self.assertIn("3", done.stderr)
        self.assertEqual(len(self.rules()), 3)
        self.assertEqual([self.ask(HIT), self.ask("http://2.example.com/")], ["hit", "denied"])
        # Of many rules, all are refused, also those that there would be room for.
        full = self.rules()
        for method, prefixes, told in self.too_many:
            rules = [{"prefix": prefix, "verdict": "hit"} for prefix in prefixes]
            status, reply = self.daemon_here.request(method, "/v1/rules", {"rules": rules})
            self.assertEqual(status, 409)
            self.assertIn(told, reply["error"])
        self.assertEqual(self.rules(), full)
        # In a full map, entries can still be changed.
        self.daemon_here.icpctl("rules", "add", "http://2.example.com/", "hit")
        self.assertEqual(self.ask("http://2.example.com/"), "hit")


class Userspace(Rules, Wire):
    """The daemon's own copy of the rules."""

    xdp = False
    mode = "off"


class Kernel(Rules, Wire):
    """The pinned map."""

    mode = "native"
    # Prefixes of one family are in the map together while they are exchanged.
    too_many = (*Rules.too_many, ("PUT", ("http:", HOST), "same time"))

    def key(self, prefix, *verdict):
        """The lines that `rules key` prints, by command: update, delete."""
        lines = self.daemon_here.icpctl("rules", "key", prefix, *verdict).stdout.splitlines()
        commands = [shlex.split(line) for line in lines if line and not line.startswith("#")]
        return {command[command.index("map") + 1]: command for command in commands}

    def bpftool(self, *words):
        return self.server_side.run(*words).stdout

    def asks(self, url, address=SERVER):
        """The verdicts of the kernel, and of the daemon on a query that the kernel passes up."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        number = 0x0BADCAFE
        # The kernel passes up IPv4 packets with options.
        if family == socket.AF_INET:
            client = self.client(self.client_side)
            client.socket.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01" * 4)
        else:
            client = self.client(self.client_side, family)
            client.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, b"\0\0\1\4\0\0\0\0")
        before = self.daemon_here.counts("answered.kernel", "answered.daemon")
        verdicts = (
            self.ask(url, address),
            icp.verdict_of(client.exchange(icp.query(url, number), address)),
        )
        after = self.daemon_here.counts("answered.kernel", "answered.daemon")
        self.assertEqual(after, (before[0] + 1, before[1] + 1))
        return verdicts

    def test_bpftool_changes_the_next_reply(self):
        lines = self.key(HOST, "denied")
        for address in (SERVER, SERVER6):
            self.assertEqual(self.asks(HIT, address), ("hit", "hit"))
            self.bpftool(*lines["update"])
            self.assertEqual(self.asks(HIT, address), ("denied", "denied"))
            self.bpftool(*lines["delete"])
            self.assertEqual(self.asks(HIT, address), ("hit", "hit"))

    def test_key_gets_the_path_of_the_map_from_the_daemon(self):
        lines = self.daemon_here.icpctl("rules", "key", HOST, "denied").stdout
        self.assertEqual(lines.count(f" pinned {self.pins}/rules "), 2)
        elsewhere = self.daemon_here.icpctl("rules", "-p", "/else/where", "key", HOST).stdout
        self.assertEqual(elsewhere.count(" pinned /else/where/rules "), 2)
        self.daemon_here.stop()
        lines = self.daemon_here.icpctl("rules", "key", HOST, "denied").stdout
        self.assertEqual(lines.count(" pinned /sys/fs/bpf/xdp-icp/rules "), 2)

    def test_key_quotes_for_the_shell(self):
        """The control socket may be forged, and root runs the printed lines in a shell."""
        for pin_dir in ("/x; id > p; :", "/x$(id)", "/x/../y", "relative", "/x\x1b[2J", "/x.y"):
            with self.subTest(pin_dir):
                path = self.directory() / "socket"
                with ForgedSocketServer(path, {"pin_dir": pin_dir}):
                    done = self.daemon_here.icpctl(
                        "-S", path, "rules", "key", HOST, "denied", check=False
                    )
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn("name a directory in a bpffs", done.stderr)
                self.assertNotIn("\x1b", done.stderr)

    def test_rules_survive_a_reload_of_the_program(self):
        """Unload and load again while the daemon runs: it still has the same maps open."""
        self.bpftool(*self.key("http://kept.example.com/", "denied")["update"])
        self.load("--unload", "s0")
        until(lambda: self.daemon_here.count("mode") == "userspace", "the daemon to see it")
        self.assert_answered_by(self.daemon_here, "daemon", "hit", HIT)
        self.load("--mode", self.mode, "s0")
        until(
            lambda: self.is_answered_by_kernel(self.daemon_here, "hit", HIT),
            "the kernel to answer again",
        )
        lines = self.key(HOST, "miss_nofetch")
        self.bpftool(*lines["update"])
        for address in (SERVER, SERVER6):
            self.assertEqual(self.asks(HIT, address), ("miss_nofetch", "miss_nofetch"))
            self.assertEqual(
                self.asks("http://kept.example.com/x", address), ("denied", "denied")
            )
        self.bpftool(*lines["delete"])
        self.assertEqual(self.asks(HIT), ("hit", "hit"))

    def test_last_unload_removes_the_pins(self):
        self.load("--unload", "s0")
        self.assertTrue(os.listdir(self.pins))
        self.daemon_here.icpctl("rules", "add", HOST, "denied")
        self.assertEqual(self.ask(HIT), "denied")
        self.daemon_here.stop()
        # The daemon's user may not remove the directory itself, as its parent belongs to root.
        self.assertEqual(os.listdir(self.pins), [])

    def test_a_rule_decides_in_the_kernel_what_a_regex_would(self):
        self.bpftool(*self.key("http://e.org/", "miss_nofetch")["update"])
        self.assertEqual(self.asks(DENIED), ("miss_nofetch", "miss_nofetch"))

    def test_bpftool_and_icpctl_see_the_same_map(self):
        self.bpftool(*self.key(HOST, "denied")["update"])
        self.assertEqual(self.rules(), {HOST: self.word("denied")})
        self.daemon_here.icpctl("rules", "del", HOST)
        self.assertEqual(self.asks(HIT), ("hit", "hit"))
        self.daemon_here.icpctl("rules", "add", HOST, "miss_nofetch")
        self.assertEqual(self.asks(HIT), ("miss_nofetch", "miss_nofetch"))

    def word(self, verdict):
        """The verdict as `rules list` prints it."""
        self.daemon_here.icpctl("rules", "add", "x", verdict)
        word = self.rules()["x"]
        self.daemon_here.icpctl("rules", "del", "x")
        return word

    def test_the_dump_is_readable(self):
        self.bpftool(*self.key(HOST, "denied")["update"])
        dump = self.bpftool("bpftool", "map", "dump", "pinned", f"{self.pins}/rules")
        self.assertIn("ICP_OP_DENIED", dump)
        self.assertIn("prefixlen", dump)
        # bpftool prints a text in one line or several, quoted or by characters.
        letters = "".join(ch for ch in dump if ch not in "\"', \n[]")
        self.assertIn(HOST, letters)

    def test_rules_apply_after_the_daemon_is_killed(self):
        lines = self.key(HOST, "denied")
        self.daemon_here.kill()
        self.assertEqual(self.ask(HIT), "hit")
        self.bpftool(*lines["update"])
        self.assertEqual([self.ask(HIT, SERVER), self.ask(HIT, SERVER6)], ["denied", "denied"])
        self.bpftool(*lines["delete"])
        self.assertEqual(self.ask(HIT), "hit")

    def test_rules_apply_after_a_clean_exit(self):
        lines = self.key(HOST, "denied")
        self.daemon_here.stop()
        self.bpftool(*lines["update"])
        self.assertEqual([self.ask(HIT, SERVER), self.ask(HIT, SERVER6)], ["denied", "denied"])

    def test_rules_survive_the_daemon(self):
        self.daemon_here.icpctl("rules", "add", HOST, "denied")
        before = self.rules()
        self.daemon_here.stop()
        self.daemon_here.start()
        self.assertEqual(self.rules(), before)
        self.assertEqual(self.asks(HIT), ("denied", "denied"))


class Changes(Wire):
    """Changes of many rules are made as a whole, by the daemon's own table."""

    mode = "off"
    xdp = False

    def setUp(self):
        super().setUp()
        self.daemon_here = self.responder(settings=f"rules_max = {RULES}").start()

    def change(self, *words, check=True):
        return self.daemon_here.icpctl("rules", *words, check=check)

    def rules(self):
        reply = self.daemon_here.ask_control("GET", "/v1/rules")
        return {rule["prefix"]: rule["verdict"] for rule in reply["rules"]}

    def file_of(self, rules):
        path = self.directory() / "rules"
        path.write_text("".join(f"{prefix}\t{verdict}\n" for prefix, verdict in rules.items()))
        return path

    def test_a_file_with_a_byte_order_mark(self):
        done = self.change("load", self.file_of({"\ufeffhttp://a/": "hit"}), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(":1: a byte order mark; save the file", done.stderr)

    def test_load_del_replace_flush(self):
        """More rules than one step writes."""
        many = {f"http://{n}.example.com/": "ICP_OP_HIT" for n in range(600)}
        rest = dict(list(many.items())[300:])
        self.assertEqual(self.change("load", self.file_of(many)).stdout, "600 rules loaded\n")
        self.assertEqual(self.rules(), many)
        done = self.change("del", *list(many)[:300], "http://none/", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("there is no rule 'http://none/'", done.stderr)
        self.assertEqual(self.rules(), many)
        self.change("del", *list(many)[:300])
        self.assertEqual(self.rules(), rest)
        others = {HOST: "ICP_OP_DENIED"} | dict(list(rest.items())[1:])
        done = self.change("replace", self.file_of(others))
        self.assertEqual(done.stdout, "300 rules loaded, 1 rule removed\n")
        self.assertEqual(self.rules(), others)
        self.assertEqual(self.ask(HIT), "denied")
        self.assertEqual(self.change("flush").stdout, "300 rules removed\n")
        self.assertEqual(self.rules(), {})
        self.assertEqual(self.ask(HIT), "hit")


class ManyRules(Wire):
    """The time of a change is nearly linear in its size: otherwise this many would take minutes."""

    mode = "off"
    xdp = False
    COUNT = 200_000

    def test_load_replace(self):
        daemon = self.responder(settings=f"rules_max = {self.COUNT}").start()
        path = self.directory() / "rules"
        path.write_text("".join(f"http://{n}.e.org/\thit\n" for n in range(self.COUNT)))
        last = f"http://{self.COUNT - 1}.e.org/"
        self.assertEqual(self.ask(last), "miss")
        daemon.icpctl("rules", "load", path)
        self.assertEqual(self.ask(last), "hit")
        path.write_text("".join(f"http://{n}.e.org/x\tdenied\n" for n in range(self.COUNT)))
        daemon.icpctl("rules", "replace", path)
        self.assertEqual([self.ask(last), self.ask(f"{last}x")], ["miss", "denied"])
        until(lambda: daemon.count("rules") == self.COUNT, "the count")


class ChangesInTheKernel(Changes):
    mode = "native"
    xdp = True

    def test_no_query_sees_half_a_change(self):
        """The verdict is the former or the next, although other rules match in between."""
        padding = {f"http://{n}.example.com/": "hit" for n in range(300)}
        tables = (
            ("denied", {"http": "miss", "http://hit.": "denied", HOST + "y": "err"}),
            ("hit", padding | {"http://": "miss", HOST: "hit"}),
        )
        flood = self.flood(SERVER, ENDLESS, [f"{HIT}\thit,denied"])
        for verdict, table in tables * 5:
            rules = [{"prefix": prefix, "verdict": verdict} for prefix, verdict in table.items()]
            self.daemon_here.ask_control("PUT", "/v1/rules", {"rules": rules})
            self.assertEqual(self.ask(HIT), verdict)
        self.end_flood(flood)

    def test_the_daemon_ends_within_a_change(self):
        """A change that has begun to write is completed, even if its client is gone."""
        rules = [{"prefix": f"http://{n}/", "verdict": "hit"} for n in range(RULES)]
        request = Request(self.daemon_here.control, "POST", "/v1/rules", {"rules": rules})
        until(lambda: self.running_change()["written"], "the first rules")
        request.socket.close()
        until(lambda: not self.running_change()["runs"], "the last rules")
        self.assertEqual(self.change("flush").stdout, f"{RULES} rules removed\n")

        request = Request(self.daemon_here.control, "POST", "/v1/rules", {"rules": rules})
        until(lambda: self.running_change()["runs"], "the change")
        waits = Request(self.daemon_here.control, "PUT", "/v1/rules", {"rules": []})
        until(lambda: self.running_change()["written"], "the first rules")
        for _ in range(2):  # then it has been received
            self.daemon_here.status()
        self.daemon_here.stop()
        self.assertEqual(request.reply(), (200, {"loaded": RULES, "removed": 0}))
        refused = "the daemon is ending, nothing is changed"
        self.assertEqual(waits.reply(), (409, {"error": refused}))
        listed = self.change("-p", self.pins, "list").stdout
        self.assertEqual(listed.count("\n"), RULES)

    def running_change(self):
        return self.daemon_here.ask_control("GET", "/v1/rules/change")

    def test_without_a_daemon(self):
        self.daemon_here.stop()

        def change(*words):
            return self.change("-p", self.pins, *words).stdout

        rules = self.file_of({HOST: "err", "http://a/": "hit"})
        self.assertEqual(change("load", rules), "2 rules loaded\n")
        self.assertEqual(self.ask(HIT), "err")
        self.assertEqual(
            change("replace", self.file_of({"http://b/": "hit"})),
            "1 rule loaded, 2 rules removed\n",
        )
        self.assertEqual(change("list"), "http://b/\tICP_OP_HIT\n")
        self.assertEqual(change("flush"), "1 rule removed\n")
        self.assertEqual(change("list"), "")


if __name__ == "__main__":
    main()
