# SPDX-License-Identifier: LGPL-2.1-or-later
"""One operation under the recorder, and what must hold of each state that a power cut leaves."""

import concurrent.futures
import copy
import os
import random
import re

from disk import Disk, read_log, read_tree, write_tree
from harness import space
from harness.operations import EMBED, WORK, Daemon, Embedded, cistern, expect, prepare, settle
from harness.peers import run
from harness.pictures import between, picture, unlike

RECORDER = os.path.join(space.BUILD, "tests/power/record.so")
LOG = space.path("record")
SHORT = "TEST_SHORT" in os.environ  # a sample of the states, and no plants
STATES = int(os.environ.get("CISTERN_POWER_STATES") or (8 if SHORT else 30))
SEED = int(os.environ.get("CISTERN_SEED") or 1)
RECORDING = {"LD_PRELOAD": RECORDER, "CST_RECORD": LOG, "CST_RECORD_BELOW": WORK}


def on_disk(tree):
    """Without what a start finds empty after a power cut, and what SQLite makes anew of its own."""
    return {path: node for path, node in tree.items()
            if not path.startswith("root/run") and not path.endswith(".db-shm")}


def start(operation, env=()):
    """The first start after the power cut, with all that is there looked at."""
    settle(EMBED, operation, env)
    journal = os.path.join(WORK, "root/var/lib/cistern/journal")
    if os.path.isdir(journal) and os.listdir(journal):
        run([space.CISTERN, "-c", EMBED, "pool-list"], env=env)  # a volume may get its name by that
    definitions = os.path.join(WORK, "root/etc/libvirt/storage")
    words = ["pool-list --all"]
    for name in ("p", "n"):
        if os.path.exists(os.path.join(definitions, name + ".xml")):
            words.append(f"pool-dumpxml {name} --inactive")
            if os.path.isdir(os.path.join(WORK, {"p": "pool", "n": "n"}[name])):
                words += [f"pool-start {name}", f"vol-list {name}"]
    if "pool-start p" in words:
        words += [f"snap-list {name} --pool p" for name in ("raw", "cow")
                  if os.path.exists(os.path.join(WORK, "pool", name))]
    if "pool-start n" in words and "pool-start n" not in operation.before:
        words.append("pool-destroy n")  # it can be started again, or deleted
    words += ["secret-list", "job-list"]
    status, out, err = run([space.CISTERN, "-c", EMBED, "; ".join(words)], env=env)
    expect(status == 0 and not err.strip(), f"the next start: {err.strip() or out}")


# From one writing of the same files to the next.
VARIES = re.compile(r"[Aa]llocation|physical|time")

# Where commands over image files make theirs: in any directory, which nobody looks through later.
DRAFT = re.compile(r"pool/\.cistern-[0-9a-f]{8}(/|$)")


def files():
    """What the tests of kill -9 compare too, but for directories of ours that hold nothing."""
    return {name: content for name, content in picture().items()
            if not name.startswith("root/run") and not DRAFT.match(name)
            and not (content is None and name.startswith("root/"))}


def shown(operation):
    """What the operation has changed that no file shows as it is."""
    text = cistern(EMBED, operation.shows)[1] if operation.shows else ""
    return "\n".join(line.strip() for line in text.splitlines() if not VARIES.search(line))


def next_job(tree):
    """The number that the next job gets; 0: none has got one."""
    node = tree.get("root/var/lib/cistern/jobs/next")
    digits = node.content.strip() if node else b""
    return int(digits) if digits.isdigit() else 0


def acknowledge(name):
    """Tells the record that whoever asked has been answered."""
    with open(LOG, "ab", buffering=0) as stream:
        stream.write(f"ack 0 0 0 {len(name)} 0\n{name}".encode())


def check_record(disk, files_then):
    """What the disk has played is all that has happened."""
    after = disk.final()
    missed = sorted(path for path in set(files_then) | set(after)
                    if not path.endswith(".db-shm") and after.get(path) != files_then.get(path))
    expect(not missed, f"the recorder did not see how {missed} came about")


class Scene:
    """One operation, its record, and the files before and after."""

    most = STATES  # natural ones on each side of the acknowledgement, and half as many others

    def __init__(self, operation, daemon=False):
        self.operation = operation
        # What was acknowledged is there to the byte, where a kill -9 may leave data in between.
        self.strictly = copy.copy(operation)
        self.strictly.content = "images" if operation.content == "any" else operation.content
        prepare(operation)
        self.disk = Disk(WORK)
        before = self.disk.first()
        self.records, files_then = self.record(daemon)
        self.disk.play(self.records)
        self.next_job = next_job(files_then)
        check_record(self.disk, files_then)
        self.before, self.shown_before = self.put(before)
        self.after, self.shown_after = self.put(self.disk.final())

    def record(self, daemon):
        """What was done up to the acknowledgement, and the files that were there then."""
        if os.path.exists(LOG):
            os.unlink(LOG)
        site = (Daemon if daemon else Embedded)(RECORDING)
        try:
            self.play(site)
            return read_log(LOG), read_tree(WORK)
        finally:
            site.close()

    def play(self, site):
        for command in self.operation.command.split("; "):
            status, text = site.play(command)
            expect(status == 0, f"undisturbed: {text}")
        acknowledge("done")

    def put(self, tree):
        """The files after a start from the tree, and what the operation shows of them."""
        write_tree(WORK, on_disk(tree))
        start(self.operation)
        return files(), shown(self.operation)

    def check(self, tree, acknowledged, natural):
        found, now_shown = self.put(tree)
        if acknowledged:
            undone = unlike(self.strictly, found, self.after)
            expect(undone is None, f"acknowledged, and {undone}")
            expect(next_job(tree) >= self.next_job, "the number of a job would be given again")
            expect(now_shown == self.shown_after,
                   f"acknowledged, and shows {now_shown}, not {self.shown_after}")
            return
        expect(now_shown in (self.shown_before, self.shown_after), f"shows {now_shown}")
        if self.operation.partway:
            name = between(self.operation, found, self.before, self.after)
            expect(name is None, f"{name} is neither as before nor as after")
            return
        undone = unlike(self.operation, found, self.after)
        first = unlike(self.operation, found, self.before)
        expect(first is None or undone is None,
               f"neither before ({first}) nor after ({undone})")
        if undone and natural:
            status, out, err = cistern(EMBED, self.operation.command)
            expect(status == 0, f"repeating it failed: {out}{err}")

    def check_all(self):
        """How many states were checked. The first one that is wrong is Trouble."""
        states = {False: [], True: []}
        for state in self.disk.states(SEED):
            states[bool(state[1])].append(state)
        count = 0
        for side in states.values():
            random.Random(SEED).shuffle(side)
            natural = [state for state in side if state[2]]
            others = [state for state in side if not state[2]]
            chosen = natural[:self.most] + others[:self.most // 2]
            count += len(chosen)
            for state in chosen:
                self.check(*state)
        return count


class Crowd(Scene):
    """Volumes made by one daemon at once, which joins the syncs of their directory."""

    NAMES = [f"new{number}" for number in range(6)]

    def play(self, site):
        def make(name):
            status, text = site.play(self.operation.command.replace("NAME", name))
            expect(status == 0, f"undisturbed: {text}")
            acknowledge(name)

        with concurrent.futures.ThreadPoolExecutor(len(self.NAMES)) as threads:
            list(threads.map(make, self.NAMES))

    def check(self, tree, acknowledged, natural):
        found, _ = self.put(tree)
        for name in self.NAMES:
            path = "pool/" + name
            expect(path in found or name not in acknowledged,
                   f"acknowledged, and {path} is missing")
            expect(found.pop(path, self.after[path]) == self.after[path], f"{path} is not whole")
        left = unlike(self.operation, found, self.before)
        expect(left is None, left)
