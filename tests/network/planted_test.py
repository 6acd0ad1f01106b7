# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Planted values of secrets that pools log in to real servers with (Ceph, tgt) are searched for
wherever they must not be, old and new ones of rotations. The kernel's sessions and open-iscsi are
the fake ones of the unit tests, whose records are real files.
"""

import base64
import contextlib
import glob
import os
import stat
import subprocess
import threading

from harness import ceph, peers, space, tgt
from harness.onserver import MIB, OnServer
from harness.search import Search, Trace, Watch
from iscsi_direct_test import AUTH, SECRET, UUIDS
from rotate_iscsi_test import BY_KERNEL
from rotate_rbd_test import USER, set_key

FAKE = os.path.join(space.TOP, "tests/unit/pool/fake-iscsiadm")
ADMIN = "client.admin"
DENIED = 4
# The daemon's own /sys and /etc, in a namespace of its own.
PLACES = 'mount --bind "$FAKE_ROOT/sys" /sys && mount --bind "$FAKE_ROOT/etc" /etc && exec "$@"'


def kind(target):
    """Of what was written to, as Trace names it."""
    for words, what in (("/etc/libvirt/secrets/", "a secret's file"), ("/iscsi/nodes/", "a record"),
                        ("/memfd:", "memory"), ("pipe:", "a pipe"), ("UNIX-", "a socket"),
                        ("TCP", "the network")):
        if words in target:
            return what
    return target


class Planted(OnServer):
    # Of a key, as it is searched for.
    PARTS = ("", ", raw", ", a part")

    @classmethod
    def setUpClass(cls):
        if not space.private_mounts():
            raise cls.skipTest(cls, "needs a mount namespace for a /sys of its own")
        cls.ceph, cls.server = ceph.lab(), tgt.server()
        cls.server.thaw()
        cls.server.clear()
        cls.target = cls.server.target("t", (64 * MIB,))
        cls.fake = space.path("fake-kernel")
        cls.make_kernel()
        cls.trace = Trace("planted")
        cls.peer = peers.Cisternd("planted", [
            ("PATH", os.path.join(cls.fake, "bin") + ":" + space.ENV["PATH"]),
            ("FAKE_ROOT", cls.fake)], "[log]\nlevel = debug\n")
        cls.peer.prefix = [*cls.trace.prefix, "unshare", "-m", "--propagation", "slave", "sh", "-c",
                           PLACES, "sh", *cls.peer.prefix]
        cls.values = {}
        cls.peer.fresh()

    @classmethod
    def make_kernel(cls):
        """A kernel without sessions, whose hosts let themselves be scanned, and an /etc with iscsi."""
        for folder in ("bin", "sys/class/iscsi_session", "sys/class/iscsi_connection",
                       "sys/bus/scsi/devices", "sys/block", "sys/dev/block",
                       *(f"sys/class/scsi_host/host{11 + number}" for number in range(8))):
            os.makedirs(os.path.join(cls.fake, folder))
        for host in glob.glob(os.path.join(cls.fake, "sys/class/scsi_host/*")):
            with open(os.path.join(host, "scan"), "w", encoding="ascii"):
                pass
        subprocess.run(["cp", "-a", "/etc", cls.fake], check=True)
        for folder in ("ifaces", "nodes"):
            os.makedirs(os.path.join(cls.fake, "etc/iscsi", folder))
        os.symlink(FAKE, os.path.join(cls.fake, "bin/iscsiadm"))
        with open(os.path.join(cls.fake, "offers"), "w", encoding="ascii") as stream:
            stream.write(f"{tgt.HOSTS[0]}:{tgt.PORT},1 {cls.target.iqn}\n")

    @classmethod
    def tearDownClass(cls):
        # Others use this cluster.
        set_key(cls.ceph, os.path.join(cls.peer.files, "keyring"), cls.ceph.key)
        cls.server.clear()
        cls.peer.stop()

    # --- values ------------------------------------------------------------------------------

    def plant(self, name, value):
        """Has it searched for; of a key of cephx, which is base64, its own bytes as well."""
        type(self).values[name] = value.encode()
        if name.startswith("key"):
            raw = base64.b64decode(value)
            type(self).values.update({name + ", raw": raw, name + ", a part": raw[12:]})
        return value

    def password(self, name):
        return self.plant(name, base64.b32encode(os.urandom(10)).decode())

    def key(self, name):
        return self.plant(name, self.ceph.run("ceph-authtool", "--gen-print-key").strip())

    def secret(self, usage, value):
        uri = ["virsh", "-c", self.peer.secret_uri]
        for words in (["secret-define", self.file("x", SECRET.format(uuid=UUIDS[usage], usage=usage))],
                      ["secret-set-value", UUIDS[usage], "--file", self.given(value), "--plain"]):
            status, _out, err = peers.run(uri + words)
            self.assertEqual(0, status, err)

    def given(self, value):
        """A file for a client; clear() before anything is searched."""
        return self.file("value", value)

    def clear(self):
        path = os.path.join(self.peer.files, "value")
        if os.path.exists(path):
            os.unlink(path)

    def accept(self, user, password, outgoing=False):
        if user in [account[0] for account in self.target.accounts]:
            self.target.unbind(user)
        self.target.account(user, password, outgoing=outgoing)
        if not outgoing:
            with open(os.path.join(self.fake, "chap"), "w", encoding="ascii") as stream:
                stream.write(f"{user} {password}")

    # --- what is looked at -----------------------------------------------------------------------

    def records(self):
        """{content} of open-iscsi's records, which are root's alone."""
        found = set()
        for path in glob.glob(os.path.join(self.fake, "etc/iscsi/nodes/*/*/*")):
            self.assertEqual(0o600, stat.S_IMODE(os.stat(path).st_mode))
            with open(path, encoding="ascii") as stream:
                found.add(stream.read())
        return found

    def recorded(self, password, *others):
        for text in self.records():
            self.assertIn(f"password = {password}\n", text)
            for other in others:
                self.assertNotIn(other, text)

    def shown(self, search):
        """Whatever clients may be told."""
        for words in (["secret-list"], *(["secret-dumpxml", uuid] for uuid in
                                         (*UUIDS.values(), ceph.UUID)),
                      *([verb, pool] for verb in ("pool-dumpxml", "pool-info") for pool in "rmk")):
            search.bytes(self.ok(*words).encode(), " ".join(words))
        for words in (["secret-list", "--usage", "--json"], ["job-list", "--all"]):
            search.bytes(self.cistern(*words).encode(), " ".join(words))

    def rotate(self, uuid, *words, status=0):
        said = self.cistern("secret-rotate", uuid, *words, status=status)
        self.said.append(said)
        return said

    @contextlib.contextmanager
    def events(self):
        said = [subprocess.Popen(["virsh", "-c", self.peer.uri, verb, "--all", "--loop"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
                for verb in ("secret-event", "pool-event")]
        yield
        for process in said:
            process.terminate()
            self.said.append(process.communicate()[0].decode())

    # --- the tests -------------------------------------------------------------------------------

    def start_pools(self):
        old = self.password("old")
        theirs = self.password("theirs")
        self.accept("me", old)
        self.accept("them", theirs, outgoing=True)
        self.secret("ours", old)
        self.secret("theirs", theirs)
        key = self.key("key")
        set_key(self.ceph, self.file("keyring", ""), key)
        os.unlink(os.path.join(self.peer.files, "keyring"))
        for words in (["secret-define", self.file("x", ceph.SECRET)],
                      ["secret-set-value", ceph.UUID, "--file", self.given(key)]):
            status, _out, err = peers.run(["virsh", "-c", self.peer.secret_uri, *words])
            self.assertEqual(0, status, err)
        auth = AUTH.format(user="me")
        for name, xml in (
                ("r", self.ceph.pool_xml("r")),
                ("m", self.target.pool_xml("m", auth=auth, options={
                    "mutual-username": "them", "mutual-secret": "theirs"})),
                ("k", BY_KERNEL.format(host=tgt.HOSTS[0], port=tgt.PORT, iqn=self.target.iqn,
                                       initiator=tgt.INITIATOR, auth=auth))):
            self.ok("pool-define", self.file(name + ".xml", xml))
            self.ok("pool-start", name)
        self.recorded(old)
        return old

    def rotate_passwords(self, old):
        """One that is refused, one from a file, one that is generated; of the target, too."""
        self.rotate(UUIDS["ours"], "--file", self.given(self.password("refused")), status=DENIED)
        self.recorded(old)
        new = self.password("new")
        self.accept("me", new)
        self.rotate(UUIDS["ours"], "--file", self.given(new))
        self.recorded(new, old)
        path = os.path.join(self.peer.files, "generated")
        rotating = threading.Thread(target=self.rotate, args=(
            UUIDS["ours"], "--generate", "--save", path, "--wait", "60"))
        rotating.start()
        self.wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > 0,
                        "the file has content")
        with open(path, encoding="ascii") as stream:
            generated = self.plant("generated", stream.read().strip())
        self.accept("me", generated)
        rotating.join()
        os.unlink(path)
        self.recorded(generated, new)
        theirs = self.password("theirs, new")
        self.accept("them", theirs, outgoing=True)
        self.rotate(UUIDS["theirs"], "--file", self.given(theirs))

    def rotate_keys(self, admin):
        self.rotate(ceph.UUID, "--file", self.given(self.key("key, refused")), status=DENIED)
        self.rotate(ceph.UUID, "--generate", "--admin-keyring", admin)
        self.plant("key, generated", self.ceph.run("ceph", "auth", "print-key", USER).strip())

    def sealed_rotations(self, admin):
        """From here on nothing is written as it is."""
        self.cistern("secret-seal", "--all")
        new = self.password("sealed")
        self.accept("me", new)
        self.rotate(UUIDS["ours"], "--file", self.given(new))
        self.recorded(new)
        self.rotate(ceph.UUID, "--generate", "--admin-keyring", admin)
        self.plant("key, sealed", self.ceph.run("ceph", "auth", "print-key", USER).strip())

    def test_1_values_of_a_daemon_are_nowhere(self):
        self.said = []
        admin = os.path.join(self.ceph.dir, "keyring")
        self.plant("key of the administrator", self.ceph.run("ceph", "auth", "print-key", ADMIN).strip())
        watched = Search({})
        with Watch(watched, self.peer.process.pid), self.events():
            old = self.start_pools()
            for name, value in self.values.items():
                watched.add(name, value)
            self.rotate_passwords(old)
            self.rotate_keys(admin)
            self.sealed_rotations(admin)
            search = Search(self.values)
            self.shown(search)
            # Ceph's library has the user's key for as long as it is connected; nobody has passwords.
            of_memory = Search({name: value for name, value in self.values.items()
                                if not name.startswith("key")})
            of_memory.memory(self.peer.process.pid)
            for pool in "rmk":
                self.ok("pool-destroy", pool)
        self.assertEqual(set(), self.records())
        self.clear()
        pid = self.peer.process.pid
        self.peer.stop()
        self.trace.ended(pid)
        sent = search.trace(self.trace, kind)
        for text in self.said:
            search.bytes(text.encode(), "what was said")
        search.file(space.path("planted.log"))
        for place in (self.peer.root, self.peer.dir, self.peer.files,
                      os.path.join(self.fake, "etc/iscsi"), os.path.join(self.fake, "sys")):
            search.below(place)
        search.file(os.path.join(self.fake, "log"))
        self.assertIn(os.path.join(self.fake, "bin/iscsiadm"), self.trace.executed())
        self.assertEqual([], search.found + watched.found + of_memory.found)
        plain = {"old", "new", "refused", "generated", "theirs", "theirs, new"}
        keys = {name + part for name in ("key", "key, refused", "key, generated")
                for part in self.PARTS}
        self.assertEqual({(name, "a secret's file") for name in plain | keys} |
                         {(name, "a record") for name in ("old", "new", "generated", "sealed")} |
                         {(name + part, "the network") for name in ("key, generated", "key, sealed")
                          for part in self.PARTS}, sent)

    def test_2_nor_are_those_of_a_command(self):
        """
        What they were, and are now. The lab's monitor is told the new key in version 1 of Ceph's
        protocol, which encrypts nothing.
        """
        self.peer.stop()
        trace = Trace("planted-command")
        try:
            done = subprocess.run(
                [*trace.prefix, space.CISTERN, "--root", self.peer.root, "secret-rotate", ceph.UUID,
                 "--generate", "--admin-keyring", os.path.join(self.ceph.dir, "keyring")],
                env=space.ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, check=False)
        finally:
            self.peer.start()
        self.assertEqual(0, done.returncode, done.stdout)
        self.plant("key, new", self.ceph.run("ceph", "auth", "print-key", USER).strip())
        search = Search(self.values)
        search.bytes(done.stdout, "what was said")
        sent = search.trace(trace, kind)
        search.below(self.peer.root)
        self.assertEqual([], search.found)
        self.assertEqual({("key, new" + part, "the network") for part in self.PARTS}, sent)
