# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands in README.md's tour and in three pages of docs/ print the output given there."""

import importlib.util
import os
import re
import subprocess
import unittest

from harness import peers, space

README = os.path.join(space.TOP, "README.md")
COMING = os.path.join(space.TOP, "docs/coming-from-libvirt.md")
EVENTS = os.path.join(space.TOP, "docs/events.md")
AUDIT = os.path.join(space.TOP, "docs/audit.md")
SCHEDULES = os.path.join(space.TOP, "docs/schedules.md")
CAPACITY = os.path.join(space.TOP, "docs/capacity.md")
DOCTOR = os.path.join(space.TOP, "docs/doctor.md")


def load_tour():
    spec = importlib.util.spec_from_file_location("tour", os.path.join(space.TOP, "scripts/tour.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def normal(lines):
    """LINES without the differences between two machines: times, allocations, process numbers."""
    text = "\n".join(line.rstrip() for line in lines)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}", "TIME", text)
    text = re.sub(r"[0-9.]+ (KiB|B)\b *$", "ALLOCATION", text, flags=re.M)
    text = re.sub(r"\bprocess \d+", "process N", text)
    # The width of a column depends on its cells.
    return re.sub(r" {2,}", "  ", re.sub(r"-{5,}", "-----", text)).splitlines()


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class Tour(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        space.tmpfs("/srv", "64M")
        self.addCleanup(space.unmount, "/srv")
        uri = f"storage:///embed?root={space.path(self.id())}"
        for name, value in {**space.ENV, "CISTERN_URI": uri}.items():
            before = os.environ.get(name)
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name) if before is None else \
                self.addCleanup(os.environ.__setitem__, name, before)

    def play(self, document, *first):
        """Plays the commands of DOCUMENT and compares their output; returns their number."""
        tour = load_tour()
        count = 0
        for command, expected in tour.steps(document, *first):
            status, lines = tour.play(command, space.CISTERN, "/srv")
            with self.subTest(command=command):
                self.assertEqual(0, status, lines)
                self.assertEqual(normal(expected), normal(lines))
            count += 1
        return count

    def test_commands_print_the_output_of_the_readme(self):
        self.assertGreater(self.play(README), 11)
        # The images of the tour exist and are sound.
        for image in ("disk", "overlay", "copy"):
            self.assertEqual(0, peers.run(["qemu-img", "check", "-q",
                                           f"/srv/vm-images/{image}.qcow2"])[0])

    def test_commands_for_users_of_libvirt_print_the_output_of_the_page(self):
        image = space.path("coming.img")
        with open(image, "wb") as stream:
            stream.truncate(512 << 20)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
        os.mkdir("/srv/images")
        subprocess.run(["mount", "-o", "loop", image, "/srv/images"], check=True)
        self.addCleanup(subprocess.run, ["umount", "-q", "/srv/images"], check=False)
        self.assertGreater(self.play(COMING, "# "), 15)

    def test_commands_about_the_audit_trail_print_the_output_of_the_page(self):
        self.assertGreater(self.play(AUDIT, "# "), 6)

    def test_commands_about_schedules_print_the_output_of_the_page(self):
        self.assertGreater(self.play(SCHEDULES, "# "), 6)

    def test_commands_about_events_print_the_output_of_the_page(self):
        self.assertGreaterEqual(self.play(EVENTS, "# "), 2)

    def test_commands_about_capacity_print_the_output_of_the_page(self):
        self.assertGreater(self.play(CAPACITY, "# "), 4)

    def test_commands_about_the_doctor_print_the_output_of_the_page(self):
        self.assertGreater(self.play(DOCTOR, "# "), 6)
