# SPDX-License-Identifier: LGPL-2.1-or-later
"""Values of secrets at rest: sealed, unsealed, re-keyed, beside stock libvirt."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import unittest
import uuid

from harness import luks, peers, space
from harness.cases import WithDaemon
from harness.wire import u32
from secrets_test import RIVAL

OWN = 0x43495354
SEAL, UNSEAL, USES = 45, 46, 47
READ_ONLY = 29


class WithValues(WithDaemon):
    def setUp(self):
        super().setUp()
        self.dir = os.path.join(self.peer.root, "etc/libvirt/secrets")
        self.keys = os.path.join(self.peer.root, "var/lib/cistern/secret-keys")
        self.addCleanup(self.forget)

    def forget(self):
        self.cistern("secret-unseal", "--all")
        for name in self.virsh("secret-list")[1].split():
            with contextlib.suppress(ValueError):
                self.virsh("secret-undefine", str(uuid.UUID(name)))

    def secret(self, value, usage="", attributes=""):
        new = str(uuid.uuid4())
        self.ok("secret-define", self.file("secret.xml", f"<secret {attributes}><uuid>{new}</uuid>"
                                           f"{usage}</secret>"))
        self.ok("secret-set-value", new, "--file", self.file("value", value), "--plain")
        os.unlink(self.file("value"))
        return new

    def ours(self, *words, **options):
        status, out, err = self.cistern(*words, **options)
        self.assertEqual(0, status, err)
        return out

    def value(self, of):
        return base64.b64decode(self.ok("secret-get-value", of))

    def names(self, folder=None):
        return sorted(os.listdir(folder or self.dir))

    def usage(self):
        return {row["uuid"]: row for row in
                json.loads(self.ours("secret-list", "--usage", "--json"))["secrets"]}


class Sealed(WithValues):
    def test_one_and_all_and_back(self):
        one, two = self.secret(b"hunter22"), self.secret(b"another value")
        self.assertEqual([f"{n}.{s}" for n in sorted((one, two)) for s in ("base64", "xml")],
                         self.names())
        before = {n: open(os.path.join(self.dir, n), "rb").read() for n in self.names()}
        self.assertIn("1 value sealed", self.ours("secret-seal", one))
        self.assertIn(f"{one}.sealed", self.names())
        self.assertNotIn(f"{one}.base64", self.names())
        self.assertIn("1 value sealed", self.ours("secret-seal", "--all"))
        for name in self.names():
            self.assertEqual(0o600, stat.S_IMODE(os.stat(os.path.join(self.dir, name)).st_mode))
        self.assertEqual(["1.key"], self.names(self.keys))
        self.assertEqual(b"hunter22", self.value(one))
        self.peer.process.kill()
        self.peer.restart()
        self.assertEqual(b"another value", self.value(two))
        # A new value is sealed as the others are, and so is a new secret's.
        self.ok("secret-set-value", one, "--base64", "bmV3")
        self.assertNotIn(f"{one}.base64", self.names())
        self.assertIn("2 values sealed", self.ours("secret-seal", "--rekey"))
        self.assertEqual(["2.key"], self.names(self.keys))
        self.assertEqual(b"new", self.value(one))
        self.ok("secret-set-value", one, "--base64", base64.b64encode(b"hunter22").decode())
        self.ours("secret-unseal", "--all")
        self.assertEqual([], self.names(self.keys))
        # The same files that libvirt writes, byte for byte.
        self.assertEqual(before, {n: open(os.path.join(self.dir, n), "rb").read()
                                  for n in self.names()})

    def test_without_a_daemon(self):
        one = self.secret(b"hunter22")
        self.peer.stop()
        try:
            embedded = [space.CISTERN, "--root", self.peer.root]
            self.assertEqual(0, peers.run([*embedded, "secret-seal", one])[0])
            self.assertEqual("hunter22\n", peers.run([*embedded, "secret-get-value", one,
                                                    "--plain"])[1])
        finally:
            self.peer.start()
        self.assertEqual(b"hunter22", self.value(one))

    def test_dry_runs_and_refusals(self):
        one = self.secret(b"hunter22")
        for words in (["secret-seal", "--all"], ["secret-seal", "--rekey"], ["secret-seal", one]):
            self.assertIn("Would seal", self.ours(*words, "--dry-run"))
        self.assertFalse(os.path.exists(self.keys) and os.listdir(self.keys))
        self.assertIn(f"{one}.base64", self.names())
        client = self.wire(ro=True).open()
        arguments = u32(1) + uuid.UUID(one).bytes + u32(0)
        for procedure in (SEAL, UNSEAL):
            self.refused(client, procedure, arguments, READ_ONLY, prog=OWN)
        reader = client.call(USES, prog=OWN)
        self.assertIn(uuid.UUID(one).bytes, reader.data)
        self.assertNotIn(b"hunter22", reader.data)

    def test_another_program_manages_the_secrets(self):
        one = self.secret(b"hunter22")
        self.peer.stop()
        pid_file = os.path.join(self.peer.root, "run/libvirt/secrets/driver.pid")
        with subprocess.Popen([sys.executable, "-c", RIVAL, pid_file], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as rival:
            try:
                self.assertEqual("held\n", rival.stdout.readline())
                self.peer.start()
                for words in (["secret-seal", "--all"], ["secret-unseal", one],
                              ["secret-seal", "--rekey"]):
                    status, _, err = self.cistern(*words)
                    self.assertEqual(5, status, err)
                    self.assertIn(f"process {rival.pid} (", err)
            finally:
                rival.stdin.close()
        self.assertIn(f"{one}.base64", self.names())
        self.peer.restart()

    def test_a_missing_key_is_one_secrets_trouble(self):
        sealed = self.secret(b"hunter22", "<usage type='ceph'><name>c</name></usage>")
        self.ours("secret-seal", sealed)
        key = os.path.join(self.keys, "1.key")
        os.rename(key, key + ".away")
        self.addCleanup(lambda: os.path.exists(key + ".away") and os.rename(key + ".away", key))
        self.peer.restart()
        err = self.fails("secret-get-value", sealed, text="Invalid secret: ")
        self.assertRegex(err, r"is sealed with key [0-9a-f]{16}, which is not among .*secret-keys")
        self.fails("secret-set-value", sealed, "--base64", "bmV3", text="is sealed with key")
        row = self.usage()[sealed]
        self.assertEqual("unreadable", row["value"])
        self.assertRegex(row["problem"], "is sealed with key")
        self.ok("vol-create-as", "p", "v", "1M")
        os.rename(key + ".away", key)
        self.assertEqual(b"hunter22", self.value(sealed))

    def test_usage(self):
        used = self.secret(b"hunter22", "<usage type='ceph'><name>k</name></usage>")
        self.ok("pool-define", self.file("pool.xml", f"""<pool type='rbd'><name>images</name><source>
            <host name='h'/><name>n</name><auth type='ceph' username='u'><secret uuid='{used}'/>
            </auth></source></pool>"""))
        old = 1500000000
        os.utime(os.path.join(self.dir, used + ".base64"), (old, old))
        self.ours("secret-seal", used)
        self.peer.restart()
        row = self.usage()[used]
        self.assertEqual(("sealed", "2017-07-14T02:40:00Z", "images", False),
                         (row["value"], row["changed"], row["pools"], row["overdue"]))
        self.ours("secret-unseal", used)
        self.assertEqual(old, int(os.stat(os.path.join(self.dir, used + ".base64")).st_mtime))
        self.assertEqual("plain", self.usage()[used]["value"])

    def test_a_secret_that_opens_a_volume_shows_which(self):
        luks.create(self.at("p", "enc"), "1M", passphrase="hunter22")
        self.ok("pool-refresh", "p")
        self.assertIn("<encryption format='luks'>", self.ok("vol-dumpxml", "enc", "--pool", "p"))
        path = self.at("p", "enc")
        opens = self.secret(b"hunter22", f"<usage type='volume'><volume>{path}</volume></usage>")
        other = self.secret(b"hunter22", f"<usage type='volume'><volume>{path}2</volume></usage>")
        for _ in range(2):
            rows = self.usage()
            self.assertEqual(("p/enc", f"volume {path}", None),
                             (rows[opens]["volumes"], rows[opens]["usage"], rows[opens]["pools"]))
            self.assertIsNone(rows[other]["volumes"])
            self.assertRegex(self.ours("secret-list", "--usage"), f"{opens} .* p/enc\n")
            self.peer.restart()  # which has looked at nothing yet
        status, out, err = peers.run([space.CISTERN, "--root", self.peer.root, "secret-list",
                                      "--usage"])
        self.assertEqual(0, status, err)
        self.assertRegex(out, f"{opens} .* p/enc\n")
        # It is told where its volume was, and of a pool that is off no volume is known.
        self.ok("pool-destroy", "p")
        row = self.usage()[opens]
        self.assertEqual((None, f"volume {path}"), (row["volumes"], row["usage"]))

    def test_a_check_of_the_way_back(self):
        one = self.secret(b"hunter22")
        check = [space.CISTERND, "--root", self.peer.root, "--check-takeover"]
        self.assertNotIn("secret-unseal", peers.run(check)[1])
        self.ours("secret-seal", one)
        self.assertIn("note    1 values of secrets are sealed", peers.run(check)[1])


class Aged(WithValues):
    CONFIG = "[secrets]\nseal_secrets = yes\nsecret_max_age = 30\n"

    def test_old_values_are_warned_of(self):
        # There is a key from the start on.
        self.assertEqual(["1.key"], self.names(self.keys))
        one = self.secret(b"hunter22")
        self.assertIn(f"{one}.sealed", self.names())
        self.peer.restart()
        self.assertNotIn("has had the same value", self.peer.log())
        self.ours("secret-unseal", one)
        os.utime(os.path.join(self.dir, one + ".base64"), (1500000000, 1500000000))
        self.assertTrue(self.usage()[one]["overdue"])
        self.peer.restart()
        self.wait_until(lambda: f"secret {one} has had the same value for" in self.peer.log(),
                        "the warning")
        self.peer.restart()
        self.assertEqual(1, self.peer.log().count(f"secret {one} has had the same value for"))


@unittest.skipUnless(peers.Libvirtd.available(), "needs stock libvirtd")
class Stock(WithValues):
    """What is sealed is invisible to libvirt, and what was unsealed it reads; and the other way."""

    def test_there_and_back(self):
        plain, sealed = self.secret(b"plain value"), self.secret(b"sealed value")
        self.ours("secret-seal", sealed)
        self.peer.stop()
        them = peers.Libvirtd()
        self.addCleanup(self.peer.start)
        theirs = os.path.join(them.root, "etc/libvirt/secrets")

        def carry(source, target):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        carry(self.dir, theirs)
        them.start()
        self.addCleanup(them.stop)
        uri = ["virsh", "-c", them.secret_uri]
        self.assertEqual("cGxhaW4gdmFsdWU=\n", peers.run([*uri, "secret-get-value", plain])[1])
        self.assertIn("does not have a value", peers.run([*uri, "secret-get-value", sealed])[2])
        # libvirt sets a value while there is a sealed one: it is the newer one.
        self.assertEqual(0, peers.run([*uri, "secret-set-value", sealed, "--base64", "bmV3"])[0])
        them.stop()
        carry(theirs, self.dir)
        self.peer.start()
        self.assertEqual(b"new", self.value(sealed))
        self.assertFalse([n for n in self.names() if n.endswith(".sealed")])


@unittest.skipUnless(space.private_mounts() and shutil.which("systemd-creds"),
                     "needs systemd-creds, and a mount namespace for the host's key")
class Credential(WithValues):
    """The key as docs/secrets.md has it made, in the file that systemd decrypts for the service."""

    @classmethod
    def setUpClass(cls):
        space.mount("/var/lib/systemd", "--bind", cls.folder("host"))
        cls.encrypted, cls.decrypted = cls.folder("etc"), cls.folder("credentials")
        # systemd's own command line; the host's key is made on the way.
        for name in ("cistern-secret-key", "cistern-secret-key-2"):
            done = subprocess.run(f"head -c 32 /dev/urandom | systemd-creds encrypt --name={name} - "
                                  f"{cls.encrypted}/{name}.cred", shell=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout
        cls.decrypt("cistern-secret-key")
        cls.peer = peers.Cisternd("credible", [("CREDENTIALS_DIRECTORY", cls.decrypted)])
        cls.peer.fresh()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        space.unmount("/var/lib/systemd")

    @staticmethod
    def folder(name):
        path = space.path("credential-" + name)
        os.makedirs(path, 0o700)
        return path

    @classmethod
    def decrypt(cls, name, of=None):
        """As systemd does before it starts the service, with its mode; what it says otherwise."""
        path = os.path.join(cls.decrypted, name)
        done = subprocess.run(["systemd-creds", "decrypt", "--name", name,
                               os.path.join(cls.encrypted, (of or name) + ".cred"), path],
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            os.chmod(path, 0o400)
        return done.stderr

    def key_id(self, name):
        with open(os.path.join(self.decrypted, name), "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()[:16]

    def test_a_credential_seals_and_another_one_takes_its_place(self):
        first = "cistern-secret-key"
        one = self.secret(b"hunter22")
        row = self.usage()[one]
        self.assertEqual(("sealed", self.key_id(first)), (row["value"], row["key"]))
        self.assertFalse(os.path.exists(self.keys))
        self.assertEqual(b"hunter22", self.value(one))
        # The one of another name is not taken for it, by systemd.
        self.assertIn("does not match", self.decrypt("cistern-secret-key-3", of=first))
        # A command on its own does not have it.
        self.peer.stop()
        status, _out, err = peers.run([space.CISTERN, "--root", self.peer.root, "secret-get-value",
                                       one])
        self.assertNotEqual(0, status)
        self.assertIn(f"is sealed with key {self.key_id(first)}", err)
        # Another one beside it, for which values are sealed anew; then the first one goes.
        self.decrypt("cistern-secret-key-2")
        self.peer.start()
        self.assertIn("1 value sealed", self.ours("secret-seal", "--rekey"))
        os.unlink(os.path.join(self.decrypted, first))
        self.peer.restart()
        self.assertEqual(self.key_id("cistern-secret-key-2"), self.usage()[one]["key"])
        self.assertEqual(b"hunter22", self.value(one))
        self.assertFalse(os.path.exists(self.keys))
        os.unlink(os.path.join(self.decrypted, "cistern-secret-key-2"))
        self.peer.restart()
        self.assertEqual("unreadable", self.usage()[one]["value"])
        self.decrypt("cistern-secret-key-2")
        self.peer.restart()
