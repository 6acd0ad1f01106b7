# SPDX-License-Identifier: LGPL-2.1-or-later
"""What fails on the way to an iscsi-direct pool: a clear error with its own code in time, other pools
as quick as ever meanwhile, and all well again, without a restart, when the target is."""

import contextlib
import json
import os
import socket
import struct
import threading

from harness import peers, space, tgt
from harness.onserver import MIB, Beside, noise, write_all
from hostile import CAPACITY16, INQUIRY, LUNS, READ16, WRITE16, Hostile, luns, sense
from iscsi_direct_test import OnTarget

# Exit statuses of our command line.
FAILED, UNREACHABLE = 1, 6
# While a target dies, its socket may still take a connection, and close it again.
DYING = "portal '127.0.0.1"


class Faults(Beside, OnTarget):
    def late(self, *words):
        """It fails as something that did not answer."""
        self.cistern(*words, status=UNREACHABLE)

    def back(self):
        self.wait_until(lambda: peers.virsh(self.peer, "pool-refresh", "i")[0] == 0,
                        "the pool is refreshed again")
        self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names())

    def test_a_target_that_is_killed_and_comes_back(self):
        self.upload(noise(MIB))
        with self.beside():
            self.server.kill()
            self.late("pool-refresh", "i")
            self.late("vol-wipe", "unit:0:0:1", "--pool", "i")
            # Not vanished, only not answering.
            self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names())
        self.server.start()
        self.back()
        self.assertEqual(noise(MIB), self.download("unit:0:0:1")[:MIB])

    def test_a_target_that_is_frozen(self):
        self.upload(noise(MIB))
        with self.beside(hangs=True):
            self.server.freeze()
            self.late("pool-refresh", "i")
            self.late("vol-wipe", "unit:0:0:1", "--pool", "i")
            self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names())
        self.server.thaw()
        self.back()

    def upload_halfway(self, strike):
        """Uploads 48 MiB, and strikes after a third; returns what virsh ended with."""
        with self.beside(), self.transfer("vol-upload", "unit:0:0:1") as (uploading, fifo):
            with open(fifo, "wb", buffering=0) as stream, contextlib.suppress(BrokenPipeError):
                write_all(stream, noise(16 * MIB))
                self.wait_until(lambda: self.allocated() > 4 * MIB, "4 MiB are in the unit")
                strike()
                write_all(stream, noise(32 * MIB, 2))
            err = uploading.communicate(timeout=120)[1]
        return uploading.returncode, err

    def upload_fails(self, strike, restore, text):
        status, err = self.upload_halfway(strike)
        self.assertEqual(1, status)
        self.assertIn(text, err)
        restore()
        self.back()
        self.upload(noise(16 * MIB, 3))
        self.assertEqual(noise(16 * MIB, 3), self.held()[:16 * MIB])

    def test_a_target_that_freezes_in_the_middle_of_an_upload(self):
        self.upload_fails(self.server.freeze, self.server.thaw, "did not answer")

    def test_a_target_that_is_killed_in_the_middle_of_an_upload(self):
        self.upload_fails(self.server.kill, self.server.start, DYING)

    def restart(self):
        self.server.kill()
        self.server.start()

    def test_a_target_that_is_restarted_in_the_middle_of_an_upload(self):
        """What is under way fails if there is nobody at that moment; all else goes on."""
        status, err = self.upload_halfway(self.restart)
        if status:
            self.assertIn(DYING, err)
            self.upload(noise(16 * MIB) + noise(32 * MIB, 2))
        self.assertEqual(noise(16 * MIB) + noise(32 * MIB, 2), self.held()[:48 * MIB])
        self.back()

    def refresh_halfway(self, strike, restore):
        """Refreshes without end until @strike ends one: clear, and nothing vanishes."""
        ended = []

        def refresh():
            while not ended or ended[-1][0] == 0:
                status, _out, err = peers.run([space.CISTERN, "-c", self.peer.uri, "pool-refresh",
                                               "i"])
                ended.append((status, err))
        with self.beside():
            refreshing = threading.Thread(target=refresh)
            refreshing.start()
            self.wait_until(lambda: len(ended) > 3, "four refreshes have ended")
            strike()
            refreshing.join()
            self.assertEqual(UNREACHABLE, ended[-1][0], ended[-1][1])
            self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names())
        restore()
        self.back()

    def test_a_target_that_freezes_in_mid_refresh(self):
        self.refresh_halfway(self.server.freeze, self.server.thaw)

    def test_a_target_that_is_killed_in_mid_refresh(self):
        self.refresh_halfway(self.server.kill, self.server.start)

    def test_a_dead_target_delays_neither_start_nor_stop(self):
        self.ok("pool-autostart", "i")
        self.server.freeze()
        self.assertEqual(0, self.peer.stop())
        self.peer.start()
        self.ok("vol-list", "d")
        self.ok("pool-destroy", "i")
        self.ok("pool-undefine", "i")
        self.server.thaw()

    def test_upload_fails_when_the_store_of_a_thin_lun_is_full(self):
        place = space.path("small")
        space.tmpfs(place, "8m")
        self.addCleanup(space.unmount, place)
        self.target.add(64 * MIB, unit=6, path=os.path.join(place, "unit"))
        self.addCleanup(self.target.drop, 6)
        self.ok("pool-refresh", "i")
        payload = self.file("payload", noise(32 * MIB))
        self.fails("vol-upload", "unit:0:0:6", payload, "--pool", "i", text="unit:0:0:6")
        self.assertEqual(3, len(self.names()))
        self.upload(noise(MIB))

    def test_pool_start_ends_when_a_portal_accepts_and_stays_silent(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            xml = self.target.pool_xml("s").replace("port='3260'", f"port='{port}'")
            self.ok("pool-define", self.file("s.xml", xml))
            self.late("pool-start", "s")


class Portals(OnTarget):
    def setUp(self):
        super().setUp()
        self.other = tgt.Server(hosts=("127.0.0.3",))
        self.addCleanup(self.other.kill)
        self.twin = tgt.Target(self.other, "1", self.target.iqn)
        self.twin.units = dict(self.target.units)
        self.other.targets["t"] = self.twin
        self.twin.announce()
        self.undefine("i")

    def test_a_portal_that_is_away_at_the_start(self):
        self.define("i", hosts=("127.0.0.9", "127.0.0.1"))
        self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names())
        self.assertIn("ip-127.0.0.9:3260-iscsi", self.ok("vol-path", "unit:0:0:1", "--pool", "i"))

    def lose(self, lose):
        """A download of 64 MiB goes on over the other portal."""
        data = noise(64 * MIB)
        with open(self.target.path(1), "r+b") as stream:
            stream.write(data)
        self.define("i", hosts=("127.0.0.3", "127.0.0.1"))
        self.assertEqual(1, self.other.sessions())
        with self.transfer("vol-download", "unit:0:0:1") as (loading, fifo):
            with open(fifo, "rb") as stream:
                got = stream.read(MIB)
                lose()
                got += stream.read()
            self.assertEqual("", loading.communicate(timeout=120)[1].strip())
        self.assertEqual(0, loading.returncode)
        self.assertTrue(data == got)
        self.assertEqual(1, self.server.sessions())

    def test_a_portal_that_is_killed_in_the_middle_of_a_read(self):
        self.lose(self.other.kill)

    def test_a_portal_that_freezes_in_the_middle_of_a_read(self):
        self.lose(self.other.freeze)
        self.other.thaw()


class Lies(OnTarget):
    """A target that lies: refused with a clear error, and the daemon lives on."""

    def lie(self, answers, **how):
        self.undefine("h")
        hostile = Hostile(answers, **how)
        self.addCleanup(hostile.close)
        xml = self.target.pool_xml("h").replace("port='3260'", f"port='{hostile.port}'")
        self.ok("pool-define", self.file("h.xml", xml))
        return hostile

    DISK = bytes([0, 0, 5, 2, 31]) + bytes(31)
    ONE = {LUNS: luns(1), INQUIRY: DISK, CAPACITY16: struct.pack(">QI", 2047, 512) + bytes(20)}

    def problem(self, answers):
        """What is said of the only LUN, which is listed and can't be read."""
        self.lie({**self.ONE, **answers})
        self.ok("pool-start", "h")
        self.assertEqual(["unit:0:0:1"], self.names("h"))
        return self.fails("vol-download", "unit:0:0:1", "/dev/null", "--pool", "h")

    def test_one_that_speaks_the_truth(self):
        self.lie({**self.ONE, READ16: lambda cdb: b"\x5a" * 512 * int.from_bytes(cdb[10:14], "big")})
        self.ok("pool-start", "h")
        self.assertEqual(b"\x5a" * MIB, self.download("unit:0:0:1", "h"))

    def test_a_connection_that_ends_between_two_answers(self):
        """What was answered is kept, and only what was not is asked for again."""
        def pattern(first, count):
            return b"".join(struct.pack(">Q", block) * 64 for block in range(first, first + count))

        def read(cdb):
            first, count = struct.unpack(">QI", cdb[2:14])
            asked.append(first)
            if asked.count(first) == 1 and len(asked) == 2:
                raise ConnectionAbortedError
            return pattern(first, count)

        asked = []
        self.lie({**self.ONE, READ16: read})
        self.ok("pool-start", "h")
        self.assertTrue(pattern(0, 2048) == self.download("unit:0:0:1", "h"))
        self.assertEqual(3, len(asked))

    def test_lists_of_luns(self):
        for answer, text in ((struct.pack(">II", 0xfffffff0, 0), "lists"),
                             (b"\0\0", ""),
                             (lambda cdb: struct.pack(
                                 ">II", int.from_bytes(cdb[6:10], "big") + 8, 0), "no end"),
                             ((2, sense(4, 0x44)), "hardware"), ((2, b""), ""), ((2, b"\0"), ""),
                             ((2, b"\xff\xff"), ""), ((2, b"\0\x12\x72\6\x29\0\0\0\0\xff"), "")):
            with self.subTest(answer=answer):
                self.lie({**self.ONE, LUNS: answer})
                self.fails("pool-start", "h", text=text)

    def test_sizes(self):
        for answer, text in ((struct.pack(">QI", 2 ** 64 - 1, 512) + bytes(20), "can't be"),
                             (struct.pack(">QI", 2 ** 62, 4096) + bytes(20), "can't be"),
                             (struct.pack(">QI", 100, 0) + bytes(20), "can't be"),
                             (struct.pack(">QI", 100, 513) + bytes(20), "can't be"),
                             (struct.pack(">QI", 100, 2 ** 31) + bytes(20), "can't be"),
                             (b"\0\0\0", "too short")):
            with self.subTest(answer=answer):
                self.assertIn(text, self.problem({CAPACITY16: answer}))

    def test_pages_that_promise_more_than_they_hold(self):
        for page in (0x83, 0xb0, 0xb2):
            for answer in (bytes([0, page, 0xff, 0xff]), bytes([0, page, 0, 60, 1, 3, 0, 255]),
                           b"", bytes([0, page ^ 1, 0, 4, 0, 0, 0, 0])):
                with self.subTest(page=page, answer=answer):
                    self.lie({**self.ONE, (INQUIRY, page): answer})
                    self.ok("pool-start", "h")
                    self.assertEqual(["unit:0:0:1"], self.names("h"))

    def test_data_that_is_not_all_there(self):
        for answer in (b"x" * 512, (2, sense(3, 0x11)), (2, b""), (0x18, b""), (0x77, b"")):
            with self.subTest(answer=answer):
                self.lie({**self.ONE, READ16: answer})
                self.ok("pool-start", "h")
                self.fails("vol-download", "unit:0:0:1", "/dev/null", "--pool", "h")

    def test_missing_data_of_a_reply_reads_as_zeroes(self):
        self.lie({**self.ONE, READ16: b""})
        self.ok("pool-start", "h")
        self.assertEqual(bytes(MIB), self.download("unit:0:0:1", "h"))

    def test_attention_without_end(self):
        self.problem({READ16: (2, sense(6, 0x29))})
        self.lie({**self.ONE, LUNS: (2, sense(6, 0x3f, 0x0e))})
        self.fails("pool-start", "h", text="changed")

    def test_errors_have_their_codes(self):
        payload = self.file("payload", noise(MIB))
        for answer, text, status in (((2, sense(7, 0x27, 7)), "no more space", FAILED),
                                     ((2, sense(7, 0x27)), "write-protected", 4),
                                     ((0x18, b""), "reserved", 5)):
            with self.subTest(text=text):
                self.lie({**self.ONE, WRITE16: answer})
                self.ok("pool-start", "h")
                err = self.cistern("vol-upload", "unit:0:0:1", payload, "--pool", "h",
                                   status=status)
                self.assertIn(text, err)

    def test_silence_after_the_login(self):
        self.lie({LUNS: None, 0: b""})
        self.cistern("pool-start", "h", status=UNREACHABLE)
        self.lie({}, login=False)
        self.cistern("pool-start", "h", status=UNREACHABLE)

    def test_pools_on_a_silent_target_do_not_delay_other_pools(self):
        self.lie({}, login=False)
        # More than once where this machine takes as long as a login waits for its answer.
        self.wait_until(self.refreshed_before_starts_end, "a refresh ends before starts that hang")

    def refreshed_before_starts_end(self):
        threads = [threading.Thread(target=lambda: peers.virsh(self.peer, "pool-start", "h"))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        self.wait_until(lambda: json.loads(self.cistern("--json", "job-list"))["jobs"],
                        "a start is under way")
        self.ok("pool-refresh", "i")
        is_first = all(thread.is_alive() for thread in threads)
        for thread in threads:
            thread.join()
        return is_first
