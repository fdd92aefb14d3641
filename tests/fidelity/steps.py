# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of script.h, for those who do them with real processes."""

import dataclasses
import re

TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
LISTS = {
    "prefix": "urls",
    "exact": "urls",
    "substring": "texts",
    "suffix": "texts",
    "glob": "patterns",
    "regex": "patterns",
    "host": "hosts",
    "source": "from",
}


def unquote(text):
    return ESCAPE.sub(
        lambda found: bytes([int(found[1][1:], 16)]) if len(found[1]) == 3 else found[1], text
    )


def escape(text):
    """Bytes as icpctl and the control socket have them (escape.h)."""
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02x}"
        for byte in text
    )


def parse(line):
    """A step as a list: words, and texts as bytes. Empty for comments."""
    if line.startswith(b"#"):
        return []
    return [
        found[2].decode() if found[2] is not None else unquote(found[1])
        for found in TOKEN.finditer(line)
    ]


# What a test cannot change of the host, and a daemon that has fallen silent (test_chain).
HERE_ALONE = re.compile(
    rb'watch off|(load|origin|clock|says|time|begin|reply|lose)\b|'
    rb'policy "[^"]*" (load|health|schedule|helper|lua|plugin)\b'
)


def beyond_the_wire(line):
    """Is it a step that only the test in one process can do?"""
    return HERE_ALONE.match(line) is not None


@dataclasses.dataclass
class Policy:
    kind: str
    verdict: str
    cost: int = -1
    negate: bool = False
    entries: list = dataclasses.field(default_factory=list)  # (text, in file, verdict or None)

    def settings(self, path, flags):
        """[(KEY, VALUE)] as bytes; what is in the policy's file goes to `path`."""
        pairs = [
            (b"kind", self.kind.encode()),
            (b"verdict", self.verdict.encode()),
            (b"not", b"yes" if self.negate else b"no"),
        ]
        if self.cost >= 0:
            pairs.append((b"cost", b"%d" % self.cost))
        if self.kind == "flag":
            name = self.entries[0][0] if self.entries else b"none"
            return [*pairs, (b"path", bytes(flags / name.decode()))]
        lines = [(text, verdict) for text, in_file, verdict in self.entries if in_file]
        pairs += [
            (LISTS[self.kind].encode(), text)
            for text, in_file, _ in self.entries
            if not in_file
        ]
        if lines or not self.entries:
            path.write_bytes(
                b"".join(
                    text + (b"\t" + verdict.encode() if verdict else b"") + b"\n"
                    for text, verdict in lines
                )
            )
            pairs.append((b"file", bytes(path)))
        return pairs


def quoted(text):
    return b"'" + text.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def section(name, settings):
    """A policy of the configuration."""
    lists, lines = {}, []
    for key, value in settings:
        lists.setdefault(key, []).append(value)
    for key, values in lists.items():
        if key.decode() in LISTS.values():
            lines.append(key + b" = { " + b", ".join(map(quoted, values)) + b" }")
        else:
            lines.append(key + b" = " + quoted(values[0]))
    return b"policy " + quoted(name) + b" {\n\t" + b"\n\t".join(lines) + b"\n}\n"
