#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration as a whole: included files, and the output of `icpctl config dump`."""

import os
import pathlib
import re

from daemon import BUILD
from lab import Lab, main
from net import run
from neighbour import NOBODY

URLS = [
    f"http://{host}/{path}"
    for host in ("a.org", "b.org", "c.org")
    for path in ("mine/1", "mine/x.gif", "odd\x7f\\\"'${x}", "secret", "")
]
POLICIES = r"""
drain_time = 20ms
default = "denied"
policy "30 ${XDP_ICP_TOKEN}" {
    kind = "regex" verdict = "miss" patterns = { '\.(gif|png)$', '\x7f\\\\\"' } cost = 7
}
policy '10 "$quoted" \\x41' { kind = prefix verdict = hit not = true urls = "http://a.org/" }
policy "20" { kind = "exact" verdict = "hit" url = "http://a.org/${XDP_ICP_TOKEN}" }
policy "40" { kind = "host" verdict = "err" hosts = { ".b.org", c.org } }
policy "50" { kind = "schedule" verdict = "hit" times = { "00:00-24:00" } }
"""
PLACE = re.compile(r"^#.*\n", re.M)


def policy(name, verdict, url):
    return f'policy "{name}" {{ kind = "prefix" verdict = "{verdict}" url = "{url}" }}\n'


class Config(Lab):
    sanitized = True

    def setUp(self):
        super().setUp()
        self.daemon_here = self.daemon(self.namespace("server"), POLICIES)
        self.path = self.daemon_here.config

    def start(self):
        return self.daemon_here.start("env", "XDP_ICP_TOKEN=secret")

    def dump(self):
        return self.daemon_here.icpctl("config", "dump").stdout

    def verdicts(self):
        results = self.daemon_here.ask_control("POST", "/v1/check", {"urls": URLS})["results"]
        return [(one["verdict"], one["policy"]) for one in results]

    def test_a_dump_is_the_configuration_that_counts(self):
        drop_ins = pathlib.Path(f"{self.path}.d")
        drop_ins.mkdir()
        os.chown(drop_ins, NOBODY, -1)
        self.start()
        change = ("policy", "add")
        odd = 'odd "name" ${HOME} \\\\'
        self.daemon_here.icpctl(*change, "45", "kind=exact", "verdict=miss", f"url={URLS[0]}", "--save")
        self.daemon_here.icpctl("reload")
        self.daemon_here.icpctl(*change, odd, "kind=substring", "verdict=hit", "text=secret")
        self.daemon_here.icpctl("policy", "remove", "50")
        dumped, verdicts = self.dump(), self.verdicts()
        self.assertGreater(len(set(verdicts)), 4)
        self.assertIn('drain_time = "20ms"\n', dumped)
        self.assertIn('default = "denied"\n', dumped)
        self.assertIn('policy "30 secret" {', dumped)
        self.assertNotIn('policy "50"', dumped)
        for place in (f"# {self.path}:", f"# {drop_ins}/45.conf:2\n", "# command line\n"):
            self.assertIn(place, dumped)
        self.daemon_here.stop()
        drop_ins.rename(drop_ins.with_suffix(".former"))
        self.path.write_text(dumped)
        done = run(BUILD / "xdp-icpd", "-c", self.path, "--check")
        self.assertIn("6 policies", done.stdout)
        self.daemon_here.start()
        self.assertEqual(self.verdicts(), verdicts)
        self.assertEqual(PLACE.sub("", self.dump()), PLACE.sub("", dumped))

    def test_an_unset_variable_is_no_empty_text(self):
        done = run(BUILD / "xdp-icpd", "-c", self.path, "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r":\d+: \$\{XDP_ICP_TOKEN\}: no such environment variable")

    # --- include

    def include(self, *paths):
        listed = ", ".join(f'"{path}"' for path in paths)
        self.daemon_here.configure(f"include = {{ {listed} }}\n" + policy("20", "hit", "http://a/"))

    def complaint(self):
        done = run(BUILD / "xdp-icpd", "-c", self.path, "--check", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    def parts(self):
        directory = self.path.parent / "conf.d"
        directory.mkdir()
        (directory / "b.conf").write_text('default = "err"\n' + policy("10", "miss", "http://a/x"))
        (directory / "a.conf").write_text(policy("30", "denied", "http://"))
        for ignored in ("a.conf.bak", ".hidden.conf"):
            (directory / ignored).write_text("nonsense")
        return directory

    def test_included_files(self):
        directory = self.parts()
        single = self.path.parent / "single"
        single.write_text("lease = 7s\n")
        self.include(directory, single)
        self.daemon_here.settings = [
            line for line in self.daemon_here.settings if not line.startswith("lease")
        ]
        self.include(directory, single)
        self.daemon_here.start()
        urls = {"http://a/x": "MISS", "http://a/": "HIT", "http://c/": "DENIED", "c": "ERR"}
        for url, verdict in urls.items():
            self.assertEqual(self.daemon_here.checked(url), f"ICP_OP_{verdict}")
        dumped = self.dump()
        self.assertIn('lease = "7000ms"', dumped)
        self.assertNotIn("include", dumped)
        # A reload finds files that are new, and those that are gone.
        (directory / "a.conf").unlink()
        (directory / "c.conf").write_text(policy("01", "miss_nofetch", "http://"))
        self.daemon_here.icpctl("reload")
        self.assertEqual(self.daemon_here.checked("http://c/"), "ICP_OP_MISS_NOFETCH")
        self.assertEqual(self.daemon_here.status()["policies"], 3)

    def test_mistakes_in_included_files(self):
        directory = self.parts()
        missing = self.path.parent / "missing"
        self.include(missing)
        self.assertIn(f"{self.path}: include: {missing}: No such file", self.complaint())
        self.include(directory)
        extra = directory / "z.conf"
        for text, complaint in (
            ("\ncolour = red\n", f"{extra}:2: unknown option 'colour'"),
            ("\ufeffdefault = miss\n", f"{extra}:1: a byte order mark; save the file"),
            ("default = miss\n", f"{extra}:1: 'default' is set in another file already"),
            (f'include = "{directory}"\n', f"{extra}:1: an included file cannot include others"),
            (
                policy("20", "hit", "x"),
                f"{extra}:1: there is a policy named '20' already, at {self.path}:",
            ),
        ):
            extra.write_text(text)
            self.assertIn(complaint, self.complaint())
        extra.unlink()
        for path in (directory, directory / "a.conf"):
            mode = path.stat().st_mode
            os.chmod(path, 0o666)
            self.assertRegex(self.complaint(), f"{path} .*not read with root's rights|{path} is not")
            os.chmod(path, mode)
        run(BUILD / "xdp-icpd", "-c", self.path, "--check")


if __name__ == "__main__":
    main()
