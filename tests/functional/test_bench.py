#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmarks: what they expect is right, and what they report can be read. Nothing is timed."""

import json
import sys

import net
from daemon import ROOT
from lab import Lab, main

sys.path.insert(0, str(ROOT / "tests/bench"))
import report  # noqa: E402
import workload  # noqa: E402


class Workload(Lab):
    def test_prefix_count_and_length(self):
        made = workload.Workload("test", 5000, [40, 50, 60])
        self.assertEqual(len(made.prefixes), 5000)
        self.assertEqual({len(prefix) for prefix in made.prefixes}, {40, 50, 60})
        self.assertEqual(made.prefixes, workload.Workload("test", 5000, [40, 50, 60]).prefixes)

    def test_expected_verdict_is_of_the_longest_prefix(self):
        made = workload.Workload("test", 2000, list(range(40, 56)))
        nested = 0
        for url, verdict in list(made.urls().items())[:500]:
            matching = [prefix for prefix in made.prefixes if url.startswith(prefix)]
            nested += len(matching) > 1
            self.assertEqual(verdict, made.prefixes[max(matching, key=len)], url)
        self.assertGreater(nested, 20, "nothing that the longest match would matter for")

    def test_url_length(self):
        made = workload.Workload("test", 1000, [36])
        self.assertEqual({len(url) for url in made.urls(100)}, {100})


class Report(Lab):
    RESULTS = {
        "date": "2000-01-01",
        "machine": {"processor": "none", "cores": 2, "kernel": "0"},
        "rounds": 2,
        "seconds": 1,
        "rates": [
            {"name": "one", "rate": 2e6, "rates": [1e6, 2e6], "share": 0.5, "shares": [0.4, 0.5]},
            {"name": "two", "more_ns": 99.6, "ns": 123.4},
        ],
        "deadline": [
            {"name": "late", "in_time": 0.99999, "p50": 1.0, "p99.9": None, "sent": 9, "bad": 0}
        ],
        "targets": [
            {"name": "first", "wanted": "at least 1", "got": "2", "met": True},
            {"name": "second", "wanted": "at least 1", "got": "0", "met": False},
        ],
        "skipped": [{"name": "three", "why": "it is not there"}],
    }

    def test_report_has_every_result(self):
        directory = self.directory()
        report.write(dict(self.RESULTS), directory)
        text = (directory / "report.md").read_text()
        for line in (
            "| one | 2.00 M | 1.00 M to 2.00 M | 0.50 | 0.40 to 0.50 |",
            "| two |  |  |  |  | 100 | 123 |",
            "| late | 99.999 % | 1.000 | never | 9 | 0 |",
            "| first | at least 1 | 2 | met |",
            "| second | at least 1 | 0 | MISSED |",
            "| three | it is not there |",
        ):
            self.assertIn(line, text)
        self.assertEqual(
            json.loads((directory / "report.json").read_text())["rates"], self.RESULTS["rates"]
        )


class Run(Lab):
    xdp = True

    def test_part_of_the_bench_runs(self):
        directory = self.directory()
        net.run(
            *(ROOT / "tests/bench/run", "--quick", "--output", directory),
            *("the limit", "native: 1,000 prefixes, 1 length, uniform"),
        )
        results = json.loads((directory / "report.json").read_text())
        names = [row["name"] for row in results["rates"]]
        self.assertIn("the limit: addresses exchanged", names)
        self.assertIn("native: 1,000 prefixes, 1 length, uniform", names)
        for row in results["rates"]:
            self.assertEqual(row["bad"], 0, row)
            self.assertGreater(row["rate"], 0, row)
        self.assertEqual(results["failed"], [])

    def test_a_small_cluster(self):
        """The same as the large one: that the kernel alone has replied is checked there."""
        directory = self.directory()
        sizes = {"members": 5, "assignments": 1000, "changes": 4, "burst": 100}
        options = [f"--{name}={size}" for name, size in sizes.items()]
        net.run(ROOT / "tests/bench/cluster", "--output", directory, *options)
        results = json.loads((directory / "cluster.json").read_text())
        self.assertEqual((results["members"], results["assignments"]), (5, 1000))
        found = {row["key"]: row["value"] for row in results["rows"]}
        for kind in ("assign", "drain"):
            self.assertEqual(found[kind]["count"], 4)
            self.assertLessEqual(found[kind]["p50"], found[kind]["p99"])
        for key in ("first_read_seconds", "daemon_bytes", "maps_bytes", "restart_seconds"):
            self.assertGreater(found[key], 0, key)
        self.assertLess(found["burst_maps"], 100)
        text = (directory / "cluster.md").read_text()
        self.assertIn("5 members, 1,000 assigned prefixes", text)
        self.assertIn("| from the put of an assignment to the kernel's reply, 4 times | p50 ", text)


if __name__ == "__main__":
    main()
