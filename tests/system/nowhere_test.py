# SPDX-License-Identifier: LGPL-2.1-or-later
"""Planted values of secrets are searched for wherever they must not be, without a server; what
pools log in to real servers with, tests/network/planted_test.py."""

import base64
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import unittest
import uuid

from harness import cases, peers, space, wait, wire
from harness.search import Search, Trace, Watch, children, forms
from harness.wire import string, u32
from sealed_test import OWN, USES, WithValues

DEFINE, SET_VALUE, GET_VALUE = 142, 144, 145

# A tool that reads its input and fails once a Watch has seen it: what it was given is in the test's
# hands.
FAKE = """#!/bin/sh
while read -r line; do :; done
until [ -e "WATCHED/$$" ]; do sleep 0.01; done  # paced: leaves the processor to the Watch
echo "$0: refused" >&2
exit 32
"""
FAKES = ("mount",)
FAKE_ZFS = os.path.join(space.TOP, "tests/unit/pool/fake-zfs")
# An encrypted dataset whose key is not loaded.
DATASET = "filesystem\n7001\n-\n-\n-\n-\ntank\nunavailable\n-\n\n"
CHILD_WITH = "import signal; signal.pause()"


# What still fits into a pipe: the beginning of a JSON object, and no value.
ROOM = 30


def writes(pid):
    """Whether a write to stdout keeps the process waiting."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/syscall", encoding="ascii") as stream:
            return stream.read().startswith("1 0x1 ")
    return False


def kind(target):
    """Of what was written to, as Trace names it."""
    for words, what in (("/etc/libvirt/secrets/", "a secret's file"), ("/secret-keys/", "a key's file"),
                        ("/memfd:", "memory"), ("pipe:", "a pipe"), ("UNIX-", "a socket")):
        if words in target:
            return what
    return target


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
                stream.write(FAKE.replace("WATCHED", Watch.seen_at()))
            os.chmod(path, 0o755)
        cls.zfs = space.path("fake-zfs")
        for folder in ("sets", "snaps", "held", "content", "dev/zvol/tank", "kstat/tank"):
            os.makedirs(os.path.join(cls.zfs, folder))
        for name in ("zfs", "zpool"):
            os.symlink(FAKE_ZFS, os.path.join(cls.fakes, name))
        cls.values = {name: os.urandom(24).hex().encode() + b"+/%" for name in
                      ("cifs", "zfs", "no key", "stored", "sealed", "ephemeral", "private")}
        # As Ceph makes them: type, time, length, 16 bytes.
        cls.values["ceph"] = b"\1\0" + bytes(8) + b"\x10\0" + os.urandom(16)
        # Its own bytes alone as well, as somebody might show them.
        cls.values["ceph's part"] = cls.values["ceph"][12:]
        for name, text in (("pool", "77\n1073741824\nONLINE\n"), ("kstat/tank/state", "ONLINE\n"),
                           ("passphrase", cls.values["zfs"].decode())):
            with open(os.path.join(cls.zfs, name), "w", encoding="ascii") as stream:
                stream.write(text)
        cls.core_dir = space.path("cores")
        os.makedirs(cls.core_dir, exist_ok=True)
        cls.peer = cls.daemon(cls.CONFIG)
        cls.peer.fresh()

    @classmethod
    def daemon(cls, config):
        peer = peers.Cisternd("searched", [("PATH", cls.fakes + ":" + os.environ["PATH"]),
                                           ("FAKE_ZFS", cls.zfs)], config)
        peer.prefix = ["prlimit", "--core=unlimited:unlimited", *peer.prefix]
        return peer

    @contextlib.contextmanager
    def traced(self):
        """Meanwhile the daemon and its children are; at the end it is stopped."""
        trace, prefix = Trace("searched"), self.peer.prefix
        self.peer.stop()
        self.peer.prefix = trace.prefix + prefix
        try:
            self.peer.start()
            pid = self.peer.process.pid
            yield trace
            self.peer.stop()
            trace.ended(pid)
        finally:
            self.peer.prefix = prefix

    def setUp(self):
        super().setUp()
        self.search = Search(self.values)
        self.planted = {
            "cifs": self.secret(self.values["cifs"]), "zfs": self.secret(self.values["zfs"]),
            "stored": self.secret(self.values["stored"]),
            "ceph": self.secret(self.values["ceph"],
                                "<usage type='ceph'><name>key of the pool</name></usage>"),
            "ephemeral": self.secret(self.values["ephemeral"], attributes="ephemeral='yes'"),
            "private": self.secret(self.values["private"], attributes="private='yes'"),
            "sealed": self.secret(self.values["sealed"])}

    def lock_dataset(self):
        with open(os.path.join(self.zfs, "sets/tank"), "w", encoding="ascii") as stream:
            stream.write(DATASET)

    def define_pools(self):
        self.lock_dataset()
        self.ok("pool-define", self.file("cifs.xml", f"""<pool type='netfs'><name>share</name><source>
            <host name='192.0.2.1'/><dir path='share'/><format type='cifs'/><auth type='chap'
            username='somebody'><secret uuid='{self.planted["cifs"]}'/></auth></source>
            <target><path>{self.at("share")}</path></target></pool>"""))
        self.ok("pool-define", self.file("rbd.xml", """<pool type='rbd'
            xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'><name>images</name><source>
            <host name='127.0.0.1' port='1'/><name>rbd</name><auth type='ceph' username='admin'>
            <secret usage='key of the pool'/></auth></source><rbd:config_opts>
            <rbd:option name='client_mount_timeout' value='1'/></rbd:config_opts></pool>"""))
        self.ok("pool-define", self.file("zfs.xml", f"""<pool type='zfs'
            xmlns:c='urn:cistern:storage:1.0'><name>tank</name><source><device path='/dev/sda'/>
            <name>tank</name></source><c:options><c:option name='key-secret'
            value='{self.planted["zfs"]}'/></c:options></pool>"""))
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

    def uses_all(self):
        """Whatever may bring values into the open, without asking for one of these."""
        for pool in ("share", "images"):
            self.search.bytes(self.fails("pool-start", pool).encode(), "an error")
        self.ok("pool-start", "tank")
        # Ceph's library writes what it takes for no key to stderr.
        self.ok("secret-set-value", self.planted["ceph"], "--plain", "--file",
                self.file("value", self.values["no key"]))
        os.unlink(self.file("value"))
        self.search.bytes(self.fails("pool-start", "images", text="is not a Ceph key").encode(),
                          "an error")
        self.search.bytes(self.fails("secret-get-value", self.planted["private"],
                                     text="private").encode(), "a refusal")
        self.look_over(also=(["pool-dumpxml", "tank"], ["secret-list"]))

    def keys_of_seals(self):
        for name in self.names(self.keys):
            with open(os.path.join(self.keys, name), "rb") as stream:
                self.search.add("key " + name, stream.read())

    def test_nowhere(self):
        self.define_pools()
        with self.traced() as trace:
            events = subprocess.Popen(["virsh", "-c", self.peer.uri, "secret-event", "--all",
                                       "--loop"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      stdin=subprocess.DEVNULL)
            try:
                with Watch(self.search, self.peer.process.pid):
                    # Planted again before these eyes; what was ephemeral is lost.
                    self.planted["ephemeral"] = self.secret(self.values["ephemeral"],
                                                            attributes="ephemeral='yes'")
                    for name in self.planted:
                        self.set(name)
                    self.uses_all()
                    self.ours("secret-seal", *(self.planted[n] for n in self.planted
                                               if n != "ephemeral"))
                    self.keys_of_seals()
                    self.ours("secret-seal", "--rekey")
                    self.keys_of_seals()
                    for name in ("stored", "sealed"):
                        self.assertEqual(self.values[name], self.value(self.planted[name]))
            finally:
                events.terminate()
                self.search.bytes(events.communicate()[0], "events")
        sent = self.search.trace(trace, kind)
        for tool in ("mount", "zfs"):
            self.assertIn(os.path.join(self.fakes, tool), trace.executed())
        self.search.file(space.path("searched.log"))
        self.search.below(self.peer.root)
        self.search.below(self.peer.dir)
        key = os.path.join(self.keys, "2.key")
        self.assertEqual([f"key 2.key (raw) in {key}"], self.search.found)
        # Where each of them has been, and nowhere else.
        stored = {"cifs", "zfs", "stored", "sealed", "private", "ceph", "ceph's part", "no key"}
        self.assertEqual({(name, "a secret's file") for name in stored} |
                         {("key 1.key", "a key's file"), ("key 2.key", "a key's file"),
                          ("cifs", "memory"), ("zfs", "memory"),
                          ("zfs", os.path.join(self.zfs, "key")),
                          ("stored", "a socket"), ("sealed", "a socket")}, sent)
        with open(os.path.join(self.zfs, "key"), "rb") as stream:
            self.assertEqual(self.values["zfs"], stream.read())
        self.assertIn("virSecretSetValue begins", self.peer.log())
        self.peer.start()

    def set(self, name):
        self.ok("secret-set-value", self.planted[name], "--plain", "--file",
                self.file("value", self.values[name]))
        os.unlink(self.file("value"))

    @cases.long("test_nowhere searches all but dumps")
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

    def halted(self, command):
        """The command's process, kept from writing more than a little, and what lets it go on."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        filling = b"." * (4096 - ROOM)
        os.write(writer, filling)
        process = subprocess.Popen(command, env=space.ENV, stdin=subprocess.DEVNULL, stdout=writer)
        os.close(writer)
        self.wait_until(lambda: writes(process.pid), "the command to write")

        def go_on():
            with open(reader, "rb") as stream:
                text = stream.read()[len(filling):]
            self.assertEqual(0, process.wait(20))
            return text.decode()
        return process, go_on

    def test_a_command_that_shows_a_value_makes_no_copy(self):
        if not space.IS_ROOT:
            self.skipTest("needs root to look at the memory of what is not dumpable")
        encoded = base64.b64encode(self.values["stored"]).decode()
        for where in (["-c", self.peer.uri], ["--root", self.peer.root]):
            for words, expected in ((["--json"], f'{{"schema":1,"base64":"{encoded}"}}\n'),
                                    ([], encoded + "\n"),
                                    (["--plain"], self.values["stored"].decode() + "\n")):
                with self.subTest(where=where[0], words=words):
                    process, go_on = self.halted([space.CISTERN, *where, "secret-get-value",
                                                  self.planted["stored"], *words])
                    for of_all, sees in ((False, self.assertEqual), (True, self.assertNotEqual)):
                        search = Search({"stored": self.values["stored"]})
                        search.memory(process.pid, all_of_it=of_all)
                        sees([], search.found)
                    self.assertEqual(expected, go_on())

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
        # Whatever else has passed through its hands.
        self.virsh("pool-destroy", "tank")
        self.lock_dataset()
        self.fails("pool-start", "share")
        self.ok("pool-start", "tank")
        for name in ("stored", "sealed"):
            self.set(name)
            self.assertEqual(self.values[name], self.value(self.planted[name]))
        self.ours("secret-seal", "--rekey")
        self.keys_of_seals()
        process = peer.process
        self.assertEqual(-signal.SIGABRT, peer.stop(signal.SIGABRT))
        secret.close()
        cores = [os.path.join(self.core_dir, n) for n in os.listdir(self.core_dir)]
        self.assertLessEqual(len(cores), 1, f"cores of {process.pid}")
        return cores[0] if cores else None

    @cases.long("test_nowhere searches all but cores")
    def test_no_core(self):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as stream:
            if stream.read().strip() not in ("core", "core.%p"):
                self.skipTest("cores go elsewhere on this machine")
        self.addCleanup(lambda: self.peer.process or self.peer.start())
        self.define_pools()
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
                    try:
                        wait.until(lambda: search.found, "the child is seen")
                    finally:
                        for pid in children(child.pid):
                            os.kill(pid, signal.SIGKILL)
                        child.wait()
                self.assertTrue(any(place in line for line in search.found), search.found)
    def test_what_descends_from_a_program_and_what_it_sends(self):
        """However short they live."""
        text = self.VALUE.hex()
        leaks = {"with": f"/bin/true {text}", "environment": f"A={text} /bin/true",
                 "file": f"echo {text} >planted; rm planted", "appended": f"echo {text} >>planted",
                 "pipe": f"echo {text} | cat >/dev/null", "stderr": f"echo {text} >&2"}
        for name, leak in leaks.items():
            with self.subTest(leak=name):
                trace, search = Trace("planted-" + name), self.search()
                # Not among the arguments of the shell itself.
                script = space.path("leak")
                with open(script, "w", encoding="ascii") as stream:
                    stream.write(f"( {leak} ) & wait\n")
                child = subprocess.Popen([*trace.prefix, "env", "sh", script], cwd=space.BASE,
                                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                child.wait()
                trace.ended(child.pid)
                sent = search.trace(trace, kind)
                self.assertTrue(search.found or sent)
                if name in ("with", "environment"):
                    self.assertRegex(search.found[0], r"planted \(hex\) in what process \d+ executed")
                else:
                    self.assertEqual({"planted"}, {value for value, _target in sent})

    def test_memory(self):
        code = "import signal, sys; x = bytes.fromhex(sys.stdin.readline()); print('r', flush=True); " \
               "signal.pause()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            child.stdin.write(self.VALUE.hex().encode() + b"\n")
            child.stdin.flush()
            child.stdout.readline()
            search = self.search()
            search.memory(child.pid)
            child.kill()
        self.assertTrue(any("(raw) in memory" in line for line in search.found), search.found)
