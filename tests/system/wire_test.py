# SPDX-License-Identifier: LGPL-2.1-or-later
"""The wire protocol by hand: framing, dispatch, streams, limits, read-only refusals."""

import hashlib
import os
import random
import socket
import struct
import threading

from harness import peers, wire
from harness.cases import WithDaemon
from harness.wire import (CONTINUE, ERROR, KEEPALIVE, MESSAGE, OK, PING, PONG, STREAM,
                          STREAM_HOLE, opt_string, packet, string, u32, u64, vol_arg)

CISTERN = 0x43495354
CALL_RATE = 11
UUID0 = b"\0" * 16
NO_POOL = string("no") + UUID0
NO_VOL = vol_arg("no", "no")
NO_SECRET = UUID0 + u32(0) + string("")

# Every call that changes something, reads volume data or a secret's value: number, arguments.
MUTATING = {
    "find-sources": (75, string("dir") + opt_string(None) + u32(0)),
    "pool-create-xml": (76, string("<pool type='dir'/>") + u32(0)),
    "pool-define": (77, string("<pool type='dir'/>") + u32(0)),
    "pool-start": (78, NO_POOL + u32(0)),
    "pool-build": (79, NO_POOL + u32(0)),
    "pool-destroy": (80, NO_POOL),
    "pool-delete": (81, NO_POOL + u32(0)),
    "pool-undefine": (82, NO_POOL),
    "pool-refresh": (83, NO_POOL + u32(0)),
    "pool-set-autostart": (90, NO_POOL + u32(1)),
    "vol-create": (93, NO_POOL + string("<volume/>") + u32(0)),
    "vol-delete": (94, NO_VOL + u32(0)),
    "vol-create-from": (125, NO_POOL + string("<volume/>") + NO_VOL + u32(0)),
    "vol-wipe": (165, NO_VOL + u32(0)),
    "vol-upload": (208, NO_VOL + u64(0) + u64(0) + u32(0)),
    "vol-download": (209, NO_VOL + u64(0) + u64(0) + u32(0)),
    "vol-wipe-pattern": (259, NO_VOL + u32(0) + u32(0)),
    "vol-resize": (260, NO_VOL + u64(0) + u32(0)),
    "secret-define": (142, string("<secret/>") + u32(0)),
    "secret-set-value": (144, NO_SECRET + u32(0) + u32(0)),
    "secret-get-value": (145, NO_SECRET + u32(0)),
    "secret-undefine": (146, NO_SECRET),
}

# Calls that look: on the read-only socket they get past the door (whatever they then say).
READING = {
    "num-pools": (71, b""), "list-pools": (72, u32(10)), "num-defined": (73, b""),
    "list-defined": (74, u32(10)), "by-name": (84, string("no")), "by-uuid": (85, UUID0),
    "by-volume": (86, NO_VOL), "info": (87, NO_POOL), "xml": (88, NO_POOL + u32(0)),
    "autostart": (89, NO_POOL), "num-vols": (91, NO_POOL), "list-vols": (92, NO_POOL + u32(9)),
    "vol-by-name": (95, NO_POOL + string("v")), "vol-by-key": (96, string("/no")),
    "vol-by-path": (97, string("/no")), "vol-info": (98, NO_VOL), "vol-xml": (99, NO_VOL + u32(0)),
    "vol-path": (100, NO_VOL), "is-active": (154, NO_POOL), "is-persistent": (155, NO_POOL),
    "list-all-pools": (281, u32(1) + u32(0)), "list-all-vols": (282, NO_POOL + u32(1) + u32(0)),
    "vol-info-flags": (378, NO_VOL + u32(0)), "by-target": (391, string("/no")),
    "capabilities": (403, u32(0)), "num-secrets": (139, b""), "list-secrets": (140, u32(9)),
    "secret-by-uuid": (141, UUID0), "secret-xml": (143, NO_SECRET + u32(0)),
    "secret-by-usage": (147, u32(1) + string("x")), "list-all-secrets": (287, u32(1) + u32(0)),
    "register": (368, u32(0) + u32(0)), "uri": (110, b""), "hostname": (59, b""),
}

EMPTY_LISTS = {  # answered so that tools that ask for everything don't stumble
    51: b"", 25: b"", 52: b"", 50: b"", 126: b"", 137: b"", 111: u32(0) + u32(0),
    37: u32(16), 21: u32(16), 38: u32(16), 36: u32(16),
    273: u32(1) + u32(0), 283: u32(1) + u32(0), 284: u32(1) + u32(0), 285: u32(1) + u32(0),
}


class Framing(WithDaemon):
    def dropped(self, data):
        client = self.wire(timeout=5)
        client.send(data)
        with self.assertRaises(wire.Closed):
            client.receive()
        self.assert_alive()

    def test_impossible_lengths_cost_the_connection(self):
        for length in (0, 3, 4, 27, 33554437, 0x7fffffff, 0x80000000, 0xffffffff):
            with self.subTest(length=length):
                self.dropped(struct.pack(">7I", length, wire.REMOTE, 1, 66, 0, 0, 0))

    def test_impossible_length_after_a_good_call(self):
        client = self.wire().open()
        client.send(b"\xff\xff\xff\xff")
        with self.assertRaises(wire.Closed):
            client.receive()
        self.assert_alive()

    def test_a_frame_in_single_bytes_is_understood(self):
        client = self.wire()
        for byte in packet(66, serial=9):
            client.send(bytes([byte]))
        self.assertEqual(9, client.receive().serial)

    def test_many_frames_in_one_write_are_all_answered(self):
        client = self.wire().open()
        client.send(b"".join(packet(71, serial=s) for s in range(100, 300)))
        self.assertEqual(set(range(100, 300)), {client.receive().serial for _ in range(200)})

    def test_a_client_that_leaves_in_the_middle_of_a_frame(self):
        before = self.peer.fd_count()
        for _ in range(50):
            client = self.wire()
            client.send(struct.pack(">2I", 1000, wire.REMOTE))
            client.close()
        self.assert_alive()
        self.wait_until(lambda: self.peer.fd_count() <= before + 1,
                        f"at most {before + 1} descriptors", self.peer.fd_count)

    def test_a_huge_announced_frame_takes_no_memory_before_it_comes(self):
        before = self.peer.rss()
        clients = [self.wire() for _ in range(20)]
        for client in clients:
            client.send(struct.pack(">7I", 33554436, wire.REMOTE, 1, 77, 0, 0, 0))
        for client in clients:
            client.wait_read()
        self.assertLess(self.peer.rss() - before, 64 << 20)
        self.assert_alive()

    def test_truncated_arguments_are_an_error_and_the_connection_stays(self):
        client = self.wire().open()
        for proc, payload in ((84, b""), (84, u32(10) + b"ab"), (84, u32(0xffffffff)), (78, b"\0"),
                              (281, u32(1)), (93, string("p")), (144, UUID0),
                              (84, u32(4194305) + b"x" * 8)):
            with self.subTest(proc=proc):
                self.refused(client, proc, payload, code=39)
        client.call(71)

    def test_trailing_bytes_are_ignored(self):
        client = self.wire().open()
        client.call(84, string("p") + b"trailing")

    def test_unknown_procedure_program_version_and_status(self):
        client = self.wire().open()
        self.assertIn("unknown procedure: 9999", self.refused(client, 9999, code=39).text)
        self.assertIn("Cannot find program", self.refused(client, 71, prog=0x1234, code=39).text)
        self.assertIn("Cannot find program", self.refused(client, 71, vers=7, code=39).text)
        self.assertIn("Unexpected message status",
                      self.refused(client, 71, status=CONTINUE, code=39).text)
        for proc in (0, 0x7fffffff, 0x80000000, 0xffffffff):
            self.refused(client, proc, code=39)
        client.call(71)

    def test_unknown_messages_and_orphan_stream_packets_are_ignored(self):
        client = self.wire().open()
        client.send(packet(1234, kind=MESSAGE))
        client.send(packet(208, b"data", 4242, kind=STREAM, status=CONTINUE))
        client.send(packet(208, b"", 4242, kind=STREAM, status=OK))
        client.call(71)

    def test_random_bytes_never_stop_the_daemon(self):
        rng = random.Random(1)
        for _ in range(200):
            client = self.wire()
            try:
                if rng.random() < 0.5:
                    client.send(rng.randbytes(rng.randrange(1, 200)))
                else:
                    payload = rng.randbytes(rng.randrange(0, 80))
                    client.open()
                    client.send(packet(rng.choice([1, 76, 77, 84, 93, 125, 140, 144, 208, 259, 281,
                                                   282, 368, 380, 419]), payload, 7))
            except (ConnectionError, wire.Closed):
                pass
            client.close()
        self.assert_alive()


class Dispatch(WithDaemon):
    def test_only_the_handshake_is_accepted_before_open(self):
        client = self.wire()
        client.call(66)
        self.refused(client, 71)
        self.refused(client, 77, string("<pool/>") + u32(0))
        self.assertEqual(1, client.call(60, u32(10)).u32())
        client.call(1, opt_string("storage:///system") + u32(0))
        client.call(71)

    def test_open_without_authentication_list_works(self):
        client = self.wire()
        client.call(1, opt_string("storage:///system") + u32(0))
        client.call(71)

    def test_second_open_is_refused_and_the_first_stays(self):
        client = self.wire().open()
        self.refused(client, 1, opt_string("storage:///system") + u32(0), code=1)
        client.call(71)

    def test_names_that_open_accepts(self):
        for name in ("storage:///system", "qemu:///system", "", None):
            with self.subTest(name=name):
                self.wire().open(name).call(281, u32(1) + u32(0))
        self.wire().open("secret:///system").call(287, u32(1) + u32(0))
        for name in ("storage:///nonsense", "floppy:///system", "x" * 5000):
            with self.subTest(name=name):
                with self.assertRaises(wire.RemoteError):
                    self.wire().open(name)

    def test_features(self):
        client = self.wire().open()
        self.assertEqual([1, 1, 1], [client.call(60, u32(n)).u32() for n in (10, 14, 15)])
        self.assertEqual([0, 0], [client.call(60, u32(n)).u32() for n in (3, 999)])

    def test_other_drivers_lists_are_empty(self):
        client = self.wire().open("qemu:///system")
        for proc, payload in EMPTY_LISTS.items():
            with self.subTest(proc=proc):
                self.assertEqual(0, client.call(proc, payload).u32())

    def test_list_limits_of_the_protocol(self):
        client = self.wire().open()
        for proc in (72, 74):
            self.refused(client, proc, u32(16385), code=39)
            client.call(proc, u32(16384))
        self.refused(client, 92, client.pool("p") + u32(16385), code=39)
        self.refused(client, 140, u32(16385), code=39)

    def test_unknown_flags_are_refused(self):
        client = self.wire().open()
        pool = client.pool("p")
        for proc, payload in ((77, string("<pool/>") + u32(0x8000)), (78, pool + u32(0x8000)),
                              (88, pool + u32(0x8000)), (83, pool + u32(1)),
                              (281, u32(1) + u32(0x80000000)), (282, pool + u32(1) + u32(1))):
            with self.subTest(proc=proc):
                error = self.refused(client, proc, payload, code=8)
                self.assertIn("unsupported flags (0x", error.text)

    def test_a_stale_uuid_is_not_found_with_any_name(self):
        client = self.wire().open()
        self.refused(client, 87, string("p") + b"\x77" * 16, code=49)
        good = client.pool("p")
        wrong_name = string("other") + good[-16:]
        client.call(87, wrong_name)

    def test_replies_may_overtake_a_long_call(self):
        client = self.wire().open()
        slow = self.begin_long_wipe(client)
        quick = client.post(71)
        first = client.receive()
        while first.prog == KEEPALIVE:
            first = client.receive()
        self.assertEqual(quick, first.serial, "a long wipe should not hold up a count of pools")
        self.end_long_wipe(client, slow)

    def begin_long_wipe(self, client):
        """A wipe that lasts for hours, with libvirtd as long as 200 MiB take; the call's serial."""
        with open(self.at("p", "big"), "wb") as out:
            os.posix_fallocate(out.fileno(), 0, 200 << 20)
        client.call(83, client.pool("p") + u32(0))
        if self.IS_STOCK:
            return client.post(259, vol_arg("p", "big") + u32(0) + u32(0))
        client.call(CALL_RATE, u32(0) + u64(1024), prog=CISTERN)
        return client.post(259, vol_arg("p", "big") + u32(1) + u32(0))

    IS_STOCK = "CST_SELF_CHECK" in os.environ

    def end_long_wipe(self, client, serial):
        if self.IS_STOCK:
            client.answer(serial)
        client.close()

    def test_ping_is_answered_at_once_during_a_long_call(self):
        client = self.wire().open()
        slow = self.begin_long_wipe(client)
        for _ in range(3):
            client.send(packet(PING, kind=MESSAGE, prog=KEEPALIVE))
            got = client.receive()
            self.assertEqual((KEEPALIVE, PONG), (got.prog, got.proc))
        self.end_long_wipe(client, slow)


class ReadOnly(WithDaemon):
    def refuse_all(self, client):
        for name, (proc, payload) in MUTATING.items():
            with self.subTest(call=name):
                error = self.refused(client, proc, payload, code=29)
                self.assertIn("read only access prevents", error.text)

    def test_socket_refuses_every_call_that_changes_something(self):
        self.refuse_all(self.wire(ro=True).open())

    def test_flag_on_the_ordinary_socket_refuses_as_well(self):
        self.refuse_all(self.wire().open(flags=1))

    def test_socket_lets_every_reading_call_through(self):
        client = self.wire(ro=True).open()
        for name, (proc, payload) in READING.items():
            with self.subTest(call=name):
                try:
                    client.call(proc, payload)
                except wire.RemoteError as error:
                    self.assertNotEqual(29, error.code, error.text)

    def test_open_cannot_ask_for_more_than_the_socket_gives(self):
        client = self.wire(ro=True)
        client.call(1, opt_string("storage:///system") + u32(0))
        self.refused(client, 82, NO_POOL, code=29)

    def test_every_call_is_in_one_of_the_tables(self):
        both = {proc for proc, _ in list(MUTATING.values()) + list(READING.values())}
        storage = set(range(71, 101)) | {125, 154, 155, 165, 208, 209, 259, 260, 281, 282, 368, 378,
                                         391, 403} | set(range(139, 148)) | {287}
        self.assertEqual(set(), storage - both)

    def test_virsh_r(self):
        status, _, err = self.virsh_ro("pool-undefine", "p")
        self.assertEqual((1, True), (status, "read only access prevents" in err))
        self.assertEqual(0, self.virsh_ro("pool-info", "p")[0])

    def virsh_ro(self, *words):
        return peers.run(["virsh", "-r", "-c", self.peer.uri_ro, *words])


class Streams(WithDaemon):
    SIZE = 5 * 1024 * 1024 + 12345

    def setUp(self):
        super().setUp()
        self.data = random.Random(7).randbytes(self.SIZE)
        self.ok("vol-create-as", "p", "v", f"{self.SIZE}b")
        with open(self.at("p", "v"), "r+b") as out:
            out.write(self.data)
        self.client = self.wire().open()

    def begin(self, proc, offset=0, length=0, flags=0, name="v"):
        serial = self.client.post(proc, vol_arg("p", name) + u64(offset) + u64(length) + u32(flags))
        self.client.answer(serial).reader()
        return serial

    def drain(self, serial):
        """Data with holes as zeroes, the number of hole packets."""
        data, holes = b"", 0
        while True:
            got = self.client.answer(serial)
            got.reader()
            if got.type == STREAM_HOLE:
                data += b"\0" * got.reader().u64()
                holes += 1
            elif got.payload:
                data += got.payload
            else:
                return data, holes

    def finish(self, proc, serial):
        self.client.stream_send(proc, serial, status=OK)
        got = self.client.answer(serial)
        got.reader()
        self.assertEqual((STREAM, OK, b""), (got.type, got.status, got.payload))

    def test_download_whole_and_part(self):
        for offset, length, want in ((0, 0, self.data), (1000, 0, self.data[1000:]),
                                     (0, 10, self.data[:10]), (777, 300000, self.data[777:300777]),
                                     (self.SIZE - 5, 100, self.data[-5:]), (1 << 40, 0, b"")):
            with self.subTest(offset=offset, length=length):
                serial = self.begin(209, offset, length)
                self.assertEqual(want, self.drain(serial)[0])
                self.finish(209, serial)

    def test_upload_in_packets_of_any_size(self):
        serial = self.begin(208)
        fresh = random.Random(8).randbytes(self.SIZE)
        at = 0
        for size in (1, 2, 3, 262120, 1 << 20, self.SIZE):
            self.client.stream_send(208, serial, fresh[at:at + size])
            at += size
        self.finish(208, serial)
        with open(self.at("p", "v"), "rb") as done:
            self.assertEqual(fresh, done.read())

    def test_upload_past_its_length_is_an_error_and_the_rest_stays(self):
        serial = self.begin(208, 100, 1000)
        self.client.stream_send(208, serial, b"z" * 5000)
        got = self.client.answer(serial)
        self.assertEqual((STREAM, ERROR), (got.type, got.status))
        with open(self.at("p", "v"), "rb") as done:
            after = done.read()
        self.assertEqual(self.data[1100:], after[1100:])
        self.client.call(71)

    def test_a_download_that_is_never_finished_lets_go_of_its_volume(self):
        serials = []
        for _ in range(40):  # more than may be open at a time
            serials.append(self.begin(209, 0, 100000))
            self.assertEqual(self.data[:100000], self.drain(serials[-1])[0])
        self.ok("vol-wipe", "v", "--pool", "p")
        self.ok("pool-destroy", "p")
        self.assertEqual([], self.peer.open_files(self.at("p", "v")))
        self.finish(209, serials[0])  # which is not too late
        self.client.stream_send(209, serials[1], status=ERROR)
        self.assertEqual(OK, self.client.answer(serials[1]).status)
        self.client.stream_send(209, serials[2], b"data")
        self.client.call(71)

    def test_aborted_upload_and_download(self):
        serial = self.begin(208)
        self.client.stream_send(208, serial, b"part")
        self.client.stream_send(208, serial, status=ERROR)
        self.assertEqual(OK, self.client.answer(serial).status)
        serial = self.begin(209)
        self.client.stream_send(209, serial, status=ERROR)
        while True:
            got = self.client.answer(serial)
            if got.status == OK:
                break
        self.client.call(71)

    def test_the_next_call_has_the_volume_of_an_aborted_upload(self):
        for _ in range(3):
            serial = self.begin(208)
            self.client.stream_send(208, serial, self.data)
            self.client.stream_send(208, serial, self.data)
            self.client.stream_send(208, serial, status=ERROR)
            wipe = self.client.post(165, vol_arg("p", "v") + u32(0))
            self.assertEqual(OK, self.client.answer(serial).status)
            self.client.answer(wipe).reader()
            self.assertEqual([], self.peer.open_files(self.at("p", "v")))

    def test_hole_on_a_stream_that_is_not_sparse(self):
        serial = self.begin(208)
        self.client.stream_send(208, serial, u64(4096) + u32(0), kind=STREAM_HOLE)
        with self.assertRaises((wire.Closed, wire.RemoteError)):
            self.client.answer(serial).reader()
        self.assert_alive()

    def test_impossible_holes(self):
        for hole in (u64(1 << 63) + u32(0), u64(0xffffffffffffffff) + u32(0), u64(1) + u32(9), b"",
                     u64(5)):
            with self.subTest(hole=hole):
                self.client = self.wire().open()
                serial = self.begin(208, flags=1)
                self.client.stream_send(208, serial, hole, kind=STREAM_HOLE)
                with self.assertRaises((wire.Closed, wire.RemoteError)):
                    self.client.answer(serial).reader()
                self.assert_alive()
        self.assertLess(os.stat(self.at("p", "v")).st_size, 1 << 50)

    def test_sparse_download_reports_holes(self):
        self.ok("vol-create-as", "p", "s", "64M", "--allocation", "0")
        with open(self.at("p", "s"), "r+b") as out:
            out.seek(32 << 20)
            out.write(b"here")
        self.ok("pool-refresh", "p")
        serial = self.begin(209, flags=1, name="s")
        data, holes = self.drain(serial)
        self.finish(209, serial)
        self.assertEqual(2, holes)
        self.assertEqual(64 << 20, len(data))
        self.assertEqual(b"here", data[32 << 20:(32 << 20) + 4])

    def test_sparse_upload_with_a_hole_at_the_end(self):
        serial = self.begin(208, flags=1)
        self.client.stream_send(208, serial, b"head")
        self.client.stream_send(208, serial, u64(1 << 20) + u32(0), kind=STREAM_HOLE)
        self.client.stream_send(208, serial, b"tail")
        self.client.stream_send(208, serial, u64(self.SIZE) + u32(0), kind=STREAM_HOLE)
        self.finish(208, serial)
        with open(self.at("p", "v"), "rb") as done:
            self.assertEqual(b"head" + b"\0" * (1 << 20) + b"tail", done.read((1 << 20) + 8))
            self.assertEqual(b"", done.read().strip(b"\0"))

    def send_all(self, serial):
        for at in range(0, self.SIZE, 262120):
            self.client.stream_send(208, serial, self.data[at:at + 262120])

    def test_several_streams_on_one_connection(self):
        self.ok("vol-create-as", "p", "w", f"{self.SIZE}b")
        down = self.begin(209)
        up = self.begin(208, name="w")
        third = self.begin(209, 5, 100)
        sender = threading.Thread(target=self.send_all, args=(up,))
        sender.start()
        self.assertEqual(self.data, self.drain(down)[0])
        sender.join()
        self.assertEqual(self.data[5:105], self.drain(third)[0])
        self.finish(208, up)
        self.finish(209, down)
        self.finish(209, third)
        with open(self.at("p", "w"), "rb") as done:
            self.assertEqual(hashlib.sha256(self.data).digest(),
                             hashlib.sha256(done.read()).digest())

    def test_a_client_that_stops_reading_delays_no_client_and_takes_no_memory(self):
        os.truncate(self.at("p", "v"), 256 << 20)
        before = self.peer.rss()
        self.begin(209)
        deaf = self.wire().open()
        for _ in range(3):
            deaf.post(209, vol_arg("p", "v") + u64(0) + u64(0) + u32(0))
        self.wait_until(lambda: deaf.arrived() > 65536, "the streams fill the client's socket",
                        lambda: f"{deaf.arrived()} bytes have arrived")
        for _ in range(10):
            self.assert_alive()
        self.assertLess(self.peer.rss() - before, 48 << 20)

    def test_calls_whose_replies_are_never_read_are_bounded(self):
        deaf, other = self.wire().open(), self.wire().open()
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = self.peer.rss()
        call = packet(88, deaf.pool("p") + u32(0), 5) * 1000
        deaf.sock.setblocking(False)
        rest, refused = memoryview(call * 200), 0
        # The daemon reads no more once it has answered another client and there is still no room.
        while rest and refused < 20:
            try:
                rest, refused = rest[deaf.sock.send(rest):], 0
            except BlockingIOError:
                other.call(71)
                refused += 1
        self.assertLess(self.peer.rss() - before, 64 << 20)
        self.assert_alive()

    def test_a_client_that_goes_away_in_the_middle_of_streams(self):
        self.ok("vol-create-as", "p", "w", "1M")
        before = self.peer.fd_count()
        for _ in range(20):
            self.client = self.wire().open()
            self.begin(208)
            self.begin(209, name="w")
            self.client.close()
        self.wait_until(lambda: self.peer.fd_count() <= before + 1,
                        f"at most {before + 1} descriptors", self.peer.fd_count)
        self.ok("vol-delete", "v", "--pool", "p")


class Crowd(WithDaemon):
    def test_a_hundred_connections_at_once(self):
        clients = [self.wire().open() for _ in range(100)]
        pool = clients[0].pool("p")
        for _ in range(20):
            serials = [(c, c.post(87, pool)) for c in clients]
            for client, serial in serials:
                client.answer(serial).reader()
        self.assert_alive()

