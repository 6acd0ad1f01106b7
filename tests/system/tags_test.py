# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tags and notes of volumes and snapshots: they follow their object, and end with it."""

import json
import os
import sqlite3
import subprocess

from harness import peers, space
from harness.cases import WithDaemon, WithTwoDaemons


class Tags(WithDaemon):
    def setUp(self):
        super().setUp()
        os.makedirs(self.at("q"))
        self.good("pool-create-as", "q", "dir", "--target", self.at("q"), "--trash", "7")
        self.good("vol-create-as", "p", "a", "1M", "--format", "qcow2")

    def good(self, *words, **options):
        status, out, err = self.cistern(*words, **options)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def bad(self, status, text, *words):
        found, _out, err = self.cistern(*words)
        self.assertEqual(status, found, err)
        self.assertIn(text, err)

    def tags(self, vol, *words):
        return [row["tag"] for row in json.loads(self.good("vol-tag", vol, *words, "--json"))["tags"]]

    def note(self, vol, *words):
        return json.loads(self.good("vol-note", vol, *words, "--json"))["note"]

    def marked(self, vol="p/a"):
        """A volume with tags, a note, and a tagged snapshot."""
        self.good("vol-tag", vol, "nightly", "gold")
        self.good("vol-note", vol, "owned by Zoë\nsecond line")
        self.good("snap-create", vol, "s")
        self.good("vol-tag", vol, "keep", "--snapshot", "s")

    def assert_marked(self, vol, snapshot="s"):
        self.assertEqual(["gold", "nightly"], self.tags(vol))
        self.assertEqual("owned by Zoë\nsecond line", self.note(vol))
        if snapshot:
            self.assertEqual(["keep"], self.tags(vol, "--snapshot", snapshot))

    def assert_bare(self, vol):
        self.assertEqual([], self.tags(vol))
        self.assertIsNone(self.note(vol))


class Commands(Tags):
    def test_tags_are_added_removed_and_cleared(self):
        self.good("vol-tag", "p/a", "b", "a", "b")
        self.assertEqual(["a", "b"], self.tags("p/a"))
        self.good("vol-tag", "p/a", "c", "--remove", "a,nosuch")
        self.assertEqual(["b", "c"], self.tags("p/a"))
        self.good("vol-tag", "p/a", "d", "--dry-run")
        self.assertEqual(["b", "c"], self.tags("p/a"))
        self.good("vol-tag", "p/a", "--clear", "x")
        self.assertEqual(["x"], self.tags("p/a"))
        self.good("vol-tag", "a", "--pool", "p", "--clear")
        self.assertEqual([], self.tags("p/a"))

    def test_mistakes_change_no_tag(self):
        self.good("vol-tag", "p/a", "old")
        for tag in ("", "a b", "a/b", "-x", ".x", "é", "x" * 64, "a,b", "a\nb"):
            with self.subTest(tag):
                status, _out, err = self.cistern("vol-tag", "p/a", "new", "--", tag)
                self.assertEqual(2, status, err)
        self.assertEqual(["old"], self.tags("p/a"))
        self.good("vol-tag", "p/a", "x" * 63, *(f"t{i}" for i in range(62)))
        self.assertEqual(64, len(self.tags("p/a")))
        self.bad(1, "65 tags", "vol-tag", "p/a", "another")
        self.assertEqual(64, len(self.tags("p/a")))
        self.bad(3, "nosuch", "vol-tag", "p/nosuch", "x")
        self.bad(3, "no snapshot 'nosuch'", "vol-tag", "p/a", "x", "--snapshot", "nosuch")
        self.bad(3, "no snapshot 'nosuch'", "vol-tag", "p/a", "--snapshot", "nosuch")

    def test_note_is_text_of_up_to_four_kib(self):
        self.good("vol-note", "p/a", "é" * 2048)
        self.assertEqual("é" * 2048, self.good("vol-note", "p/a").rstrip("\n"))
        for text in ("é" * 2048 + "x", "a\tb", "\x1b[31m", "\u202e", "a\rb"):
            with self.subTest(text[:9]):
                self.assertEqual(2, self.cistern("vol-note", "p/a", text)[0])
        self.assertEqual("é" * 2048, self.note("p/a"))
        self.good("vol-note", "p/a", "--clear")
        self.assertEqual("", self.good("vol-note", "p/a").strip())
        self.bad(2, "--clear", "vol-note", "p/a", "x", "--clear")

    def test_lists_show_and_filter_tags(self):
        self.marked()
        self.good("vol-create-as", "p", "b", "1M")
        self.good("vol-tag", "p/b", "gold")
        rows = json.loads(self.good("vol-list", "p", "--columns", "name,tags,note", "--json"))
        self.assertEqual([{"name": "a", "tags": ["gold", "nightly"],
                           "note": "owned by Zoë\nsecond line"},
                          {"name": "b", "tags": ["gold"], "note": None}],
                         [row for row in rows["volumes"] if row["name"] in "ab"])
        for filter_, names in (("tags=nightly", "a"), ("tags = gold", "ab"), ("tags=night", ""),
                               ("tags~^night", "a"), ("tags=gold and tags!=nightly", "b"),
                               ("tags=nightly or tags=gold", "ab"), ("note~Zoë", "a")):
            with self.subTest(filter_):
                out = self.good("vol-list", "p", "--filter", filter_, "--columns", "name", "-H")
                self.assertEqual(sorted(names), out.split())
        self.bad(2, "list", "vol-list", "p", "--filter", "tags>a")
        self.assertRegex(self.good("vol-info", "p/a"), r"Tags: +gold nightly\n")
        self.assertNotIn("Note", self.good("vol-info", "p/b"))
        info = json.loads(self.good("vol-info", "p/a", "--json"))["volume"]
        self.assertEqual(["gold", "nightly"], info["tags"])
        (row,) = json.loads(self.good("snap-list", "p/a", "--columns", "name,tags,note",
                                      "--json"))["snapshots"]
        self.assertEqual({"name": "s", "tags": ["keep"], "note": None}, row)
        self.assertEqual(["keep"],
                         json.loads(self.good("snap-info", "p/a", "s", "--json"))["snapshot"]["tags"])


class Following(Tags):
    def test_tags_follow_a_rename(self):
        self.marked()
        self.good("vol-rename", "p/a", "b")
        self.assert_marked("p/b")
        self.good("vol-create-as", "p", "a", "1M")
        self.assert_bare("p/a")

    def test_tags_follow_a_move_with_snapshots(self):
        self.marked()
        self.good("vol-move", "p/a", "--newpool", "q", "--name", "b")
        self.assert_marked("q/b")
        self.good("vol-create-as", "p", "a", "1M")
        self.assert_bare("p/a")

    def test_tags_follow_a_moved_file(self):
        self.good("vol-create-as", "p", "plain", "1M")
        self.good("vol-tag", "p/plain", "x")
        self.good("vol-move", "p/plain", "--newpool", "q")
        self.assertEqual(["x"], self.tags("q/plain"))

    def test_tags_are_in_the_trash_with_the_volume(self):
        self.good("vol-create-as", "q", "a", "1M", "--format", "qcow2")
        self.marked("q/a")
        self.good("vol-delete", "q/a", "--yes", "--delete-snapshots")
        self.good("vol-create-as", "q", "a", "1M")
        self.assert_bare("q/a")
        self.good("trash-restore", "a", "--pool", "q", "--name", "b")
        self.assert_marked("q/b")

    def test_tags_end_with_the_volume(self):
        self.marked()
        self.good("vol-delete", "p/a", "--yes")
        self.good("vol-create-as", "q", "a", "1M", "--format", "qcow2")
        self.marked("q/a")
        self.good("vol-delete", "q/a", "--yes")
        self.good("trash-empty", "a", "--pool", "q", "--yes")
        path = os.path.join(self.peer.root, "var/lib/cistern/tags.db")
        uuids = [self.good("pool-uuid", pool).strip() for pool in "pq"]
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            found = base.execute("SELECT * FROM tagged WHERE pool IN (?, ?)", uuids).fetchall()
            self.assertEqual([], found)
            self.assertEqual([], base.execute("SELECT * FROM tags WHERE object NOT IN"
                                              " (SELECT id FROM tagged)").fetchall())
        self.good("vol-create-as", "p", "a", "1M")
        self.assert_bare("p/a")

    def test_clone_has_no_tags(self):
        self.marked()
        self.good("vol-clone", "p/a", "b")
        self.good("snap-clone", "p/a", "s", "c")
        self.assert_bare("p/b")
        self.assert_bare("p/c")

    def test_tags_follow_snapshots(self):
        self.marked()
        self.good("snap-rename", "p/a", "s", "t")
        self.assert_marked("p/a", "t")
        self.good("snap-revert", "p/a", "t", "--yes")
        self.assert_marked("p/a", "t")
        self.good("pool-refresh", "p")
        self.assert_marked("p/a", "t")
        self.good("snap-delete", "p/a", "t", "--yes")
        for name in ("s", "t"):
            self.good("snap-create", "p/a", name)
            self.assertEqual([], self.tags("p/a", "--snapshot", name))

    def test_snapshot_of_another_program_gets_no_tags_by_snap_create(self):
        self.marked()
        status, _out, err = peers.run(["qemu-img", "snapshot", "-d", "s", self.at("p", "a")])
        self.assertEqual(0, status, err)
        self.good("snap-create", "p/a", "s")
        self.assertEqual([], self.tags("p/a", "--snapshot", "s"))

    def test_tags_are_in_a_backup(self):
        self.marked()
        repo, key = os.path.join(self.peer.files, "repo"), self.file("key", b"k" * 32)
        os.chmod(key, 0o600)
        self.good("backup-init", repo, "--key-file", key)
        self.good("backup-create", repo, "p/a", "--key-file", key)
        (row,) = json.loads(self.good("backup-info", repo, "latest", "--key-file", key,
                                      "--json"))["volumes"]
        self.assertEqual((["gold", "nightly"], "owned by Zoë\nsecond line"),
                         (row["tags"], row["note"]))
        self.good("vol-tag", "p/a", "--clear", "later")
        self.good("backup-restore", repo, "latest", "--newname", "b", "--key-file", key)
        self.assert_marked("p/b", None)

    def test_daemon_and_restarted_daemon_show_the_same_tags(self):
        self.marked()
        self.peer.restart()
        self.assert_marked("p/a")


class Copies(WithTwoDaemons):
    def test_tags_travel_with_a_copy(self):
        os.makedirs(os.path.join(self.far.dir, "p"), exist_ok=True)
        self.make_pool_there(os.path.join(self.far.dir, "p"))
        for words in (("vol-create-as", "p", "a", "1M", "--format", "qcow2"),
                      ("vol-tag", "p/a", "gold"), ("vol-note", "p/a", "the note"),
                      ("vol-copy", "p/a", "--to", self.far.uri)):
            status, _out, err = self.cistern(*words)
            self.assertEqual(0, status, err)
        far = [space.CISTERN, "-c", self.far.uri]
        out = subprocess.run([*far, "vol-list", "p", "--columns", "name,tags,note", "--json"],
                             env=space.ENV, stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual([{"name": "a", "tags": ["gold"], "note": "the note"}],
                         json.loads(out)["volumes"])


class Selectors(Tags):
    def history(self):
        return json.loads(self.good("schedule-history", "s", "--json"))["runs"]

    def test_schedule_selects_the_volumes_of_a_tag_in_all_active_pools(self):
        self.good("vol-create-as", "q", "b", "1M", "--format", "qcow2")
        self.good("vol-create-as", "p", "c", "1M", "--format", "qcow2")
        self.good("vol-create-as", "q", "gone", "1M", "--format", "qcow2")
        for vol in ("p/a", "q/b", "q/gone"):
            self.good("vol-tag", vol, "nightly")
        self.good("vol-tag", "p/c", "weekly")
        os.unlink(self.at("q", "gone"))
        self.good("pool-refresh", "q")
        self.good("schedule-create", "s", "--every", "*-02-29 03:00", "--do", "snapshot",
                  "tag:nightly", "tag:nosuch")
        self.addCleanup(self.good, "schedule-delete", "s", "--yes")
        self.good("schedule-run", "s")
        for vol, count in (("p/a", 1), ("q/b", 1), ("p/c", 0)):
            out = json.loads(self.good("snap-list", vol, "--json"))["snapshots"]
            self.assertEqual(count, len(out), vol)
        (run,) = self.history()
        self.assertEqual(("done", 2), (run["result"], run["made"]))
        self.assertIn("tag:nosuch: selects no volumes", run["message"])

    def test_schedule_of_a_tag_without_volumes_fails(self):
        self.bad(2, "tag:-x", "schedule-create", "s", "--every", "daily", "--do", "snapshot",
                 "tag:-x")
        self.good("schedule-create", "s", "--every", "*-02-29 03:00", "--do", "snapshot",
                  "tag:nosuch")
        self.addCleanup(self.good, "schedule-delete", "s", "--yes")
        self.bad(3, "selects no volumes at present", "schedule-run", "s")
        self.assertEqual("failed", self.history()[0]["result"])
