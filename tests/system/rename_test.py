# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another name for a volume that images are based on: their references follow, in this pool and in
others, or nothing is changed and the refusal says why. QEMU's tools see the same before and after."""

import json
import os
import signal
import struct
import subprocess
import threading

from harness import peers, space
from harness.cases import WithDaemon
from harness.pictures import qcow2_of

MIB = 1 << 20


class Rename(WithDaemon):
    def setUp(self):
        super().setUp()
        os.makedirs(self.at("q"))
        self.ok("pool-create-as", "q", "dir", "--target", self.at("q"))
        self.ok("vol-create-as", "p", "base", "4M", "--format", "qcow2")
        self.tool("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 1M", self.at("p", "base"))

    def tool(self, *argv, cwd=None):
        status, out, err = peers.run(argv, cwd=cwd)
        self.assertEqual(0, status, f"{argv}: {err}")
        return out

    def overlay(self, pool, name, reference, form="qcow2", base_form="qcow2"):
        self.tool("qemu-img", "create", "-q", "-f", form, "-b", reference, "-F", base_form,
                  self.at(pool, name), cwd=self.at(pool))
        self.ok("pool-refresh", pool)
        status, _out, err = self.cistern("vol-trust", name, "--pool", pool)
        self.assertEqual(0, status, err)

    def reference(self, pool, name):
        return json.loads(self.tool("qemu-img", "info", "-U", "--output=json",
                                    self.at(pool, name)))["backing-filename"]

    def rename(self, *words, code=0):
        status, out, err = self.cistern("vol-rename", *words)
        self.assertEqual(code, status, f"vol-rename {words}: {out}{err}")
        return err

    def files(self):
        found = {}
        for pool in ("p", "q"):
            for name in os.listdir(self.at(pool)):
                with open(self.at(pool, name), "rb") as stream:
                    found[pool, name] = stream.read()
        return found

    def is_refused(self, name, *words):
        """Nothing is changed; the list."""
        before = self.files()
        err = self.rename(name, "golden", "--pool", "p", code=5)
        self.assertEqual(before, self.files())
        for word in words:
            self.assertIn(word, err)
        return err

    def test_overlays_of_all_pools_follow(self):
        self.overlay("p", "near", "base")
        self.overlay("q", "far", self.at("p", "base"))
        self.overlay("q", "way", "../p/base")
        self.overlay("q", "top", "far")
        for form in ("qcow", "qed"):
            self.overlay("q", form, self.at("p", "base"), form)
        names = [("p", "near"), ("q", "far"), ("q", "way"), ("q", "top"), ("q", "qcow"), ("q", "qed")]
        self.rename("base", "golden", "--pool", "p")
        self.assertEqual("golden", self.reference("p", "near"))
        self.assertEqual(self.at("p", "golden"), self.reference("q", "far"))
        self.assertEqual("../p/golden", self.reference("q", "way"))
        self.assertEqual("far", self.reference("q", "top"))
        self.assertFalse(os.path.exists(self.at("p", "base")))
        self.assertEqual(1, os.stat(self.at("p", "golden")).st_nlink)
        for pool, name in names:
            self.tool("qemu-img", "compare", self.at(pool, name), self.at("p", "golden"))
            # It is followed still, which only a declaration has it be.
            out = self.cistern("vol-list", pool, "--columns", "name,backing,problem", "-H")[1]
            self.assertNotIn("not declared", out)
            xml = self.ok("vol-dumpxml", name, "--pool", pool)
            self.assertIn("<backingStore>", xml)
        self.assertIn("top", self.cistern("vol-chain", "golden", "--pool", "p")[1])
        self.fails("vol-delete", "golden", "--pool", "p", text="q/far")

    def test_at_most_10_000_overlays_follow(self):
        """The overlays are copies. The pool's directory is root's, so they need no declaration."""
        self.tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "first",
                  cwd=self.at("p"))
        with open(self.at("p", "first"), "rb") as stream:
            image = stream.read()
        for number in range(10000):
            with open(self.at("p", f"over{number}"), "wb") as out:
                for cluster in range(0, len(image), 65536):  # each has a table, or no data
                    out.seek(cluster)
                    out.write(image[cluster:cluster + 4096])
                out.truncate(len(image))
        self.ok("pool-refresh", "p")
        err = self.rename("base", "golden", "--pool", "p", code=1)
        self.assertIn("'base' is the base of 10001 volumes; at most 10000", err)
        for number in range(1001, 10000):
            os.unlink(self.at("p", f"over{number}"))
        self.ok("pool-refresh", "p")
        self.rename("base", "golden", "--pool", "p")
        for number in range(1001):
            with open(self.at("p", f"over{number}"), "rb") as stream:
                head = stream.read(4096)
            start, length = struct.unpack(">QI", head[8:20])
            self.assertEqual(b"golden", head[start:start + length])

    def test_an_overlay_in_use_keeps_it(self):
        self.overlay("p", "near", "base")
        self.overlay("q", "far", self.at("p", "base"))
        with subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("q", "far")], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write("length\n")
            process.stdin.flush()
            process.stdout.readline()
            err = self.is_refused("base", "\n  q/far: ", f"process {process.pid}")
            self.assertNotIn("p/near", err)
            process.communicate("quit\n")
        self.rename("base", "golden", "--pool", "p")
        self.assertEqual("golden", self.reference("p", "near"))

    def test_what_cannot_follow_keeps_it(self):
        self.ok("vol-create-as", "p", "vmdk", "4M", "--format", "vmdk")
        self.overlay("q", "disk", self.at("p", "vmdk"), "vmdk", base_form="vmdk")
        self.is_refused("vmdk", "\n  q/disk: ", "'vmdk'")
        self.ok("vol-create-as", "p", "flat", "4M")
        self.tool("qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=" + self.at("p", "flat"),
                  self.at("q", "data"), "4M")
        self.ok("pool-refresh", "q")
        self.assertEqual(0, self.cistern("vol-trust", "data", "--pool", "q")[0])
        self.is_refused("flat", "\n  q/data: ", "keeps its data")

    def test_a_header_without_room(self):
        """There is no more for a name than 1023 bytes."""
        deep = "/".join(["x" * 200] * 4)
        os.makedirs(self.at("p", deep))
        dots = os.path.join(deep, *[".."] * 4, "base")
        self.overlay("p", "near", "./" * 50 + dots)
        before = self.reference("p", "near")
        self.rename("base", "g" * 200, "--pool", "p", code=5)
        self.assertEqual(before, self.reference("p", "near"))
        self.assertEqual({"base", "near", deep.split("/", maxsplit=1)[0]},
                         set(os.listdir(self.at("p"))))

    def test_where_others_may_write(self):
        os.chmod(self.at("p"), 0o1777)
        self.overlay("p", "near", "base")
        self.rename("base", "golden", "--pool", "p")
        self.assertEqual("golden", self.reference("p", "near"))
        self.tool("qemu-img", "compare", self.at("p", "near"), self.at("p", "golden"))

    def test_a_name_that_somebody_else_makes(self):
        """Whoever comes first has the name; nobody's file is lost."""
        for number in range(20):
            self.ok("vol-create-as", "p", "v", "1M")
            path, made = self.at("p", "w"), []

            def make(path=path, made=made):
                try:
                    with open(path, "xb") as out:
                        out.write(b"other")
                    made.append(True)
                except FileExistsError:
                    pass

            thread = threading.Thread(target=make)
            thread.start()
            status = self.cistern("vol-rename", "v", "w", "--pool", "p")[0]
            thread.join()
            self.assertEqual(not made, status == 0, number)
            self.assertEqual(5 if made else MIB, os.stat(path).st_size)
            self.assertEqual(bool(made), os.path.exists(self.at("p", "v")))
            self.ok("pool-refresh", "p")
            for name in os.listdir(self.at("p")):
                if name != "base":
                    os.unlink(self.at("p", name))
            self.ok("pool-refresh", "p")

    def test_who_may(self):
        self.assertNotEqual(0, self.cistern("vol-rename", "base", "golden", "--pool", "p",
                                            "--readonly")[0])
        self.assertTrue(os.path.exists(self.at("p", "base")))

    def test_clients_are_told(self):
        with subprocess.Popen(["virsh", "-c", self.peer.uri, "pool-event", "--event", "refresh",
                               "--timeout", "20"], stdout=subprocess.PIPE, text=True,
                              env=space.ENV) as watching:
            for number in range(100):
                self.rename("base" if number % 2 == 0 else "golden",
                            "golden" if number % 2 == 0 else "base", "--pool", "p")
                if watching.poll() is not None:
                    break
            watching.send_signal(signal.SIGINT)
            self.assertIn("'refresh' for storage pool p", watching.stdout.read())

    def test_inside_snapshots_stay(self):
        self.tool("qemu-img", "snapshot", "-c", "then", self.at("p", "base"))
        before = qcow2_of(self.at("p", "base"))
        self.ok("pool-refresh", "p")
        self.rename("base", "golden", "--pool", "p")
        self.assertEqual(before, qcow2_of(self.at("p", "golden")))
        self.assertIn("then", self.cistern("snap-list", "golden", "--pool", "p")[1])
