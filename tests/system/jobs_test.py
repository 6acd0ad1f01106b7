# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs: long work that another terminal sees, slows down and cancels, and what outlives whom."""

import json
import os
import signal
import subprocess
import unittest

from harness import peers, space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
SIZE = 96 * MIB


class Jobs(WithDaemon):
    def setUp(self):
        super().setUp()
        with open(self.at("p", "big"), "wb") as out:
            for _ in range(SIZE // MIB):
                out.write(os.urandom(MIB))
        self.ok("pool-refresh", "p")

    def cistern_json(self, *words):
        status, out, err = self.cistern("--json", *words)
        self.assertEqual(0, status, err)
        return json.loads(out)

    def jobs(self, *words):
        return self.cistern_json("job-list", *words)["jobs"]

    def job(self, number):
        return self.cistern_json("job-info", str(number))["job"]

    def running(self, operation, volume):
        """The job that does it, once it is listed."""
        return self.wait_until(lambda: next(
            (j for j in self.jobs() if (j["operation"], j["volume"]) == (operation, volume)), None),
            f"{operation} of {volume} is listed")

    def start(self, *words, program="virsh"):
        program = space.CISTERN if program == "cistern" else "virsh"
        return self.background([program, "-c", self.peer.uri, *words])

    def drafts(self):
        return [name for name in self.entries("p") if name != "big"]

    def test_stock_virsh_is_watched_and_cancelled(self):
        """virsh's wipe blocks as ever; another terminal sees it and ends it."""
        virsh = self.start("vol-wipe", "big", "--pool", "p", "--algorithm", "gutmann")
        job = self.running("wipe", "big")
        self.assertEqual(35 * SIZE, job["total"])
        self.assertEqual(virsh.pid, job["pid"])
        self.wait_until(lambda: self.job(job["id"])["done"] > job["done"], "it goes on")
        status, out, _ = self.cistern("job-cancel", str(job["id"]))
        self.assertEqual((0, f"Job {job['id']} was asked to stop\n\n"), (status, out))
        _, err = virsh.communicate(timeout=10)
        self.assertEqual(1, virsh.returncode)
        self.assertIn("operation aborted: cancelled by request", err)
        self.assertEqual("cancelled", self.job(job["id"])["state"])

    def test_a_call_ends_with_its_client(self):
        """kill -9 of virsh in the middle of vol-clone, and of what it waits for: nothing is left."""
        holder = self.start("vol-wipe", "big", "--pool", "p", "--algorithm", "random",
                            "--rate-limit", "1M", program="cistern")
        wipe = self.running("wipe", "big")
        virsh = self.start("vol-clone", "big", "copy", "--pool", "p")
        clone = self.running("clone", "copy")
        self.assertEqual("waiting", self.job(clone["id"])["state"])
        for child, job in ((virsh, clone), (holder, wipe)):
            child.kill()
            child.wait()
            self.wait_until(lambda number=job["id"]: self.job(number)["state"] == "cancelled",
                            "it is cancelled")
            self.assertIn("its client is gone", self.job(job["id"])["error"])
        self.assertEqual([], self.drafts())

    def test_a_detached_clone_outlives_its_client(self):
        """It waits for its turn with nobody there, and is made, whole."""
        holder = self.start("vol-wipe", "big", "--pool", "p", "--algorithm", "random",
                            "--rate-limit", "1M", program="cistern")
        wipe = self.running("wipe", "big")
        status, out, err = self.cistern("vol-clone", "big", "copy", "--pool", "p", "--detach")
        self.assertEqual((0, ""), (status, err))
        self.assertEqual("waiting", self.job(out.strip())["state"])
        self.assertEqual(0, self.cistern("job-rate", str(wipe["id"]), "0")[0])
        self.assertEqual(0, holder.wait(30))
        status, said, _ = self.cistern("job-wait", out.strip())
        self.assertEqual((0, f"Job {out.strip()} is done\n\n"), (status, said))
        with open(self.at("p", "big"), "rb") as one, open(self.at("p", "copy"), "rb") as two:
            self.assertEqual(one.read(), two.read())

    def test_detached(self):
        status, out, err = self.cistern("vol-wipe", "big", "--pool", "p", "--algorithm", "random",
                                        "--rate-limit", "8M", "--detach")
        self.assertEqual((0, ""), (status, err))
        number = out.strip()
        job = self.job(number)
        self.assertEqual(("running", "wipe", 8 * MIB),
                         (job["state"], job["operation"], job["rate_limit"]))
        status, _, err = self.cistern("job-wait", number, "--timeout", "1")
        self.assertEqual(75, status, err)
        self.assertLess(self.job(number)["done"], 40 * MIB)
        self.assertEqual(0, self.cistern("job-rate", number, "0")[0])
        self.assertEqual(0, self.cistern("job-wait", number)[0])
        self.assertIn(number, self.cistern("complete", "--", "job-info", "")[1])

    def test_a_failure_is_told_to_who_waits(self):
        """The exit status of job-wait is that of the operation."""
        self.start("vol-wipe", "big", "--pool", "p", "--algorithm", "random", "--rate-limit", "1M",
                   program="cistern")
        wipe = self.running("wipe", "big")
        clone = self.start("vol-clone", "big", "copy", "--pool", "p", program="cistern")
        job = self.running("clone", "copy")
        with open(self.at("p", "copy"), "wb"):
            pass
        self.cistern("job-rate", str(wipe["id"]), "0")
        clone.communicate(timeout=30)
        self.assertEqual(5, clone.returncode)
        status, _, err = self.cistern("job-wait", str(job["id"]))
        self.assertEqual(5, status)
        self.assertIn("exists already", err)

    def test_the_daemon_is_killed(self):
        """Afterwards the job is listed as interrupted, and nothing half made is left."""
        self.start("vol-create-from", "p", self.file("new.xml", (
            "<volume><name>new</name><capacity>1</capacity><target><format type='qcow2'/></target>"
            "</volume>")), "big", "--inputpool", "p", "--rate-limit", "4M", program="cistern")
        job = self.running("clone", "new")
        self.wait_until(self.drafts, "a draft is there")
        self.peer.restart(signal.SIGKILL)
        job = self.job(job["id"])
        self.assertEqual("interrupted", job["state"])
        self.assertIsNotNone(job["ended"])
        self.assertEqual([], self.drafts())
        status, _, err = self.cistern("job-wait", str(job["id"]))
        self.assertEqual(1, status)
        self.assertIn("gone", err)
        self.assertEqual([], self.jobs())
        self.ok("vol-clone", "big", "new", "--pool", "p")

    @unittest.skipUnless(space.private_mounts() and os.path.exists("/dev/fuse"),
                         "needs root and FUSE")
    def test_a_stop_does_not_wait_for_storage_that_hangs(self):
        """A file system that answers nothing, not even how it is called."""
        os.makedirs(self.at("hung"))
        self.ok("pool-define-as", "hung", "dir", "--target", self.at("hung"))
        self.ok("pool-start", "hung")
        fuse, mounted = os.open("/dev/fuse", os.O_RDWR), False
        try:
            space.mount(self.at("hung"), "-i", "-t", "fuse", "-o",
                        f"fd={fuse},rootmode=40000,user_id=0,group_id=0", "nobody", pass_fds=[fuse])
            mounted = True
            self.start("pool-refresh", "hung")
            self.running("refresh", None)
            number = self.in_the_middle("wipe", "big", "vol-wipe", "big")
            self.assertEqual(0, self.peer.stop())
        finally:
            os.close(fuse)
            if mounted:
                space.unmount(self.at("hung"))
        self.peer.start()
        self.wait_until(lambda: self.jobs() and self.jobs()[0]["done"], "it goes on")
        self.assertEqual([number], [job["id"] for job in self.jobs()])
        self.assertEqual(0, self.cistern("job-cancel", str(number))[0])

    # --- the daemon stops, or is killed, and another one starts --------------------------------

    def in_the_middle(self, operation, volume, *words):
        self.start(*words, "--pool", "p", "--rate-limit", "4M", program="cistern")
        job = self.running(operation, volume)
        self.wait_until(lambda: 0 < self.job(job["id"])["done"], "it has begun")
        return job["id"]

    def test_an_orderly_stop(self):
        """What can't be gone on with is undone, and says so; nobody is said to have cancelled it."""
        for words, left in ((("convert", "new", "vol-convert", "big", "new", "--format", "qcow2"),
                             "no partial result is left"),
                            (("upload", "big", "vol-upload", "big", self.file("up", os.urandom(SIZE))),
                             "has the data that was written until then"),
                            (("download", "big", "vol-download", "big", self.file("down")),
                             "it made no change")):
            number = self.in_the_middle(*words)
            self.assertEqual(0, self.peer.restart())
            job = self.job(number)
            self.assertEqual("interrupted", job["state"])
            self.assertIn("the daemon was stopped; ", str(job["error"]))
            self.assertIn(left, str(job["error"]))
            self.assertEqual([], self.drafts())
            self.assertEqual([], self.jobs())
            status, _, err = self.cistern("job-wait", str(number))
            self.assertEqual(1, status)
            self.assertIn("the daemon was stopped", err)

    def test_a_wipe_is_gone_on_with(self):
        """Under its number and at its rate, over a stop and a kill, until it has been tried thrice."""
        number = self.in_the_middle("wipe", "big", "vol-wipe", "big")
        for signum in (signal.SIGTERM, signal.SIGKILL):
            self.peer.stop(signum)
            self.assertIn("next daemon", str(self.embedded("job-info", str(number))))
            self.peer.start()
            job = self.wait_until(lambda: next((j for j in self.jobs() if j["done"] > 0), None),
                                  "it goes on")
            self.assertEqual((number, "wipe", 4 * MIB, "running"),
                             (job["id"], job["operation"], job["rate_limit"], job["state"]))
        self.assertEqual(0, self.cistern("job-rate", str(number), "0")[0])
        self.assertEqual(0, self.cistern("job-wait", str(number))[0])
        self.assertEqual("done", self.job(number)["state"])
        with open(self.at("p", "big"), "rb") as big:
            self.assertEqual(SIZE, big.seek(0, os.SEEK_END))
            big.seek(0)
            self.assertFalse(any(iter(lambda: big.read(MIB).strip(b"\0"), b"")))

    def test_not_for_ever(self):
        number = self.in_the_middle("wipe", "big", "vol-wipe", "big")
        for _ in range(2):
            self.peer.restart(signal.SIGKILL)
            self.wait_until(self.jobs, "it goes on")
        self.peer.restart(signal.SIGKILL)
        self.assertEqual([], self.jobs())
        self.assertEqual("interrupted", self.job(number)["state"])

    def test_what_goes_on_is_cancelled(self):
        number = self.in_the_middle("wipe", "big", "vol-wipe", "big")
        self.peer.restart()
        self.assertEqual(0, self.cistern("job-cancel", str(number))[0])
        self.wait_until(lambda: not self.jobs(), "it ends")
        self.assertEqual("cancelled", self.job(number)["state"])
        self.peer.restart()
        self.assertEqual([], self.jobs())

    def test_what_was_changed_meanwhile_is_not_wiped(self):
        number = self.in_the_middle("wipe", "big", "vol-wipe", "big")
        self.peer.stop(signal.SIGKILL)
        with open(self.at("p", "big"), "r+b") as big:
            big.write(b"precious")
        later = os.stat(self.at("p", "big")).st_mtime_ns + 10 * 10**9
        os.utime(self.at("p", "big"), ns=(later, later))
        self.peer.start()
        self.wait_until(lambda: not self.jobs(), "it ends")
        job = self.job(number)
        self.assertEqual("failed", job["state"])
        self.assertIn("may have been changed", str(job["error"]))
        with open(self.at("p", "big"), "rb") as big:
            self.assertEqual(b"precious", big.read(8))

    def test_flatten_commit_and_sparsify_are_gone_on_with(self):
        with open(self.at("p", "big"), "rb") as big:
            content = big.read()
        for operation, words in (("flatten", ["vol-flatten"]), ("commit", ["vol-commit", "--yes"]),
                                 ("sparsify", ["vol-sparsify"])):
            for name in ("over", "mid"):
                self.virsh("vol-delete", name, "p")
            peers.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.at("p", "big"),
                       self.at("p", "mid")])
            peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                       self.at("p", "mid"), self.at("p", "over")])
            peers.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P 3 0 64M", self.at("p", "over")])
            self.ok("pool-refresh", "p")
            number = self.in_the_middle(operation, "over", words[0], "over", *words[1:])
            self.peer.restart(signal.SIGKILL)
            self.assertEqual(0, self.cistern("job-rate", str(number), "0")[0], operation)
            status, _, err = self.cistern("job-wait", str(number))
            self.assertEqual((0, operation), (status, operation), err)
            self.assertEqual("done", self.job(number)["state"])
            self.assertEqual(0, self.cistern("vol-check", "over", "--pool", "p")[0])
            out = self.file("out")
            peers.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.at("p", "over"), out])
            with open(out, "rb") as flat:
                self.assertEqual(b"\3" * (64 * MIB) + content[64 * MIB:], flat.read(), operation)

    def embedded(self, *words):
        """Beside no daemon."""
        return peers.run([space.CISTERN, "-c", f"storage:///embed?root={self.peer.root}", *words])

    def test_numbers_are_never_given_twice(self):
        numbers = []
        for signum in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            child = self.start("vol-convert", "big", "new", "--pool", "p", "--format", "qcow2",
                               "--rate-limit", "1M", program="cistern")
            numbers.append(self.running("convert", "new")["id"])
            self.peer.restart(signum)
            self.reap(child)
        self.assertEqual(sorted(set(numbers)), numbers)

    def test_read_only(self):
        """The read-only socket shows jobs and changes none."""
        self.start("vol-wipe", "big", "--pool", "p", "--algorithm", "random", "--rate-limit", "1M",
                   program="cistern")
        job = self.running("wipe", "big")
        reader = [space.CISTERN, "-c", self.peer.uri_ro, "-r"]
        self.assertIn("wipe", peers.run([*reader, "job-list"])[1])
        for words in (["job-cancel", str(job["id"])], ["job-rate", str(job["id"]), "1"]):
            status, _, err = peers.run([*reader, *words])
            self.assertEqual(4, status, err)
        self.assertEqual(0, self.cistern("job-cancel", str(job["id"]))[0])


class Embedded(unittest.TestCase):
    """Two commands in processes of their own, and no daemon."""

    def setUp(self):
        self.peer = peers.ours()
        self.peer.stop()
        self.peer.wipe()
        self.uri = f"storage:///embed?root={self.peer.root}"
        os.makedirs(os.path.join(self.peer.dir, "p"))
        with open(os.path.join(self.peer.dir, "p", "big"), "wb") as out:
            out.write(os.urandom(8 * MIB))
        for words in (["pool-define-as", "p", "dir", "--target",
                       os.path.join(self.peer.dir, "p")], ["pool-start", "p"]):
            self.assertEqual(0, self.cistern(*words)[0])

    def cistern(self, *words):
        return peers.run([space.CISTERN, "-c", self.uri, *words])

    def start(self, *words):
        return subprocess.Popen([space.CISTERN, "-c", self.uri, *words], stderr=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, text=True, env=space.ENV)

    def running(self):
        jobs = wait.until(lambda: json.loads(self.cistern("--json", "job-list")[1])["jobs"],
                          "a job is listed")
        return str(jobs[0]["id"])

    def test_seen_and_cancelled_from_another_process(self):
        child = self.start("vol-wipe", "big", "--pool", "p", "--algorithm", "random",
                           "--rate-limit", "1M")
        number = self.running()
        self.assertEqual(0, self.cistern("job-cancel", number)[0])
        _, err = child.communicate(timeout=10)
        self.assertEqual(10, child.returncode)
        self.assertIn("cancelled", err)
        status, _, err = self.cistern("job-wait", number)
        self.assertEqual(10, status)
        self.assertIn("cancelled", err)

    def test_killed(self):
        child = self.start("vol-upload", "big", os.path.join(self.peer.dir, "p", "big"), "--pool",
                           "p", "--rate-limit", "1M")
        number = self.running()
        child.kill()
        child.communicate()
        self.assertIn("interrupted", self.cistern("job-info", number)[1])

    def test_nobody_would_go_on(self):
        status, _, err = self.cistern("vol-wipe", "big", "--pool", "p", "--detach")
        self.assertEqual(1, status)
        self.assertIn("needs a daemon", err)


@unittest.skipUnless(peers.Libvirtd.available(), "needs root and libvirtd")
class StockServer(unittest.TestCase):
    def test_not_supported_by_this_server(self):
        """One clear error, before anything is begun."""
        peer = peers.Libvirtd("them")
        peer.wipe()
        peer.start()
        self.addCleanup(peer.stop)
        path = os.path.join(peer.dir, "p")
        os.makedirs(path, exist_ok=True)
        base = [space.CISTERN, "-c", peer.uri]
        for words in (["pool-define-as", "p", "dir", "--target", path], ["pool-start", "p"],
                      ["vol-create-as", "p", "v", "1M"]):
            status, _, err = peers.run([*base, *words])
            self.assertEqual(0, status, err)
        for words in (["job-list"], ["job-info", "1"], ["job-cancel", "1"],
                      ["vol-wipe", "v", "--pool", "p", "--detach"], ["vol-flatten", "v", "--pool", "p"],
                      ["vol-chain", "v", "--pool", "p"], ["vol-check", "v", "--pool", "p"],
                      ["vol-convert", "v", "w", "--pool", "p", "--format", "qcow2"],
                      ["vol-rebase", "v", "--pool", "p", "--backing-vol", ""],
                      ["vol-compare", "v", "v", "--pool", "p"], ["vol-map", "v", "--pool", "p"],
                      ["vol-measure", "v", "--pool", "p", "-O", "raw"],
                      ["vol-bitmap", "v", "b", "--pool", "p", "--add"],
                      ["vol-wipe", "v", "--pool", "p", "--rate-limit", "1M"]):
            status, _, err = peers.run([*base, *words])
            self.assertEqual(1, status)
            self.assertIn("not supported by this server", err)
        self.assertEqual(0, peers.run([*base, "vol-wipe", "v", "--pool", "p"])[0])
