# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stock libvirtd whose storage is Cistern's, by the module libvirt_driver_storage.so."""

import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

import libvirt

from events_test import Listener, start_event_loop
from harness import cases, libvirtd_module, peers, proxy, space, wait, wire

NOBODY = 65534
SET_IDENTITY, VOL_RESIZE, GET_HOSTNAME = 419, 260, 59
WORKERS = 20  # max_workers of libvirtd
MIB = 1 << 20

DOMAIN = """<domain type='qemu'><name>d</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='volume' device='disk'><driver name='qemu' type='raw'/>
<source pool='p' volume='v'/><target dev='vda' bus='virtio'/></disk>
<memballoon model='none'/></devices></domain>"""

# Libraries for LD_PRELOAD, each with one difference from the tested libvirt.
MISSING_SYMBOL = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
void *dlsym(void *handle, const char *name)
{
    void *(*real)(void *, const char *) = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    return strcmp(name, "virGetStorageVol") == 0 ? NULL : real(handle, name);
}
"""
NEWER_VERSION = """
int virGetVersion(unsigned long *version, const char *type, unsigned long *type_version)
{
    *version = 99001002;
    return 0;
}
"""
ANY_VERSION = NEWER_VERSION + """
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>
int access(const char *path, int mode)
{
    return strcmp(path, "/etc/cistern/libvirt-any") == 0 ? 0 : faccessat(-100, path, mode, 0);
}
"""
# Calls storageRegister() and prints its result.
REGISTER = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).storageRegister())"


class WithModule(cases.OnPeer):
    """cisternd and libvirtd for the class, and an active directory pool "p" for each test."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        libvirtd_module.needed()
        cls.peer = peers.Cisternd(config=libvirtd_module.SECRETS)
        cls.addClassCleanup(cls.peer.stop)
        cls.peer.fresh()
        cls.libvirtd = libvirtd_module.LibvirtdWithModule(cls.peer)
        cls.addClassCleanup(cls.libvirtd.end_domains)
        cls.addClassCleanup(cls.libvirtd.stop)
        cls.libvirtd.start()

    def setUp(self):
        self.addCleanup(self.clear)
        os.makedirs(self.at("p"))
        self.ok("pool-define-as", "p", "dir", "--target", self.at("p"))
        self.ok("pool-start", "p")

    def clear(self):
        for name in self.storage("pool-list", "--all", "--name")[1].split():
            self.storage("pool-destroy", name)
            self.storage("pool-undefine", name)
        peers.empty(self.peer.dir)
        peers.empty(self.peer.files)

    def storage(self, *words):
        """virsh at cisternd."""
        return peers.run(["virsh", "-c", self.peer.uri, *words])

    def virsh(self, *words, **options):
        return peers.run(["virsh", "-c", self.libvirtd.uri, *words], **options)

    def ok(self, *words, **options):
        status, out, err = self.virsh(*words, **options)
        self.assertEqual(0, status, f"virsh {' '.join(words)}: {err}\n{self.libvirtd.log()[-2000:]}")
        return out

    def fails(self, *words):
        """Returns the text of the error."""
        status, out, err = self.virsh(*words)
        self.assertEqual(1, status, f"virsh {' '.join(words)}: {out}{err}")
        self.assertIn("error: ", err)
        return err

    def start_virsh(self, *words):
        child = subprocess.Popen(["virsh", "-c", self.libvirtd.uri, *words], env=space.ENV,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        self.addCleanup(cases.WithDaemon.reap, child)
        return child

    def stop_cisternd(self):
        """Stops cisternd until the end of the test."""
        process = self.peer.process
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        self.wait_until(lambda: wait.process_state(process.pid) == "T", "cisternd is stopped")

    def held(self, **options):
        """A proxy in the place of the socket of cisternd."""
        server = libvirtd_module.HoldingProxy(self.peer, **options)
        self.addCleanup(server.close)
        return server

    def kill_cisternd(self):
        self.peer.stop(signal.SIGKILL)
        self.addCleanup(self.return_cisternd)

    def return_cisternd(self):
        if self.peer.process is None:
            self.peer.start()

    def stream_threads(self):
        return sum(name == "cistern-stream" for name, _ in wait.threads(self.libvirtd.process.pid))

    def wait_for_stream(self, child):
        self.wait_until(lambda: self.stream_threads() or child.poll() is not None, "a stream is open")
        self.assertIsNone(child.poll(), "the client has ended")


class Linked(unittest.TestCase):
    def test_module_links_public_symbols_of_libvirt_only(self):
        if not os.path.exists(libvirtd_module.MODULE):
            self.skipTest("this build has no libvirt_driver_storage.so")
        out = subprocess.run(["nm", "-D", libvirtd_module.MODULE], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(["storageRegister"], re.findall(r" T (\S+)$", out, re.M))
        needed = re.findall(r" U (vir\S+)$", out, re.M)
        self.assertIn("virConnectOpen@LIBVIRT_0.0.3", needed)
        self.assertEqual([], [name for name in needed if "@LIBVIRT_PRIVATE" in name
                              or not re.search(r"@LIBVIRT_\d", name)])


class Calls(WithModule):
    def test_pool_verbs_reach_cisternd(self):
        xml = self.file("q.xml", f"<pool type='dir'><name>q</name><target><path>{self.at('q')}"
                                 "</path></target></pool>")
        self.ok("pool-define", xml)
        self.ok("pool-build", "q")
        self.assertTrue(os.path.isdir(self.at("q")))
        self.ok("pool-start", "q")
        self.ok("pool-autostart", "q")
        self.assertRegex(self.ok("pool-info", "q"), r"State: +running\n(.*\n)*Autostart: +yes")
        self.ok("pool-autostart", "q", "--disable")
        uuid = self.ok("pool-uuid", "q").strip()
        self.assertEqual("q", self.ok("pool-name", uuid).strip())
        self.file("../ours/q/new", b"x")
        self.ok("pool-refresh", "q")
        self.assertIn("new", self.ok("vol-list", "q"))
        self.assertIn(f"<uuid>{uuid}</uuid>", self.ok("pool-dumpxml", "q"))
        self.assertIn(uuid, self.storage("pool-dumpxml", "q")[1])
        self.assertEqual(["p", "q"], sorted(self.ok("pool-list", "--all", "--name").split()))
        self.assertIn("<pool type='dir'", self.ok("pool-capabilities"))
        self.ok("vol-delete", "new", "--pool", "q")
        self.ok("pool-destroy", "q")
        self.ok("pool-delete", "q")
        self.assertFalse(os.path.exists(self.at("q")))
        self.ok("pool-undefine", "q")
        self.assertEqual(["p"], self.storage("pool-list", "--all", "--name")[1].split())
        self.ok("pool-create", xml, "--build")
        self.assertRegex(self.ok("pool-info", "q"), r"Persistent: +no")

    def test_volume_verbs_reach_cisternd(self):
        self.ok("vol-create-as", "p", "v", "1M", "--format", "qcow2")
        path = self.at("p", "v")
        self.assertEqual(path, self.ok("vol-path", "v", "--pool", "p").strip())
        key = self.ok("vol-key", path).strip()
        self.assertEqual("v", self.ok("vol-name", key).strip())
        self.assertEqual("p", self.ok("vol-pool", path).strip())
        self.ok("vol-resize", "v", "2M", "--pool", "p")
        self.assertRegex(self.ok("vol-info", "v", "--pool", "p"), r"Capacity: +2.00 MiB")
        self.assertRegex(self.ok("vol-info", "v", "--pool", "p", "--physical"), r"Physical: +")
        self.ok("vol-clone", "v", "c", "--pool", "p")
        self.assertIn("<format type='qcow2'/>", self.ok("vol-dumpxml", "c", "--pool", "p"))
        xml = self.file("x.xml", "<volume><name>x</name><capacity>4096</capacity></volume>")
        self.ok("vol-create", "p", xml)
        self.file("../ours/p/x", b"\1" * 4096)
        self.ok("vol-wipe", "x", "--pool", "p")
        self.ok("vol-wipe", "x", "--pool", "p", "--algorithm", "zero")
        with open(self.at("p", "x"), "rb") as stream:
            self.assertEqual(b"\0" * 4096, stream.read())
        self.assertEqual(3, len(re.findall("ours/p/", self.ok("vol-list", "p"))))
        for name in ("v", "c", "x"):
            self.ok("vol-delete", name, "--pool", "p")
        self.assertEqual([], os.listdir(self.at("p")))

    def test_pools_are_seen_at_the_uri_of_the_storage_driver(self):
        uri = f"storage+unix:///system?socket={self.libvirtd.sock}"
        self.assertIn("active", peers.run(["virsh", "-c", uri, "pool-list"])[1])

    def test_read_only_socket_reads_and_refuses_changes(self):
        virsh = ["virsh", "-c", self.libvirtd.uri_ro]
        self.assertIn("active", peers.run([*virsh, "pool-list"])[1])
        status, _, err = peers.run([*virsh, "vol-create-as", "p", "v", "1M"])
        self.assertEqual(1, status)
        self.assertIn("read only access prevents", err)
        self.assertEqual([], os.listdir(self.at("p")))

    def test_error_of_cisternd_reaches_the_client_unchanged(self):
        libvirt.registerErrorHandler(lambda *_: None, None)
        self.ok("vol-create-as", "p", "v", "1M")
        calls = {
            "no pool": lambda conn: conn.storagePoolLookupByName("missing"),
            "no volume": lambda conn: conn.storagePoolLookupByName("p").storageVolLookupByName("x"),
            "no key": lambda conn: conn.storageVolLookupByKey("missing"),
            "bad XML": lambda conn: conn.storagePoolDefineXML("<pool", 0),
            "active": lambda conn: conn.storagePoolLookupByName("p").undefine(),
            "exists": lambda conn: conn.storagePoolLookupByName("p").createXML(
                "<volume><name>v</name><capacity>1</capacity></volume>", 0),
            "shrink": lambda conn: conn.storagePoolLookupByName("p").storageVolLookupByName(
                "v").resize(1, 0),
        }
        for name, call in calls.items():
            seen = []
            for uri in (self.peer.uri, self.libvirtd.uri):
                conn = libvirt.open(uri)
                with self.assertRaises(libvirt.libvirtError) as caught:
                    call(conn)
                error = caught.exception
                seen.append((error.get_error_code(), error.get_error_domain(),
                             error.get_error_message()))
                conn.close()
            with self.subTest(name):
                self.assertEqual(seen[0], seen[1])
                self.assertTrue(seen[0][2])

    def test_identity_of_the_client_is_sent_to_cisternd(self):
        sent = []

        def message(proc, by_client, payload):
            if proc == SET_IDENTITY and by_client:
                sent.append(payload)
            return payload
        server = proxy.Proxy(self.peer, message=message)
        self.addCleanup(server.close)
        moved = self.peer.sock + ".moved"
        os.rename(self.peer.sock, moved)
        self.addCleanup(os.rename, moved, self.peer.sock)
        server.target = moved
        os.rename(server.sock, self.peer.sock)
        open(server.sock, "wb").close()
        self.assertIn("active", self.ok("pool-list", user=NOBODY))
        uid = wire.string("unix-user-id")
        self.assertTrue([p for p in sent if uid in p and NOBODY.to_bytes(8, "big")
                         == p.partition(uid)[2][4:12]], sent)


class Secrets(WithModule):
    def test_secrets_are_managed_by_libvirtd(self):
        self.ok("secret-define", self.file(
            "s.xml", "<secret><uuid>11111111-2222-3333-4444-555555555555</uuid></secret>"))
        self.addCleanup(self.virsh, "secret-undefine", "11111111-2222-3333-4444-555555555555")
        with open(os.path.join(self.peer.root, "run/libvirt/secrets/driver.pid"),
                  encoding="ascii") as stream:
            self.assertEqual(self.libvirtd.process.pid, int(stream.read()))
        self.peer.restart()
        self.libvirtd.restart()
        self.assertIn("11111111-2222", self.ok("secret-list"))
        self.assertIn("active", self.ok("pool-list"))


class Streams(WithModule):
    def volume(self, size):
        self.ok("vol-create-as", "p", "v", str(size))

    def download(self, *words):
        path = os.path.join(self.peer.files, "down")
        self.ok("vol-download", "v", path, "--pool", "p", *words)
        with open(path, "rb") as stream:
            return stream.read(), os.stat(path).st_blocks * 512

    def test_bytes_are_equal_after_upload_and_download(self):
        data = os.urandom(9 * MIB + 17)
        self.volume(len(data))
        self.ok("vol-upload", "v", self.file("up", data), "--pool", "p")
        with open(self.at("p", "v"), "rb") as stream:
            self.assertTrue(stream.read() == data, "the volume has other bytes")
        self.assertTrue(self.download()[0] == data, "the download has other bytes")
        self.ok("vol-upload", "v", self.file("part", b"x" * 100), "--pool", "p", "--offset", "1000")
        got = self.download("--offset", "990", "--length", "120")[0]
        self.assertTrue(got == data[990:1000] + b"x" * 100 + data[1100:1110])

    def test_holes_are_kept_in_both_directions(self):
        path = self.file("up")
        with open(path, "r+b") as out:
            for at in (0, 8 * MIB, 16 * MIB):
                out.seek(at)
                out.write(os.urandom(MIB))
            out.truncate(32 * MIB)
        with open(path, "rb") as stream:
            data = stream.read()
        self.volume(len(data))
        self.ok("vol-upload", "v", path, "--pool", "p", "--sparse")
        with open(self.at("p", "v"), "rb") as stream:
            self.assertTrue(stream.read() == data, "the volume has other bytes")
        self.assertLess(os.stat(self.at("p", "v")).st_blocks * 512, 8 * MIB)
        got, allocated = self.download("--sparse")
        self.assertTrue(got == data, "the download has other bytes")
        self.assertLess(allocated, 8 * MIB)
        self.assertTrue(self.download()[0] == data, "the whole download has other bytes")

    def held_upload(self):
        """An upload whose client waits for more data from a pipe."""
        self.volume(64 * MIB)
        pipe = os.path.join(self.peer.files, "pipe")
        os.mkfifo(pipe)
        child = self.start_virsh("vol-upload", "v", pipe, "--pool", "p")
        # Opened for reading too, so that the test does not wait for the client.
        self.pipe = open(os.open(pipe, os.O_RDWR | os.O_NONBLOCK), "wb", buffering=0)
        self.addCleanup(self.pipe.close)
        self.feed()
        self.wait_for_stream(child)
        return child

    def feed(self):
        """Writes to the pipe of held_upload() as much as there is room for."""
        self.pipe.write(b"x" * 65536)
        return True

    def held_download(self):
        """A download whose client waits for room in a pipe."""
        self.volume(64 * MIB)
        pipe = os.path.join(self.peer.files, "pipe")
        os.mkfifo(pipe)
        fd = os.open(pipe, os.O_RDWR)
        self.addCleanup(os.close, fd)
        child = self.start_virsh("vol-download", "v", pipe, "--pool", "p")
        self.wait_for_stream(child)
        return child

    @cases.long("test_download_without_progress has a held stream")
    def test_killed_client_leaves_no_thread(self):
        for start in (self.held_upload, self.held_download):
            child = start()
            child.kill()
            self.wait_until(lambda: self.stream_threads() == 0, "the thread of the stream ends")
            os.unlink(os.path.join(self.peer.files, "pipe"))
            self.wait_until(lambda: self.virsh("vol-delete", "v", "--pool", "p")[0] == 0,
                            "the volume is free")

    def test_error_of_a_download_is_sent_once(self):
        self.volume(16 * MIB)
        server = self.held(most=MIB)
        client = wire.Wire(self.libvirtd.sock)
        self.addCleanup(client.close)
        client.open("qemu:///system")
        volume = wire.vol_arg("p", "v", self.at("p", "v"))
        client.call(proxy.DOWNLOAD, volume + wire.u64(0) + wire.u64(0) + wire.u32(0))
        client.kept.append(client.wait_for(lambda packet: packet.type == wire.STREAM))
        self.wait_until(lambda: server.passed >= MIB, "the stream is held", lambda: server.passed)
        server.hang_up()

        def is_error(packet):
            return packet.type == wire.STREAM and packet.status == wire.ERROR
        first = client.wait_for(is_error)
        self.assertRaises(wire.RemoteError, first.reader)
        # Another error would come before these answers.
        for _ in range(3):
            client.call(GET_HOSTNAME)
        self.assertEqual(0, sum(is_error(packet) for packet in client.kept))
        self.wait_until(lambda: self.stream_threads() == 0, "the thread of the stream ends")

    @cases.long("test_download_without_progress has a held stream")
    def test_killed_cisternd_ends_an_upload_with_an_error(self):
        child = self.held_upload()
        self.kill_cisternd()
        # The client reads the error when it sends more.
        self.wait_until(lambda: self.feed() and child.poll() is not None, "the upload ends")
        self.assertIn("error: ", child.communicate(timeout=wait.LIMIT_S)[1])
        self.assertEqual(1, child.returncode)
        self.wait_until(lambda: self.stream_threads() == 0, "the thread of the stream ends")

    @cases.long("test_download_without_progress has a held stream")
    def test_upload_without_progress_does_not_delay_other_clients(self):
        server = self.held(most=MIB)
        child = self.held_upload()
        # Then the queue of the module is full. A pipe that is full too early hides a stall only.
        full = 0

        def is_full():
            nonlocal full
            full = 0 if self.pipe.write(b"x" * 65536) else full + 1
            return full > 100
        self.wait_until(is_full, "the client reads no more from the pipe")
        self.assert_delays_no_client(child, server)

    def assert_delays_no_client(self, child, server):
        """The client CHILD of a stream that SERVER holds for good delays no other client."""
        self.assertEqual([], self.ok("list", "--name").split())
        self.assertIsNone(child.poll(), "the client has ended")
        child.kill()
        self.assertEqual([], self.ok("list", "--name").split())
        self.assertEqual(1, self.stream_threads(), "the stream has ended")
        server.hang_up()
        self.wait_until(lambda: self.stream_threads() == 0, "the thread of the stream ends")

    @cases.long("test_download_without_progress has a held stream")
    def test_stopped_cisternd_at_the_end_of_an_upload_gives_an_error(self):
        child = self.held_upload()
        self.stop_cisternd()
        self.pipe.close()
        self.assertIn("error: ", child.communicate(timeout=wait.LIMIT_S)[1])
        self.assertEqual(1, child.returncode)
        self.assertEqual([], self.ok("list", "--name").split())

    def test_download_without_progress_does_not_delay_other_clients(self):
        self.volume(64 * MIB)
        server = self.held(most=4 * MIB)
        path = self.file("down")
        child = self.start_virsh("vol-download", "v", path, "--pool", "p")
        # libvirt's client may keep the last data until more comes.
        self.wait_until(lambda: server.passed >= 4 * MIB and os.path.getsize(path) > 0,
                        "the client has data and waits for more",
                        lambda: (server.passed, os.path.getsize(path)))
        self.assert_delays_no_client(child, server)


class Events(WithModule):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        start_event_loop()

    def listen(self):
        listener = Listener(self.libvirtd.uri).pools()
        self.addCleanup(listener.conn.close)
        return listener

    def test_lifecycle_and_refresh_reach_the_client(self):
        listener = self.listen()
        self.ok("pool-refresh", "p")
        self.ok("pool-destroy", "p")
        self.ok("pool-start", "p")
        self.wait_until(lambda: "p lifecycle 2 0" in listener.seen, "the pool has started",
                        lambda: listener.seen)
        self.assertLess(listener.seen.index("p refresh"), listener.seen.index("p lifecycle 3 0"))

    @cases.long("test_events_come_again has one restart")
    def test_restarts_of_cisternd_leave_no_descriptor(self):
        listener = self.listen()

        def restart():
            seen = listener.seen.count("p refresh")
            self.peer.restart(signal.SIGKILL)
            self.wait_until(lambda: listener.seen.count("p refresh") > seen,
                            "a refresh event of the pool", lambda: listener.seen)
        restart()
        descriptors = self.libvirtd.fd_count()
        for _ in range(5):
            restart()
        self.wait_until(lambda: self.libvirtd.fd_count() < descriptors + 5,
                        f"fewer than {descriptors + 5} descriptors", self.libvirtd.fd_count)

    def test_events_come_again_after_a_restart_of_cisternd(self):
        listener = self.listen()
        self.kill_cisternd()
        self.peer.start()
        self.wait_until(lambda: "p refresh" in listener.seen, "a refresh event of the pool",
                        lambda: listener.seen)
        self.ok("pool-destroy", "p")
        self.wait_until(lambda: "p lifecycle 3 0" in listener.seen, "the pool has stopped",
                        lambda: listener.seen)


class Away(WithModule):
    """cisternd is killed or stopped."""

    def test_absent_cisternd_fails_calls_with_its_socket(self):
        self.kill_cisternd()
        self.assertIn("cannot connect to cisternd at '/run/libvirt/virtstoraged-sock'",
                      self.fails("pool-list"))
        self.assertEqual([], self.ok("list", "--name").split())
        self.peer.start()
        self.assertIn("active", self.ok("pool-list"))

    def opening_threads(self):
        return sum(name == "cistern-open" for name, _ in wait.threads(self.libvirtd.process.pid))

    @cases.long("test_calls_without_an_answer has hung calls")
    def test_stopped_cisternd_occupies_few_workers(self):
        self.stop_cisternd()
        children = [self.start_virsh("pool-list") for _ in range(25)]
        for child in children:
            self.assertIn("error: ", child.communicate(timeout=wait.LIMIT_S)[1])
            self.assertEqual(1, child.returncode)
        # The calls have ended, and their threads have not.
        self.assertEqual(4, self.opening_threads())
        self.assertIn("does not answer at '/run/libvirt/virtstoraged-sock', and 4 calls wait for it",
                      self.fails("pool-list"))
        self.peer.process.send_signal(signal.SIGCONT)
        self.wait_until(lambda: self.opening_threads() == 0, "the threads end")
        self.assertIn("active", self.ok("pool-list"))

    def held_call(self):
        """A call of vol-resize that cisternd never receives."""
        self.ok("vol-create-as", "p", "v", "1M")
        server = self.held(call=VOL_RESIZE)
        child = self.start_virsh("vol-resize", "v", "2M", "--pool", "p")
        self.wait_until(lambda: server.calls, "the call is sent")
        return child

    def test_killed_cisternd_ends_a_call_with_an_error(self):
        child = self.held_call()
        self.kill_cisternd()
        self.assertIn("error: ", child.communicate(timeout=wait.LIMIT_S)[1])
        self.assertEqual(1, child.returncode)

    @cases.long("test_calls_without_an_answer has hung calls")
    def test_stopped_cisternd_ends_a_call_with_an_error(self):
        child = self.held_call()
        self.stop_cisternd()
        self.assertIn("error: ", child.communicate(timeout=wait.LIMIT_S)[1])
        self.assertEqual(1, child.returncode)

    def test_calls_without_an_answer_do_not_delay_the_list_of_guests(self):
        self.ok("vol-create-as", "p", "v", "1M")
        server = self.held(call=VOL_RESIZE)
        children = [self.start_virsh("vol-resize", "v", "2M", "--pool", "p") for _ in range(25)]
        self.wait_until(lambda: server.calls == WORKERS, "each worker of libvirtd waits for a call",
                        lambda: server.calls)
        self.assertEqual([], self.ok("list", "--name").split())
        self.assertEqual([None] * 25, [child.poll() for child in children])

    def test_no_descriptor_and_no_thread_is_left(self):
        path = self.file("data", os.urandom(MIB))
        self.ok("vol-create-as", "p", "v", "1M")

        def one_round():
            self.ok("pool-info", "p")
            self.fails("vol-info", "missing", "--pool", "p")
            self.ok("vol-upload", "v", path, "--pool", "p")
            self.ok("vol-download", "v", path + ".down", "--pool", "p")

        def count():
            # The module's threads: libvirtd's own pool of workers may grow.
            names = [name for name, _ in wait.threads(self.libvirtd.process.pid)]
            return sum(n.startswith("cistern-") for n in names), self.libvirtd.fd_count()
        for _ in range(3):
            one_round()
        self.wait_until(lambda: self.stream_threads() == 0, "the threads of the streams end")
        threads, descriptors = count()

        def wait_for_count():
            self.wait_until(lambda: count()[0] <= threads and count()[1] <= descriptors,
                            f"at most {threads} threads and {descriptors} descriptors", count)
        for _ in range(5):
            one_round()
        wait_for_count()  # before the restart, which closes each connection
        self.peer.restart(signal.SIGKILL)
        one_round()
        wait_for_count()


class Guest(WithModule):
    """A guest with a volume disk, whose process survives each restart of libvirtd."""

    def start_guest(self):
        self.ok("vol-create-as", "p", "v", "1M")
        self.ok("define", self.file("d.xml", DOMAIN))
        self.addCleanup(self.virsh, "undefine", "d")
        self.addCleanup(self.virsh, "destroy", "d")
        self.ok("start", "d")
        return self.libvirtd.domain_pid("d")

    def assert_survives(self, pid):
        # Answered once libvirtd has reconnected to the guest, or has ended it.
        self.assertEqual("running", self.ok("domstate", "d").strip())
        self.assertEqual(pid, self.libvirtd.domain_pid("d"))
        self.assertNotIn(wait.process_state(pid), "XZ")
        self.assertIn(self.at("p", "v"), [os.path.realpath(f"/proc/{pid}/fd/{fd}")
                                          for fd in os.listdir(f"/proc/{pid}/fd")])

    def relaunch_before_cisternd(self):
        """Starts libvirtd, which waits for cisternd."""
        self.libvirtd.stop()
        mark = len(self.libvirtd.log())
        self.libvirtd.launch()
        self.wait_until(lambda: "libvirtd waits for cisternd" in self.libvirtd.log()[mark:],
                        "libvirtd waits for cisternd", lambda: self.libvirtd.log()[mark:])

    def test_guest_survives_restarts_of_both(self):
        pid = self.start_guest()
        self.libvirtd.restart()
        self.assert_survives(pid)
        self.peer.restart()
        self.assert_survives(pid)

    @cases.long("test_guest_survives_restarts_of_both has a restart")
    def test_guest_survives_access_drivers_that_refuse_clients(self):
        pid = self.start_guest()
        self.addCleanup(self.libvirtd.restart)
        self.addCleanup(setattr, self.libvirtd, "conf", "")
        self.libvirtd.conf = 'access_drivers = ["none"]\n'
        self.libvirtd.restart()
        self.assert_survives(pid)
        for words in (["pool-list"], ["vol-list", "p"], ["pool-event", "--event", "lifecycle"],
                      ["pool-define-as", "q", "dir", "--target", self.at("p")]):
            with self.subTest(words):
                error = self.fails(*words)
                self.assertRegex(error, "access denied: '.*' sets access_drivers, whose checks")
        self.assertEqual(["p"], self.storage("pool-list", "--all", "--name")[1].split())

    @cases.long("test_guest_survives_restarts_of_both has a restart")
    def test_guest_survives_a_cisternd_that_starts_late(self):
        pid = self.start_guest()
        self.peer.stop()
        self.addCleanup(self.return_cisternd)
        self.relaunch_before_cisternd()
        self.peer.start()
        self.assert_survives(pid)

    @cases.long("test_guest_survives_restarts_of_both has a restart")
    def test_guest_survives_a_killed_cisternd(self):
        pid = self.start_guest()
        self.kill_cisternd()
        self.relaunch_before_cisternd()
        self.peer.start()
        self.assert_survives(pid)

    @cases.long("test_guest_survives_restarts_of_both has a restart")
    def test_autostart_of_a_guest_without_cisternd_fails_and_libvirtd_serves(self):
        self.start_guest()
        self.ok("destroy", "d")
        self.ok("autostart", "d")
        self.kill_cisternd()
        # libvirtd autostarts guests once after each boot.
        os.unlink(os.path.join(self.libvirtd.root, "run/libvirt/qemu/autostarted"))
        self.relaunch_before_cisternd()
        self.assertEqual("shut off", self.ok("domstate", "d").strip())
        self.peer.start()
        self.ok("start", "d")

    @cases.long("test_guest_survives_restarts_of_both has a restart")
    def test_libvirtd_that_waits_for_cisternd_can_be_stopped(self):
        pid = self.start_guest()
        self.kill_cisternd()
        self.relaunch_before_cisternd()
        # 1: libvirtd has waited for its threads as long as it does.
        self.assertIn(self.libvirtd.stop(), (0, 1))
        self.peer.start()
        self.libvirtd.start()
        self.assert_survives(pid)


class Refused(WithModule):
    """libvirtd starts without storage, and its log has the reason."""

    def setUp(self):
        pass

    def clear(self):
        self.libvirtd.stop()

    def start(self, conf="", preload=None, program="libvirtd"):
        """Starts libvirtd; returns its log."""
        self.libvirtd.stop()
        self.libvirtd.conf, self.libvirtd.preload, self.libvirtd.program = conf, None, program
        if preload:
            source = space.path("preload.c")
            with open(source, "w", encoding="ascii") as out:
                out.write(preload)
            self.libvirtd.preload = space.path("preload.so")
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", self.libvirtd.preload, source],
                           check=True)
        mark = len(self.libvirtd.log())
        self.libvirtd.start()
        return self.libvirtd.log()[mark:]

    def assert_refused(self, reason, **options):
        self.assertIn("libvirt_driver_storage of Cistern: no storage driver: " + reason,
                      self.start(**options))
        self.assertEqual([], self.ok("list", "--name").split())
        self.assertIn("not supported", self.fails("pool-list"))

    def test_missing_symbol_is_refused(self):
        self.assert_refused("this libvirt has no function virGetStorageVol", preload=MISSING_SYMBOL)

    @cases.long("test_another_daemon and test_missing_symbol have refusals")
    def test_newer_version_is_refused(self):
        self.assert_refused("libvirt 99.1.2 is newer", preload=NEWER_VERSION)

    @cases.long("test_another_daemon and test_missing_symbol have refusals")
    def test_newer_version_is_accepted_with_the_file(self):
        self.assertNotIn("no storage driver", self.start(preload=ANY_VERSION))
        self.ok("pool-list")

    def test_configuration_is_found_in_each_form_of_the_option(self):
        path = os.path.join(self.peer.root, "libvirtd.conf")
        self.addCleanup(setattr, self.libvirtd, "config_option", self.libvirtd.config_option)
        for option in (("-f", ""), ("-vf", ""), ("-vf",), ("--conf=",), ("--config", "")):
            with self.subTest(option):
                self.libvirtd.config_option = option
                log = self.start(conf='access_drivers = [\n  "none" ]\n')
                self.assertIn(f"Cistern: no storage for clients: '{path}' sets access_drivers", log)

    @cases.long("test_another_daemon and test_missing_symbol have refusals")
    def test_empty_access_drivers_are_accepted(self):
        self.assertNotIn("no storage for clients", self.start(conf="access_drivers = [ ]\n"))
        self.ok("pool-list")

    def test_other_users_are_refused(self):
        module = shutil.copy(libvirtd_module.MODULE, space.path("module.so"))
        os.chmod(module, 0o755)
        status, out, err = peers.run([sys.executable, "-c", REGISTER, module], user=NOBODY)
        self.assertEqual((0, "0\n"), (status, out), err)
        self.assertIn("only libvirtd of the system, run by root", err)

    def test_another_daemon_is_refused(self):
        program = shutil.copy(shutil.which("libvirtd", path=space.ENV["PATH"]),
                              space.path("virtstoraged"))
        self.assert_refused("only libvirtd of the system, run by root, uses cisternd; this is "
                            "'virtstoraged'", program=program)
