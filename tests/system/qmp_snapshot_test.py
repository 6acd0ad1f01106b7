# SPDX-License-Identifier: LGPL-2.1-or-later
"""snap-create and backup-create of volumes that a QEMU without libvirt has open, by the socket of its
monitor (--qmp). The guest must run again after a kill of each process that takes part."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import unittest

from domains_test import WithoutDaemon
from harness import peers, space, wait
from qmp_test import MIB, TENANT, Monitor, QmpMachine

VOLUMES = ("raw", "img")
DISKS = {"raw": "raw", "img": "qcow2"}


def process_start(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
        return int(stream.read().rpartition(")")[2].split()[19])


@contextlib.contextmanager
def holder(path):
    """Yields another process that has the file open for writing."""
    with open(path, "r+b") as file:
        process = subprocess.Popen(["sleep", "1000"], stdin=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Guest(Monitor):
    """The monitor of a guest that runs until it is stopped. @stopped: called when it stands, before
    the reply. @status: answers to query-status after that, each one once."""

    def __init__(self, path, files, stopped=None, status=(), replies=()):
        self.state, self.events = "running", []
        self.stopped, self.status = stopped, list(status)
        disks = [{"device": "", "inserted": {"file": file, "drv": "raw", "ro": False, "node-name":
                                             f"disk{i}", "image": {"virtual-size": 4 * MIB}}}
                 for i, file in enumerate(files)]
        super().__init__(path, {"query-block": disks, "query-migrate": {}, **dict(replies)})

    def change(self, state, event):
        self.state = state
        self.events.append(event)
        return json.dumps({"event": event}) + "\n" + json.dumps({"return": {}}) + "\n"

    def reply(self, command):
        if command == "stop" and "stop" not in self.replies:
            text = self.change("paused", "STOP")
            return text if self.stopped is None else self.stopped() or text
        if command == "cont":
            return self.change("running", "RESUME")
        if command == "query-status" and command not in self.events:
            if self.state == "paused" and self.status:
                return self.status.pop(0)
            return self.replies[command] if self.replies[command] != {"status": "running"} else {
                "status": self.state}
        return super().reply(command)


class QmpPool(QmpMachine):
    """Volumes "raw" and "img" (qcow2) of pool "x", on XFS. Has no tests."""

    def setUp(self):
        if os.geteuid() or not shutil.which("mkfs.xfs"):
            raise unittest.SkipTest("needs root and mkfs.xfs")
        super().setUp()
        image = self.file("disk")
        os.truncate(image, 320 * MIB)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
        space.mount(self.at("x"), "-o", "loop", image)
        self.addCleanup(self.leave)
        self.done("pool-define-as", "x", "dir", "--target", self.at("x"))
        self.done("pool-start", "x")
        for name, form in DISKS.items():
            self.done("vol-create-as", "x", name, "4M", "--format", form)
            subprocess.run(["qemu-io", "-f", form, "-c", "write -P 7 0 1M", self.at("x", name)],
                           check=True, stdout=subprocess.DEVNULL)

    def leave(self):
        self.no_pause()
        self.cistern("pool-destroy", "x")
        self.cistern("pool-undefine", "x")
        space.umount(self.at("x"))

    # --- the machine ---

    @contextlib.contextmanager
    def qemu(self, *words):
        """A QEMU with both volumes, without a guest."""
        more = ("-blockdev", f"driver=file,filename={self.at('x', 'img')},node-name=file2",
                "-blockdev", "driver=qcow2,file=file2,node-name=disk2",
                "-device", "virtio-blk-pci,drive=disk2", *words)
        with self.machine(*more, path=self.at("x", "raw")) as process:
            yield process

    @contextlib.contextmanager
    def guest(self, kind=None, **options):
        """A monitor in this process, which has the volumes open."""
        files = [self.at("x", name) for name in VOLUMES]
        with contextlib.ExitStack() as opened:
            for file in files:
                opened.enter_context(open(file, "r+b"))
            guest = (kind or Guest)(self.socket, files, **options)
            try:
                yield guest
            finally:
                guest.close()

    def runs(self, guest):
        """The guest runs, also when all processes have ended."""
        self.wait_until(lambda: guest.state == "running", "the guest runs",
                        seen=lambda: guest.names())
        self.no_pause()
        self.assertEqual("running", guest.state)

    # --- the command ---

    def words(self, *volumes, name="s", more=()):
        first, *rest = [volume if "/" in volume else f"x/{volume}" for volume in volumes]
        return ("snap-create", first, name, "--qmp", self.socket,
                *(("--with", ",".join(rest)) if rest else ()), *more)

    def create(self, *volumes, **options):
        return json.loads(self.done(*self.words(*(volumes or VOLUMES), **options), "--json"))

    def kept(self, *words):  # pylint: disable=arguments-differ
        """The command is refused, and leaves no snapshot and no draft. Returns the message."""
        err = self.refused(*(words or self.words(*VOLUMES)))
        self.nothing_is_left()
        return err

    def nothing_is_left(self):
        for volume in VOLUMES:
            self.assertEqual({}, self.listed(volume))
        self.assertEqual([], [name for _, _, names in os.walk(self.at("x")) for name in names
                              if name.startswith(".cistern-")])

    def listed(self, volume):
        rows = json.loads(self.done("snap-list", volume, "--pool", "x", "--json"))["snapshots"]
        return {row["name"]: row["consistency"] for row in rows}

    # --- the processes of a pause ---

    @property
    def entries(self):
        return os.path.join(self.peer.root, "run/cistern/pause")

    def no_pause(self):
        self.wait_until(lambda: not os.path.exists(self.entries) or not os.listdir(self.entries),
                        "no entry of a pause is left")

    def processes(self):
        """The watchdog and its worker, which have the directory of the entries open."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/3") == self.entries:
                    with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
                        found[int(pid)] = int(stream.read().rpartition(")")[2].split()[1])
        workers = [pid for pid, parent in found.items() if parent in found]
        watchdogs = [pid for pid in found if pid not in workers]
        return {"watchdog": watchdogs, "worker": workers}

    def kill(self, caller, *victims):
        """
        Kills the processes at once, so that no process replaces another one. Waits for their ends,
        because they hold the locks of the entry until then.
        """
        def one_of_each():
            found = self.processes()
            return found if all(len(pids) == 1 for pids in found.values()) else None
        # The processes of the pause before may not have ended yet.
        found = {**self.wait_until(one_of_each, "there is one watchdog and one worker",
                                   seen=self.processes), "caller": [caller]}
        pids = [pid for victim in victims for pid in found[victim]]
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, signum)
        self.wait_until(lambda: all(wait.process_state(pid) in "XZ" for pid in pids),
                        "the killed processes have ended")


class Real(QmpPool):
    """A real QEMU, with a daemon."""

    def test_snapshots_of_a_machine_are_of_one_moment(self):
        with self.qemu():
            before = {name: self.digest(name) for name in VOLUMES}
            made = self.create()
            self.assertEqual(("crash", True), (made["consistency"], made["one_moment"]))
            self.assertIn("cannot freeze", made["reason"])
            self.assertNotIn("domain", made)
            self.assertIn("paused_ms", made)
            self.assertEqual("running", self.ask("query-status")["status"])
            self.assertIn("The guest was suspended for",
                          self.done(*self.words(*VOLUMES, name="t")))
        for name in VOLUMES:
            self.assertEqual({"s": "crash", "t": "crash"}, self.listed(name))
            self.assertEqual(before[name], self.digest(os.path.join(".cistern-snapshots", name,
                                                                    "s")))
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2",
                        self.at("x", ".cistern-snapshots", "img", "s")], check=True)

    def digest(self, name):
        with open(self.at("x", name), "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()

    def test_machine_that_was_paused_stays_paused(self):
        with self.qemu("-S"):
            made = self.create()
            self.assertEqual(("crash", True), (made["consistency"], made["one_moment"]))
            self.assertIn("paused before", made["reason"])
            self.assertEqual("prelaunch", self.ask("query-status")["status"])
            self.assertIn("stays paused", self.done(*self.words(*VOLUMES, name="t")))

    def test_dry_run_does_not_stop_the_guest(self):
        with self.guest() as guest:
            self.assertIn("Would take", self.done(*self.words(*VOLUMES), "--dry-run"))
            self.assertIn("query-block", guest.names())
            self.assertEqual([], guest.events)
        self.nothing_is_left()

    def test_command_without_the_monitor_names_the_option(self):
        with self.qemu():
            self.assertIn("name the socket of its monitor (--qmp)",
                          self.kept("snap-create", "img", "s", "--pool", "x"))

    def test_storage_without_snapshots_is_refused(self):
        self.done("vol-create-as", "p", "q", "4M", "--format", "qcow2")
        for name, form in (("v", "raw"), ("q", "qcow2")):
            with self.subTest(name=name), self.machine(path=self.at("p", name), form=form):
                err = self.refused("snap-create", name, "s", "--pool", "p", "--qmp", self.socket)
                self.assertIn("XFS", err)
                self.assertEqual("running", self.ask("query-status")["status"])

    def test_command_with_a_domain_of_libvirt_is_refused(self):
        self.assertIn("exclusive", self.kept("snap-create", "--name", "s", "--machine", "web1",
                                             "--qmp", self.socket))
        self.fake.set(self.fake.domain(self.at("x", "raw")))
        with self.qemu():
            self.assertIn("leave out --qmp", self.kept())
        self.fake.set()


class Played(QmpPool):
    """A monitor in this process, with a daemon."""

    def test_guest_is_stopped_and_resumed_once(self):
        with self.guest() as guest:
            self.create()
            self.assertEqual(["STOP", "RESUME"], guest.events)
            self.runs(guest)

    def test_volumes_of_several_processes_are_refused(self):
        with self.guest() as guest:
            self.assertIn("leave out --qmp", self.kept(*self.words("raw", "p/v")))
            with holder(self.path):
                self.assertIn("name the volumes of one QEMU", self.kept(*self.words("raw", "p/v")))
            with holder(self.at("x", "raw")) as other:
                self.assertIn(f"process {other.pid}", self.kept())
            self.assertEqual([], guest.events)

    def test_guests_that_cannot_be_stopped_are_refused(self):
        below = [{"device": "", "inserted": {"file": "/nowhere", "image": {
            "backing-image": {"filename": self.at("x", "raw"), "backing-image": {
                "filename": self.at("x", "img")}}}}}]
        cases = (("no disk of QEMU", {"query-block": []}),
                 ("backing file", {"query-block": below}),
                 ("block job", {"query-block-jobs": [{}]}),
                 ("has a migration", {"query-migrate": {"status": "active"}}),
                 ("guest does not run", {"query-status": {"status": "io-error"}}),
                 ("guest does not run", {"query-status": {"status": "suspended"}}))
        for text, replies in cases:
            with self.subTest(text=text), self.guest(replies=replies) as guest:
                err = self.kept()
                self.assertIn(text, err)
                self.assertIn(f"process {os.getpid()}", err)
                self.assertIn(text, self.kept(*self.words("raw")))
                self.assertEqual([], guest.events)

    def test_refused_stop_leaves_the_guest_running(self):
        error = json.dumps({"error": {"desc": "no"}}) + "\n"
        with self.guest(replies={"stop": error}) as guest:
            self.assertIn("QEMU refused: no", self.kept())
            self.runs(guest)

    def test_refused_resumption_is_repeated(self):
        class Refusing(Guest):
            refusals = 1

            def reply(self, command):
                if command == "cont" and self.refusals:
                    self.refusals -= 1
                    return json.dumps({"error": {"desc": "no"}}) + "\n"
                return super().reply(command)
        with self.guest(kind=Refusing) as guest:
            err = self.kept()
            self.assertIn("QEMU refused: no", err)
            self.assertIn("did not stay paused", err)
            self.runs(guest)

    def test_pause_of_another_client_is_kept(self):
        with self.guest(replies={"stop": {}}) as guest:
            self.assertIn("another program has stopped it", self.kept())
            self.no_pause()
            self.assertEqual([], guest.events)

    def test_failure_before_the_stop_does_not_resume_the_guest(self):
        class Leaving(Guest):
            def reply(self, command):
                if command == "query-status" and self.names().count(command) == 2:
                    self.state = "paused"  # by another client
                    return None
                return super().reply(command)
        with self.guest(kind=Leaving) as guest:
            self.assertIn("closed the connection", self.kept())
            self.no_pause()
            self.assertEqual(([], "paused"), (guest.events, guest.state))

    def test_administrator_may_pause_the_guest_after_a_failed_stop(self):
        class Dropping(Guest):
            def reply(self, command):
                if command == "stop":
                    return None
                reply = super().reply(command)
                if command == "query-status" and "stop" in self.names():
                    self.state = "paused"  # by another client, after this reply
                return reply
        with self.guest(kind=Dropping) as guest:
            self.assertIn("closed the connection", self.kept())
            self.no_pause()
            self.assertEqual(([], "paused"), (guest.events, guest.state))

    def test_copies_are_dropped_if_another_client_resumes_the_guest(self):
        twice = '{"event": "RESUME"}\n{"event": "STOP"}\n{"return": {"status": "paused"}}\n'
        for status in (twice, {"status": "running"}):
            with self.subTest(status=status), self.guest(status=[status]) as guest:
                err = self.kept()
                self.assertIn("another program resumed it", err)
                self.assertIn("did not stay paused", err)
                self.no_pause()
                self.assertEqual(["STOP"], guest.events)

    def test_second_event_of_the_resumption_drops_the_copies(self):
        class Raced(Guest):
            def reply(self, command):
                again = '{"event": "RESUME"}\n' if command == "cont" else ""
                reply = super().reply(command)
                return again + reply if again else reply
        with self.guest(kind=Raced):
            self.assertIn("another program resumed it", self.kept())

    def test_monitor_that_fails_while_it_stops_the_guest_is_asked_again(self):
        cases = (("does not answer", ""), ("closed the connection", "close"),
                 ("is no QMP", "x\n"), ("is lost", "[" * MIB + "\n"))
        for text, reply in cases:
            with self.subTest(text=text):
                self.fails_at_stop(text.replace("is lost", "connection was lost"), reply)

    def fails_at_stop(self, text, reply):
        class Failing(Guest):
            def reply(self, command):
                found = super().reply(command)
                if command != "stop":
                    return found
                return None if reply == "close" else reply
        with self.guest(kind=Failing) as guest:
            self.assertIn(text, self.kept())
            self.runs(guest)
            self.assertEqual(["STOP", "RESUME"], guest.events)

    def test_guest_runs_after_a_kill_while_it_is_stopped(self):
        for victims in (("worker",), ("watchdog",), ("worker", "watchdog"), ("caller",),
                        ("caller", "watchdog"), ("caller", "worker", "watchdog")):
            with self.subTest(victims=victims), \
                    self.guest(stopped=lambda v=victims: self.kill(self.peer.process.pid, *v)) as guest:
                status, _, err = self.cistern(*self.words(*VOLUMES))
                self.assertNotEqual(0, status, err)
                if "caller" in victims:
                    self.peer.process.wait()
                    self.peer.start()
                elif "watchdog" in victims:
                    self.restart()
                self.runs(guest)
                self.assertEqual(["STOP", "RESUME"], guest.events)
                self.wait_until(lambda: self.cistern("snap-list", "raw", "--pool", "x")[0] == 0,
                                "the pool is recovered")
                self.nothing_is_left()

    def restart(self):
        self.peer.restart()

    # --- entries of dead processes ---

    def leave_entry(self, pid, start):
        """The entry of a guest that a dead process has stopped."""
        uuid = "11111111-2222-8333-8444-555555555555"
        os.makedirs(self.entries, mode=0o700, exist_ok=True)
        with open(os.path.join(self.entries, uuid), "w", encoding="ascii") as out:
            out.write(f"[pause]\nversion=1\nuri=qmp:{pid}:{start}:{self.socket}\nuuid={uuid}\nname=\n"
                      f"id={pid}\nlate-until=0\nstep=suspended\nsuspended=true\nthaw-owed=false\n")
        os.chmod(os.path.join(self.entries, uuid), 0o600)

    def test_entry_of_a_dead_process_resumes_the_guest(self):
        with self.guest() as guest:
            guest.state = "paused"
            self.leave_entry(os.getpid(), process_start(os.getpid()))
            self.restart()
            self.runs(guest)

    def test_later_process_with_the_same_number_is_not_resumed(self):
        with self.guest() as guest:
            guest.state = "paused"
            self.leave_entry(os.getpid(), process_start(os.getpid()) - 1)
            self.restart()
            self.no_pause()
            self.assertEqual("paused", guest.state)

    def test_other_qemu_at_the_socket_is_not_resumed(self):
        with self.guest() as guest, holder(os.devnull) as other:
            guest.state = "paused"
            self.leave_entry(other.pid, process_start(other.pid))
            self.restart()
            self.wait_until(self.processes_of_watchdog, "a watchdog repairs the entry")
            self.assertEqual("paused", guest.state)
            other.kill()
            other.wait()
            self.no_pause()
            self.assertEqual(([], "paused"), (guest.names(), guest.state))

    def processes_of_watchdog(self):
        return self.processes()["watchdog"]


class OtherUser(QmpPool):
    """A user who may change volumes has the daemon open no socket."""

    @classmethod
    def make_peer(cls, config):
        return peers.Cisternd(env=cls.fake.env, config=config + "[access]\ngroup = nogroup\n")

    def test_other_user_of_the_daemon_is_refused(self):
        program, env = space.as_other_user()
        with self.guest() as guest:
            status, _, err = peers.run(
                ["setpriv", "--reuid", str(TENANT), "--regid", "nogroup", "--clear-groups", program,
                 "-c", self.peer.uri, *self.words(*VOLUMES)], env=env.items())
            self.assertIn("only user 0, as which this service runs", err)
            self.assertNotEqual(0, status)
            self.assertEqual([], guest.names())
        self.nothing_is_left()


class EmbeddedReal(WithoutDaemon, Real):
    """Without a daemon."""


class EmbeddedKills(WithoutDaemon, QmpPool):
    """The command itself is the process that makes the copies."""

    def test_guest_runs_after_a_kill_of_the_command(self):
        for victims in ((), ("worker", "watchdog")):
            with self.subTest(victims=victims):
                self.kills(victims)

    def kills(self, victims):
        started, killed = threading.Event(), threading.Event()

        def stopped():
            started.wait()
            try:
                self.kill(command.pid, "caller", *victims)
            finally:
                killed.set()
        with self.guest(stopped=stopped) as guest:
            command = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, *self.words(*VOLUMES)],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env={**space.ENV, **dict(self.fake.env)})
            started.set()
            self.assertEqual(-signal.SIGKILL, command.wait())
            killed.wait()
            self.done("vol-list", "p")
            self.runs(guest)
            self.assertEqual(["STOP", "RESUME"], guest.events)
            self.nothing_is_left()
