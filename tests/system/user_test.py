# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person sees: an ordinary user without a daemon, a Spanish locale, `make demo`."""

import json
import os
import pwd
import shutil
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon


class OrdinaryUser(unittest.TestCase):
    """Embedded, in the user's own directories, with no rights at all."""

    maxDiff = None

    def setUp(self):
        self.home = space.path("user")
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.program, libraries = space.as_other_user()
        self.user = None
        if space.IS_ROOT:
            self.user = pwd.getpwnam("nobody").pw_uid
            shutil.chown(self.home, self.user)
        self.env = {"HOME": self.home, "XDG_RUNTIME_DIR": os.path.join(self.home, "run"),
                    "XDG_CONFIG_HOME": os.path.join(self.home, "config"),
                    "XDG_DATA_HOME": os.path.join(self.home, "data"),
                    "XDG_STATE_HOME": os.path.join(self.home, "state"),
                    "XDG_CACHE_HOME": os.path.join(self.home, "cache"), **libraries}

    def cistern(self, *words, **options):
        return peers.run([self.program, *words], env=self.env.items(), user=self.user, **options)

    def ok(self, *words, **options):
        status, out, err = self.cistern(*words, **options)
        self.assertEqual((0, ""), (status, err), " ".join(words))
        return out

    def test_whole_job_without_rights(self):
        target = os.path.join(self.home, "images")
        self.ok("pool-define-as", "mine", "dir", "--target", target)
        self.ok("pool-build", "mine")
        self.ok("pool-start", "mine")
        self.ok("pool-autostart", "mine")
        self.ok("vol-create-as", "mine", "a.qcow2", "1G", "--format", "qcow2")
        self.ok("vol-clone", "a.qcow2", "b.qcow2", "--pool", "mine")
        self.ok("vol-resize", "b.qcow2", "2G", "--pool", "mine")
        self.assertIn("b.qcow2", self.ok("vol-list", "mine", "--details"))
        self.assertIn("storage", self.ok("uri"))
        self.ok("vol-delete", "a.qcow2", "--pool", "mine")
        self.ok("vol-delete", "b.qcow2", "--pool", "mine")
        self.ok("pool-destroy", "mine")
        self.ok("pool-delete", "mine")
        self.ok("pool-undefine", "mine")
        self.assertFalse(os.path.exists(target))

    def test_files_are_where_libvirts_session_mode_has_them(self):
        self.ok("pool-define-as", "mine", "dir", "--target", os.path.join(self.home, "i"))
        self.ok("pool-autostart", "mine")
        config = os.path.join(self.env["XDG_CONFIG_HOME"], "libvirt/storage")
        self.assertTrue(os.path.isfile(os.path.join(config, "mine.xml")))
        self.assertTrue(os.path.islink(os.path.join(config, "autostart/mine.xml")))

    def test_what_the_user_may_not_do_is_one_clear_error(self):
        if not space.IS_ROOT:
            self.skipTest("needs root to make something forbidden")
        denied = space.path("denied")
        os.makedirs(os.path.join(denied, "pool"), exist_ok=True)
        os.chmod(denied, 0o755)
        self.ok("pool-define-as", "d", "dir", "--target", os.path.join(denied, "pool"))
        self.ok("pool-start", "d")
        status, out, err = self.cistern("vol-create-as", "d", "v", "1M")
        self.assertNotEqual(0, status)
        self.assertIn("ermission denied", err)
        self.assertEqual([], os.listdir(os.path.join(denied, "pool")))
        self.ok("pool-destroy", "d")
        os.chmod(os.path.join(denied, "pool"), 0o700)
        status, out, err = self.cistern("pool-start", "d")
        self.assertNotEqual(0, status)
        self.assertIn("ermission denied", err)
        self.ok("pool-list", "--all")

    def test_one_unreadable_file_is_listed_and_fails_nothing(self):
        if not space.IS_ROOT:
            self.skipTest("needs root to make a file the user cannot read")
        target = os.path.join(self.home, "mixed")
        os.makedirs(target)
        for name, mode in (("secret", 0o600), ("open", 0o644)):
            with open(os.path.join(target, name), "wb") as out:
                out.write(b"x" * 5000)
            os.chmod(os.path.join(target, name), mode)
        shutil.chown(target, self.user)
        self.ok("pool-create-as", "m", "dir", "--target", target)
        status, listing, warning = self.cistern("vol-list", "m", "--details")
        self.assertEqual(0, status)
        self.assertIn("warning: volume 'secret': cannot open volume", warning)
        self.assertIn("secret", listing)
        self.assertIn("open", listing)
        self.ok("pool-refresh", "m")
        self.ok("vol-info", "secret", "--pool", "m")


class Spanish(WithDaemon):
    """A locale made for the test: the machine need not have it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.locales = space.path("locales")
        os.makedirs(cls.locales, exist_ok=True)
        made = subprocess.run(["localedef", "-i", "es_ES", "-f", "UTF-8",
                               os.path.join(cls.locales, "es_ES.UTF-8")], env=space.ENV,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if made.returncode not in (0, 1):
            raise unittest.SkipTest("localedef cannot make es_ES.UTF-8")

    def spanish(self, program, *words):
        return peers.run([program, "-c", self.peer.uri, *words],
                         env={"LC_ALL": "es_ES.UTF-8", "LOCPATH": self.locales}.items())

    def test_numbers_have_a_decimal_comma_as_in_virsh(self):
        self.ok("vol-create-as", "p", "v", "1500k", "--allocation", "0")
        for command in (["vol-info", "v", "--pool", "p"], ["pool-info", "p"],
                        ["vol-list", "p", "--details"], ["pool-list", "--details"]):
            with self.subTest(command=command):
                status, theirs, _ = self.spanish("virsh", *command)
                self.assertEqual(0, status)
                self.assertRegex(theirs, r"\d,\d\d [KMGT]iB")
                if "CST_SELF_CHECK" not in os.environ:
                    status, ours, err = self.spanish(space.CISTERN, *command)
                    self.assertEqual((0, ""), (status, err))
                    self.assertRegex(ours, r"\d,\d\d [KMGT]iB")

    def test_json_is_the_same_in_every_locale(self):
        if "CST_SELF_CHECK" in os.environ:
            self.skipTest("about cistern")
        self.ok("vol-create-as", "p", "v", "1500k")
        command = ["vol-list", "p", "--details", "--json"]
        spanish = self.spanish(space.CISTERN, *command)
        self.assertEqual(self.cistern(*command), spanish)
        json.loads(spanish[1].splitlines()[0])


class Json(WithDaemon):
    """--json on every command: one document, errors too."""

    def parse(self, *words):
        status, out, err = self.cistern(*words, "--json")
        lines = (out or err).strip()
        return status, json.loads(lines)

    def test_every_reading_command(self):
        self.ok("vol-create-as", "p", "v", "1M")
        for command in ("pool-list --all", "pool-list --all --details", "pool-info p",
                        "pool-dumpxml p", "pool-uuid p", "vol-list p", "vol-list p --details",
                        "vol-info v --pool p", "vol-path v --pool p", "vol-key v --pool p",
                        "vol-dumpxml v --pool p", "vol-pool " + self.at("p", "v"), "uri", "version",
                        "hostname", "secret-list", "pool-capabilities"):
            with self.subTest(command=command):
                status, _document = self.parse(*command.split())
                self.assertEqual(0, status)

    def test_errors_and_their_exit_statuses(self):
        self.ok("vol-create-as", "p", "v", "1M")
        for wanted, command in ((3, "pool-info no"), (3, "vol-info no --pool p"), (2, "pool-info"),
                                (2, "vol-list p --bogus"), (2, "nonsense"),
                                (5, "vol-create-as p v 1M")):
            with self.subTest(command=command):
                status, _document = self.parse(*command.split())
                self.assertEqual(wanted, status)


class Demo(unittest.TestCase):
    def test_demo_goes_through(self):
        if space.LIBRARIES:
            self.skipTest("the demo's second user can't reach the libraries of a sanitizer's build")
        status, out, err = peers.run([os.path.join(space.TOP, "scripts/demo")], timeout=120,
                                     env={"BUILD": os.path.relpath(space.BUILD, space.TOP)}.items())
        self.assertEqual((0, ""), (status, err), out[-2000:])
        self.assertIn("The main job went through.", out)
        self.assertIn("verified:", out)
