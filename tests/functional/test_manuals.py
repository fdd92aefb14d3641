#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages render, and agree with the programs in both directions."""

import json
import os
import re
import shutil
import subprocess
import tempfile

from daemon import BUILD, ROOT
from lab import Lab, main
from net import run

SOURCES = {path.stem: path for path in sorted((ROOT / "scripts/man").glob("*.scd"))}
# How each program is run, and the page with its options.
PROGRAMS = {
    "xdp-icpd.8": [BUILD / "xdp-icpd"],
    "xdp-icp-load.8": [BUILD / "xdp-icp-loader"],
    "icpctl.1": [BUILD / "icpctl"],
    "icpblast.1": [BUILD / "icpblast"],
}
PAGES_OF_OTHERS = {"bpftool", "ethtool", "fnmatch", "ip-link", "pcre2pattern", "squid"}


def source(page):
    """A page in scdoc format with the tables of the programs filled in."""
    with open(SOURCES[page], encoding="utf-8") as text:
        return subprocess.run(
            [BUILD / "man/tables"], stdin=text, stdout=subprocess.PIPE, text=True, check=True
        ).stdout


LITERAL = re.compile(r"^```\n(.*?)^```$", re.M | re.S)


def sections(text, level="#"):
    """The text of each section by its heading, without literal blocks."""
    text = LITERAL.sub("", text)
    parts = re.split(rf"^{level} (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def entries(text):
    """Described terms: the lines before an indented paragraph, without markup."""
    lines = re.findall(r"^(\*.*)\n\t", text, re.M)
    return [re.sub(r"(?<!\\)[*]|(?<!\w)_|_(?!\w)", "", line) for line in lines]


def names(text):
    """The first word of each entry, and of each in a list such as `a, b`."""
    return {
        word.split()[0] for entry in entries(text) for word in entry.split(" = ")[0].split(", ")
    }


def options(lines):
    """The options in some lines of --help or of a page: long name -> (short name, argument)."""
    found = {}
    for line in lines:
        short = None
        for word in re.findall(r"(?<![\w-])(-\w\b|--[\w-]+(?:=[^\s;,]+)?)", line):
            if not word.startswith("--"):
                short = word
                continue
            name, _, argument = word.partition("=")
            found[name] = (short, argument)
            short = None
    return found


def help_of(*command):
    return run(*command, "--help").stdout


def options_of_help(text):
    return options(re.findall(r"^ +(?:-\S, |    )--\S+", text, re.M))


def exit_codes(text):
    return set(re.findall(r"(?<![\d.])\d(?![\d.])", text.split("Exit status:")[1]))


class Manuals(Lab):
    maxDiff = None

    def setUp(self):
        self.said = []  # instead of super().setUp(): this needs neither root nor namespaces

    def check(self, config):
        """Exit code and messages of the daemon for a configuration."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config)
            file.flush()
            os.chmod(file.name, 0o644)  # the daemon's user reads it too
            return run(BUILD / "xdp-icpd", "-c", file.name, "--check", check=False)

    def complaint(self, config):
        done = self.check(config)
        self.assertEqual(done.returncode, 1)
        return done.stderr

    def test_pages_render_without_warnings(self):
        if not shutil.which("man") or not shutil.which("groff"):
            self.skipTest("man or groff is missing")
        for page in SOURCES:
            with self.subTest(page):
                built = BUILD / "man" / page
                if not built.exists():
                    self.skipTest("scdoc was missing when the pages were to be built")
                for width in ("80", "120"):
                    done = subprocess.run(
                        ["man", "--warnings", "-E", "UTF-8", "-l", built],
                        env=os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": width, "MANPAGER": "cat"},
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    self.assertEqual(done.stderr, "")
                    self.assertIn("SEE ALSO", done.stdout)

    def test_references_resolve(self):
        for page in SOURCES:
            for name, number in re.findall(r"\*([\w.-]+)\*\((\d)\)", source(page)):
                with self.subTest(page=page, name=name):
                    if name not in PAGES_OF_OTHERS:
                        self.assertIn(f"{name}.{number}", SOURCES)

    def test_options_of_the_configuration(self):
        known = re.search(r"the options are (.*)", self.complaint("no_such_option = 1\n"))[1]
        page = sections(source("xdp-icp.conf.5"))["OPTIONS"]
        self.assertEqual(names(page) | {"policy", "cluster"}, set(known.split(", ")))

    def test_kinds(self):
        complaint = self.complaint('policy "p" { kind = "no-such-kind" }\n')
        kinds = re.search(r"the kinds are (.*)", complaint)[1].split(", ")
        page = SOURCES["xdp-icp-policies.7"].read_text()
        tables = re.findall(r"^@settings (\S+)$", page, re.M)
        self.assertEqual(sorted(tables), sorted([*kinds, "common"]))
        headings = ", ".join(sections(page)).lower().split(", ")
        self.assertEqual(set(kinds) - set(headings), set())
        for kind, text in sections(page, "##").items():
            if kind.startswith("Settings of "):
                self.assertIn(f"@settings {kind.removeprefix('Settings of ')}\n", text)
        self.assertIn("\n@kinds\n", page)

    def test_counters_that_are_mentioned_exist(self):
        counters = names(sections(source("xdp-icpd.8"))["COUNTERS"])
        self.assertIn("passed.horizon", counters)
        for page in SOURCES:
            mentioned = re.findall(r"\b(?:answered|passed|silent|failed)\.\w+", source(page))
            self.assertEqual(set(mentioned) - counters, set(), page)

    def test_options_of_the_programs(self):
        for page, command in PROGRAMS.items():
            with self.subTest(page):
                text = sections(source(page))["OPTIONS"]
                self.assertEqual(options(entries(text)), options_of_help(help_of(*command)))

    def test_commands_of_icpctl(self):
        page = sections(source("icpctl.1"))
        commands = sections(page["COMMANDS"], "##")
        own_help = help_of(BUILD / "icpctl")
        listed = own_help.split("Commands:\n")[1].split("\n\n")[0]
        self.assertEqual(set(commands), set(re.findall(r"^  (\w+)", listed, re.M)))
        common = options(entries(page["OPTIONS"]))
        for command, text in commands.items():
            with self.subTest(command):
                known = options_of_help(help_of(BUILD / "icpctl", command))
                for name in common:
                    del known[name]
                self.assertEqual(options(entries(text)), known)

    def test_actions_of_icpctl(self):
        commands = sections(sections(source("icpctl.1"))["COMMANDS"], "##")
        for command in ("cluster", "policy", "recent", "rules"):
            usage = re.findall(r"\[OPTION\.\.\.\] (\w+)", help_of(BUILD / "icpctl", command))
            synopsis = commands[command].split("\n\n")[1]
            shown = re.findall(r"(?<![-\w])(\w+)\*(?: _[A-Z]|\+\+|$)", synopsis, re.M)
            self.assertEqual(shown, usage)

    def test_exit_codes(self):
        for page, command in PROGRAMS.items():
            with self.subTest(page):
                told = names(sections(source(page))["EXIT STATUS"])
                self.assertEqual(told, exit_codes(help_of(*command)))

    def test_example_of_the_readme(self):
        text = (ROOT / "README.md").read_text()
        blocks = re.findall(r"(?:^    .*\n|^\n)+", text, re.M)
        done = self.check(next(block for block in blocks if "policy " in block))
        self.assertIn("2 policies, 1 prefix", done.stdout)
        self.assertIn("xdp-icp.conf: 2 policies, 1 prefix", text)

    def test_examples_of_policies(self):
        tried = 0
        for page in SOURCES:
            for example in LITERAL.findall(source(page)):
                # The files and programs in the other examples do not exist.
                if not re.search(r'^policy "\w\w-', example, re.M):
                    continue
                if re.search(r"\b(file|program)\s+=", example):
                    continue
                with self.subTest(example):
                    done = self.check(example.replace("\\\\", "\\"))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    tried += 1
        self.assertGreater(tried, 8)


class Running(Lab):
    # For each option, a value that differs from the one of the running daemon.
    CHANGED = {
        "include": '"/usr/share/doc"',
        "listen": '"127.0.0.1:3131"',
        "interfaces": '"no-such"',
        "mode": "generic",
        "control": '"/run/xdp-icp/other.sock"',
        "metrics": '"127.0.0.1:9131"',
        "pin_dir": '"/sys/fs/bpf/other"',
        "user": "root",
        "default": "hit",
        "answer_request_zero": "true",
        "rules_max": "7",
        "prefixes_max": "7",
        "verdicts_max": "7",
        "lease": "7s",
        "drain_time": "7ms",
        "on_exit": "keep",
        "log": "json",
        "workers": "63",
    }

    def test_options_that_need_a_restart(self):
        daemon = self.daemon(self.namespace("server")).start()
        daemon.config.write_text("".join(f"{name} = {value}\n" for name, value in self.CHANGED.items()))
        daemon.icpctl("reload")
        # A line of JSON: that is one of the changes, and takes effect.
        line = re.search(r"^\{.*takes effect at the next start.*$", daemon.log.read_text(), re.M)[0]
        logged = json.loads(line)
        self.assertEqual((logged["level"], logged["program"]), ("warning", "xdp-icpd"))
        self.assertRegex(logged["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        kept = re.match(r"(.*): the change takes effect", logged["message"])[1].split(", ")
        page = sections(source("xdp-icp.conf.5"))["OPTIONS"]
        marked = {entry.split()[0] for entry in entries(page) if entry.endswith(" [restart]")}
        self.assertEqual(marked, set(kept))
        self.assertEqual({entry.split()[0] for entry in entries(page)}, set(self.CHANGED))

    def test_members_of_status(self):
        daemon = self.daemon(self.namespace("server")).start()
        told = names(sections(source("icpctl.1"))["STATUS"])
        # Members of the maps, which this daemon does not have.
        self.assertEqual(set(daemon.status()) | {"prefixes_used"}, told)

    def test_resources(self):
        daemon = self.daemon(self.namespace("server")).start()
        served = set()
        for one in daemon.ask_control("GET", "/v1")["resources"]:
            name = "NAME" if one["path"].endswith("/") else ""
            mark = " [change]" if one["changes"] else " [secret]" if one["secret"] else ""
            served.add(f"{one['method']} {one['path']}{name}{mark}")
        page = sections(source("xdp-icpd.8"))["CONTROL SOCKET"]
        self.assertEqual(set(entries(page)), served)


if __name__ == "__main__":
    main()
