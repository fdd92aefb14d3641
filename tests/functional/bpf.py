# SPDX-License-Identifier: GPL-2.0-or-later
"""An XDP program that passes everything, loaded by the bpf system call alone."""

import contextlib
import ctypes
import fcntl
import os
import platform
import struct
import subprocess

FILE_SYSTEM = "/sys/fs/bpf"
PROG_LOAD, OBJ_PIN = 5, 6
PROG_TYPE_XDP = 6
XDP_PASS = 2
SYSTEM_CALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = LIBC.syscall(SYSTEM_CALL[platform.machine()], command, buffer, len(buffer))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf: {os.strerror(error)}")
    return result


def mount_file_system():
    """Mount the bpffs under a lock: a concurrent mount would hide this one."""
    directory = os.open(FILE_SYSTEM, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if not os.path.ismount(FILE_SYSTEM):
            subprocess.run(["mount", "-t", "bpf", "bpf", FILE_SYSTEM], check=True)
    finally:
        os.close(directory)


def pin_pass_program(path):
    """Load `return XDP_PASS` and pin it."""
    mov64_immediate, exit_ = 0xB7, 0x95
    instructions = struct.pack("=BBhi", mov64_immediate, 0, 0, XDP_PASS) + struct.pack(
        "=BBhi", exit_, 0, 0, 0
    )
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")
    name = ctypes.create_string_buffer(str(path).encode())
    descriptor = bpf(
        PROG_LOAD,
        struct.pack(
            "=IIQQ24x16s",
            PROG_TYPE_XDP,
            2,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            b"test_pass",
        ),
    )
    try:
        bpf(OBJ_PIN, struct.pack("=QI", ctypes.addressof(name), descriptor))
    finally:
        os.close(descriptor)


def remove_pins(directory):
    """rm -r, also for a bpffs. Return whether anything existed."""
    if not os.path.isdir(directory):
        return False
    for path, directories, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in directories:
            with contextlib.suppress(NotADirectoryError):
                os.rmdir(os.path.join(path, name))
    os.rmdir(directory)
    return True
