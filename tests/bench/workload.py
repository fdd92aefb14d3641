# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the responders are asked and what they know: prefixes, URLs, and the right answer to each.

A host has 50 prefixes, as a site has that hands out its parts to different origins: they begin
alike, by "http://", a name of always the same length and a slash, and differ behind that. Where
there are several lengths, some lie below another one of the same host with another verdict (one in
six of 64 lengths), so that the longest match is not the only one. The URLs, 20,000, are drawn from
the prefixes and go on behind them, as most URLs do; which of them Zipf's law favours is by chance.
"""

import base64
import random
import re

URLS = 20000
PREFIXES_A_HOST = 50
NESTED = 0.25
VERDICTS = ("hit", "miss", "miss_nofetch")
DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"
DEFAULT = "miss"


class Workload:
    """`count` prefixes of the `lengths` given, in bytes, evenly; the same for the same arguments."""

    def __init__(self, name, count, lengths):
        self.name = name
        self.lengths = sorted(lengths)
        self.random = random.Random(f"{name} {count} {lengths}")
        # Path segments of eight letters and digits, to cut paths out of.
        digits = base64.b32encode(self.random.randbytes(1 << 20)).decode().lower()
        self.segments = "/".join(re.findall("." * 8, digits)) + "/"
        self.prefixes = {}
        hosts = max(1, count // PREFIXES_A_HOST)
        base = [f"http://h{number:05d}.example.org/" for number in range(hosts)]
        known = [[] for _ in range(hosts)]  # by host
        for number in range(count):
            host, round_ = number % hosts, number // hosts
            length = self.lengths[(round_ + host) % len(self.lengths)]
            while True:
                above = self.one_of(known[host]) if self.random.random() < NESTED else ""
                nested = 0 < len(above) < length - 2
                prefix = self.path(above + "/" if nested else base[host], length)
                if prefix not in self.prefixes:
                    break
            verdict = VERDICTS[number % len(VERDICTS)]
            if nested and self.prefixes[above] == verdict:
                verdict = VERDICTS[(number + 1) % len(VERDICTS)]
            self.prefixes[prefix] = verdict
            known[host].append(prefix)

    def one_of(self, texts):
        return texts[int(self.random.random() * len(texts))] if texts else ""

    def path(self, begin, length):
        """Goes on with segments to the length, and ends in no slash."""
        place = int(self.random.random() * 100_000) * 9
        more = length - len(begin)
        text = self.segments[place : place + more]
        return begin + (text[:-1] + "x" if text[-1] == "/" else text)

    def verdict(self, url):
        """By the longest prefix, looked for length by length."""
        for length in reversed(self.lengths):
            if length <= len(url) and (verdict := self.prefixes.get(url[:length])):
                return verdict
        return DEFAULT

    def urls(self, length=None):
        """URLS different ones with their verdicts; `length` bytes each, or as it comes."""
        known = list(self.prefixes)
        found = {}
        while len(found) < URLS:
            prefix = self.random.choice(known)
            more = length - len(prefix) if length else self.random.randrange(8, 25)
            url = prefix + "".join(self.random.choices(DIGITS, k=more))
            found[url] = self.verdict(url)
        return found

    def write_prefixes(self, path):
        with open(path, "w") as file:
            file.writelines(f"{prefix}\t{verdict}\n" for prefix, verdict in self.prefixes.items())
        return path


def write_urls(path, urls):
    with open(path, "w") as file:
        file.writelines(f"{url}\t{verdict}\n" for url, verdict in urls.items())
    return path


def workloads(quick):
    """By name: how many prefixes, and their lengths in bytes."""
    many = 100_000 if quick else 1_000_000
    return {
        "1k": (1000, [36]),
        "10k": (10_000, list(range(40, 104, 4))),
        "1M": (many, list(range(40, 104))),
        # For the memory that a prefix takes: none longer than 64 bytes.
        "short": (many, list(range(33, 65))),
    }
