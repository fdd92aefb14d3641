# SPDX-License-Identifier: GPL-2.0-or-later
"""Chromium without a window, driven by the DevTools protocol over a pair of pipes."""

import base64
import json
import os
import shutil
import subprocess
import threading

from net import PATIENCE, until

PROGRAM = shutil.which("chromium")


class Browser:
    """One page. `complaints` are errors of its console, `requested` is what it has asked for."""

    def __init__(self, namespace, directory):
        self.complaints, self.requested = [], []
        self.answers, self.number = {}, 0
        self.changed = threading.Condition()
        theirs, self.out = os.pipe()
        self.incoming, their_out = os.pipe()
        command = namespace.command(
            "sh", "-c", f'exec "$@" 3<&{theirs} 4>&{their_out}', "sh",
            PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--remote-debugging-pipe", f"--user-data-dir={directory}",
            "about:blank",
        )  # fmt: skip
        self.process = subprocess.Popen(
            command,
            pass_fds=(theirs, their_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs)
        os.close(their_out)
        threading.Thread(target=self.listen, daemon=True).start()
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def listen(self):
        text = b""
        while block := os.read(self.incoming, 1 << 16):
            text += block
            *messages, text = text.split(b"\0")
            for message in messages:
                self.take(json.loads(message))

    def take(self, message):
        method, what = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"])
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(what["entry"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(what)
        elif method == "Network.requestWillBeSent":
            self.requested.append(what["request"]["url"])
        with self.changed:
            if "id" in message:
                self.answers[message["id"]] = message
                self.changed.notify_all()

    def call(self, method, **parameters):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.answers, PATIENCE):
                raise AssertionError(f"no answer to {method}")
            answer = self.answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def show(self, url, width, height=900, dark=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)

    def run(self, script):
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def text(self, selector="body"):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def await_text(self, selector, *texts):
        """Wait until all of the texts are in the first such element; return its text."""
        shown = ""

        def found():
            nonlocal shown
            shown = self.text(selector)
            return all(text in shown for text in texts)

        try:
            until(found, f"{texts} in {selector}")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{shown}\n{self.complaints}") from None
        return shown

    def type(self, selector, text):
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press_enter(self):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter",
                      windowsVirtualKeyCode=13, text="\r")  # fmt: skip

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(picture))

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
        except (AssertionError, OSError):
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.out)
