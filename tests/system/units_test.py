# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units: systemd finds no fault with them, they leave little exposed, and the daemon can do its
work under what they allow. There need be no systemd running here."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import snapshots_test
from harness import confined, peers, space
from harness.cases import WithDaemon

UNITS = os.path.join(space.TOP, "packaging/systemd")
NOBODY = 65534
# Opens the file as QEMU does one that it writes (a lock that only its descriptor knows), as another
# user and without any privilege.
HOLDER = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 101, 1, 0))
print('held', flush=True)
sys.stdin.read()
"""


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(dir=space.BASE)
        shutil.copy(os.path.join(space.BUILD, "packaging/cisternd.service"), self.dir)
        for name in ("cisternd.socket", "cisternd-ro.socket"):
            shutil.copy(os.path.join(UNITS, name), self.dir)
        self.service = os.path.join(self.dir, "cisternd.service")
        with open(self.service, encoding="utf-8") as stream:
            text = stream.read()
        with open(self.service, "w", encoding="utf-8") as stream:
            stream.write(re.sub("^ExecStart=.*", f"ExecStart={space.CISTERND}", text, flags=re.M))

    def test_systemd_finds_no_fault(self):
        units = sorted(os.path.join(self.dir, name) for name in os.listdir(self.dir))
        status, out, err = peers.run(["systemd-analyze", "verify", "--man=no", *units])
        said = [line for line in (out + err).splitlines() if "cisternd" in line]
        self.assertEqual((0, []), (status, said))

    def test_little_is_exposed(self):
        status, out, err = peers.run(["systemd-analyze", "security", "--offline=true",
                                      self.service])
        self.assertEqual(0, status, err)
        level = float(re.search(r"exposure level for cisternd.service: ([\d.]+)", out).group(1))
        # CAP_SETUID, CAP_SETGID and the namespaces of confined tools add 0.8.
        self.assertLess(level, 6.0, out)

    def test_resources_are_limited(self):
        unit = confined.settings(self.service)
        self.assertEqual((["0"], ["0077"]), (unit["LimitCORE"], unit["UMask"]))
        for key in ("MemoryMax", "TasksMax"):
            self.assertRegex(unit[key][0], r"^\d+[MG]?$")


@unittest.skipUnless(space.IS_ROOT, "needs root")
@unittest.skipIf({"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(space.ENV), "sanitizers ask for more")
class Confined(WithDaemon):
    """The daemon as its unit would have it (harness/confined.py)."""

    @classmethod
    def setUpClass(cls):
        cls.peer = peers.Cisternd(confined=True)
        cls.peer.fresh()

    # What that module shows of a daemon without limits, shown of one with them.
    mounted, story, names, create, write, guest, done = (
        vars(snapshots_test.Snapshots)[name]
        for name in ("mounted", "story", "names", "create", "write", "guest", "done"))

    def status(self):
        with open(f"/proc/{self.peer.process.pid}/status", encoding="utf-8") as stream:
            return dict(re.findall(r"^(\w+):\s+(.*)$", stream.read(), re.M))

    def test_the_limits_are_in_force(self):
        """Or the other cases would show nothing."""
        status = self.status()
        self.assertEqual(("2", "1"), (status["Seccomp"], status["NoNewPrivs"]))
        kept = " ".join(confined.settings(peers.UNIT)["CapabilityBoundingSet"]).split()
        self.assertEqual(len(kept), bin(int(status["CapEff"], 16)).count("1"))

    def test_what_is_not_on_the_list_ends_a_process(self):
        for code in ("import os; os.chroot('/')", "import socket; socket.socket(socket.AF_PACKET)",
                     f"import ctypes; ctypes.CDLL(None).unshare({confined.NAMESPACES['user']})"):
            done = subprocess.run([*peers.CONFINED, sys.executable, "-c", code], check=False)
            self.assertEqual(-31, done.returncode, code)  # SIGSYS

    def test_images_of_all_formats(self):
        source = self.file("source", os.urandom(3 << 20))
        for form in ("raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx"):
            with self.subTest(form=form):
                self.ok("vol-create-as", "p", "v", "8M", "--format", form)
                self.ok("vol-clone", "v", "c", "--pool", "p")
                self.ok("vol-resize", "c", "16M", "--pool", "p")
                self.ok("vol-upload", "v", source, "--pool", "p")
                self.ok("vol-download", "v", self.file("back"), "--pool", "p")
                for name in ("v", "c"):
                    self.ok("vol-wipe", name, "--pool", "p")
                    self.ok("vol-delete", name, "--pool", "p")
        self.assert_alive()

    def test_work_over_images(self):
        for words in ("vol-create-as p base 8M --format qcow2",
                      "vol-create-as p top 8M --format qcow2 --backing-vol base"
                      " --backing-vol-format qcow2",
                      "snap-create top s --pool p", "snap-list top --pool p",
                      "snap-revert top s --pool p --yes",
                      "snap-delete top s --pool p --yes",
                      "vol-check top --pool p", "vol-map top --pool p", "vol-chain top --pool p",
                      "vol-bitmap top b --add --pool p", "vol-commit top --pool p --yes",
                      "vol-flatten top --pool p", "vol-sparsify top --pool p",
                      "vol-convert top raw --pool p --format raw", "vol-trust raw --pool p",
                      "pool-refresh p", "pool-info p", "job-list"):
            status, out, err = self.cistern(*words.split())
            self.assertEqual(0, status, f"{words}: {out}{err}")

    def test_extents_are_shared(self):
        with self.mounted("mkfs.xfs", "-q", "-m", "reflink=1") as pool:
            self.story("raw", pool)

    def test_a_pool_is_built_for_others_and_given_away(self):
        xml = self.file("q.xml", "<pool type='dir'><name>q</name><target>"
                        f"<path>{self.at('new/q')}</path><permissions><mode>0751</mode>"
                        "<owner>65534</owner><group>65534</group></permissions></target></pool>")
        self.ok("pool-define", xml)
        self.ok("pool-build", "q")
        self.ok("pool-start", "q")
        found = os.stat(self.at("new/q"))
        self.assertEqual((0o751, NOBODY), (found.st_mode & 0o7777, found.st_uid))
        self.assertEqual(0o755, os.stat(self.at("new")).st_mode & 0o7777)
        self.ok("vol-create-as", "q", "v", "1M")
        self.ok("pool-destroy", "q")

    def test_other_users_holders_are_named(self):
        self.ok("vol-create-as", "p", "v", "1M", "--format", "qcow2")
        with subprocess.Popen([sys.executable, "-c", HOLDER, self.at("p", "v")], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            holder.stdout.readline()
            err = self.fails("vol-delete", "v", "--pool", "p")
            holder.stdin.close()
        self.assertIn(f"process {holder.pid}", err)

    def test_lvm_is_run(self):
        status, out, err = self.virsh("find-storage-pool-sources", "logical")
        self.assertEqual(0, status, err)
        self.assertIn("<sources>", out)

    def backup(self):
        """A repository with the backup of a disk that is an ext4."""
        disk, repo = self.at("p", "disk"), os.path.join(self.peer.files, self.id(), "")
        with open(disk, "wb") as stream:
            stream.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
        for words in (("pool-refresh", "p"), ("backup-init", repo, "--no-encryption"),
                      ("backup-create", repo, "p/disk")):
            status, out, err = self.cistern(*words)
            self.assertEqual(0, status, f"{words}: {out}{err}")
        return repo

    def test_backup_is_verified_by_a_schedule(self):
        """The tools that read the disk have another user and namespaces of their own."""
        done = self.cistern("schedule-create", "s", "--every", "*:*:0/2", "--do", "prove",
                            "--repo", self.backup())
        self.assertEqual(0, done[0], done)

        def runs():
            return [run for run in json.loads(self.cistern("--json", "schedule-history", "s")[1])["runs"]
                    if run["result"] != "running"]

        self.wait_until(runs, "a run of the schedule")
        self.assertEqual("done", runs()[0]["result"], runs())
        self.assertEqual(0, self.cistern("schedule-delete", "s", "--yes")[0])

    def test_checker_of_another_user_is_killed(self):
        repo, tools = self.backup(), os.path.join(self.peer.files, "tools")
        os.makedirs(tools)
        mark = f"600.{os.getpid()}"
        with open(os.path.join(tools, "e2fsck"), "w", encoding="ascii") as stream:
            stream.write(f"#!/bin/sh\nexec sleep {mark}\n")
        os.chmod(os.path.join(tools, "e2fsck"), 0o755)
        for path in (tools, self.peer.files):
            os.chmod(path, 0o755)

        def checkers():
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as stream:
                        if stream.read() == f"sleep\0{mark}\0":
                            found.append(pid)
            return found

        # Cancellation kills the process group; the kernel kills the children of a killed program.
        for number in (signal.SIGINT, signal.SIGKILL):
            with subprocess.Popen([*peers.CONFINED, space.CISTERN, "-c", self.peer.uri,
                                   "backup-prove", repo, "latest"], stderr=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL,
                                  env={**space.ENV, "PATH": f"{tools}:{os.environ['PATH']}"}) as child:
                (pid,) = self.wait_until(checkers, "the checker runs")
                self.assertNotEqual(0, os.stat(f"/proc/{pid}").st_uid)
                child.send_signal(number)
            self.wait_until(lambda: not checkers(), "the checker has ended")

    def test_a_reload_and_an_orderly_end(self):
        self.peer.process.send_signal(1)
        self.assert_alive()
        self.assertEqual(0, self.peer.stop())
