# SPDX-License-Identifier: LGPL-2.1-or-later
"""RBD pools on a real Ceph: stock virsh and our command line against cisternd, rbd as the oracle."""

import json
import os
import subprocess
import threading

import libvirt

from harness import ceph, peers, space, wait
from harness.onserver import MIB, OnServer, noise


class OnCeph(OnServer):
    """One daemon for the class with the pool "r", and "o" beside it; no images before each test."""

    POOL = "r"
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.ceph = ceph.lab()
        cls.peer = peers.ours()
        cls.peer.fresh()
        cls.secret = cls.file("secret.xml", ceph.SECRET)
        for words in (["secret-define", cls.secret],
                      ["secret-set-value", ceph.UUID, cls.ceph.key]):
            status, _out, err = peers.run(["virsh", "-c", cls.peer.secret_uri, *words])
            assert status == 0, err
        cls.define("r", options=cls.OPTIONS)
        cls.define("o", source="other")

    @classmethod
    def tearDownClass(cls):
        cls.ceph.thaw()
        cls.peer.stop()

    def setUp(self):
        self.ceph.thaw()
        self.ceph.clear()
        self.ceph.clear("other")
        for name in ("r", "o"):
            # Monitors that were frozen elect a leader first, which a busy machine takes long for.
            wait.until(lambda pool=name: peers.virsh(self.peer, "pool-refresh", pool)[0] == 0,
                       f"the cluster answers to pool {name}",
                       lambda pool=name: peers.virsh(self.peer, "pool-refresh", pool)[2])

    @classmethod
    def pool_xml(cls, name, **how):
        return cls.ceph.pool_xml(name, **how)

    def content(self, image, **where):
        """What the rbd tool reads."""
        path = os.path.join(self.peer.files, "export")
        if os.path.exists(path):
            os.unlink(path)
        self.ceph.rbd("export", "--no-progress", image, path, **where)
        with open(path, "rb") as stream:
            return stream.read()

    def put(self, name, data, size=None):
        """A volume with this content, through our upload."""
        self.ok("vol-create-as", "r", name, str(size or len(data)))
        self.ok("vol-upload", name, self.file("payload", data), "--pool", "r")



class Volumes(OnCeph):
    def test_an_image_is_made_as_the_cluster_makes_them(self):
        self.ok("vol-create-as", "r", "a", "100M")
        info = self.ceph.rbd("info", "a")
        self.assertIn("size 100 MiB in 25 objects", info)
        self.assertIn("layering, exclusive-lock, object-map, fast-diff, deep-flatten", info)
        self.assertEqual(["a"], self.ceph.images())

    def test_a_volume_asks_for_features_object_size_and_data_pool(self):
        xml = self.file("v.xml", """<volume xmlns:cistern='urn:cistern:storage:1.0'><name>a</name>
            <capacity unit='M'>64</capacity><cistern:options>
            <cistern:option name='features' value='layering,exclusive-lock'/>
            <cistern:option name='object-size' value='1M'/>
            <cistern:option name='data-pool' value='other'/>
            </cistern:options></volume>""")
        self.ok("vol-create", "r", xml)
        info = self.ceph.rbd("info", "a")
        self.assertIn("64 objects", info)
        self.assertIn("data_pool: other", info)
        self.assertRegex(info, r"features: layering, exclusive-lock, data-pool\n")
        for name, value, text in (("object-size", "3M", "power of two"),
                                  ("features", "magic", "no list of RBD features"),
                                  ("color", "blue", "unknown RBD volume option")):
            xml = self.file("v.xml", f"""<volume xmlns:cistern='urn:cistern:storage:1.0'>
                <name>b</name><capacity unit='M'>64</capacity><cistern:options>
                <cistern:option name='{name}' value='{value}'/></cistern:options></volume>""")
            self.fails("vol-create", "r", xml, text=text)
        self.assertEqual(["a"], self.ceph.images())

    def test_rbd_export_and_download_give_the_uploaded_bytes(self):
        data = noise(9 * MIB + 12345)
        self.put("a", data, 16 * MIB)
        self.assertEqual(data + bytes(16 * MIB - len(data)), self.content("a"))
        out = os.path.join(self.peer.files, "out")
        self.ok("vol-download", "a", out, "--pool", "r")
        with open(out, "rb") as stream:
            self.assertEqual(data, stream.read()[:len(data)])

    def test_sparse_transfer_keeps_holes(self):
        path = os.path.join(self.peer.files, "sparse")
        with open(path, "wb") as stream:
            stream.truncate(256 * MIB)
            stream.seek(128 * MIB)
            stream.write(noise(MIB))
        self.ok("vol-create-as", "r", "a", "256M")
        self.ok("vol-upload", "a", path, "--pool", "r", "--sparse")
        self.assertEqual(("256.00 MiB", "4.00 MiB"), self.details()["a"])
        out = os.path.join(self.peer.files, "out")
        self.ok("vol-download", "a", out, "--pool", "r", "--sparse")
        self.assertLess(os.stat(out).st_blocks * 512, 8 * MIB)
        self.assertEqual(0, subprocess.run(["cmp", path, out], check=False).returncode)

    def test_allocation_is_the_size_of_the_objects(self):
        self.put("a", noise(8 * MIB), 64 * MIB)
        self.assertEqual(("64.00 MiB", "8.00 MiB"), self.details()["a"])
        self.assertIn("<allocation unit='bytes'>8388608<", self.ok("vol-dumpxml", "a", "--pool",
                                                                  "r"))
        self.ok("vol-wipe", "a", "--pool", "r", "--algorithm", "trim")
        self.assertEqual(("64.00 MiB", "0.00 B"), self.details()["a"])

    def test_without_fast_diff_the_allocation_is_an_estimate_and_says_so(self):
        self.ceph.rbd("create", "a", "--size", "64M", "--image-feature", "layering")
        self.ok("pool-refresh", "r")
        xml = self.ok("vol-dumpxml", "a", "--pool", "r")
        self.assertIn("<allocation unit='bytes'>67108864<", xml)
        self.assertIn("name='allocation' value='estimate'", xml)
        self.ok("vol-create-as", "r", "b", "64M")
        listed = json.loads(self.cistern("vol-list", "r", "--details", "--json"))["volumes"]
        self.assertEqual([("a", True), ("b", False)],
                         [(v["name"], v["allocation_estimated"]) for v in listed])
        for name, estimated in (("a", True), ("b", False)):
            info = json.loads(self.cistern("vol-info", name, "--pool", "r", "--json"))["volume"]
            self.assertEqual(estimated, info["allocation_estimated"])

    def test_wiping_leaves_zeroes(self):
        self.put("a", noise(5 * MIB))
        self.ok("vol-wipe", "a", "--pool", "r")
        self.assertEqual(bytes(5 * MIB), self.content("a"))

    def test_a_volume_grows_and_shrinks(self):
        data = noise(8 * MIB)
        self.put("a", data)
        self.ok("vol-resize", "a", "12M", "--pool", "r")
        self.assertEqual(data + bytes(4 * MIB), self.content("a"))
        self.fails("vol-resize", "a", "4M", "--pool", "r", text="shrink")
        self.ok("vol-resize", "a", "4M", "--pool", "r", "--shrink")
        self.assertEqual(data[:4 * MIB], self.content("a"))

    def test_names_that_rbd_could_not_address_are_refused(self):
        self.fails("vol-create-as", "r", "a@b", "1M", text="could not address it")
        self.fails("vol-create-as", "r", "a/b", "1M", text="cannot contain '/'")
        self.fails("vol-create-as", "r", "q", "1M", "--format", "qcow2",
                   text="only RAW volumes are supported")
        self.assertEqual([], self.ceph.images())

    def test_a_qcow2_uploaded_to_an_image_works_and_stays_raw_to_us(self):
        image = os.path.join(self.peer.files, "a.qcow2")
        self.cistern("image-create", "-f", "qcow2", image, "1G")
        with open(image, "rb") as stream:
            data = stream.read()
        self.put("a", data, 8 * MIB)
        self.assertIn("<format type='raw'/>", self.ok("vol-dumpxml", "a", "--pool", "r"))
        self.assertEqual(data, self.content("a")[:len(data)])

    def test_a_refresh_shows_changes_by_the_rbd_command(self):
        for name in ("keep", "gone", "old", "grow"):
            self.ok("vol-create-as", "r", name, "4M")
        self.ceph.rbd("rm", "--no-progress", "gone")
        self.ceph.rbd("mv", "old", "new")
        self.ceph.rbd("resize", "--no-progress", "grow", "--size", "8M")
        self.ceph.rbd("create", "made", "--size", "1M")
        self.ok("pool-refresh", "r")
        self.assertEqual(["grow", "keep", "made", "new"], self.names())
        self.assertEqual("8.00 MiB", self.details()["grow"][0])
        self.fails("vol-info", "gone", "--pool", "r")

    def test_a_volume_moves_between_pools_of_any_type(self):
        data = noise(3 * MIB)
        directory = os.path.join(self.peer.dir, "d")
        os.makedirs(directory, exist_ok=True)
        self.ok("pool-create-as", "d", "dir", "--target", directory)
        self.addCleanup(lambda: self.ok("pool-destroy", "d"))
        self.put("a", data)
        xml = self.file("v.xml", "<volume><name>f</name><capacity>0</capacity>"
                                 "<target><format type='qcow2'/></target></volume>")
        self.ok("vol-create-from", "d", xml, "a", "--inputpool", "r")
        xml = self.file("v.xml", "<volume><name>b</name><capacity>0</capacity>"
                                 "<target><format type='raw'/></target></volume>")
        self.ok("vol-create-from", "r", xml, "f", "--inputpool", "d")
        self.assertEqual(data, self.content("b"))
        self.ok("vol-create-from", "o", xml, "a", "--inputpool", "r")
        self.assertEqual(["b"], self.names("o"))


class Clones(OnCeph):
    """With clones of version 1, which need a protected snapshot for as long as they last."""

    OPTIONS = (("rbd_default_clone_format", "1"),)
    KEEPS_HELPER = True

    def test_a_clone_shares_and_goes_its_own_way(self):
        data = noise(8 * MIB)
        self.put("a", data)
        self.ok("vol-clone", "a", "b", "--pool", "r")
        self.assertEqual(data, self.content("b"))
        self.assertEqual(("8.00 MiB", "0.00 B"), self.details()["b"])
        self.assertIn("<path>libvirt/a</path>\n    <format type='raw'/>\n  </backingStore>",
                      self.ok("vol-dumpxml", "b", "--pool", "r"))
        self.ok("vol-upload", "a", self.file("payload", noise(MIB, 2)), "--pool", "r")
        self.assertEqual(data, self.content("b"))
        self.ok("vol-upload", "b", self.file("payload", noise(MIB, 3)), "--pool", "r")
        self.assertEqual(noise(MIB, 2) + data[MIB:], self.content("a"))

    def test_a_parent_is_kept_and_its_clones_are_named(self):
        self.put("a", noise(MIB))
        self.ok("vol-clone", "a", "b", "--pool", "r")
        self.ok("vol-clone", "a", "c", "--pool", "r")
        err = self.fails("vol-delete", "a", "--pool", "r")
        self.assertIn("r/b", err)
        self.assertIn("r/c", err)

    def test_clones_elsewhere_are_named_by_the_pool_that_lists_them(self):
        """One in a pool of ours whose Ceph pool is called otherwise; one that no pool of ours has;
        and a pool of ours that is called as somebody else's Ceph pool is."""
        directory = os.path.join(self.peer.dir, "other")
        os.makedirs(directory, exist_ok=True)
        self.ok("pool-create-as", "other", "dir", "--target", directory)
        self.addCleanup(lambda: self.ok("pool-destroy", "other"))
        self.ceph.run("rbd", "namespace", "create", "libvirt/team")
        self.addCleanup(lambda: self.ceph.run("rbd", "namespace", "remove", "libvirt/team"))
        self.put("a", noise(MIB))
        self.ceph.rbd("snap", "create", "--no-progress", "a@s")
        self.ceph.rbd("snap", "protect", "a@s")
        for child in ("libvirt/here", "other/there", "libvirt/team/hidden"):
            self.ceph.rbd("clone", "--rbd-default-clone-format", "2", "a@s", child)
            self.addCleanup(self.ceph.run, "rbd", "rm", "--no-progress", child, check=False)
        err = self.fails("vol-delete", "a", "--pool", "r")
        for name in ("r/here", "o/there", "libvirt/team/hidden"):
            self.assertRegex(err, rf"(?m)^\s*{name}$")
        tree = json.loads(self.cistern("vol-chain", "a", "--pool", "r", "--json"))
        text = json.dumps(tree)
        for pool, name in (('"r"', "here"), ('"o"', "there"), ("null", "libvirt/team/hidden")):
            self.assertRegex(text, rf'"name": "{name}", "pool": {pool}')

    def test_the_last_clone_takes_the_helper_along(self):
        self.put("a", noise(MIB))
        for name in ("b", "c"):
            self.ok("vol-clone", "a", name, "--pool", "r")
        self.assertEqual(self.KEEPS_HELPER, any("user" in line for line in self.ceph.rbd(
            "snap", "ls", "--all", "a").splitlines()))
        self.ok("vol-delete", "b", "--pool", "r")
        self.ok("vol-delete", "c", "--pool", "r")
        self.assertEqual(["a"], self.ceph.images())
        self.assertEqual([], [n for n in self.ceph.notes() if "cistern" in n])
        self.ok("vol-delete", "a", "--pool", "r")

    def test_a_clone_can_be_larger(self):
        data = noise(2 * MIB)
        self.put("a", data)
        xml = self.file("v.xml", "<volume><name>b</name><capacity unit='M'>6</capacity></volume>")
        self.ok("vol-create-from", "r", xml, "a", "--inputpool", "r")
        self.assertEqual(data + bytes(4 * MIB), self.content("b"))

    def test_without_layering_the_bytes_are_copied(self):
        self.ceph.rbd("create", "a", "--size", "8M", "--image-feature", "exclusive-lock")
        self.ok("pool-refresh", "r")
        self.ok("vol-upload", "a", self.file("payload", noise(MIB)), "--pool", "r")
        self.ok("vol-clone", "a", "b", "--pool", "r")
        self.assertEqual(self.content("a"), self.content("b"))
        self.assertNotIn("parent:", self.ceph.rbd("info", "b"))
        self.assertEqual({"a", "b"}, set(self.ceph.images()))

    def test_a_volume_with_a_foreign_snapshot_is_not_deleted(self):
        self.put("a", noise(MIB))
        self.ceph.rbd("snap", "create", "--no-progress", "a@mine")
        self.ceph.rbd("snap", "protect", "a@mine")
        self.ceph.rbd("clone", "a@mine", "libvirt/b")
        self.ok("pool-refresh", "r")
        self.fails("vol-delete", "a", "--pool", "r", text="r/b")
        self.ok("vol-delete", "b", "--pool", "r")
        self.fails("vol-delete", "a", "--pool", "r", text="'mine'")
        self.assertIn("a@mine", self.ceph.images())
        self.fails("vol-delete", "a", "--pool", "r", "--delete-snapshots", text="is protected")
        self.ceph.rbd("snap", "unprotect", "a@mine")
        self.ok("vol-delete", "a", "--pool", "r", "--delete-snapshots")
        self.assertEqual([], self.ceph.images())


class ClonesOfVersion2(Clones):
    OPTIONS = (("rbd_default_clone_format", "2"),)
    KEEPS_HELPER = False


class ClonesOfMany(OnCeph):
    """librbd must be done with opening an image before we close it: on a busy machine it was not, and
    the daemon ended within some hundred deletions."""

    OPTIONS = (("rbd_default_clone_format", "1"),)
    ROUNDS = 12
    VOLUME = "<volume><name>{}</name><capacity>1048576</capacity></volume>"

    def come_and_go(self, number, failures):
        try:
            conn = libvirt.open(self.peer.uri)
            pool = conn.storagePoolLookupByName("r")
            for _ in range(self.ROUNDS):
                base = pool.createXML(self.VOLUME.format(f"base{number}"))
                clones = [pool.createXMLFrom(self.VOLUME.format(f"{letter}{number}"), base)
                          for letter in "abc"]
                for volume in [*clones, base]:
                    volume.delete()
            conn.close()
        except libvirt.libvirtError as error:
            failures.append(str(error))

    def test_clones_come_and_go(self):
        failures = []
        threads = [threading.Thread(target=self.come_and_go, args=(n, failures))
                   for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures, self.peer.ended())
        self.assertEqual([], self.ceph.images())


class Holders(OnCeph):
    def test_the_watcher_of_an_image_is_named(self):
        self.put("a", noise(MIB))
        with subprocess.Popen(["rbd", "-p", "libvirt", "bench", "--io-type", "write", "--io-size",
                               "4K", "--io-threads", "1", "--io-total", "100G", "a"],
                              env=self.ceph.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL) as watcher:
            try:
                self.wait_until(lambda: "watcher=" in self.ceph.rbd("status", "a"),
                                "a client watches the image")
                for words in (["vol-delete", "a"], ["vol-wipe", "a"],
                              ["vol-resize", "a", "512K", "--shrink"]):
                    err = self.fails(*words, "--pool", "r", text="is in use: RBD client ")
                    self.assertRegex(err, r"client \d+ at \d+\.\d+\.\d+\.\d+:")
                self.ok("vol-resize", "a", "2M", "--pool", "r")
            finally:
                watcher.kill()
        self.wait_until(lambda: "watcher=" not in self.ceph.rbd("status", "a"),
                        "no client watches the image")
        self.ok("vol-delete", "a", "--pool", "r")

    def test_our_own_downloads_are_waited_for_and_not_named(self):
        # Waiting has an end (5 s), and a busy machine reads slowly.
        self.put("a", noise(12 * MIB))
        out = os.path.join(self.peer.files, "out")
        with subprocess.Popen(["virsh", "-c", self.peer.uri, "vol-download", "a", out, "--pool",
                               "r"], env=space.ENV, stdin=subprocess.DEVNULL) as loading:
            self.wait_until(lambda: os.path.exists(out) and os.path.getsize(out) > 0,
                            "the download has begun")
            self.assertEqual(0, wait.until(self.deletion_after_the_stream,
                                           "the volume is deleted after the download")[0])
            self.assertEqual(0, loading.wait())

    def deletion_after_the_stream(self):
        """The answer of a deletion; None while the download lasts, which is no client of RBD's."""
        answer = peers.virsh(self.peer, "vol-delete", "a", "--pool", "r")
        self.assertNotIn("RBD client", answer[2])
        return answer if "held by 'download'" not in answer[2] else None


class Pools(OnCeph):
    def test_usage_is_the_clusters(self):
        self.put("a", noise(8 * MIB))
        self.ok("pool-refresh", "r")
        info = self.ok("pool-info", "r")
        self.assertRegex(info, r"Capacity: +4\.00 GiB")

    def test_a_secret_can_be_named_by_its_usage(self):
        self.define("u", auth="<auth type='ceph' username='libvirt'>"
                              "<secret usage='client.libvirt secret'/></auth>")
        self.undefine("u")

    def test_a_missing_secret_or_one_without_a_value_is_called_that(self):
        self.define("m", start=False, auth="<auth type='ceph' username='libvirt'>"
                                           "<secret usage='nowhere'/></auth>")
        self.fails("pool-start", "m", text="nowhere")
        self.undefine("m")

    def test_no_authentication_where_it_is_asked_for(self):
        self.define("n", start=False, auth="")
        self.fails("pool-start", "n", text="add <auth>")
        self.undefine("n")

    def test_a_missing_ceph_pool_or_namespace_is_called_that(self):
        self.define("m", start=False, source="nowhere")
        self.fails("pool-start", "m", text="no pool 'nowhere'")
        self.undefine("m")
        self.define("m", start=False, source="libvirt/nowhere")
        self.fails("pool-start", "m", text="has no namespace 'nowhere'")
        self.undefine("m")

    def test_an_option_that_ceph_does_not_have(self):
        self.define("m", start=False, options=(("no_such_option", "1"),))
        self.fails("pool-start", "m", text="Ceph has no option 'no_such_option'")
        self.undefine("m")

    def test_no_monitor_is_an_error(self):
        self.define("m", start=False, host="127.255.255.1")
        self.fails("pool-start", "m", text="cannot reach the Ceph monitors")
        self.undefine("m")

    def test_one_of_several_monitors_is_enough(self):
        dead = "".join(f"<host name='127.255.255.{n}' port='6789'/>" for n in range(1, 8))
        xml = self.ceph.pool_xml("m").replace("<host ", dead + "<host ", 1)
        self.ok("pool-define", self.file("m.xml", xml))
        self.ok("pool-start", "m", timeout=300)
        self.undefine("m")

    def test_a_monitor_is_reached_by_ipv6(self):
        """In protocol v2, which is what it speaks there; alone, and beside others that are dead."""
        if not self.ceph.address6:
            self.skipTest("this machine has no IPv6")
        host, port = self.ceph.address6
        dead = "<host name='127.255.255.1' port='6789'/><host name='::1' port='1'/>"
        self.put("a", noise(MIB))
        for others, name in (("", host), ("", f"[{host}]"), (dead, host)):
            xml = self.ceph.pool_xml("m").replace(
                f"<host name='{self.ceph.host}' port='{self.ceph.port}'/>",
                f"{others}<host name='{name}' port='{port}'/>")
            self.addCleanup(self.undefine, "m")
            self.ok("pool-define", self.file("m.xml", xml))
            self.ok("pool-start", "m")
            self.assertEqual(["a"], self.names("m"))
            self.assertEqual(noise(MIB), self.download("a", "m"))
            self.undefine("m")

    def test_a_namespace_is_a_pool_of_its_own(self):
        self.ceph.run("rbd", "namespace", "create", "libvirt/team")
        self.define("t", source="libvirt/team")
        try:
            self.ok("vol-create-as", "t", "a", "4M")
            self.assertEqual(["a"], self.names("t"))
            self.assertEqual([], self.names("r"))
            self.assertEqual("libvirt/team/a",
                             self.ok("vol-path", "a", "--pool", "t").strip())
            self.assertEqual("a", self.ok("vol-name", "libvirt/team/a").strip())
            self.ok("vol-clone", "a", "b", "--pool", "t")
            self.fails("vol-delete", "a", "--pool", "t", text="t/b")
            self.ok("vol-delete", "b", "--pool", "t")
            self.ok("vol-delete", "a", "--pool", "t")
        finally:
            self.undefine("t")
            self.ceph.run("rbd", "namespace", "remove", "libvirt/team")

    def test_the_definition_decides_how_allocation_is_measured(self):
        self.put("a", noise(MIB), 16 * MIB)
        self.define("c", refresh="<refresh><volume allocation='capacity'/></refresh>")
        self.assertEqual(("16.00 MiB", "16.00 MiB"), self.details("c")["a"])
        self.undefine("c")

    def test_a_pool_survives_a_restart_of_the_daemon(self):
        self.put("a", noise(MIB))
        self.peer.restart()
        self.assertRegex(self.ok("pool-list"), r" r +active")
        self.assertEqual(["a"], self.names())

    def test_two_hundred_images_are_listed(self):
        words = ";".join(f"vol-create-as r v{i:03} 1G" for i in range(200))
        self.ok(words, timeout=600)
        self.ok("pool-refresh", "r")
        self.assertEqual(200, len(self.names()))
        self.ok(words.replace("vol-create-as r", "vol-delete --pool r").replace(" 1G", ""),
                timeout=600)
