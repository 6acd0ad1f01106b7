# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other stock clients, numbers of things, and long repetition."""

import os
import select
import threading
import xml.etree.ElementTree as ElementTree

import libvirt

from harness import peers
from harness.cases import WithDaemon
from harness.wire import RemoteError, string, u32, u64, vol_arg


class StockClients(WithDaemon):
    def test_libvirt_python_sees_every_property(self):
        conn = libvirt.open(self.peer.uri)
        self.addCleanup(conn.close)
        pool = conn.storagePoolLookupByName("p")
        self.assertEqual("p", conn.storagePoolLookupByUUIDString(pool.UUIDString()).name())
        self.assertEqual("p", conn.storagePoolLookupByTargetPath(self.at("p")).name())
        self.assertEqual((1, 1, 0), (pool.isActive(), pool.isPersistent(), pool.autostart()))
        vol = pool.createXML("<volume><name>v</name><capacity>1000</capacity></volume>", 0)
        self.assertEqual([self.at("p", "v")] * 2, [vol.path(), vol.key()])
        self.assertEqual("p", vol.storagePoolLookupByVolume().name())
        self.assertEqual("v", conn.storageVolLookupByPath(self.at("p", "v")).name())
        self.assertEqual("v", conn.storageVolLookupByKey(self.at("p", "v")).name())
        self.assertEqual((1, ["v"]), (pool.numOfVolumes(), pool.listVolumes()))
        self.assertEqual([0, 1000], vol.info()[:2])
        self.assertEqual((1, ["p"]), (conn.numOfStoragePools(), conn.listStoragePools()))
        self.assertEqual((0, []), (conn.numOfDefinedStoragePools(),
                                   conn.listDefinedStoragePools()))
        self.assertTrue(conn.getURI().startswith("storage"))
        self.assertEqual(1, conn.isAlive())
        self.assertEqual("volume", ElementTree.fromstring(vol.XMLDesc()).tag)
        self.assertEqual("pool", ElementTree.fromstring(pool.XMLDesc()).tag)

    def test_errors_carry_libvirts_codes(self):
        conn = libvirt.open(self.peer.uri)
        self.addCleanup(conn.close)
        pool = conn.storagePoolLookupByName("p")
        pool.createXML("<volume><name>v</name><capacity>1</capacity></volume>", 0)
        wanted = {
            libvirt.VIR_ERR_NO_STORAGE_POOL: lambda: conn.storagePoolLookupByName("no"),
            libvirt.VIR_ERR_NO_STORAGE_VOL: lambda: pool.storageVolLookupByName("no"),
            libvirt.VIR_ERR_STORAGE_VOL_EXIST: lambda: pool.createXML(
                "<volume><name>v</name><capacity>1</capacity></volume>", 0),
            libvirt.VIR_ERR_OPERATION_INVALID: lambda: pool.create(0),
            libvirt.VIR_ERR_XML_ERROR: lambda: pool.createXML("<volume/>", 0),
            libvirt.VIR_ERR_INVALID_ARG: lambda: pool.createXML("<volume/>", 1 << 20),
        }
        for code, call in wanted.items():
            with self.subTest(code=code):
                with self.assertRaises(libvirt.libvirtError) as caught:
                    call()
                self.assertEqual(code, caught.exception.get_error_code(), str(caught.exception))
                self.assertEqual(libvirt.VIR_FROM_STORAGE if code != libvirt.VIR_ERR_XML_ERROR
                                 else caught.exception.get_error_domain(),
                                 caught.exception.get_error_domain())

    def test_keepalive_of_the_client_library(self):
        """A client that pings every second stays connected through a long call."""
        with open(self.at("p", "big"), "wb") as out:
            os.posix_fallocate(out.fileno(), 0, 200 << 20)
        self.ok("pool-refresh", "p")
        status, _, err = peers.run(["virsh", "-k", "1", "-K", "1", "-c", self.peer.uri, "vol-wipe",
                                    "big", "--pool", "p"], timeout=120)
        self.assertEqual((0, ""), (status, err))

    def test_hypervisor_uri_gives_tools_empty_lists(self):
        uri = f"qemu+unix:///system?socket={self.peer.sock}"
        for command in ("list --all", "net-list --all", "iface-list --all", "nodedev-list",
                        "pool-list --all", "nodeinfo", "capabilities", "hostname", "uri"):
            with self.subTest(command=command):
                status, _, err = peers.run(["virsh", "-c", uri, *command.split()])
                self.assertEqual((0, ""), (status, err))

    def test_memory_of_the_machine_as_cockpit_asks_for_it(self):
        """A hypervisor's connection has it, one of the storage driver has not, as with libvirt."""
        conn = libvirt.open(f"qemu+unix:///system?socket={self.peer.sock}")
        self.addCleanup(conn.close)
        with open("/proc/meminfo", encoding="ascii") as stream:
            total = int(stream.readline().split()[1])
        whole = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
        self.assertEqual(["total", "free", "buffers", "cached"], list(whole))
        self.assertEqual(total, whole["total"])
        self.assertTrue(0 < whole["free"] < total and 0 < whole["cached"] < total, whole)
        if os.path.exists("/sys/devices/system/node/node0/meminfo"):
            node = conn.getMemoryStats(0)
            self.assertEqual(["total", "free"], list(node))
            self.assertTrue(0 < node["free"] < node["total"] <= total, node)
        storage = libvirt.open(self.peer.uri)
        self.addCleanup(storage.close)
        for code, call in ((libvirt.VIR_ERR_INVALID_ARG, lambda: conn.getMemoryStats(4096)),
                           (libvirt.VIR_ERR_INVALID_ARG, lambda: conn.getMemoryStats(-1, 1)),
                           (libvirt.VIR_ERR_NO_SUPPORT, lambda: storage.getMemoryStats(-1))):
            with self.assertRaises(libvirt.libvirtError) as caught:
                call()
            self.assertEqual(code, caught.exception.get_error_code(), str(caught.exception))

    def test_every_document_follows_libvirts_schema(self):
        schemas = "/usr/share/libvirt/schemas"
        if not os.path.isdir(schemas):
            self.skipTest("no schemas installed")
        self.ok("vol-create-as", "p", "a", "1M")
        self.ok("vol-create-as", "p", "b", "1M", "--format", "qcow2", "--backing-vol", "a",
                "--backing-vol-format", "raw")
        for schema, command in (("storagepool", "pool-dumpxml p"),
                                ("storagepool", "pool-dumpxml p --inactive"),
                                ("storagevol", "vol-dumpxml a --pool p"),
                                ("storagevol", "vol-dumpxml b --pool p"),
                                ("storagepoolcaps", "pool-capabilities")):
            with self.subTest(command=command):
                path = self.file("x.xml", self.ok(*command.split()))
                status, _, err = peers.run(["xmllint", "--noout", "--relaxng",
                                            f"{schemas}/{schema}.rng", path])
                self.assertEqual(0, status, err)


class Numbers(WithDaemon):
    def fill(self, count):
        for number in range(count):
            with open(self.at("p", f"v{number:05}"), "wb"):
                pass
        self.ok("pool-refresh", "p")

    def test_more_volumes_than_a_stock_client_can_list(self):
        self.fill(16384)
        self.assertEqual(16384, len(libvirt.open(self.peer.uri).storagePoolLookupByName(
            "p").listAllVolumes()))
        with open(self.at("p", "one-more"), "wb"):
            pass
        self.ok("pool-refresh", "p")
        error = self.fails("vol-list", "p")
        self.assertIn("16384", error)
        self.ok("vol-info", "one-more", "--pool", "p")
        if "CST_SELF_CHECK" not in os.environ:
            status, out, err = self.cistern("vol-list", "p", timeout=60)
            self.assertEqual((0, ""), (status, err))
            self.assertEqual(16385, sum("/p/" in line for line in out.splitlines()))

    def test_a_thousand_pools(self):
        conn = libvirt.open(self.peer.uri)
        self.addCleanup(conn.close)
        pools = [conn.storagePoolDefineXML(
            f"<pool type='dir'><name>n{n}</name><target><path>/nowhere/{n}</path></target></pool>")
            for n in range(1000)]
        self.assertEqual(1001, len(conn.listAllStoragePools()))
        for pool in pools:
            pool.undefine()
        self.assertEqual(1, len(conn.listAllStoragePools()))


class Repetition(WithDaemon):
    """10,000 calls of each kind leave descriptors and memory where they were."""

    CALLS = 10000

    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "64k")
        self.ok("vol-create-as", "p", "q", "1M", "--format", "qcow2")
        self.client = self.wire(timeout=120).open()
        self.pool = self.client.pool("p")

    def burst(self, calls, count):
        """Sends each (proc, payload) `count` times in all, twenty at a time unanswered."""
        errors = {}
        sent = 0
        while sent < count:
            serials = [self.client.post(*calls[(sent + n) % len(calls)]) for n in range(20)]
            for serial in serials:
                try:
                    self.client.answer(serial).reader()
                except RemoteError as error:
                    errors[error.code] = errors.get(error.code, 0) + 1
            sent += 20
        return errors

    def steady(self, calls, count=None, growth=2 << 20):
        count = count or self.CALLS
        self.burst(calls, max(count // 5, 100 * len(calls)))  # caches fill, arenas grow
        fds, rss = self.peer.fd_count(), self.peer.rss()
        errors = self.burst(calls, count)
        self.assert_steady(fds, rss, growth)
        return errors

    def assert_steady(self, fds, rss, growth=2 << 20):
        """One descriptor of slack: a worker may be looking at a directory just now."""
        self.wait_until(lambda: self.peer.fd_count() <= fds + 1, f"at most {fds + 1} descriptors",
                        self.peer.fd_count)
        self.assertLess(self.peer.rss() - rss, growth)

    def test_reading_calls(self):
        vol = vol_arg("p", "v")
        calls = {
            "list pools": (281, u32(1) + u32(0)), "list vols": (282, self.pool + u32(1) + u32(0)),
            "info": (87, self.pool), "xml": (88, self.pool + u32(0)), "by name": (84, string("p")),
            "vol info": (98, vol), "vol xml": (99, vol + u32(0)), "path": (100, vol),
            "vol by path": (97, string(self.at("p", "v"))), "autostart": (89, self.pool),
            "pool by target": (391, string(self.at("p"))), "capabilities": (403, u32(0)),
            "secrets": (287, u32(1) + u32(0)), "hostname": (59, b""), "uri": (110, b""),
        }
        for name, call in calls.items():
            with self.subTest(call=name):
                errors = self.steady([call])
                self.assertIn(errors, ({}, {3: self.CALLS}))

    def test_failing_calls(self):
        calls = {
            "no pool": (84, string("no")), "no vol": (97, string("/no")),
            "bad xml": (77, string("<pool type='dir'><name>a/b</name></pool>") + u32(0)),
            "not xml": (77, string("<po") + u32(0)),
            "bad vol": (93, self.pool + string("<volume><name>x</name></volume>") + u32(0)),
            "exists": (93, self.pool + string(
                "<volume><name>v</name><capacity>1</capacity></volume>") + u32(0)),
            "unknown": (9999, b""), "truncated": (84, b"\0\0"),
        }
        for name, call in calls.items():
            with self.subTest(call=name):
                self.assertEqual(self.CALLS, sum(self.steady([call]).values()))

    def test_refresh(self):
        self.steady([(83, self.pool + u32(0))])

    def test_changing_calls(self):
        xml = ("<pool type='dir'><name>z</name><uuid>11111111-1111-1111-1111-111111111111</uuid>"
               "<target><path>" + self.at("z") + "</path></target></pool>")
        z = string("z") + bytes.fromhex("11" * 16)
        os.makedirs(self.at("z"))
        for name, calls in {
                "define": [(77, string(xml) + u32(0))],
                "start and stop": [(78, z + u32(0)), (80, z)],
                "autostart": [(90, z + u32(1)), (90, z + u32(0))],
                "resize": [(260, vol_arg("p", "v") + u64(65536) + u32(0)),
                           (260, vol_arg("p", "v") + u64(131072) + u32(0))]}.items():
            with self.subTest(call=name):
                self.steady(calls, 2000)

    def one_by_one(self, rounds, body):
        for _ in range(rounds // 5):
            body()
        fds, rss = self.peer.fd_count(), self.peer.rss()
        for _ in range(rounds):
            body()
        self.assert_steady(fds, rss)

    def test_create_and_delete(self):
        for form in ("raw", "qcow2"):
            xml = ("<volume><name>x</name><capacity>65536</capacity><target>"
                   f"<format type='{form}'/></target></volume>")

            def body(xml=xml):
                self.client.call(93, self.pool + string(xml) + u32(0))
                self.client.call(94, vol_arg("p", "x") + u32(0))
            with self.subTest(form=form):
                self.one_by_one(100 if "CST_SELF_CHECK" in os.environ else 5000, body)

    def test_streams(self):
        def body():
            serial = self.client.post(208, vol_arg("p", "v") + u64(0) + u64(0) + u32(0))
            self.client.answer(serial).reader()
            self.client.stream_send(208, serial, b"x" * 1000)
            self.client.stream_send(208, serial, status=0)
            self.client.answer(serial).reader()
            serial = self.client.post(209, vol_arg("p", "v") + u64(0) + u64(10) + u32(0))
            self.client.answer(serial).reader()
            while self.client.answer(serial).payload:
                pass
            self.client.stream_send(209, serial, status=0)
            self.client.answer(serial).reader()
        self.one_by_one(2000, body)

    def test_connections(self):
        def body():
            client = self.wire()
            client.open()
            client.close()
        self.one_by_one(2000, body)



class Waiting(WithDaemon):
    def test_other_calls_do_not_wait_for_a_refresh(self):
        for number in range(5000):
            with open(self.at("p", f"v{number}"), "wb"):
                pass
        client, other = self.wire().open(), self.wire().open()
        pool = client.pool("p")
        client.call(83, pool + u32(0))
        with open(self.at("p", "v1"), "ab") as out:
            out.write(b"x")
        most = []

        def ten_calls_in_a_refresh():
            """Calls that were answered after the refresh began and before it ended."""
            serial, calls = client.post(83, pool + u32(0)), 0
            while not select.select([client.sock], [], [], 0)[0]:
                other.call(87, pool)
                calls += 1
            client.answer(serial).reader()
            most.append(calls - 1)  # the last one may have waited for the end
            return calls > 10

        self.wait_until(ten_calls_in_a_refresh, "ten calls are answered during one refresh",
                        lambda: f"at most {max(most)} in {len(most)} refreshes")

    def test_a_deleted_volume_in_use_by_a_stream(self):
        """Deleted at once or after the stream: never a torn read."""
        with open(self.at("p", "v"), "wb") as out:
            out.write(b"z" * (4 << 20))
        self.ok("pool-refresh", "p")
        client = self.wire().open()
        serial = client.post(209, vol_arg("p", "v") + u64(0) + u64(0) + u32(0))
        client.answer(serial).reader()
        deleting = threading.Thread(target=self.virsh, args=("vol-delete", "v", "--pool", "p"))
        deleting.start()
        self.wait_until(lambda: not os.path.exists(self.at("p", "v")), "the volume is deleted")
        data = b""
        while True:
            got = client.answer(serial)
            got.reader()
            if not got.payload:
                break
            data += got.payload
        self.assertEqual(b"z" * (4 << 20), data)
        client.stream_send(209, serial, status=0)
        client.answer(serial).reader()
        deleting.join()
        self.assertEqual([], self.entries("p"))


