# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon, its configuration, and icpctl."""

import contextlib
import ctypes
import functools
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import urllib.parse

from net import PATIENCE, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("XDP_ICP_BUILD", "build")
# What starts often, and sanitizers would only slow down.
QUICK = BUILD if BUILD.name == "coverage" else ROOT / "build"
EVERYWHERE = ("0.0.0.0:3130", "[::]:3130")
VERDICTS_MAX = 4096  # less than the default: the kernel clears all entries when it makes the map


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


def ptrace(request, pid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, None, None):
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def listed(words):
    return "{ " + ", ".join(f'"{word}"' for word in words) + " }"


class Daemon:
    """xdp-icpd in a namespace, with a directory for its files; start() runs it."""

    build_of_icpctl = QUICK  # with sanitizers where the test is about it

    def __init__(
        self,
        namespace,
        directory,
        policies="",
        *,
        mode="off",
        interfaces=(),
        listen=EVERYWHERE,
        pin_dir=None,
        control=None,
        lease="1h",  # long, so that the lease does not expire on a busy machine
        verdicts_max=VERDICTS_MAX,
        settings="",
    ):
        self.namespace = namespace
        self.config = directory / "xdp-icp.conf"
        self.control = control or directory / "control.sock"
        self.log = directory / "xdp-icpd.log"
        self.log.touch()
        self.process = None
        self.listen = listen
        self.settings = [
            f'mode = "{mode}"',
            f'control = "{self.control}"',
            f'lease = "{lease}"',
            f"verdicts_max = {verdicts_max}",
            settings,
        ]
        if interfaces:
            self.settings.append(f"interfaces = {listed(interfaces)}")
        if pin_dir:
            self.settings.append(f'pin_dir = "{pin_dir}"')
        self.configure(policies)

    def configure(self, policies):
        """Write the configuration with other policies; a running daemon needs a reload."""
        new = self.config.with_suffix(".new")
        new.write_text(
            "\n".join([f"listen = {listed(self.listen)}", *self.settings, policies, ""]),
            errors="surrogateescape",  # any bytes, as from os.fsdecode()
        )
        new.rename(self.config)

    def reload(self, policies, check=True):
        """Write it, and have the running daemon read it again; return icpctl's outcome."""
        self.configure(policies)
        return self.icpctl("reload", check=check)

    def start(self, *prefix, program=BUILD / "xdp-icpd"):
        """Start it, through the command `prefix` if given, and wait until it replies."""
        self.launch(*prefix, program=program)
        until(self.ready, "the daemon to reply to requests")
        return self

    def launch(self, *prefix, program=BUILD / "xdp-icpd"):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.namespace.command(*prefix, program, "-c", self.config),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self):
        code = self.process.poll()
        assert code is None, f"the daemon ended: exit {code}\n{self.log.read_text()}"
        try:
            reply = self.request("GET", "/v1/status")
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return reply is not None and reply[0] == 200

    def icpctl(self, *words, check=True):
        program = self.build_of_icpctl / "icpctl"
        return self.namespace.run(program, "-S", self.control, *words, check=check)

    def request(self, method, resource, body=None):
        """Status and reply of a request to the control socket. There is no process for it."""
        return Request(self.control, method, resource, body).reply()

    def ask_control(self, *words):
        """The reply to a request that is granted."""
        status, reply = self.request(*words)
        assert status == 200, f"{words}: {status}, {reply}"
        return reply

    def status(self):
        return self.ask_control("GET", "/v1/status")

    def checked(self, url):
        """The verdict that the daemon would send."""
        return self.ask_control("POST", "/v1/check", {"urls": [url]})["results"][0]["verdict"]

    def count(self, name):
        """A counter by its name in the status, such as `answered.kernel` or `silent.opcode`."""
        return self.counts(name)[0]

    def counts(self, *names):
        """Several counters at one moment."""
        status = self.status()
        return tuple(functools.reduce(dict.__getitem__, name.split("."), status) for name in names)

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    @contextlib.contextmanager
    def held(self):
        """Stop the main thread, but not the workers."""
        pid = self.process.pid
        ptrace(PTRACE_SEIZE, pid)
        ptrace(PTRACE_INTERRUPT, pid)
        os.waitpid(pid, 0)  # until it has stopped
        try:
            yield
        finally:
            ptrace(PTRACE_DETACH, pid)

    def wait(self):
        """Wait for its exit; return the exit code."""
        process, self.process = self.process, None
        return process.wait(PATIENCE)

    def stop(self):
        """SIGTERM must end it with exit code 0; it must still run before."""
        self.process.terminate()
        code = self.wait()
        assert code == 0, f"the daemon ended with {code}\n{self.log.read_text()}"

    def kill(self):
        self.process.kill()
        self.wait()


KEEPALIVE = b"HTTP/1.1 100 Continue\r\n\r\n"


def percent(text):
    """A name, prefix or URL as a part of a resource."""
    return urllib.parse.quote(os.fsencode(text), safe="")


def request_bytes(method, resource, body=None):
    text = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {resource} HTTP/1.1\r\nHost: xdp-icp\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


class Request:
    """A request to the control socket at a path, whose reply may take time."""

    def __init__(self, path, *words, uid=0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        os.seteuid(uid)
        try:
            self.socket.connect(str(path))
        finally:
            os.seteuid(0)
        if words:
            self.send(*words)

    def send(self, *words):
        self.socket.sendall(request_bytes(*words))

    def reply(self):
        """Status and reply. None: there is none."""
        with self.socket:
            response = http.client.HTTPResponse(self.socket)
            try:
                response.begin()
            except (http.client.RemoteDisconnected, ConnectionResetError):
                return None
            return response.status, json.loads(response.read())

    def is_open(self):
        """No reply has come."""
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(1 << 16, socket.MSG_PEEK).replace(KEEPALIVE, b"")
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)


class ForgedSocketServer:
    """A forged control socket, which replies to one request."""

    def __init__(self, path, reply, status="200 OK"):
        text = f"{json.dumps(reply)}\n"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        self.reply = head.encode() + text.encode()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(str(path))
        self.socket.listen()
        self.thread = threading.Thread(target=self.answer)

    def __enter__(self):
        self.thread.start()
        return self

    def answer(self):
        stream, _ = self.socket.accept()
        with stream, stream.makefile("rb") as request:
            while request.readline().strip():  # the headers
                pass
            stream.sendall(self.reply)

    def __exit__(self, *_):
        self.thread.join()
        self.socket.close()
