#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Squid and two origins that share a URL space: ICP selects the origin of each request."""

import http.client
import http.server
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import net
from daemon import BUILD
from lab import Lab, main
from net import PATIENCE, until

PROXY_PORT = 3128
PAGES = 50  # of each half
SITE = "www.example.org"

CONFIG = """
http_port 127.0.0.1:{port}
icp_port 3130
icp_access allow all
http_access allow all
never_direct allow all
cache deny all
cache_mem 8 MB
{peers}
{settings}
visible_hostname squid.example.org
cache_effective_user {user}
pid_filename {directory}/squid.pid
cache_log {directory}/cache.log
access_log stdio:{directory}/access.log
coredump_dir none
memory_cache_shared off
pinger_enable off
shutdown_lifetime 0 seconds
"""


MANUALS = pathlib.Path(__file__).resolve().parents[2] / "scripts/man"


def halves(wanted, refused):
    """A chain that accepts one half of the URLs."""
    return f"""
        policy "10-mine" {{
            kind = "prefix"
            verdict = "hit"
            urls = {{ "http://{SITE}/{wanted}/" }}
        }}
        policy "20-not-mine" {{
            kind = "prefix"
            verdict = "miss"
            urls = {{ "http://{SITE}/{refused}/" }}
        }}
        """


class Origin:
    """An HTTP server that names itself in its pages, and an xdp-icpd with a chain."""

    def __init__(self, lab, name, number, policies):
        self.name = name
        self.address = f"10.2.{number}.2"
        self.namespace = lab.namespace(f"origin-{name}")
        self.squid_side = f"s{number}"
        net.connect(
            lab.squid_namespace,
            self.squid_side,
            [f"10.2.{number}.1/24"],
            self.namespace,
            "o0",
            [f"{self.address}/24"],
        )
        if lab.mode == "native":
            lab.pass_all(lab.squid_namespace, self.squid_side)
        self.pins = lab.pin_dir() if lab.xdp else None
        self.responder = lab.responder(self, policies).start(program=lab.program)
        self.healthy = True
        self.serve(lab)

    def serve(self, lab):
        origin, name = self, self.name.encode()

        class Page(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                broken = self.path == "/ok" and not origin.healthy
                self.send_response(503 if broken else 200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name)

            def log_message(self, *_):
                pass

        with self.namespace.entered():
            server = http.server.ThreadingHTTPServer((self.address, 80), Page)
        server.daemon_threads = True
        # A daemon thread: after an interrupt no cleanup runs, and the exit would wait for it.
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        lab.addCleanup(thread.join)
        lab.addCleanup(server.server_close)
        lab.addCleanup(server.shutdown)

    def peer_line(self):
        return f"cache_peer {self.address} parent 80 3130 no-digest no-netdb-exchange originserver"


class NginxOrigin(Origin):
    """The HTTP server is nginx, which names the origin in its pages and logs requests."""

    CONFIG = """
    daemon off;
    master_process off;
    user nobody nogroup;
    pid {directory}/nginx.pid;
    error_log stderr;
    events {{}}
    http {{
        access_log {log};
        client_body_temp_path {directory}/body;
        proxy_temp_path {directory}/proxy;
        fastcgi_temp_path {directory}/fastcgi;
        uwsgi_temp_path {directory}/uwsgi;
        scgi_temp_path {directory}/scgi;
        server {{
            listen {address}:80;
            return 200 {name};
        }}
    }}
    """

    def serve(self, lab):
        directory = lab.directory()
        self.config = directory / "nginx.conf"
        log = lab.logs[self.name]
        self.config.write_text(
            self.CONFIG.format(directory=directory, log=log, address=self.address, name=self.name)
        )
        self.start_server()
        lab.addCleanup(self.stop_server)

    def start_server(self):
        self.server = subprocess.Popen(
            self.namespace.command(shutil.which("nginx"), "-e", "stderr", "-c", self.config),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: self.get("/") == self.name, "nginx to serve")

    def stop_server(self):
        self.end_server(signal.SIGTERM)

    def end_server(self, number):
        self.server.send_signal(number)
        self.server.wait(PATIENCE)

    def get(self, path):
        """The page, from the server itself; None: it does not reply."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            with self.namespace.entered():
                connection.request("GET", path)
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            return None
        finally:
            connection.close()


class Squid(Lab):
    mode = "off"
    sanitized = True
    program = BUILD / "xdp-icpd"
    # Squid waits some milliseconds for a reply. On a busy machine a process may miss this deadline,
    # which is why the XDP program exists; but Squid is a process as well, and ignores a reply that
    # it reads too late. This test is about the effect of replies, so it extends the deadline.
    settings = "icp_query_timeout 5000"
    origin_class = Origin

    def setUp(self):
        super().setUp()
        self.squid = shutil.which("squid")
        if not self.squid:
            self.skipTest("squid is not installed")
        self.squid_namespace = self.namespace("squid")
        # Squid probes its parents when it starts: start them first.
        self.origins = [
            self.origin_class(self, name, number, policies)
            for number, (name, policies) in enumerate(self.chains().items(), 1)
        ]
        self.start_squid()

    def responder(self, origin, policies, **settings):
        return self.daemon(
            origin.namespace,
            policies,
            mode=self.mode,
            interfaces=["o0"] if self.xdp else [],
            pin_dir=origin.pins,
            **settings,
        )

    def chains(self):
        return {"a": halves("a", "b"), "b": halves("b", "a")}

    def start_squid(self):
        directory = self.directory()
        user = "proxy"
        shutil.chown(directory, user)
        config = directory / "squid.conf"
        config.write_text(
            CONFIG.format(
                port=PROXY_PORT,
                peers="\n".join(origin.peer_line() for origin in self.origins),
                settings=self.settings,
                user=user,
                directory=directory,
            )
        )
        self.access_log = directory / "access.log"
        (directory / "cache.log").touch()
        shutil.chown(directory / "cache.log", user)
        self.keep(directory / "cache.log")
        squid = subprocess.Popen(
            # The service name separates its shared memory from that of another Squid.
            self.squid_namespace.command(
                self.squid, "-N", "-n", "".join(filter(str.isalnum, directory.name)), "-f", config
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def end():
            squid.send_signal(signal.SIGTERM)
            squid.wait(PATIENCE)

        self.addCleanup(end)

        def listens():
            self.assertIsNone(squid.poll(), "squid ended")
            with self.squid_namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
                return attempt.connect_ex(("127.0.0.1", PROXY_PORT)) == 0

        until(listens, "squid to listen")

    def get(self, url):
        connection = http.client.HTTPConnection("127.0.0.1", PROXY_PORT, timeout=PATIENCE)
        with self.squid_namespace.entered():
            connection.request("GET", url)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def choices(self):
        """The access log's entry for each URL, such as PARENT_HIT/10.2.1.2."""
        fields = [line.split() for line in self.access_log.read_text().splitlines()]
        return {line[6]: line[8] for line in fields if line[5] == "GET"}

    def test_each_request_goes_to_its_origin(self):
        expected = {}
        for page in range(PAGES):
            for origin in self.origins:
                url = f"http://{SITE}/{origin.name}/{page}"
                expected[url] = f"PARENT_HIT/{origin.address}"
                self.assertEqual(self.get(url), (200, origin.name), url)
        until(lambda: len(self.choices()) == len(expected), "the access log")
        self.assertEqual(self.choices(), expected)
        for origin in self.origins:
            self.assert_answered(origin.responder)

    def assert_answered(self, daemon):
        self.assertEqual(daemon.count("mode"), "userspace")
        self.assertEqual(daemon.counts("answered.kernel", "answered.daemon"), (0, 2 * PAGES))


class Generic(Squid):
    """By the kernel, which replies before the call that sends the query returns."""

    mode = "generic"
    xdp = True
    sanitized = False

    def assert_answered(self, daemon):
        self.assertEqual(daemon.count("mode"), self.mode)
        self.assertEqual(daemon.counts("answered.kernel", "answered.daemon"), (2 * PAGES, 0))


class Native(Generic):
    mode = "native"


class ManualChain(Squid):
    """
    The examples of the manual: a prefix, a suffix, a pattern, and a partition, which divides the URLs;
    and what takes an origin out of service. Then the other origin must serve its URLs, although Squid
    has it as the second parent: it replies MISS to what is not its own. With MISS_NOFETCH, Squid
    would take the first parent, the very one that is out of service.

    Connections to the origins persist, as is Squid's default: the access log then has the code of the
    request that opened the connection.
    """

    settings = f"{Squid.settings}\nquery_icmp on\ndebug_options ALL,1 44,3"
    CHOICE = re.compile(r" remote=([\d.]+):80 (\S+) .* destination #1 for (\S+)\n")

    def chains(self):
        self.flag = self.directory() / "maintenance"
        outages = self.example("squid", "00-maintenance", "/run/xdp-icp/maintenance", self.flag)
        outages += self.example(
            "squid", "01-origin", "127.0.0.1:8080/ok\"", '10.2.1.2/ok" interval = 50ms fall = 1'
        )
        mine = self.example("squid", "10-mine") + self.example("squid", "20-not-mine")
        self.assertIn(f"http://{SITE}/a/", mine)
        others = self.example("policies", "20-images") + self.example("policies", "30-thumbs")
        site = self.example("policies", "80-site").replace(', "origin-c"', "")
        site = site.replace("origin-c", "origin-b")
        return {
            "a": outages + mine + others + site,
            "b": mine.replace("/a/", "/x/").replace("/b/", "/a/").replace("/x/", "/b/")
            + site.replace('"origin-a"\n', '"origin-b"\n'),
        }

    def example(self, page, name, former="", new=""):
        """The policy of this name in a manual page, with one text replaced."""
        text = (MANUALS / f"xdp-icp-{page}.7.scd").read_text()
        found = re.search(rf'^policy "{name}" {{([^\n]*}}$|.*?^}}$)', text, re.M | re.S).group()
        self.assertIn(former, found)
        return found.replace(former, str(new)) + "\n"

    def verdict(self, url):
        return self.origins[0].responder.icpctl("check", url).stdout.split()[0]

    def is_first(self, url):
        return self.verdict(url) == "ICP_OP_HIT"

    def outages(self):
        """Ways to take the first origin out of service, and to end that."""
        first = self.origins[0]

        def set_healthy(healthy):
            first.healthy = healthy

        yield "flag", self.flag.touch, self.flag.unlink
        yield "health", lambda: set_healthy(False), lambda: set_healthy(True)
        icpctl = first.responder.icpctl
        yield "drain", lambda: icpctl("drain"), lambda: icpctl("undrain")

    def test_each_request_goes_to_its_origin(self):
        expected = {}

        def ask(path, origin, choice):
            url = f"http://{SITE}/{path}"
            expected[url] = f"{choice}/{self.origins['ab'.index(origin)].address}"
            self.assertEqual(self.get(url), (200, origin), url)

        # Directories that the partition gives to one origin or the other.
        first, second = (
            next(f"c{n}" for n in range(64) if self.is_first(f"http://{SITE}/c{n}/") == wanted)
            for wanted in (True, False)
        )
        ask("a/1", "a", "PARENT_HIT")
        ask("b/1", "b", "PARENT_HIT")
        ask(f"{second}/1", "b", "PARENT_HIT")
        for outage, begin, end in self.outages():
            ask(f"{first}/{outage}.png", "a", "PARENT_HIT")
            begin()
            until(lambda: self.verdict(f"http://{SITE}/a/") == "ICP_OP_MISS_NOFETCH", outage)
            ask(f"a/{outage}", "b", "CLOSEST_PARENT_MISS")
            ask(f"{first}/{outage}", "b", "CLOSEST_PARENT_MISS")
            ask(f"{first}/{outage}-too.png", "b", "CLOSEST_PARENT_MISS")
            end()
            until(lambda: self.is_first(f"http://{SITE}/a/"), f"no {outage}")
        ask(f"{first}/1", "a", "PARENT_HIT")
        found = self.CHOICE.findall(self.access_log.with_name("cache.log").read_text())
        self.assertEqual({url: f"{code}/{address}" for address, code, url in found}, expected)
        until(lambda: len(self.choices()) == len(expected), "the access log")
        addresses = {url: choice.partition("/")[2] for url, choice in expected.items()}
        logged = {url: f"PARENT_HIT/{address}" for url, address in addresses.items()}
        self.assertEqual(self.choices(), logged)


class ManualChainInTheKernel(ManualChain):
    mode = "generic"
    xdp = True
    sanitized = False


class Recent(Squid):
    """
    Directories stick to the origin that has handled them first; of one that dies they go to the other,
    and stay when it is back. What its log has does not bring them back: it forgets that when it starts,
    as the manual says.
    """

    mode = "generic"
    xdp = True
    sanitized = False
    settings = f"{Squid.settings}\nserver_persistent_connections off"
    origin_class = NginxOrigin
    POLICY = """
        policy "50-warm" {{
            kind = "recent" verdict = "hit" log = "{log}" host = "{site}" key = "host+1" window = 1h
        }}
        """

    def chains(self):
        if not shutil.which("nginx"):
            self.skipTest("nginx is not installed")
        self.logs = {name: self.directory() / "access.log" for name in "ab"}
        return {
            name: self.POLICY.format(log=log, site=SITE) for name, log in self.logs.items()
        }

    def knows(self, origin, directory):
        """Wait until the origin claims the directory."""
        url = f"http://{SITE}/{directory}/"
        until(lambda: "ICP_OP_HIT" in origin.responder.icpctl("check", url).stdout, url)

    def ask(self, directory, origin):
        self.asked += 1
        url = f"http://{SITE}/{directory}/{self.asked}"
        self.expected[url] = f"PARENT_HIT/{origin.address}"
        self.assertEqual(self.get(url), (200, origin.name), url)

    def test_each_request_goes_to_its_origin(self):
        first, second = self.origins
        self.expected, self.asked = {}, 0
        directories = {"a1": first, "b1": second, "a2": first, "b2": second}
        for directory, origin in directories.items():
            origin.get(f"/{directory}/0")
            self.knows(origin, directory)
        for _ in range(5):
            for directory, origin in directories.items():
                self.ask(directory, origin)
        # One that none has handled goes anywhere, and the next time to the same.
        where = self.get(f"http://{SITE}/new/0")[1]
        newcomer = self.origins["ab".index(where)]
        self.knows(newcomer, "new")
        self.ask("new", newcomer)

        # All of the origin dies: the kernel goes on as long as the lease lasts, Squid finds that out.
        second.responder.kill()
        second.end_server(signal.SIGKILL)
        for directory in ("b1", "b2"):
            self.assertEqual(self.get(f"http://{SITE}/{directory}/moves"), (200, "a"))
            self.knows(first, directory)
        second.responder.start()
        for directory in ("b1", "b2"):
            self.knows(second, directory)
        second.responder.icpctl("recent", "flush", "50-warm")
        second.start_server()
        for _ in range(5):
            for directory in directories:
                self.ask(directory, first)
        until(lambda: len(self.choices()) == len(self.expected) + 3, "the access log")
        self.assertEqual(self.choices() | self.expected, self.choices())
        self.assertGreater(second.responder.count("answered.kernel"), 20)


if __name__ == "__main__":
    main()
