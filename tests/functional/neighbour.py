# SPDX-License-Identifier: GPL-2.0-or-later
"""Another user of the same host, who tries to misuse the rights of root."""

import contextlib
import ctypes
import os
import pwd
import signal

NOBODY = pwd.getpwnam("nobody").pw_uid
STRANGER = 12345  # a user id that is neither root's nor the daemon's
RENAME_EXCHANGE = 2
AT_FDCWD = -100
LIBC = ctypes.CDLL(None, use_errno=True)


def become(uid, gid):
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def run_as(uid, action, gid=None):
    """Run action() as another user in a child process; return whether it succeeded."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            become(uid, uid if gid is None else gid)
            action()
            status = 0
        os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def exchange(a, b):
    LIBC.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE)


@contextlib.contextmanager
def keeps_at_it(uid, action, most=100_000_000):
    """Call action() repeatedly as another user until the block ends."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            become(uid, uid)
            for _ in range(most):
                with contextlib.suppress(OSError):
                    action()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
