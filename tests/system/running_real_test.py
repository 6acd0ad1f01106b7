# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of the disks of a running guest, with a stock libvirtd. The guest (tests/lab/running) is
Linux under TCG with an agent. It writes numbered blocks to two disks and files to a third one, so
that each copy shows whether it is of one point in time."""

import json
import os
import re
import signal
import subprocess
import unittest

from harness import cases, modular, peers, space, wait

BUILD = os.path.join(space.TOP, "tests/lab/running/build")
MIB = 1024 * 1024
DISKS = ("a", "b", "c")  # blocks, blocks, files

DOMAIN = """<domain type='qemu'><name>web1</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{guest}/vmlinuz</kernel>
<initrd>{guest}/initrd.gz</initrd>
<cmdline>console=ttyS0 quiet panic=1 tsc=unstable clocksource=hpet {words}</cmdline></os>
<features><acpi/></features><on_poweroff>destroy</on_poweroff><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}
<serial type='file'><source path='{log}'/><target port='0'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<memballoon model='none'/></devices></domain>"""

DISK = """<disk type='file' device='disk'><driver name='qemu' type='{form}' cache='{cache}'
discard='unmap'/><source file='{path}'/><target dev='vd{letter}' bus='virtio'/></disk>"""


def guest_folder():
    """The folder of the guest, which is made first if necessary."""
    done = subprocess.run([BUILD], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode == 77:
        raise unittest.SkipTest(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


class Guest(cases.Patient):
    """A guest that writes to the volumes of pool "p". Has no tests."""

    FORMAT, CACHE = "qcow2", "none"
    SIZE = 64 * MIB  # of each disk

    @classmethod
    def setUpClass(cls):
        if not peers.Libvirtd.available() or not os.path.exists("/usr/bin/qemu-system-x86_64"):
            raise unittest.SkipTest("needs libvirtd, QEMU and a mount namespace of its own")
        cls.guest = guest_folder()
        cls.peer = peers.Cisternd()
        cls.addClassCleanup(cls.peer.stop)
        cls.libvirt = cls.make_libvirt()
        cls.addClassCleanup(cls.libvirt.stop)
        cls.uri = f"qemu+unix:///system?socket={cls.libvirt.sock}"
        cls.peer.config = f"[service]\nhypervisor = {cls.uri}\n"
        cls.peer.fresh()
        cls.pool = os.path.join(cls.peer.dir, "p")
        cls.make_pool()
        cls.libvirt.start()
        cls.log = os.path.join(cls.peer.files, "guest.log")

    @classmethod
    def make_libvirt(cls):
        """The daemon of the guest. It is started when the pool is mounted."""
        libvirt = peers.Libvirtd()
        libvirt.wipe()
        conf = os.path.join(libvirt.root, "etc/libvirt/qemu.conf")
        os.makedirs(os.path.dirname(conf), exist_ok=True)
        with open(conf, "w", encoding="ascii") as out:
            out.write(modular.QEMU_CONF)
        return libvirt

    @classmethod
    def make_pool(cls):
        """A directory on XFS that shares extents."""
        image = os.path.join(cls.peer.files, "xfs")
        with open(image, "wb") as out:
            out.truncate(1024 * MIB)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
        space.mount(cls.pool, "-o", "loop", image)
        cls.addClassCleanup(space.unmount, cls.pool)
        for words in (("pool-define-as", "p", "dir", "--target", cls.pool), ("pool-start", "p")):
            peers.run([space.CISTERN, "-c", cls.peer.uri, *words])

    def setUp(self):
        self.addCleanup(self.clear)
        for name in DISKS:
            raw = os.path.join(self.peer.files, "raw")
            self.make_disk(name, raw)
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", self.FORMAT, raw,
                            os.path.join(self.pool, name)], check=True)
            os.unlink(raw)
        self.done("pool-refresh", "p")

    def make_disk(self, name, path):
        """The first content of a disk, as a raw file."""
        with open(path, "wb") as out:
            out.truncate(self.SIZE)
        if name == "c":
            subprocess.run(["mkfs.ext4", "-q", path], check=True)

    def clear(self):
        peers.run(["virsh", "-c", self.uri, "destroy", "web1"])
        peers.run(["virsh", "-c", self.uri, "undefine", "web1", "--checkpoints-metadata"])
        for name in DISKS:
            for snapshot in self.snapshots(name):
                self.done("snap-delete", name, snapshot, "--pool", "p", "--yes")
            os.unlink(os.path.join(self.pool, name))

    def cistern(self, *words):
        return peers.run([space.CISTERN, "-c", self.peer.uri, *words])

    def done(self, *words):
        status, out, err = self.cistern(*words)
        # With --json, a command that needs more than a second also reports its progress.
        lines = [line for line in err.splitlines() if '"event":"progress"' not in line]
        self.assertEqual((0, []), (status, lines), " ".join(words))
        return out

    def domain(self, *words):
        status, out, err = peers.run(["virsh", "-c", self.uri, *words])
        self.assertEqual(0, status, f"virsh {' '.join(words)}: {err}\n{self.libvirt.log()[-2000:]}")
        return out

    def snapshots(self, name):
        rows = json.loads(self.done("snap-list", name, "--pool", "p", "--json"))["snapshots"]
        return {row["name"]: row for row in rows}

    # --- the guest ---

    def console(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def newest_block(self):
        """The newest block that the guest has written."""
        return int(([0] + re.findall(r"WRITER block (\d+)", self.console()))[-1])

    def boot(self, words="", form_of_c=None):
        xml = os.path.join(self.peer.files, "web1.xml")
        forms = {**{name: self.FORMAT for name in DISKS}, **({"c": form_of_c} if form_of_c else {})}
        disks = "".join(DISK.format(form=forms[name], cache=self.CACHE, letter=name,
                                    path=os.path.join(self.pool, name)) for name in DISKS)
        with open(xml, "w", encoding="utf-8") as out:
            out.write(DOMAIN.format(guest=self.guest, words=words, disks=disks, log=self.log))
        with open(self.log, "w", encoding="ascii"):
            pass
        self.domain("define", xml)
        self.domain("start", "web1")
        wait.until(lambda: self.newest_block() > 600, "the guest has written 600 blocks",
                   seen=self.console)
        if not words:
            wait.until(lambda: "connected" in self.agent(), "the agent is connected")

    def agent(self):
        found = re.findall(r"guest_agent.0' state='(\w+)'", self.domain("dumpxml", "web1"))
        return found if found == ["connected"] else []

    def goes_on(self):
        """The guest runs, is thawed, has seen no error, and writes blocks and files."""
        self.assertEqual("running", self.domain("domstate", "web1").strip())
        blocks, files = self.newest_block(), self.console().count("WRITER file")
        wait.until(lambda: self.newest_block() > blocks and
                   self.console().count("WRITER file") > files, "the guest writes",
                   seen=self.console)
        self.assertNotIn("WRITER ERROR", self.console())

    # --- the copies ---

    def raw_copy(self, name, snapshot):
        """The guest-visible content of a snapshot as a raw file."""
        source = os.path.join(self.pool, ".cistern-snapshots", name, snapshot)
        if self.FORMAT == "qcow2":
            done = subprocess.run(["qemu-img", "check", "-f", "qcow2", source], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(0, done.returncode, f"{name} {snapshot}: {done.stdout}")
        copy = os.path.join(self.peer.files, f"copy-{name}")
        subprocess.run(["qemu-img", "convert", "-f", self.FORMAT, "-O", "raw", source, copy],
                       check=True)
        return copy

    def check_blocks(self, snapshot):
        """Both disks of blocks are of one point in time. Returns the newest block."""
        return self.check_block_files(snapshot, [self.raw_copy(name, snapshot)
                                                 for name in ("a", "b")])

    def check_newer_blocks(self, snapshot, before, newest):
        """As check_blocks(); at least block @before, and later than @newest."""
        found = self.check_blocks(snapshot)
        self.assertGreaterEqual(found, before)
        self.assertGreater(found, newest)
        return found

    CHECK = "check"

    def check_block_files(self, snapshot, copies):
        done = subprocess.run([os.path.join(self.guest, "blocks"), self.CHECK, *copies],
                              stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(0, done.returncode, f"{snapshot}: {done.stdout}")
        return int(done.stdout.split()[0])

    def check_files(self, snapshot, clean):
        """The file system is consistent; without its journal exactly if it was frozen."""
        self.check_file_system(snapshot, self.raw_copy("c", snapshot), clean)

    def check_file_system(self, snapshot, copy, clean):
        header = subprocess.run(["dumpe2fs", "-h", copy], stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.DEVNULL, check=True).stdout
        self.assertEqual(clean, "needs_recovery" not in header, snapshot)
        subprocess.run(["e2fsck", "-y", "-E", "journal_only", copy], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        done = subprocess.run(["e2fsck", "-fn", copy], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.assertEqual(0, done.returncode, f"{snapshot}: {done.stdout}")


@cases.long("running_test has the same calls with a fake libvirt")
class RunningQcow2(Guest):
    def take(self, snapshot, *words):
        status, out, err = self.cistern("snap-create", "a", snapshot, "--pool", "p", "--with",
                                        "b,c", "--max-pause", "5s", "--json", *words)
        self.assertEqual(0, status, err)
        return json.loads(out)

    def test_snapshots_with_an_agent_are_consistent_file_systems(self):
        self.boot()
        newest = 0
        for number in range(6):
            with self.subTest(number=number):
                before = self.newest_block()
                made = self.take(f"s{number}", "--consistency", "filesystem")
                self.assertEqual(("filesystem", True, "web1"), (
                    made["consistency"], made["one_moment"], made["domain"]), made)
                self.assertGreater(made["frozen_ms"], 0)
                newest = self.check_newer_blocks(f"s{number}", before, newest)
                self.check_files(f"s{number}", clean=True)
                self.assertEqual("filesystem", self.snapshots("c")[f"s{number}"]["consistency"])
                self.goes_on()

    def test_snapshots_without_an_agent_are_of_one_point_in_time(self):
        self.boot("noagent")
        status, _, err = self.cistern("snap-create", "a", "s", "--pool", "p", "--consistency",
                                      "filesystem")
        self.assertEqual(5, status, err)
        self.assertIn("guest agent", err)
        self.assertEqual({}, self.snapshots("a"))
        for number in range(4):
            with self.subTest(number=number):
                made = self.take(f"s{number}")
                self.assertEqual(("crash", True, 0), (made["consistency"], made["one_moment"],
                                                      made["frozen_ms"]), made)
                self.check_blocks(f"s{number}")
                self.check_files(f"s{number}", clean=False)
                self.goes_on()

    def test_daemon_that_is_killed_during_a_snapshot_leaves_the_guest_running(self):
        self.boot()
        for number in range(4):
            with self.subTest(number=number):
                client = subprocess.Popen(
                    [space.CISTERN, "-c", self.peer.uri, "snap-create", "a", f"k{number}", "--pool",
                     "p", "--with", "b,c", "--max-pause", "5s"], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, env=space.ENV)
                self.addCleanup(client.wait)
                wait.until(lambda c=client: self.domain("domstate", "web1").strip() == "paused" or
                           c.poll() is not None, "the domain is suspended")
                self.peer.process.send_signal(signal.SIGKILL)
                self.peer.process.wait()
                client.wait()
                wait.until(lambda: self.domain("domstate", "web1").strip() == "running",
                           "the domain runs")
                self.peer.start()
                self.goes_on()
                kept = [name for name in DISKS if f"k{number}" in self.snapshots(name)]
                self.assertIn(kept, ([], list(DISKS)))
                if kept:
                    self.check_blocks(f"k{number}")
                for name in DISKS:
                    self.assertEqual([], [entry for entry in os.listdir(self.pool)
                                          if entry.startswith(".cistern-") and
                                          entry != ".cistern-snapshots"])


class RunningRaw(RunningQcow2):
    FORMAT, CACHE = "raw", "writeback"
    is_long = True
