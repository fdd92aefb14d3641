# SPDX-License-Identifier: GPL-2.0-or-later
"""
The faults. Each takes the stage and a random generator, changes the state within during(), and
returns when the new state holds; the caller then checks that it does.
"""

import contextlib
import os
import pwd
import signal
import socket
import time

import net
import promise
from daemon import BUILD, percent, request_bytes
from net import until
from promise import ENDED, EXTRA, GATED, HELPED, KILLED, RULES, RUNS
from stage import CLIENT6_2, LEASE, MOVING, SERVER6_2, Life
from wire import CLIENT6, SERVER6

REFUSED = 3  # icpctl's exit code
CONNECTIONS = 100
ADDRESS6 = {"c0": CLIENT6, "s0": SERVER6, "c1": CLIENT6_2, "s1": SERVER6_2}


# --- the chain


def turned(state):
    """A reload gives a policy another verdict, and removes policies added at run time."""
    return state.but(turned="miss_nofetch" if state.turned == "hit" else "hit", extra=False)


def reload_another_chain(stage, _):
    after = turned(stage.state)
    with stage.during("a reload", after):
        stage.server.configure(promise.policies(after, stage.files))
        stage.server.icpctl("reload")


def reload_a_broken_chain(stage, random):
    broken = random.choice(
        (
            'policy "99" { kind = "nonsense" }',
            'policy "99" { kind = "prefix" verdict = "hit" file = "/nonexistent" }',
            "policy",
        )
    )
    with stage.during("a broken reload", stage.state):
        stage.server.configure(promise.policies(stage.state, stage.files) + "\n" + broken)
        done = stage.server.icpctl("reload", check=False)
        assert done.returncode == REFUSED, f"a broken configuration is taken: {done}"
        stage.configure()


def change_policy(stage, _):
    extra = not stage.state.extra
    words = ("add", *promise.EXTRA_POLICY) if extra else ("remove", promise.EXTRA_POLICY[0])
    with stage.during(f"policy {words[0]}", stage.state.but(extra=extra)):
        stage.server.icpctl("policy", *words)


def kill_the_helpers(stage, _):
    with stage.during("the helpers' death", stage.state.but(helper=False), stage.state):
        for pid in stage.life.helpers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: len(stage.life.helpers()) == 2, "the helpers to be started again")
        if not stage.state.flag:
            until(lambda: stage.server.checked(HELPED) == "ICP_OP_HIT", "the helpers to reply")


# --- rules


def rules_command(stage, *words):
    return stage.server.icpctl("rules", "-p", stage.pins, *words)


def change_rules(stage, random):
    """Change rules by icpctl, or by the bpftool commands it prints, with a daemon or without."""
    rules = set(stage.state.rules)
    prefix = random.choice(sorted(RULES))
    taken_out = prefix in rules
    rules ^= {prefix}
    words = (prefix,) if taken_out else (prefix, RULES[prefix])
    with stage.during("a change of rules", stage.state.but(rules=frozenset(rules))):
        if random.random() < 0.5:
            rules_command(stage, "del" if taken_out else "add", *words)
        else:
            lines = rules_command(stage, "key", *words).stdout.splitlines()
            wanted = "map delete" if taken_out else "map update"
            stage.server_side.run("sh", "-c", next(line for line in lines if wanted in line))


def add_rule(stage, prefix):
    rules = {"rules": [{"prefix": prefix, "verdict": "hit"}]}
    return stage.server.request("POST", "/v1/rules", rules)[0]


def fill_the_rules(stage, _):
    full = "http://full.example.com/"
    before = len(stage.state.rules)
    with stage.during("a full map of rules", stage.state):
        added = 0
        while add_rule(stage, f"{full}{added}") == 200:
            added += 1
            assert added <= promise.RULE_MAX, "more rules than rules_max"
        assert added + before == promise.RULE_MAX, f"{added} + {before} rules fill the map"
        for number in range(added):
            stage.server.ask_control("DELETE", f"/v1/rules?prefix={percent(full)}{number}")


# --- gates


def change_the_flag(stage, _):
    flag = stage.files / "flag"
    with stage.during("a gate", stage.state.but(flag=not stage.state.flag)):
        if stage.state.flag:
            flag.unlink()
        else:
            flag.touch()
        verdict = "ICP_OP_HIT" if stage.state.flag else "ICP_OP_MISS_NOFETCH"
        until(lambda: stage.server.checked(GATED) == verdict, "the daemon to notice the flag")


def drain(stage, random):
    verdict = random.choice(("miss_nofetch", "denied"))
    with stage.during("drain", stage.state.but(drain=verdict)):
        stage.server.icpctl("drain", "--verdict", verdict)
    stage.steady("drain")
    with stage.during("undrain", stage.state.but(drain="")):
        stage.server.icpctl("undrain")


# --- exits of the daemon


def lease_ends(stage):
    """After the lease has expired, no query gets a reply that depends on the daemon."""
    until(
        lambda: not stage.answers("native", GATED), f"the lease of {LEASE} to end, there is no daemon"
    )
    stage.steady("the end of the lease")


def start_again(stage, *prefix, former=()):
    """Policies added at run time are gone. Until then the kernel may reply by a former chain."""
    after = stage.state.but(daemon=RUNS, extra=False)
    with stage.during("the daemon's start", *former, after):
        stage.server.start(*prefix)
        stage.life = Life(stage.server.process.pid)


def kill_the_daemon(stage, random):
    stage.end_life()
    with stage.during("the daemon's death", stage.state.but(daemon=KILLED)):
        stage.server.kill()
    if random.random() < 0.5:
        lease_ends(stage)
    if random.random() < 0.5:
        change_rules(stage, random)
        stage.steady("a change of rules without a daemon")
    start_again(stage)


def kill_the_daemon_in_a_reload(stage, random):
    """The kernel has either the former chain or the next one."""
    stage.end_life()
    after = turned(stage.state)
    dead = [state.but(daemon=KILLED) for state in (stage.state, after)]
    with stage.during("a death in a reload", *dead):
        stage.server.configure(promise.policies(after, stage.files))
        stage.server.hang_up()
        time.sleep(random.uniform(0, 0.03))
        stage.server.kill()
    stage.steady("a death in a reload", *dead)
    start_again(stage, former=dead)


def stop_the_daemon(stage, _):
    """At a clean exit the daemon closes its chain: only rules remain."""
    stage.end_life()
    with stage.during("the daemon's end", stage.state.but(daemon=ENDED, extra=False)):
        stage.server.stop()
    stage.steady("the daemon's end")
    start_again(stage)


def step_the_clock(stage, random):
    """
    The daemon's monotonic clock differs from the kernel's, by a time namespace. (The clock of the
    machine is shared with other processes.)
    """
    seconds = random.choice((100_000, 7, -7))
    stage.end_life()
    with stage.during("the daemon's death", stage.state.but(daemon=KILLED)):
        stage.server.kill()
    start_again(stage, "unshare", "--time", f"--monotonic={seconds}")
    stage.steady(f"a step of the clock by {seconds} s")
    stage.end_life()
    with stage.during("the daemon's death", stage.state.but(daemon=KILLED)):
        stage.server.kill()
    lease_ends(stage)
    start_again(stage)


# --- the network


def take_a_link_down(stage, random):
    device = random.choice(sorted(ADDRESS6))
    side = stage.client_side if device[0] == "c" else stage.server_side
    kind = "native" if device[1] == "0" else "generic"
    lost = frozenset((kind, f"{kind}6"))
    before = stage.state
    with stage.during(f"{device} down", before.but(wires=before.wires - lost)):
        side.run("ip", "link", "set", device, "down")
    stage.steady(f"{device} down")
    side.run("ip", "link", "set", device, "up")
    until(lambda: side.is_operational(device), f"{device} to come up")
    side.run("ip", "addr", "del", f"{ADDRESS6[device]}/64", "dev", device, check=False)
    side.add_address(device, f"{ADDRESS6[device]}/64")
    stage.introduce()
    for wire in lost:
        until(lambda: stage.answers(wire), f"replies on {wire}")
    stage.state = before


def move_an_address(stage, random):
    """Add an address to one of the devices, and remove it again."""
    device = random.choice(("s0", "s1"))
    there = stage.state.wires | {promise.MOVING}
    stage.client_side.run(
        *("ip", "neigh", "replace", MOVING, "lladdr", stage.server_side.mac("s0")),
        *("dev", "c0", "nud", "permanent"),
    )
    with stage.during("an address that comes", stage.state):
        stage.server_side.add_address(device, f"{MOVING}/32")
        until(lambda: stage.answers(promise.MOVING), f"replies from {MOVING}")
    stage.state = stage.state.but(wires=there)
    stage.steady("an address that comes")
    with stage.during("an address that goes", stage.state.but(wires=there - {promise.MOVING})):
        stage.server_side.run("ip", "addr", "del", f"{MOVING}/32", "dev", device)
    until(lambda: not stage.answers(promise.MOVING), f"silence from {MOVING}")


# --- resources


def fill_the_disk(stage, _):
    """Neither the log nor a drop-in can be written; what cannot be saved is not added either."""
    filler = stage.disk / "filler"
    name, *settings = promise.EXTRA_POLICY
    with stage.during("a full disk", stage.state):
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(512)):
                pass
        done = stage.server.icpctl("policy", "add", name, *settings, "--save", check=False)
        assert done.returncode == REFUSED, f"a policy is saved on a full disk: {done}"
        filler.unlink()
    with stage.during("a policy that is saved", stage.state.but(extra=True)):
        stage.server.icpctl("policy", "add", name, *settings, "--save")
    with stage.during("a policy that is removed", stage.state.but(extra=False)):
        stage.server.icpctl("policy", "remove", name, "--save")


@contextlib.contextmanager
def other_user():
    """The peer credentials of a socket are those at connect()."""
    nobody = pwd.getpwnam("nobody").pw_uid
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def hold_connections(stage, random):
    """
    Connections of another user to the control socket that send nothing or a byte at a time, or do not
    read their reply. Root must get through nevertheless.
    """
    connections = []
    with contextlib.ExitStack() as stack, stage.during("many connections", stage.state):
        for number in range(CONNECTIONS):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            one.setblocking(False)
            with contextlib.suppress(OSError):
                with other_user():
                    one.connect(str(stage.server.control))
                if number % 10 == 0:
                    one.send(request_bytes("GET", "/v1/trace"))
                connections.append(one)
        for byte in request_bytes("GET", "/v1/status")[:20]:
            for one in random.sample(connections, len(connections) // 4):
                with contextlib.suppress(OSError):
                    one.send(bytes([byte]))
            time.sleep(0.01)
        until(lambda: stage.server.icpctl("status", check=False).returncode == 0, "root's turn")


def ask_at_once(stage, _):
    """Many requests, one connection each."""
    with stage.during("many requests", stage.state):
        for _ in range(100):
            stage.server.status()
            stage.server.ask_control("POST", "/v1/check", {"urls": promise.URLS})


ENDS_THE_DAEMON = (
    kill_the_daemon,
    kill_the_daemon_in_a_reload,
    stop_the_daemon,
    step_the_clock,
)
FAULTS = (
    reload_another_chain,
    reload_a_broken_chain,
    change_policy,
    kill_the_helpers,
    change_rules,
    fill_the_rules,
    change_the_flag,
    drain,
    take_a_link_down,
    move_an_address,
    fill_the_disk,
    hold_connections,
    ask_at_once,
    *ENDS_THE_DAEMON,
)
