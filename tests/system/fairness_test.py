# SPDX-License-Identifier: LGPL-2.1-or-later
"""No client locks another one out by its calls, by its streams, or by not reading.

Attackers are processes of another user: "nobody" on the read-only socket, or a member of the
configured group on the other one. An attack is held for as long as the test lasts, and max_wait is
longer than any test: a call that waits for the attack never ends. A call that is answered while
the attack is held has not waited for it.
"""

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import traceback
import unittest

from harness import peers, reports, space, threads, wait, wire
from harness.cases import WithDaemon
from harness.wire import RemoteError, opt_string, packet, string, u32, u64, vol_arg

NOBODY = 65534
CISTERN = 0x43495354
SNAPSHOT_LIST, CALL_RATE, JOB_LIST, JOB_CANCEL = 12, 11, 6, 8
BUSY = 55
USER_THREADS = 40  # max_user_threads in src/server/server.c
MIB = 1 << 20


# A sanitizer's allocator is not the program's.
MEASURES = unittest.skipIf(reports.PREFIX, "measures memory, which a sanitizer changes")


class Attacker:
    """
    Python code in a process of another user. It is ready once its function has called ready(); when
    the function returns, the process stays, with its connections, until stop().
    """

    def __init__(self, function, uid=NOBODY):
        self.read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(uid)
                kept = function(lambda: os.write(write, b"."))
                while kept is not None:
                    signal.pause()
                status = 0
            except BaseException:  # pylint: disable=broad-except
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)

    def wait_ready(self):
        if not select.select([self.read], [], [], wait.LIMIT_S)[0]:
            raise wait.NeverTrue(f"waited {wait.LIMIT_S} s for: the attack is under way")
        if not os.read(self.read, 1):
            raise AssertionError("the attacker did not get to its attack")

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.read)


@unittest.skipUnless(space.IS_ROOT, "needs root, to become somebody else")
class Fair(WithDaemon):
    SETTINGS = "max_wait = 86400\n"

    @classmethod
    def setUpClass(cls):
        cls.peer = peers.ours()
        cls.fresh()

    @classmethod
    def fresh(cls):
        cls.peer.stop()
        cls.peer.wipe()
        etc = os.path.join(cls.peer.root, "etc/cistern")
        os.makedirs(etc, exist_ok=True)
        with open(os.path.join(etc, "cisternd.conf"), "w", encoding="utf-8") as out:
            out.write("[access]\ngroup = nogroup\n[limits]\n" + cls.SETTINGS)
        cls.peer.start()

    def attack(self, function, uid=NOBODY):
        """Starts it and waits until the attack is under way."""
        attacker = Attacker(function, uid)
        self.addCleanup(attacker.stop)
        attacker.wait_ready()
        return attacker

    def answered(self, client, proc, payload=b"", **options):
        """The call is answered, whatever the answer is."""
        with contextlib.suppress(RemoteError):
            client.call(proc, payload, **options)

    def busy(self, client, proc, payload, **options):
        """The call is refused with BUSY; returns the sentence."""
        return self.refused(client, proc, payload, code=BUSY, **options).text

    def jobs(self, operation, state=None):
        """Numbers of the jobs of that operation, in that state."""
        rows = json.loads(self.cistern("--json", "job-list")[1])["jobs"]
        return {row["id"] for row in rows
                if row["operation"] == operation and state in (None, row["state"])}

    def wait_jobs(self, operation, state, count):
        """Waits until as many are listed; returns their numbers."""
        def enough():
            found = self.jobs(operation, state)
            return len(found) >= count and found
        return self.wait_until(enough, f"{count} jobs '{operation}' are {state}",
                               lambda: self.cistern("job-list")[1])

    def assert_held(self, operation, jobs):
        """None of JOBS, the attack's, has ended meanwhile."""
        self.assertEqual(set(), jobs - self.jobs(operation), "the attack has ended")

    def hold(self, name="v"):
        """A wipe that takes hours, as a detached job; returns its number."""
        status, out, err = self.cistern("vol-wipe", name, "--pool", "p", "--algorithm", "random",
                                        "--rate-limit", "1K", "--detach")
        self.assertEqual(0, status, err)
        self.addCleanup(self.cistern, "job-cancel", out.strip())
        return out.strip()

    def upload(self, client, name="v"):
        serial = client.post(208, vol_arg("p", name) + u64(0) + u64(0) + u32(0))
        client.answer(serial).reader()
        return serial

    def download(self, client, name="v"):
        serial = client.post(209, vol_arg("p", name) + u64(0) + u64(0) + u32(0))
        client.answer(serial).reader()
        return serial

    def pool(self, name):
        os.makedirs(self.at(name))
        self.ok("pool-define-as", name, "dir", "--target", self.at(name))
        self.ok("pool-start", name)

    def create_and_delete(self, client, pool, count=5):
        """Volumes are made and deleted."""
        arg = client.pool(pool)
        xml = "<volume><name>n</name><capacity>4096</capacity></volume>"
        for _ in range(count):
            client.call(93, arg + string(xml) + u32(0))
            self.assertTrue(os.path.exists(self.at(pool, "n")))
            client.call(94, vol_arg(pool, "n") + u32(0))


class Streams(Fair):
    """Only its client decides how long a stream lasts, so nobody waits for one."""

    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "8M", "--format", "qcow2")

    def test_readers_who_wait_for_an_upload_stop_nobody(self):
        """20 calls of "nobody" on the read-only socket, for a volume that root uploads to."""
        holder = self.wire().open()
        self.upload(holder)
        path = self.peer.sock_ro

        def attack(ready):
            client = wire.Wire(path).open()
            for _ in range(20):
                client.post(SNAPSHOT_LIST, vol_arg("p", "v"), prog=CISTERN)
            client.wait_read()
            ready()
            return client

        self.attack(attack)
        root = self.wire().open()
        arg = root.pool("p")
        for proc, payload, options in (
                (98, vol_arg("p", "v"), {}), (282, arg + u32(1) + u32(0), {}),
                (95, arg + string("v"), {}), (JOB_LIST, u32(0), {"prog": CISTERN}),
                (217, b"", {}), (139, b"", {}), (JOB_CANCEL, u64(999999), {"prog": CISTERN})):
            self.answered(root, proc, payload, **options)
        self.assertIn("'upload'", self.busy(root, 260, vol_arg("p", "v") + u64(16 * MIB) + u32(0)))

    def test_an_upload_is_not_waited_for(self):
        holder = self.wire().open()
        self.upload(holder)
        other = self.wire().open()
        for proc, payload in ((260, vol_arg("p", "v") + u64(16 * MIB) + u32(0)),
                              (94, vol_arg("p", "v") + u32(0)),
                              (208, vol_arg("p", "v") + u64(0) + u64(0) + u32(0)),
                              (209, vol_arg("p", "v") + u64(0) + u64(0) + u32(0)),
                              (80, other.pool("p"))):
            text = self.busy(other, proc, payload)
            self.assertIn(f"'upload' of process {os.getpid()}, user 0", text)
        holder.close()
        self.wait_until(lambda: self.virsh("pool-destroy", "p")[0] == 0, "the upload has ended")

    def test_a_client_does_not_wait_for_its_own_download(self):
        """In one thread: start a download, delete the volume; then read the download."""
        content = os.urandom(16 * MIB)  # more than is on its way to a client that does not read
        with open(self.at("p", "raw"), "wb") as out:
            out.write(content)
        self.ok("pool-refresh", "p")
        client = self.wire().open()
        serial = self.download(client, "raw")
        self.busy(self.wire().open(), 260, vol_arg("p", "raw") + u64(32 * MIB) + u32(0))
        client.call(94, vol_arg("p", "raw") + u32(0))
        self.assertFalse(os.path.exists(self.at("p", "raw")))
        self.ok("vol-create-as", "p", "raw", "1M")
        got = b""
        while len(got) < len(content):
            got += client.answer(serial).payload
        self.assertEqual(content, got)

    def test_a_stream_that_does_not_move_is_cancelled(self):
        """job-cancel frees the volume, whether its client does anything or not."""
        os.truncate(self.at("p", "v"), 64 * MIB)
        for begin in (self.upload, self.download):
            begin(self.wire().open())
            text = self.busy(self.wire().open(), 260, vol_arg("p", "v") + u64(16 * MIB) + u32(0))
            job = self.wait_until(lambda: re.search(r"^ *(\d+) .*load",
                                                    self.cistern("job-list")[1], re.M),
                                  f"it is listed: {text}").group(1)
            self.assertEqual(0, self.cistern("job-cancel", job)[0])
            self.wait_until(lambda: "load" not in self.cistern("job-list")[1], "it has ended")
        self.ok("vol-delete", "v", "--pool", "p")


class Turns(Fair):
    """Calls of one client, or of many of one user, and everybody else."""

    def setUp(self):
        super().setUp()
        self.pool("q")
        self.ok("vol-create-as", "p", "v", "8M", "--allocation", "8M")

    def waiting_wipes(self, path, connections, calls):
        def attack(ready):
            clients = [wire.Wire(path).open() for _ in range(connections)]
            for client in clients:
                for _ in range(calls):
                    client.post(165, vol_arg("p", "v") + u32(0))
                client.wait_read()
            ready()
            return clients
        return attack

    def running_wipes(self, path, names):
        def attack(ready):
            for start in range(0, len(names), 20):
                client = wire.Wire(path).open()
                for name in names[start:start + 20]:
                    client.post(CALL_RATE, u32(0) + u64(1024), prog=CISTERN)
                    client.post(259, vol_arg("p", name) + u32(8) + u32(0))
                client.wait_read()
                keep.append(client)
            ready()
            return keep
        keep = []
        return attack

    def test_calls_that_wait_delay_nobody(self):
        for uid in (NOBODY, 0):
            for connections, calls in ((1, 20), (10, 20)):
                with self.subTest(uid=uid, connections=connections):
                    self.hold()
                    attacker = self.attack(
                        self.waiting_wipes(self.peer.sock, connections, calls), uid)
                    most = USER_THREADS if uid else connections * calls
                    waiting = self.wait_jobs("wipe", "waiting", min(most, connections * calls))
                    self.create_and_delete(self.wire().open(), "q")
                    self.assert_held("wipe", waiting)
                    attacker.stop()
                    self.doCleanups()

    def test_calls_that_run_delay_nobody(self):
        names = [f"w{number}" for number in range(200)]
        for name in names:
            with open(self.at("p", name), "wb") as out:
                out.truncate(2 * MIB)
        self.ok("pool-refresh", "p")
        for uid in (NOBODY, 0):
            for count in (20, 200):
                with self.subTest(uid=uid, count=count):
                    attacker = self.attack(self.running_wipes(self.peer.sock, names[:count]), uid)
                    running = self.wait_jobs("wipe", "running", 10)
                    self.create_and_delete(self.wire().open(), "q")
                    self.assert_held("wipe", running)
                    attacker.stop()
                    self.wait_until(lambda: "wipe" not in self.cistern("job-list")[1],
                                    "what they began has ended with them")

    def test_a_call_that_waits_ends_with_its_client(self):
        """kill -9 of a stock client: what it waited for is not done later."""
        self.hold()
        before = os.stat(self.at("p", "v")).st_size
        virsh = subprocess.Popen(["virsh", "-c", self.peer.uri, "vol-resize", "v", "16M", "--pool",
                                  "p"], env=space.ENV, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.wait_until(lambda: "waiting" in self.cistern("job-list")[1], "it waits")
        virsh.kill()
        virsh.wait()
        # The wipe holds the volume until the call has left the list, so the call cannot get it.
        self.wait_until(lambda: not self.jobs("resize"), "the call has ended",
                        lambda: self.cistern("job-list")[1])
        self.assertTrue(self.jobs("wipe"))
        self.doCleanups()
        self.wait_until(lambda: "wipe" not in self.cistern("job-list")[1], "the wipe has ended")
        self.assertEqual(before, os.stat(self.at("p", "v")).st_size)

    def test_an_allocation_ends_with_its_client(self):
        """
        On a file system in memory, which writes what is only to be allocated. The workers are
        stopped in the middle of it, until the daemon has closed the connection.
        """
        self.wait_until(self.allocation_ended, "a client leaves before the allocation is over")

    def allocation_ended(self):
        """Returns False when the allocation was over, or nearly, before the workers stopped."""
        size = 280 * MIB
        client = self.wire().open()
        xml = (f"<volume><name>full</name><capacity>{size}</capacity>"
               f"<allocation>{size}</allocation></volume>")
        client.post(93, client.pool("p") + string(xml) + u32(0))
        while self.allocated() == 0:
            pass
        with threads.stopped(self.peer.process.pid, "pool"):
            is_early = self.allocated() < size // 4
            if is_early:
                client.sock.shutdown(socket.SHUT_WR)
                self.assertRaises(wire.Closed, client.receive)
        client.close()
        self.wait_until(lambda: self.entries("p") in (["v"], ["full", "v"]), "the work has ended",
                        lambda: self.entries("p"))
        if is_early:
            self.assertEqual(["v"], self.entries("p"))
        else:
            self.virsh("vol-delete", "full", "--pool", "p")
        return is_early

    def allocated(self):
        """Bytes of the files that are being made in pool "p"."""
        total = 0
        for name in set(self.entries("p")) - {"v"}:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(self.at("p", name)).st_blocks * 512
        return total

    @unittest.skipUnless(space.private_mounts() and os.path.exists("/dev/fuse"), "needs FUSE")
    def test_storage_that_hangs_holds_up_only_who_asks_for_it(self):
        os.makedirs(self.at("hung"))
        self.ok("pool-define-as", "hung", "dir", "--target", self.at("hung"))
        self.ok("pool-start", "hung")
        root = self.wire().open()
        hung, path = root.pool("hung"), self.peer.sock_ro
        fuse, mounted = os.open("/dev/fuse", os.O_RDWR), False

        def attack(ready):
            clients = [wire.Wire(path).open() for _ in range(10)]
            for client in clients:
                for number in range(64):
                    client.post(95, hung + string(f"v{number}"))
                client.wait_read()
            ready()
            return clients

        def hanging():
            return [name for name, where in wait.threads(self.peer.process.pid)
                    if "request_wait_answer" in where or "fuse" in where]

        try:
            space.mount(self.at("hung"), "-i", "-t", "fuse", "-o",
                        f"fd={fuse},rootmode=40000,user_id=0,group_id=0", "nobody", pass_fds=[fuse])
            mounted = True
            self.attack(attack)
            self.wait_until(lambda: len(hanging()) >= 10, "ten calls wait for the storage",
                            lambda: wait.threads(self.peer.process.pid))
            for proc, payload in ((84, string("p")), (87, hung), (88, hung + u32(0)),
                                  (281, u32(1) + u32(0)), (139, b""), (403, u32(0)),
                                  (98, vol_arg("p", "v"))):
                self.answered(root, proc, payload)
            secret = "<secret ephemeral='yes' private='no'><description>x</description></secret>"
            root.call(142, string(secret) + u32(0))
            self.create_and_delete(root, "q")
            self.assertGreaterEqual(len(hanging()), 10, "the storage has answered")
        finally:
            os.close(fuse)
            if mounted:
                space.unmount(self.at("hung"))


class Patience(Fair):
    SETTINGS = "max_wait = 1\n"

    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "8M", "--allocation", "8M")

    def test_a_wait_has_its_limit_and_names_the_holder(self):
        job = self.hold()
        for words in (("vol-resize", "v", "16M", "--pool", "p"), ("pool-destroy", "p")):
            status, _, err = self.cistern(*words)
            self.assertEqual(5, status, err)
            self.assertIn(f"(job {job})", err)

    def test_detached_work_waits_without_a_limit(self):
        """A call that began to wait after it has reached its limit, and it still waits."""
        self.hold()
        status, number, err = self.cistern("vol-resize", "v", "16M", "--pool", "p", "--detach")
        self.assertEqual(0, status, err)
        self.addCleanup(self.cistern, "job-cancel", number.strip())
        self.wait_jobs("resize", "waiting", 1)
        status, _, err = self.cistern("vol-resize", "v", "16M", "--pool", "p")
        self.assertEqual(5, status, err)
        self.assertIn("waiting", self.cistern("job-info", number.strip())[1])


@MEASURES
class Memory(Fair):
    VOLUMES = 10000

    def setUp(self):
        super().setUp()
        for number in range(self.VOLUMES):
            with open(self.at("p", f"a-volume-with-a-name-of-some-length-{number:05}.img"), "wb"):
                pass
        self.ok("pool-refresh", "p")

    def most_memory(self):
        """Bytes: the most that the daemon had resident since forget_most_memory()."""
        with open(f"/proc/{self.peer.process.pid}/status", encoding="utf-8") as stream:
            return int(re.search(r"^VmHWM:\s+(\d+) kB", stream.read(), re.M).group(1)) * 1024

    def forget_most_memory(self):
        with open(f"/proc/{self.peer.process.pid}/clear_refs", "w", encoding="ascii") as out:
            out.write("5")

    def test_replies_that_are_not_read_are_bounded(self):
        path = self.peer.sock_ro
        root = self.wire().open()
        arg = root.pool("p")
        self.forget_most_memory()

        def attack(ready):
            clients = [wire.Wire(path).open() for _ in range(8)]
            for client in clients:
                for _ in range(64):
                    client.post(282, arg + u32(1) + u32(0))
            ready()
            return clients

        attacker = self.attack(attack)
        for _ in range(30):
            root.call(87, arg)
            self.answered(root, 98, vol_arg("p", "x"))
            root.call(139)

        def read(ready):
            client = wire.Wire(path).open()
            if client.call(282, arg + u32(1) + u32(0)).u32() == self.VOLUMES:
                ready()

        # Another client of the same user is answered, at the latest when the deaf are dropped.
        self.attack(read)
        self.assertNotIn(wait.process_state(attacker.pid), "ZX")
        self.assertLess(self.most_memory(), 150 * MIB)

    def test_listing_an_image_with_65536_snapshots_costs_no_memory(self):
        """20 readers list them; the count is refused before the table is read."""
        path = self.peer.sock_ro
        self.ok("vol-create-as", "p", "many", "1M", "--format", "qcow2")
        with open(self.at("p", "many"), "r+b") as image:
            table = 1 << 20
            image.seek(60)
            image.write(struct.pack(">IQ", 65536, table))
            image.seek(table)
            image.write((struct.pack(">QIHHIIQII", 3 << 16, 1, 1, 200, 1, 0, 0, 0, 16) +
                         struct.pack(">QQ", 0, MIB) + b"1" + bytes([110]) * 200 + bytes(7)) * 65536)
        root = self.wire().open()
        before = self.peer.rss()
        self.forget_most_memory()

        def attack(ready):
            clients = [wire.Wire(path).open() for _ in range(20)]
            serials = [client.post(SNAPSHOT_LIST, vol_arg("p", "many"), prog=CISTERN)
                       for client in clients]
            for client, serial in zip(clients, serials):
                with contextlib.suppress(RemoteError):
                    client.answer(serial).reader()
            ready()
            return clients

        self.attack(attack)
        refusal = self.refused(root, SNAPSHOT_LIST, vol_arg("p", "many"), prog=CISTERN)
        self.assertIn("there are 65536, more than 4096", refusal.text)
        self.assertLess(self.most_memory() - before, 50 * MIB)

    def test_packets_that_never_end_are_bounded(self):
        """200 connections with a megabyte less four bytes each."""
        path = self.peer.sock_ro
        root = self.wire().open()
        before = self.peer.rss()
        self.forget_most_memory()

        def attack(ready):
            left, poll = {}, select.poll()
            for _ in range(200):
                client = wire.Wire(path).open()
                client.sock.setblocking(False)
                left[client.sock.fileno()] = [client, memoryview(struct.pack(">I", MIB)
                                                                 + bytes(MIB - 8))]
                poll.register(client.sock, select.POLLOUT)
            ready()
            while True:
                for fd, _event in poll.poll():
                    with contextlib.suppress(BlockingIOError):
                        left[fd][1] = left[fd][1][left[fd][0].sock.send(left[fd][1]):]
                    if not left[fd][1]:
                        poll.unregister(fd)

        attacker = self.attack(attack)

        def no_room():
            """Ten times, with an answer between two looks, the attacker can send no more."""
            for _ in range(10):
                root.call(139)
                if wait.process_state(attacker.pid) != "S":
                    return False
            return True

        self.wait_until(no_room, "the attacker has sent what the daemon reads")
        self.assertLess(self.most_memory() - before, 100 * MIB)


class Connections(Fair):
    SETTINGS = "max_clients = 200\n"

    def test_others_connections_leave_room_for_root(self):
        path = self.peer.sock_ro

        def attack(ready):
            keep = []
            for _ in range(400):
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(2)
                try:
                    client.connect(path)
                    client.sendall(packet(66, b"", 1))
                    client.sendall(packet(1, opt_string("storage:///system") + u32(1), 2))
                except OSError:
                    client.close()
                    if len(keep) > 150:
                        break
                    continue
                keep.append(client)
            ready()
            return keep

        for uid in (NOBODY, 60001, 60002):
            self.attack(attack, uid)
        for sock in (self.peer.sock, self.peer.sock_ro):
            clients = [wire.Wire(sock).open() for _ in range(10)]
            for client in clients:
                client.close()


def answers(path, n):
    """Connects @n times to the socket at @path. Returns the clients that got an answer."""
    clients = []
    for _ in range(n):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(wait.LIMIT_S)
        client.connect(path)
        try:
            client.sendall(packet(66, b"", 1))
            answered = client.recv(4) != b""
        except (BrokenPipeError, ConnectionResetError):
            answered = False
        if answered:
            clients.append(client)
        else:
            client.close()
    return clients


class Subuids(Fair):
    """The uids of a range in /etc/subuid share the limits of the user who has the range."""

    SETTINGS = "max_clients = 5000\n"
    MOST = 500  # max_user_clients in src/server/server.c
    ALICE, FIRST = 60001, 200000

    def test_subordinate_uids_share_the_connections_of_their_user(self):
        path = self.peer.sock_ro
        for name, text in (("passwd", f"alice:x:{self.ALICE}:{self.ALICE}::/:/bin/sh\n"),
                           ("subuid", f"alice:{self.FIRST}:65536\n")):
            with open(os.path.join(self.peer.root, "etc", name), "w", encoding="utf-8") as out:
                out.write(text)

        def expect(wanted, n):
            def connect(ready):
                clients = answers(path, n)
                if len(clients) == wanted:
                    ready()
                return clients
            return connect

        for uid in (self.FIRST, self.FIRST + 65535, self.ALICE):
            self.attack(expect(self.MOST // 4, self.MOST // 4), uid)
        self.attack(expect(self.MOST - 3 * (self.MOST // 4), self.MOST), self.FIRST + 1)
        self.attack(expect(0, 10), self.FIRST + 2)
        self.attack(expect(10, 10), self.FIRST + 65536)


@MEASURES
class Secrets(Fair):
    """A secret's value is in memory where the secret is kept, and nowhere else."""

    def occurrences(self, value):
        found = 0
        with open(f"/proc/{self.peer.process.pid}/maps", encoding="utf-8") as maps, \
                open(f"/proc/{self.peer.process.pid}/mem", "rb") as memory:
            for line in maps:
                low, high, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
                if "r" not in mode or "[v" in line or int(high, 16) - int(low, 16) > 1 << 32:
                    continue  # what is larger is a sanitizer's
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(int(low, 16))
                    found += memory.read(int(high, 16) - int(low, 16)).count(value)
        return found

    def test_a_value_leaves_no_copy(self):
        for size in (32, 40000):
            for pieces in (1, 3):
                with self.subTest(size=size, pieces=pieces):
                    self.one_value(size, pieces)

    def one_value(self, size, pieces):
        value = os.urandom(size)
        tail = value[-24:]
        client = self.wire().open()
        reader = client.call(142, string("<secret ephemeral='yes' private='no'>"
                                         "<description>x</description></secret>") + u32(0))
        secret = reader.data[:16] + u32(0) + string("")
        payload = secret + string(value) + u32(0)
        client.serial += 1
        data = packet(144, payload, client.serial)
        # With a call before and a call behind it, whose bytes move when those of the value go.
        data = packet(139, b"", 1000) + data + packet(139, b"", 1001)
        step = len(data) // pieces + 1
        for start in range(0, len(data), step):
            client.send(data[start:start + step])
            client.wait_read()
        client.answer(client.serial).reader()
        client.answer(1001).reader()
        self.assertLessEqual(self.occurrences(tail), 1)
        self.assertIn(value, client.call(145, secret + u32(0)).data)
        client.call(139, b"")
        self.assertLessEqual(self.occurrences(tail), 1)
        client.call(146, secret)
        self.assertEqual(0, self.occurrences(tail))
        client.close()
