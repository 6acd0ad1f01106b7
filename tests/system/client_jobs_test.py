# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs whose work the command does: listed, slowed down and cancelled as any other, and in the
background with --detach. Commands that are killed, daemons that are restarted, and clients that
reach for jobs that are not theirs."""

import json
import os
import random
import signal
import subprocess

from harness import peers, space, wait
from harness.cases import WithDaemon, WithTwoDaemons
from harness.wire import RemoteError, opt_string, string, u32, u64

MIB = 1 << 20
SIZE = 24 * MIB
CISTERN = 0x43495354
BEGIN, PROGRESS, END, GROUP = 62, 63, 64, 65
ENDED = ("interrupted", "cancelled", "failed", "done")


class Jobs(WithDaemon):
    def setUp(self):
        super().setUp()
        self.content = os.urandom(SIZE)
        self.source = self.file("source", self.content)

        self.known = set()

    def begun(self):
        """What has been listed since the test began."""
        return [job["operation"] for job in self.jobs("--all") if job["id"] not in self.known]

    def begin(self):
        """A volume "big" with that content."""
        with open(self.at("p", "big"), "wb") as out:
            out.write(self.content)
        self.ok("pool-refresh", "p")

    def to(self):
        return ["-c", self.peer.uri]

    def command(self, *words, **options):
        return peers.run([space.CISTERN, *self.to(), *words], **options)

    def fine(self, *words, **options):
        status, out, err = self.command(*words, **options)
        self.assertEqual(0, status, f"{words}: {err}")
        return out

    def jobs(self, *words):
        return json.loads(self.fine("--json", "job-list", *words))["jobs"]

    def job(self, number):
        return json.loads(self.fine("--json", "job-info", str(number)))["job"]

    def detach(self, *words):
        """The job that goes on. The command has returned, although it holds its output open no
        more: run() reads that to its end."""
        status, out, err = self.command(*words, "--detach")
        self.assertEqual(0, status, err)
        job = self.job(int(out.strip()))
        if job["state"] not in ENDED:
            self.addCleanup(self.kill, job["pid"])
        return job

    @staticmethod
    def kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def gone(self, pid):
        """Nobody collects it in here but whoever became its parent."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def end_of(self, number, state="done"):
        job = self.wait_until(lambda: (lambda j: j if j["ended"] else None)(self.job(number)),
                              f"job {number} ends")
        self.assertEqual(state, job["state"], job)
        return job

    def read(self, *parts):
        with open(os.path.join(*parts), "rb") as stream:
            return stream.read()

    def start(self, *words):
        return self.background([space.CISTERN, *self.to(), *words])

    def running(self, operation):
        return self.wait_until(lambda: next((j for j in self.jobs() if j["operation"] == operation),
                                            None), f"{operation} is listed")

    def slow_import(self, name="v", rate="1M"):
        return self.detach("vol-import", self.source, name, "--pool", "p", "--format", "raw",
                           "--source-format", "raw", "--rate-limit", rate)


class ByTheDaemon(Jobs):
    def setUp(self):
        super().setUp()
        self.known = {job["id"] for job in self.jobs("--all")}


class Listed(ByTheDaemon):
    def test_what_is_listed(self):
        """One job, of its owner, with progress and totals; a new rate changes its pace."""
        child = self.start("vol-import", self.source, "v", "--pool", "p", "--source-format", "raw",
                           "--format", "raw", "--rate-limit", "64K")
        job = self.running("import")
        self.assertEqual(("p", "v", child.pid, os.geteuid(), 65536),
                         tuple(job[key] for key in ("pool", "volume", "pid", "uid", "rate_limit")))
        job = self.wait_until(lambda: (lambda j: j if j["done"] else None)(self.job(job["id"])),
                              "it goes on")
        self.assertEqual(SIZE, job["total"])
        self.assertEqual(["import"], self.begun())
        # One without a rate that begins later ends earlier.
        self.fine("vol-import", self.source, "w", "--pool", "p", "--source-format", "raw",
                  "--format", "raw")
        self.assertIn(job["id"], [j["id"] for j in self.jobs()])
        self.assertLess(self.job(job["id"])["done"], 12 * MIB)
        self.fine("job-rate", str(job["id"]), "0")
        out, err = child.communicate(timeout=wait.LIMIT_S)
        self.assertEqual((0, "Vol v imported from " + self.source + "\n\n"),
                         (child.returncode, out), err)
        self.assertEqual(SIZE, self.end_of(job["id"])["done"])
        self.assertEqual(self.content, self.read(self.at("p", "v")))

    def test_cancelled_as_by_the_terminal(self):
        child = self.start("vol-import", self.source, "v", "--pool", "p", "--source-format", "raw",
                           "--rate-limit", "1M")
        job = self.running("import")
        self.fine("job-cancel", str(job["id"]))
        _, err = child.communicate(timeout=wait.LIMIT_S)
        self.assertEqual(10, child.returncode, err)
        self.assertIn("cancelled by request", err)
        by_job = err
        self.end_of(job["id"], "cancelled")
        self.assertEqual([], self.entries("p"))
        child = self.start("vol-import", self.source, "v", "--pool", "p", "--source-format", "raw",
                           "--rate-limit", "1M")
        job = self.running("import")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=wait.LIMIT_S)
        self.assertEqual((128 + signal.SIGINT, by_job), (child.returncode, err))
        self.end_of(job["id"], "cancelled")

    def test_readers(self):
        """Who may change nothing can have no job: work is done as ever, not in the background."""
        repo = os.path.join(self.peer.files, "repo")
        self.fine("backup-init", repo, "--no-encryption")
        check = ["--json", "-r", "backup-check", repo]
        self.assertEqual([], json.loads(self.fine(*check))["problems"])
        status, out, err = self.command(*check, "--detach")
        self.assertEqual((4, ""), (status, out))
        self.assertIn("must be listed as a job", err)
        self.assertEqual([], self.begun())


class Detached(ByTheDaemon):
    def test_import(self):
        job = self.slow_import()
        self.assertEqual(("running", "import", "p", "v"),
                         tuple(job[key] for key in ("state", "operation", "pool", "volume")))
        self.assertNotEqual(os.getsid(0), os.getsid(job["pid"]))
        for fd in (0, 1, 2):
            self.assertEqual("/dev/null", os.readlink(f"/proc/{job['pid']}/fd/{fd}"))
        self.fine("job-rate", str(job["id"]), "0")
        self.assertIn("is done", self.fine("job-wait", str(job["id"])))
        self.assertEqual(self.content, self.read(self.at("p", "v")))
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")

    def test_short_work_ends_before(self):
        """Nothing that would be listed: the command ends as without --detach."""
        small = self.file("small", b"x" * 4096)
        out = self.fine("vol-import", small, "v", "--pool", "p", "--source-format", "raw",
                        "--format", "raw", "--detach")
        if out.strip().isdigit():
            self.end_of(int(out))
        else:
            self.assertIn("Vol v imported", out)
        self.assertEqual(b"x" * 4096, self.read(self.at("p", "v")))

    def test_wrong_arguments_are_refused_at_once(self):
        self.begin()
        for words, text, code in (
                (["vol-import", self.source, "big", "--pool", "p"], "exists already", 5),
                (["vol-import", "/nowhere", "v", "--pool", "p"], "No such file", 3),
                (["vol-import", "-", "v", "--pool", "p"], "stdin", 2),
                (["vol-export", "big", "-", "--pool", "p"], "stdout", 2),
                (["vol-export", "big", self.source, "--pool", "p"], "--yes", 2),
                (["vol-export", "none", "/nowhere/x", "--pool", "p"], "none", 3)):
            status, out, err = self.command(*words, "--detach")
            self.assertEqual((code, ""), (status, out.strip()), err)
            self.assertIn(text, err)
        status, _, err = self.command("vol-export", "big", os.path.join(self.peer.files, "x"),
                                      "--pool", "p", "--report", "/tmp/x")
        self.assertEqual((2, True), (status, "goes with --detach" in err))
        self.assertEqual([], self.begun())

    def test_export(self):
        self.begin()
        target = os.path.join(self.peer.files, "out")
        job = self.detach("vol-export", "big", target, "--pool", "p", "--rate-limit", "4M")
        self.assertFalse(os.path.exists(target))
        self.assertEqual(["export"], [j["operation"] for j in self.jobs()])
        self.fine("job-rate", str(job["id"]), "0")
        self.assertEqual(SIZE, self.end_of(job["id"])["done"])
        self.assertEqual(self.content, self.read(target))

    def test_a_waiting_client_gets_the_failure(self):
        self.begin()
        job = self.detach("vol-export", "big", os.path.join(self.peer.files, "out"), "--pool", "p",
                          "--rate-limit", "1M")
        os.kill(job["pid"], signal.SIGTERM)
        status, _, err = self.command("job-wait", str(job["id"]))
        self.assertNotEqual(0, status)
        self.assertIn("cancelled", err)
        self.end_of(job["id"], "cancelled")

    def test_killed(self):
        """Its connection ends with it, and the job with that."""
        job = self.slow_import()
        os.kill(job["pid"], signal.SIGKILL)
        ended = self.end_of(job["id"], "interrupted")
        self.assertIn("the command that did it is gone", ended["error"])
        self.wait_until(lambda: not self.entries("p"), "the draft is dropped")
        self.assertEqual([], self.jobs())

    def test_cancelled_at_any_moment(self):
        """Either all of it is there, or nothing."""
        self.begin()
        moments = random.Random(7)
        for number in range(6):
            target = os.path.join(self.peer.files, f"out{number}")
            job = self.detach("vol-export", "big", target, "--pool", "p", "--rate-limit", "30M")
            moment = moments.random() * len(self.content)
            self.wait_until(lambda n=job["id"], m=moment: self.job(n)["done"] >= m
                            or self.job(n)["ended"], f"{moment:.0f} bytes are exported")
            self.command("job-cancel", str(job["id"]))
            ended = self.wait_until(
                lambda n=job["id"]: (lambda j: j if j["ended"] else None)(self.job(n)), "it ends")
            self.wait_until(lambda pid=job["pid"]: self.gone(pid), "its process ends")
            if ended["state"] == "done":
                self.assertEqual(self.content, self.read(target))
            else:
                self.assertEqual("cancelled", ended["state"])
                self.assertFalse(os.path.exists(target))
        self.assertEqual([], [name for name in os.listdir(self.peer.files)
                              if name.startswith(".cistern")])

    def test_the_daemon_is_restarted(self):
        """The import ends with its connection; a check of a repository goes on, and is listed
        again."""
        job = self.slow_import()
        self.peer.restart(signal.SIGKILL)
        self.assertEqual("interrupted", self.job(job["id"])["state"])
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")
        self.assertEqual(([], []), (self.jobs(), self.entries("p")))
        job = self.slow_import("w")
        self.peer.restart()
        self.assertIn("the daemon was stopped", self.end_of(job["id"], "interrupted")["error"])
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")
        self.assertEqual([], self.entries("p"))

    def test_from_a_shell(self):
        """A line of several commands: the next one runs while the job goes on."""
        out = self.fine(f"vol-import {self.source} v --pool p --source-format raw --format raw "
                        "--rate-limit 2M --detach; job-list")
        number = int(out.split()[0])
        self.assertIn("import", out)
        self.fine("job-rate", str(number), "0")
        self.end_of(number)
        self.assertEqual(self.content, self.read(self.at("p", "v")))


class Embedded(Jobs):
    """Without a daemon: the command is the service."""

    def setUp(self):
        super().setUp()
        self.pool = os.path.join(self.peer.files, "pool")
        self.fine("pool-define-as", "p", "dir", "--target", self.pool)
        self.fine("pool-build", "p")
        self.fine("pool-start", "p")

    def to(self):
        return ["--embedded", "--root", os.path.join(self.peer.files, "root")]

    def test_in_the_background(self):
        job = self.slow_import()
        self.assertEqual(["import"], [j["operation"] for j in self.jobs()])
        self.fine("job-rate", str(job["id"]), "0")
        self.assertEqual(SIZE, self.end_of(job["id"])["done"])
        self.assertEqual(self.content, self.read(self.pool, "v"))

    def test_cancelled_and_killed(self):
        job = self.slow_import()
        self.fine("job-cancel", str(job["id"]))
        self.end_of(job["id"], "cancelled")
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")
        self.assertEqual([], os.listdir(self.pool))
        job = self.slow_import("w")
        os.kill(job["pid"], signal.SIGKILL)
        self.end_of(job["id"], "interrupted")
        self.fine("pool-refresh", "p")
        self.assertEqual([], os.listdir(self.pool))


class Backups(ByTheDaemon):
    def setUp(self):
        super().setUp()
        self.begin()
        self.repo = os.path.join(self.peer.files, "repo")
        self.fine("backup-init", self.repo, "--no-encryption")

    def backups(self):
        return json.loads(self.fine("--json", "backup-list", self.repo))["backups"]

    def test_each(self):
        report = os.path.join(self.peer.files, "report")
        job = self.detach("backup-create", self.repo, "--pool", "p", "--rate-limit", "8M",
                          "--report", report)
        self.assertEqual(("backup-create", "p", "big"),
                         tuple(job[key] for key in ("operation", "pool", "volume")))
        self.assertEqual([], self.backups())
        self.end_of(job["id"])
        backup = self.backups()[0]["id"]
        self.assertIn(backup[:8], self.read(report).decode())

        job = self.detach("backup-restore", self.repo, "latest", "--newname", "again", "--pool",
                          "p", "--rate-limit", "8M")
        self.assertEqual(("backup-restore", "p", "again"),
                         tuple(job[key] for key in ("operation", "pool", "volume")))
        self.end_of(job["id"])
        self.assertEqual(self.content, self.read(self.at("p", "again")))

        job = self.detach("backup-prove", self.repo, "latest", "--content-only", "--rate-limit",
                          "16M", "--report", report)
        self.assertEqual(("backup-prove", self.repo), (job["operation"], job["pool"]))
        self.end_of(job["id"])
        self.assertIn("sound", self.read(report).decode())

        for words in (["backup-check", "--read-data"], ["backup-prune"]):
            out = self.fine(words[0], self.repo, *words[1:], "--detach")
            if out.strip().isdigit():
                self.end_of(int(out))

    def hold(self):
        """Makes the volume p/held, to which QEMU writes, so that it cannot be read."""
        self.ok("vol-create-as", "p", "held", "1M", "--format", "qcow2")
        holder = subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "held")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.reap, holder)
        holder.stdin.write(b"write 0 4096\n")
        holder.stdin.flush()
        self.assertIn(b"wrote", holder.stdout.readline() + holder.stdout.readline())

    def test_named_volume_that_cannot_be_read_is_refused_before_detaching(self):
        self.hold()
        for names in (("big", "held"), ("held", "big"), ("held",)):
            with self.subTest(names=names):
                status, out, err = self.command("backup-create", self.repo, *names, "--pool", "p",
                                                "--detach")
                self.assertNotIn(status, (0, 8), out + err)
                self.assertIn("volume 'held' is open for writing", err)
                self.assertEqual(len(names) > 1, "without --detach" in err, err)
                self.assertEqual([], self.begun())
        self.assertEqual([], self.backups())

    def test_volume_of_a_pool_that_cannot_be_read_is_reported_and_left_out(self):
        report = os.path.join(self.peer.files, "report")
        self.hold()
        status, out, err = self.command("backup-create", self.repo, "--pool", "p", "--detach",
                                        "--rate-limit", "8M", "--report", report)
        self.assertEqual(0, status, err)
        self.assertIn("Failed to back up vol held", err)
        self.end_of(int(out), "failed")
        self.assertIn("lacks 1 vol: p/held", self.job(int(out))["error"])
        self.assertEqual(["p/big"], [backup["volumes"] for backup in self.backups()])
        self.assertIn("held", self.read(report).decode())

    def test_cancelled(self):
        job = self.detach("backup-create", self.repo, "--pool", "p", "--rate-limit", "1M")
        self.fine("job-cancel", str(job["id"]))
        self.end_of(job["id"], "cancelled")
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")
        self.assertEqual([], self.backups())
        self.assertEqual([], json.loads(self.fine("--json", "backup-check", self.repo))["problems"])


class Copies(Jobs, WithTwoDaemons):
    def test_a_copy(self):
        os.makedirs(os.path.join(self.far.dir, "p"), exist_ok=True)
        self.make_pool_there(os.path.join(self.far.dir, "p"))
        self.begin()
        copy = ["vol-copy", "big", "--pool", "p", "--to", self.far.uri]
        job = self.detach(*copy, "--rate-limit", "1M")
        self.assertEqual(["copy"], [j["operation"] for j in self.jobs()])
        self.fine("job-cancel", str(job["id"]))
        self.end_of(job["id"], "cancelled")
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")
        self.assertEqual(["big.partial"], os.listdir(os.path.join(self.far.dir, "p")))
        job = self.detach(*copy, "--rate-limit", "8M")
        self.end_of(job["id"])
        self.wait_until(lambda: self.gone(job["pid"]), "its process ends")
        self.assertEqual(self.content, self.read(self.far.dir, "p", "big"))


class Strangers(ByTheDaemon):
    """What no command of ours would send."""

    def client(self):
        client = self.wire()
        client.open()
        return client

    @staticmethod
    def begin_args(kind="import", pool="p", volume="v", limit=0, group=0):
        return string(kind) + string(pool) + opt_string(volume) + u64(limit) + u64(group)

    def begin_job(self, client, **options):
        reader = client.call(BEGIN, self.begin_args(**options), prog=CISTERN)
        return reader.u64(), reader.u64()

    @staticmethod
    def progress(client, handle, done=0, total=0):
        reader = client.call(PROGRESS, u64(handle) + u64(done) + u64(total), prog=CISTERN)
        return reader.u32(), reader.u64()

    def end_job(self, client, handle, word=None, text=None):
        client.call(END, u64(handle) + opt_string(word) + opt_string(text), prog=CISTERN)

    def test_a_job_of_a_client(self):
        client = self.client()
        handle, number = self.begin_job(client, limit=5)
        self.assertEqual((0, 5), self.progress(client, handle, 10, 100))
        self.wait_until(lambda: self.job(number)["done"] == 10, "it is written down")
        self.fine("job-cancel", str(number))
        self.fine("job-rate", str(number), "7")
        self.wait_until(lambda: self.progress(client, handle, 5, 100) == (1, 7), "it is told")
        self.assertEqual(10, self.job(number)["done"])
        self.end_job(client, handle, "no-space", "a reason")
        job = self.job(number)
        self.assertEqual(("failed", "a reason", "no-space"),
                         tuple(job[key] for key in ("state", "error", "error_code")))

    def test_handles_of_other_users(self):
        """Known or guessed, a handle is worth nothing on another connection."""
        owner, thief = self.client(), self.client()
        handle, number = self.begin_job(owner)
        for guess in (handle, number, 0, 1, 2**64 - 1):
            with self.assertRaises(RemoteError):
                self.progress(thief, guess, 1, 1)
            with self.assertRaises(RemoteError):
                self.end_job(thief, guess)
        self.assertEqual((0, 0), self.progress(owner, handle))
        self.assertEqual("running", self.job(number)["state"])
        self.end_job(owner, handle)
        self.assertEqual("done", self.job(number)["state"])
        for late in (lambda: self.progress(owner, handle), lambda: self.end_job(owner, handle)):
            with self.assertRaises(RemoteError):
                late()
        self.assertNotEqual(handle, self.begin_job(owner)[0])

    def test_a_connection_that_ends(self):
        client = self.client()
        jobs = [self.begin_job(client)[1] for _ in range(3)]
        client.post(BEGIN, self.begin_args(pool="late"), prog=CISTERN)
        client.close()
        for number in jobs:
            self.end_of(number, "interrupted")
        self.wait_until(lambda: not self.jobs(), "none is left")

    def test_limits(self):
        client = self.client()
        handles = [self.begin_job(client)[0] for _ in range(4)]
        with self.assertRaises(RemoteError):
            self.begin_job(client)
        self.end_job(client, handles[0])
        self.begin_job(client)
        for others in [self.client() for _ in range(3)]:
            self.begin_job(others)

    def test_texts(self):
        client = self.client()
        for wrong in ({"kind": "wipe"}, {"kind": ""}, {"kind": "x" * 3000}, {"pool": "a\nb"},
                      {"pool": b"\xff"}, {"pool": "x" * 256}, {"volume": "\x1b[2J"},
                      {"volume": "\u009b2J"}, {"volume": "x" * 5000}):
            with self.assertRaises(RemoteError, msg=str(wrong)):
                self.begin_job(client, **wrong)
        handle, number = self.begin_job(client, pool="x" * 255, volume=None)
        for word, text in (("nonsense", "x"), ("no-space", "x\ny"), ("no-space", "x" * 1001)):
            with self.assertRaises(RemoteError, msg=word):
                self.end_job(client, handle, word, text)
        self.assertEqual("running", self.job(number)["state"])

    def test_readers(self):
        client = self.wire(ro=True)
        client.open(flags=1)
        for proc, payload in ((BEGIN, self.begin_args()), (PROGRESS, u64(1) * 3),
                              (END, u64(1) + u32(0) * 2), (GROUP, u64(1))):
            with self.assertRaises(RemoteError) as caught:
                client.call(proc, payload, prog=CISTERN)
            self.assertIn("read only", caught.exception.text)

    def test_the_end_in_the_middle_of_progress(self):
        """Many of each at once on one connection, and connections that end then."""
        for turn in range(30):
            client = self.client()
            handle, _ = self.begin_job(client)
            for _ in range(10):
                client.post(PROGRESS, u64(handle) + u64(turn) + u64(9), prog=CISTERN)
            first = client.post(END, u64(handle) + u32(0) * 2, prog=CISTERN)
            for _ in range(10):
                client.post(PROGRESS, u64(handle) + u64(turn) + u64(9), prog=CISTERN)
            second = client.post(END, u64(handle) + u32(0) * 2, prog=CISTERN)
            if turn % 2:
                # Two workers may have them: one of them ends the job, whichever.
                self.assertEqual([0, 1], sorted(client.answer(end).status
                                                for end in (first, second)))
            client.close()
        self.wait_until(lambda: not self.jobs(), "none is left")
        self.assert_alive()
