# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-resize of a volume that a QEMU without libvirt has open, by the socket of its monitor (--qmp):
a real QEMU, and monitors that misbehave."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading

from domains_test import FakeDomains, WithoutDaemon
from harness import peers, space, wait

MIB = 1024 * 1024
TENANT = 12345
GREETING = {"QMP": {"version": {}, "capabilities": []}}


class Monitor:
    """A monitor in this process, which has the volume open. @replies: by command; a text is sent as
    it is, and None closes the connection."""

    def __init__(self, path, replies=(), greeting=json.dumps(GREETING) + "\n"):
        self.path, self.greeting = path, greeting
        self.replies = {"qmp_capabilities": {}, "query-status": {"status": "running"},
                        "query-block-jobs": [], **dict(replies)}
        self.asked = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(1)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                with self.server.accept()[0] as client:
                    self.talk(client)

    def talk(self, client):
        with contextlib.suppress(OSError), client.makefile("r") as lines:
            client.sendall(self.greeting.encode())
            for line in lines:
                command = json.loads(line)
                self.asked.append(command)
                reply = self.reply(command["execute"])
                if reply is None:
                    return
                if not isinstance(reply, str):
                    reply = json.dumps({"return": reply}) + "\n"
                client.sendall(reply.encode())

    def reply(self, command):
        return self.replies.get(command)

    def names(self):
        return [command["execute"] for command in self.asked]

    def close(self):
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()
        os.unlink(self.path)


class QmpMachine(FakeDomains):
    """Volume "v" of pool "p", and machines that have it. Has no tests."""

    VOLUME_FORMAT = "raw"

    def setUp(self):
        super().setUp()
        self.socket = os.path.join(self.peer.files, "monitor")

    @contextlib.contextmanager
    def machine(self, *words, path=None, form="raw", share="off"):
        """A QEMU whose disk is the volume, without a guest."""
        path = path or self.path
        process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "32", "-nodefaults",
             "-display", "none", "-qmp", f"unix:{self.socket},server=on,wait=off",
             "-blockdev", f"driver=file,filename={path},node-name=file",
             "-blockdev", f"driver={form},file=file,node-name=disk",
             "-device", f"virtio-blk-pci,drive=disk,share-rw={share}", *words],
            stdin=subprocess.DEVNULL, cwd=self.peer.dir)
        try:
            wait.until(lambda: peers.accepts(self.socket), "QEMU listens", process.poll)
            self.guest_size()  # QEMU listens before it opens its disks, and answers after that.
            yield process
        finally:
            process.kill()
            process.wait()
            os.unlink(self.socket)

    @contextlib.contextmanager
    def monitor(self, replies=(), **options):
        """A monitor in this process, which has the volume open."""
        with open(self.path, "r+b"):
            monitor = Monitor(self.socket, replies, **options)
            try:
                yield monitor
            finally:
                monitor.close()

    def block(self, path=None, drv="raw", size=4 * MIB, **more):
        """A reply to query-block."""
        return [{"device": "", "inserted": {"file": path or self.path, "drv": drv, "ro": False,
                                            "node-name": "disk", "image": {"virtual-size": size},
                                            **more}}]

    def ask(self, command):
        """The reply of the machine's QEMU."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.socket)
            with client.makefile("rw") as lines:
                lines.readline()
                for name in ("qmp_capabilities", command):
                    lines.write(json.dumps({"execute": name}) + "\n")
                    lines.flush()
                    reply = json.loads(lines.readline())
        return reply["return"]

    def guest_size(self):
        """The size of the disk of the machine, as its QEMU reports it."""
        return self.ask("query-block")[0]["inserted"]["image"]["virtual-size"]

    def grow(self, *words, name="v"):
        return self.done("vol-resize", name, *words, "--pool", "p", "--qmp", self.socket)

    def kept(self, *words, name="v"):
        """The command fails and changes no byte of the volume. Returns the message."""
        before = self.content()
        err = self.refused("vol-resize", name, *(words or ("8M",)), "--pool", "p", "--qmp",
                           self.socket)
        self.assertEqual(before, self.content(), err)
        return err


class Qmp(QmpMachine):
    """With a daemon."""

    def test_volume_and_disk_of_a_machine_grow(self):
        for words in ((), ("-S",)):
            with self.machine(*words):
                self.assertIn("in use", self.refused("vol-resize", "v", "1M", "--shrink", "--yes",
                                                     "--pool", "p"))
                size = self.guest_size()
                self.grow("+2M")
                self.assertEqual(size + 2 * MIB, self.guest_size())
                self.grow(str(size + 2 * MIB + 1))
                self.assertEqual(size + 2 * MIB + 512, self.guest_size())
            self.assertEqual(size + 2 * MIB + 512, os.stat(self.path).st_size)
        self.done("vol-resize", "v", "16M", "--pool", "p")

    def test_present_size_changes_nothing(self):
        os.truncate(self.path, 4 * MIB + 1)
        self.done("pool-refresh", "p")
        with self.machine():
            self.grow("4194305B")
            self.assertEqual(4 * MIB + 1, os.stat(self.path).st_size)

    def test_image_of_a_machine_grows(self):
        self.done("vol-create-as", "p", "img", "4M", "--format", "qcow2")
        with self.machine(path=self.at("p", "img"), form="qcow2"):
            err = self.refused("vol-resize", "img", "8M", "--pool", "p")
            self.assertIn("in use", err)
            self.assertIn("name the socket of its monitor (--qmp)", err)
            self.grow("8M", name="img")
            self.assertEqual(8 * MIB, self.guest_size())
            self.assertIn("8.00 MiB", self.done("vol-info", "img", "--pool", "p"))
        subprocess.run(["qemu-img", "check", "-q", self.at("p", "img")], check=True)

    def test_disk_with_a_relative_path_is_found(self):
        with self.machine(path="p/v"):
            self.grow("8M")
            self.assertEqual(8 * MIB, self.guest_size())

    def test_dry_run_asks_and_changes_nothing(self):
        with self.machine():
            self.assertIn("Would change size", self.grow("8M", "--dry-run"))
            self.assertEqual(4 * MIB, self.guest_size())
        with self.monitor({"query-block": self.block()}) as monitor:
            self.grow("8M", "--dry-run")
            self.assertNotIn("block_resize", monitor.names())

    def test_smaller_size_is_refused(self):
        with self.machine():
            self.assertIn("can't shrink", self.kept("2M"))
            self.assertIn("exclusive", self.kept("2M", "--shrink"))
            self.assertIn("exclusive", self.kept("8M", "--allocate"))
        with self.monitor({"query-block": self.block(size=64 * MIB)}):
            self.assertIn("the guest's disk is larger than that", self.kept())

    def test_monitor_of_another_process_is_refused(self):
        with self.machine() as machine:
            own = self.socket
            self.socket += "2"
            monitor = Monitor(self.socket)
            try:
                err = self.kept()
            finally:
                monitor.close()
                self.socket = own
            self.assertIn("belongs to another process", err)
            self.assertIn(f"process {machine.pid}", err)
        self.assertEqual([], monitor.asked)

    def test_volume_with_a_second_process_is_refused(self):
        with self.machine(share="on") as machine, open(self.path, "r+b"):
            err = self.kept()
            for pid in (machine.pid, os.getpid()):
                self.assertIn(f"process {pid}", err)

    def test_volume_that_no_process_has_open_is_refused(self):
        self.assertIn("leave out --qmp", self.kept())

    def test_domain_of_libvirt_is_refused(self):
        self.fake.set(self.fake.domain(self.path))
        with self.machine():
            err = self.kept()
        self.assertIn("domain 'web1'", err)
        self.assertIn("leave out --qmp", err)

    def test_disks_that_cannot_grow_are_refused(self):
        below = {"virtual-size": 1, "backing-image": {"filename": self.path}}
        cases = (("no disk of QEMU", {"query-block": []}),
                 ("no disk of QEMU", {"query-block": self.block(path="json:{}")}),
                 ("no disk of QEMU", {"query-block": self.block(path=self.file("file"))}),
                 ("backing file", {"query-block": self.block(path="/nowhere", image=below)}),
                 ("several disks", {"query-block": self.block() * 2}),
                 ("read-only", {"query-block": self.block(ro=True)}),
                 ("another format", {"query-block": self.block(drv="qcow2")}),
                 ("block job", {"query-block": self.block(), "query-block-jobs": [{}]}),
                 ("guest does not run", {"query-status": {"status": "io-error"}}),
                 ("QEMU refused: no", {"query-block": self.block(), "block_resize":
                                       json.dumps({"error": {"desc": "no"}}) + "\n"}))
        for text, replies in cases:
            with self.subTest(text=text), self.monitor(replies) as monitor:
                err = self.kept()
                self.assertIn(text, err)
                self.assertIn("volume 'v'", err)
                self.assertEqual("refused" in text, "block_resize" in monitor.names())

    def test_monitor_that_misbehaves_is_left(self):
        cases = (("does not answer", {}, ""),
                 ("does not answer", {"query-status": ""}, None),
                 ("is no QMP", {}, "QEMU 7.2.0 monitor\n"),
                 ("is no QMP", {}, "{}\n"),
                 ("is no QMP", {"query-status": "[]\n"}, None),
                 ("is no QMP", {"query-status": '{"return": "x"}\n'}, None),
                 ("is no QMP", {"query-status": '{"event": "x"}\n' * 1001}, None),
                 ("cannot be read", {"query-status": "[" * MIB + "\n"}, None),
                 ("is too long", {"query-status": "x" * 5 * MIB}, None),
                 ("closed the connection", {"query-status": None}, None),
                 ("closed the connection", {"query-block": None}, None))
        for text, replies, greeting in cases:
            options = {} if greeting is None else {"greeting": greeting}
            with self.subTest(text=text, replies=str(replies)[:40]):
                with self.monitor(replies, **options) as monitor:
                    self.assertIn(text, self.kept())
                    self.assertNotIn("block_resize", monitor.names())
        self.fake.set()
        self.done("vol-resize", "v", "5M", "--pool", "p")

    def test_unknown_result_is_reported_and_the_command_can_be_repeated(self):
        with self.monitor({"query-block": self.block()}):
            err = self.kept()
            self.assertIn("it is not known whether the disk of volume 'v' has grown", err)
            self.assertIn("8388608B", err)

    def test_result_that_is_wrong_is_noticed(self):
        with self.monitor({"query-block": self.block(), "block_resize": {}}):
            self.assertIn("QEMU claims to have grown volume 'v'", self.kept())

    def test_machine_that_was_stopped_does_not_answer(self):
        with self.machine() as machine:
            machine.send_signal(signal.SIGSTOP)
            self.assertIn("does not answer", self.kept())
            machine.send_signal(signal.SIGCONT)
            self.grow("8M")
            self.assertEqual(8 * MIB, self.guest_size())

    def test_missing_and_wrong_sockets_are_refused(self):
        with open(self.path, "r+b"):
            self.assertIn("no such socket", self.kept())
            with open(self.socket, "wb"):
                self.assertIn("cannot connect", self.kept())
            self.socket = "/" + "x" * 200
            self.assertIn("cannot be the socket", self.kept())


class OtherUser(QmpMachine):
    """A user who may change volumes has the daemon open no socket."""

    @classmethod
    def make_peer(cls, config):
        return peers.Cisternd(env=cls.fake.env, config=config + "[access]\ngroup = nogroup\n")

    def test_other_user_of_the_daemon_is_refused(self):
        program, env = space.as_other_user()
        words = ["setpriv", "--reuid", str(TENANT), "--regid", "nogroup", "--clear-groups", program,
                 "-c", self.peer.uri, "vol-resize", "v", "8M", "--pool", "p"]
        with self.machine() as machine:
            status, _, err = peers.run([*words, "--qmp", self.socket], env=env.items())
            self.assertIn("only user 0, as which this service runs", err)
            self.assertNotEqual(0, status)
            self.assertEqual(4 * MIB, self.guest_size())
            self.assertIsNone(machine.poll())
        status, _, err = peers.run(words, env=env.items())
        self.assertEqual(0, status, err)


class EmbeddedQmp(WithoutDaemon, Qmp):
    """Without a daemon."""
