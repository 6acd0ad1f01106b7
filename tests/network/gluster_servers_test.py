# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gluster pools with several servers, each of which has a copy of everything: one that is away, or goes in
the middle, is done without."""

import contextlib
import os
import signal

from gluster_test import OnGluster
from harness import gluster, peers
from harness.onserver import MIB, Beside, noise, write_all

HOSTS = """<pool type='gluster'><name>{name}</name><source>{hosts}<dir path='/'/><name>pair</name></source>
<options xmlns='urn:cistern:storage:1.0'><option name='timeout' value='{timeout}'/></options></pool>"""


class Servers(Beside, OnGluster):
    POOL = "t"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pair = gluster.Pair()

    @classmethod
    def tearDownClass(cls):
        for pool in ("t", "u"):
            peers.virsh(cls.peer, "pool-destroy", pool)
            peers.virsh(cls.peer, "pool-undefine", pool)
        cls.pair.stop()
        super().tearDownClass()

    @classmethod
    def pool_xml(cls, name, order=(0, 1), timeout=gluster.TIMEOUT_S, **how):
        if name not in ("t", "u"):
            return super().pool_xml(name, **how)
        hosts = "".join(f"<host name='{cls.pair.servers[i].host}'/>" for i in order)
        return HOSTS.format(name=name, hosts=hosts, timeout=timeout)

    def setUp(self):
        super().setUp()
        self.undefine("u")
        self.undefine("t")
        self.define("t")
        for name in self.names("t"):
            self.ok("vol-delete", name, "t")

    def away(self, number):
        """The first server, with its glusterd and its brick."""
        self.pair.signal(0, number)
        if number == signal.SIGKILL:
            self.addCleanup(self.pair.revive, 0)
        else:
            self.addCleanup(self.pair.signal, 0, signal.SIGCONT)

    def start_beside(self, number):
        """A pool that has no connection yet is started while the first server is away."""
        self.ok("vol-create-as", "t", "a", "1M", "--format", "qcow2")
        self.define("u", start=False, timeout=gluster.TIMEOUT_S + 1)
        with self.beside():
            self.away(number)
            self.ok("pool-start", "u")
            self.assertEqual(["a"], self.names("u"))
            # Paths name the first server, whichever is there.
            self.assertEqual(f"gluster://{self.pair.servers[0].host}/pair/a",
                             self.ok("vol-path", "a", "--pool", "u").strip())
            self.ok("vol-create-as", "u", "b", "1M")
        self.assertEqual(bytes(MIB), self.pair.held(1, "b"))

    def test_a_first_server_that_is_killed_at_the_start(self):
        self.start_beside(signal.SIGKILL)

    def test_a_first_server_that_is_frozen_at_the_start(self):
        self.start_beside(signal.SIGSTOP)

    def upload_beside(self, number):
        """An upload goes on when one of the servers goes in the middle."""
        self.ok("vol-create-as", "t", "a", "64M")
        payload = noise(64 * MIB, 3)
        held = os.path.join(self.pair.bricks[1], "a")
        with self.beside(), self.transfer("vol-upload", "a") as (uploading, fifo):
            with open(fifo, "wb", buffering=0) as stream, contextlib.suppress(BrokenPipeError):
                write_all(stream, payload[:32 * MIB])
                self.wait_until(lambda: os.stat(held).st_blocks * 512 > 4 * MIB,
                                "4 MiB are on the brick")
                self.away(number)
                write_all(stream, payload[32 * MIB:])
            self.assertEqual("", uploading.communicate(timeout=120)[1].strip())
        self.assertEqual(0, uploading.returncode)
        self.assertTrue(self.pair.held(1, "a") == payload)
        self.assertTrue(self.download("a") == payload)

    def test_a_server_that_is_killed_in_the_middle_of_a_write(self):
        self.upload_beside(signal.SIGKILL)

    def test_a_server_that_freezes_in_the_middle_of_a_write(self):
        self.upload_beside(signal.SIGSTOP)

    def test_both_away_is_an_error_and_either_is_enough_again(self):
        self.ok("vol-create-as", "t", "a", "1M")
        for which in (0, 1):
            self.pair.signal(which, signal.SIGSTOP)
            self.addCleanup(self.pair.signal, which, signal.SIGCONT)
        self.cistern("pool-refresh", "t", status=6)
        self.pair.signal(1, signal.SIGCONT)
        self.wait_until(lambda: peers.virsh(self.peer, "pool-refresh", "t")[0] == 0,
                        "the pool is refreshed again")
        self.assertEqual(["a"], self.names("t"))
