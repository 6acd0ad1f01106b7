# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool with a trash keeps what is deleted, whoever deletes it: stock virsh, too. It comes back as
what it was, also from an interrupted daemon, and goes by itself when its days are over."""

import glob
import json
import os
import signal
import subprocess

from harness import peers, space, wire
from harness.cases import WithDaemon
from harness.pictures import qcow2_of

MIB = 1 << 20
CISTERN, TRASH_LIST = 0x43495354, 55


class Trash(WithDaemon):
    def setUp(self):
        super().setUp()
        os.makedirs(self.at("k"))
        self.ok("pool-create-as", "k", "dir", "--target", self.at("k"), "--trash", "7")

    def ok(self, *words, **options):
        status, out, err = self.cistern(*words, **options)
        self.assertEqual(0, status, f"{words}: {out}{err}")
        return out

    def listed(self, *words):
        status, out, err = self.cistern("trash-list", "--format", "json", *words)
        self.assertEqual(0, status, err)
        return json.loads(out)["trash"]

    def refused(self, code, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual(code, status, f"{words}: {out}{err}")
        return err

    def make(self, name="v", pool="k", form="qcow2"):
        self.ok("vol-create-as", pool, name, "4M", "--format", form)
        status, _out, err = peers.run(["qemu-io", "-f", form, "-c", "write -P 5 0 1M",
                                       self.at(pool, name)])
        self.assertEqual(0, status, err)

    def records(self):
        uuid = self.ok("pool-uuid", "k").strip()
        return glob.glob(os.path.join(self.peer.root, "var/lib/cistern/trash", uuid, "*"))

    def change_record(self, name, field, value):
        for path in self.records():
            with open(path, encoding="utf-8") as stream:
                lines = stream.read().splitlines()
            if f"name={name}" in lines:
                with open(path, "w", encoding="utf-8") as out:
                    out.write("".join(f"{field}{value}\n" if line.startswith(field) else line + "\n"
                                      for line in lines))

    def test_stock_virsh_deletes_into_it(self):
        self.make()
        peers.run(["qemu-img", "snapshot", "-c", "then", self.at("k", "v")])
        before = qcow2_of(self.at("k", "v"))
        status, _out, err = self.virsh("vol-delete", "v", "--pool", "k", "--delete-snapshots")[:3]
        self.assertEqual(0, status, err)
        self.assertNotIn(" v ", self.virsh("vol-list", "k")[1])
        self.assertIn(self.virsh("vol-info", "v", "--pool", "k")[0], (1,))
        row, = self.listed("--pool", "k")
        self.assertEqual(["v", os.getuid()], [row["name"], row["uid"]])
        self.assertEqual([f".cistern-trash-v-{row['id']}"], os.listdir(self.at("k")))
        self.ok("trash-restore", "v", "--pool", "k")
        self.assertEqual(before, qcow2_of(self.at("k", "v")))
        self.assertIn("then", self.cistern("snap-list", "v", "--pool", "k")[1])
        self.assertEqual([], self.listed())
        self.assertEqual([], self.records())

    def test_its_space_is_shown(self):
        self.assertNotIn("trash", self.cistern("pool-info", "k")[1].lower())
        self.make(form="raw")
        taken = os.stat(self.at("k", "v")).st_blocks * 512
        self.ok("vol-delete", "v", "--pool", "k")
        self.assertEqual(taken, self.listed()[0]["allocation"])
        status, out, _err = self.cistern("pool-info", "k", "--json")
        self.assertEqual(0, status)
        self.assertEqual([{"allocation": taken, "volumes": 1}], json.loads(out)["pool"]["trash"])

    def totals(self):
        trash = json.loads(self.ok("pool-info", "k", "--json"))["pool"].get("trash")
        rows = self.listed("--pool", "k")
        self.assertEqual([sum(row["allocation"] for row in rows), len(rows)],
                         [trash[0]["allocation"], trash[0]["volumes"]] if trash else [0, 0])
        return len(rows)

    def test_totals_are_right_after_a_kill_and_after_an_embedded_command(self):
        for name in ("v", "w", "x"):
            self.make(name, form="raw")
            self.ok("vol-delete", name, "--pool", "k")
        self.assertEqual(3, self.totals())
        self.peer.restart(signal.SIGKILL)
        self.assertEqual(3, self.totals())
        self.peer.stop()
        status, out, err = peers.run([space.CISTERN, "--root", self.peer.root, "--embedded",
                                      "trash-empty", "--pool", "k", "--vol", "w", "--yes"])
        self.assertEqual(0, status, out + err)
        self.peer.start()
        self.assertEqual(2, self.totals())
        self.ok("trash-empty", "--pool", "k", "--yes")
        self.assertEqual(0, self.totals())

    def plant(self, count):
        """Makes the files and the records of deleted volumes without deletions. Returns names."""
        directory = os.path.join(self.peer.root, "var/lib/cistern/trash",
                                 self.ok("pool-uuid", "k").strip())
        os.makedirs(directory, mode=0o700, exist_ok=True)
        names = [f"v{number:05d}" for number in range(count)]
        for number, name in enumerate(names):
            hidden = f".cistern-trash-{name}-{number:012x}"
            with open(self.at("k", hidden), "wb"):
                pass
            with open(os.path.join(directory, "=" + hidden), "w", encoding="utf-8") as out:
                out.write(f"[trash]\nname={name}\ndeleted={count - number}\nuntil={1 << 33}\n"
                          "uid=0\n")
        return names

    def test_20_000_deleted_volumes_are_listed_once_each_over_both_transports(self):
        """The oldest first: the records have times that decrease with their names."""
        names = self.plant(20000)
        self.assertEqual(names[::-1], [row["name"] for row in self.listed("--pool", "k")])
        with self.assertRaises(wire.RemoteError) as caught:  # the call without pages is not cut
            client = self.wire().open()
            client.call(TRASH_LIST, client.pool("k"), prog=CISTERN)
        self.assertIn("20000", caught.exception.text)
        self.peer.stop()
        status, out, err = peers.run([space.CISTERN, "--root", self.peer.root, "--embedded",
                                      "trash-list", "--pool", "k", "--format", "json"])
        self.peer.start()
        self.assertEqual(0, status, err)
        self.assertEqual(names[::-1], [row["name"] for row in json.loads(out)["trash"]])

    def test_definitions_show_the_setting(self):
        document = self.virsh("pool-dumpxml", "k")[1]
        self.assertIn("<cistern:trash days='7'/>", document)
        self.assertNotIn("cistern", self.virsh("pool-dumpxml", "p")[1])
        with open(self.at("k.xml"), "w", encoding="utf-8") as out:
            out.write(document.replace("days='7'", "days='0'"))
        self.ok("pool-destroy", "k")
        self.ok("pool-create", self.at("k.xml"))
        self.assertNotIn("cistern", self.virsh("pool-dumpxml", "k")[1])
        self.make()
        self.ok("vol-delete", "v", "--pool", "k")
        self.assertEqual([], self.listed())

    def test_what_was_declared_comes_back(self):
        """A raw volume whose guest wrote an image header into it is still no image."""
        self.make("base", "p")
        self.ok("vol-create-as", "k", "v", "4M", "--format", "raw")
        header = self.at("header")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.at("p", "base"), "-F",
                        "qcow2", header], check=True)
        self.ok("vol-upload", "v", header, "--pool", "k")
        self.ok("pool-refresh", "k")
        before = self.cistern("vol-dumpxml", "v", "--pool", "k")[1]
        self.ok("vol-delete", "v", "--pool", "k")
        self.ok("pool-refresh", "k")
        self.ok("trash-restore", "v", "--pool", "k")
        after = self.cistern("vol-dumpxml", "v", "--pool", "k")[1]
        strip = lambda text: [line for line in text.splitlines() if "time>" not in line  # noqa: E731
                              and "<ctime" not in line]
        self.assertEqual(strip(before), strip(after))

    def test_its_days_pass(self):
        self.make()
        self.make("w")
        self.ok("vol-delete", "v", "--pool", "k")
        self.ok("vol-delete", "w", "--pool", "k")
        self.change_record("v", "until=", 1)
        self.peer.restart()
        self.wait_until(lambda: [row["name"] for row in self.listed()] == ["w"], "it is removed")
        self.assertEqual(1, len(os.listdir(self.at("k"))))

    def test_the_clock_was_set_back(self):
        self.make()
        self.ok("vol-delete", "v", "--pool", "k")
        self.change_record("v", "deleted=", 1 << 33)
        self.ok("trash-empty", "--yes")
        self.assertEqual([], self.listed())

    def test_who_may(self):
        self.make()
        self.ok("vol-delete", "v", "--pool", "k")
        for words in (["trash-restore", "v"], ["trash-empty", "--yes"]):
            self.assertNotEqual(0, self.cistern(*words, "--pool", "k", "--readonly")[0])
        self.assertEqual(1, len(self.listed("--readonly")))
        self.refused(2, "trash-empty", "--pool", "k", "--no-input")
        self.assertEqual(1, len(self.listed()))

    def test_damaged_records_are_in_nobodys_way(self):
        self.make()
        self.make("w")
        self.ok("vol-delete", "v", "--pool", "k")
        self.ok("vol-delete", "w", "--pool", "k")
        for path in self.records():
            if "-v-" in path:
                with open(path, "wb") as out:
                    out.write(b"\0\xff[trash")
        self.assertEqual(["w"], [row["name"] for row in self.listed()])
        self.ok("trash-restore", "w", "--pool", "k")

    def test_a_pool_that_is_undefined_leaves_it(self):
        xml = self.virsh("pool-dumpxml", "k")[1]
        with open(self.at("k.xml"), "w", encoding="utf-8") as out:
            out.write(xml)
        self.make()
        self.ok("vol-delete", "v", "--pool", "k")
        self.ok("pool-destroy", "k")
        self.ok("pool-create", self.at("k.xml"))
        self.assertEqual(["v"], [row["name"] for row in self.listed()])
        self.assertEqual(MIB * 4, json.loads(self.cistern(
            "trash-list", "--columns", "capacity", "--format", "json")[1])["trash"][0]["capacity"])

    def test_undefining_says_what_is_left(self):
        self.ok("pool-define-as", "l", "dir", "--target", self.at("l"), "--trash", "1")
        self.ok("pool-build", "l")
        self.ok("pool-start", "l")
        uuid = self.ok("pool-uuid", "l").strip()
        with open(self.at("l.xml"), "w", encoding="utf-8") as out:
            out.write(self.ok("pool-dumpxml", "l", "--inactive"))
        self.make("v", "l")
        self.ok("vol-delete", "v", "--pool", "l")
        self.ok("pool-destroy", "l")
        self.assertIn("trash-empty", self.refused(5, "pool-delete", "l", "--yes"))
        self.assertNotIn("trash", self.cistern("pool-undefine", "l", "--dry-run")[2])
        status, _out, err = self.cistern("pool-undefine", "l")
        self.assertEqual(0, status)
        self.assertIn(uuid, err)
        self.ok("pool-define", self.at("l.xml"))
        self.ok("pool-start", "l")
        self.ok("trash-restore", "v", "--pool", "l")

    def test_what_is_moved_is_not_kept(self):
        """Nor the scratch volumes of backups."""
        os.makedirs(self.at("l"))
        self.ok("pool-create-as", "l", "dir", "--target", self.at("l"))
        self.make()
        self.ok("vol-move", "v", "--pool", "k", "--newpool", "l")
        self.assertEqual([], self.listed())
        self.make()
        self.ok("backup-init", self.at("repo"), "--no-encryption")
        self.ok("backup-create", self.at("repo"), "v", "--pool", "k")
        self.ok("backup-prove", self.at("repo"), "latest")
        self.assertEqual([], self.listed())
        self.assertEqual(["v"], os.listdir(self.at("k")))

    def test_what_was_put_in_its_place(self):
        """By who may write to the directory: it is no more than it would be beside it."""
        with open(self.at("secret"), "wb") as out:
            out.write(b"top secret" * 1000)
        self.make("v", form="raw")
        self.ok("vol-delete", "v", "--pool", "k")
        hidden = self.at("k", self.listed("--columns", "hidden")[0]["hidden"])
        os.unlink(hidden)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.at("secret"), "-F",
                        "raw", hidden], check=True)
        self.ok("trash-restore", "v")
        self.assertIn("declare it", self.ok("vol-info", "v", "--pool", "k"))
        status, _out, err = self.cistern("vol-export", "v", self.at("got"), "--format", "raw",
                                         "--pool", "k")
        self.assertEqual((True, False), (status != 0, os.path.exists(self.at("got"))), err)
        self.ok("vol-delete", "v", "--pool", "k")
        hidden = self.at("k", self.listed("--columns", "hidden")[0]["hidden"])
        os.unlink(hidden)
        os.symlink(self.at("secret"), hidden)
        self.cistern("trash-empty", "--yes")
        self.assertTrue(os.path.exists(self.at("secret")))
        with open(self.at("k", ".cistern-trash-v-aaaaaaaaaaaa"), "wb"):
            pass
        self.ok("pool-refresh", "k")
        self.assertEqual(["v"] if os.path.lexists(hidden) else [],
                         [row["name"] for row in self.listed()])

    def test_libvirtd_on_the_same_directory(self):
        stock = peers.Libvirtd("stock")
        if not stock.available():
            self.skipTest("libvirt's daemons are not installed")
        self.make()
        self.make("w")
        self.ok("vol-delete", "v", "--pool", "k")
        self.ok("vol-delete", "w", "--pool", "k")
        hidden = {row["name"]: row["hidden"] for row in self.listed("--columns", "name,hidden")}
        stock.fresh()
        self.addCleanup(stock.stop)
        peers.virsh(stock, "pool-create-as", "k", "dir", "--target", self.at("k"))
        self.assertIn(hidden["v"], peers.virsh(stock, "vol-list", "k")[1])
        self.assertEqual(0, peers.virsh(stock, "vol-delete", hidden["v"], "--pool", "k")[0])
        self.assertEqual(["w"], [row["name"] for row in self.listed()])
        self.refused(3, "trash-restore", "v", "--pool", "k")
        self.ok("trash-restore", "w", "--pool", "k")

    def test_two_daemons_on_one_directory(self):
        """What one keeps is nothing to the other, also when that starts, refreshes and empties."""
        far = peers.Cisternd("far")
        far.fresh()
        self.addCleanup(far.stop)
        self.make()
        self.ok("vol-delete", "v", "--pool", "k")
        there = lambda *words: peers.run([space.CISTERN, "-c", far.uri, *words])  # noqa: E731
        for words in (["pool-create-as", "k", "dir", "--target", self.at("k"), "--trash", "1"],
                      ["pool-refresh", "k"], ["trash-empty", "--yes"]):
            self.assertEqual(0, there(*words)[0])
        self.assertNotIn("v", there("vol-list", "k", "--columns", "name")[1].split())
        far.restart()
        self.assertEqual(["v"], [row["name"] for row in self.listed()])
        self.ok("trash-restore", "v", "--pool", "k")

    def test_a_name_among_all_pools(self):
        os.makedirs(self.at("l"))
        self.ok("pool-create-as", "l", "dir", "--target", self.at("l"), "--trash", "1")
        for pool in ("k", "l"):
            self.make("v", pool)
            self.ok("vol-delete", "v", "--pool", pool)
        self.make("only", "l")
        self.ok("vol-delete", "only", "--pool", "l")
        self.assertIn("--pool", self.refused(2, "trash-restore", "v"))
        self.ok("trash-restore", "only")
        self.assertTrue(os.path.exists(self.at("l", "only")))
        self.ok("trash-empty", "--yes")
        self.assertEqual([], self.listed())
        self.assertEqual([[], ["only"]], [os.listdir(self.at(pool)) for pool in ("k", "l")])
