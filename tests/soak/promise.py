# SPDX-License-Identifier: GPL-2.0-or-later
"""
The model: which reply each query must get in the current state.

A State is everything that faults change. promise(url, wire, state) returns the verdict of the chain
on a URL in that state, and which part must reply:

  kernel   the XDP program decides alone. The only excuse for a missing reply is a full queue on the
           path, which the devices count.
  daemon   the query may have to be passed up to the daemon. Another excuse is a full socket buffer,
           which is counted as well.
  none     no reply is required: the link is down, or the daemon has exited. If there is one, its
           verdict must be right: the kernel continues to reply until the lease expires.

During a change, a reply is right if it is right before, after, or in one of the states in between,
and it is required only if it is required in all of them.
"""

import dataclasses

WIRES = ("native", "native6", "generic", "generic6")
MOVING = "moving"  # an address of the native device that is added and removed

KERNEL, DAEMON, NONE = "kernel", "daemon", "none"
RUNS, KILLED, ENDED = "runs", "killed", "ended"

KERNEL_URL_MAX = 255
RULE_MAX = 64  # entries of the map

ALWAYS, TURNS, EXTRA, GATED, LATE, HELPED, RULED, REST = (
    f"http://{word}.example.com/"
    for word in ("always", "turns", "extra", "gated", "late", "helper", "ruled", "rest")
)
HOSTILE = "http://hostile.example.com/"
MANY = 5000  # further prefixes, so that building a chain takes some time

URLS = [
    *(ALWAYS.ljust(length, "a") for length in range(26, KERNEL_URL_MAX + 1, 7)),
    ALWAYS.ljust(256, "a"),
    ALWAYS.ljust(1300, "a"),
    *(f"{TURNS}{'t' * length}" for length in (1, 30, 31, 100, 200)),
    *(f"http://{number}.many.example.com/x" for number in (0, MANY // 2, MANY - 1)),
    *(f"{EXTRA}{number}" for number in range(4)),
    *(f"{GATED}{number}" for number in range(6)),
    *(f"http://e.org/admin/{number}" for number in range(4)),
    *(f"{LATE}{number}" for number in range(4)),
    *(f"{HELPED}{number}" for number in range(4)),
    *(f"{RULED}{path}" for path in ("a", "a/b", "b", "c" * 150)),
    *(f"{REST}{number}" for number in range(4)),
    f"{ALWAYS}white space",
]
# Possible rules: the longest prefix of a URL decides, before the chain.
RULES = {RULED: "denied", f"{RULED}a": "hit", f"{RULED}a/b": "miss_nofetch", f"{RULED}c": "miss"}


@dataclasses.dataclass(frozen=True)
class State:
    turned: str = "hit"  # the verdict of the policy that each reload may change
    extra: bool = False  # a policy that was added while the daemon ran
    rules: frozenset = frozenset()  # a subset of RULES
    flag: bool = False
    drain: str = ""  # the verdict of the drain, or empty
    helper: bool = True  # its processes are running
    daemon: str = RUNS
    wires: frozenset = frozenset(WIRES)  # on which a reply can arrive

    def but(self, **changes):
        return dataclasses.replace(self, **changes)


def policies(state, files):
    """The chain as a configuration. `files` is a directory that the daemon can read."""
    return f"""
        default = "denied"
        rules_max = {RULE_MAX}
        policy "10-always" {{ kind = "prefix" verdict = "hit" urls = {{ "{ALWAYS}", "{HOSTILE}" }} }}
        policy "12-turns" {{
            kind = "prefix" verdict = "{state.turned}"
            url = "{TURNS}" file = "{files}/many"
        }}
        policy "20-flag" {{ kind = "flag" verdict = "miss_nofetch" path = "{files}/flag" }}
        policy "25-gated" {{ kind = "prefix" verdict = "hit" url = "{GATED}" }}
        policy "30-admin" {{ kind = "regex" verdict = "denied" pattern = '/admin(/|$)' }}
        policy "40-late" {{ kind = "prefix" verdict = "hit" url = "{LATE}" }}
        policy "50-rest" {{
            kind = "regex" verdict = "miss" not = true pattern = '^http://helper\\.'
        }}
        policy "60-helper" {{
            kind = "helper" program = {{ "/bin/sh", "{files}/helper" }} timeout = 10s ttl = 1s
        }}"""


# Arguments of `icpctl policy add`; before the gate, so that the kernel decides by it.
EXTRA_POLICY = ("15-extra", "kind=prefix", "verdict=denied", f"url={EXTRA}")
# Only the default follows the last policy, whose helper replies hit to every question.
HELPER = 'while read -r url source; do echo hit; done\n'


def write_files(files):
    (files / "many").write_text(
        "".join(f"http://{number}.many.example.com/\n" for number in range(MANY))
    )
    (files / "helper").write_text(HELPER)


def chain_verdict(url, state):
    """The verdict of the first match, and whether it stands before gate and horizon."""
    if url.startswith(ALWAYS):
        return "hit", True
    if url.startswith(TURNS) or ".many." in url:
        return state.turned, True
    if state.extra and url.startswith(EXTRA):
        return "denied", True
    if state.flag:
        return "miss_nofetch", False
    if url.startswith((GATED, LATE)):
        return "hit", False
    if "/admin/" in url:
        return "denied", False
    if not url.startswith(HELPED):
        return "miss", False
    return "hit" if state.helper else "denied", False


def promise(url, wire, state):
    """The verdict, and which part must reply."""
    rule = max((prefix for prefix in state.rules if url.startswith(prefix)), key=len, default=None)
    fixed = True  # in the kernel, whatever happens to the daemon
    if " " in url:
        verdict = "err"
    elif state.drain:
        verdict = state.drain
    elif rule is not None:
        verdict = RULES[rule]
    else:
        verdict, fixed = chain_verdict(url, state)
        fixed = fixed and state.daemon != ENDED  # at a clean exit the daemon closes its chain
    if wire not in state.wires:
        return verdict, NONE
    if fixed and len(url) <= KERNEL_URL_MAX:
        return verdict, KERNEL
    return verdict, DAEMON if state.daemon == RUNS else NONE


def questions(wire, states):
    """Lines for tests/flood: each URL with the right verdicts and the part that must reply."""
    lines = []
    for url in URLS:
        verdicts, repliers = zip(*(promise(url, wire, state) for state in states))
        weakest = max(repliers, key=(KERNEL, DAEMON, NONE).index)
        lines.append(f"{url}\t{','.join(sorted(set(verdicts)))}\t{weakest}\n")
    return "".join(lines)
