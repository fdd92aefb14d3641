#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
An operator's way: install, three origins behind Squid, Prometheus beside them; an origin's service dies,
an alert fires and its URLs go elsewhere; an upgrade under load; and all of it is removed.
"""

import http.client
import json
import os
import subprocess

import test_prometheus
import test_squid
from daemon import ROOT
from lab import main
from net import PATIENCE, until
from test_prometheus import RULES
from test_squid import SITE
from wire import ENDLESS, FLOOD

POLICIES = """
policy "01-origin" {{
    kind = "health"  verdict = "miss_nofetch"
    http = "http://{address}/ok"  interval = 50ms  fall = 1  rise = 1
}}
policy "10-mine" {{ kind = "prefix"  verdict = "hit"  urls = {{ "http://{site}/{name}/" }} }}
"""
RATE = 2_000  # queries a second during the upgrade


class OperatorsWay(test_squid.Squid, test_prometheus.WithPrometheus):
    mode = "native"
    xdp = True
    sanitized = False

    def chains(self):
        self.root = self.directory()
        self.make("install")
        return dict.fromkeys("abc", POLICIES)

    def make(self, target):
        words = ("make", "-s", "-C", ROOT, f"DESTDIR={self.root}", "PREFIX=/usr", target)
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    def responder(self, origin, policies):
        policies = policies.format(address=origin.address, name=origin.name, site=SITE)
        settings = f'metrics = "{origin.address}:9130"  on_exit = "keep"'
        return super().responder(origin, policies, settings=settings)

    @property
    def program(self):
        return self.root / "usr/sbin/xdp-icpd"

    def watch(self):
        """Beside Squid, with the installed rules, but none waits for a minute."""
        rules = (self.root / "usr/share/xdp-icp" / RULES.name).read_text()
        file = self.directory() / RULES.name
        file.write_text(rules.replace("for: 1m", "for: 1s"))
        targets = [f"{origin.address}:9130" for origin in self.origins]
        self.prometheus(self.squid_namespace, file, targets)

    def assert_goes(self, path, *names):
        self.assertIn(self.get(f"http://{SITE}/{path}"), [(200, name) for name in names])

    def firing(self):
        alerts = self.api("alerts")["alerts"]
        return [one["labels"] for one in alerts if one["state"] == "firing"]

    def test_each_request_goes_to_its_origin(self):
        self.watch()
        for origin in self.origins:
            for page in range(5):
                self.assert_goes(f"{origin.name}/{page}", origin.name)
        hits = 'sum by (instance) (xdp_icp_decisions_total{policy="10-mine",by="kernel"})'
        until(lambda: [n for _, n in self.values(hits)] == [5, 5, 5], "Prometheus to see the hits")
        self.assertEqual(self.firing(), [])
        self.page(self.origins[0])
        self.outage(self.origins[0])
        self.upgrade(self.origins[1])
        self.remove()

    def page(self, origin):
        """It is there, and asks for what Prometheus has seen."""

        def get(path):
            connection = http.client.HTTPConnection(origin.address, 9130, timeout=PATIENCE)
            with self.squid_namespace.entered():
                connection.request("GET", path)
            text = connection.getresponse().read().decode()
            connection.close()
            return text

        self.assertIn("<title>xdp-icp</title>", get("/"))
        listed = json.loads(get("/v1/policies"))["policies"]
        decided = {one["name"]: one["decided"]["kernel"]["hit"] for one in listed}
        self.assertEqual(decided, {"01-origin": 0, "10-mine": 5})

    def outage(self, origin):
        origin.healthy = False
        until(self.firing, "an alert")
        fired = [(one["alertname"], one["instance"], one["policy"]) for one in self.firing()]
        self.assertEqual(fired, [("XdpIcpPolicyTrouble", f"{origin.address}:9130", "01-origin")])
        for page in range(5):
            self.assert_goes(f"{origin.name}/outage/{page}", "b", "c")
        origin.healthy = True
        until(lambda: not self.firing(), "the alert to end")
        self.assert_goes(f"{origin.name}/again", origin.name)

    def upgrade(self, origin):
        """The files are replaced under the daemon, and it is restarted; no reply is lost."""
        questions = self.directory() / "questions"
        questions.write_text(f"http://{SITE}/{origin.name}/\thit\n")
        flood = subprocess.Popen(
            self.squid_namespace.command(
                *(FLOOD, "--announce", "--rate", RATE, "--window", 4096),
                *(origin.address, ENDLESS, questions),
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(flood.stdout.close)
        self.addCleanup(lambda: flood.poll() is None and (flood.kill(), flood.wait()))
        self.assertEqual(flood.stdout.readline(), "begun\n")
        before = origin.responder.status()["pid"]
        self.make("install")
        origin.responder.stop()
        origin.responder.start(program=self.program)
        self.assertNotEqual(origin.responder.status()["pid"], before)
        self.assert_goes(f"{origin.name}/upgraded", origin.name)
        flood.terminate()
        outcome = json.loads(flood.communicate()[0])
        self.assertEqual(flood.returncode, 0, outcome)
        self.assertEqual(outcome["verdicts"], {"hit": outcome["sent"]})

    def remove(self):
        for origin in self.origins:
            origin.responder.stop()
            loader = self.root / "usr/libexec/xdp-icp/xdp-icp-loader"
            origin.namespace.run(loader, "--config", origin.responder.config, "--unload", "--all")
            self.assertNotIn("xdp", origin.namespace.link("o0"))
            self.assertFalse(os.path.exists(origin.pins))
        other = self.root / "usr/bin/other"
        other.touch()
        self.make("uninstall")
        left = [path for path in self.root.rglob("*") if not path.is_dir()]
        self.assertCountEqual(left, [self.root / "etc/xdp-icp/xdp-icp.conf", other])


if __name__ == "__main__":
    main()
