# SPDX-License-Identifier: LGPL-2.1-or-later
"""An image whose header is damaged: still an image, with a problem, and never a raw disk."""

import json
import os

from harness import peers, space
from harness.cases import WithDaemon

# Where the bytes are that say which version of the format follows, and others to put there.
VERSIONS = {"qcow2": (4, b"\0\0\0\4"), "vmdk": (4, b"\x63\0\0\0"), "vdi": (68, b"\0\0\7\0"),
            "vpc": (12, b"\0\7\0\0")}


class Damaged(WithDaemon):
    def damage(self, form):
        """A volume of that format with an unknown version in its header; its bytes."""
        self.ok("vol-create-as", "p", "v", "4M", "--format", form)
        offset, version = VERSIONS[form]
        # A VHD's footer at its end says what it is, too.
        with open(self.at("p", "v"), "r+b") as stream:
            stream.seek(offset)
            stream.write(version)
            if form == "vpc":
                stream.seek(-512 + offset, os.SEEK_END)
                stream.write(version)
        self.ok("pool-refresh", "p")
        return self.content("v")

    def content(self, name):
        with open(self.at("p", name), "rb") as stream:
            return stream.read()

    def row(self, name):
        status, out, err = self.cistern("--json", "vol-list", "p", "--details")
        self.assertEqual(0, status, err)
        return next(row for row in json.loads(out)["volumes"] if row["name"] == name)

    def test_a_damaged_volume_keeps_its_format_and_shows_the_problem(self):
        for form in VERSIONS:
            with self.subTest(form=form):
                before = self.damage(form)
                row = self.row("v")
                self.assertEqual(form, row["format"])
                self.assertIn(f"the {form} header is damaged", row["problem"])
                # The pool and stock clients go on.
                self.assertIn("v", self.ok("vol-list", "p", "--details"))
                self.ok("vol-info", "v", "--pool", "p")
                self.ok("vol-dumpxml", "v", "--pool", "p")
                for words in (["vol-clone", "v", "w"], ["vol-resize", "v", "8M"]):
                    self.fails(*words, "--pool", "p")
                status, _, err = self.cistern("vol-convert", "v", "w", "--format", "raw", "--pool",
                                              "p")
                self.assertNotEqual(0, status, err)
                status, out, err = peers.run([space.CISTERN, "image-info", self.at("p", "v")])
                self.assertEqual((1, True), (status, f"the {form} header is damaged" in err), out)
                self.assertEqual((["v"], before), (self.entries("p"), self.content("v")))
                # What is there can be saved, and thrown away.
                self.ok("vol-download", "v", self.at("saved"), "--pool", "p")
                with open(self.at("saved"), "rb") as stream:
                    self.assertEqual(before, stream.read())
                self.ok("vol-delete", "v", "--pool", "p")

    def test_a_volume_made_raw_stays_raw(self):
        self.ok("vol-create-as", "p", "v", "4M")
        with open(self.at("p", "v"), "r+b") as stream:
            stream.write(b"QFI\xfb\0\0\0\7")
        self.ok("pool-refresh", "p")
        self.assertEqual(("raw", None), (self.row("v")["format"], self.row("v").get("problem")))
        self.ok("vol-clone", "v", "w", "--pool", "p")
