# SPDX-License-Identifier: GPL-2.0-or-later
"""A real etcd of one member, in a namespace."""

import json
import os
import shutil
import subprocess

from net import PATIENCE, until

PORT, PEER_PORT = 2379, 2380


class Etcd:
    def __init__(self, namespace, directory, *options, scheme="http", client=()):
        self.namespace = namespace
        self.data = directory / "etcd"
        self.log = directory / "etcd.log"
        self.endpoint = f"{scheme}://127.0.0.1:{PORT}"
        self.options = options
        self.client = client  # options of etcdctl
        self.process = None

    def start(self):
        peer = f"http://127.0.0.1:{PEER_PORT}"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.namespace.command(
                    "etcd",
                    f"--name=one",
                    f"--data-dir={self.data}",
                    f"--listen-client-urls={self.endpoint}",
                    f"--advertise-client-urls={self.endpoint}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=one={peer}",
                    "--log-level=error",
                    *self.options,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.ctl("endpoint", "health", check=False).returncode == 0, "etcd")
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def wipe(self):
        """As if its disk had been replaced."""
        self.kill()
        shutil.rmtree(self.data)

    def ctl(self, *words, check=True):
        return self.namespace.run(
            "etcdctl",
            f"--endpoints={self.endpoint}",
            *self.client,
            *words,
            check=check,
            env={**os.environ, "ETCDCTL_API": "3"},
        )

    def put(self, key, value, *options):
        self.ctl("put", *options, "--", f"/xdp-icp/site/{key}", value)

    def delete(self, *words):
        self.ctl("del", *words)

    def revision(self):
        reply = json.loads(self.ctl("endpoint", "status", "--write-out=json").stdout)
        return reply[0]["Status"]["header"]["revision"]
