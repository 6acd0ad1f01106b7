# SPDX-License-Identifier: LGPL-2.1-or-later
"""The audit trail: the records of commands and of stock clients, and what must not be in them."""

import json
import os
import signal

import libvirt

from harness import peers, space
from harness.cases import WithDaemon

SECRET = "aaaaaaaa-0000-0000-0000-0000000000a1"
CANARY = "kanarienvogel"


class WithTrail(WithDaemon):
    def setUp(self):
        super().setUp()
        self.seen = self.last()

    def trail(self):
        return os.path.join(self.peer.root, "var/lib/cistern/audit")

    def records(self, *words):
        status, out, err = self.cistern("--json", "audit-list", *words)
        self.assertEqual(0, status, err)
        return json.loads(out)["records"]

    def last(self):
        return max((record["seq"] for record in self.records()), default=0)

    def new_records(self):
        """The records since the last call."""
        found = [record for record in self.records() if record["seq"] > self.seen]
        self.seen = max((record["seq"] for record in found), default=self.seen)
        return found

    def one(self, procedure, result="done"):
        records = self.new_records()
        self.assertEqual([(procedure, result)],
                         [(record["procedure"], record["result"]) for record in records])
        return records[0]

    def verify(self, *words):
        return self.cistern("--json", "audit-verify", *words)


class Records(WithTrail):
    def test_each_changing_command_of_virsh_gives_one_record(self):
        pool = self.at("second")
        os.makedirs(pool)
        data = self.file("data", "x" * 4096)
        secret = self.file("secret.xml", "<secret ephemeral='no' private='no'>"
                           f"<uuid>{SECRET}</uuid></secret>")
        for command, procedure, found in (
                (f"pool-define-as second dir --target {pool}", "virStoragePoolDefineXML", "pool second"),
                ("pool-start second", "virStoragePoolCreate", "pool second"),
                ("pool-refresh second", "virStoragePoolRefresh", "pool second"),
                ("pool-autostart second", "virStoragePoolSetAutostart", "pool second"),
                ("vol-create-as second v 4M", "virStorageVolCreateXML", "volume second/v"),
                ("vol-clone v w --pool second", "virStorageVolCreateXMLFrom", "volume second/w"),
                ("vol-resize v 8M --pool second", "virStorageVolResize", "volume second/v"),
                (f"vol-upload v {data} --pool second", "virStorageVolUpload", "volume second/v"),
                ("vol-wipe v --pool second", "virStorageVolWipePattern", "volume second/v"),
                ("vol-delete v --pool second", "virStorageVolDelete", "volume second/v"),
                ("pool-destroy second", "virStoragePoolDestroy", "pool second"),
                ("pool-undefine second", "virStoragePoolUndefine", "pool second"),
                (f"secret-define {secret}", "virSecretDefineXML", f"secret {SECRET}"),
                (f"secret-undefine {SECRET}", "virSecretUndefine", f"secret {SECRET}")):
            with self.subTest(command=command):
                status, _, err = self.virsh(*command.split())
                self.assertEqual(0, status, err)
                records = self.new_records()
                self.assertEqual([(procedure, found, "done", "socket")],
                                 [(record["procedure"], record["object"], record["result"],
                                   record["via"]) for record in records])
                self.assertIn("virsh", records[0]["program"])
                self.assertEqual(os.getuid(), records[0]["uid"])

    def test_queries_give_no_record(self):
        self.ok("vol-create-as p v 4M --format qcow2")
        self.new_records()
        for command in ("pool-list --all", "pool-info p", "pool-dumpxml p", "vol-list p",
                        "vol-info v --pool p", "vol-dumpxml v --pool p", "secret-list",
                        f"vol-download v {self.at('out')} --pool p"):
            with self.subTest(command=command):
                status, _, err = self.virsh(*command.split())
                self.assertEqual(0, status, err)
                self.assertEqual([], self.new_records())
        for command in ("vol-check v --pool p", "vol-map v --pool p", "job-list", "audit-verify",
                        "vol-delete v --pool p --dry-run"):
            with self.subTest(command=command):
                status, _, err = self.cistern(*command.split())
                self.assertEqual(0, status, err)
                self.assertEqual([], self.new_records())

    def test_deleted_objects_are_identified(self):
        self.ok("vol-create-as p v 4M")
        path = self.at("p", "v")
        uuid = self.virsh("pool-uuid", "p")[1].strip()
        self.ok("vol-delete v --pool p")
        for name in ("p/v", "v", path, uuid):
            with self.subTest(name=name):
                self.assertIn("virStorageVolDelete", [record["procedure"] for record in
                                                      self.records("--object", name)])
        self.assertEqual([], self.records("--object", "p/other"))

    def test_failures_are_recorded_with_their_class(self):
        status, _, _ = self.virsh("vol-create-as", "p", "v", "4M", "--format", "nosuch")
        self.assertNotEqual(0, status)
        self.new_records()
        self.ok("vol-create-as p v 4M")
        self.one("virStorageVolCreateXML")
        self.assertNotEqual(0, self.virsh("vol-create-as", "p", "v", "4M")[0])
        self.assertEqual("volume p/v", self.one("virStorageVolCreateXML", "volume-exists")["object"])
        self.assertEqual(["volume-exists"], [record["result"] for record in
                                          self.records("--result", "failed", "--object", "p/v")])

    def test_upload_that_ends_early_is_a_failure(self):
        self.ok("vol-create-as p v 4M")
        self.new_records()
        conn = libvirt.open(self.peer.uri)
        stream = conn.newStream(0)
        conn.storagePoolLookupByName("p").storageVolLookupByName("v").upload(stream, 0, 4096, 0)
        stream.send(b"x" * 100)
        self.assertEqual([], self.new_records())
        stream.abort()
        conn.close()
        self.wait_until(self.records_exist, "the upload has a record")
        self.one("virStorageVolUpload", "cancelled")

    def records_exist(self):
        return self.last() > self.seen

    def test_further_names_are_found(self):
        self.ok("vol-create-as p v 4M --format qcow2")
        self.new_records()
        self.assertEqual(0, self.cistern("vol-rename", "v", "renamed", "--pool", "p")[0])
        self.assertEqual("new_name=renamed", self.one("cisternVolRename")["names"])
        self.assertEqual(0, self.cistern("snap-create", "renamed", "before", "--pool", "p")[0])
        self.assertEqual(1, len(self.records("--object", "before")))

    def test_record_of_a_mute_names_its_check_and_object(self):
        status, _, err = self.cistern("doctor", "--mute", "size-unaligned:p/a", "--until", "1d")
        self.assertEqual(0, status, err)
        self.assertEqual("check=size-unaligned of=p/a", self.one("cisternDoctorMute")["names"])
        self.assertEqual(1, len(self.records("--object", "size-unaligned")))

    def test_embedded_commands_continue_the_chain_of_the_daemon(self):
        self.ok("vol-create-as p v 4M")
        self.peer.stop()
        status, _, err = self.embedded("vol-delete", "v", "--pool", "p")
        self.peer.start()
        self.assertEqual(0, status, err)
        self.assertEqual(["socket", "embedded"], [record["via"] for record in self.new_records()])
        self.assertEqual(0, self.verify()[0])

    def embedded(self, *words):
        return peers.run([space.CISTERN, "--root", self.peer.root, *words])

    def test_selections(self):
        self.ok("vol-create-as p v 4M; vol-delete v --pool p")
        self.assertEqual(["virStorageVolDelete"],
                         [record["procedure"] for record in
                          self.records("--procedure", "voldelete", "--object", "p/v")][-1:])
        self.assertEqual([], self.records("--since", "2100-01-01"))
        self.assertEqual([], self.records("--until", "2000-01-01T00:00:00"))
        self.assertEqual([], self.records("--user", "nosuchuser"))
        self.assertNotEqual([], self.records("--user", str(os.getuid())))
        self.assertEqual(2, self.cistern("audit-list", "--since", "soon")[0])


class Damage(WithTrail):
    def setUp(self):
        super().setUp()
        self.ok("vol-create-as p v 4M; vol-delete v --pool p; vol-create-as p v 4M")

    def change(self, change):
        """Replaces the lines of the newest file by change(lines); the old ones are restored."""
        path = os.path.join(self.trail(), max(name for name in os.listdir(self.trail())
                                              if name.endswith(".jsonl")))
        with open(path, encoding="utf-8") as stream:
            lines = stream.readlines()
        self.addCleanup(self.write, path, lines)
        self.write(path, change(list(lines)))
        return lines

    def write(self, path, lines):
        with open(path, "w", encoding="utf-8") as stream:
            stream.writelines(lines)

    def test_removed_line(self):
        lines = self.change(lambda lines: lines[:-2] + lines[-1:])
        number = json.loads(lines[-2])["seq"]
        status, out, _ = self.verify()
        self.assertEqual((7, [f"record {number} is missing"]), (status, json.loads(out)["problems"]))

    def test_changed_line(self):
        self.change(lambda lines: lines[:-1] + [lines[-1].replace('"done"', '"failed"')])
        self.assertEqual(7, self.verify()[0])

    def test_removed_end(self):
        self.change(lambda lines: lines[:-1])
        self.assertEqual(7, self.verify()[0])

    def test_head_of_another_time(self):
        _, out, _ = self.verify()
        head = json.loads(out)["head"]
        self.ok("vol-delete v --pool p")
        self.assertEqual(0, self.verify("--head", head)[0])
        self.assertEqual(7, self.verify("--head", "0" * 64)[0])
        self.assertEqual(2, self.verify("--head", "short")[0])

    def test_killed_daemon_leaves_a_sound_trail(self):
        for _ in range(3):
            self.peer.process.send_signal(signal.SIGKILL)
            self.peer.process.wait()
            self.peer.start()
            self.ok("vol-delete v --pool p; vol-create-as p v 4M")
        self.assertEqual(0, self.verify()[0])


class Secrecy(WithTrail):
    def test_clients_of_the_read_only_socket_do_not_see_it(self):
        for command in ("audit-list", "audit-verify"):
            status, _, err = self.cistern("-r", command)
            self.assertEqual(4, status, err)
        self.assertEqual(0o700, os.stat(self.trail()).st_mode & 0o777)
        for name in os.listdir(self.trail()):
            self.assertEqual(0o600, os.stat(os.path.join(self.trail(), name)).st_mode & 0o777)

    def test_no_secret_is_in_a_record(self):
        """Each argument that may contain a secret has the canary; some of the calls fail."""
        value = self.file("value", CANARY)
        secret = self.file("secret.xml", "<secret ephemeral='no' private='no'>"
                           f"<uuid>{SECRET}</uuid><description>{CANARY}</description></secret>")
        pool = self.file("pool.xml", "<pool type='dir'><name>canary</name><target>"
                         f"<path>{self.at('canary')}</path></target><!-- {CANARY} --></pool>")
        rbd = self.file("rbd.xml", f"<pool type='rbd'><name>far</name><source><name>{CANARY}</name>"
                        f"<host name='{CANARY}'/></source></pool>")
        url = f"https://user:{CANARY}@127.0.0.1:1/image"
        calls = 0
        for words in (("secret-define", secret),
                      ("secret-set-value", SECRET, "--file", value),
                      ("secret-set-value", SECRET, "--file", value, "--plain"),
                      ("secret-rotate", SECRET, "--file", value),
                      ("secret-seal", SECRET), ("secret-unseal", SECRET),
                      ("pool-define", pool), ("pool-define", rbd),
                      ("pool-start", "far"), ("pool-undefine", "far"), ("pool-undefine", "canary"),
                      ("vol-create-as", "p", "v", "4M", "--format", "qcow2", "--backing-vol", url,
                       "--backing-vol-format", "raw"),
                      ("vol-create-as", "p", "v", "4M", "--format", "qcow2"),
                      ("vol-rebase", "v", "--pool", "p", "--backing", url),
                      ("vol-trust", "v", "--pool", "p", "--format", "qcow2", "--backing", url),
                      ("vol-convert", "v", "w", "--pool", "p", "--format", "qcow2", "-o",
                       f"backing_file={url}"),
                      ("secret-undefine", SECRET, "--yes")):
            self.cistern(*words)
            calls += 1
        records = self.new_records()
        self.assertGreater(len(records), 8)
        for name in os.listdir(self.trail()):
            with open(os.path.join(self.trail(), name), encoding="utf-8") as stream:
                self.assertNotIn(CANARY, stream.read())
        self.assertNotIn(CANARY, json.dumps(records))
