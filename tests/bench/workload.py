# SPDX-License-Identifier: GPL-2.0-or-later
"""
The workloads: prefixes, URLs, and the expected verdict on each URL.

A host has 50 prefixes, like a site whose parts are served by different origins: they share
"http://", a host name of constant length and a slash, and differ after that. If there are several
lengths, some extend another prefix of the same host that has another verdict (one in six with 64
lengths), so that several prefixes match. The 20,000 URLs extend random prefixes, as most URLs do;
Zipf's law favours random ones.
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
    """`count` prefixes with evenly distributed `lengths` in bytes; deterministic."""

    def __init__(self, name, count, lengths):
        self.name = name
        self.lengths = sorted(lengths)
        self.random = random.Random(f"{name} {count} {lengths}")
        # Path segments of eight letters and digits, of which paths are made.
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
        """Extend a text by segments to the length, without a slash at the end."""
        place = int(self.random.random() * 100_000) * 9
        more = length - len(begin)
        text = self.segments[place : place + more]
        return begin + (text[:-1] + "x" if text[-1] == "/" else text)

    def verdict(self, url):
        """The verdict of the longest prefix, by a search for each length."""
        for length in reversed(self.lengths):
            if length <= len(url) and (verdict := self.prefixes.get(url[:length])):
                return verdict
        return DEFAULT

    def urls(self, length=None):
        """URLS distinct URLs with their verdicts, of `length` bytes each, or of random lengths."""
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
    """Workloads by name: number of prefixes, and their lengths in bytes."""
    many = 100_000 if quick else 1_000_000
    return {
        "1k": (1000, [36]),
        "10k": (10_000, list(range(40, 104, 4))),
        "1M": (many, list(range(40, 104))),
        # For the memory per prefix: at most 64 bytes.
        "short": (many, list(range(33, 65))),
    }
