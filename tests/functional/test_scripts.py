#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Policies in other languages: Lua, helpers, zc.icp's own Python, shared objects."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import icp
from daemon import BUILD, ROOT
from lab import main
from net import PATIENCE, children, until
from wire import SERVER, SERVER6, Wire

FOO, BAR, BAZ = (f"http://example.com/{word}" for word in ("foo", "bar", "baz"))
SLOW = "http://example.com/slow"

LUA = """
local asked = 0

function check(url, source)
    if url:find("/loop", 1, true) then
        print("loops")
        while true do pcall(function() while true do end end) end
    end
    if url:find("/count", 1, true) then
        asked = asked + 1
        return asked == 1 and "hit" or "denied"
    end
    return url:match("/foo$") and (source == "10.1.0.1" and "hit" or "miss_nofetch")
end
"""

# As in the README of zc.icp, and one more, which waits while a file exists.
ZC = """
import os
import time
import zope.component
from zc.icp.interfaces import IICPPolicy

def foo_hit_policy(url):
    if 'foo' in url:
        return 'ICP_OP_HIT'

def baz_hit_policy(url):
    if 'baz' in url:
        return 'ICP_OP_MISS_NOFETCH'

def slow_policy(url):
    if 'slow' in url:
        with open({asked!r}, 'w') as file:
            file.write(str(os.getpid()))
        while os.path.exists({gate!r}):
            time.sleep(0.01)
        return 'ICP_OP_DENIED'

zope.component.provideUtility(foo_hit_policy, IICPPolicy, 'foo')
zope.component.provideUtility(baz_hit_policy, IICPPolicy, 'baz')
zope.component.provideUtility(slow_policy, IICPPolicy, 'slow')
"""

HELPER = """#!/bin/sh
while read -r url source; do
    case $url in
    */foo) echo hit ;;
    *) echo - ;;
    esac
done
"""

MISBEHAVING = """
import os
import zope.component
from zc.icp.interfaces import IICPPolicy

def policy(url):
    if "list" in url:
        return ["ICP_OP_HIT"]
    if "reads" in url:
        os.system("cat >/dev/null")
        return None
    return "ICP_OP_HIT"

zope.component.provideUtility(policy, IICPPolicy, "1")
"""


class Scripts(Wire):
    sanitized = True

    def setUp(self):
        super().setUp()
        # A copy that the daemon's user can read, wherever the tests are.
        self.files = self.directory()

    def write(self, name, text):
        path = self.files / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def copy(self, path):
        return pathlib.Path(shutil.copy(path, self.files))

    def lua(self, settings="", text=LUA):
        return f'policy "lua" {{ kind = lua file = "{self.write("x.lua", text)}" {settings} }}'

    def zc(self, settings=""):
        self.gate, self.asked = self.files / "gate", self.files / "asked"
        self.gate.touch()
        policies = self.write("p.py", ZC.format(gate=str(self.gate), asked=str(self.asked)))
        helper = self.copy(ROOT / "scripts/zc-icp-helper.py")
        return f"""policy "zc" {{
            kind = helper timeout = 10s {settings}
            program = {{ "/usr/bin/python3", "{helper}", "{policies}" }}
        }}"""

    def asked_pid(self):
        """Id of the process that called the slow policy last; 0: none."""
        return int(self.asked.read_text() or 0) if self.asked.exists() else 0

    def plugin(self, path, settings=""):
        return f'policy "plugin" {{ kind = plugin file = "{self.copy(path)}" {settings} }}'

    # --- who replies, and what is remembered

    def test_lua_is_asked_each_time(self):
        daemon = self.responder(self.lua()).start()
        for _ in range(2):
            self.assert_answered_by(daemon, "daemon", "hit", FOO)
            self.assert_answered_by(daemon, "daemon", "miss_nofetch", FOO, SERVER6)
            self.assert_answered_by(daemon, "daemon", "miss", BAR)

    def test_lua_is_remembered_for_each_querier(self):
        daemon = self.responder(self.lua("ttl = 1h")).start()
        self.assert_answered_by(daemon, "daemon", "hit", FOO)
        self.assert_answered_by(daemon, "kernel", "hit", FOO)
        self.assert_answered_by(daemon, "daemon", "miss_nofetch", FOO, SERVER6)
        self.assert_answered_by(daemon, "kernel", "miss_nofetch", FOO, SERVER6)
        self.assert_answered_by(daemon, "daemon", "miss", BAR)
        self.assert_answered_by(daemon, "kernel", "miss", BAR)

    def test_remembered_decision_expires(self):
        self.responder(self.lua("ttl = 1s")).start()
        self.assertEqual(self.ask("http://e.org/count"), "hit")
        until(lambda: self.ask("http://e.org/count") == "denied", "the script to be asked again")

    def ask_to_loop(self, daemon):
        """The client whose query occupies a child."""
        client = self.client(self.client_side)
        client.send(icp.query("http://e.org/loop", 4711), SERVER)
        until(lambda: "x.lua: loops" in daemon.log.read_text(), "the script to be asked")
        return client

    def test_endless_script(self):
        daemon = self.responder(self.lua("ttl = 1h timeout = 300ms")).start()
        for count in (1, 2):  # it is not remembered either
            self.assert_answered_by(daemon, "daemon", "miss", "http://e.org/loop")
            self.assertEqual(daemon.count("failed.limit"), count)
        until(
            lambda: "no reply in time" in daemon.log.read_text(), "the log to tell of the children"
        )
        until(lambda: self.ask(FOO) == "hit", "another child to reply")

    def test_endless_script_delays_no_other_query(self):
        daemon = self.responder(
            self.lua("timeout = 10s") + 'policy "a" { kind = exact verdict = denied url = "a" }'
        ).start()
        waiting = self.ask_to_loop(daemon)
        for _ in range(10):
            self.assertEqual(self.ask("a"), "denied")
            self.assertEqual(self.ask(FOO), "hit")
        waiting.socket.settimeout(0)
        self.assertRaises(BlockingIOError, waiting.receive)

    def test_scripts_exit_with_the_daemon(self):
        daemon = self.responder(self.lua("timeout = 10s")).start()
        self.assertEqual(self.ask(FOO), "hit")
        children = self.children(daemon)
        self.assertEqual(len(children), 2)
        self.ask_to_loop(daemon)
        daemon.kill()
        until(
            lambda: not any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in children),
            "the children to end",
        )

    def test_a_helper_is_remembered(self):
        program = self.write("helper.sh", HELPER)
        policy = f"""policy "h" {{
            kind = helper ttl = 1h timeout = 10s program = {{ "/bin/sh", "{program}" }}
        }}"""
        daemon = self.responder(policy).start()
        for url, verdict in ((FOO, "hit"), (BAR, "miss")):
            self.assert_answered_by(daemon, "daemon", verdict, url)
            self.assert_answered_by(daemon, "kernel", verdict, url)

    def test_ttl_counts_from_the_question(self):
        """A slow policy does not extend the ttl of another policy's result."""
        quick = self.write("quick.sh", HELPER)
        slow = self.write("slow.sh", "while read -r url _; do sleep 2.5; echo denied; done\n")
        daemon = self.responder(
            f"""
            policy "1" {{ kind = helper ttl = 2s timeout = 10s program = {{ "/bin/sh", "{quick}" }} }}
            policy "2" {{ kind = helper ttl = 1h timeout = 10s program = {{ "/bin/sh", "{slow}" }} }}
            """
        ).start()
        self.assertEqual(self.ask(BAR), "denied")
        self.assert_answered_by(daemon, "daemon", "denied", BAR)

    def test_plugin_on_the_url_is_remembered_for_all_sources(self):
        policy = self.plugin(BUILD / "plugins/share.so", "arguments = { 50 }")
        daemon = self.responder(policy).start()
        verdicts = set()
        for number in range(20):
            url = f"http://e.org/{number}/x"
            verdict = self.ask(url)
            verdicts.add(verdict)
            self.assert_answered_by(daemon, "kernel", verdict, url)
            self.assert_answered_by(daemon, "kernel", verdict, url, SERVER6)
        self.assertEqual(verdicts, {"hit", "miss"})

    def test_plugin_on_the_source_is_remembered_per_source(self):
        daemon = self.responder(self.plugin(BUILD / "tests/plugins/echo.so")).start()
        for address in (SERVER, SERVER6):
            self.assert_answered_by(daemon, "daemon", "hit", "http://e.org/2", address)
            self.assert_answered_by(daemon, "kernel", "hit", "http://e.org/2", address)

    def test_a_plugin_on_anything_is_asked_each_time(self):
        daemon = self.responder(self.plugin(BUILD / "tests/plugins/other.so")).start()
        for _ in range(2):
            self.assert_answered_by(daemon, "daemon", "miss", FOO)

    # --- reload

    def assert_reload_fails(self, daemon, expected):
        done = daemon.icpctl("reload", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(expected, done.stderr)

    def test_a_wrong_script_changes_nothing(self):
        daemon = self.responder(self.lua("ttl = 1h")).start()
        self.assert_answered_by(daemon, "daemon", "hit", FOO)
        path = self.write("x.lua", "function check(url)\n    return 'hit\nend\n")
        self.assert_reload_fails(daemon, f"{path}:2: unfinished string")
        path.unlink()
        self.assert_reload_fails(daemon, "No such file")
        self.assert_answered_by(daemon, "kernel", "hit", FOO)
        self.assert_answered_by(daemon, "daemon", "miss", BAR)
        self.write("x.lua", "function check(url) return 'err' end")
        daemon.icpctl("reload")
        self.assert_answered_by(daemon, "daemon", "err", FOO)
        self.assert_answered_by(daemon, "kernel", "err", FOO)

    def test_a_wrong_plugin_changes_nothing(self):
        policy = self.plugin(BUILD / "tests/plugins/echo.so")
        daemon = self.responder(policy).start()
        path, url = self.files / "echo.so", "http://e.org/22"
        self.assert_answered_by(daemon, "daemon", "denied", url)
        for name, expected in (("old_abi.so", "ABI version 4711"), ("stranger.so", "is not a plugin")):
            self.copy(BUILD / "tests/plugins" / name).rename(path)
            self.assert_reload_fails(daemon, expected)
            self.assert_answered_by(daemon, "kernel", "denied", url)
        self.copy(BUILD / "tests/plugins/other.so").rename(path)
        daemon.icpctl("reload")
        self.assert_answered_by(daemon, "daemon", "miss", url)

    # --- helpers, and policies written for zc.icp

    def test_zc_icp_policies(self):
        daemon = self.responder(self.zc()).start()
        for url, verdict in (
            (FOO, "hit"),
            (BAR, "miss"),
            (BAZ, "miss_nofetch"),
            ("http://example.com/foo/baz", "miss_nofetch"),
            (b"http://example.com/\xff\x80foo", "hit"),
        ):
            self.assert_answered_by(daemon, "daemon", verdict, url)

    def test_a_slow_policy_delays_no_other_query(self):
        daemon = self.responder(self.zc("children = 2")).start()
        waiting = self.client(self.client_side)
        waiting.send(icp.query(SLOW, 4711), SERVER)
        until(self.asked_pid, "the slow policy to be asked")
        for _ in range(10):
            self.assertEqual(self.ask(FOO), "hit")
        waiting.socket.settimeout(0)
        self.assertRaises(BlockingIOError, waiting.receive)
        self.gate.unlink()
        waiting.socket.settimeout(PATIENCE)
        self.assertEqual(waiting.receive(), (icp.answer("denied", SLOW, 4711), SERVER))

    def test_a_check_that_waits_blocks_no_other_request(self):
        daemon = self.responder(self.zc()).start()
        command = [BUILD / "icpctl", "-S", daemon.control, "--json", "check", FOO, SLOW, BAR]
        check = subprocess.Popen(
            self.server_side.command(*command), stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(check.wait)
        self.addCleanup(check.kill)
        self.addCleanup(check.stdout.close)
        until(self.asked_pid, "the slow policy to be asked")
        self.assertEqual(daemon.status()["mode"], "generic")
        other = json.loads(daemon.icpctl("--json", "check", BAZ).stdout)["results"][0]
        self.assertEqual(other["verdict"], "ICP_OP_MISS_NOFETCH")
        self.assertIsNone(check.poll())
        self.gate.unlink()
        results = json.loads(check.communicate(timeout=PATIENCE)[0])["results"]
        self.assertEqual(
            [(result["url"], result["verdict"], result["policy"]) for result in results],
            [(FOO, "ICP_OP_HIT", "zc"), (SLOW, "ICP_OP_DENIED", "zc"), (BAR, "ICP_OP_MISS", None)],
        )

    def children(self, daemon):
        pid = daemon.process.pid
        return set(map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def test_killed_children(self):
        daemon = self.responder(self.zc("children = 2")).start()
        self.assertEqual(self.ask(FOO), "hit")
        former = self.children(daemon)
        self.assertEqual(len(former), 2)
        for pid in former:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(self.children(daemon) - former) == 2, "two new children")
        until(lambda: self.ask(FOO) == "hit", "an answer of a new child")
        self.assertIn("ended by signal 9", daemon.log.read_text())

    def test_request_of_an_exited_child_is_retried(self):
        daemon = self.responder(self.zc("children = 2")).start()
        waiting = self.client(self.client_side)
        waiting.send(icp.query(SLOW, 4711), SERVER)
        first = until(self.asked_pid, "the slow policy to be asked")
        self.assertIn(first, self.children(daemon))
        os.kill(first, signal.SIGKILL)
        until(lambda: self.asked_pid() not in (0, first), "the other child to be asked")
        self.gate.unlink()
        self.assertEqual(waiting.receive(), (icp.answer("denied", SLOW, 4711), SERVER))

    def test_restarts_of_a_failing_helper_back_off(self):
        daemon = self.responder(
            """policy "h" { kind = helper children = 1 program = "/bin/false" }
               policy "p" { kind = prefix verdict = hit urls = { "http://example.com/foo" } }"""
        ).start()
        until(lambda: "restart after 800 ms" in daemon.log.read_text(), "the pauses")
        self.assertEqual(self.ask(FOO), "hit")
        self.assertEqual(self.ask(BAR), "miss")
        log = daemon.log.read_text()
        pauses = [log.index(f"restart after {pause} ms") for pause in (100, 200, 400, 800)]
        self.assertEqual(pauses, sorted(pauses))

    def test_zc_policies_that_misbehave(self):
        """A result of a wrong type is not a verdict, and a policy cannot read the next question."""
        policies = self.write("p.py", MISBEHAVING)
        helper = subprocess.Popen(
            ["/usr/bin/python3", ROOT / "scripts/zc-icp-helper.py", policies],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, bufsize=1,
        )  # fmt: skip
        with helper:
            for path, reply in (("list", "-"), ("reads", "-"), ("good", "ICP_OP_HIT")):
                helper.stdin.write(f"http://e.org/{path} ::1\n")
                self.assertEqual(helper.stdout.readline(), f"{reply}\n")
            helper.stdin.close()
        self.assertEqual(helper.returncode, 0)

    def test_a_second_signal_at_the_end(self):
        """A child that ignores the end of its input and SIGTERM is killed."""
        stubborn = "trap '' TERM; while :; do read -r line || sleep 1; done"
        program = f'program = {{ "/bin/sh", "-c", "{stubborn}" }}'
        daemon = self.responder(f'policy "1" {{ kind = helper {program} }}').start()
        pids = children(daemon.process.pid)
        self.assertTrue(pids)
        while daemon.process.poll() is None:
            daemon.process.terminate()
            time.sleep(0.1)
        self.assertEqual(daemon.wait(), 0)
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))


if __name__ == "__main__":
    main()
