# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events as stock clients see them, on both servers."""

import os
import signal
import subprocess
import threading
import time
import unittest

import libvirt

from harness import peers, space

POOL_XML = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
SECRET_XML = ("<secret><uuid>aaaaaaaa-0000-0000-0000-000000000009</uuid>"
              "<usage type='ceph'><name>ev</name></usage></secret>")

# What virsh says when it closes its connection while its thread of events still holds it.
VIRSH_CLOSED_EARLY = ("error: One or more references were leaked after disconnect "
                      "from the hypervisor\n")


def start_event_loop():
    libvirt.virEventRegisterDefaultImpl()

    def turn():
        while True:
            libvirt.virEventRunDefaultImpl()
    threading.Thread(target=turn, daemon=True).start()


class Listener:
    """Collects events of one connection as short texts."""

    def __init__(self, uri):
        self.seen = []
        self.conn = libvirt.open(uri)

    def pools(self, pool=None):
        self.conn.storagePoolEventRegisterAny(pool, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
                                              self.lifecycle, None)
        self.conn.storagePoolEventRegisterAny(pool, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                                              self.refresh, None)
        return self

    def secrets(self):
        self.conn.secretEventRegisterAny(None, libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE,
                                         self.secret_lifecycle, None)
        self.conn.secretEventRegisterAny(None, libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED,
                                         self.secret_value, None)
        return self

    def lifecycle(self, _conn, pool, event, detail, _opaque):
        self.seen.append(f"{pool.name()} lifecycle {event} {detail}")

    def refresh(self, _conn, pool, _opaque):
        self.seen.append(f"{pool.name()} refresh")

    def secret_lifecycle(self, _conn, secret, event, detail, _opaque):
        self.seen.append(f"{secret.UUIDString()} {secret.usageID()} lifecycle {event} {detail}")

    def secret_value(self, _conn, secret, _opaque):
        self.seen.append(f"{secret.UUIDString()} value")

    def settle(self, quiet=0.4):
        """The events so far, once none has come for a while."""
        count = -1
        while count != len(self.seen):
            count = len(self.seen)
            time.sleep(quiet)
        return list(self.seen)


def whole_life_of_a_pool(conn, directory):
    path = os.path.join(directory, "ev")
    pool = conn.storagePoolDefineXML(POOL_XML.format(name="ev", path=path))
    conn.storagePoolDefineXML(POOL_XML.format(name="ev", path=path).replace(
        "<name>", f"<uuid>{pool.UUIDString()}</uuid><name>"))
    pool.build(0)
    pool.create(0)
    pool.setAutostart(1)
    pool.setAutostart(0)
    pool.refresh(0)
    vol = pool.createXML("<volume><name>v</name><capacity>65536</capacity></volume>", 0)
    vol.resize(131072)
    vol.wipe(0)
    vol.delete(0)
    pool.destroy()
    pool.delete(0)
    pool.undefine()


def transient_pool_built_on_creation(conn, directory):
    pool = conn.storagePoolCreateXML(POOL_XML.format(name="tr", path=os.path.join(directory, "tr")),
                                     libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
    pool.destroy()


def upload(conn, directory, abort):
    path = os.path.join(directory, "up")
    os.mkdir(path)
    pool = conn.storagePoolCreateXML(POOL_XML.format(name="up", path=path), 0)
    vol = pool.createXML("<volume><name>v</name><capacity>65536</capacity></volume>", 0)
    stream = conn.newStream(0)
    vol.upload(stream, 0, 0, 0)
    stream.send(b"x" * 1000)
    if abort:
        stream.abort()
    else:
        stream.finish()
    time.sleep(1)
    pool.destroy()


def whole_life_of_a_secret(conn, _directory):
    secret = conn.secretDefineXML(SECRET_XML, 0)
    conn.secretDefineXML(SECRET_XML, 0)
    secret.setValue(b"abc", 0)
    secret.undefine()


class Events(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not peers.Libvirtd.available():
            raise unittest.SkipTest("stock libvirtd needs root, a mount namespace and its package")
        start_event_loop()
        cls.them, cls.ours = peers.Libvirtd(), peers.ours()
        cls.them.fresh()
        cls.ours.fresh()

    @classmethod
    def tearDownClass(cls):
        cls.them.stop()
        cls.ours.stop()

    def same(self, action, secrets=False):
        seen = {}
        for peer in (self.them, self.ours):
            peers.empty(peer.dir)
            uri = peer.secret_uri if secrets else peer.uri
            listener = Listener(uri)
            listener = listener.secrets() if secrets else listener.pools()
            worker = libvirt.open(uri)
            action(worker, peer.dir)
            seen[peer.name] = listener.settle()
            worker.close()
            listener.conn.close()
        self.assertEqual(seen["them"], seen["ours"])
        self.assertNotEqual([], seen["ours"])

    def test_whole_life_of_a_pool(self):
        self.same(whole_life_of_a_pool)

    def test_transient_pool_built_on_creation(self):
        self.same(transient_pool_built_on_creation)

    def test_upload_ends_in_a_refresh(self):
        self.same(lambda conn, directory: upload(conn, directory, False))

    def test_aborted_upload_ends_in_a_refresh(self):
        self.same(lambda conn, directory: upload(conn, directory, True))

    def test_whole_life_of_a_secret(self):
        self.same(whole_life_of_a_secret, secrets=True)

    def test_a_filter_shows_one_pool_only(self):
        conn = libvirt.open(self.ours.uri)
        one = conn.storagePoolDefineXML(POOL_XML.format(name="one", path="/one"))
        two = conn.storagePoolDefineXML(POOL_XML.format(name="two", path="/two"))
        listener = Listener(self.ours.uri)
        listener.pools(listener.conn.storagePoolLookupByName("one"))
        two.undefine()
        one.undefine()
        self.assertEqual(["one lifecycle 1 0"], listener.settle())
        listener.conn.close()
        conn.close()

    def test_a_listener_that_dies_is_forgotten(self):
        before = self.ours.fd_count()
        for _ in range(30):
            child = subprocess.Popen(["virsh", "-c", self.ours.uri, "pool-event", "--all",
                                      "--loop"], env=space.ENV, stdout=subprocess.DEVNULL,
                                     stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.02)
            child.kill()
            child.wait()
        conn = libvirt.open(self.ours.uri)
        conn.storagePoolDefineXML(POOL_XML.format(name="z", path="/z")).undefine()
        conn.close()
        time.sleep(0.3)
        self.assertLessEqual(self.ours.fd_count(), before + 1)

    def virsh_events(self, client, peer, arguments, commands):
        """What `pool-event` prints while the commands run."""
        child = subprocess.Popen([*client, "-c", peer.uri, *arguments], env=space.ENV, text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        time.sleep(0.25)
        for command in commands:
            peers.virsh(peer, *[w.replace("{d}", peer.dir) for w in command.split()])
        time.sleep(0.25)
        child.send_signal(signal.SIGINT)
        try:
            out, _ = child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            out, _ = child.communicate()
            out += "(had to be killed)"
        if client == ["virsh"]:
            out = out.replace(VIRSH_CLOSED_EARLY, "")
        return out, child.returncode

    def test_pool_event_prints_the_same(self):
        life = ["pool-define-as e dir --target {d}/e", "pool-build e", "pool-start e",
                "pool-refresh e", "pool-destroy e", "pool-undefine e"]
        clients = [["virsh"]] + ([] if "CST_SELF_CHECK" in os.environ else [[space.CISTERN]])
        for arguments in (["pool-event", "--all", "--loop"],
                          ["pool-event", "--event", "lifecycle"],
                          ["pool-event", "--event", "refresh", "--loop"],
                          ["pool-event", "--event", "lifecycle", "--timeout", "3", "--loop"],
                          ["pool-event", "--list"], ["pool-event"],
                          ["pool-event", "--event", "nonsense"]):
            wanted = self.virsh_events(["virsh"], self.them, arguments, life)
            for client in clients:
                with self.subTest(arguments=arguments, client=os.path.basename(client[0])):
                    text, status = self.virsh_events(client, self.ours, arguments, life)
                    self.assertEqual((wanted[0], wanted[1] == 0), (text, status == 0))
