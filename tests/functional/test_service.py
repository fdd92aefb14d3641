#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service manager sees of the daemon."""

import re
import socket

from lab import Lab, main
from net import PATIENCE


class Service(Lab):
    def test_what_the_service_manager_is_told(self):
        place = self.directory() / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(PATIENCE)
            manager.bind(str(place))
            place.chmod(0o777)
            daemon = self.daemon(self.namespace("server"), settings='drain_time = "2s"')
            daemon.launch("env", f"NOTIFY_SOCKET={place}", "WATCHDOG_USEC=400000")
            self.assertEqual(manager.recv(256), b"READY=1")
            daemon.icpctl("status")  # answers by now
            for _ in range(2):
                self.assertEqual(manager.recv(256), b"WATCHDOG=1")
            daemon.process.terminate()
            while (message := manager.recv(256)) == b"WATCHDOG=1":
                pass
            more = re.fullmatch(rb"STOPPING=1\nEXTEND_TIMEOUT_USEC=(\d+)", message)
            self.assertGreater(int(more[1]), 2000000)
            self.assertEqual(daemon.wait(), 0)


if __name__ == "__main__":
    main()
