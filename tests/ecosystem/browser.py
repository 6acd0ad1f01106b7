# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chromium without a screen, driven through its debugging protocol on loopback; pictures of the page go
to BUILD/ecosystem."""

import atexit
import base64
import importlib.util
import json
import os
import subprocess
import urllib.request

from harness import space, wait

CHROMIUM = "/usr/lib/chromium/chromium"
PICTURES = os.path.join(space.BUILD, "ecosystem")

# A field that a framework watches hears of a new value only by an event.
CHOOSE = """(([selector, value]) => {
    const field = document.querySelector(selector);
    Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, 'value').set.call(field, value);
    field.dispatchEvent(new Event('change', {bubbles: true}));
})"""
FOCUS = """((selector) => {
    const field = document.querySelector(selector);
    field.focus();
    field.select();
})"""
CLICK = """(([selector, text]) => {
    const found = [...document.querySelectorAll(selector)].filter(
        (e) => e.offsetParent !== null && !e.disabled && (text === null || e.innerText.trim() === text));
    if (found.length === 0)
        return false;
    found[0].click();
    return true;
})"""


def missing():
    """What is not installed; "" when all is there."""
    absent = [] if os.path.exists(CHROMIUM) else ["chromium"]
    if not importlib.util.find_spec("websocket"):
        absent.append("python3-websocket")
    return ", ".join(absent)


class Browser:
    def __init__(self):
        import websocket
        home = space.path("chromium")
        os.makedirs(PICTURES, exist_ok=True)
        atexit.register(self.stop)
        with open(space.path("chromium.log"), "ab") as log:
            self.process = subprocess.Popen(
                [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--window-size=1280,900", "--remote-debugging-port=0", "--remote-allow-origins=*",
                 f"--user-data-dir={home}", "about:blank"], env=space.ENV, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        port = self.port(os.path.join(home, "DevToolsActivePort"))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as stream:
            page = next(tab for tab in json.load(stream) if tab["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=60)
        self.sent = 0
        self.call("Page.enable")

    def port(self, path):
        """Where it listens, which it chooses."""
        wait.until(lambda: os.path.exists(path) and os.path.getsize(path), "chromium listens")
        with open(path, encoding="utf-8") as stream:
            return int(stream.readline())

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def call(self, method, **params):
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.sent:
                return message.get("result", message)

    def js(self, function, *argument):
        text = f"{function}({', '.join(json.dumps(a) for a in argument)})" if argument else function
        told = self.call("Runtime.evaluate", expression=text, returnByValue=True)
        return told.get("result", {}).get("value")

    def text(self):
        return self.js("document.body ? document.body.innerText : ''") or ""

    def open(self, url):
        self.call("Page.navigate", url=url)

    def picture(self, name):
        told = self.call("Page.captureScreenshot", format="png")
        with open(os.path.join(PICTURES, name + ".png"), "wb") as out:
            out.write(base64.b64decode(told["data"]))

    def until(self, check, what):
        try:
            wait.until(check, what, self.text)
        except wait.NeverTrue:
            self.picture("browser-waits")
            raise

    def sees(self, text):
        self.until(lambda: text in self.text(), f"'{text}' is shown")

    def click_if_there(self, selector, text=None):
        """Clicks the first one that is shown and can be clicked; returns whether there is one."""
        return self.js(CLICK, [selector, text])

    def click(self, selector, text=None):
        self.until(lambda: self.click_if_there(selector, text), f"a {selector} '{text or ''}'")

    def choose(self, selector, value):
        self.js(CHOOSE, [selector, value])

    def write(self, selector, text):
        self.until(lambda: self.js(f"document.querySelector({json.dumps(selector)}) !== null"),
                   f"no {selector}")
        self.js(FOCUS, selector)
        self.call("Input.insertText", text=text)
