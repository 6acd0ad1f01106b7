# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events as stock clients see them, on both servers."""

import os
import signal
import subprocess
import threading
import unittest

import libvirt

from harness import peers, proxy, space, wait

POOL_XML = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
SECRET_XML = ("<secret><uuid>aaaaaaaa-0000-0000-0000-000000000009</uuid>"
              "<usage type='ceph'><name>ev</name></usage></secret>")

REGISTER = 368
# What `pool-event` prints of the last event of the pool "fence".
LAST_EVENT = {"lifecycle": "fence: Undefined",
              "refresh": "event 'refresh' for storage pool fence"}

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

    def wait_for(self, words):
        wait.until(lambda: any(words in text for text in self.seen), f"the event '{words}'",
                   lambda: self.seen)

    def until_fence(self, conn, secrets):
        """The events so far: all that come before those of a pool or secret that CONN makes now."""
        if secrets:
            conn.secretDefineXML(SECRET_XML.replace("09</uuid>", "08</uuid>").replace(
                "<name>ev", "<name>fence"), 0).undefine()
            fence = "aaaaaaaa-0000-0000-0000-000000000008"
        else:
            conn.storagePoolDefineXML(POOL_XML.format(name="fence", path="/fence"), 0).undefine()
            fence = "fence"
        wait.until(lambda: len([text for text in self.seen if text.startswith(fence)]) == 2,
                   "both events of the fence", lambda: self.seen)
        return [text for text in self.seen if not text.startswith(fence)]


def whole_life_of_a_pool(conn, directory, _listener):
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


def transient_pool_built_on_creation(conn, directory, _listener):
    pool = conn.storagePoolCreateXML(POOL_XML.format(name="tr", path=os.path.join(directory, "tr")),
                                     libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
    pool.destroy()


def upload(conn, directory, listener, abort):
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
    listener.wait_for("up refresh")
    pool.destroy()


def whole_life_of_a_secret(conn, _directory, _listener):
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
            action(worker, peer.dir, listener)
            seen[peer.name] = listener.until_fence(worker, secrets)
            worker.close()
            listener.conn.close()
        self.assertEqual(seen["them"], seen["ours"])
        self.assertNotEqual([], seen["ours"])

    def test_whole_life_of_a_pool(self):
        self.same(whole_life_of_a_pool)

    def test_transient_pool_built_on_creation(self):
        self.same(transient_pool_built_on_creation)

    def test_upload_ends_in_a_refresh(self):
        self.same(lambda *what: upload(*what, False))

    def test_aborted_upload_ends_in_a_refresh(self):
        self.same(lambda *what: upload(*what, True))

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
        listener.wait_for("one lifecycle 1 0")
        self.assertEqual(["one lifecycle 1 0"], listener.seen)
        listener.conn.close()
        conn.close()

    def test_a_listener_that_dies_is_forgotten(self):
        before = self.ours.fd_count()
        for _ in range(30):
            child = subprocess.Popen(["virsh", "-c", self.ours.uri, "pool-event", "--event",
                                      "lifecycle", "--loop"], env=space.ENV, stdout=subprocess.DEVNULL,
                                     stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait.until(lambda: wait.sockets(child.pid), "virsh has a socket",
                       lambda: f"ended with {child.poll()}")
            child.kill()
            child.wait()
        conn = libvirt.open(self.ours.uri)
        conn.storagePoolDefineXML(POOL_XML.format(name="z", path="/z")).undefine()
        conn.close()
        wait.until(lambda: self.ours.fd_count() <= before + 1, f"at most {before + 1} descriptors",
                   self.ours.fd_count)

    def virsh_events(self, client, peer, arguments, commands):
        """
        What `pool-event` prints while the commands run. They begin when it is registered at the
        server. With --loop it is interrupted when it has printed an event of the pool "fence".
        """
        registered = []

        def note(proc, sent, payload):
            if proc == REGISTER and not sent:
                registered.append(proc)
            return payload

        between = proxy.Proxy(peer, message=note)
        self.addCleanup(between.close)
        by_line = ["stdbuf", "-oL"] if client == ["virsh"] else []
        child = subprocess.Popen([*by_line, *client, "-c", between.uri, *arguments], env=space.ENV,
                                 text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        wait.until(lambda: registered or child.poll() is not None,
                   f"{arguments} has registered, or has ended", lambda: registered)
        out = ""
        if commands:
            for command in commands:
                peers.virsh(peer, *[w.replace("{d}", peer.dir) for w in command.split()])
        if commands and child.poll() is None and "--loop" in arguments:
            for line in child.stdout:
                out += line
                if LAST_EVENT[arguments[2]] in line:
                    break
            child.send_signal(signal.SIGINT)
        try:
            out += child.communicate(timeout=wait.LIMIT_S)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            out += child.communicate()[0] + "(had to be killed)"
        if client == ["virsh"]:
            out = out.replace(VIRSH_CLOSED_EARLY, "")
        return out, child.returncode

    def test_pool_event_prints_the_same(self):
        life = ["pool-define-as e dir --target {d}/e", "pool-build e", "pool-start e",
                "pool-refresh e", "pool-destroy e", "pool-undefine e",
                "pool-define-as fence dir --target {d}/fence", "pool-build fence",
                "pool-start fence", "pool-refresh fence", "pool-destroy fence", "pool-undefine fence"]
        clients = [["virsh"]] + ([] if "CST_SELF_CHECK" in os.environ else [[space.CISTERN]])
        for arguments in (["pool-event", "--all", "--loop"],
                          ["pool-event", "--event", "lifecycle"],
                          ["pool-event", "--event", "refresh", "--loop"],
                          ["pool-event", "--event", "lifecycle", "--timeout", "600", "--loop"],
                          ["pool-event", "--event", "lifecycle", "--timeout", "1"],
                          ["pool-event", "--list"], ["pool-event"],
                          ["pool-event", "--event", "nonsense"]):
            commands = [] if "1" in arguments else life
            wanted = self.virsh_events(["virsh"], self.them, arguments, commands)
            for client in clients:
                with self.subTest(arguments=arguments, client=os.path.basename(client[0])):
                    text, status = self.virsh_events(client, self.ours, arguments, commands)
                    self.assertEqual((wanted[0], wanted[1] == 0), (text, status == 0))
