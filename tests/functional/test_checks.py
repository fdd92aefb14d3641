#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the source: the order of the layers, the commit hook."""

import os
import shutil
import subprocess

from daemon import ROOT
from lab import Lab, main

LICENSE = "// SPDX-License-Identifier: GPL-2.0-or-later\n"


class Layers(Lab):
    def faults(self, **files):
        """Output for files with these includes: {"user/lib/a.h": ['"icp.h"', ...]}."""
        tree = self.directory()
        for path, includes in {"include/icp.h": [], "bpf/frame.h": [], **files}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text("".join(f"#include {name}\n" for name in includes))
        run = subprocess.run(
            [ROOT / "scripts/check-layers", tree], capture_output=True, text=True, check=False
        )
        self.assertEqual((run.returncode, run.stderr), (1 if run.stdout else 0, ""))
        return run.stdout.splitlines()

    def test_earlier_layers_may_be_included(self):
        self.assertEqual(
            self.faults(
                **{
                    "bpf/answer.h": ['"frame.h"', '"icp.h"', "<bpf/bpf_helpers.h>"],
                    "user/chain/compile.c": ['"chain/compile.h"', '"policy/policy.h"', '"icp.h"'],
                    "user/policy/kinds/glob.c": ['"policy/kind.h"', '"lib/byteset.h"'],
                    "user/xdp/load.c": ["<bpf/libbpf.h>", '"xdp_icp.skel.h"', "<stdio.h>"],
                    "user/icpctl/main.c": ['"icpctl/drain.h"', '"server/server.h"'],
                }
            ),
            [],
        )

    def test_wrong_includes_are_reported_with_their_line(self):
        for path, name, what in (
            ("user/lib/error.c", '"icp/query.h"', "icp does not stand before lib"),
            ("user/policy/kinds/glob.c", '"chain/chain.h"', "chain does not stand before policy"),
            ("user/control/server.c", '"helper/pool.h"', "helper does not stand before control"),
            ("user/xdp/load.c", '"xdp-icpd/daemon.h"', "xdp-icpd is a program"),
            ("user/icpctl/main.c", '"xdp-icpd/daemon.h"', "xdp-icpd is a program"),
            ("user/chain/compile.c", '"compile.h"', 'the folder is missing: "chain/compile.h"?'),
            ("user/chain/compile.c", '"tree/tree.h"', "tree is no layer"),
            ("user/chain/compile.c", "<bpf/bpf.h>", "only xdp knows libbpf"),
            ("user/server/server.c", '"xdp_icp.skel.h"', "only xdp knows libbpf"),
            ("include/match.h", '"lib/error.h"', "include/ stands alone"),
            ("bpf/answer.h", '"lib/error.h"', "bpf/ sees include/ only"),
        ):
            with self.subTest(path=path, name=name):
                (line,) = self.faults(**{path: ["<stdio.h>", name]})
                self.assertTrue(line.startswith(f"{path}:2: "), line)
                self.assertIn(what, line)

    def test_files_outside_the_layers(self):
        for path in ("user/daemon.c", "user/misc/daemon.c"):
            with self.subTest(path=path):
                (line,) = self.faults(**{path: []})
                self.assertTrue(line.startswith(f"{path}:1: "), line)


class Hook(Lab):
    def setUp(self):
        super().setUp()
        if not shutil.which("clang-format") or not shutil.which("codespell"):
            self.skipTest("no clang-format or no codespell: make deps")
        self.tree = self.directory()
        for name in (".clang-format", "scripts/check-text", "scripts/hooks/pre-commit"):
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.tree / name)
        self.git("init", "--quiet")
        self.git("config", "core.hooksPath", "scripts/hooks")
        self.git("add", "--all")
        self.assertEqual(self.commit(), (0, ""))

    def git(self, *words):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        return subprocess.run(
            ["git", "-C", self.tree, *author, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=words[0] != "commit",
        )

    def commit(self):
        run = self.git("commit", "--quiet", "--message", "test")
        return run.returncode, run.stdout

    def stage(self, name, text):
        (self.tree / name).parent.mkdir(exist_ok=True)
        (self.tree / name).write_text(text)
        self.git("add", name)

    def test_staged_content_is_checked(self):
        self.stage("user/a.c", LICENSE + "int a;\n")
        (self.tree / "user/a.c").write_text("int   a;\n")
        self.assertEqual(self.commit(), (0, ""))

    def test_a_file_with_a_space_in_its_name(self):
        self.stage("user/a b.c", LICENSE + "int  a;\n")
        code, said = self.commit()
        self.assertEqual(code, 1, said)
        self.assertIn("user/a b.c:2", said)

    def test_refused_commits(self):
        for name, text, expected in (
            ("user/a.c", LICENSE + "int   a;\n", "user/a.c:2"),
            ("user/b.c", "int a;\n", "user/b.c:1: needs a line 'SPDX-License-Identifier: GPL-2"),
            ("include/c.h", LICENSE, "include/c.h:1: needs a line 'SPDX-License-Identifier: GPL-"),
            ("user/d.md", "It " + "recie" + "ves.\n", "user/d.md:1"),
        ):
            with self.subTest(name=name):
                self.stage(name, text)
                code, said = self.commit()
                self.assertEqual(code, 1)
                self.assertIn(expected, said)
                self.git("rm", "--quiet", "--force", name)


if __name__ == "__main__":
    main()
