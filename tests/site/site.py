#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A site of ten origins, as xdp-icp-cluster(7) sets it up step by step: a Squid with query_icmp in front,
three etcd beside them, the kernel native everywhere. What happens to it: origins drain, die and lose
the network; etcd loses its leader, its majority and all its members; assignments change under queries.
"""

import base64
import collections
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))

import net  # noqa: E402
import test_squid  # noqa: E402
from lab import main  # noqa: E402
from neighbour import NOBODY  # noqa: E402
from net import PATIENCE, until  # noqa: E402
from test_squid import SITE  # noqa: E402

HIT, MISS = "hit", "miss"

NAMES = "abcdefghij"
TTL = 6
POLICY = 'policy "80-site" { kind = "partition"  key = "host+1"  cluster = "site" }'
CLUSTER = """
cluster "site" {{
    etcd   = {{ {endpoints} }}
    member = "origin-{name}"
    ttl    = {ttl}s
    state  = "{state}"
}}
"""
URLS = [f"http://{SITE}/{number}/page" for number in range(60)]
ASSIGNED = 10_000
DRAINS = 5
BATCH = 100  # operations of one etcd transaction


class EtcdMember:
    """One of three."""

    def __init__(self, lab, number):
        self.name = f"etcd-{number}"
        self.address = f"10.3.{number}.2"
        self.namespace = lab.namespace(self.name)
        self.directory = lab.directory()
        self.process = None
        device = f"e{number}"
        gateway = f"10.3.{number}.1"
        net.connect(
            *(lab.squid_namespace, device, [f"{gateway}/24"]),
            *(self.namespace, "e0", [f"{self.address}/24"]),
        )
        self.namespace.run("ip", "route", "add", "default", "via", gateway)
        lab.addCleanup(self.kill)

    def url(self, port):
        return f"http://{self.address}:{port}"

    def start(self, everyone):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.namespace.command(
                    "etcd",
                    f"--name={self.name}",
                    f"--data-dir={self.directory}/data",
                    f"--listen-client-urls={self.url(2379)}",
                    f"--advertise-client-urls={self.url(2379)}",
                    f"--listen-peer-urls={self.url(2380)}",
                    f"--initial-advertise-peer-urls={self.url(2380)}",
                    "--initial-cluster="
                    + ",".join(f"{one.name}={one.url(2380)}" for one in everyone),
                    "--heartbeat-interval=200",
                    "--election-timeout=2000",
                    "--log-level=error",
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def ask(self, call, body):
        """The reply of the JSON gateway; None: there is none."""
        connection = http.client.HTTPConnection(self.address, 2379, timeout=PATIENCE)
        try:
            with self.namespace.entered():
                connection.request("POST", f"/v3/{call}", json.dumps(body))
            response = connection.getresponse()
            text = response.read()
            return json.loads(text) if response.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()


class Site(test_squid.Native):
    settings = "query_icmp on\nicp_query_timeout 300\nserver_persistent_connections off\nconnect_timeout 2 seconds"

    # --- the site

    def chains(self):
        self.squid_namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.etcd = [EtcdMember(self, number) for number in (1, 2, 3)]
        for one in self.etcd:
            one.start(self.etcd)
        self.await_etcd()
        return dict.fromkeys(NAMES, POLICY)

    def responder(self, origin, policies, **settings):
        origin.namespace.run(
            "ip", "route", "add", "default", "via", origin.address.removesuffix("2") + "1"
        )
        state = self.directory()
        os.chown(state, NOBODY, -1)
        os.chmod(state, 0o755)
        endpoints = ", ".join(f'"{one.url(2379)}"' for one in self.etcd)
        cluster = CLUSTER.format(endpoints=endpoints, name=origin.name, ttl=TTL, state=state)
        return super().responder(origin, policies, settings=cluster, **settings)

    def await_etcd(self):
        until(lambda: any(self.leader()), "etcd to have a leader")

    def leader(self):
        """For each etcd: is it the leader?"""
        found = []
        for one in self.etcd:
            status = one.process and one.ask("maintenance/status", {})
            found.append(bool(status) and status.get("leader") == status["header"]["member_id"])
        return found

    def origin(self, name):
        return self.origins[NAMES.index(name)]

    def clusters(self, *names):
        return [
            self.origin(name).responder.ask_control("GET", "/v1/clusters")["clusters"][0]
            for name in names or NAMES
        ]

    def await_members(self, count, names=NAMES, state="ok"):
        def agreed():
            found = self.clusters(*names)
            taking_part = [sum(not one["drained"] for one in each["list"]) for each in found]
            return set(taking_part) == {count} and {each["state"] for each in found} == {state}

        until(agreed, f"{count} members")
        self.await_same_order(names)

    # --- who owns what

    def order(self, name, url):
        """The owner of a URL and its successors, as an origin has them."""
        reply = self.origin(name).responder.ask_control("POST", "/v1/check", {"urls": [url]})
        text = reply["results"][0]["explanation"]
        owners = text.rpartition(": owner ")[2].replace(" then", "").split(", ")
        return [owner.removeprefix("origin-") for owner in owners]

    def orders(self, name):
        return {url: self.order(name, url) for url in URLS}

    def await_same_order(self, names):
        """Other maps build the chains a moment after they are known."""
        until(
            lambda: all(self.orders(name) == self.orders(names[0]) for name in names[1:]),
            "all to agree",
        )

    def assert_served(self, expected):
        """Each URL comes from its origin, which has replied HIT."""
        for url, name in expected.items():
            self.assertEqual(self.get(url), (200, name), url)
        wanted = {url: f"PARENT_HIT/{self.origin(name).address}" for url, name in expected.items()}
        until(lambda: wanted.items() <= self.choices().items(), "the access log")

    # --- the story

    def test_each_request_goes_to_its_origin(self):
        self.await_members(10)
        before = {url: order[0] for url, order in self.orders("a").items()}
        self.assertGreater(len(set(before.values())), 6)
        self.assert_served(before)
        for story in (self.drain, self.death, self.cut_off, self.no_etcd, self.assignments):
            with self.subTest(story.__name__):
                story(before)

    def drain(self, before):
        """A drain anywhere takes effect everywhere, and ends so."""
        orders = self.orders("a")
        after = {url: order[1] if order[0] == "c" else order[0] for url, order in orders.items()}
        self.assertNotEqual(after, before)
        successors = self.successors("c")
        times = {"drain": [], "undrain": []}
        for _ in range(DRAINS):
            times["drain"].append(self.time_of("j", "drain", successors, MISS, HIT))
            self.await_members(9)
            self.assert_served(after)
            times["undrain"].append(self.time_of("b", "undrain", successors, HIT, MISS))
            self.await_members(10)
        self.assert_served(before)
        for command, found in times.items():
            seconds = ", ".join(f"{one:.2f}" for one in sorted(found))
            print(f"# {command}, until all origins reply accordingly: {seconds} s", flush=True)

    def successors(self, owner):
        """{origin: a URL of the owner whose first successor the origin is} for all others"""
        found = {}
        for number in range(100_000):
            url = f"http://{SITE}/succession-{number}/"
            first, second = self.order("a", url)[:2]
            if first == owner:
                found.setdefault(second, url)
            if len(found) == len(NAMES) - 1:
                break
        return found

    def time_of(self, name, command, successors, left_by, taken_by):
        """Seconds from the command on origin-c until the new verdicts are on the wire."""
        client = self.client(self.squid_namespace)
        left = {("c", url): left_by for url in successors.values()}
        left |= {(one, url): taken_by for one, url in successors.items()}
        self.assertEqual({one for one, _ in left}, set(NAMES))
        begin = time.monotonic()
        self.origin(name).responder.icpctl("cluster", command, "origin-c")

        def all_new():
            for (one, url), verdict in list(left.items()):
                if client.ask(url, self.origin(one).address) == verdict:
                    del left[one, url]
            return not left

        until(all_new, f"the {command}")
        return time.monotonic() - begin

    def death(self, before):
        """
        A host dies. Squid waits for it, and serves its URLs from the first parent, as always if one
        is silent; once the others know, they come from the successor, without a wait. None fails.
        """
        dead = self.origin("d")
        orders = self.orders("a")
        after = {url: order[1] if order[0] == "d" else order[0] for url, order in orders.items()}
        moved = [url for url, name in before.items() if name == "d"]
        self.assertTrue(moved)
        self.squid_namespace.run("ip", "link", "set", dead.squid_side, "down")
        dead.responder.kill()
        for url in moved:
            self.assertEqual(self.get(url)[0], 200, url)
        self.await_members(9, NAMES.replace("d", ""))
        self.assert_served(after)
        self.squid_namespace.run("ip", "link", "set", dead.squid_side, "up")
        dead.responder.start()
        self.await_members(10)
        # Squid does not wait for a parent that it takes for dead, and takes the successor meanwhile.
        until(lambda: self.get(moved[0]) == (200, "d"), "Squid to find it alive")

    def cut_off(self, before):
        """An origin that no etcd is reached from goes on; the others take it for dead, until it is back."""
        lost = self.origin("e")
        lost.namespace.run("ip", "route", "add", "blackhole", "10.3.0.0/16")
        self.await_members(9, NAMES.replace("e", ""))
        until(lambda: self.clusters("e")[0]["state"] != "ok", "the lost member to know")
        mine = [url for url, name in before.items() if name == "e"]
        self.assertTrue(mine)
        for url in mine:
            self.assertEqual(lost.responder.checked(url), "ICP_OP_HIT")
        for url in URLS:
            self.assertEqual(self.get(url)[0], 200)
        lost.namespace.run("ip", "route", "del", "blackhole", "10.3.0.0/16")
        self.await_members(10)
        self.assert_served(before)

    def no_etcd(self, before):
        """Without its leader etcd goes on; without a majority, or any member, the last map stays."""
        first = self.etcd[self.leader().index(True)]
        first.kill()
        self.await_etcd()
        self.origin("a").responder.icpctl("cluster", "drain", "origin-b")
        self.await_members(9)
        self.origin("a").responder.icpctl("cluster", "undrain", "origin-b")
        self.await_members(10)
        for one in self.etcd:
            one.kill()
            self.assert_served(before)
        until(lambda: "ok" not in {one["state"] for one in self.clusters()}, "all to miss etcd")
        self.origin("f").responder.stop()
        self.origin("f").responder.start()  # with the map that it has saved
        self.assert_served(before)
        for one in self.etcd:
            one.start(self.etcd)
        self.await_etcd()
        self.await_members(10)
        self.assert_served(before)

    def put_all(self, owner):
        """Assign all prefixes to an origin."""
        for first in range(0, ASSIGNED, BATCH):
            operations = [
                {
                    "requestPut": {
                        "key": base64.b64encode(
                            f"/xdp-icp/site/assign/http://{SITE}/assigned/{number}/".encode()
                        ).decode(),
                        "value": base64.b64encode(
                            json.dumps({"member": f"origin-{owner}"}).encode()
                        ).decode(),
                    }
                }
                for number in range(first, first + BATCH)
            ]
            until(lambda: self.etcd[0].ask("kv/txn", {"success": operations}), "the transaction")

    def assignments(self, _):
        """Ten thousand change owners under queries: each reply is the old owner's or the new one's."""
        client = self.client(self.squid_namespace)

        def verdicts(number):
            url = f"http://{SITE}/assigned/{number}/x"
            return tuple(client.ask(url, self.origin(name).address) for name in "gh")

        numbers = range(0, ASSIGNED, ASSIGNED // 50)
        old, new = (HIT, MISS), (MISS, HIT)
        self.put_all("g")
        until(lambda: {verdicts(number) for number in numbers} == {old}, "the first owner")
        seen = collections.Counter()
        change = threading.Thread(target=self.put_all, args=["h"])
        change.start()

        def all_new():
            found = [verdicts(number) for number in numbers]
            seen.update(found)
            return set(found) == {new}

        until(all_new, "the new owner")
        change.join()
        # One of the two may know first; both have replied from the kernel all the time.
        self.assertLessEqual(set(seen), {old, new, (MISS, MISS), (HIT, HIT)}, seen)
        self.assertGreater(seen[old], 0)
        for name in "gh":
            self.assertEqual(self.origin(name).responder.counts("answered.daemon"), (0,))


def load_tests(loader, *_):
    return loader.loadTestsFromTestCase(Site)


if __name__ == "__main__":
    main()
