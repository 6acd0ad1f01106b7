# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line as a person meets it: names that are nearly right, words in any order, stdin and
stdout, messages that say what is wrong. Everything is shown by its effect on real pools."""

import json
import os
import subprocess
import tempfile
import unittest

from harness import peers, space

MIB = 1 << 20


class Terminal(unittest.TestCase):
    """Embedded, in a root of its own, with the pools "one" and "two"."""

    def setUp(self):
        self.where = tempfile.TemporaryDirectory(prefix="cistern-terminal-")
        self.addCleanup(self.where.cleanup)
        self.root = self.at("root")
        for pool in ("one", "two"):
            self.ok("pool-create-as", pool, "dir", "--target", self.at(pool), "--build")
        self.ok("vol-create-as", "one", "disk", "4M")

    def at(self, *parts):
        return os.path.join(self.where.name, *parts)

    def run_in(self, *words, data=b"", root=None, **env):
        done = subprocess.run([space.CISTERN, "--root", root or self.root, *words], input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              check=False, cwd=self.where.name,
                              env={**os.environ, "LC_ALL": "C", "TZ": "UTC", **env})
        return done.returncode, done.stdout, done.stderr.decode()

    def ok(self, *words, **more):
        status, out, err = self.run_in(*words, **more)
        self.assertEqual((0, ""), (status, err), words)
        return out.decode()

    def says(self, status, words, pattern, **more):
        got, _, err = self.run_in(*words, **more)
        self.assertRegex(err, pattern)
        self.assertEqual(status, got, err)

    # --- names

    def test_a_volume_is_found_without_its_pool(self):
        self.assertEqual(self.at("one", "disk"), self.ok("vol-path", "disk").strip())
        self.assertEqual(self.at("one", "disk"), self.ok("vol-path", "one/disk").strip())
        self.ok("vol-create-as", "two", "disk", "1M")
        self.says(2, ["vol-delete", "disk"],
                  "pools '(one|two)' and '(one|two)' both have a vol 'disk': write one/disk or two/"
                  "disk|two/disk or one/disk")
        self.ok("vol-delete", "two/disk")
        self.assertEqual(["disk"], os.listdir(self.at("one")))
        self.assertEqual([], os.listdir(self.at("two")))
        self.ok("vol-create-as", "two", "top", "4M", "--format", "qcow2", "--backing-vol",
                "one/disk", "--backing-vol-format", "raw")
        self.assertIn(self.at("one", "disk"), self.ok("vol-dumpxml", "top"))

    def test_completion_offers_names_and_no_files(self):
        self.ok("vol-create-as", "two", "disk", "1M")
        self.ok("vol-create-as", "two", "alone", "1M")

        def offered(*words):
            return sorted(self.run_in("complete", "--", "--root", self.root, *words)[1].decode()
                          .split())
        self.assertEqual(["alone", "one/disk", "two/disk"],
                         [w for w in offered("vol-info", "") if not w.startswith("-")])
        self.assertEqual(["two/alone", "two/disk"], offered("vol-info", "two/"))
        self.assertEqual([self.at("two", "alone")], offered("vol-info", self.at("two", "a")))
        with open(self.at("picture"), "wb"):
            self.assertEqual((0, b""), self.run_in("complete", "--", "vol-info", "pic")[:2])
        self.assertEqual((1, b""), self.run_in("complete", "--", "image-info", "pic")[:2])

    def test_a_file_with_a_newline_in_its_name_is_listed_and_can_be_removed(self):
        for name in ("a\tb", "c\nd"):
            with open(self.at("one", name), "wb") as stream:
                stream.write(b"x" * 4096)
        self.ok("pool-refresh", "one")
        listed = self.ok("vol-list", "one")
        self.assertIn("a\\x09b", listed)
        self.assertIn("c\\x0ad", listed)
        names = [v["name"] for v in json.loads(self.ok("vol-list", "one", "--json"))["volumes"]]
        self.assertEqual({"disk", "a\tb", "c\nd"}, set(names))
        self.ok("vol-delete", "c\nd")
        self.assertEqual({"disk", "a\tb"}, set(os.listdir(self.at("one"))))

    # --- words

    def test_options_of_the_program_stand_anywhere(self):
        for words in (("vol-list", "one", "--root", self.root, "-q"),
                      ("vol-list", "-q", "--root", self.root, "one")):
            done = subprocess.run([space.CISTERN, *words], stdout=subprocess.PIPE, check=True)
            self.assertEqual(f" disk   {self.at('one', 'disk')}\n", done.stdout.decode())

    def test_mistakes_in_the_command_line_are_exit_status_2(self):
        image = self.at("x.img")
        for words, pattern in (
                (["vol-create-as", "one", "v", "10X"], "unknown suffix 'X'"),
                (["vol-create-as", "one", "v", "1M", "--format", "qcow3"], "qcow3"),
                (["pool-define-as", "v", "dirr"],
                 "^error: unknown pool type 'dirr'; did you mean 'dir'"),
                (["vol-create-as", "one", "a/b", "1M"], "cannot contain '/'"),
                (["vol-clone", "disk", "a/b"], "cannot contain '/'"),
                (["pool-define-as", "a/b", "dir", "--target", "/x"], "cannot contain '/'"),
                (["vol-convert", "disk", "w", "-O", "qcow2", "-o", "cluster_size=3"],
                 "a cluster size of 3 bytes: it must be a power of two between 512 bytes and 2048"),
                (["image-create", "-f", "qcow2", "-o", "cluster_size=3", image, "1M"],
                 "between 512 bytes and 2048 KiB"),
                (["image-create", "-f", "qcow3", image, "1M"], "qcow3"),
                (["image-convert", self.at("one", "disk"), image, "-O", "qcow2", "-o", "foo=1"],
                 "foo"),
                (["image-create", "-f", "raw", image, "10X"], "10X"),
                (["vol-resize", "disk", "10X"], "unknown suffix 'X'"),
                (["pool-lst"], "did you mean 'pool-list'"),
                (["vol-list", "one", "--detials"], "did you mean --details")):
            with self.subTest(words=words):
                self.says(2, words, pattern)
                if "--json" not in words and words[0] != "pool-lst":
                    error = json.loads(self.run_in(*words, "--json")[2])["error"]
                    self.assertEqual(2, error["exit"])
        self.assertFalse(os.path.exists(image))

    # --- messages

    def test_messages_name_what_is_wrong(self):
        old = self.at("old.img")
        with open(old, "wb") as stream:
            stream.write(b"mine")
        for status, words, pattern in (
                (2, ["image-create", "-f", "qcow2", old, "1M"],
                 f"'{old}' exists. Overwrite it\\? There is no terminal to ask at: --yes says yes"),
                (6, ["-c", "foo:///bar", "pool-list"], "hint: URIs are storage:///system"),
                (2, ["-c", "bar", "pool-list"], "hint: URIs are storage:///system"),
                (2, ["vol-resize", "disk", "1M"],
                 "hint: 1M is the new size; \\+1M adds to the one that there is"),
                (1, ["pool-create-as", "v", "vstorage", "--target", "/v"],
                 "pools of type 'vstorage' are not supported by this version"),
                (3, ["vol-download", "disk", "/nodir/x"],
                 "cannot create /nodir/x: No such file or directory"),
                (3, ["vol-upload", "disk", "/nodir/x"],
                 "cannot read /nodir/x: No such file or directory")):
            with self.subTest(words=words):
                self.says(status, words, pattern)
        with open(old, "rb") as stream:
            self.assertEqual(b"mine", stream.read())
        self.assertNotIn("server is running", self.run_in("-c", "foo:///bar", "pool-list")[2])

    def test_a_size_with_a_plus_adds(self):
        self.ok("vol-resize", "disk", "+1M")
        self.assertEqual(5 * MIB, os.path.getsize(self.at("one", "disk")))

    def test_a_backing_file_that_is_gone_is_said_to_be_gone(self):
        base = self.at("base")
        with open(base, "wb") as stream:
            stream.truncate(4 * MIB)
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw",
                   self.at("one", "top")])
        self.ok("pool-refresh", "one")
        self.ok("pool-trust", "one", "--follow", "pools")
        os.unlink(base)
        status, _, err = self.run_in("vol-flatten", "top", "--pool", "one")
        self.assertNotEqual(0, status)
        self.assertIn("does not exist", err)
        self.assertNotIn("no volume of an active pool", err)

    # --- streams, files, times

    def test_a_dash_is_stdin_and_stdout(self):
        data = os.urandom(4 * MIB)
        self.assertEqual((0, b"\n", ""), self.run_in("vol-upload", "disk", "-", data=data))
        with open(self.at("one", "disk"), "rb") as stream:
            self.assertEqual(data, stream.read())
        self.assertEqual((0, data, ""), self.run_in("vol-download", "disk", "-"))
        status, out, err = self.run_in("vol-download", "disk", "-", "--json", "--length", "512")
        self.assertEqual((0, data[:512]), (status, out))
        self.assertEqual(512, json.loads(err.splitlines()[-1])["bytes"])
        self.assertFalse(os.path.exists(self.at("-")))

    def test_a_root_that_is_not_there_is_not_made_by_looking(self):
        missing = self.at("typo")
        for words in (["pool-list"], ["vol-info", "x", "--pool", "y"], ["job-list"],
                      ["complete", "--", "pool-info", ""],
                      ["--dry-run", "pool-define-as", "n", "dir", "--target", "/x"]):
            self.run_in(*words, root=missing)
            self.assertFalse(os.path.exists(missing), words)
        self.says(3, ["pool-list"], f"there is no root directory '{missing}'", root=missing)
        self.ok("pool-define-as", "n", "dir", "--target", "/x", root=missing)
        self.assertIn("n", self.ok("pool-list", "--all", root=missing))

    def test_a_relative_target_is_below_the_working_directory(self):
        self.ok("pool-define-as", "here", "dir", "--target", "some/where")
        self.assertIn(f"<path>{self.at('some', 'where')}</path>",
                      self.ok("pool-dumpxml", "here"))

    def test_times_have_a_zone_and_are_iso_8601_in_json(self):
        image = self.at("one", "q")
        self.ok("vol-create-as", "one", "q", "1M", "--format", "qcow2")
        self.ok("snap-create", "q", "s")
        human = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0000"
        iso = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
        for words, key in ((["snap-list", "q"], "created"), (["image-snapshot", image], "date")):
            self.assertRegex(self.ok(*words), human)
            row = json.loads(self.ok(*words, "--json"))["snapshots"][0]
            self.assertRegex(row[key], iso)
        zone = self.ok("snap-list", "q", TZ="AAA-03:30")
        self.assertRegex(zone, r"\d\d:\d\d:\d\d\+0330")

    def test_reasons_are_in_the_reader_s_language_but_not_in_json(self):
        spanish = {"LC_ALL": "C.UTF-8", "LANGUAGE": "es"}
        words = ("vol-create-as", "one", "v", "1M", "--format", "qcow3")
        self.says(2, words, "tipo de formato de volumen desconocido: qcow3", **spanish)
        self.says(2, (*words, "--json"), "unknown volume format type qcow3", **spanish)

    def test_the_daemon_speaks_the_reader_s_language_in_its_help(self):
        daemon = os.path.join(os.path.dirname(space.CISTERN), "cisternd")
        out = subprocess.run([daemon, "--help"], stdout=subprocess.PIPE, check=True, text=True,
                             env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "es"}).stdout
        self.assertIn("--config=ARCHIVO", out)


if __name__ == "__main__":
    unittest.main()
