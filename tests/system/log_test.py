# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon's log at level debug: a request can be followed through all that it sets off."""

import os
import re

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d{4}"
LINE = re.compile(TIME + r": (?:error|warning|info|debug): "
                         r"(?:\[(?P<id>\d+\.\d+)\] )?(?P<text>.*)")
# What takes its time differs from run to run.
MS = re.compile(r"\d+\.\d ms")
# A call of a backend, a blob or an image format, as their dispatchers log it.
CALL = re.compile(r"(\w+\.[\w.>-]+) '.*: \d+ us, ")


class Requests(WithDaemon):
    CONFIG = "[log]\nlevel = debug\n"

    @classmethod
    def setUpClass(cls):
        """LVM's tool is a script that knows no volume group."""
        tools = space.path("tools")
        os.makedirs(tools, exist_ok=True)
        with open(os.path.join(tools, "lvm"), "w", encoding="utf-8") as out:
            out.write("#!/bin/sh\necho '  Volume group not found' >&2\nexit 5\n")
        os.chmod(os.path.join(tools, "lvm"), 0o755)
        cls.peer = peers.Cisternd(config=cls.CONFIG,
                                  env={"PATH": tools + ":" + space.ENV["PATH"]})
        cls.peer.fresh()

    def setUp(self):
        super().setUp()
        self.mark = len(self.peer.log())

    def lines(self):
        """(id, text) of what was logged since the test began; each line has its form."""
        found = []
        for line in self.peer.log()[self.mark:].splitlines():
            match = LINE.fullmatch(line)
            self.assertTrue(match, line)
            found.append((match["id"], MS.sub("N ms", match["text"])))
        return found

    def wait_for(self, pattern):
        """A client may know of the end of its call before the log does."""
        self.wait_until(lambda: any(re.search(pattern, text) for _, text in self.lines()),
                        f"the log has '{pattern}'", self.lines)

    def followed(self, procedure):
        """What was logged for the one call of @procedure, but the calls through vtables."""
        return [text for text in self.all_of(procedure) if not CALL.match(text)]

    def all_of(self, procedure):
        """All that was logged for the one call of @procedure, from its begin to its end."""
        self.wait_for(f"^{procedure} (ended|failed) ")
        begun = [(number, text) for number, text in self.lines()
                 if text.startswith(procedure + " begins")]
        self.assertEqual(1, len(begun), begun)
        number = begun[0][0]
        self.assertRegex(number, r"^[1-9]\d*\.[1-9]\d*$")
        return [text for other, text in self.lines() if other == number]

    def begin(self, procedure):
        return rf"{procedure} begins for process \d+ of user {os.geteuid()}: "

    def assert_said(self, patterns, said):
        self.assertEqual(len(patterns), len(said), said)
        for pattern, text in zip(patterns, said):
            self.assertRegex(text, "^" + pattern + "$")

    def test_a_new_volume(self):
        self.ok("vol-create-as", "p", "v", "1M")
        self.assert_said([self.begin("virStorageVolCreateXML") +
                          r"'p' [0-9a-f-]{36} XML of \d+ bytes",
                          r"job \(create of volume 'v' in pool 'p'\) begins",
                          r"job \(create of volume 'v' in pool 'p'\) ended after N ms",
                          r"virStorageVolCreateXML ended after N ms"],
                         self.followed("virStorageVolCreateXML"))
        said = self.all_of("virStorageVolCreateXML")
        calls = [match[1] for match in map(CALL.match, said) if match]
        self.assertEqual(len(said), len(calls) + 4, said)
        wanted = ["dir.vol_reserve", "file.resize", "dir.vol_commit", "dir.usage"]
        self.assertEqual(wanted, [call for call in calls if call in wanted], said)

    def test_a_snapshot(self):
        self.ok("vol-create-as", "p", "v", "1M", "--format", "qcow2")
        self.assertEqual(0, self.cistern("snap-create", "v", "first", "--pool", "p")[0])
        self.assert_said([self.begin("cisternVolSnapshotCreateSet") + r"'p' 'v' '.*/p/v' 'first'",
                          r"job \(snapshot of volume 'v' in pool 'p'\) begins",
                          r"job \(snapshot of volume 'v' in pool 'p'\) ended after N ms",
                          r"cisternVolSnapshotCreateSet ended after N ms"],
                         self.followed("cisternVolSnapshotCreateSet"))
        self.assertIn("qcow2.snapshots->create 'v': N us, done",
                      [re.sub(r"\d+ us", "N us", text)
                       for text in self.all_of("cisternVolSnapshotCreateSet")])

    def test_a_failure(self):
        self.assertNotEqual(0, self.virsh("vol-create-as", "p", "a/b", "1M")[0])
        said = self.followed("virStorageVolCreateXML")
        self.assertRegex(said[-1], r"^virStorageVolCreateXML failed after N ms: .*'a/b'")

    def test_tools(self):
        self.ok("pool-define-as", "group", "logical", "--source-name", "group",
                "--target", self.at("dev"))
        self.assertNotEqual(0, self.virsh("pool-start", "group")[0])
        said = self.followed("virStoragePoolCreate")
        self.assertRegex(said[0], self.begin("virStoragePoolCreate") + "'group' ")
        self.assertEqual("job (start of pool 'group') begins", said[1])
        self.assertRegex(said[2], r"^runs: /.*/tools/lvm fullreport --.* group$")
        self.assertRegex(said[3], r"^/.*/tools/lvm ended after N ms with status 5$")
        self.assertRegex(said[-2], r"^job \(start of pool 'group'\) failed after N ms: ")
        self.assertRegex(said[-1], r"^virStoragePoolCreate failed after N ms: ")

    def test_an_upload_goes_on_after_its_call(self):
        """Pieces of it are written by other threads; once it is listed it has a number."""
        self.ok("vol-create-as", "p", "v", "16M")
        source = self.file("source", os.urandom(16 * MIB))
        done = self.cistern("vol-upload", "v", source, "--pool", "p", "--rate-limit", "24M")
        self.assertEqual(0, done[0], done)
        self.wait_for(r"\(upload of volume 'v' in pool 'p'\) ended")
        self.assert_said([self.begin("virStorageVolUpload") + r"'p' 'v' '.*/p/v'",
                          r"job \(upload of volume 'v' in pool 'p'\) begins",
                          r"virStorageVolUpload ended after N ms",
                          r"job \(upload of volume 'v' in pool 'p'\) is listed as number [1-9]\d*",
                          r"job \(upload of volume 'v' in pool 'p'\) ended after N ms"],
                         self.followed("virStorageVolUpload"))

    def test_connections_and_refusals(self):
        status = peers.run(["virsh", "-c", self.peer.uri_ro, "pool-destroy", "p"])[0]
        self.assertNotEqual(0, status)
        self.wait_for("^connection [0-9]+ of process .* ends: ")
        texts = [text for _, text in self.lines()]
        begun = re.search(r"^connection (\d+) of process \d+ of user \d+ begins, for reading$",
                          "\n".join(texts), re.M)
        self.assertTrue(begun, texts)
        refused = [number for number, text in self.lines() if text.startswith(
            "the call of procedure 80 is refused: read only access prevents virStoragePoolDestroy")]
        self.assertEqual(1, len(refused), texts)
        self.assertEqual(begun[1], refused[0].split(".")[0])

    def test_no_secret_is_shown(self):
        uuid = "0b8d9a0e-4f2d-4e0e-9a53-2d7f0f4f2c11"
        xml = self.file("secret.xml", f"<secret private='yes'><uuid>{uuid}</uuid>"
                                      "<description>whisper</description></secret>")
        self.ok("secret-define", xml)
        self.addCleanup(self.virsh, "secret-undefine", uuid)
        self.ok("secret-set-value", uuid, "--file", self.file("value", "opensesame"))
        self.assertIn("(not shown)", " ".join(self.followed("virSecretSetValue")))
        for hidden in ("opensesame", "b3BlbnNlc2FtZQ", "whisper"):
            self.assertNotIn(hidden, self.peer.log())
