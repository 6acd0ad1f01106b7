# SPDX-License-Identifier: LGPL-2.1-or-later
"""secret-rotate against a real Ceph: the cluster says which key it lets in, before and afterwards."""

import base64
import glob
import os
import re
import signal
import subprocess
import threading

from harness import ceph, killed, peers, space
from rbd_test import MIB, OnCeph, noise

USER = "client.libvirt"
# Exit statuses of our command line.
USAGE, NOT_FOUND, DENIED, BUSY, UNREACHABLE = 2, 3, 4, 5, 6


def set_key(cluster, path, key):
    """On the cluster, as an administrator does, by a keyring at @path."""
    caps = [word for pair in (("mon", "profile rbd"), ("mgr", "profile rbd"),
                              ("osd", "profile rbd pool=libvirt, profile rbd pool=other"))
            for word in ("caps", pair[0], "=", f'"{pair[1]}"', "\n")]
    with open(path, "w", encoding="ascii") as stream:
        stream.write(f"[{USER}]\nkey = {key}\n{' '.join(caps)}")
    cluster.run("ceph", "auth", "import", "-i", path)


class Rotating(OnCeph):
    """Each test begins with the same key on the cluster and in the secret."""

    def setUp(self):
        self.set_key(self.ceph.key)
        self.store(self.ceph.key)
        for name in ("r", "o"):
            peers.virsh(self.peer, "pool-start", name)
        super().setUp()

    def set_key(self, key):
        set_key(self.ceph, self.file("set.keyring", ""), key)

    def key_on_cluster(self):
        return self.ceph.run("ceph", "auth", "print-key", USER).strip()

    def store(self, key):
        status, _out, err = peers.run(["virsh", "-c", self.peer.secret_uri, "secret-set-value",
                                       ceph.UUID, key])
        self.assertEqual(0, status, err)

    def files(self):
        """{name: content} of the secret's files."""
        found = {}
        for path in glob.glob(os.path.join(self.peer.root, "etc/libvirt/secrets", ceph.UUID + "*")):
            with open(path, "rb") as stream:
                found[os.path.basename(path)[len(ceph.UUID):]] = stream.read()
        return found

    def stored(self):
        return self.files()[".base64"].decode()

    def login(self, key):
        """Whether the cluster lets the user in with this key."""
        path = self.file("login.keyring", f"[{USER}]\nkey = {key}\n")
        conf = os.path.join(self.ceph.dir, "ceph.conf")
        done = subprocess.run(["rados", "-c", conf, "--id", "libvirt", "--keyring", path, "-p",
                               "libvirt", "ls"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False)
        return done.returncode == 0

    def new_key(self):
        return self.ceph.run("ceph-authtool", "--gen-print-key").strip()

    def rotate(self, *words, status=0):
        return self.cistern("secret-rotate", ceph.UUID, *words, status=status)

    def as_admin(self, *words, status=0):
        return self.rotate("--admin-keyring", os.path.join(self.ceph.dir, "keyring"), *words,
                           status=status)

    def settled(self):
        self.wait_until(lambda: set(self.files()) == {".xml", ".base64"},
                        "only the secret's own files are left")


class Rotations(Rotating):
    def test_a_key_that_was_changed_on_the_cluster_takes_the_old_ones_place(self):
        key = self.new_key()
        self.set_key(key)
        out = self.rotate("--file", self.file("new", key + "\n"))
        self.assertIn("proved on: o, r", out)
        self.assertEqual(key, self.stored())
        self.assertEqual({".xml", ".base64"}, set(self.files()))
        for name in ("r", "o"):
            self.ok("pool-destroy", name)
            self.ok("pool-start", name)

    def test_a_key_that_the_cluster_does_not_know_is_not_stored(self):
        before = self.files()
        err = self.rotate("--file", self.file("new", self.new_key()), status=DENIED)
        self.assertRegex(err, "pool 'o': .*refused user 'libvirt'.*; pool 'r': ")
        self.assertEqual(before, self.files())
        self.assertEqual(self.ceph.key, self.key_on_cluster())
        self.ok("pool-refresh", "r")

    def test_an_invalid_key_is_refused_before_the_monitor_is_asked(self):
        before = self.files()
        for text in ("", "no key", base64.b64encode(b"no key either").decode()):
            self.assertIn("is not a cephx key",
                          self.rotate("--file", self.file("new", text), status=USAGE))
        self.assertIn("is the present one",
                      self.rotate("--file", self.file("new", self.ceph.key), status=USAGE))
        self.assertEqual(before, self.files())

    def test_an_administrator_changes_the_key_on_the_cluster(self):
        before = self.ceph.run("ceph", "auth", "get", USER)
        self.assertIn("proved on: o, r", self.as_admin("--generate"))
        key = self.key_on_cluster()
        self.assertNotEqual(self.ceph.key, key)
        self.assertEqual(key, self.stored())
        self.assertEqual(28, len(base64.b64decode(key)))
        # The same but for the key: what the user may do stays.
        self.assertEqual(before, self.ceph.run("ceph", "auth", "get", USER)
                         .replace(key, self.ceph.key))
        self.assertTrue(self.login(key))
        self.assertFalse(self.login(self.ceph.key))
        self.ok("pool-refresh", "r")
        self.assertNotIn(key, self.peer.log())

    def test_an_administrator_without_the_right_is_refused(self):
        self.ceph.run("ceph", "auth", "get-or-create", "client.reader", "mon", "allow r")
        keyring = self.file("reader.keyring", self.ceph.run("ceph", "auth", "get", "client.reader"))
        before = self.files()
        err = self.rotate("--generate", "--admin-keyring", keyring, "--admin-id", "reader",
                          status=DENIED)
        self.assertIn("may not change users", err)
        err = self.rotate("--generate", "--admin-keyring", keyring, status=NOT_FOUND)
        self.assertIn("no user 'client.admin'", err)
        self.assertEqual(before, self.files())
        self.assertEqual(self.ceph.key, self.key_on_cluster())

    def test_a_pool_that_cannot_log_in_has_the_key_put_back(self):
        self.define("gone", source="nosuchpool", start=False)
        try:
            before = self.files()
            err = self.as_admin("--generate", status=NOT_FOUND)
            self.assertIn("the present value is not accepted everywhere: pool 'gone'", err)
            self.assertEqual((before, self.ceph.key), (self.files(), self.key_on_cluster()))
            self.as_admin("--generate", "--active")
            self.assertEqual(self.stored(), self.key_on_cluster())
        finally:
            self.undefine("gone")

    def test_a_dry_run_checks_the_present_key_only(self):
        before = self.files()
        self.as_admin("--generate", "--dry-run")
        self.assertEqual((before, self.ceph.key), (self.files(), self.key_on_cluster()))
        self.set_key(self.new_key())
        self.assertIn("the present value is not accepted everywhere",
                      self.rotate("--file", self.file("new", self.new_key()), "--dry-run",
                                  status=DENIED))
        self.assertEqual(before, self.files())

    def test_a_transfer_under_way_goes_on(self):
        data = noise(24 * MIB)
        self.put("a", data)
        out = os.path.join(self.peer.files, "slow")
        done = []

        def download():
            done.append(peers.run([space.CISTERN, "-c", self.peer.uri, "vol-download", "a", out,
                                   "--pool", "r", "--rate-limit", "4M"]))
        moving = threading.Thread(target=download)
        moving.start()
        self.wait_until(lambda: os.path.exists(out) and os.path.getsize(out) > MIB,
                        "a part is downloaded")
        self.as_admin("--generate")
        self.assertEqual([], done)
        self.assertFalse(self.login(self.ceph.key))
        moving.join()
        self.assertEqual(0, done[0][0], done[0][2])
        with open(out, "rb") as stream:
            self.assertEqual(data, stream.read())

    def test_the_server_may_learn_the_key_during_the_rotation(self):
        path = os.path.join(self.peer.files, "generated")
        done = []
        rotating = threading.Thread(target=lambda: done.append(self.try_rotate(
            "--generate", "--save", path, "--wait", "60")))
        rotating.start()
        # Whatever fails here, the next test finds no rotation under way.
        self.addCleanup(rotating.join)
        self.wait_until(lambda: ".next-base64" in self.files(), "the next key is stored")
        with open(path, encoding="ascii") as stream:
            key = stream.read().strip()
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
        # Others find the secret as it was, and are told who is in the way.
        self.assertEqual(self.ceph.key, self.stored())
        for words in (["secret-set-value", ceph.UUID, self.ceph.key],
                      ["secret-undefine", ceph.UUID], ["secret-define", self.secret]):
            status, _out, err = peers.run(["virsh", "-c", self.peer.secret_uri, *words])
            self.assertEqual(1, status)
            self.assertIn("is being rotated", err)
        self.assertIn("is being rotated",
                      self.rotate("--file", self.file("new", self.new_key()), status=BUSY))
        self.wait_until(lambda: re.search(r"rotate: prove +o, r", self.cistern("job-list")),
                        "the rotation is a job")
        # A pool that starts before the cluster knows the new key does so with the old one.
        self.ok("pool-destroy", "o")
        self.ok("pool-start", "o")
        # A pool that is defined meanwhile is proved as well.
        self.define("late", start=False)
        self.set_key(key)
        rotating.join()
        self.assertEqual(0, done[0][0], done[0][2])
        self.assertIn("late, o, r", done[0][1])
        self.assertEqual(key, self.stored())
        self.undefine("late")
        self.ok("pool-refresh", "o")

    def try_rotate(self, *words):
        return peers.run([space.CISTERN, "-c", self.peer.uri, "secret-rotate", ceph.UUID, *words])

    def test_a_pool_that_starts_with_a_key_that_is_replaced_waits_for_the_new_one(self):
        self.ok("pool-destroy", "o")
        done = []
        path = os.path.join(self.peer.files, "generated2")
        rotating = threading.Thread(target=lambda: done.append(self.try_rotate(
            "--generate", "--save", path, "--wait", "60")))
        rotating.start()
        self.wait_until(lambda: ".next-base64" in self.files(), "the next key is stored")
        with open(path, encoding="ascii") as stream:
            self.set_key(stream.read().strip())
        self.ok("pool-start", "o")
        rotating.join()
        self.assertEqual(0, done[0][0], done[0][2])

    def test_two_at_once_have_one_winner(self):
        done = []
        threads = [threading.Thread(target=lambda: done.append(self.try_rotate(
            "--generate", "--admin-keyring", os.path.join(self.ceph.dir, "keyring"))))
            for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIn(0, [status for status, _out, _err in done])
        for status, _out, err in done:
            if status:
                self.assertIn("is being rotated", err)
        self.assertEqual(self.stored(), self.key_on_cluster())
        self.ok("pool-refresh", "r")

    def test_silent_monitors_leave_the_old_key(self):
        before = self.files()
        self.ceph.freeze("mon.a")
        err = self.rotate("--file", self.file("new", self.new_key()), status=UNREACHABLE)
        self.assertIn("pool 'o': ", err)
        self.ceph.thaw()
        self.assertEqual(before, self.files())
        self.ok("pool-refresh", "r")

    def test_sealed_values_are_rotated_sealed(self):
        self.cistern("secret-seal", "--all")
        try:
            self.as_admin("--generate")
            self.assertEqual({".xml", ".sealed"}, set(self.files()))
            self.ok("pool-destroy", "r")
            self.ok("pool-start", "r")
        finally:
            self.cistern("secret-unseal", "--all")
        self.assertEqual(self.stored(), self.key_on_cluster())


POINTS = ("secret.rotate.", "secret.next.")


class Killed(Rotating):
    """kill -9 at every step: the program that comes next has a key that the cluster lets in."""

    reached = set()

    @classmethod
    def setUpClass(cls):
        killed.need_points()
        super().setUpClass()

    def command(self, *words):
        return [space.CISTERN, "--root", self.peer.root, "secret-rotate", ceph.UUID,
                "--admin-keyring", os.path.join(self.ceph.dir, "keyring"), *words]

    def kill_at(self, point, *words):
        return killed.run_at(self.peer, POINTS, self.command(*words), point)

    def works(self):
        """The one value that is left is the cluster's, and both pools start with it."""
        self.settled()
        self.assertEqual(self.key_on_cluster(), self.stored())
        for name in ("r", "o"):
            self.ok("pool-refresh", name)
            self.ok("pool-destroy", name)
            self.ok("pool-start", name)

    def everywhere(self, how, *words, status=0):
        """@how brings the next program: a daemon, or an embedded command."""
        self.peer.stop()
        done, passed = self.kill_at(None, *words)
        self.assertEqual(status, done[0], done[2])
        self.assertTrue(passed)
        self.peer.start()
        self.works()
        for point in sorted(set(passed)):
            type(self).reached.add(point)
            with self.subTest(point=point):
                self.set_key(self.ceph.key)
                self.store(self.ceph.key)
                self.peer.stop()
                done, _ = self.kill_at(point, *words)
                self.assertEqual(-9, done[0], done[2])
                how()
                self.works()

    def test_1_a_daemon_settles_it(self):
        self.everywhere(self.peer.start, "--generate")

    def test_2_a_command_settles_it_before_a_pool_starts(self):
        def start():
            for verb in ("pool-destroy", "pool-start"):
                status, _out, err = peers.run([space.CISTERN, "--root", self.peer.root, verb, "r"])
                self.assertEqual(0, status, err)
            self.peer.start()
        self.everywhere(start, "--generate")

    def test_3_when_the_old_key_has_been_put_back(self):
        """Somebody else sets another key after ours, which is then let in nowhere."""
        point = "secret.rotate.taken_back"
        self.peer.stop()
        self.addCleanup(lambda: self.peer.process or self.peer.start())
        command = killed.stopped_at("secret.rotate.changed", self.command("--generate"),
                                    {"CISTERN_CRASH_AT": point})
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)
        self.assertNotEqual(self.ceph.key, self.key_on_cluster())
        self.set_key(self.new_key())
        command.send_signal(signal.SIGCONT)
        self.assertEqual(-9, command.wait(120))
        type(self).reached.add(point)
        self.assertEqual(self.ceph.key, self.key_on_cluster())
        self.assertEqual({".xml", ".base64", ".next-base64"}, set(self.files()))
        self.peer.start()
        self.works()
        self.assertEqual(self.ceph.key, self.stored())

    def test_9_every_point_was_reached(self):
        compiled = killed.compiled_points(POINTS, "src/service/secret/*.c", "src/store/secret_*.c")
        self.assertEqual(set(), compiled - self.reached)
