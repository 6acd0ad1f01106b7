# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-import of URLs whose public server leads to addresses of the host and its network."""

import os
import subprocess
import sys
import unittest

from harness import http_lab, space
from import_test import MIB, Importing, read

PUBLIC, OTHER, PUBLIC_6 = "203.0.113.1", "203.0.113.2", "2001:db8::1"
PRIVATE = ("10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "127.0.0.1")
PRIVATE_6 = ("fd00::1", "::1")
HOSTS = f"127.0.0.1 localhost\n{PUBLIC} outer.example\n127.0.0.1 inner.example\n10.1.2.3 lan.example\n"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def can_isolate():
    return subprocess.run(["unshare", "-m", "-n", "ip", "link", "set", "lo", "up"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


@unittest.skipUnless(can_isolate(), "needs a network namespace")
class Redirects(Importing):
    def setUp(self):
        super().setUp()
        self.content = os.urandom(MIB)
        self.log = self.file("connections", "")
        new = [*PRIVATE[:-1], PUBLIC, OTHER, PUBLIC_6, PRIVATE_6[0]]
        self.lab = self.background(
            ["unshare", "-m", "-n", "--propagation", "private", sys.executable, http_lab.__file__,
             self.file("hosts", HOSTS), self.log, self.file("content", self.content),
             *(address + ("/128" if ":" in address else "/32") for address in new)])
        self.assertEqual("ready\n", self.lab.stdout.readline())

    def run_import(self, *words, stdin=b"", pool="p"):
        env = {name: value for name, value in space.ENV.items() if name.lower() not in PROXIES}
        done = subprocess.run(["nsenter", "-t", str(self.lab.pid), "-m", "-n", space.CISTERN, "-c",
                               self.peer.uri, "vol-import", "--pool", pool, "--spool-dir", self.spool,
                               *words], input=stdin, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def connections(self):
        """The addresses that were connected to since the last call."""
        found = read(self.log).decode().split()
        os.truncate(self.log, 0)
        return set(found)

    def assert_refused(self, url, address, *words):
        err = self.refused(url, "x", *words, code=4, text=f"at the private address {address}; if you")
        self.assertIn("import that URL itself", err)

    def test_redirect_from_a_public_to_a_private_address_is_refused(self):
        for address in PRIVATE + PRIVATE_6 + ("::ffff:127.0.0.1", "::ffff:10.1.2.3", "0.0.0.0"):
            host = f"[{address}]" if ":" in address else address
            self.assert_refused(f"http://{PUBLIC}/to?http://{host}/disk.raw", address)
            self.assertEqual({PUBLIC}, self.connections())

    def test_redirect_to_a_name_with_a_private_address_is_refused(self):
        for name, address in (("inner.example", "127.0.0.1"), ("lan.example", "10.1.2.3"),
                              ("2130706433", "127.0.0.1"), ("0x7f.1", "127.0.0.1")):
            self.assert_refused(f"http://outer.example/to?http://{name}/disk.raw", address)
            self.assertEqual({PUBLIC}, self.connections())

    def test_redirect_over_another_server_to_a_private_address_is_refused(self):
        for first in (OTHER, f"[{PUBLIC_6}]", "127.0.0.1"):
            self.assert_refused(f"http://{first}/to?http://{PUBLIC}/to?http://10.1.2.3/x", "10.1.2.3")
            self.assertEqual({first.strip("[]"), PUBLIC}, self.connections())

    def test_list_of_checksums_that_leads_to_a_private_address_is_refused(self):
        self.assert_refused(f"http://{PUBLIC}/disk.raw", "10.1.2.3", "--checksum-url",
                            f"http://{PUBLIC}/to?http://10.1.2.3/SUMS")
        self.assertNotIn("10.1.2.3", self.connections())

    def test_url_of_the_user_may_have_a_private_address_and_redirect_to_another(self):
        for number, url in enumerate(("http://10.1.2.3/disk.raw", "http://inner.example/disk.raw",
                                      "http://[fd00::1]/disk.raw",
                                      "http://10.1.2.3/to?http://192.168.1.1/disk.raw",
                                      "http://10.1.2.3/to?http://inner.example/disk.raw",
                                      f"http://127.0.0.1/to?http://{PUBLIC}/disk.raw",
                                      f"http://{PUBLIC}/to?http://{OTHER}/disk.raw",
                                      f"http://{PUBLIC}/to?http://[{PUBLIC_6}]/disk.raw")):
            self.made(url, f"v{number}")
            self.assert_content(f"v{number}", self.content)
