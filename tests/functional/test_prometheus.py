#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prometheus: it takes the metrics, and the rules and the dashboard that are shipped find theirs."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import urllib.parse

import icp
from daemon import ROOT
from lab import Lab, main
from net import PATIENCE, until
from test_manuals import entries, sections, source

RULES = ROOT / "scripts/metrics/xdp-icp.rules.yml"
DASHBOARD = ROOT / "scripts/metrics/xdp-icp-dashboard.json"
HERE = 'job="xdp-icp",instance="a"'

# Samples a minute of a host where nothing is wrong, in the notation of promtool.
SOUND = {
    f"up{{{HERE}}}": "1x60",
    f'xdp_icp_replies_total{{{HERE},by="kernel"}}': "0+5400x60",
    f'xdp_icp_replies_total{{{HERE},by="daemon"}}': "0+600x60",
    f"xdp_icp_daemon_reply_seconds_count{{{HERE}}}": "0+600x60",
    f'xdp_icp_daemon_reply_seconds_bucket{{{HERE},le="0.005"}}': "0+600x60",
    f'xdp_icp_interface_attached{{{HERE},interface="eth0",mode="native"}}': "1x60",
    f"xdp_icp_heartbeat_age_seconds{{{HERE}}}": "0.4x60",
    f"xdp_icp_lease_seconds{{{HERE}}}": "3x60",
    f'xdp_icp_map_entries{{{HERE},map="rules"}}': "3000x60",
    f'xdp_icp_map_capacity{{{HERE},map="rules"}}': "4096x60",
    f'xdp_icp_map_entries{{{HERE},map="verdicts"}}': "65536x60",
    f'xdp_icp_map_capacity{{{HERE},map="verdicts"}}': "65536x60",
    f"xdp_icp_last_reload_successful{{{HERE}}}": "1x60",
    f'xdp_icp_helper_children{{{HERE},policy="90",state="dead"}}': "0x60",
    f'xdp_icp_policy_trouble{{{HERE},policy="20",kind="health"}}': "0x60",
    f'xdp_icp_policy_trouble{{{HERE},policy="90",kind="helper"}}': "0x60",
    f'xdp_icp_cluster_trouble{{{HERE},cluster="site"}}': "0x60",
    f'xdp_icp_cluster_confirmed_timestamp_seconds{{{HERE},cluster="site"}}': "0+60x60",
    f'xdp_icp_cluster_isolated{{{HERE},cluster="site"}}': "0x60",
    f'xdp_icp_cluster_members_found{{{HERE},cluster="site"}}': "50x20 40x40",
    f'xdp_icp_cluster_drained{{{HERE},cluster="site"}}': "0x60",
    f'xdp_icp_recent_requests_total{{{HERE},policy="50"}}': "0+900x60",
    f'xdp_icp_recent_skipped_total{{{HERE},policy="50"}}': "0+100x60",
    f'xdp_icp_recent_evicted_total{{{HERE},policy="50"}}': "7x60",
}
# What is different when an alert is to fire: a part of a series' name, and its samples.
WRONG = {
    "XdpIcpDown": ("up{", "0x60"),
    "XdpIcpInterfaceLost": ("attached", "1x20 0x60"),
    "XdpIcpKernelShareFallen": ('by="kernel"', "0+5400x10 54000x60"),
    "XdpIcpRepliesLate": ("bucket", "0+480x60"),
    "XdpIcpHeartbeatOld": ("age", "4x60"),
    "XdpIcpMapNearlyFull": ('entries{job="xdp-icp",instance="a",map="rules"', "3800x60"),
    "XdpIcpReloadFailed": ("successful", "0x60"),
    "XdpIcpHelperDead": ("dead", "2x60"),
    "XdpIcpPolicyTrouble": ("health", "1x60"),
    "XdpIcpClusterTrouble": ("cluster_trouble", "1x60"),
    "XdpIcpClusterMapOld": ("confirmed", "0-3600x60"),
    "XdpIcpClusterIsolated": ("isolated", "1x60"),
    "XdpIcpClusterMembersLost": ("found", "50x20 39x40"),
    "XdpIcpClusterDrained": ("drained", "1x60"),
    "XdpIcpRecentFull": ("evicted", "0+1x60"),
    "XdpIcpRecentSkipped": ("skipped", "0+101x60"),
}


def firing(changed=None, values=None, expected=()):
    """A test of promtool: which alerts fire in minute 30."""
    found = [name for name in SOUND if changed and changed in name]
    assert len(found) == bool(changed), f"{changed}: {found}"
    series = SOUND | {name: values for name in found}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "30m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected
                ],
            }
        ],
    }


CONFIGURATION = """
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ "%s" ]
scrape_configs:
  - job_name: xdp-icp
    static_configs: [ { targets: %s } ]
"""


class WithPrometheus(Lab):
    def setUp(self):
        super().setUp()
        for program in ("prometheus", "promtool"):
            if not shutil.which(program):
                self.skipTest(f"{program} is missing: install Debian's package prometheus")

    def promtool(self, *words, text=None):
        done = subprocess.run(
            ["promtool", *words], input=text, capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def prometheus(self, namespace, rules, targets):
        """Start one that scrapes the daemons at `targets` once a second."""
        self.beside = namespace
        directory = self.directory()
        (directory / "prometheus.yml").write_text(CONFIGURATION % (rules, json.dumps(targets)))
        log = directory / "prometheus.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                namespace.command(
                    *("prometheus", f"--config.file={directory}/prometheus.yml"),
                    f"--storage.tsdb.path={directory}/data",
                    *("--web.listen-address=127.0.0.1:9090", "--log.level=warn"),
                ),
                env=os.environ | {"GOMAXPROCS": "1"},
                stdout=output,
                stderr=output,
            )
        self.keep(log)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        until(lambda: self.is_up(process, len(targets)), "Prometheus to scrape the daemons")

    def is_up(self, process, targets):
        self.assertIsNone(process.poll(), "Prometheus has ended")
        try:
            return len(self.values("up == 1")) == targets
        except (ConnectionRefusedError, AssertionError):  # not yet
            return False

    def fetch(self, port, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = self.beside.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.sock.settimeout(PATIENCE)
        with connection.sock:
            connection.sock.connect(("127.0.0.1", port))
            connection.request("GET", path, headers=headers or {})
            reply = connection.getresponse()
            text = reply.read().decode()
            self.assertEqual(reply.status, 200, text)
            return text

    def api(self, resource, **arguments):
        path = f"/api/v1/{resource}?{urllib.parse.urlencode(arguments)}"
        return json.loads(self.fetch(9090, path))["data"]

    def values(self, expression):
        """The labels, except job and instance, and the value of everything that it finds now."""
        found = []
        for one in self.api("query", query=expression)["result"]:
            labels = {k: v for k, v in one["metric"].items() if k not in ("job", "instance")}
            found.append((labels, float(one["value"][1])))
        return found


class Rules(WithPrometheus):
    def test_each_alert_fires_in_its_case_alone(self):
        cases = [firing(), *(firing(*change, [name]) for name, change in WRONG.items())]
        file = self.directory() / "rules_test.yml"  # JSON is YAML
        file.write_text(
            json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases})
        )
        self.assertIn("SUCCESS", self.promtool("test", "rules", file))
        self.assertEqual(set(re.findall(r"- alert: (\w+)", RULES.read_text())), set(WRONG))


POLICIES = """
cluster "site" { etcd = "http://127.0.0.1:1"  member = "a"  state = "/nonexistent" }
policy "10-mine" { kind = "prefix" verdict = "hit" url = "http://a/" }
policy "99 \\"up\\\\\\xff" { kind = "health" verdict = "miss_nofetch" tcp = "127.0.0.1:1" fall = 1 }
policy "50-lately" { kind = "recent" verdict = "hit" key = "host" window = "1m"
                      log = "/nonexistent/log"  host = "a" }
policy "90-ask" {
    kind = "helper" ttl = "1h"
    program = { "/bin/sh", "-c", 'while read -r url source; do echo miss; done' }
}
"""


class Scraped(WithPrometheus):
    """A real Prometheus beside a daemon that has all metrics."""

    xdp = True
    QUERIES = 700  # more than one a second of the 5 minutes that rates are of

    def setUp(self):
        super().setUp()
        self.server = self.namespace("server")
        self.daemon_here = self.daemon(
            self.server,
            POLICIES.replace("\\xff", "\udcff"),
            mode="generic",
            interfaces=["lo"],
            listen=("127.0.0.1:3130",),
            pin_dir=self.pin_dir(),
            settings='metrics = "127.0.0.1:9130"',
        ).start()
        self.prometheus(self.server, RULES, ["127.0.0.1:9130"])

    def value(self, expression):
        found = self.values(expression)
        self.assertEqual(len(found), 1, expression)
        return found[0][1]

    def query_much(self):
        client = self.client(self.server)
        for number in range(1, self.QUERIES + 1):
            url = "http://a/" if number % 40 else f"http://b/{number}"
            client.exchange(icp.query(url, number), "127.0.0.1")
        expected = self.daemon_here.status()["answered"]
        self.assertGreater(min(expected.values()), 0)
        for by, count in expected.items():
            until(
                lambda by=by, count=count: self.value(f'xdp_icp_replies_total{{by="{by}"}}') == count,
                f"Prometheus to see the replies by the {by}",
            )

    def test_everything(self):
        text = self.fetch(9130, "/metrics")
        self.assertEqual(self.promtool("check", "metrics", text=text), "")
        self.query_much()
        cluster = json.loads(self.fetch(9130, "/v1/status"))["clusters"][0]
        self.assertEqual((cluster["name"], cluster["members"]), ("site", 0))
        self.assertFalse({"endpoint", "error", "lease"} & set(cluster))
        with self.subTest("the manual"):
            self.manual()
        with self.subTest("as icpctl says"):
            self.compare()
        with self.subTest("rules"):
            self.rules()
        with self.subTest("dashboard"):
            self.dashboard()

    def manual(self):
        """It has all metrics, with their types."""
        text = self.fetch(9130, "/metrics", {"Accept": "application/openmetrics-text"})
        page = sections(source("xdp-icp-metrics.7"))
        told = [re.fullmatch(r"(\w+)(?: \[(\w+)\])?", entry) for entry in entries(page["METRICS"])]
        self.assertEqual(
            {one[1]: one[2] or "gauge" for one in told},
            dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)),
        )
        self.assertEqual(set(entries(page["ALERTS"])), set(WRONG))

    def compare(self):
        status = self.daemon_here.status()
        for group, family in (("passed", "passed"), ("silent", "silent"), ("failed", "failures")):
            told = {one["reason"]: value for one, value in self.values(f"xdp_icp_{family}_total")}
            for counts in (told, status[group]):
                counts.pop("foreign", None)  # Prometheus's own packets
            self.assertEqual(told, status[group])
        policies = self.daemon_here.ask_control("GET", "/v1/policies")
        for policy in policies["policies"]:
            name = json.dumps(policy["name"])
            for by, decided in policy["decided"].items():
                labels = f'policy={name},by="{by}"'
                told = {
                    one["verdict"]: value
                    for one, value in self.values(f"xdp_icp_decisions_total{{{labels}}}")
                }
                self.assertEqual(told, {k: v for k, v in decided.items() if v or k in told}, name)
            self.assertEqual(
                self.value(f"xdp_icp_policy_in_kernel{{policy={name}}}"), policy["kernel"]
            )
        asked = next(one["helper"] for one in policies["policies"] if one["helper"])
        self.assertGreater(asked["replies"], 0)
        self.assertEqual(self.value("xdp_icp_helper_reply_seconds_count"), asked["replies"])
        self.assertEqual(self.value('xdp_icp_helper_children{state="idle"}'), asked["running"])
        self.assertEqual(
            [(one["policy"][:2], one["state"]) for one, _ in self.values("xdp_icp_policy_state")],
            [("50", "waiting for a log"), ("90", "running"), ("99", "down")],
        )
        self.assertEqual(self.value("xdp_icp_lease_seconds"), 3600)
        self.assertLess(self.value("xdp_icp_heartbeat_age_seconds"), 3600)
        used = {one["map"]: value for one, value in self.values("xdp_icp_map_entries")}
        self.assertEqual(used["verdicts"], asked["replies"])
        self.assertEqual(used, {name: one["entries"] for name, one in status["maps"].items()})
        self.assertEqual(
            self.values("xdp_icp_interface_attached"),
            [({"__name__": "xdp_icp_interface_attached", "interface": "lo", "mode": "generic"}, 1)],
        )
        self.assertEqual(self.value("xdp_icp_daemon_reply_seconds_count"), status["answered"]["daemon"])

    def rules(self):
        """None has an error. Each alert's expression has values, 0 or 1, by which it does not fire."""
        seen = 0
        for group in self.api("rules")["groups"]:
            for rule in group["rules"]:
                self.assertEqual(rule["health"], "ok", rule)
                always = re.sub(r"(==|<|>) ", r"\1 bool ", rule["query"], count=1)
                until(lambda query=always: self.values(query), f"values of {always}")
                seen += 1
        self.assertEqual(seen, len(re.findall("- (?:alert|record):", RULES.read_text())))
        expected = {"XdpIcpPolicyTrouble"} | {
            f"XdpIcpCluster{name}" for name in ("Trouble", "MapOld", "Isolated")
        }
        until(lambda: expected <= self.alerts(), "alerts: the origin is down, and etcd")
        self.assertEqual(self.alerts(), expected)

    def alerts(self):
        return {one["labels"]["alertname"] for one in self.api("alerts")["alerts"]}

    def dashboard(self):
        dashboard = json.loads(DASHBOARD.read_text())
        variables = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in variables.items():
                    expression = expression.replace(name, value)
                with self.subTest(panel["title"], expression=expression):
                    self.assertTrue(self.values(expression))
                labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - {"instance"}
                for one, _ in self.values(expression):
                    self.assertLessEqual(labels - {"policy"}, set(one), panel["title"])


if __name__ == "__main__":
    main()
