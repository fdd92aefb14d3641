# SPDX-License-Identifier: GPL-2.0-or-later
"""The run: one fault after another until the time is up, and the summary."""

import dataclasses
import os
import random
import sys
import time
import traceback

import faults
from stage import Findings, Stage

PROGRESS = 10  # seconds between lines
LONG_LIFE = 0.6  # share of the time without a restart of the daemon, so that growth is noticed


@dataclasses.dataclass
class Options:
    minutes: float = 2
    seed: int = dataclasses.field(default_factory=lambda: int.from_bytes(os.urandom(3), "big"))
    rate: int = 32000  # hostile frames a second
    only: tuple = ("",)  # faults whose names contain one of these
    verbose: bool = False


class Soak(Stage):
    options = None
    seconds = 0

    def say(self, text):
        """Print a finding or progress, as a comment of the Test Anything Protocol."""
        for line in f"{time.monotonic() - self.begin:6.0f} s: {text}".splitlines():
            print(f"# {line}", flush=True)

    def endure(self):
        """
        Run for the time in the options, but for at least one fault, end everything, and leave the
        results in self.findings.
        """
        self.random = random.Random(self.options.seed)
        self.done = []  # names of faults
        self.shown = self.begin = time.monotonic()
        os.nice(5)  # do not slow down other processes
        self.build(self.options.seed, self.options.rate)
        self.steady("the start")
        try:
            while not self.done or self.part() < 1:
                for fault in self.deck():
                    self.strike(fault)
                    if self.part() >= 1:
                        break
        except Exception:  # pylint: disable=broad-except
            self.findings.add("faults that went wrong", 1, traceback.format_exc())
        self.end()
        self.seconds = time.monotonic() - self.begin

    def part(self):
        """Share of the time that has passed."""
        return (time.monotonic() - self.begin) / (60 * self.options.minutes)

    def deck(self):
        """
        Each fault once, in random order. After the first deck those that end the daemon are omitted
        for a while, so that small growth adds up.
        """
        stays = self.done and self.part() < LONG_LIFE
        wanted = [
            fault
            for fault in faults.FAULTS
            if any(word in fault.__name__ for word in self.options.only)
        ]
        found = [
            fault for fault in wanted if not stays or fault not in faults.ENDS_THE_DAEMON
        ] or wanted
        self.random.shuffle(found)
        return found

    def strike(self, fault):
        name = fault.__name__.replace("_", " ")
        if self.options.verbose:
            self.say(name)
        self.done.append(name)
        fault(self, self.random)
        self.steady(name)
        self.look(name)
        if sys.stdout.isatty() and time.monotonic() - self.shown >= PROGRESS:
            self.shown = time.monotonic()
            self.say(
                f"{len(self.done)} faults, {self.replies:,} good replies, "
                f"{self.hostile_count('sent'):,} hostile frames, "
                f"{sum(self.findings.counts.values())} findings; {name}"
            )

    def summary(self):
        rows = [
            ("seed", self.options.seed),
            ("seconds", f"{self.seconds:.0f}"),
            ("faults", f"{len(self.done)} of {len(set(self.done))} kinds"),
            ("good replies, each checked", f"{self.replies:,}"),
            ("hostile frames", f"{self.hostile_count('sent'):,}"),
            ("replies to those that may be answered", f"{self.hostile_count('good'):,}"),
            ("frames from the server that were not seen", f"{self.hostile_count('unseen'):,}"),
            ("replies lost where a queue was full", f"{self.excused:,}"),
            ("memory, largest growth of a daemon", f"{self.growth >> 10:,} KiB"),
            *((name, f"{self.findings.counts[name]:,}") for name in Findings.NAMES),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {value:>14}" for name, value in rows)
