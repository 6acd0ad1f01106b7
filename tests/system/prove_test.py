# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proofs of backups: content, file systems made by their own tools and damaged, and boots."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import zlib

from backup_test import Repository
from harness import accelerator, peers, space

MIB = 1 << 20
TENANT = 12345
SIZES = {"ext4": 32, "xfs": 320, "btrfs": 128, "vfat": 40, "ntfs": 32}
MAKERS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"],
          "btrfs": ["mkfs.btrfs", "-q", "-f"], "vfat": ["mkfs.fat", "-F", "16"],
          "ntfs": ["mkntfs", "-q", "-F"], "swap": ["mkswap", "-q"]}
TOOLS = {"ext4": "e2fsck", "xfs": "xfs_repair", "btrfs": "btrfs", "vfat": "fsck.fat",
         "ntfs": "ntfsfix"}

BOOT_SECTOR = """
.code16
.globl _start
_start: cli
xor %ax, %ax
mov %ax, %ds
mov $0x3f8, %dx
mov $text, %si
next: lodsb
test %al, %al
jz end
out %al, %dx
jmp next
end: {end}
hlt
jmp end
text: .ascii "{text}"
.byte 0
.org 510
.word 0xaa55
"""


class Proofs(Repository):
    def setUp(self):
        super().setUp()
        self.scratch = os.path.join(self.peer.files, "scratch")
        os.makedirs(self.scratch)

    def prove(self, *words, embedded=False, env=None, groups="0"):
        """Exit status, rows and stderr of a proof of the latest backup."""
        root = os.path.join(self.peer.files, "root")
        to = ["--embedded", "--root", root] if embedded else ["-c", self.peer.uri]
        status, out, err = peers.run(
            ["setpriv", "--groups", groups, space.CISTERN, *to, "--json", "backup-prove", self.repo,
             "latest", "--scratch", self.scratch, *words, *self.key],
            env={**space.ENV, **(env or {})}, timeout=120)
        self.assertEqual([], os.listdir(self.scratch))
        return status, json.loads(out)["checks"] if out else [], err

    def backup(self, *words, **options):
        """What takes longer than a second tells on stderr how far it is."""
        status, out, err = self.cistern("--json", "backup-create", self.repo, *words, *self.key)
        self.assertEqual(0, status, err)
        return json.loads(out)["backup"]

    def results(self, *words, **options):
        """Of each part that was looked at: what it is, how it is, and why."""
        status, rows, err = self.prove(*words, **options)
        self.assertIn(status, (0, 7, 75), err)
        self.assertEqual("sound", rows[0]["result"], rows[0])
        return status, [(row["type"], row["result"], row["detail"] or "") for row in rows
                        if row["check"] == "file system"]

    def filesystem(self, kind):
        path = os.path.join(self.peer.files, kind)
        with open(path, "wb") as stream:
            os.truncate(stream.fileno(), SIZES.get(kind, 8) * MIB)
        done = subprocess.run([*MAKERS[kind], path], capture_output=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return path

    def disk(self, *filesystems, label="gpt"):
        """Backs up a disk with a partition for each file."""
        path, table, start = self.at("p", "disk"), [f"label: {label}"], MIB
        for filesystem in filesystems:
            size = os.stat(filesystem).st_size
            table.append(f"start={start // 512}, size={size // 512}")
            start += size
        with open(path, "wb") as stream:
            os.truncate(stream.fileno(), start + MIB)
        subprocess.run(["sfdisk", "-q", path], input="\n".join(table), text=True, check=True)
        start = MIB
        for filesystem in filesystems:
            subprocess.run(["dd", f"if={filesystem}", f"of={path}", "bs=1M", f"seek={start // MIB}",
                            "conv=notrunc,sparse", "status=none"], check=True)
            start += os.stat(filesystem).st_size
        self.back_up()

    def whole(self, path):
        """Backs up a disk that is this file."""
        shutil.copy(path, self.at("p", "disk"))
        self.back_up()

    def back_up(self, name="disk"):
        self.ok("pool-refresh", "p")
        return self.backup(f"p/{name}")

    def tools_without(self, *missing, **instead):
        """A PATH with all tools but these; @instead are scripts."""
        folder = os.path.join(self.peer.files, "tools")
        os.makedirs(folder)
        os.chmod(folder, 0o755)
        os.chmod(self.peer.files, 0o755)
        for place in os.environ["PATH"].split(":"):
            for name in os.listdir(place) if os.path.isdir(place) else ():
                if name not in missing and name not in instead:
                    if not os.path.lexists(os.path.join(folder, name)):
                        os.symlink(os.path.join(place, name), os.path.join(folder, name))
        for name, text in instead.items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as stream:
                stream.write(text)
            os.chmod(path, 0o755)
        return {"PATH": folder}


def overwrite(path, *places):
    with open(path, "r+b") as stream:
        for offset, data in places:
            stream.seek(offset)
            stream.write(data)


def inode_of_root(path):
    """Where ext4 has the inode of the topmost directory."""
    out = subprocess.run(["debugfs", "-R", "imap <2>", path], capture_output=True, text=True,
                         check=True).stdout
    block, offset = re.search(r"block (\d+), offset (0x[0-9a-f]+)", out).groups()
    return int(block) * 1024 + int(offset, 16)


def junk(length):
    return b"\xa5\x5a\x17" * (length // 3)


def physical_volume(path):
    """LVM's label, as far as blkid looks at it."""
    body = struct.pack("<I8s32s", 32, b"LVM2 001", b"a" * 32).ljust(492, b"\0")
    crc = zlib.crc32(body, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff
    with open(path, "wb") as stream:
        os.truncate(stream.fileno(), 4 * MIB)
    overwrite(path, (512, struct.pack("<8sQI", b"LABELONE", 1, crc) + body))
    return path


class FileSystems(Proofs):
    def test_sound_ones_of_every_kind(self):
        files = [self.filesystem(kind) for kind in (*SIZES, "swap")]
        files.append(physical_volume(os.path.join(self.peer.files, "pv")))
        files.append(self.file("empty", b"\0" * MIB))
        expected = [(kind, "sound", "") for kind in SIZES]
        expected += [("swap", "unknown", "not looked into"),
                     ("LVM2_member", "unknown", "not looked into"),
                     (None, "unknown", "no known content")]
        self.disk(*files)
        self.assertEqual((0, expected), self.results())
        self.assertEqual((0, expected), self.results("--pool", "p"))
        self.assertEqual((0, expected), self.results(embedded=True))
        self.assertEqual(["disk"], self.entries("p"))
        self.assertEqual((0, []), self.results("--content-only"))

    def test_a_disk_without_partitions_and_one_in_dos_s_way(self):
        self.whole(self.filesystem("ext4"))
        self.assertEqual((0, [("ext4", "sound", "")]), self.results())
        self.disk(self.filesystem("ext4"), self.filesystem("vfat"), label="dos")
        self.assertEqual((0, [("ext4", "sound", ""), ("vfat", "sound", "")]), self.results())

    def test_images_of_other_formats(self):
        self.whole(self.filesystem("ext4"))
        for fmt in ("qcow2", "vmdk"):
            with self.subTest(fmt=fmt):
                subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", fmt, self.at("p", "disk"),
                                self.at("p", fmt)], check=True)
                self.back_up(fmt)
                self.assertEqual((0, [("ext4", "sound", "")]), self.results())
                self.assertEqual((0, [("ext4", "sound", "")]), self.results("--pool", "p"))

    def bad_ext4(self):
        path = self.filesystem("ext4")
        overwrite(path, (inode_of_root(path), junk(66)))
        return path

    def damaged(self, kind, *places):
        path = self.filesystem(kind) if places else self.bad_ext4()
        overwrite(path, *places)
        self.disk(self.filesystem("swap"), path)
        status, rows = self.results()
        self.assertEqual((7, kind, "damaged"), (status, *rows[1][:2]), rows)
        self.assertIn(f"{TOOLS[kind]} ends with status ", rows[1][2])
        return rows[1][2]

    def test_each_kind_is_damaged_in_its_way(self):
        """The content is what was backed up, and no good."""
        self.assertIn("Inode 2 ", self.damaged("ext4"))
        self.assertIn("agi", self.damaged("xfs", (512 * 2 + 16, junk(64))))
        self.damaged("btrfs", (MIB, junk(60 * MIB)), (70 * MIB, junk(58 * MIB)))
        self.assertIn("FAT", self.damaged("vfat", (4 * 512 + 64, junk(256))))
        self.damaged("ntfs", (4 * 4096 + 1024, junk(12)))

    def test_several_faults_are_one_answer(self):
        self.whole(self.bad_ext4())
        status, out, err = self.cistern("backup-prove", self.repo, "latest", *self.key)
        self.assertEqual(7, status)
        self.assertIn("is not proved: 1 check failed", err)
        self.assertRegex(out, r"p/disk +file system +- +ext4 +32.00 MiB +damaged +e2fsck ends")
        self.assertRegex(out, r"p/disk +content +- +- +32.00 MiB +sound")

    def test_a_journal_that_waits_to_be_replayed_is_no_damage(self):
        path = self.filesystem("ext4")
        data = self.file("block", b"\0" * 1024)
        done = subprocess.run(["debugfs", "-w", "-f", "-", path], capture_output=True, text=True,
                              input=f"jo\njw -b 20000 {data}\njc\n", check=True)
        with open(path, "rb") as stream:
            stream.seek(1024 + 0x60)
            self.assertTrue(stream.read(1)[0] & 4, f"it needs no recovery: {done.stderr}")
        self.disk(path)
        self.assertEqual((0, [("ext4", "sound", "journal to be replayed; sound after that")]),
                         self.results())
        path = self.filesystem("vfat")
        overwrite(path, (0x25, b"\x01"))
        self.disk(path)
        self.assertEqual((0, [("vfat", "sound", "marked as mounted; sound")]), self.results())

    def test_a_mounted_xfs_has_a_journal_to_be_replayed(self):
        path, folder = self.filesystem("xfs"), os.path.join(self.peer.files, "m")
        os.makedirs(folder)
        status, _, err = peers.run(["mount", "-o", "loop", path, folder])
        if status != 0:
            self.skipTest(f"no loop device: {err}")
        try:
            for i in range(8):
                os.makedirs(os.path.join(folder, f"d{i}"))
            subprocess.run(["sync", "-f", folder], check=True)
            os.rmdir(os.path.join(folder, "d3"))
            subprocess.run(["sync", "-f", folder], check=True)
            self.whole(path)
        finally:
            subprocess.run(["umount", folder], check=True)
        self.assertEqual((0, [("xfs", "unknown",
                               "journal to be replayed, which only the kernel can")]),
                         self.results())

    def test_one_of_several_disks(self):
        others = [self.filesystem("btrfs"), os.path.join(self.peer.files, "second")]
        shutil.copy(others[0], others[1])
        if subprocess.run(["mkfs.btrfs", "-q", "-f", *others], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("mkfs.btrfs makes none of two files")
        self.whole(others[0])
        self.assertEqual((0, [("btrfs", "unknown", "parts of it are on other disks")]),
                         self.results())

    def test_missing_tools_are_named_and_damage_is_not_claimed(self):
        self.disk(self.filesystem("ext4"), self.filesystem("vfat"))
        env = self.tools_without("e2fsck")
        self.assertEqual((75, [("ext4", "unproven", "e2fsck is not installed, or not in PATH"),
                              ("vfat", "sound", "")]), self.results(env=env))
        for tool in ("blkid", "partx"):
            os.unlink(os.path.join(env["PATH"], tool))
            status, rows = self.results(env=env)
            self.assertEqual((75, (None, "unproven", f"{tool} is not installed, or not in PATH")),
                             (status, rows[0]))


    def test_killed_checker_is_no_damage(self):
        self.whole(self.filesystem("ext4"))
        for script, detail in (("exec /usr/bin/python3 -c 'import ctypes; ctypes.string_at(0)'",
                                "killed by signal 11"),
                               ("echo e2fsck: Memory allocation failed >&2; exit 8", "status 8")):
            tools = self.tools_without(e2fsck=f"#!/bin/sh\n{script}\n")
            status, rows = self.results(env=tools)
            self.assertEqual((75, "unproven"), (status, rows[0][1]), rows)
            self.assertIn(detail, rows[0][2])
            shutil.rmtree(tools["PATH"])

    def test_damaged_chunk_is_one_row_and_the_rest_is_proven(self):
        for name in ("a", "b"):
            with open(self.at("p", name), "wb") as stream:
                stream.write(os.urandom(MIB))
            self.back_up(name)
            if name == "a":
                packs = os.path.join(self.repo, "packs")
                overwrite(os.path.join(packs, os.listdir(packs)[0]), (5000, b"damage"))
        self.backup("--pool", "p")
        status, rows, err = self.prove("--content-only")
        self.assertEqual((7, [("p/a", "damaged"), ("p/b", "sound")]),
                         (status, [(row["volume"], row["result"]) for row in rows]), err)
        self.assertTrue(all(isinstance(row["size"], int) for row in rows))


HIJACKED = """#!/usr/bin/python3
import os, socket
def leave():
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 64)
        os.execv("/usr/bin/sleep", ["cistern-hijacked", "600"])
def own():
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("\\0own")
        server.listen()
        client.connect("\\0own")
def can(what):
    try:
        what()
        return "yes"
    except OSError:
        return "no"
def connect():
    with socket.create_connection(("127.0.0.1", {port}), 2):
        pass
print("uid", os.getuid() not in (0, 65534), "groups", os.getgroups(),
      "key", can(lambda: open("{key}")), "pool", can(lambda: open("{disk}")),
      "tmp", can(lambda: open("/tmp/cistern-hijacked", "w")),
      "tcp", can(connect), "unix", can(lambda: socket.socket(socket.AF_UNIX).connect("{unix}")),
      "kill", can(lambda: os.kill({pid}, 0)), "own", can(own),
      "root", [name for name in ("home", "root", "run", "var", "etc/passwd", "sys")
               if os.path.exists("/" + name)],
      "processes", [int(name) for name in os.listdir("/proc") if name.isdigit()],
      "left", can(leave), "env", "SECRET" in os.environ,
      "fds", sorted(set(map(int, os.listdir("/proc/self/fd"))) - {{0, 1, 2, 3}})[1:])
raise SystemExit(4)
"""


class Hostile(Proofs):
    @staticmethod
    def processes(name):
        """Those of this name. The kernel ends a PID namespace before its first process is reaped."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as stream:
                if stream.read().startswith(name):
                    found.append(int(pid))
        return found

    def test_a_checker_that_was_taken_over_has_the_copy_and_nothing_else(self):
        self.whole(self.filesystem("ext4"))
        for secret in (self.at("p", "disk"), self.key[1]):
            os.chmod(secret, 0o600)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/tmp/cistern-hijacked")
        unix = f"{self.peer.root}/run/libvirt/virtstoraged-admin-sock"
        with socket.create_server(("127.0.0.1", 0)) as server:
            tools = self.tools_without(e2fsck=HIJACKED.format(
                port=server.getsockname()[1], pid=os.getpid(), key=self.key[1], disk=self.at("p", "disk"), unix=unix))
            status, rows = self.results(env={**tools, "SECRET": "of ours"}, groups="0,4,6")
        self.assertEqual(7, status)
        self.assertIn("uid True groups [] key no pool no tmp no tcp no unix no kill no own no "
                      "root [] processes [1, 2] left yes env False fds []", rows[0][2])
        self.assertEqual([], self.processes(b"cistern-hijacked"))
        self.assertFalse(os.path.exists("/tmp/cistern-hijacked"))

    def test_words_for_the_terminal(self):
        self.whole(self.filesystem("ext4"))
        tools = self.tools_without(e2fsck="#!/bin/sh\nprintf 'a\\033]0;b\\007c'; exit 4\n")
        rows = self.results(env=tools)[1]
        self.assertIn("a\\x1b]0;b\\x07c", rows[0][2])

    def test_a_checker_that_prints_without_end(self):
        self.whole(self.filesystem("ext4"))
        status, rows = self.results(env=self.tools_without(e2fsck="#!/bin/sh\nexec /usr/bin/yes\n"))
        self.assertEqual((7, "damaged"), (status, rows[0][1]))
        self.assertIn("printed more than", rows[0][2])

    def test_a_table_of_many_that_are_one(self):
        """All 128 entries of a GPT are the same 30 MiB, and all but the first overlap it."""
        self.disk(self.filesystem("ext4"))
        path = self.at("p", "disk")
        with open(path, "rb") as stream:
            head, entries = bytearray(stream.read(2 * MIB)[512:1024]), None
            stream.seek(1024)
            entry = stream.read(128)
        entries = b"".join(entry[:16] + bytes([i]) * 16 + entry[32:] for i in range(1, 129))
        head[88:92] = struct.pack("<I", zlib.crc32(entries))
        head[16:20] = b"\0" * 4
        head[16:20] = struct.pack("<I", zlib.crc32(bytes(head[:92])))
        overwrite(path, (512, bytes(head)), (1024, entries))
        self.back_up()
        status, rows = self.results()
        self.assertEqual((0, 128, ("ext4", "sound", "")), (status, len(rows), rows[0]))
        self.assertEqual({(None, "unknown", "it overlaps partition 1")}, set(rows[1:]))

    def test_a_ring_of_extended_partitions(self):
        path = self.at("p", "disk")
        with open(path, "wb") as stream:
            os.truncate(stream.fileno(), 64 * MIB)

        def table(*entries):
            return b"".join(struct.pack("<4sB3sII", b"\0" * 4, kind, b"\0" * 3, start, size)
                            for kind, start, size in entries).ljust(64, b"\0") + b"\x55\xaa"
        overwrite(path, (446, table((5, 2048, 100000))),
                  (2048 * 512 + 446, table((0x83, 64, 64), (5, 4096, 4096))),
                  ((2048 + 4096) * 512 + 446, table((0x83, 64, 64), (5, 4096, 4096))))
        self.back_up()
        status, rows = self.results()
        self.assertEqual(0, status)
        self.assertLessEqual(len(rows), 128)

    def test_a_disk_that_was_cut(self):
        self.disk(self.filesystem("ext4"), self.filesystem("vfat"), label="dos")
        os.truncate(self.at("p", "disk"), 40 * MIB)
        self.back_up()
        status, rows = self.results()
        self.assertEqual((7, "it reaches beyond the end of the disk"), (status, rows[1][2]))
        self.assertEqual(("ext4", "sound", ""), rows[0])

    def test_random_disks(self):
        for _ in range(5):
            with open(self.at("p", "disk"), "wb") as stream:
                stream.write(os.urandom(510) + b"\x55\xaa" + os.urandom(MIB - 512))
            self.back_up()
            self.assertIn(self.results()[0], (0, 7))


class Places(Proofs):
    def test_too_little_space(self):
        small = os.path.join(self.peer.files, "small")
        os.makedirs(small)
        status, _, err = peers.run(["mount", "-t", "tmpfs", "-o", "size=70M", "none", small])
        if status != 0:
            self.skipTest(f"no tmpfs: {err}")
        self.addCleanup(peers.run, ["umount", small])
        with open(self.at("p", "disk"), "wb") as stream:
            stream.write(os.urandom(8 * MIB))
        self.back_up()
        status, _, err = self.cistern("backup-prove", self.repo, "latest", "--scratch", small,
                                      *self.key)
        self.assertEqual(1, status)
        self.assertIn("say where with --scratch", err)
        self.assertEqual([], os.listdir(small))

    def test_a_pool_s_directory(self):
        self.whole(self.filesystem("ext4"))
        self.fine("backup-prove", self.repo, "latest", "--scratch", "p", *self.key)
        self.assertEqual(["disk"], self.entries("p"))
        self.assertEqual(3, self.cistern("backup-prove", self.repo, "latest", "--scratch", "nosuch",
                                         *self.key)[0])
        self.assertEqual(3, self.cistern("backup-prove", self.repo, "latest", "--scratch",
                                         "./nosuch", *self.key)[0])

    def test_an_ordinary_user(self):
        path = self.filesystem("ext4")
        home = os.path.join(self.peer.files, "home")
        os.makedirs(os.path.join(home, "p"))
        shutil.copy(path, os.path.join(home, "p", "disk"))
        os.chmod(self.peer.files, 0o755)
        for place in (home, os.path.join(home, "p"), os.path.join(home, "p", "disk")):
            os.chown(place, TENANT, TENANT)

        shutil.copy(space.CISTERN, f"{self.peer.files}/cistern")

        def own(*words):
            return peers.run([f"{self.peer.files}/cistern", "--embedded", "--root", f"{home}/root", *words],
                             user=TENANT, cwd=home)
        for words in (("pool-create-as", "p", "dir", "--target", f"{home}/p"),
                      ("backup-init", "./repo", "--no-encryption"),
                      ("backup-create", "./repo", "p/disk")):
            status, out, err = own("-q", *words)
            self.assertEqual(0, status, out + err)
        status, out, err = own("backup-prove", "./repo", "latest", "--scratch", "./p")
        self.assertEqual(0, status, out + err)
        self.assertRegex(out, "ext4 .* sound")

    def volumes_of_proofs(self):
        return [name for name in self.entries("p") if name.startswith("cistern-prove")]

    def test_what_a_killed_one_has_left_goes_with_the_next(self):
        with open(self.at("p", "disk"), "wb") as stream:
            stream.write(os.urandom(8 * MIB))
        self.back_up()
        words = [space.CISTERN, "-c", self.peer.uri, "backup-prove", self.repo, "latest", "--pool",
                 "p", "--content-only", *self.key]
        with subprocess.Popen([*words, "--rate-limit", "6M"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=space.ENV) as child:
            self.wait_until(self.volumes_of_proofs, "the scratch volume is there")
            child.send_signal(signal.SIGSTOP)
            # It is in use, and so not another one's to remove.
            left = self.volumes_of_proofs()
            self.fine("backup-prove", self.repo, "latest", "--pool", "p", *self.key)
            self.assertEqual(left, self.volumes_of_proofs())
            child.kill()
        self.assertEqual(left, self.volumes_of_proofs())
        self.fine("backup-prove", self.repo, "latest", "--pool", "p", *self.key)
        self.assertEqual(["disk"], self.entries("p"))

    def test_one_of_another_repository_is_let_be(self):
        with open(self.at("p", "cistern-prove-01234567-0123456789abcdef-01234567"), "wb"):
            pass
        with open(self.at("p", "disk"), "wb") as stream:
            stream.write(b"1" * MIB)
        self.back_up()
        self.fine("backup-prove", self.repo, "latest", "--pool", "p", *self.key)
        self.assertEqual(1, len(self.volumes_of_proofs()))


# Plays QEMU whose guest has an agent and nothing on the console.
AGENT = """#!/usr/bin/python3
import re, socket
with socket.socket(fileno=4) as agent:
    agent.setblocking(True)
    number = re.search(rb'"id":(\\d+)', agent.recv(200))[1]
    agent.sendall(b'{"return": {}}\\n{"return": %d}\\n{"return": ' % (int(number) - 1) + %ANSWER% + b'}\\n')
    import signal
    signal.pause()
"""


# Plays QEMU that opens KVM and cannot run a guest with it; without KVM it can if %SKIP% is True.
STUCK = """#!/usr/bin/python3
import signal, socket, sys
if %SKIP% and "kvm" not in sys.argv:
    print("web login: ", end="", flush=True)
    signal.pause()
with socket.socket(fileno=5) as monitor:
    monitor.setblocking(True)
    monitor.sendall(b'{"QMP": {"version": {}}}\\n')
    while b"query-status" not in monitor.recv(400):
        pass
    monitor.sendall(b'{"return": {}}\\n{"return": {"status": "internal-error", "running": false}}\\n')
    signal.pause()
"""


class Boots(Proofs):
    @classmethod
    def setUpClass(cls):
        if accelerator.hide_broken_kvm():
            cls.addClassCleanup(space.unmount, accelerator.KVM)
        super().setUpClass()

    def boots(self, text, end="hlt"):
        """Backs up a disk that writes this to its serial console."""
        objects = os.path.join(self.peer.files, "boot.o")
        subprocess.run(["as", "--32", "-o", objects,
                        self.file("boot.s", BOOT_SECTOR.format(text=text, end=end).encode())],
                       check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o",
                        self.at("p", "disk"), objects], check=True)
        os.truncate(self.at("p", "disk"), 4 * MIB)
        self.back_up()

    def boot(self, *words, **options):
        status, rows, err = self.prove("--boot", *words, **options)
        return status, rows[-1], err

    def test_a_prompt_for_a_login(self):
        self.boots(r"\033[2J\033[1;31mstarting\033[0m\r\n\r\nweb login: ")
        for words in ((), ("--bus", "sata"), ("--pool", "p"), ("--cpus", "2", "--memory", "64M")):
            with self.subTest(words=words):
                status, row, err = self.boot(*words)
                self.assertEqual((0, "boot", "sound", "console: web login:"),
                                 (status, row["check"], row["result"], row["detail"].rstrip()), err)
                self.assertRegex(row["console"], "starting\nweb login: ?\n$")
        self.assertEqual(0, self.boot(embedded=True)[0])

    def test_what_is_expected(self):
        self.boots(r"one\r\nit is 42 degrees\r\nthree")
        status, row, _ = self.boot("--expect", "^it is [0-9]+ degrees$")
        self.assertEqual((0, "console: it is 42 degrees"), (status, row["detail"]))
        for bad in (("--boot", "--expect", "("), ("--expect", "x"), ("--boot", "--bus", "scsi"),
                    ("--boot", "--wait", "0"), ("--boot", "--content-only"),
                    ("--boot", "--memory", "0")):
            self.assertEqual(2, self.cistern("backup-prove", self.repo, "latest", *bad,
                                             *self.key)[0], bad)

    def test_a_guest_that_says_nothing(self):
        self.boots(r"kernel panic\033]0;title\007\001")
        status, row, err = self.boot("--wait", "3")
        self.assertEqual((7, "damaged", "no sign of life within 3 seconds"),
                         (status, row["result"], row["detail"]))
        self.assertIn("kernel panic\n", row["console"])
        self.assertIn("kernel panic", err)
        self.assertNotIn("\x1b", err)
        self.assertEqual([], self.machines())

    def test_a_guest_that_switches_itself_off(self):
        self.boots("bye", end="mov $0x604, %dx; mov $0x2000, %ax; out %ax, %dx")
        status, row, _ = self.boot("--wait", "30")
        self.assertEqual((7, "the guest has switched itself off"), (status, row["detail"]))

    def test_uefi(self):
        self.boots("x")
        if not os.path.exists("/usr/share/ovmf/OVMF.fd"):
            self.assertEqual(75, self.prove("--boot", "--firmware", "uefi")[0])
            self.skipTest("no OVMF")
        status, row, _ = self.boot("--firmware", "uefi", "--expect", "BdsDxe", "--wait", "90")
        self.assertEqual((0, "sound"), (status, row["result"]))

    def test_missing_firmware_is_refused(self):
        """Another user could create it before the guest starts."""
        self.boots("x")
        status, rows, err = self.prove("--boot", "--firmware", "/nosuch")
        self.assertEqual((3, []), (status, rows), err)
        self.assertIn("cannot open '/nosuch': No such file or directory", err)

    def test_the_guest_agent(self):
        self.boots("x")
        tools = self.tools_without(**{"qemu-system-x86_64": AGENT.replace("%ANSWER%", "number")})
        status, row, err = self.boot(env=tools)
        self.assertEqual((0, "the guest agent answers"), (status, row["detail"]), err)
        # What is expected of the console can't be had from the agent.
        self.assertEqual(7, self.boot("--expect", "x", "--wait", "2", env=tools)[0])

    def test_answers_to_something_else(self):
        self.boots("x")
        tools = self.tools_without(**{"qemu-system-x86_64": AGENT.replace("%ANSWER%", "b'7'")})
        self.assertEqual(7, self.boot("--wait", "3", env=tools)[0])

    def test_no_qemu(self):
        self.boots("x")
        status, row, err = self.boot(env=self.tools_without("qemu-system-x86_64"))
        self.assertEqual((75, "unproven"), (status, row["result"]), err)
        self.assertIn("qemu-system-x86_64", row["detail"])

    def test_guest_that_kvm_cannot_run_is_booted_without_it(self):
        self.boots("x")
        tools = self.tools_without(**{"qemu-system-x86_64": STUCK.replace("%SKIP%", "True")})
        status, row, err = self.boot(env=tools)
        self.assertEqual((0, "sound"), (status, row["result"]), err)
        self.assertRegex(row["detail"], "^console: web login: .*without KVM")

    def test_guest_that_qemu_stops_is_no_damage(self):
        self.boots("x")
        tools = self.tools_without(**{"qemu-system-x86_64": STUCK.replace("%SKIP%", "False")})
        status, row, err = self.boot(env=tools)
        self.assertEqual((75, "unproven", "QEMU has stopped the guest: internal-error"),
                         (status, row["result"], row["detail"]), err)

    def test_qemu_without_memory_is_no_damage(self):
        self.boots("x")
        script = "#!/bin/sh\necho cannot set up guest memory: Cannot allocate memory >&2\nexit 1\n"
        tools = self.tools_without(**{"qemu-system-x86_64": script})
        status, row, err = self.boot(env=tools)
        self.assertEqual((75, "unproven"), (status, row["result"]), err)
        self.assertIn("Cannot allocate memory", row["detail"])

    def test_one_vol_boots(self):
        self.boots("login: ")
        shutil.copy(self.at("p", "disk"), self.at("p", "data"))
        self.ok("pool-refresh", "p")
        self.backup("--pool", "p")
        self.assertEqual(2, self.prove("--boot")[0])
        self.assertEqual(0, self.prove("disk", "--boot")[0])

    def machines(self):
        """The QEMUs that have a scratch disk of this test open. Other modules run QEMU, too."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("qemu-system") and \
                        any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith(self.peer.files)
                            for fd in os.listdir(f"/proc/{pid}/fd")):
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def test_however_it_ends_qemu_ends_too(self):
        self.boots("x")
        for number in (signal.SIGINT, signal.SIGKILL):
            with subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "backup-prove", self.repo,
                                   "latest", "--boot", "--scratch", self.scratch, *self.key],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=space.ENV) as child:
                pid = self.wait_until(self.machines, "QEMU runs")[0]
                self.assertNotEqual(0, os.stat(f"/proc/{pid}").st_uid)
                child.send_signal(number)
                child.communicate(timeout=20)
                self.assertNotIn(child.returncode, (0, 7))
            self.wait_until(lambda: not self.machines(), "QEMU has ended")
            self.assertEqual([], os.listdir(self.scratch))
