#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A minute of `make soak`: good queries, hostile frames and faults, in a random order. There are
fewer hostile frames a second, which leaves the processors to the other tests.

XDP_ICP_SOAK_MINUTES sets the time, XDP_ICP_SOAK_SEED repeats a run.
"""

import os
import sys

from daemon import ROOT
from lab import main

sys.path.insert(0, str(ROOT / "tests/soak"))
import soak  # noqa: E402

MINUTES = float(os.environ.get("XDP_ICP_SOAK_MINUTES", "1"))
RATE = 8000
SEED = os.environ.get("XDP_ICP_SOAK_SEED")


class Slice(soak.Soak):
    options = soak.Options(minutes=MINUTES, rate=RATE, **({"seed": int(SEED)} if SEED else {}))

    def test_no_findings(self):
        self.endure()
        self.assertFalse(self.findings.counts, f"\n{self.summary()}")


if __name__ == "__main__":
    main()
