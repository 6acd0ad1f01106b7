# SPDX-License-Identifier: LGPL-2.1-or-later
"""secret-rotate of CHAP passwords against a real target: tgt says whom it lets in."""

import contextlib
import glob
import os
import threading

from harness import killed, peers, space, tgt
from harness.onserver import noise
from iscsi_direct_test import AUTH, MIB, UUIDS, OnTarget

OLD, NEW = "anoldpassword1", "thenewpassword"
USAGE, DENIED = 2, 4

# For the proof alone: no iscsid runs here, and the kernel is asked for nothing.
BY_KERNEL = """<pool type='iscsi'><name>k</name><source><host name='{host}' port='{port}'/>
<device path='{iqn}'/><initiator><iqn name='{initiator}'/></initiator>{auth}</source>
<target><path>/dev/disk/by-path</path></target></pool>"""


class Rotating(OnTarget):
    SIZES = (64 * MIB,)

    def setUp(self):
        super().setUp()
        self.undefine("i")
        self.accept(OLD)
        self.secret("ours", OLD)
        self.define("c", auth=AUTH.format(user="me"))

    def accept(self, password, user="me", outgoing=False):
        """The target lets in who knows this password, and nobody else."""
        if user in [account[0] for account in self.target.accounts]:
            self.target.unbind(user)
        self.target.account(user, password, outgoing=outgoing)

    def stored(self, usage="ours"):
        """{suffix: content} of the secret's files."""
        found = {}
        for path in glob.glob(os.path.join(self.peer.root, "etc/libvirt/secrets",
                                           UUIDS[usage] + "*")):
            # The daemon settles meanwhile: what was listed may be gone.
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
                found[os.path.basename(path)[len(UUIDS[usage]):]] = stream.read()
        return found

    def rotate(self, password, *words, usage="ours", status=0):
        return self.cistern("secret-rotate", UUIDS[usage], "--file", self.file("new", password),
                            *words, status=status)

    def restarts(self, pool="c"):
        self.ok("pool-destroy", pool)
        self.ok("pool-start", pool)


class Passwords(Rotating):
    def test_a_password_that_the_target_knows_takes_the_place(self):
        self.accept(NEW)
        self.assertIn("proved on: c\n", self.rotate(NEW + "\n"))
        self.assertEqual({".xml", ".base64"}, set(self.stored()))
        self.restarts()

    def test_a_password_that_the_target_does_not_know_is_not_stored(self):
        before = self.stored()
        err = self.rotate(NEW, status=DENIED)
        self.assertIn("pool 'c': portal '127.0.0.1:3260' does not let this initiator in", err)
        self.assertEqual(before, self.stored())
        self.restarts()

    def test_an_invalid_password_is_refused(self):
        for text in ("", "two\nlines", "x" * 256):
            self.assertIn("is no password for CHAP", self.rotate(text, status=USAGE))

    def test_a_transfer_under_way_goes_on(self):
        data = noise(16 * MIB)
        with open(self.target.path(1), "r+b") as stream:
            stream.write(data)
        self.ok("pool-refresh", "c")
        out = os.path.join(self.peer.files, "slow")
        done = []

        def download():
            done.append(peers.run([space.CISTERN, "-c", self.peer.uri, "vol-download", "unit:0:0:1",
                                   out, "--pool", "c", "--length", str(len(data)), "--rate-limit",
                                   "4M"]))
        moving = threading.Thread(target=download)
        moving.start()
        self.wait_until(lambda: os.path.exists(out) and os.path.getsize(out) > MIB,
                        "a part is downloaded")
        self.accept(NEW)
        self.rotate(NEW)
        self.assertEqual([], done)
        moving.join()
        self.assertEqual(0, done[0][0], done[0][2])
        with open(out, "rb") as stream:
            self.assertEqual(data, stream.read())

    def test_what_the_target_proves_itself_with(self):
        self.accept("otherwaysecret", user="them", outgoing=True)
        self.secret("theirs", "otherwaysecret")
        self.define("m", auth=AUTH.format(user="me"),
                    options={"mutual-username": "them", "mutual-secret": "theirs"})
        before = self.stored("theirs")
        self.assertIn("does not prove that it knows the secret",
                      self.rotate("yetanothervalue", usage="theirs", status=DENIED))
        self.assertEqual(before, self.stored("theirs"))
        self.accept("yetanothervalue", user="them", outgoing=True)
        self.assertIn("proved on: m\n", self.rotate("yetanothervalue", usage="theirs"))
        self.restarts("m")
        # The other secret is used by both pools.
        self.accept(NEW)
        self.assertIn("proved on: c, m\n", self.rotate(NEW))
        self.restarts("m")

    def test_a_generated_password_is_told_to_the_target_meanwhile(self):
        path = os.path.join(self.peer.files, "generated")
        done = []
        rotating = threading.Thread(target=lambda: done.append(peers.run(
            [space.CISTERN, "-c", self.peer.uri, "secret-rotate", UUIDS["ours"], "--generate",
             "--save", path, "--wait", "60"])))
        rotating.start()
        self.wait_until(lambda: ".next-base64" in self.stored(), "the next password is stored")
        with open(path, encoding="ascii") as stream:
            password = stream.read().strip()
        self.assertRegex(password, "^[A-Za-z0-9]{16}$")
        self.accept(password)
        rotating.join()
        self.assertEqual(0, done[0][0], done[0][2])
        self.restarts()
        self.assertNotIn(password, self.peer.log())

    def test_an_open_iscsi_pool_is_proved_by_a_login_of_libiscsis(self):
        xml = BY_KERNEL.format(host=tgt.HOSTS[0], port=tgt.PORT, iqn=self.target.iqn,
                               initiator=tgt.INITIATOR, auth=AUTH.format(user="me"))
        self.ok("pool-define", self.file("k.xml", xml))
        sessions = self.server.sessions()
        self.assertIn("pool 'k': ", self.rotate(NEW, status=DENIED))
        self.accept(NEW)
        self.assertIn("proved on: c, k\n", self.rotate(NEW))
        # The logins are over; the session of the active pool is another one at most.
        self.wait_until(lambda: self.server.sessions() <= sessions, "the sessions are closed")


POINTS = ("secret.rotate.", "secret.next.", "secret.value.")
# At which the new password is nowhere yet.
BEFORE = ("secret.rotate.before_save", "secret.value.before_save", "secret.value.before_seal")


class Killed(Rotating):
    """kill -9 at each step, with a target that knows the new password already, or the old one."""

    reached = set()

    @classmethod
    def setUpClass(cls):
        killed.need_points()
        super().setUpClass()

    def play(self, point, password):
        done, passed = killed.run_at(self.peer, POINTS, [
            space.CISTERN, "--root", self.peer.root, "secret-rotate", UUIDS["ours"],
            "--file", self.file("new", password)], point)
        return done[0], passed

    def killed_everywhere(self, known, ends, form=".base64"):
        """@known: what the target knows all the time; @ends: how a rotation that is not killed does."""
        self.peer.stop()
        self.accept(known)
        status, points = self.play(None, NEW)
        self.assertEqual(ends, status)
        for point in sorted(set(points)):
            type(self).reached.add(point)
            with self.subTest(point=point):
                if not self.peer.process:
                    self.peer.start()
                self.secret("ours", OLD)
                self.peer.stop()
                status, _passed = self.play(point, NEW)
                self.assertEqual(-9, status)
                self.peer.start()
                self.wait_until(lambda: set(self.stored()) == {".xml", form},
                                "only this form is stored")
                # Before it began there was the old password alone, which this target has forgotten.
                if known == OLD or point not in BEFORE:
                    self.restarts()
        if not self.peer.process:
            self.peer.start()

    def test_1_the_target_knows_the_new_password(self):
        self.killed_everywhere(NEW, 0)

    def test_2_the_target_knows_the_old_password(self):
        self.killed_everywhere(OLD, DENIED)

    def test_3_values_are_sealed(self):
        self.cistern("secret-seal", "--all")
        try:
            self.killed_everywhere(NEW, 0, ".sealed")
        finally:
            self.cistern("secret-unseal", "--all")

    def test_9_every_point_was_reached_but_those_of_an_administrator(self):
        compiled = killed.compiled_points(POINTS, "src/service/secret/*.c", "src/store/secret_*.c")
        self.assertEqual({"secret.rotate.changed"}, compiled - self.reached)
