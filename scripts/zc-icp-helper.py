#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies in xdp-icp's helper protocol with policies written for zc.icp.

usage: zc-icp-helper.py FILE...

Each FILE is Python and registers its policies as for zc.icp: callables that take the URL and return
'ICP_OP_HIT', 'ICP_OP_MISS', 'ICP_OP_MISS_NOFETCH', 'ICP_OP_DENIED', 'ICP_OP_ERR' or None:

    import zope.component
    from zc.icp.interfaces import IICPPolicy

    def foo_hit_policy(url):
        if 'foo' in url:
            return 'ICP_OP_HIT'

    zope.component.provideUtility(foo_hit_policy, IICPPolicy, 'foo')

They are tried in the order of their names; the first result other than None is the reply. Where
zope.component, zope.interface or zc.icp are not installed, stand-ins with what this needs take
their place. Bytes of the URL that are not UTF-8 reach a policy as surrogates (PEP 383). What a
policy prints goes to standard error.
"""

import importlib
import importlib.util
import os
import sys
import traceback
import types

VERDICTS = {
    "ICP_OP_HIT",
    "ICP_OP_MISS",
    "ICP_OP_ERR",
    "ICP_OP_MISS_NOFETCH",
    "ICP_OP_DENIED",
}


def add_module(name, **members):
    """Makes a module, and the packages above it as far as they are missing."""
    parent, _, child = name.rpartition(".")
    if parent:
        try:
            importlib.import_module(parent)
        except ImportError:
            add_module(parent)
    module = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(members)
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def can_import(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def stand_in_interface():
    """zope.interface, as far as a policy may name it: nothing is checked."""

    def mark(*_):
        return lambda thing: thing

    add_module(
        "zope.interface",
        Interface=type("Interface", (), {}),
        Attribute=lambda *_: None,
        directlyProvides=lambda *_: None,
        implementer=mark,
        provider=mark,
    )


def stand_in_component():
    """zope.component's registry of utilities."""
    utilities = {}

    def provide_utility(component, provides=None, name=""):
        utilities[provides, name] = component

    def get_utilities_for(interface):
        return [(name, utility) for (kind, name), utility in utilities.items() if kind is interface]

    add_module("zope.component", provideUtility=provide_utility, getUtilitiesFor=get_utilities_for)


def prepare():
    """Makes sure of the modules; returns zc.icp's interface of policies."""
    if not can_import("zope.interface"):
        stand_in_interface()
    if not can_import("zope.component"):
        stand_in_component()
    if not can_import("zc.icp.interfaces"):
        base = sys.modules["zope.interface"].Interface
        add_module("zc.icp.interfaces", IICPPolicy=type(base)("IICPPolicy", (base,), {}))
    package = sys.modules["zc.icp"]
    if not hasattr(package, "check_url"):
        package.check_url = lambda url: decide(url) or "ICP_OP_MISS"
    return sys.modules["zc.icp.interfaces"].IICPPolicy


def decide(url):
    """What the first policy with an opinion says, or None."""
    interface = sys.modules["zc.icp.interfaces"].IICPPolicy
    utilities = sys.modules["zope.component"].getUtilitiesFor(interface)
    for _, policy in sorted(utilities, key=lambda utility: utility[0]):
        result = policy(url)
        if result is not None:
            return result
    return None


def load(number, path):
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location(f"policies_{number}", path)
    if spec is None:
        sys.exit(f"{path}: not a Python file; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)


def answer(line):
    """The answer to a line of the protocol, `URL SOURCE`."""
    url = line.split(b" ")[0].decode("utf-8", "surrogateescape")
    try:
        result = decide(url)
    except Exception:  # a policy's own; like zc.icp, no answer by it
        traceback.print_exc()
        return b"-"
    if result is None:
        return b"-"
    if not isinstance(result, str) or result not in VERDICTS:
        print(f"a policy returned {result!r} for {url!r}, which is not a verdict", file=sys.stderr)
        return b"-"
    return result.encode()


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    # Standard input and output belong to the protocol, whatever the policies read, print or run.
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    sys.stderr.reconfigure(errors="backslashreplace", line_buffering=True)
    prepare()
    for number, path in enumerate(sys.argv[1:]):
        load(number, path)
    for line in questions:
        answers.write(answer(line.rstrip(b"\r\n")) + b"\n")


if __name__ == "__main__":
    main()
