#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""icpctl cluster plan: what a change of a cluster moves, with logs that are made here."""

import json
import re
import xml.etree.ElementTree

from daemon import BUILD
from lab import Lab, main
from net import run

HOST = "www.example.org"
MEMBERS = "# name, weight\norigin-a\norigin-b 200\n\norigin-c 100\n"
WEIGHTS = {"origin-a": 100, "origin-b": 200, "origin-c": 100}


def paths():
    """Directories with falling numbers of requests."""
    for rank in range(1, 200):
        for page in range(900 // (rank + 3)):
            yield f"/d{rank}/{page}?q=/{page % 7}/"


def common(path, status=200):
    return f'::1 - - [28/Nov/2026:08:00:00 +0000] "GET {path} HTTP/1.1" {status} 12 "-" "a b"\n'


def squid(path):
    return f"1066036250.603 310 ::1 TCP_MISS/200 893 GET http://{HOST}{path} - DIRECT/::1 text/html\n"


class Plan(Lab):
    def setUp(self):
        self.said = []  # instead of super().setUp(): this needs neither root nor namespaces
        self.place = self.directory()
        self.members = self.place / "members"
        self.members.write_text(MEMBERS)
        self.log = self.place / "access.log"
        self.log.write_text("".join(map(common, paths())))

    def plan(self, *words, log=None, check=True, **options):
        command = (BUILD / "icpctl", "cluster", "--cluster=site", "plan", "--members", self.members)
        options = {"check": check} | options
        return run(*command, "--key=host+1", "--host", HOST, *words, log or self.log, **options)

    def json(self, *words, **options):
        return json.loads(self.plan("--json", *words, **options).stdout)

    def test_table_json_and_picture(self):
        picture = self.place / "plan.svg"
        words = ("--without", "origin-b", "--with", "origin-d", 50)
        table = self.plan(*words, "--svg", picture).stdout
        told = self.json(*words)
        self.assertEqual(told["requests"], len(list(paths())))
        self.assertEqual(told["keys"], 199)
        for unit in ("keys", "requests"):
            self.assertEqual(sum(move[unit] for move in told["moves"]), told[f"moved_{unit}"])
        # All of origin-b's moves, and origin-d takes from all.
        before = {one["name"]: one["before"]["requests"] for one in told["owners"]}
        gone = [move for move in told["moves"] if move["from"] == "origin-b"]
        self.assertEqual(sum(move["requests"] for move in gone), before["origin-b"])
        self.assertEqual({m["to"] for m in told["moves"] if m["from"] != "origin-b"}, {"origin-d"})
        rows = re.findall(r"^(origin-\S+) +(origin-\S+) +(\d+) +(\d+) ", table, re.M)
        listed = [(m["from"], m["to"], str(m["keys"]), str(m["requests"])) for m in told["moves"]]
        self.assertEqual(rows, listed)
        drawn = xml.etree.ElementTree.parse(picture).getroot()
        bands = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
        for move in told["moves"]:
            band = f"{move['from']} to {move['to']}: {move['requests']} requests"
            self.assertTrue(any(one.startswith(band) for one in bands), band)
        self.assertEqual(self.json()["moves"], [])

    def test_formats_mean_the_same(self):
        expected = self.json("--drain", "origin-a")
        for make in (squid, lambda path: f"http://{HOST}{path}\n", lambda path: common(path, 503)):
            self.log.write_text("\0 binary\n\n" + "".join(map(make, paths())) + "x" * 30000)
            told = self.json("--drain", "origin-a")
            self.assertEqual(told.pop("skipped"), 2)
            self.assertEqual(told, {k: v for k, v in expected.items() if k != "skipped"})
        text = self.log.read_text()
        done = self.plan("--json", "--drain", "origin-a", log="-", input=text)
        self.assertEqual(json.loads(done.stdout)["moves"], expected["moves"])

    def test_suggestions_reach_what_they_say(self):
        def worst(told):
            return max(abs(part / share - 1) for part, share in told.values())

        before = self.json("--suggest")
        shares = {
            one["name"]: (one["requests_before"], before["requests"] * one["share"])
            for one in before["members"]
        }
        self.assertGreater(worst(shares), 0.05)
        self.assertTrue(before["balanced"])
        said = self.plan("--suggest").stdout
        lines = re.findall(r"^icpctl cluster assign --cluster site (\S+) (\S+)$", said, re.M)
        self.assertEqual(len(lines), len(before["assignments"]))
        self.assertLess(len(lines), 12)
        self.assertIn("each member is within 5 % of its share", said)
        told = self.json(*(f"--assign={prefix}={member}" for prefix, member in lines))
        after = {
            one["name"]: (one["after"]["requests"], told["requests"] * weight / 400)
            for one in told["owners"]
            if (weight := WEIGHTS.get(one["name"]))
        }
        self.assertEqual(len(after), 3)
        self.assertLessEqual(worst(after), 0.05)
        self.log.write_text(common("/hot/1") * 70 + common("/cold/1") * 30)
        self.assertIn(f"http://{HOST}/hot/ alone has 70.0 %", self.plan("--suggest").stdout)

    def test_bad_input(self):
        missing = self.place / "missing"
        for words, text in (
            (("--without", "origin-x"), "--without 'origin-x': there is no such member"),
            (("--with", "d", "0"), "the weight '0' must be a number from 1 to 10000"),
            (("--with", "hit", "1"), "and not a verdict's"),
            (("--assign", "http://e.org/"), "must be PREFIX=MEMBER or PREFIX=VERDICT"),
            (("--assign", "http://e.org/=origin-x"), "'origin-x' is neither a member nor a verdict"),
            (("--unassign", "http://e.org/"), "that prefix is not assigned"),
            (("--undrain", "origin-a"), "that member is not drained"),
            (("--key", "site"), "--key 'site' is not a key"),
            (("--suggest", "--svg", missing), "cannot be used with --suggest"),
            (("--members", missing), "No such file"),
            (("--svg", missing / "x"), "No such file"),
            (("--format", "("), "neither common, combined nor squid"),
        ):
            done = self.plan(*words, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(text, done.stderr)
        for text, error in (
            ("origin-a 0\n", "line 1: must be NAME or NAME WEIGHT"),
            ("a\nb\na\n", "a member is listed twice"),
            ("\udcff\n", "must be a name"),
            ('{"format": 1}\n', "not a map of a cluster"),
        ):
            self.members.write_text(text, errors="surrogateescape")
            self.assertIn(error, self.plan(check=False).stderr)
        self.members.write_text(MEMBERS)
        self.log.write_bytes(b"\0\xff\n a b c\n")
        self.assertIn("no request in 2 lines", self.plan(check=False).stderr)
        self.log.write_text(common("/a"))
        self.assertIn("is not the name", self.plan("--cluster", "a;b", check=False).stderr)
        self.assertIn("name the host with --host", self.plan("--host", "", check=False).stderr)


if __name__ == "__main__":
    main()
