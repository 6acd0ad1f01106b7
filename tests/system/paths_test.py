# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool's directory that belongs to somebody else, who plants links, FIFOs and directories in it
while root works on the pool. Nothing outside changes, nothing outside is read, nothing hangs."""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading
import unittest

from harness import peers, space
from harness.cases import WithDaemon

TENANT = 12345
MIB = 1 << 20
ROUNDS = 20  # of a race between root and a tenant
SECRET = b"only root may read this\n" * 100


def needs_mounts(test):
    return unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")(test)


def as_tenant(script, *words):
    subprocess.run(["setpriv", "--reuid", str(TENANT), "--regid", str(TENANT), "--clear-groups",
                    "sh", "-ec", script, "sh", *words], check=True, cwd="/")


@unittest.skipUnless(space.IS_ROOT, "needs root, and a tenant who isn't")
class Tenants(WithDaemon):
    """Pool "t" in a directory of the tenant's; "outside" is root's, and only root's."""

    def setUp(self):
        super().setUp()
        self.outside = self.at("outside")
        os.mkdir(self.outside, 0o700)
        self.victim = os.path.join(self.outside, "victim")
        with open(self.victim, "wb") as out:
            out.write(SECRET)
        os.chmod(self.victim, 0o600)
        self.tree = self.picture()
        self.make_pool()

    def make_pool(self, name="t"):
        if not os.path.isdir(self.at(name)):
            os.mkdir(self.at(name))
        os.chown(self.at(name), TENANT, TENANT)
        os.chmod(self.at(name), 0o755)
        self.ok("pool-define-as", name, "dir", "--target", self.at(name))
        self.ok("pool-start", name)

    def picture(self):
        found = {}
        for folder, folders, files in os.walk(self.outside):
            for name in [*folders, *files, "."]:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                content = b""
                if stat.S_ISREG(st.st_mode):
                    with open(path, "rb") as stream:
                        content = stream.read()
                found[os.path.relpath(path, self.outside)] = (
                    st.st_mode, st.st_uid, st.st_gid, content)
        return found

    def tearDown(self):
        self.assertEqual(self.tree, self.picture(), "something outside of the pool has changed")
        self.assert_alive()

    def done(self, *words):
        status, out, err = self.cistern("--yes", *words)
        self.assertEqual(0, status, f"{' '.join(words)}: {err}")
        return out

    def refuses(self, *words, text="", timeout=10):
        """Ends at once, with a failure that no other client of the file system can undo."""
        status, out, err = self.cistern("--yes", *words, timeout=timeout)
        self.assertNotIn(status, (0, "timeout"), f"{' '.join(words)}: {out}{err}")
        self.assertIn(text, err)
        return err

    def names(self, pool):
        return [row["name"] for row in json.loads(self.done("--json", "vol-list", pool))["volumes"]]

    @contextlib.contextmanager
    def sharing(self):
        """Pool "x", the tenant's too, on a file system whose files share extents."""
        if not shutil.which("mkfs.xfs"):
            self.skipTest("needs mkfs.xfs")
        image = self.file("disk")
        os.truncate(image, 320 * MIB)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
        os.makedirs(self.at("x"))
        subprocess.run(["mount", "-o", "loop", image, self.at("x")], check=True)
        try:
            self.make_pool("x")
            yield "x"
        finally:
            self.virsh("pool-destroy", "x", timeout=20)
            self.virsh("pool-undefine", "x")
            subprocess.run(["umount", "-l", self.at("x")], check=True)


class Links(Tenants):
    """A volume that is a link, or one of several names of a file."""

    def plant(self):
        self.ok("vol-create-as", "t", "good", "1M")
        as_tenant('ln -s "$2" "$1/link"; ln -s "$3" "$1/dir"', self.at("t"), self.victim,
                  self.outside)
        # As on NFS, or where the kernel does not protect hard links.
        os.link(self.victim, self.at("t", "hard"))
        self.tree = self.picture()
        self.ok("pool-refresh", "t")

    def test_they_are_listed_with_what_is_wrong(self):
        self.plant()
        self.assertEqual(["dir", "good", "hard", "link"], self.names("t"))
        for name in ("link", "dir"):
            shown = json.loads(self.done("--json", "vol-info", name, "--pool", "t"))["volume"]
            # The size is the link's own, not of what it leads to.
            self.assertEqual(("file", os.lstat(self.at("t", name)).st_size),
                             (shown["type"], shown["capacity"]))
        self.peer.stop()
        _status, _out, warnings = peers.run(
            [space.CISTERN, "-c", f"storage:///embed?root={self.peer.root}", "vol-list", "t",
             "--details"])
        self.peer.start()
        for name, text in (("link", "symbolic link"), ("dir", "symbolic link"),
                           ("hard", "hard links")):
            self.assertRegex(warnings, f"'{name}'.*{text}")

    def test_links_are_not_followed_for_reading_or_writing(self):
        self.plant()
        payload = self.file("payload", b"evil" * 1000)
        out = self.file("out")
        for name in ("link", "hard"):
            for command in (["vol-wipe", name, "--pool", "t"],
                            ["vol-upload", name, payload, "--pool", "t"],
                            ["vol-resize", name, "8M", "--pool", "t"],
                            ["vol-resize", name, "1k", "--pool", "t", "--shrink"],
                            ["vol-download", name, out, "--pool", "t"],
                            ["vol-clone", name, "copy", "--pool", "t"],
                            ["vol-convert", name, "copy", "--pool", "t", "--format", "qcow2"],
                            ["vol-sparsify", name, "--pool", "t"],
                            ["snap-create", name, "s", "--pool", "t"]):
                with self.subTest(name=name, command=command[0]):
                    self.refuses(*command)
                    if command[0] != "vol-convert" and not command[0].startswith(
                            ("snap", "vol-sparsify")):
                        self.virsh(*command)
                    self.assertEqual(self.tree, self.picture())
                    with open(out, "rb") as stream:
                        self.assertEqual(b"", stream.read())
        self.assertEqual(["dir", "good", "hard", "link"], self.entries("t"))

    def test_deleting_takes_the_link(self):
        self.plant()
        for name in ("link", "hard"):
            self.done("vol-delete", name, "--pool", "t")
        self.assertEqual(["dir", "good"], self.entries("t"))

    def test_swapped_while_root_writes(self):
        """The name is a file when it is looked at, and a link when it is opened."""
        self.ok("vol-create-as", "t", "v", "64k")
        os.chown(self.at("t", "v"), TENANT, TENANT)
        stop = self.file("stop")
        swap = ('cd "$1"; while [ -e "$3" ]; do ln -s "$2" l; mv v w; mv l v; rm v; mv w v; done')
        swapper = threading.Thread(target=as_tenant, args=(swap, self.at("t"), self.victim, stop))
        swapper.start()
        payload = self.file("payload", b"evil" * 100)
        out = self.file("out")
        for _ in range(ROUNDS):
            self.virsh("vol-upload", "v", payload, "--pool", "t")
            self.virsh("vol-wipe", "v", "--pool", "t")
            self.virsh("vol-download", "v", out, "--pool", "t")
            with open(out, "rb") as stream:
                self.assertNotIn(SECRET[:20], stream.read())
        os.unlink(stop)
        swapper.join()

    def test_a_link_of_root_in_a_directory_of_root_is_followed(self):
        target = self.file("elsewhere", b"x" * 4096)
        os.symlink(target, self.at("p", "link"))
        self.ok("pool-refresh", "p")
        self.assertIn("4.00 KiB", self.ok("vol-info", "link", "--pool", "p"))
        payload = self.file("payload", b"y" * 100)
        self.ok("vol-upload", "link", payload, "--pool", "p")
        with open(target, "rb") as stream:
            self.assertEqual(b"y" * 100, stream.read()[:100])

    def test_a_link_of_the_tenant_in_a_directory_of_root_is_not(self):
        os.symlink(self.victim, self.at("p", "link"))
        os.chown(self.at("p", "link"), TENANT, TENANT, follow_symlinks=False)
        self.ok("pool-refresh", "p")
        self.refuses("vol-download", "link", self.file("out"), "--pool", "p", text="symbolic link")


class Snapshots(Tenants):
    """Everything about .cistern-snapshots, which the tenant can replace."""

    def test_a_planted_link_is_not_followed(self):
        with self.sharing() as pool:
            self.ok("vol-create-as", pool, "cron.d", "64k")
            os.mkdir(os.path.join(self.outside, "cron.d"))
            with open(os.path.join(self.outside, "cron.d", "job"), "wb") as out:
                out.write(b"root's own")
            os.chmod(os.path.join(self.outside, "cron.d"), 0o700)
            self.tree = self.picture()
            as_tenant('ln -s "$2" "$1/.cistern-snapshots"', self.at(pool), self.outside)
            self.refuses("snap-create", "cron.d", "evil", "--pool", pool)
            self.refuses("snap-list", "cron.d", "--pool", pool)
            self.refuses("vol-delete", "cron.d", "--pool", pool, "--delete-snapshots")
            self.refuses("snap-revert", "cron.d", "job", "--pool", pool)
            self.refuses("snap-clone", "cron.d", "job", "copy", "--pool", pool)
            self.refuses("snap-rename", "cron.d", "job", "--newname", "x", "--pool", pool)
            self.assertNotIn("copy", self.entries(pool))

    def test_the_read_only_socket_lists_no_file_outside(self):
        self.ok("vol-create-as", "t", "private", "64k")
        os.mkdir(os.path.join(self.outside, "private"), 0o700)
        with open(os.path.join(self.outside, "private", "name-of-a-secret"), "wb"):
            pass
        self.tree = self.picture()
        as_tenant('ln -s "$2" "$1/.cistern-snapshots"', self.at("t"), self.outside)
        program, env = space.as_other_user()
        status, out, err = peers.run([program, "-c", self.peer.uri_ro, "snap-list", "private",
                                      "--pool", "t"], env=env.items(), user=TENANT)
        self.assertNotIn("name-of-a-secret", out + err)
        self.assertNotEqual(0, status)

    def test_a_directory_that_is_not_ours_is_not_used(self):
        with self.sharing() as pool:
            self.ok("vol-create-as", pool, "v", "64k")
            as_tenant('mkdir -m 777 "$1/.cistern-snapshots"', self.at(pool))
            self.refuses("snap-create", "v", "s", "--pool", pool, text=".cistern-snapshots")
            self.assertEqual([], self.entries(pool, ".cistern-snapshots"))

    def test_snapshot_of_a_link_then_a_swap_discloses_nothing(self):
        """Once: root's snapshot took root's file, and its revert gave it to the tenant."""
        with self.sharing() as pool:
            victim = self.at(pool, "root-only")
            with open(victim, "wb") as out:
                out.write(SECRET)
            os.chmod(victim, 0o600)
            as_tenant('ln -s root-only "$1/v"', self.at(pool))
            self.ok("pool-refresh", pool)
            self.refuses("snap-create", "v", "s", "--pool", pool)
            as_tenant('rm "$1/v"; echo mine >"$1/v"; chmod 4755 "$1/v"', self.at(pool))
            self.ok("pool-refresh", pool)
            self.refuses("snap-revert", "v", "s", "--pool", pool)
            self.assertFalse(os.path.exists(self.at(pool, ".cistern-snapshots")))
            with open(self.at(pool, "v"), "rb") as stream:
                self.assertEqual(b"mine\n", stream.read())

    def test_a_revert_sets_no_set_user_id_bit(self):
        with self.sharing() as pool:
            self.ok("vol-create-as", pool, "v", "64k")
            self.done("snap-create", "v", "s", "--pool", pool)
            os.chmod(self.at(pool, "v"), 0o6755)
            self.done("snap-revert", "v", "s", "--pool", pool)
            self.assertEqual(0o755, stat.S_IMODE(os.stat(self.at(pool, "v")).st_mode))

    def test_fifos_block_no_client(self):
        with self.sharing() as pool:
            self.ok("vol-create-as", pool, "v", "64k")
            self.ok("vol-create-as", pool, "w", "64k")
            self.done("snap-create", "v", "s", "--pool", pool)
            as_tenant('rm -f "$1/v"; mkfifo "$1/v" "$1/fresh" "$1/.cistern-00.part"', self.at(pool))
            os.unlink(self.at(pool, ".cistern-snapshots", "v", "s"))
            os.mkfifo(self.at(pool, ".cistern-snapshots", "v", "s"))
            for command in (["snap-revert", "v", "s"], ["snap-create", "v", "t"],
                            ["snap-clone", "v", "s", "copy"]):
                with self.subTest(command=command):
                    self.refuses(*command, "--pool", pool)
            self.refuses("vol-download", "v", self.file("out"), "--pool", pool)
            self.done("snap-list", "w", "--pool", pool)
            self.done("job-list")
            self.done("pool-destroy", pool)
            self.done("pool-start", pool)
            self.assertEqual(["w"], self.names(pool))

    def test_a_swap_during_a_revert_is_seen(self):
        with self.sharing() as pool:
            self.ok("vol-create-as", pool, "v", "64k")
            self.done("snap-create", "v", "s", "--pool", pool)
            victim = self.at(pool, "root-only")
            with open(victim, "wb") as out:
                out.write(SECRET)
            stop = self.file("stop")
            os.chown(self.at(pool, "v"), TENANT, TENANT)
            swap = ('cd "$1"; while [ -e "$2" ]; do ln -s root-only l 2>/dev/null || true; '
                    'mv v w 2>/dev/null || true; mv l v 2>/dev/null || true; '
                    'rm -f v; mv w v 2>/dev/null || true; done')
            swapper = threading.Thread(target=as_tenant, args=(swap, self.at(pool), stop))
            swapper.start()
            for _ in range(ROUNDS):
                self.cistern("--yes", "snap-revert", "v", "s", "--pool", pool)
                self.cistern("snap-create", "v", "n", "--pool", pool)
                self.cistern("--yes", "snap-delete", "v", "n", "--pool", pool)
            os.unlink(stop)
            swapper.join()
            with open(victim, "rb") as stream:
                self.assertEqual(SECRET, stream.read())
            folder = self.at(pool, ".cistern-snapshots", "v")
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                with open(os.path.join(folder, name), "rb") as stream:
                    self.assertNotIn(SECRET[:20], stream.read())


class Builds(Tenants):
    """Directories that root makes, gives away, or removes."""

    def test_build_does_not_change_the_owner_of_the_target_of_a_link(self):
        home = self.at("home")
        os.mkdir(home)
        os.chown(home, TENANT, TENANT)
        xml = self.file("b.xml", f"""<pool type='dir'><name>b</name><target>
            <path>{home}/deep/pool</path><permissions><mode>0777</mode><owner>{TENANT}</owner>
            <group>{TENANT}</group></permissions></target></pool>""")
        self.ok("pool-define", xml)
        os.mkdir(os.path.join(self.outside, "pool"), 0o700)
        self.tree = self.picture()
        as_tenant('mkdir "$1/deep"; ln -s "$2/pool" "$1/deep/pool"', home, self.outside)
        self.refuses("pool-build", "b", text="symbolic link")
        self.assertEqual(self.tree, self.picture())
        as_tenant('rm -r "$1/deep"; ln -s "$2" "$1/deep"', home, self.outside)
        self.refuses("pool-build", "b", text="symbolic link")
        self.refuses("pool-delete", "b")
        self.assertEqual(self.tree, self.picture())
        as_tenant('rm "$1/deep"', home)
        self.done("pool-build", "b")
        st = os.stat(os.path.join(home, "deep/pool"))
        self.assertEqual((TENANT, TENANT, 0o777), (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)))
        self.done("pool-delete", "b")

    def test_build_goes_through_links_of_root(self):
        os.mkdir(self.at("real"))
        os.symlink("real", self.at("way"))
        self.ok("pool-define-as", "b", "dir", "--target", self.at("way", "pool"))
        self.done("pool-build", "b")
        self.assertTrue(os.path.isdir(self.at("real", "pool")))

    def test_a_directory_volume_is_not_swapped_for_a_link(self):
        """Its owner is set on what was made, not on what has the name a moment later."""
        stop = self.file("stop")
        script = ('cd "$1"; while [ -e "$3" ]; do for d in .cistern-*.part; do '
                  '[ -d "$d" ] && mv "$d" "moved$$" 2>/dev/null && ln -s "$2" "$d" 2>/dev/null; '
                  'rm -rf "moved$$" 2>/dev/null; done; true; done')
        swapper = threading.Thread(target=lambda: as_tenant(script, self.at("t"), self.outside,
                                                            stop))
        swapper.start()
        xml = self.file("d.xml", f"""<volume type='dir'><name>d</name><capacity>0</capacity>
            <target><format type='dir'/><permissions><mode>0777</mode><owner>{TENANT}</owner>
            <group>{TENANT}</group></permissions></target></volume>""")
        for _ in range(ROUNDS):
            self.virsh("vol-create", "t", xml)
            self.virsh("vol-delete", "d", "--pool", "t")
        os.unlink(stop)
        swapper.join()

    def test_reserved_names_leave_nothing(self):
        self.ok("vol-create-as", "p", "v", "64k")
        before = self.entries("p")
        xml = self.file("n.xml", "<volume type='dir'><name>.cistern-snapshots</name><capacity>0"
                        "</capacity><target><format type='dir'/></target></volume>")
        self.refuses("vol-create", "p", xml, text=".cistern-")
        for name in (".cistern-snapshots", ".cistern-x.part", ".cistern-x"):
            for command in (["vol-create-as", "p", name, "1M"],
                            ["vol-create-as", "p", name, "1M", "--format", "qcow2"],
                            ["vol-clone", "v", name, "--pool", "p"],
                            ["vol-convert", "v", name, "--pool", "p", "--format", "qcow2"]):
                with self.subTest(name=name, command=command):
                    self.refuses(*command, text=".cistern-")
                    self.assertEqual(before, self.entries("p"))
        self.done("snap-list", "v", "--pool", "p")

    def test_drafts_that_are_not_ours_are_left_alone(self):
        as_tenant('cd "$1"; ln -s "$2" .cistern-aa.part; mkfifo .cistern-bb.part; '
                  'ln -s "$3" .cistern-dd.part; : >.cistern-cc.part', self.at("t"), self.victim,
                  self.outside)
        os.link(self.victim, self.at("t", ".cistern-ee.part"))
        self.done("pool-destroy", "t")
        self.done("pool-start", "t")
        self.tree = self.picture()
        self.assertEqual([".cistern-aa.part", ".cistern-bb.part", ".cistern-dd.part"],
                         self.entries("t"))


class Mounts(WithDaemon):
    """A pool whose file system is not mounted: nothing is written below, and everybody says so."""

    def setUp(self):
        if not space.private_mounts():
            self.skipTest("needs root and a mount namespace")
        super().setUp()
        os.makedirs(self.at("m"))
        space.tmpfs(self.at("m"), "32m")
        self.mounted = True
        self.addCleanup(self.drop)
        self.ok("pool-define-as", "m", "dir", "--target", self.at("m"))
        self.ok("pool-start", "m")
        self.ok("vol-create-as", "m", "v", "64k")
        self.payload = self.file("payload", b"x" * 1000)

    def drop(self):
        if self.mounted:
            space.unmount(self.at("m"))

    def unmount(self):
        space.unmount(self.at("m"))
        self.mounted = False

    changes = (["vol-create-as", "m", "n", "64k"], ["vol-create-as", "m", "q", "1M", "--format",
                                                    "qcow2"],
               ["vol-clone", "v", "n", "--pool", "m"], ["vol-wipe", "v", "--pool", "m"],
               ["vol-resize", "v", "1M", "--pool", "m"], ["vol-delete", "v", "--pool", "m"])

    def embedded(self, *words):
        """In its own process, as without a daemon, on what the daemon has left."""
        return peers.run([space.CISTERN, "-c", f"storage:///embed?root={self.peer.root}", "--yes",
                          *words])

    def state(self, run, word):
        _status, out, _err = run("--json", "pool-info", "m")
        return json.loads(out)["pool"].get(word)

    def below(self):
        """What lies in the directory that the file system was mounted on."""
        return sorted(os.listdir(self.at("m")))

    def assert_nothing_below(self, run, *more):
        with open(self.at("m", "v"), "wb") as out:  # of that name, in the parent's file system
            out.write(b"below" * 1000)
        before = hashlib.sha256(b"below" * 1000).digest()
        for command in (*self.changes, ["vol-upload", "v", self.payload, "--pool", "m"],
                        ["vol-download", "v", "/dev/null", "--pool", "m"], *more):
            with self.subTest(command=command):
                status, out, err = run(*command)
                self.assertNotEqual(0, status, f"{out}{err}")
                self.assertEqual(["v"], self.below())
                with open(self.at("m", "v"), "rb") as stream:
                    self.assertEqual(before, hashlib.sha256(stream.read()).digest())
        os.unlink(self.at("m", "v"))

    OWN = (["vol-convert", "v", "n", "--pool", "m", "--format", "qcow2"],
           ["snap-create", "v", "s", "--pool", "m"])

    def test_stock_virsh(self):
        self.unmount()
        self.virsh("pool-refresh", "m")
        self.assert_nothing_below(self.virsh)

    def test_at_once_without_a_refresh(self):
        """The daemon has had no time to see that something was unmounted."""
        self.unmount()
        status, _out, err = self.virsh("vol-create-as", "m", "n", "64k")
        self.assertEqual(([], True), (self.below(), status != 0), err)

    def test_our_command_line(self):
        self.unmount()
        self.assert_nothing_below(lambda *words: self.cistern("--yes", *words), *self.OWN)

    def test_embedded(self):
        self.peer.stop()
        self.unmount()
        self.assert_nothing_below(self.embedded, *self.OWN)
        self.assertEqual("inaccessible", self.state(self.embedded, "state"))
        self.assertIn("inaccessible", self.embedded("pool-list")[1])
        self.assertFalse(self.state(self.embedded, "capacity"), "the parent's capacity is shown")

    def wait_for(self, wanted):
        self.wait_until(lambda: self.state(self.cistern, "state") == wanted, f"state '{wanted}'",
                        lambda: self.state(self.cistern, "state"))

    def test_the_daemon_sees_it_go_and_come_back(self):
        capacity = self.state(self.cistern, "capacity")
        self.assertEqual("running", self.state(self.cistern, "state"))
        # A file that is still open keeps the file system, so that inotify tells of nothing.
        with open(self.at("m", "v"), "rb"):
            self.unmount()
            self.wait_for("inaccessible")
            self.assertIn("inaccessible", self.cistern("pool-list")[1])
            self.assertIn(self.state(self.cistern, "capacity"), (None, 0, capacity))

    def test_it_comes_back_by_itself(self):
        image = self.file("disk")
        os.truncate(image, 64 * MIB)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        device = subprocess.run(["losetup", "-f", "--show", image], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", device])
        os.makedirs(self.at("b"))
        subprocess.run(["mount", device, self.at("b")], check=True)
        self.addCleanup(subprocess.run, ["umount", self.at("b")], stderr=subprocess.DEVNULL)
        self.ok("pool-define-as", "b", "dir", "--target", self.at("b"))
        self.ok("pool-start", "b")
        self.ok("vol-create-as", "b", "v", "64k")
        space.umount(self.at("b"))
        self.wait_until(lambda: "inaccessible" in self.cistern("pool-info", "b")[1],
                        "unmounting is seen", lambda: self.cistern("pool-info", "b")[1])
        self.peer.restart()
        self.assertIn("inaccessible", self.cistern("pool-info", "b")[1])
        subprocess.run(["mount", device, self.at("b")], check=True)
        self.wait_until(lambda: "inaccessible" not in self.cistern("pool-info", "b")[1],
                        "mounting is seen", lambda: self.cistern("pool-info", "b")[1])
        self.assertIn("v", self.ok("vol-list", "b"))
        self.ok("vol-create-as", "b", "w", "64k")

    def test_something_mounted_on_top(self):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.at("m")], check=True)
        try:
            self.wait_for("inaccessible")
            self.assert_nothing_below(self.virsh)
        finally:
            subprocess.run(["umount", "-l", self.at("m")], check=True)
        self.wait_for("running")
        self.assertIn("v", self.ok("vol-list", "m"))

    def test_a_directory_that_was_replaced(self):
        self.ok("vol-create-as", "p", "v", "64k")
        os.rename(self.at("p"), self.at("away"))
        os.mkdir(self.at("p"))
        for command in (["vol-create-as", "p", "n", "64k"], ["vol-list", "p", "--details"],
                        ["vol-wipe", "v", "--pool", "p"]):
            self.virsh(*command)
            self.assertEqual([], self.entries("p"))
        self.refused_create()
        os.rmdir(self.at("p"))
        os.rename(self.at("away"), self.at("p"))
        self.ok("vol-create-as", "p", "n", "64k")

    def refused_create(self):
        status, _out, err = self.cistern("vol-create-as", "p", "n", "64k")
        self.assertNotEqual(0, status)
        self.assertIn("not the directory that the pool was started with", err)

    def test_replay_leaves_what_it_cannot_reach(self):
        """An intent of a dead process stays until its file system is back."""
        token = "11111111-2222-3333-4444-555555555555"
        draft = self.at("m", f".cistern-{token}.part")
        self.peer.stop()
        # Without an identity the replay accepts the directory below, and drops the file there.
        uuid = self.embedded("pool-uuid", "m")[1].strip()
        self.assertTrue(os.path.exists(os.path.join(self.peer.root, "var/lib/cistern/pools",
                                                    uuid + ".identity")), self.peer.log())
        shutil.copy(self.at("m", "v"), draft)
        self.unmount()
        below = self.at("m", f".cistern-{token}.part")
        with open(below, "wb") as out:
            out.write(b"not the pool's")
        xml = self.embedded("pool-dumpxml", "m", "--inactive")[1]
        journal = os.path.join(self.peer.root, "var/lib/cistern/journal")
        os.makedirs(journal, exist_ok=True)
        self.assertIn("<pool", xml)
        self.write_intent(journal, xml, token)
        self.embedded("pool-list")
        self.peer.start()
        with open(below, "rb") as stream:
            self.assertEqual(b"not the pool's", stream.read())
        os.unlink(below)

    def write_intent(self, journal, xml, token):
        fields = {"operation": "create", "pool": "m", "volume": "n", "definition": xml,
                  "draft": token}
        with open(os.path.join(journal, token + ".intent"), "w", encoding="utf-8") as out:
            out.write("[intent]\n" + "".join(f"{key}={value.encode('unicode_escape').decode()}\n"
                                             for key, value in fields.items()))
