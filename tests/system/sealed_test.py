# SPDX-License-Identifier: LGPL-2.1-or-later
"""Values of secrets at rest: sealed, unsealed, re-keyed, beside stock libvirt; and a search for the
bytes of values wherever they must not be."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse
import uuid

from harness import luks, peers, space, wire
from harness.cases import WithDaemon
from harness.wire import string, u32
from secrets_test import RIVAL

OWN = 0x43495354
SEAL, UNSEAL, USES = 45, 46, 47
DEFINE, SET_VALUE, GET_VALUE, GET_XML = 142, 144, 145, 143
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


# --- the search ----------------------------------------------------------------------------------

def forms(value):
    """All that a value could look like."""
    encoded = base64.b64encode(value)
    return {"raw": value, "base64": encoded.rstrip(b"="), "hex": value.hex().encode(),
            "HEX": value.hex().upper().encode(), "url": urllib.parse.quote(value, safe="").encode(),
            "base64url": base64.urlsafe_b64encode(value).rstrip(b"=")}


class Search:
    """Looks for values in all their forms; found: what was found where."""

    def __init__(self, values):
        self.wanted = [(name, form, data) for name, value in values.items()
                       for form, data in forms(value).items()]
        self.found = []

    def bytes(self, data, where):
        for name, form, wanted in self.wanted:
            if wanted in data:
                self.found.append(f"{name} ({form}) in {where}")

    def file(self, path):
        with contextlib.suppress(OSError):
            with open(path, "rb") as stream:
                self.bytes(stream.read(), path)

    def below(self, root):
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                if stat.S_ISREG(os.lstat(path).st_mode):
                    self.file(path)
                self.bytes(path.encode(errors="surrogateescape"), "a path")

    def process(self, pid):
        for name in ("cmdline", "environ", "maps", "mountinfo", "status", "comm", "limits",
                     "stack", "wchan", "mounts"):
            self.file(f"/proc/{pid}/{name}")

    def memory(self, pid, all_of_it=False):
        """What a debugger with root's rights would save: the pages that are dumped."""
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/smaps", encoding="utf-8") as stream:
                areas = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+)[^\n]*\n"
                                   r"(?:[A-Z]\w+:[^\n]*\n)*?VmFlags:([^\n]*)", stream.read(), re.M)
            with open(f"/proc/{pid}/mem", "rb") as memory:
                for low, high, mode, flags in areas:
                    size = int(high, 16) - int(low, 16)
                    if "r" in mode and size < 1 << 32 and (all_of_it or " dd" not in flags):
                        with contextlib.suppress(OSError, ValueError, OverflowError):
                            memory.seek(int(low, 16))
                            self.bytes(memory.read(size), f"memory of {pid} at {low}")


def children(pid):
    """All that descend from a process."""
    parents = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{int(entry)}/stat", encoding="utf-8", errors="replace") as stream:
                parents[int(entry)] = int(stream.read().rpartition(")")[2].split()[1])
    found, last = set(), {pid}
    while last:
        last = {child for child, parent in parents.items() if parent in last} - found
        found |= last
    return found


class Watch(threading.Thread):
    """Looks at a process and its children all the time."""

    def __init__(self, search, pid):
        super().__init__(daemon=True)
        self.search, self.pid, self.seen, self.ending = search, pid, set(), threading.Event()

    def run(self):
        while not self.ending.is_set():
            for pid in {self.pid} | children(self.pid):
                self.search.process(pid)
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as stream:
                        self.seen.add(stream.read().strip())
            time.sleep(0.002)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


# A tool that takes a while, reads its input and fails: what it was given is in the test's hands.
FAKE = """#!/bin/sh
input=$(cat)
sleep 0.3
echo "$0: refused" >&2
exit 32
"""
FAKES = ("mount",)
CHILD_WITH = "import sys, time; time.sleep(30)"


class Nowhere(WithValues):
    """Planted values are nowhere but where they have to be."""

    CONFIG = "[log]\nlevel = debug\n"

    @classmethod
    def setUpClass(cls):
        cls.fakes = space.path("fakes")
        os.makedirs(cls.fakes, exist_ok=True)
        for name in FAKES:
            path = os.path.join(cls.fakes, name)
            with open(path, "w", encoding="ascii") as stream:
                stream.write(FAKE)
            os.chmod(path, 0o755)
        cls.values = {name: os.urandom(24).hex().encode() + b"+/%" for name in
                      ("cifs", "no key", "stored", "sealed", "ephemeral", "private")}
        # As Ceph makes them: type, time, length, 16 bytes.
        cls.values["ceph"] = b"\1\0" + bytes(8) + b"\x10\0" + os.urandom(16)
        cls.core_dir = space.path("cores")
        os.makedirs(cls.core_dir, exist_ok=True)
        cls.peer = cls.daemon(cls.CONFIG)
        cls.peer.fresh()

    @classmethod
    def daemon(cls, config):
        peer = peers.Cisternd("searched", [("PATH", cls.fakes + ":" + os.environ["PATH"])], config)
        peer.prefix = ["prlimit", "--core=unlimited:unlimited", *peer.prefix]
        return peer

    def setUp(self):
        super().setUp()
        self.search = Search(self.values)
        self.planted = {
            "cifs": self.secret(self.values["cifs"]), "stored": self.secret(self.values["stored"]),
            "ceph": self.secret(self.values["ceph"],
                                "<usage type='ceph'><name>key of the pool</name></usage>"),
            "ephemeral": self.secret(self.values["ephemeral"], attributes="ephemeral='yes'"),
            "private": self.secret(self.values["private"], attributes="private='yes'"),
            "sealed": self.secret(self.values["sealed"])}

    def define_pools(self):
        self.ok("pool-define", self.file("cifs.xml", f"""<pool type='netfs'><name>share</name><source>
            <host name='192.0.2.1'/><dir path='share'/><format type='cifs'/><auth type='chap'
            username='somebody'><secret uuid='{self.planted["cifs"]}'/></auth></source>
            <target><path>{self.at("share")}</path></target></pool>"""))
        self.ok("pool-define", self.file("rbd.xml", """<pool type='rbd'
            xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'><name>images</name><source>
            <host name='127.0.0.1' port='1'/><name>rbd</name><auth type='ceph' username='admin'>
            <secret usage='key of the pool'/></auth></source><rbd:config_opts>
            <rbd:option name='client_mount_timeout' value='1'/></rbd:config_opts></pool>"""))
        os.makedirs(self.at("share"), exist_ok=True)

    def look_over(self, *, also=()):
        """Everything that clients are told without asking for a value."""
        for name in self.planted:
            self.search.bytes(self.ok("secret-dumpxml", self.planted[name]).encode(), "XML")
        for words in (["secret-list"], ["pool-dumpxml", "share"], ["pool-dumpxml", "images"], *also):
            self.search.bytes(self.ok(*words).encode(), " ".join(words))
        for words in (["secret-list", "--usage"], ["secret-list", "--usage", "--json"]):
            self.search.bytes(self.ours(*words).encode(), " ".join(words))
        for sock in (self.peer.sock, self.peer.sock_ro):
            with wire.Wire(sock) as client:
                client.open()
                self.search.bytes(client.call(USES, prog=OWN).data, "a reply")

    def test_nowhere(self):
        self.define_pools()
        events = subprocess.Popen(["virsh", "-c", self.peer.uri, "secret-event", "--all", "--loop"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL)
        try:
            with Watch(self.search, self.peer.process.pid) as watch:
                self.ours("secret-seal", *(self.planted[n] for n in self.planted
                                           if n != "ephemeral"))
                for pool in ("share", "images"):
                    self.search.bytes(self.fails("pool-start", pool).encode(), "an error")
                # Ceph's library writes what it takes for no key to stderr.
                self.ok("secret-set-value", self.planted["ceph"], "--plain", "--file",
                        self.file("value", self.values["no key"]))
                os.unlink(self.file("value"))
                self.search.bytes(self.fails("pool-start", "images", text="is no key of Ceph's")
                                  .encode(), "an error")
                self.ours("secret-seal", "--rekey")
                for name in ("stored", "sealed"):
                    self.assertEqual(self.values[name], self.value(self.planted[name]))
                self.search.bytes(self.fails("secret-get-value", self.planted["private"],
                                             text="private").encode(), "a refusal")
                self.look_over()
            self.assertIn("mount", watch.seen, "the tool was never seen")
        finally:
            events.terminate()
            self.search.bytes(events.communicate()[0], "events")
        self.search.file(space.path("searched.log"))
        self.search.below(self.peer.root)
        self.search.below(self.peer.dir)
        self.assertEqual([], self.search.found)
        self.assertIn("virSecretSetValue begins", self.peer.log())

    def test_memory_that_is_dumped_has_none(self):
        """Without the pool of Ceph, whose library keeps copies that are not ours to wipe."""
        self.define_pools()
        self.ours("secret-seal", self.planted["sealed"])
        self.fails("pool-start", "share")
        for name in ("stored", "sealed"):
            self.assertEqual(self.values[name], self.value(self.planted[name]))
        with wire.Wire(self.peer.sock) as client:
            client.open()
            secret = uuid.UUID(self.planted["ephemeral"]).bytes + u32(0) + string("")
            self.assertIn(self.values["ephemeral"], client.call(GET_VALUE, secret + u32(0)).data)
        self.search.memory(self.peer.process.pid)
        self.assertEqual([], self.search.found)
        # The one that has no file is in memory that is not dumped.
        self.search.memory(self.peer.process.pid, all_of_it=True)
        self.assertTrue(self.search.found)
        for line in self.search.found:
            self.assertTrue(line.startswith("ephemeral (raw)"), line)

    def abort(self, peer):
        """Has the daemon dump its core; returns the core, or None."""
        here = os.getcwd()
        os.chdir(self.core_dir)
        try:
            peer.restart()
        finally:
            os.chdir(here)
        secret = wire.Wire(peer.sock).open()
        xml = "<secret ephemeral='yes'><description>the mark of this core</description></secret>"
        new = secret.call(DEFINE, string(xml) + u32(0)).data[:16] + u32(0) + string("")
        secret.call(SET_VALUE, new + string(self.values["ephemeral"]) + u32(0))
        self.assertIn(self.values["ephemeral"], secret.call(GET_VALUE, new + u32(0)).data)
        process = peer.process
        self.assertEqual(-signal.SIGABRT, peer.stop(signal.SIGABRT))
        secret.close()
        cores = [os.path.join(self.core_dir, n) for n in os.listdir(self.core_dir)]
        self.assertLessEqual(len(cores), 1, f"cores of {process.pid}")
        return cores[0] if cores else None

    def test_no_core(self):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as stream:
            if stream.read().strip() not in ("core", "core.%p"):
                self.skipTest("cores go elsewhere on this machine")
        self.addCleanup(self.peer.start)
        self.assertIsNone(self.abort(self.peer))
        self.peer.start()
        self.peer.stop()
        # Where the administrator allows one, it has no values in it.
        self.peer.config += "[service]\ncore_dumps = yes\n"
        try:
            self.peer.start()
            core = self.abort(self.peer)
            self.assertIsNotNone(core)
            with open(core, "rb") as stream:
                self.assertIn(b"the mark of this core", stream.read())
            self.search.file(core)
            os.unlink(core)
            self.assertEqual([], self.search.found)
        finally:
            self.peer.config = self.CONFIG

    def test_other_processes_of_its_user_cannot_look(self):
        if not space.IS_ROOT:
            self.skipTest("needs root to be somebody else")
        status, _, err = peers.run(["cat", f"/proc/{self.peer.process.pid}/environ"], user=65534)
        self.assertNotEqual(0, status, err)
        self.assertEqual(0, os.stat(f"/proc/{self.peer.process.pid}/mem").st_uid)
        with open(f"/proc/{self.peer.process.pid}/limits", encoding="ascii") as stream:
            self.assertRegex(stream.read(), r"Max core file size +0 +0")


class Finder(unittest.TestCase):
    """The search finds what is planted, in each place and form."""

    VALUE = os.urandom(24)

    def search(self):
        return Search({"planted": self.VALUE})

    def test_forms_in_files_and_names(self):
        for form, data in forms(self.VALUE).items():
            with self.subTest(form=form):
                root = space.path("planted-" + form)
                os.makedirs(os.path.join(root, "deep"))
                with open(os.path.join(root, "deep", "file"), "wb") as stream:
                    stream.write(b"before " + data + b" behind")
                search = self.search()
                search.below(root)
                self.assertTrue(any(f"({form})" in line for line in search.found), search.found)
        root = space.path("planted-name")
        os.makedirs(os.path.join(root, self.VALUE.hex()))
        open(os.path.join(root, self.VALUE.hex(), "x"), "wb").close()
        search = self.search()
        search.below(root)
        self.assertIn("planted (hex) in a path", search.found)

    def test_arguments_environment_and_memory_of_children(self):
        plants = {
            "cmdline": ([sys.executable, "-c", CHILD_WITH, self.VALUE.hex()], {}),
            "environ": ([sys.executable, "-c", CHILD_WITH],
                        {"SECRET": base64.b64encode(self.VALUE).decode()}),
        }
        for place, (argv, env) in plants.items():
            with self.subTest(place=place):
                search = self.search()
                with Watch(search, os.getpid()):
                    child = subprocess.Popen(["sh", "-c", '"$@"; :', "sh", *argv],
                                             env=dict(os.environ, **env))
                    end = time.monotonic() + 20
                    while not search.found and time.monotonic() < end:
                        time.sleep(0.05)
                    for pid in children(child.pid):
                        os.kill(pid, signal.SIGKILL)
                    child.wait()
                self.assertTrue(any(place in line for line in search.found), search.found)
        code = "import time, sys; x = bytes.fromhex(sys.stdin.readline()); print('r', flush=True); " \
               "time.sleep(30)"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            child.stdin.write(self.VALUE.hex().encode() + b"\n")
            child.stdin.flush()
            child.stdout.readline()
            search = self.search()
            search.memory(child.pid)
            child.kill()
        self.assertTrue(any("(raw) in memory" in line for line in search.found), search.found)
