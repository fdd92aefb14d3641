#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of `metrics` in Chromium. Screenshots go to build/page."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))

import browser  # noqa: E402
from daemon import BUILD  # noqa: E402
from lab import main  # noqa: E402
from net import until  # noqa: E402
from wire import HIT, MISS, Wire  # noqa: E402

PORT = 9130
HOSTILE = "20 <img src=x onerror=alert(1)>"
POLICIES = """
policy "05-flag" { kind = "flag" verdict = "miss_nofetch" path = "%s" }
policy "10-hit" { kind = "prefix" verdict = "hit" url = "http://hit." }
policy "20 <img src=x onerror=alert(1)>" { kind = "prefix" verdict = "denied" url = "http://bad/" }
policy "50-ask" { kind = "lua" verdict = "hit" file = "%s" }
policy "60-late" { kind = "prefix" verdict = "hit" url = "http://late." }
"""


class Page(Wire):
    mode = "native"

    def setUp(self):
        super().setUp()
        if not browser.PROGRAM:
            self.skipTest("chromium is missing (Debian package chromium)")
        self.flag = self.directory() / "flag"
        script = self.directory() / "ask.lua"
        script.write_text("function check(url) return nil end")
        os.chmod(script, 0o644)
        self.server_side.run("ip", "link", "set", "lo", "up")
        self.daemon_here = self.responder(
            POLICIES % (self.flag, script), settings=f'metrics = "127.0.0.1:{PORT}"'
        ).start()
        self.pictures = BUILD / "page"
        self.pictures.mkdir(exist_ok=True)
        self.page = browser.Browser(self.server_side, self.directory())
        self.addCleanup(self.page.close)

    def show(self, width, **settings):
        self.page.show(f"http://127.0.0.1:{PORT}/", width, **settings)
        self.page.await_text("#facts", "mode native")

    def fits(self):
        return self.page.run("document.documentElement.scrollWidth <= innerWidth")

    def row(self, name):
        """A policy's cells, by the names of their columns."""
        return self.page.run(
            "Object.fromEntries([...document.querySelectorAll('#policy-rows tr')]"
            f".filter((row) => row.cells[0].textContent === {name!r})"
            ".flatMap((row) => [...row.cells])"
            ".map((cell) => [cell.dataset.label, cell.textContent]))"
        )

    def answer_to(self, url, *texts):
        self.page.type("#url", url)
        self.page.press_enter()
        return self.page.await_text("#answer", *texts)

    def test_page(self):
        self.show(1280)
        for _ in range(5):
            self.ask(HIT)
            self.ask(MISS)
        until(lambda: self.row("10-hit").get("Hits") == "5", "the hits of a policy")
        self.assertEqual(self.row("10-hit")["Where"], "kernel")
        self.assertIn("evaluated by the daemon", self.row("50-ask")["Where"])
        self.assertEqual(self.row(HOSTILE)["Verdict"], "DENIED")
        self.assertEqual(self.page.run("document.images.length"), 0)
        self.page.await_text("#interface-rows", "s0", "native")
        self.page.await_text("#map-rows", "prefixes")
        self.page.await_text("#counter-rows", "passed.horizon")

        def rates():
            self.ask(HIT)
            return self.page.text("#rate-kernel") not in ("-", "0.0/s")

        until(rates, "a rate of the kernel")
        until(
            lambda: self.page.run("document.querySelector('#line-kernel polyline') !== null"),
            "a line",
        )

        self.answer_to(HIT, "ICP_OP_HIT, by policy 10-hit", "the kernel (compiled")
        self.answer_to("http://late.example.com/", "60-late", "the daemon (policy '50-ask' keeps")
        self.answer_to("http://bad/<b>", f"DENIED, by policy {HOSTILE}")
        self.page.type("#source", "nonsense")
        self.answer_to(HIT, "source nonsense: not an IPv4 or IPv6 address")
        self.assertEqual([one["text"][-17:] for one in self.page.complaints], ["400 (Bad Request)"])
        self.page.complaints.clear()
        self.page.type("#source", "192.0.2.1")
        self.answer_to("http://late.example.com/", "ICP_OP_HIT")

        self.flag.touch()
        until(lambda: "matches" in self.row("05-flag")["State"], "the flag")
        self.daemon_here.icpctl("drain")
        self.page.await_text("#alerts", "Drained: every query gets ICP_OP_MISS_NOFETCH")
        self.page.screenshot(self.pictures / "1280-drained.png")
        self.daemon_here.icpctl("undrain")
        self.flag.unlink()
        until(lambda: not self.page.text("#alerts"), "no alert")
        self.page.screenshot(self.pictures / "1280.png")
        self.assertTrue(self.fits())

        for width, dark in ((390, False), (390, True), (1280, True)):
            self.show(width, dark=dark)
            until(lambda: self.page.text("#share") != "-" or self.ask(HIT) is None, "rates again")
            self.assertTrue(self.fits())
            self.page.screenshot(self.pictures / f"{width}{'-dark' * dark}.png")
        self.assertEqual(self.page.complaints, [])

        self.daemon_here.stop()
        self.page.await_text("#alerts", "The daemon does not reply since")
        self.daemon_here.start()
        until(lambda: not self.page.text("#alerts"), "the daemon to be back")
        self.assertEqual(
            {url.split("/v1/")[0] for url in self.page.requested if url != "about:blank"},
            {f"http://127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT}/"},
        )


if __name__ == "__main__":
    main()
