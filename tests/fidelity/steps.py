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
    "helper": "program",
    "plugin": "arguments",
}
SEVERAL = {*LISTS.values(), "members", "assign"}  # settings that have lists
CHAIN_STEPS = {"default", "policy", "text", "line", "remove"}
LONG = 1000  # seconds: a window that no script outlasts


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
    rb'watch off|(load|origin|clock)\b|time \d{5}|policy "[^"]*" (load|health|schedule)\b'
)
SCRIPT = """local entries = {
%s}

function check(url, source)
    for _, e in ipairs(entries) do
        if url:find(e[1], 1, true) and (not e[3] or e[3] == source) then
            return e[2]
        end
    end
end
"""


def beyond_the_wire(line):
    """Is it a step that only the test in one process can do?"""
    return HERE_ALONE.match(line) is not None


def value_after(words, key, otherwise=None):
    """What follows `key` among the words of a step."""
    return words[words.index(key) + 1] if key in words else otherwise


@dataclasses.dataclass
class Entry:
    text: bytes
    in_file: bool
    verdict: str | None
    source: str | None = None


@dataclasses.dataclass
class Policy:
    kind: str
    verdict: str
    cost: int = -1
    negate: bool = False
    ttl: int | None = None
    sees: str = "url"
    entries: list = dataclasses.field(default_factory=list)
    words: object = None  # the file that says what a running helper or plugin replies

    @staticmethod
    def of(words):
        """From what follows the name in a step."""
        kind, verdict, *rest = words
        ttl = value_after(rest, "ttl")
        return Policy(
            kind,
            verdict,
            int(value_after(rest, "cost", -1)),
            "not" in rest,
            None if ttl is None else int(ttl),
            value_after(rest, "sees", "url"),
        )

    def replies(self):
        return self.kind in ("helper", "lua", "plugin")

    def add(self, entry):
        """Those of its file come last."""
        place = len(self.entries)
        while place and not entry.in_file and self.entries[place - 1].in_file:
            place -= 1
        self.entries.insert(place, entry)

    def say(self, text, verdict, source):
        """What runs replies in another way from now on."""
        same = [i for i, e in enumerate(self.entries) if (e.text, e.source) == (text, source)]
        place = same[-1] + 1 - len(same) if same else len(self.entries)
        self.entries = [e for i, e in enumerate(self.entries) if i not in same]
        if verdict != "none":
            self.entries.insert(place, Entry(text, True, verdict, source))
        self.write_words()

    def write_words(self):
        if not self.words:
            return
        new = self.words.with_suffix(".new")
        new.write_text(
            "".join(
                f"{e.verdict or self.verdict} {self.source_of(e)} {e.text.hex()}\n"
                for e in self.entries
            )
        )
        new.rename(self.words)

    def source_of(self, entry):
        """A plugin that declares to see the URL alone does not look at the querier."""
        if self.kind == "plugin" and self.sees == "url":
            return "-"
        return entry.source or "-"

    def script(self):
        def text(entry):
            return "".join(f"\\{byte:03}" for byte in entry.text)

        return SCRIPT % "".join(
            f'    {{ "{text(e)}", "{e.verdict or self.verdict}"'
            + (f', "{e.source}"' if e.source else "")
            + " },\n"
            for e in self.entries
        )

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
            name = self.entries[0].text if self.entries else b"none"
            return [*pairs, (b"path", bytes(flags / name.decode()))]
        if self.replies():
            return pairs + self.reply_settings(path)
        if self.kind == "partition":
            return pairs + self.partition_settings()
        if self.kind == "recent":
            return pairs + [*self.recent_settings().items()]
        lines = [(e.text, e.verdict) for e in self.entries if e.in_file]
        pairs += [(LISTS[self.kind].encode(), e.text) for e in self.entries if not e.in_file]
        if lines or not self.entries:
            path.write_bytes(
                b"".join(
                    text + (b"\t" + verdict.encode() if verdict else b"") + b"\n"
                    for text, verdict in lines
                )
            )
            pairs.append((b"file", bytes(path)))
        return pairs

    def entry_words(self, name):
        """What follows in the entries that begin with this name."""
        head = b" %s " % name
        return [e.text.removeprefix(head) for e in self.entries if e.text.startswith(head)]

    def partition_settings(self):
        """As in owners.h: what is missing has a value that makes sense, and each member is one once."""
        words = [b"url", b"short", b"depth", b"3", b"others", b"miss", b"of", b"a"]
        for text in self.entry_words(b"key"):
            words = text.split(b" ")
        form, query, _, depth, _, others, _, member = words
        members = {}
        for text in self.entry_words(b"member"):
            members.setdefault(text.split(b" ")[0], text)
        members.setdefault(member, member + b" 1")
        assigned = [b" ".join(text.split(b" ", 1)[::-1]) for text in self.entry_words(b"owner")]
        assigned += [b"%s %s" % (e.text, e.verdict.encode()) for e in self.entries if e.verdict]
        return [
            (b"key", form),
            (b"query", b"yes" if query == b"query" else b"no"),
            (b"depth", depth),
            (b"others", others),
            (b"member", member),
            *((b"members", text) for text in members.values()),
            *((b"assign", text) for text in assigned),
        ]

    def recent_settings(self):
        """As in lately.h."""
        words = [b"url", b"query", b"window", b"2", b"most", b"4"]
        for text in self.entry_words(b"key")[:1]:
            words = text.split(b" ")
        form, query, _, window, _, most = words
        return {
            b"key": form,
            b"query": b"yes" if query == b"query" else b"no",
            b"window": window + b"s",
            b"entries_max": most,
        }

    def window(self):
        """Seconds that a recent knows a URL."""
        return int(self.recent_settings()[b"window"][:-1])

    def reply_settings(self, path):
        """The programs lie beside `path`. A chain that is replaced keeps its own words."""
        pairs = []
        if self.kind != "plugin" and self.ttl is not None:
            pairs.append((b"ttl", b"%ds" % self.ttl))
        if self.kind == "lua":
            path.write_text(self.script())
            return [*pairs, (b"file", bytes(path))]
        self.words = path.with_suffix(".words")
        self.write_words()
        if self.kind == "plugin":
            arguments = (bytes(self.words), self.sees.encode(), b"%d" % max(self.ttl or 0, 0))
            pairs.append((b"file", bytes(path.parent / "voice.so")))
            return pairs + [(b"arguments", argument) for argument in arguments]
        program = (path.parent / "voice", self.words, path.parent / "questions")
        pairs += [(b"program", bytes(word)) for word in program]
        return [*pairs, (b"children", b"8"), (b"timeout", b"10s")]


def quoted(text):
    return b"'" + text.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def section(name, settings):
    """A policy of the configuration."""
    lists, lines = {}, []
    for key, value in settings:
        lists.setdefault(key, []).append(value)
    for key, values in lists.items():
        if key.decode() in SEVERAL:
            lines.append(key + b" = { " + b", ".join(map(quoted, values)) + b" }")
        else:
            lines.append(key + b" = " + quoted(values[0]))
    return b"policy " + quoted(name) + b" {\n\t" + b"\n\t".join(lines) + b"\n}\n"
