# SPDX-License-Identifier: GPL-2.0-or-later
"""A client and a server, each in a namespace, connected by a veth pair."""

import json
import os
import socket
import subprocess

import icp
import net
from daemon import BUILD, QUICK, ROOT, VERDICTS_MAX
from lab import Lab

CLIENT, SERVER = "10.1.0.1", "10.1.0.2"
CLIENT6, SERVER6 = "fd00:1::1", "fd00:1::2"
CLIENT_2, SERVER_2 = "10.2.0.1", "10.2.0.2"  # of a second veth pair, which few tests need
FAMILIES = ((socket.AF_INET, SERVER), (socket.AF_INET6, SERVER6))

# The kernel decides by the policies before the regex, the daemon by the rest.
POLICIES = """
policy "10-hit" {
    kind = "prefix"
    verdict = "hit"
    urls = { "http://hit.example.com/" }
}
policy "20-nofetch" {
    kind = "prefix"
    verdict = "miss_nofetch"
    urls = { "http://nofetch.example.com/", "http://hit.example.com/but/not/this/" }
}
policy "50-admin" {
    kind = "regex"
    verdict = "denied"
    pattern = "/admin(?=/|$)"
}
policy "90-late" {
    kind = "prefix"
    verdict = "hit"
    urls = { "http://late.example.com/" }
}
"""
HIT, NOFETCH = "http://hit.example.com/x", "http://nofetch.example.com/x"
DENIED, LATE, MISS = "http://e.org/admin/x", "http://late.example.com/x", "http://e.org/x"


FLOOD = QUICK / "tests/flood"
ENDLESS = 200_000_000  # queries of a flood that runs until end_flood()


class Wire(Lab):
    xdp = True
    mode = "generic"

    def setUp(self):
        super().setUp()
        self.client_side = self.namespace("client")
        self.server_side = self.namespace("server")
        net.connect(
            self.client_side,
            "c0",
            [f"{CLIENT}/24", f"{CLIENT6}/64"],
            self.server_side,
            "s0",
            [f"{SERVER}/24", f"{SERVER6}/64"],
        )
        if self.mode == "native":
            self.pass_all(self.client_side, "c0")
        self.asker = {family: self.client(self.client_side, family) for family, _ in FAMILIES}
        self.pins = self.pin_dir()  # created when something is loaded

    def second_wire(self):
        """Add a veth pair from c1 to s1."""
        net.connect(
            self.client_side,
            "c1",
            [f"{CLIENT_2}/24"],
            self.server_side,
            "s1",
            [f"{SERVER_2}/24"],
        )
        if self.mode == "native":
            self.pass_all(self.client_side, "c1")

    def responder(self, policies=POLICIES, **settings):
        """A daemon at the server's end of the veth."""
        settings = {"mode": self.mode, "interfaces": ["s0"], "pin_dir": self.pins} | settings
        return self.daemon(self.server_side, policies, **settings)

    def load(self, *words, settings="", namespace=None, check=True):
        """Run scripts/xdp-icp-load, in the server's namespace, with the pins of this test."""
        config = self.directory() / "loader.conf"
        config.write_text(
            f'pin_dir = "{self.pins}"\nverdicts_max = {VERDICTS_MAX}\n{settings}\n'
        )
        environment = os.environ | {"XDP_ICP_LOADER": str(BUILD / "xdp-icp-loader")}
        words = (ROOT / "scripts/xdp-icp-load", "-c", config, *words)
        return (namespace or self.server_side).run(*words, check=check, env=environment)

    def program(self, device="s0"):
        """Id and mode of the program on a device in the server's namespace."""
        xdp = self.server_side.link(device).get("xdp")
        if not xdp:
            return None, None
        attached = xdp.get("attached", [xdp])[0]
        return attached["prog"]["id"], {1: "native", 2: "generic"}[attached["mode"]]

    def ask(self, url, address=SERVER):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self.asker[family].ask(url, address)

    def assert_answered_by(self, daemon, who, verdict, url, address=SERVER):
        """Expect this verdict, from the kernel or the daemon as given in `who`."""
        kernel, user = daemon.counts("answered.kernel", "answered.daemon")
        self.assertEqual(self.ask(url, address), verdict)
        expected = (kernel + 1, user) if who == "kernel" else (kernel, user + 1)
        self.assertEqual(
            daemon.counts("answered.kernel", "answered.daemon"), expected, f"{url} to {address}"
        )

    def is_answered_by_kernel(self, daemon, verdict, url, address=SERVER):
        """Send one query and check the verdict; return whether the reply came from the kernel."""
        before = daemon.count("answered.kernel")
        self.assertEqual(self.ask(url, address), verdict)
        return daemon.count("answered.kernel") > before

    def assert_port_closed(self, address=SERVER, port=icp.PORT):
        """Expect an ICMP error: no socket listens there."""
        client = self.client(self.client_side)
        client.socket.connect((address, port))
        client.socket.send(icp.query(HIT, 1))
        self.assertRaises(ConnectionRefusedError, client.socket.recv, 65536)

    def flood(self, address, count, questions):
        """
        Start a flood; `questions` are lines of URL TAB VERDICT[,VERDICT...]. One without an end has
        sent its first queries when this returns, so that what follows meets it.
        """
        endless = count == ENDLESS
        path = self.directory() / "questions"
        path.write_text("".join(f"{line}\n" for line in questions))
        # In a program with sanitizers a change meets queries in progress at this rate as well.
        slow = ("--rate", 5000) if endless and BUILD.name == "sanitized" else ()
        announce = ("--announce",) if endless else ()
        command = self.client_side.command(FLOOD, *announce, *slow, address, count, path)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        if endless:
            self.assertEqual(process.stdout.readline(), "begun\n")
        return process

    def assert_flooded(self, process, count):
        outcome = self.outcome(process)
        self.assertEqual((outcome["sent"], outcome["answered"]), (count, count))
        return outcome

    def end_flood(self, process):
        """End a flood that still runs; every query must have had its reply."""
        self.assertIsNone(process.poll(), "the flood ended too early to show anything")
        process.terminate()
        outcome = self.outcome(process)
        self.assertGreater(outcome["answered"], 0)
        return outcome

    def outcome(self, process):
        output, _ = process.communicate()
        if process.returncode:
            self.fail(f"{output}the devices have dropped {self.device_drops()}")
        return json.loads(output)

    def device_drops(self):
        """Frames that each device has dropped, to tell a loss on the path from the responder's."""
        return {
            link["ifname"]: [link["stats64"][way]["dropped"] for way in ("rx", "tx")]
            for namespace in (self.client_side, self.server_side)
            for link in json.loads(namespace.run("ip", "-s", "-json", "link", "show").stdout)
        }
