# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whose configuration the command line reads: everybody's in /etc, the user's own, and nobody else's."""

import os
import re
import unittest

from harness import peers, space
from harness.cases import Patient

SYSTEM = "/etc/cistern/client.conf"
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def write(path, *lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("".join(line + "\n" for line in lines))
    os.chmod(path, 0o644)


class Whose(Patient):
    """Commands without a daemon, on a root of their own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not space.private_mounts():
            raise unittest.SkipTest("needs a mount namespace of its own")
        for part in ("upper", "work"):
            os.makedirs(space.path("etc", part), exist_ok=True)
        space.mount("/etc", "-t", "overlay", "-o", f"lowerdir=/etc,upperdir={space.path('etc/upper')},"
                    f"workdir={space.path('etc/work')}", "overlay")
        cls.addClassCleanup(space.unmount, "/etc")

    def setUp(self):
        super().setUp()
        self.home = space.path("config-home")
        self.own = os.path.join(self.home, "cistern/client.conf")
        self.root = space.path("config-root")
        os.makedirs(self.root, exist_ok=True)
        for path in (SYSTEM, self.own):
            if os.path.exists(path):
                os.unlink(path)
        os.makedirs(os.path.dirname(self.own), exist_ok=True)
        os.chown(os.path.dirname(self.own), 0, 0)

    def run_it(self, *words):
        return peers.run(["env", "-u", "CISTERN_CONFIG", f"XDG_CONFIG_HOME={self.home}", space.CISTERN,
                          "--root", self.root, *words])

    def default_pool(self):
        """What stands for a pool that is left out: it is not there, and so named in the error."""
        status, _, err = self.run_it("vol-create-as", "--name", "v", "--capacity", "1M")
        self.assertNotEqual(0, status)
        found = re.search(r"no pool was named, and '(\w+)' is the default of (.*)", err)
        return found.groups() if found else None

    def test_the_users_file_wins_setting_by_setting(self):
        self.assertIsNone(self.default_pool())
        write(SYSTEM, "[defaults]", "pool = everybodys")
        self.assertEqual(("everybodys", f"{SYSTEM}: line 2"), self.default_pool())
        write(self.own, "[defaults]", "format = raw", "", "pool = mine")
        self.assertEqual(("mine", f"{self.own}: line 4"), self.default_pool())
        write(self.own, "[defaults]", "format = raw")
        self.assertEqual(("everybodys", f"{SYSTEM}: line 2"), self.default_pool())

    def test_everybodys_file_does_not_say_what_scripts_get(self):
        for lines in (["[columns]", "vol-list = name"], ["[output]", "color = always"]):
            write(SYSTEM, *lines)
            status, out, err = self.run_it("pool-list")
            self.assertEqual((1, ""), (status, out))
            self.assertIn(f"{SYSTEM}: line 2: ", err)
            self.assertIn("only a user's own file may set this", err)
            self.assertEqual(0, self.run_it("--no-config", "pool-list")[0])

    def test_another_users_home_is_not_read(self):
        """As when sudo leaves HOME as it was."""
        write(self.own, "this is no configuration")
        self.assertEqual(1, self.run_it("pool-list")[0])
        os.chown(os.path.dirname(self.own), 65534, 65534)
        self.assertEqual((0, ""), self.run_it("pool-list")[::2])
        write(self.own, "[defaults]", "pool = mine")
        self.assertIsNone(self.default_pool())

    def test_link_in_another_users_home_is_not_followed(self):
        """It leads to a directory of root's, whose file would pass as root's own settings."""
        link, elsewhere = os.path.dirname(self.own), space.path("config-elsewhere")
        os.makedirs(elsewhere)
        write(os.path.join(elsewhere, "client.conf"), "[defaults]", "pool = mine")
        os.rmdir(link)
        os.symlink(elsewhere, link)
        self.addCleanup(os.chown, self.home, 0, 0)
        self.addCleanup(os.unlink, link)
        self.assertEqual("mine", self.default_pool()[0])
        os.lchown(link, 65534, 65534)
        os.chown(self.home, 65534, 65534)
        self.assertEqual((0, ""), self.run_it("pool-list")[::2])
        self.assertIsNone(self.default_pool())

    def test_another_users_file_is_refused(self):
        write(self.own, "[defaults]", "pool = mine")
        os.chown(self.own, 65534, 65534)
        status, _, err = self.run_it("pool-list")
        self.assertEqual(4, status)
        self.assertIn(f"other users may write to '{self.own}'", err)

    def test_the_example_holds_all_settings(self):
        with open(os.path.join(SOURCE, "packaging/client.conf"), encoding="utf-8") as stream:
            text = stream.read()
        write(self.own, text)
        self.assertEqual((0, ""), self.run_it("pool-list")[::2])
        write(self.own, re.sub(r"(?m)^#(?=[a-z-]+ = )", "", text))
        self.assertEqual(("images", f"{self.own}: line 11"), self.default_pool())
