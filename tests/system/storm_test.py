# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several clients at once, doing at random whatever can be done to the same few volumes.

What a volume shows is one byte again and again, and zeroes where it was never written or grew. So
whatever was cloned, reverted, flattened, converted or downloaded in the middle of something else
would show. Nothing may wait for ever, no call may fail without a reason that a person understands,
and in the end nothing half made is there. CST_STORM_DEEDS and CST_STORM_SEED make it longer, and
the same choices again.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

from harness import peers, space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
CLIENTS = 4
DEEDS = int(os.environ.get("CST_STORM_DEEDS", "60"))  # of each client
SEED = int(os.environ.get("CST_STORM_SEED", str(time.time_ns() % 1000000)))
NAMES = ["raw", "cow", "over", "c0", "c1", "c2"]
SNAPSHOTS = ["s0", "s1", "s2"]
BYTES = range(1, 9)

# What another client has done meanwhile makes of some requests a mistake (2), of others a failure.
CANNOT_BE = (
    "has no backing volume", "cancelled", "can't be shrunk", "shrink", "smaller", "snapshot",
    "is a loop", "can't be based on", "changed during the operation", "cannot be cancelled",
    "has ended", "same size", "can't be checked")
# Statuses of what is refused, with a word that its reason has to have.
REFUSALS = (
    (3, ("no storage vol", "no snapshot", "no job", "no volume of an active pool")),
    # Streams and creations are not waited for.
    (5, ("already", "in use", "is held by 'upload'", "is held by 'download'", "is held by 'create'",
         "is held by 'clone'", "is held by 'convert'", "the base of other volumes",
         "has content of other volumes", "has snapshots", "snapshots,", "volumes outside this chain", "has ended")),
    (1, CANNOT_BE),
    (2, CANNOT_BE),
)
# Of a daemon that goes away in the middle, or is not there.
LOST = ("connect", "Connection", "the daemon", "end of file", "no server listens",
        "cancelled by request")  # a daemon that ends cancels its calls


def uniform(data):
    """The bytes but zero that are in it."""
    return sorted(set(data) - {0})


class Client(threading.Thread):
    """One after another, whatever comes to its mind."""

    def __init__(self, case, number):
        super().__init__()
        self.case, self.number, self.may_lose = case, number, False
        self.random = random.Random(SEED * 100 + number)
        self.trouble, self.calls, self.done = None, 0, 0

    def run(self):
        deeds = [getattr(self, name) for name in dir(self) if name.startswith("deed_")]
        if self.may_lose:  # half of one would be no wonder
            deeds.remove(self.deed_upload)
        for _ in range(DEEDS):
            if self.case.over.is_set():
                break
            deed = self.random.choice(deeds)
            try:
                deed()
            except Exception as error:  # pylint: disable=broad-except
                self.trouble = f"client {self.number}, {deed.__name__}: {error!r}"
                self.case.over.set()

    def name(self, *but):
        return self.random.choice([name for name in NAMES if name not in but])

    def cistern(self, *words):
        argv = [space.CISTERN, "-c", self.case.peer.uri, "--yes", *words]
        done = subprocess.run(argv, env=space.ENV, text=True, capture_output=True, timeout=60,
                              check=False)
        self.calls += 1
        if done.returncode == 0:
            self.done += 1
            return done.stdout
        if self.may_lose and any(word in done.stderr for word in LOST):
            time.sleep(0.05)  # paced: the pause of a client before it connects again
            return None
        said = [words for status, words in REFUSALS if status == done.returncode]
        if not said or not any(word in done.stderr for word in said[0]):
            raise AssertionError(f"{' '.join(words)}: {done.returncode}: {done.stderr}")
        return None

    def vol(self, command, name, *words):
        return self.cistern(command, name, *words, "--pool", "q")

    def deed_upload(self):
        """To volumes whose format is known: a clone of "raw" is raw, whatever is uploaded to it."""
        name, form = self.random.choice([("raw", "raw"), ("cow", "qcow2")])
        self.vol("vol-upload", name, self.case.images[form, self.random.choice(BYTES)])

    def deed_download(self):
        path = os.path.join(self.case.scratch, f"down{self.number}")
        if self.vol("vol-download", "raw", path) is None:
            return
        with open(path, "rb") as data:
            found = uniform(data.read())
        if len(found) > 1:
            raise AssertionError(f"raw holds {found}")

    def deed_snapshot(self):
        self.vol("snap-create", self.name(), self.random.choice(SNAPSHOTS))

    def deed_revert(self):
        self.vol("snap-revert", self.name(), self.random.choice(SNAPSHOTS))

    def deed_forget(self):
        self.vol("snap-delete", self.name(), self.random.choice(SNAPSHOTS))

    def deed_rename(self):
        self.vol("snap-rename", self.name(), *self.random.sample(SNAPSHOTS, 2))

    def deed_list(self):
        out = self.vol("--json", "snap-list", self.name())
        if out:
            names = [row["name"] for row in json.loads(out)["snapshots"]]
            if len(set(names)) < len(names):
                raise AssertionError(f"twice the same: {names}")

    def deed_clone_snapshot(self):
        self.vol("snap-clone", self.name(), self.random.choice(SNAPSHOTS),
                 self.name("raw", "cow", "over"))

    def deed_clone(self):
        self.vol("vol-clone", self.name(), self.name("raw", "cow", "over"))

    def deed_convert(self):
        self.vol("vol-convert", self.name(), self.name("raw", "cow", "over"), "--format", "qcow2")

    def deed_delete(self):
        self.vol("vol-delete", self.name("raw", "cow"), "--delete-snapshots")

    def deed_overlay(self):
        self.cistern("vol-create-as", "q", "over", "2M", "--format", "qcow2", "--backing-vol", "cow",
                     "--backing-vol-format", "qcow2")

    def deed_flatten(self):
        self.vol("vol-flatten", self.name())

    def deed_resize(self):
        size = self.random.choice(["1M", "2M", "3M"])
        self.vol("vol-resize", self.name("cow"), size, *(["--shrink"] if size < "2M" else []))

    def deed_sparsify(self):
        self.vol("vol-sparsify", self.name())

    def deed_check(self):
        self.vol("vol-check", self.name("raw"))

    def deed_chain(self):
        out = self.vol("--json", "vol-chain", self.name())
        if out and '"self":true' not in out:
            raise AssertionError(f"a chain without the volume: {out}")

    def deed_cancel(self):
        out = self.cistern("--json", "job-list")
        jobs = [job["id"] for job in json.loads(out or '{"jobs": []}')["jobs"]
                if job["operation"] in ("clone", "convert", "flatten", "sparsify", "snapshot")]
        if jobs:
            self.cistern("job-cancel", str(self.random.choice(jobs)))

    def deed_refresh(self):
        self.cistern("pool-refresh", "q")


@unittest.skipUnless(space.private_mounts() and shutil.which("mkfs.xfs"), "needs root and mkfs.xfs")
class Storm(WithDaemon):
    def prepare(self):
        """An image of each byte; the pool, on a file system that shares extents."""
        self.images, self.over = {}, threading.Event()
        self.scratch = space.path("storm")
        os.makedirs(self.scratch, exist_ok=True)
        for byte in BYTES:
            raw, cow = (os.path.join(self.scratch, f"{form}{byte}") for form in ("raw", "cow"))
            with open(raw, "wb") as out:
                out.write(bytes([byte]) * 2 * MIB)
            peers.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, cow])
            self.images["raw", byte], self.images["qcow2", byte] = raw, cow
        image = self.file("disk")
        os.truncate(image, 320 * MIB)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
        space.mount(self.at("q"), "-o", "loop", image)
        self.addCleanup(space.unmount, self.at("q"))
        self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))
        self.ok("pool-start", "q")
        self.addCleanup(self.virsh, "pool-destroy", "q")
        for name, form in (("raw", "raw"), ("cow", "qcow2")):
            self.ok("vol-create-as", "q", name, "2M", "--format", form)
            self.ok("vol-upload", name, self.images[form, 1], "--pool", "q")

    def shown(self, path, form, *more):
        raw = os.path.join(self.scratch, "shown")
        status, _, err = peers.run(["qemu-img", "convert", *more, "-f", form, "-O", "raw", path, raw])
        self.assertEqual(0, status, f"{path}: {err}")
        with open(raw, "rb") as data:
            return uniform(data.read())

    def look_at(self, name, good=(0,)):
        path = self.at("q", name)
        form = json.loads(peers.run(["qemu-img", "info", "--output=json", path])[1])["format"]
        self.assertLessEqual(len(self.shown(path, form)), 1, f"{name}, seed {SEED}")
        if form != "qcow2":
            return
        status, out, err = peers.run(["qemu-img", "check", "-f", form, path])
        self.assertIn(status, good, f"{name}: {out}{err}")
        for row in json.loads(peers.run(["qemu-img", "info", "--output=json", path])[1]).get(
                "snapshots", []):
            inside = self.shown(path, form, "-l", f"snapshot.name={row['name']}")
            self.assertLessEqual(len(inside), 1, f"{name}@{row['name']}")

    def look_at_kept(self):
        kept = self.at("q", ".cistern-snapshots")
        for folder, _, files in os.walk(kept):
            for name in files:
                self.assertIn(name, SNAPSHOTS, folder)
                path = os.path.join(folder, name)
                form = json.loads(peers.run(["qemu-img", "info", "--output=json", path])[1])["format"]
                self.assertLessEqual(len(self.shown(path, form)), 1, path)

    def play(self, clients):
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            self.meanwhile(clients)
        for client in clients:
            client.join()
        self.assertEqual([], [client.trouble for client in clients if client.trouble], f"seed {SEED}")
        self.assert_alive()
        self.assertGreater(sum(client.done for client in clients), 2 * CLIENTS)

    def meanwhile(self, clients):
        calls = sum(client.calls for client in clients)
        wait.until(lambda: sum(client.calls for client in clients) >= calls + 4 * CLIENTS
                   or not any(client.is_alive() for client in clients),
                   "each client makes some calls, or all have ended")
        if clients[0].may_lose and clients[0].is_alive():
            self.assertIn(self.peer.restart(random.choice([signal.SIGTERM, signal.SIGKILL])),
                          (0, -signal.SIGKILL))

    def nothing_is_left(self):
        self.wait_until(lambda: not json.loads(self.cistern("--json", "job-list")[1])["jobs"],
                        "the daemon has ended what it went on with",
                        lambda: self.cistern("job-list")[1])
        self.assertEqual([], os.listdir(os.path.join(self.peer.root, "var/lib/cistern/journal")))
        found = [name for name in self.entries("q") if name != ".cistern-snapshots"]
        self.assertEqual([], [name for name in found if name not in NAMES], f"seed {SEED}")
        listed = [line.split()[0] for line in self.ok("vol-list", "q").splitlines()[2:] if line.strip()]
        self.assertEqual(found, sorted(listed))
        return found

    def test_clients_at_once(self):
        self.prepare()
        self.play([Client(self, number) for number in range(CLIENTS)])
        for name in self.nothing_is_left():
            self.look_at(name)
        self.look_at_kept()

    def test_the_daemon_is_restarted_meanwhile(self):
        """Stopped or killed, every second: what it left is undone, finished, or gone on with."""
        self.prepare()
        clients = [Client(self, number) for number in range(CLIENTS)]
        for client in clients:
            client.may_lose = True
        self.play(clients)
        for name in self.nothing_is_left():
            self.look_at(name, (0, 3))  # 3: clusters that are lost until they are collected
        self.look_at_kept()
