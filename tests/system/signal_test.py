# SPDX-License-Identifier: LGPL-2.1-or-later
"""One SIGINT or SIGTERM ends a command, whichever call it blocks in, with an exit status of its own."""

import contextlib
import os
import signal
import subprocess

from harness import space, wait
from harness.cases import WithDaemon

CANCELLED = 10
MIB = 1 << 20


class Signals(WithDaemon):
    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "4M")
        self.fifo = os.path.join(self.peer.files, "fifo")
        os.mkfifo(self.fifo)
        self.places = {"embedded": ["--root", self.peer.files + "/root", "--embedded"],
                       "daemon": ["-c", self.peer.uri]}
        self.embedded("pool-define-as", "p", "dir", "--target", self.at("q"))
        self.embedded("pool-build", "p")
        self.embedded("pool-start", "p")
        self.embedded("vol-create-as", "p", "v", "4M")

    def embedded(self, *words):
        subprocess.run([space.CISTERN, *self.places["embedded"], *words], check=True, env=space.ENV,
                       stdout=subprocess.PIPE)

    def start(self, place, *words):
        child = subprocess.Popen([space.CISTERN, *self.places[place], *words], env=space.ENV,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(child.kill)
        return child

    def waits_for_fifo(self, child):
        """Whether CHILD has the FIFO open, and its thread for the task waits in poll()."""
        fds = f"/proc/{child.pid}/fd"
        with contextlib.suppress(FileNotFoundError):
            return any(os.readlink(os.path.join(fds, fd)) == self.fifo for fd in os.listdir(fds)) \
                and any(name == "task" and "poll_schedule" in wchan
                        for name, wchan in wait.threads(child.pid))
        return False

    def end_waiting(self, child, number):
        """Sends one signal NUMBER, once CHILD waits for data of the FIFO."""
        self.wait_until(lambda: self.waits_for_fifo(child), "the task waits for data",
                        lambda: (child.poll(), wait.threads(child.pid)))
        child.send_signal(number)
        _, err = child.communicate(timeout=wait.LIMIT_S)
        return child.returncode, err

    def end_blocked(self, child, blocked_in, number):
        """Sends one signal NUMBER, once a thread of CHILD blocks in the kernel's BLOCKED_IN."""
        self.wait_until(lambda: any(blocked_in in wchan for _, wchan in wait.threads(child.pid)),
                        f"a thread blocks in {blocked_in}",
                        lambda: (child.poll(), wait.threads(child.pid)))
        child.send_signal(number)
        _, err = child.communicate(timeout=wait.LIMIT_S)
        return child.returncode, err

    def test_upload_from_a_silent_writer_ends_with_one_signal(self):
        for place in self.places:
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(place=place, number=number):
                    writer = os.open(self.fifo, os.O_RDWR)
                    child = self.start(place, "vol-upload", "v", self.fifo, "--pool", "p")
                    status, err = self.end_waiting(child, number)
                    os.close(writer)
                    self.assertEqual(128 + number, status, err)
                    self.assertIn("cancelled by request", err)

    def test_download_to_a_reader_that_does_not_read_ends_with_one_signal(self):
        for place in self.places:
            with self.subTest(place=place):
                reader = os.open(self.fifo, os.O_RDWR)
                child = self.start(place, "vol-download", "v", self.fifo, "--pool", "p")
                status, err = self.end_blocked(child, "pipe_write", signal.SIGTERM)
                os.close(reader)
                self.assertEqual(128 + signal.SIGTERM, status, err)
                self.assertTrue(os.path.exists(self.fifo))

    def test_import_from_a_fifo_without_a_writer_ends_with_one_signal(self):
        child = self.start("embedded", "vol-import", self.fifo, "new", "--pool", "p")
        status, err = self.end_waiting(child, signal.SIGTERM)
        self.assertEqual(128 + signal.SIGTERM, status, err)
        self.assertFalse(os.path.exists(self.at("q", "new")))

    def test_cancelled_job_has_an_exit_status_of_its_own(self):
        source = os.path.join(self.peer.files, "source")
        with open(source, "wb") as stream:
            stream.write(os.urandom(4 * MIB))
        child = self.start("daemon", "vol-import", source, "new", "--pool", "p", "--source-format",
                           "raw", "--rate-limit", "1k")
        job = self.wait_until(lambda: self.cistern("job-list", "-H", "--columns", "id")[1].split(),
                              "the job is listed")[0]
        self.assertEqual(0, self.cistern("job-cancel", job)[0])
        _, err = child.communicate(timeout=wait.LIMIT_S)
        self.assertEqual(CANCELLED, child.returncode, err)
