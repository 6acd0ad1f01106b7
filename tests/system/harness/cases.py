# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test case bases: a daemon of ours, alone or with stock libvirtd beside it."""

import contextlib
import os
import shlex
import subprocess
import unittest

from . import peers, space, wait, wire


def long(instead):
    """
    Marks a test or a class that the short run leaves out (`make test-all` runs it). INSTEAD says what
    the short run has of the same subject.
    """
    def mark(test):
        assert instead
        test.is_long = True
        return test
    return mark


def run(argv, **options):
    return peers.run(argv, **options)


class Patient(unittest.TestCase):
    """Has wait.until() as a method."""

    wait_until = staticmethod(wait.until)


class OnPeer(Patient):
    """Makes paths and files in the directories of the daemon "peer" of the class."""

    def at(self, *parts):
        return os.path.join(self.peer.dir, *parts)

    def file(self, name, content=b""):
        path = os.path.join(self.peer.files, name)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path


class WithDaemon(OnPeer):
    """One cisternd for the class, with an active directory pool "p" made anew for each test."""

    maxDiff = None
    CONFIG = None  # of the daemon

    @classmethod
    def setUpClass(cls):
        cls.peer = peers.ours(cls.CONFIG)
        cls.peer.fresh()

    @classmethod
    def tearDownClass(cls):
        cls.peer.stop()

    def setUp(self):
        if self.peer.process is None or self.peer.process.poll() is not None:
            self.peer.fresh()
        self.clear()
        os.makedirs(self.at("p"))
        self.ok("pool-define-as", "p", "dir", "--target", self.at("p"))
        self.ok("pool-start", "p")

    def clear(self):
        pools = self.virsh("pool-list", "--all", "--name")[1].split()
        if pools:
            self.virsh("; ".join(f"pool-destroy {name}; pool-undefine {name}"
                                 for name in map(shlex.quote, pools)))
        peers.empty(self.peer.dir)
        peers.empty(self.peer.files)

    def virsh(self, *words, **options):
        return peers.virsh(self.peer, *words, **options)

    def ok(self, *words, **options):
        status, out, err = self.virsh(*words, **options)
        self.assertEqual(0, status, f"virsh {' '.join(words)}: {err}")
        return out

    def fails(self, *words, text=None, **options):
        """The command fails with one clear error; returns its text."""
        status, _out, err = self.virsh(*words, **options)
        self.assertEqual(1, status, f"virsh {' '.join(words)} should have failed: {err}")
        if text:
            self.assertIn(text, err)
        return err

    def cistern(self, *words, **options):
        return peers.run([space.CISTERN, "-c", self.peer.uri, *words], **options)

    def wire(self, ro=False, **options):
        client = wire.Wire(self.peer.sock_ro if ro else self.peer.sock, **options)
        self.addCleanup(client.close)
        return client

    def refused(self, client, proc, payload=b"", code=None, **options):
        """The call is answered by an error; returns it."""
        with self.assertRaises(wire.RemoteError) as caught:
            client.call(proc, payload, **options)
        if code is not None:
            self.assertEqual(code, caught.exception.code, caught.exception.text)
        return caught.exception

    def assert_alive(self):
        self.assertIsNone(self.peer.process.poll(), "the daemon is gone")
        self.assertTrue(wire.alive(self.peer.sock))

    def background(self, argv, **options):
        """A process that the test does not wait for; it is gone after the test."""
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=space.ENV, **options)
        self.addCleanup(self.reap, child)
        return child

    @staticmethod
    def reap(child):
        if child.poll() is None:
            child.kill()
        with contextlib.suppress(ValueError):  # its test has closed what it says
            child.communicate(timeout=wait.LIMIT_S)

    def entries(self, *parts):
        """Every name in a pool's directory, hidden ones too."""
        return sorted(os.listdir(self.at(*parts)))


class WithTwoDaemons(WithDaemon):
    """And a second one, far, as on another host."""

    @staticmethod
    def another():
        return peers.Cisternd("far")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.far = cls.another()
        cls.far.fresh()

    @classmethod
    def tearDownClass(cls):
        cls.far.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        if self.far.process is None or self.far.process.poll() is not None:
            self.far.fresh()

    def make_pool_there(self, target):
        """Its pool "p" is an active one of that directory."""
        for words in (["pool-destroy", "p"], ["pool-undefine", "p"]):
            peers.virsh(self.far, *words)
        for words in (["pool-define-as", "p", "dir", "--target", target], ["pool-start", "p"]):
            self.assertEqual(0, peers.virsh(self.far, *words)[0])
