# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power fails, and fails again while the next start recovers: replays intents, drops what was
half made, settles the files of jobs, goes on with jobs. Then comes a start that nothing disturbs.
"""

import json
import os
import random
import re

from disk import Disk, read_log, read_tree, write_tree
from harness.operations import OVERLAY, WORK, Daemon, expect
from images import ImageOperation, ImageScene, differences
from scenes import LOG, RECORDING, SEED, STATES, Scene, check_record, on_disk, start

# How many are looked at, before and after the acknowledgement each.
CUTS = max(STATES // 5, 1)
CUTS_BEFORE_ANOTHER = max(STATES // 20, 1)
SECOND_CUTS = max(STATES // 10, 1)  # after each of them

JOB = re.compile(r"root/var/lib/cistern/jobs/\d+\.job$")
UNSETTLED = re.compile(r"/cistern/journal/[^/]+$|\.part$|/cistern/jobs/\d+\.(job|new)$|"
                       r"/secrets/[^/]*\.next(-base64)?$")


def draw(states, count):
    """Up to @count of them, by chance."""
    states = list(states)
    random.Random(SEED).shuffle(states)
    return states[:count]


def draw_both(states, count):
    """Up to @count of those before the acknowledgement, and of those after it."""
    states = list(states)
    return [state for side in (False, True)
            for state in draw((state for state in states if bool(state[1]) == side), count)]


class TwiceScene(Scene):
    """Embedded, as most commands are; whoever starts next recovers."""

    def recover(self, env):
        start(self.operation, env)

    def second_cuts(self, tree):
        """The states that a power cut during the recovery from the tree may leave."""
        write_tree(WORK, on_disk(tree))
        disk = Disk(WORK)
        if os.path.exists(LOG):
            os.unlink(LOG)
        self.recover(RECORDING)
        disk.play(read_log(LOG))
        check_record(disk, read_tree(WORK))
        return disk.states(SEED)

    def check_all(self):
        cut = [state for state in self.disk.states(SEED)
               if any(UNSETTLED.search(path) for path in state[0])]
        expect(cut, "no power cut leaves anything to recover from")
        count = 0
        for tree, acknowledged, natural in draw_both(cut, CUTS_BEFORE_ANOTHER):
            for later, _, also_natural in draw(self.second_cuts(tree), SECOND_CUTS):
                self.check(later, acknowledged, natural and also_natural)
                count += 1
        return count


class ResumedScene(TwiceScene, ImageScene):
    """Jobs that the next daemon goes on with: cut on their way, and on the way of the next one.
    All of the job's file on the disk: it is gone on with; else the volume has kept its meaning."""

    def recover(self, env=()):
        site = Daemon(env)
        try:
            status, text = site.play("pool-start p")
            expect(status == 0, f"the next start: {text}")
            for job in self.jobs(site):
                if not env:  # there is nothing to be seen on its way
                    site.play(f"job-rate {job['id']} 0")
                site.play(f"job-wait {job['id']}")
            self.ended = self.jobs(site)
        finally:
            site.close()

    @staticmethod
    def jobs(site):
        status, text = site.play("job-list --all --json")
        expect(status == 0, f"job-list: {text}")
        return json.loads(text)["jobs"]

    def put(self, tree):
        write_tree(WORK, on_disk(tree))
        for path in filter(JOB.match, tree):
            os.utime(os.path.join(WORK, path))  # later than the volumes, as it was
        self.recover()
        return self.look(), ""

    def check(self, tree, acknowledged, natural):
        found, _ = self.put(tree)
        failed = [job for job in self.ended if job["state"] != "done"]
        expect(not failed, f"going on with it failed: {failed}")
        undone = differences(found, self.after)
        expect(not undone or not acknowledged, f"acknowledged, and {undone}")
        if "; " not in self.operation.command:  # more than what the job does
            expect(not undone or not self.ended, f"gone on with, and {undone}")
        self.check_images(found)

    def check_all(self):
        # A file that has a name by chance, and is told of by chance: there are few of them.
        cut = draw_both((state for state in self.disk.states(SEED, tries=100)
                         if any(map(JOB.match, state[0]))), CUTS)
        for state in cut:
            self.check(*state)
        return len(cut) + super().check_all()


SLOW = " --pool p --rate-limit 700k"
WIPE = "vol-wipe raw --pool p --algorithm nnsa --rate-limit 4M"
FILL = "!qemu-io -f qcow2 -c 'write -P 8 0 1M' {{p}}/{name}"
RESUMED = [
    ImageOperation("resumed-wipe", WIPE, images=("raw",), between=True),
    # A run of data is moved at once: it takes several for the rate to be kept.
    ImageOperation("resumed-flatten", "vol-flatten over" + SLOW, OVERLAY + [
        FILL.format(name="cow"), "!qemu-io -f qcow2 -c 'discard 256k 64k' -c 'discard 576k 64k' "
        "-c 'discard 832k 64k' {p}/cow"], ("over",), ("over",)),
    ImageOperation("resumed-commit", "vol-commit over --yes" + SLOW, OVERLAY + [
        FILL.format(name="over")], ("over", "cow"), ("over",)),
    ImageOperation("resumed-sparsify", "vol-sparsify raw --pool p --rate-limit 4M", [
        "vol-resize raw 4M --pool p", "!qemu-io -f raw -c 'write -P 0 100k 3900k' {p}/raw"],
        ("raw",), ("raw",)),
    # What has been answered is over: nothing may be wiped again.
    ImageOperation("resumed-after-end", WIPE + "; vol-upload raw {f}/payload --pool p",
                   images=("raw",), between=True),
]
