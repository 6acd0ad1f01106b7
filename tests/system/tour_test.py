# SPDX-License-Identifier: LGPL-2.1-or-later
"""README.md's tour, word for word: its commands print what it says."""

import importlib.util
import os
import re
import unittest

from harness import peers, space

README = os.path.join(space.TOP, "README.md")


def load_tour():
    spec = importlib.util.spec_from_file_location("tour", os.path.join(space.TOP, "scripts/tour.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def normal(lines):
    """Without what differs between two machines: times, and what a file system allocates."""
    text = "\n".join(line.rstrip() for line in lines)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}", "TIME", text)
    text = re.sub(r"[0-9.]+ (KiB|B)\b *$", "ALLOCATION", text, flags=re.M)
    # Columns are as wide as these.
    return re.sub(r" {2,}", "  ", re.sub(r"-{5,}", "-----", text)).splitlines()


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class Tour(unittest.TestCase):
    maxDiff = None

    def test_each_command_prints_what_the_readme_says(self):
        tour = load_tour()
        space.tmpfs("/srv", "64M")
        self.addCleanup(space.unmount, "/srv")
        uri = f"storage:///embed?root={space.path('tour-root')}"
        for name, value in {**space.ENV, "CISTERN_URI": uri}.items():
            before = os.environ.get(name)
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name) if before is None else \
                self.addCleanup(os.environ.__setitem__, name, before)
        count = 0
        for command, expected in tour.steps(README):
            status, lines = tour.play(command, space.CISTERN, "/srv")
            with self.subTest(command=command):
                self.assertEqual(0, status, lines)
                self.assertEqual(normal(expected), normal(lines))
            count += 1
        self.assertGreater(count, 11)
        # What the tour has made is there, and sound.
        for image in ("disk", "overlay", "copy"):
            self.assertEqual(0, peers.run(["qemu-img", "check", "-q",
                                           f"/srv/vm-images/{image}.qcow2"])[0])
