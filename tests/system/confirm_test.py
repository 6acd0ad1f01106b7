# SPDX-License-Identifier: LGPL-2.1-or-later
"""What destroys data asks a person at a terminal. Every command that the table says destroys has
its case here."""

import hashlib
import json
import os
import pty
import select
import subprocess

from harness import peers, space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
SECRET = "aaaaaaaa-0000-0000-0000-00000000000c"

# Command line, by command; {at} is the directory of pools, {uri} the daemon. All of them would succeed.
CASES = {
    "vol-delete": "vol-delete v --pool p",
    "vol-wipe": "vol-wipe v --pool p",
    "vol-upload": "vol-upload v {at}/data --pool p",
    "vol-download": "vol-download v {at}/data --pool p",
    "vol-copy": "vol-copy v --pool p --to {uri} --name snapped --update",
    "vol-export": "vol-export v {at}/data --pool p",
    "vol-resize": "vol-resize v 1M --pool p --shrink",
    "vol-commit": "vol-commit top --pool p",
    "vol-consolidate": "vol-consolidate layer2 --pool p --delete-layers",
    "snap-revert": "snap-revert snapped s --pool p",
    "snap-delete": "snap-delete snapped s --pool p",
    "pool-delete": "pool-delete idle",
    "secret-undefine": f"secret-undefine {SECRET}",
    "image-create": "image-create {at}/old.img 1M --format qcow2",
    "image-convert": "image-convert {at}/data {at}/old.img -f raw -O qcow2",
    "image-dd": "image-dd -f raw if={at}/data of={at}/old.img",
    "image-bench": "image-bench {at}/data -f raw -w -c 4",
    "image-resize": "image-resize {at}/old.img 1M -f qcow2 --shrink",
    "image-amend": "image-amend {at}/old.img -f qcow2 -o size=1M --shrink",
    "image-snapshot": "image-snapshot {at}/p/snapped -f qcow2 --apply s",
    "image-commit": "image-commit {at}/p/top -f qcow2 --backing-chain",
    "trash-empty": "trash-empty --pool kept",
    "backup-forget": "backup-forget {at}/repo latest",
    "backup-unlock": "backup-unlock {at}/repo --all",
    "schedule-delete": "schedule-delete nightly",
}
# Pools of directories refuse to be overwritten: these ask, and fail afterwards.
REFUSED = {
    "pool-build": "pool-build idle --overwrite",
    "pool-start": "pool-start idle --build --overwrite",
    "pool-create-as": "pool-create-as new dir --target {at}/new --build --overwrite",
    "pool-define-as": "pool-define-as new dir --target {at}/new --build --overwrite",
    "pool-create": "pool-create {at}/pool.xml --build --overwrite",
}
# The same commands with a name that does not exist. A question would be of no use.
MISSING = {
    "vol-delete": "vol-delete nosuch --pool p",
    "vol-wipe": "vol-wipe nosuch --pool p",
    "vol-upload": "vol-upload nosuch {at}/data --pool p",
    "vol-upload, file": "vol-upload v {at}/nosuch --pool p",
    "vol-download": "vol-download nosuch {at}/data --pool p",
    "vol-copy": "vol-copy nosuch --pool p --to {uri} --name snapped --update",
    "vol-export": "vol-export nosuch {at}/data --pool p",
    "vol-export, snapshot": "vol-export snapped {at}/data --pool p --snapshot nosuch",
    "vol-resize": "vol-resize nosuch 1M --pool p --shrink",
    "vol-commit": "vol-commit nosuch --pool p",
    "vol-consolidate": "vol-consolidate nosuch --pool p --delete-layers",
    "snap-revert": "snap-revert snapped nosuch --pool p",
    "snap-delete": "snap-delete snapped nosuch --pool p",
    "pool-delete": "pool-delete nosuch",
    "pool-build": "pool-build nosuch --overwrite",
    "pool-start": "pool-start nosuch --build --overwrite",
    "pool-create": "pool-create {at}/nosuch.xml --build --overwrite",
    "secret-undefine": "secret-undefine bbbbbbbb-0000-0000-0000-00000000000c",
    "image-convert": "image-convert {at}/nosuch {at}/old.img -f raw -O qcow2",
    "image-dd": "image-dd -f raw if={at}/nosuch of={at}/old.img",
    "image-bench": "image-bench {at}/nosuch -f raw -w -c 4",
    "image-resize": "image-resize {at}/nosuch 1M -f qcow2 --shrink",
    "image-amend": "image-amend {at}/nosuch -f qcow2 -o size=1M --shrink",
    "image-snapshot": "image-snapshot {at}/p/snapped -f qcow2 --apply nosuch",
    "image-snapshot, delete": "image-snapshot {at}/p/snapped -f qcow2 --delete nosuch",
    "image-commit": "image-commit {at}/p/nosuch -f qcow2 --backing-chain",
    "trash-empty": "trash-empty nosuch --pool kept",
    "backup-forget": "backup-forget {at}/repo nosuch",
    "backup-unlock": "backup-unlock {at}/nosuch --all",
    "schedule-delete": "schedule-delete nosuch",
}
# The same commands where they destroy nothing.
HARMLESS = ("vol-resize v 8M --pool p", "vol-download v {at}/fresh --pool p",
            "image-resize {at}/old.img 9M -f qcow2", "image-amend {at}/old.img -f qcow2 -o size=9M",
            "image-create {at}/fresh.img 1M --format raw", "vol-consolidate top --pool p",
            "image-dd -f raw if={at}/data of={at}/part.img", "image-bench {at}/data -f raw -c 4",
            "image-snapshot {at}/p/snapped -f qcow2 --create other", "pool-build idle")
# virsh has none of these.
OURS = ("image-", "snap-", "backup-", "trash-", "schedule-", "vol-commit", "vol-consolidate",
        "vol-copy", "vol-export")


class Confirm(WithDaemon):
    def setUp(self):
        super().setUp()
        for name in ("idle", "kept"):
            os.makedirs(self.at(name))
        self.assertEqual(0, self.cistern("pool-create-as", "kept", "dir", "--target",
                                         self.at("kept"), "--trash", "7")[0])
        secret = self.file("secret.xml", "<secret ephemeral='no' private='no'>"
                           f"<uuid>{SECRET}</uuid></secret>")
        self.ok("vol-create-as p v 4M; vol-create-as p base 4M --format qcow2; "
                "vol-create-as p top 4M --format qcow2 --backing-vol base --backing-vol-format qcow2; "
                "vol-create-as p snapped 4M --format qcow2; "
                "vol-create-as p layer0 4M --format qcow2; "
                "vol-create-as p layer1 4M --format qcow2 --backing-vol layer0 --backing-vol-format qcow2; "
                "vol-create-as p layer2 4M --format qcow2 --backing-vol layer1 --backing-vol-format qcow2; "
                "vol-create-as kept gone 1M; vol-delete gone --pool kept; "
                f"pool-define-as idle dir --target {self.at('idle')}; secret-define {secret}")
        peers.run(["qemu-img", "snapshot", "-c", "s", self.at("p", "snapped")])
        peers.run(["qemu-io", "-f", "qcow2", "-c", "write -P 9 0 64k", self.at("p", "snapped")])
        with open(self.at("p", "v"), "r+b") as stream:
            stream.write(b"v" * MIB)
        peers.run(["qemu-io", "-f", "qcow2", "-c", "write -P 9 0 64k", self.at("p", "top")])
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", self.at("old.img"), "8M"])
        with open(self.at("data"), "wb") as stream:
            stream.write(b"x" * MIB)
        with open(self.at("pool.xml"), "w", encoding="ascii") as stream:
            stream.write(f"<pool type='dir'><name>new</name><target><path>{self.at('new')}</path>"
                         "</target></pool>")
        self.make_repository(self.at("repo"))
        self.cistern("schedule-create", "nightly", "--every", "daily", "--do", "check", "p")

    def make_repository(self, where):
        """With a backup, and with the lock of another host."""
        for words in (("backup-init", where, "--no-encryption"),
                      ("backup-create", where, "v", "--pool", "p")):
            status, _, err = self.cistern(*words)
            self.assertEqual(0, status, err)
        lock = os.path.join(where, "locks", "f" * 32)
        with open(lock, "w", encoding="ascii") as stream:
            stream.write("1\nshared\n123\n1700000000\nelsewhere 0123456789abcdef\n")
        os.chmod(lock, 0o600)

    def tearDown(self):
        self.virsh("secret-undefine", SECRET)

    def words(self, command):
        return [space.CISTERN, "-c", self.peer.uri, *command.format(at=self.at(), uri=self.peer.uri).split()]

    def state(self):
        """Everything that a command here could destroy."""
        found = {"secrets": self.virsh("secret-list")[1],
                 "schedules": self.cistern("schedule-list", "--columns", "name")[1]}
        for top, dirs, files in os.walk(self.at()):
            found.update({os.path.join(top, name): None for name in dirs})
            for name in files:
                with open(os.path.join(top, name), "rb") as stream:
                    found[os.path.join(top, name)] = hashlib.sha256(stream.read()).hexdigest()
        return found

    def at_terminal(self, command, answer):
        """(exit status, what the terminal showed) of a command with a terminal for everything."""
        master, slave = pty.openpty()
        with subprocess.Popen(self.words(command), stdin=slave, stdout=slave, stderr=slave,
                              env=space.ENV, start_new_session=True) as process:
            os.close(slave)
            shown, asked = b"", False

            def ended():
                nonlocal shown, asked
                while select.select([master], [], [], 0)[0]:
                    try:
                        shown += os.read(master, 4096)
                    except OSError:
                        return True
                if b"[y/N]" in shown and not asked:
                    asked = True
                    os.write(master, answer.encode() + b"\n")
                return process.poll() is not None

            self.wait_until(ended, f"'{command}' ends", lambda: shown)
            process.wait(wait.LIMIT_S)
        os.close(master)
        return process.returncode, shown.decode(errors="replace")

    def test_the_table_of_this_test_is_whole(self):
        status, out, err = self.cistern("--json", "help")
        self.assertEqual(0, status, err)
        destroying = {command["name"] for group in json.loads(out)["groups"]
                      for command in group["commands"] if command.get("destroys")}
        self.assertEqual(destroying, set(CASES) | set(REFUSED))

    def test_no_is_an_answer(self):
        before = self.state()
        for name, command in {**CASES, **REFUSED}.items():
            with self.subTest(command=name):
                status, shown = self.at_terminal(command, "n")
                self.assertIn("[y/N]", shown)
                self.assertNotEqual(0, status)
                self.assertEqual(before, self.state())

    def test_yes_is_an_answer(self):
        for name, command in CASES.items():
            with self.subTest(command=name):
                before = self.state()
                status, shown = self.at_terminal(command, "y")
                self.assertEqual((0, True), (status, "[y/N]" in shown), shown)
                self.assertNotEqual(before, self.state())
                self.tearDown()
                self.setUp()

    def test_who_says_yes_is_not_asked(self):
        for name, command in CASES.items():
            with self.subTest(command=name):
                status, shown = self.at_terminal(command + " --yes", "n")
                self.assertEqual((0, False), (status, "[y/N]" in shown), shown)
                self.tearDown()
                self.setUp()

    def test_what_destroys_nothing_does_not_ask(self):
        for command in HARMLESS:
            with self.subTest(command=command):
                status, shown = self.at_terminal(command, "n")
                self.assertEqual((0, False), (status, "[y/N]" in shown), shown)

    def test_question_is_not_asked_about_a_name_that_does_not_exist(self):
        for name, command in MISSING.items():
            with self.subTest(command=name):
                status, shown = self.at_terminal(command, "n")
                self.assertNotIn("[y/N]", shown)
                self.assertNotIn(status, (0, 10), shown)
                self.assertIn("error: ", shown)

    def test_without_a_terminal(self):
        """Scripts of virsh's commands go on; ours want --yes."""
        for name, command in CASES.items():
            with self.subTest(command=name):
                before = self.state()
                status, _, err = peers.run(self.words(command))
                if name.startswith(OURS):
                    self.assertEqual((2, True), (status, "--yes" in err), err)
                    self.assertEqual(before, self.state())
                    continue
                self.assertEqual(0, status, err)
                self.assertNotIn("[y/N]", err)
                self.tearDown()
                self.setUp()
