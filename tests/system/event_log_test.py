# SPDX-License-Identifier: LGPL-2.1-or-later
"""The log of events, and the messages of notification rules to mail, webhooks and programs."""

import contextlib
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import ssl
import subprocess
import threading

from harness import peers, space
from harness.cases import WithDaemon

HOOK = """#!/bin/sh
cat >>{0}
echo >>{0}
"""


class Events(WithDaemon):
    mark = 0  # id of the newest event before the test

    def setUp(self):
        super().setUp()
        self.mark = max((event["id"] for event in self.events()), default=0)
        # Events are written in their order, and some of an earlier test may not be written yet.
        self.ok("pool-define-as", "mark", "dir", "--target", self.at("mark"))
        self.ok("pool-undefine", "mark")
        self.mark = self.wait_for_event("pool-undefined", "--object", "mark")["id"]

    def good(self, *words, **options):
        status, out, err = self.cistern(*words, **options)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def events(self, *options, uri=None):
        words = ["events", *options, "--json"]
        status, out, err = peers.run([space.CISTERN, "-c", uri or self.peer.uri, *words])
        self.assertEqual((0, ""), (status, err))
        return [event for event in json.loads(out)["events"] if event["id"] > self.mark]

    def kinds(self, *options):
        return [event["event"] for event in self.events(*options)]

    def wait_for_event(self, kind, *options):
        found = []

        def is_there():
            found[:] = self.events("--kind", kind, *options)
            return bool(found)

        self.wait_until(is_there, f"an event {kind}", self.events)
        return found[-1]

    def without_jobs(self, *words, **options):
        """On a slow machine an operation of a pool is listed as a job, whose end is an event."""
        return [event for event in self.events(*words, **options)
                if not event["event"].startswith("job-")]


class Log(Events):
    def test_changes_of_a_pool_are_events_with_their_user(self):
        self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))
        os.makedirs(self.at("q"))
        for command in ("start", "destroy", "undefine"):
            self.ok(f"pool-{command}", "q")
        self.wait_for_event("pool-undefined")
        events = self.without_jobs("--object", "q")
        self.assertEqual(["pool-defined", "pool-started", "pool-stopped", "pool-undefined"],
                         [event["event"] for event in events])
        for event in events:
            self.assertEqual(("root", 0, "pool", "note", False),
                             tuple(event[key] for key in ("user", "uid", "type", "severity", "over")))
        ids = [event["id"] for event in events]
        self.assertEqual(sorted(ids), ids)

    def test_changes_of_volumes_and_snapshots_are_events(self):
        for words in (("vol-create-as", "p", "v", "1M", "--format", "qcow2"),
                      ("vol-resize", "v", "2M", "--pool", "p"),
                      ("snap-create", "p/v", "s"), ("snap-rename", "p/v", "s", "t"),
                      ("snap-revert", "p/v", "t", "--yes"), ("snap-delete", "p/v", "t", "--yes"),
                      ("vol-rename", "p/v", "w"), ("vol-clone", "p/w", "x"),
                      ("vol-delete", "p/x", "--yes", "--dry-run"),
                      ("vol-delete", "p/w", "--yes")):
            self.good(*words)
        self.cistern("vol-delete", "p/w", "--yes")  # fails, because it does not exist
        self.wait_for_event("volume-deleted")
        events = [event for event in self.without_jobs() if event["type"] == "volume"]
        self.assertEqual([("volume-created", "p/v"), ("volume-resized", "p/v"),
                          ("snapshot-created", "p/v"), ("snapshot-renamed", "p/v"),
                          ("volume-reverted", "p/v"), ("snapshot-deleted", "p/v"),
                          ("volume-renamed", "p/v"), ("volume-created", "p/x"),
                          ("volume-deleted", "p/w")],
                         [(event["event"], event["object"]) for event in events])
        self.assertEqual("snapshot 's' of volume 'p/v' is 't' now", events[3]["message"])
        self.assertEqual("volume 'p/v' is 'p/w' now", events[6]["message"])
        self.assertEqual({"root"}, {event["user"] for event in events})

    def test_run_that_fails_is_an_error_until_a_run_succeeds(self):
        self.good("vol-create-as", "p", "raw", "1M")
        self.good("schedule-create", "s", "--every", "*-02-29 03:00", "--do", "snapshot",
                  "p/none*")
        self.assertNotEqual(0, self.cistern("schedule-run", "s")[0])
        event = self.wait_for_event("run-failed", "--severity", "error")
        self.assertEqual(("schedule", "s", "error"),
                         tuple(event[key] for key in ("type", "object", "severity")))
        self.assertIn("selects no volumes", event["message"])
        # The state is over with the next run that succeeds.
        self.good("vol-create-as", "p", "none1", "1M", "--format", "qcow2")
        self.good("schedule-run", "s")
        self.wait_until(lambda: any(event["over"] for event in self.events("--kind", "run-failed")),
                        "the end of the state", self.events)
        self.good("schedule-delete", "s", "--yes")

    def age_schedule(self, name, days):
        """Makes a schedule older, while no daemon runs."""
        with contextlib.closing(sqlite3.connect(
                os.path.join(self.peer.root, "var/lib/cistern/schedules.db"))) as base, base:
            base.execute("UPDATE schedules SET created = created - ? WHERE name = ?",
                         (days * 86400, name))

    def test_backup_that_is_too_old_is_an_event_until_the_next_one(self):
        repo = self.at("repo")
        self.good("backup-init", repo, "--no-encryption")
        self.good("vol-create-as", "p", "v", "1M")
        for name in ("s", "t", "u"):
            self.good("schedule-create", name, "--every", "daily", "--do", "backup",
                      "--repo", repo, "p/v")
        self.peer.stop()
        for name in ("s", "t"):
            self.age_schedule(name, 4)
        self.peer.restart()
        self.wait_until(lambda: self.kinds("--kind", "backup-too-old") == ["backup-too-old"] * 2,
                        "events of the schedules", self.events)
        self.good("schedule-run", "s")
        self.good("schedule-delete", "t", "--yes")
        self.wait_until(lambda: sorted((event["object"], event["over"]) for event
                                       in self.events("--kind", "backup-too-old")) ==
                        [("s", False), ("s", True), ("t", False), ("t", True)],
                        "the ends of the states", self.events)
        for name in ("s", "u"):
            self.good("schedule-delete", name, "--yes")

    def test_embedded_commands_write_to_the_same_log(self):
        self.peer.stop()
        embedded = f"storage:///embed?root={self.peer.root}"
        self.addCleanup(self.peer.fresh)
        status, _out, err = peers.run([space.CISTERN, "-c", embedded, "pool-destroy", "p"])
        self.assertEqual(0, status, err)
        event = self.without_jobs(uri=embedded)[-1]
        self.assertEqual(("pool-stopped", "p", "root"),
                         tuple(event[key] for key in ("event", "object", "user")))

    def test_pool_without_its_storage_is_an_event_until_it_is_back(self):
        os.rename(self.at("p"), self.at("away"))
        self.cistern("pool-refresh", "p")
        event = self.wait_for_event("pool-inaccessible")
        self.assertEqual(("p", "error", False),
                         tuple(event[key] for key in ("object", "severity", "over")))
        self.cistern("pool-refresh", "p")
        os.rename(self.at("away"), self.at("p"))
        self.good("pool-refresh", "p")
        self.wait_until(lambda: self.events("--kind", "pool-inaccessible")[-1]["over"],
                        "the end of the state", self.events)
        self.assertEqual([False, True],
                         [row["over"] for row in self.events("--kind", "pool-inaccessible")][-2:])

    def test_end_of_a_state_is_seen_by_the_next_daemon(self):
        os.rename(self.at("p"), self.at("away"))
        self.cistern("pool-refresh", "p")
        self.wait_for_event("pool-inaccessible")
        self.peer.stop()
        os.rename(self.at("away"), self.at("p"))
        self.peer.restart()
        self.wait_until(lambda: self.events("--kind", "pool-inaccessible")[-1]["over"],
                        "the end of the state", self.events)

    def test_follow_prints_new_events_until_interrupted(self):
        follower = self.background([space.CISTERN, "-c", self.peer.uri, "events", "--follow",
                                    "--json"])
        lines = []
        # The first events may come before the command asks for the first time.
        reader = threading.Thread(target=lambda: lines.extend([follower.stdout.readline()]))
        reader.start()

        def has_line():
            self.good("pool-destroy", "p")
            self.good("pool-start", "p")
            reader.join(1)
            return bool(lines)

        self.wait_until(has_line, "an event of the follower", self.events)
        self.assertIn(json.loads(lines[0])["event"], ("pool-stopped", "pool-started"))
        follower.send_signal(2)
        follower.communicate(timeout=60)
        self.assertEqual(0, follower.returncode)

    def test_follow_prints_new_events_of_a_server_with_an_earlier_clock(self):
        follower = self.background([space.CISTERN, "-c", self.peer.uri, "events", "--follow",
                                    "--json"])
        lines = []
        reader = threading.Thread(target=lambda: lines.extend([follower.stdout.readline()]))
        reader.start()

        def has_line():
            with contextlib.closing(sqlite3.connect(
                    os.path.join(self.peer.root, "var/lib/cistern/events.db"))) as base, base:
                base.execute("INSERT INTO events (time, kind, severity, over, type, object, uid,"
                             " message) SELECT time - 3600000000, kind, severity, over, type,"
                             " 'behind', uid, message FROM events WHERE id = ?", (self.mark,))
            reader.join(1)
            return bool(lines)

        self.wait_until(has_line, "an event of the follower", self.events)
        self.assertEqual("behind", json.loads(lines[0])["object"])
        follower.send_signal(2)
        follower.communicate(timeout=60)

    def test_mistakes_are_usage_errors(self):
        for words, text in ((("--kind", "x"), "unknown kind"), (("--since", "soon"), "no time"),
                            (("--severity", "high"), "not one of")):
            status, _out, err = self.cistern("events", *words)
            self.assertEqual(2, status, err)
            self.assertIn(text, err)

    def test_names_of_kinds_are_listed(self):
        out = self.good("events", "--kinds", "--json")
        self.assertIn("job-failed", [row["event"] for row in json.loads(out)["kinds"]])


class Notifications(Events):
    """Each test starts the daemon with rules of its own."""

    def start_with(self, *lines):
        self.peer.stop()
        self.peer.config = "\n".join(lines) + "\n"
        self.peer.start()
        self.addCleanup(self.forget)

    def forget(self):
        self.peer.stop()
        self.peer.config = ""
        self.peer.fresh()

    def hook(self, name="hook"):
        """A program that appends its input to the file OUT."""
        out = os.path.join(self.peer.root, name + ".out")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(out)
        program = os.path.join(self.peer.root, name)
        with open(program, "w", encoding="utf-8") as stream:
            stream.write(HOOK.format(out))
        os.chmod(program, 0o755)
        return program, out

    @staticmethod
    def messages(out):
        try:
            with open(out, encoding="utf-8") as stream:
                # The program has written a message when it ends its line.
                return [json.loads(line) for line in stream if line.strip() and line[-1] == "\n"]
        except FileNotFoundError:
            return []

    def sent(self, out):
        return [(event["event"] if "event" in event else event["kind"], event["object"],
                 event["over"]) for message in self.messages(out) for event in message["events"]]

    def wait_for_sent(self, out, *wanted):
        self.wait_until(lambda: set(wanted) <= set(self.sent(out)), f"messages {wanted}",
                        lambda: (self.sent(out), self.events()))

    def test_program_gets_the_selected_events_once(self):
        program, out = self.hook()
        self.start_with("[notify ops]", "events = error pool-stopped", f"program = {program}",
                        "interval = 0s")
        os.rename(self.at("p"), self.at("away"))
        self.cistern("pool-refresh", "p")
        self.wait_for_sent(out, ("pool-inaccessible", "p", False))
        os.rename(self.at("away"), self.at("p"))
        self.good("pool-refresh", "p")
        self.wait_for_sent(out, ("pool-inaccessible", "p", True))
        for _ in range(3):
            self.good("pool-destroy", "p")
            self.good("pool-start", "p")
        self.good("vol-create-as", "p", "raw", "1M")
        self.wait_for_sent(out, ("pool-stopped", "p", False))
        # The equal events after the first one are within "repeat".
        self.assertEqual(1, self.sent(out).count(("pool-stopped", "p", False)))
        self.assertNotIn("pool-started", [kind for kind, _object, _over in self.sent(out)])

    def test_message_waits_for_a_target_that_is_away_and_for_a_restart(self):
        program, out = self.hook()
        rule = ("[notify ops]", "events = pool-stopped", f"program = {program}", "interval = 0s")
        os.rename(program, program + ".away")
        self.start_with(*rule)
        self.good("pool-destroy", "p")
        self.wait_for_event("notify-failed")
        self.assertEqual([], self.messages(out))
        self.peer.stop()
        os.rename(program + ".away", program)
        self.peer.start()
        self.wait_for_sent(out, ("pool-stopped", "p", False))

    def test_rule_sends_again_after_its_failure_is_over(self):
        program, out = self.hook()
        os.rename(program, program + ".away")
        self.start_with("[notify ops]", "events = pool-stopped", f"program = {program}",
                        "interval = 0s")
        self.good("pool-destroy", "p")
        self.wait_for_event("notify-failed")
        os.rename(program + ".away", program)
        self.wait_for_sent(out, ("pool-stopped", "p", False))
        self.wait_until(lambda: self.events("--kind", "notify-failed")[-1]["over"],
                        "the end of the failure", self.events)

    def test_mail_has_a_header_and_the_events(self):
        program, out = self.hook("sendmail")
        with open(program, "w", encoding="utf-8") as stream:
            stream.write(f'#!/bin/sh\necho "$@" >{out}\ncat >>{out}\n')
        self.start_with("[notify ops]", "events = all", "mail = root, a@example.com",
                        f"sendmail = {program}")
        self.good("notify-test")
        with open(out, encoding="utf-8") as stream:
            text = stream.read()
        self.assertTrue(text.startswith("-i -- root a@example.com\nTo: root, a@example.com\n"
                                        "Subject: ["), text)
        self.assertIn("\nAuto-Submitted: auto-generated\n", text)
        self.assertIn("test message", text)

    def test_program_that_another_user_can_change_is_not_run(self):
        program, out = self.hook()
        self.start_with("[notify ops]", "events = all", f"program = {program}")
        os.chmod(program, 0o777)
        status, _out, err = self.cistern("notify-test")
        self.assertNotEqual(0, status)
        self.assertIn("1 of 1", err)
        self.assertEqual([], self.messages(out))
        os.chmod(program, 0o755)
        os.chown(program, 65534, -1)
        self.assertNotEqual(0, self.cistern("notify-test")[0])
        self.assertEqual([], self.messages(out))

    def test_test_message_names_unknown_rules_and_missing_ones(self):
        program, _out = self.hook()
        self.start_with("[notify ops]", "events = all", f"program = {program}")
        self.assertEqual(3, self.cistern("notify-test", "nosuch")[0])
        self.good("notify-test", "ops")
        self.start_with("")
        status, _out, err = self.cistern("notify-test")
        self.assertEqual(3, status)
        self.assertIn("[notify NAME]", err)

    def test_wrong_rule_refuses_the_start(self):
        self.peer.stop()
        self.addCleanup(self.forget)
        for lines, text in ((["events = all"], "needs one of"), (["mail = root"], "needs events"),
                            (["events = all", "webhook = http://example.com/"], "https")):
            config = os.path.join(self.peer.root, "etc/cistern/wrong.conf")
            os.makedirs(os.path.dirname(config), exist_ok=True)
            with open(config, "w", encoding="utf-8") as stream:
                stream.write("\n".join(["[notify x]", *lines]) + "\n")
            done = peers.run([space.CISTERND, "--root", self.peer.root, "--config", config])
            self.assertNotEqual(0, done[0])
            self.assertIn(text, done[2])

    # --- webhooks -----------------------------------------------------------------------------

    def server(self, status=200, certificate=None):
        """A server in a thread. Returns its port and the requests that it gets."""
        requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1], requests

    def test_webhook_gets_a_signed_document(self):
        port, requests = self.server()
        key = os.path.join(self.peer.root, "key")
        with open(key, "w", encoding="utf-8") as stream:
            stream.write("sesame\n")
        os.chmod(key, 0o600)
        self.start_with("[notify ops]", "events = pool-stopped",
                        f"webhook = http://127.0.0.1:{port}/hook/TOKEN", f"webhook_key = {key}",
                        "interval = 0s")
        self.good("pool-destroy", "p")
        self.wait_until(lambda: requests, "a request", self.events)
        path, headers, body = requests[0]
        self.assertEqual("/hook/TOKEN", path)
        self.assertEqual("sha256=" + hmac.new(b"sesame", body, hashlib.sha256).hexdigest(),
                         headers["X-Cistern-Signature"])
        (event,) = json.loads(body)["events"]
        self.assertEqual(("pool-stopped", "p"), (event["kind"], event["object"]))
        # The secret of the URL is in no output.
        out = self.good("notify-test")
        self.assertIn(f"webhook http://127.0.0.1:{port}", out)
        self.assertNotIn("TOKEN", out + self.peer.log())

    def test_webhook_that_refuses_or_redirects_is_a_failure(self):
        for status in (302, 500):
            port, requests = self.server(status)
            self.start_with("[notify ops]", "events = all",
                            f"webhook = http://127.0.0.1:{port}/TOKEN")
            done, out, err = self.cistern("notify-test")
            self.assertEqual(6, done, err)
            self.assertIn(f"status {status}", out)
            self.assertEqual(["/TOKEN"], [path for path, _headers, _body in requests])

    def test_key_that_other_users_may_read_is_refused(self):
        port, requests = self.server()
        key = os.path.join(self.peer.root, "key")
        with open(key, "w", encoding="utf-8") as stream:
            stream.write("sesame")
        os.chmod(key, 0o644)
        self.start_with("[notify ops]", "events = all", f"webhook = http://127.0.0.1:{port}/",
                        f"webhook_key = {key}")
        self.assertEqual(6, self.cistern("notify-test")[0])
        self.assertEqual([], requests)

    def test_https_needs_a_certificate_of_a_known_authority(self):
        key, certificate = self.file("server.key"), self.file("server.pem")
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                               key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
                               "-addext", "subjectAltName=IP:127.0.0.1"], check=False,
                              capture_output=True)
        self.assertEqual(0, done.returncode, done.stderr)
        port, requests = self.server(certificate=(certificate, key))
        rule = ("[notify ops]", "events = all", f"webhook = https://127.0.0.1:{port}/")
        self.start_with(*rule)
        self.assertEqual(6, self.cistern("notify-test")[0])
        self.assertEqual([], requests)
        self.start_with(*rule, f"webhook_ca = {certificate}")
        self.good("notify-test")
        self.assertEqual(1, len(requests))
