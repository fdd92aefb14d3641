# SPDX-License-Identifier: GPL-2.0-or-later
"""A fleet that is there only as keys in etcd: members under leases, and prefixes assigned to them."""

import base64
import http.client
import json

from etcd import PORT

HEAD = "/xdp-icp/site/"
BATCH = 1000  # changes of a transaction
TRIES = 10
LEASE = 24 * 3600  # seconds: no member is to leave while it is measured
PREFIXES_A_HOST = 50


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Gateway:
    """A connection to the JSON gateway of an etcd in a namespace."""

    # Options of an etcd that takes such transactions, and millions of keys.
    OPTIONS = (f"--max-txn-ops={BATCH}", "--quota-backend-bytes=8589934592")

    def __init__(self, namespace):
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
        with namespace.entered():
            self.connection.connect()

    def close(self):
        self.connection.close()

    def call(self, path, body):
        """Again, if etcd is too busy: what is asked for may be done twice."""
        text = json.dumps(body)
        for _ in range(TRIES):
            self.connection.request("POST", f"/v3/{path}", text)
            response = self.connection.getresponse()
            reply = response.read()
            if response.status == 200:
                return json.loads(reply)
            if response.status != 503:
                break
        raise RuntimeError(f"etcd: {path}: {response.status} {reply[:200]!r}")

    def put(self, key, value):
        self.call("kv/put", {"key": encoded(HEAD + key), "value": encoded(value)})

    def delete(self, key):
        self.call("kv/deleterange", {"key": encoded(HEAD + key)})

    def put_all(self, keys):
        """Put tuples of key, value and lease (0: none), many at a time."""
        batch = []
        for key, value, lease in keys:
            put = {"key": encoded(HEAD + key), "value": encoded(value), "lease": lease}
            batch.append({"requestPut": put})
            if len(batch) == BATCH:
                self.call("kv/txn", {"success": batch})
                batch = []
        if batch:
            self.call("kv/txn", {"success": batch})


def member(number):
    return f"origin-{number:05d}"


def prefix(number):
    """Of the assignments by their number: directories of hosts, each with many."""
    host, directory = number // PREFIXES_A_HOST, number % PREFIXES_A_HOST
    return f"http://h{host:05d}.example.org/{number * 2654435761 % (1 << 32):08x}/d{directory:02d}/"


def owned_by(name):
    return json.dumps({"member": name})


def same_for_all(verdict):
    return json.dumps({"verdict": verdict})


class Fleet:
    """Members 1 to members - 1 of a cluster, whose member 0 is real, and their assignments."""

    def __init__(self, gateway, members, assignments):
        self.gateway = gateway
        self.members = members
        self.assignments = assignments

    def join(self):
        value = {"weight": 100, "version": "1.0"}
        self.gateway.put_all(
            (f"members/{name}", json.dumps({**value, "name": name}), self.grant_lease())
            for name in map(member, range(1, self.members))
        )

    def grant_lease(self):
        return self.gateway.call("lease/grant", {"TTL": LEASE})["ID"]

    def assign(self, numbers, shift=0):
        """Assign these prefixes, in turn, to the members; `shift` gives them other owners."""
        self.gateway.put_all(
            (f"assign/{prefix(number)}", owned_by(member(1 + (number + shift) % (self.members - 1))), 0)
            for number in numbers
        )
