#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Two minutes of `make soak`: good queries, hostile frames and faults, in a random order.

XDP_ICP_SOAK_MINUTES sets the time, XDP_ICP_SOAK_SEED repeats a run.
"""

import os
import sys

from daemon import ROOT
from lab import main

sys.path.insert(0, str(ROOT / "tests/soak"))
import soak  # noqa: E402

MINUTES = float(os.environ.get("XDP_ICP_SOAK_MINUTES", "2"))
SEED = os.environ.get("XDP_ICP_SOAK_SEED")


class Slice(soak.Soak):
    options = soak.Options(minutes=MINUTES, **({"seed": int(SEED)} if SEED else {}))

    def test_no_findings(self):
        self.endure()
        self.assertFalse(self.findings.counts, f"\n{self.summary()}")


if __name__ == "__main__":
    main()
