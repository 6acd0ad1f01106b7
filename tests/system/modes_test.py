# SPDX-License-Identifier: LGPL-2.1-or-later
"""A copy in a file is for those who may read what it was made of, from its first moment on."""

import ctypes
import os
import struct
import threading

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
IN_ATTRIB, IN_CREATE, IN_MOVED_TO = 0x4, 0x100, 0x80


class Watcher:
    """Another user who looks at a directory at every event, and keeps what he could open."""

    def __init__(self, where):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        libc.inotify_add_watch(self.fd, where.encode(), IN_ATTRIB | IN_CREATE | IN_MOVED_TO)
        self.where, self.seen, self.over = where, set(), threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.thread.start()
        return self.seen

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        os.close(self.fd)

    def look(self, name):
        """The mode, of the file as it is now."""
        try:
            path = os.path.join(self.where, name)
            if os.path.isfile(path):
                self.seen.add(os.stat(path).st_mode & 0o777)
        except FileNotFoundError:
            pass

    def watch(self):
        while not self.over.wait(0.0005):
            try:
                events = os.read(self.fd, 65536)
            except BlockingIOError:
                continue
            while events:
                _, _, _, length = struct.unpack("iIII", events[:16])
                self.look(events[16:16 + length].rstrip(b"\0").decode())
                events = events[16 + length:]


class Modes(WithDaemon):
    def setUp(self):
        super().setUp()
        os.makedirs(self.at("out"))
        self.addCleanup(os.umask, os.umask(0o022))

    def mode(self, *parts):
        return os.stat(self.at(*parts)).st_mode & 0o777

    def image(self, name, mode, size=MIB):
        path = self.at(name)
        with open(path, "wb") as stream:
            stream.write(os.urandom(size))
        os.chmod(path, mode)
        return path

    def convert(self, source, target, *how):
        status, _, err = peers.run([space.CISTERN, "image-convert", source, target, "-f", "raw",
                                    "--yes", *(how or ("-O", "qcow2"))])
        self.assertEqual(0, status, err)

    def test_a_converted_image(self):
        for mode, wanted in ((0o600, 0o600), (0o640, 0o640), (0o644, 0o644), (0o666, 0o644),
                             (0o400, 0o400)):
            with self.subTest(mode=oct(mode)), Watcher(self.at("out")) as seen:
                source = self.image("src", mode, 8 * MIB)
                self.convert(source, self.at("out", f"new{mode:o}"))
                self.assertEqual(wanted, self.mode("out", f"new{mode:o}"))
            self.assertEqual(set(), {other for other in seen if other & ~wanted})

    def test_a_converted_chain(self):
        """What is below counts too: its content is in the copy."""
        base = self.image("base", 0o600)
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw",
                   self.at("top")])
        os.chmod(self.at("top"), 0o644)
        status, _, err = peers.run([space.CISTERN, "image-convert", self.at("top"),
                                    self.at("out", "new"), "-f", "qcow2", "-O", "raw",
                                    "--backing-chain"])
        self.assertEqual((0, 0o600), (status, self.mode("out", "new")), err)

    def test_parts_of_an_image(self):
        self.convert(self.image("src", 0o600), self.at("out", "new.vmdk"), "-O", "vmdk", "-o",
                     "subformat=monolithicFlat")
        self.assertEqual({0o600}, {self.mode("out", name) for name in os.listdir(self.at("out"))})
        self.assertEqual(2, len(os.listdir(self.at("out"))))

    def test_copy_in_another_group_is_not_for_that_group(self):
        """A directory with set-group-ID gives its group to new files."""
        where = self.at("out")
        os.chown(where, -1, 12345)
        os.chmod(where, 0o2775)
        self.ok("vol-create-as", "p", "v", "1M")
        for mode, wanted in ((0o640, 0o600), (0o644, 0o644), (0o660, 0o600), (0o604, 0o600)):
            source = self.image("src", mode)
            os.chmod(self.at("p", "v"), mode)
            self.ok("pool-refresh", "p")
            for name, command in (
                    ("c", f"image-convert -f raw {source} {where}/c"),
                    ("d", f"image-dd -f raw if={source} of={where}/d"),
                    ("f.vmdk", f"image-convert -f raw {source} {where}/f.vmdk -O vmdk -o "
                               "subformat=monolithicFlat"),
                    ("e", f"vol-export v {where}/e --pool p"),
                    ("l", f"vol-download v {where}/l --pool p")):
                with self.subTest(mode=oct(mode), name=name), Watcher(where) as seen:
                    status, _, err = self.cistern(*command.split(), "--yes")
                    self.assertEqual((0, wanted), (status, self.mode("out", name)), err)
                    self.assertEqual(12345, os.stat(os.path.join(where, name)).st_gid)
                self.assertEqual(set(), {other for other in seen if other & ~wanted})
            for name in os.listdir(where):
                self.assertEqual(wanted, self.mode("out", name), name)
                os.unlink(os.path.join(where, name))

    def test_source_of_another_group_gives_its_group_no_copy(self):
        source = self.image("src", 0o640)
        os.chown(source, -1, 12345)
        self.convert(source, self.at("out", "new"))
        self.assertEqual(0o600, self.mode("out", "new"))
        os.chown(source, -1, os.getegid())
        self.convert(source, self.at("out", "new2"))
        self.assertEqual(0o640, self.mode("out", "new2"))

    def test_data_file_elsewhere_is_private_from_its_creation(self):
        os.makedirs(self.at("data"))
        source, data = self.image("src", 0o600, 8 * MIB), self.at("data", "d.raw")
        with Watcher(self.at("data")) as seen:
            self.convert(source, self.at("out", "new"), "-O", "qcow2", "-o", f"data_file={data}")
            self.assertEqual(0o600, self.mode("data", "d.raw"))
        self.assertEqual(set(), {mode for mode in seen if mode & 0o077})

    def test_export_is_as_private_as_the_backing_volumes(self):
        self.ok("vol-create-as", "p", "base", "1M", "--format", "qcow2")
        self.ok("vol-create-as", "p", "top", "1M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        os.chmod(self.at("p", "top"), 0o644)
        for mode in (0o600, 0o644):
            os.chmod(self.at("p", "base"), mode)
            self.ok("pool-refresh", "p")
            target = self.at("out", f"e{mode:o}")
            status, _, err = self.cistern("vol-export", "top", target, "--pool", "p")
            self.assertEqual((0, mode), (status, os.stat(target).st_mode & 0o777), err)

    def test_a_target_that_is_there_keeps_its_mode(self):
        source = self.image("src", 0o600)
        for mode in (0o600, 0o664):
            self.image("out/old", mode)
            self.convert(source, self.at("out", "old"))
            self.assertEqual(mode, self.mode("out", "old"))

    def test_a_download(self):
        for mode, wanted in ((0o600, 0o600), (0o640, 0o640), (0o666, 0o644)):
            name = f"v{mode:o}"
            self.ok("vol-create-as", "p", name, "8M", "--allocation", "8M")
            os.chmod(self.at("p", name), mode)
            self.ok("pool-refresh", "p")
            with Watcher(self.at("out")) as seen:
                status, _, err = self.cistern("vol-download", name, self.at("out", name), "--pool",
                                              "p")
                self.assertEqual((0, wanted), (status, self.mode("out", name)), err)
            self.assertEqual(set(), {other for other in seen if other & ~wanted})

    def test_a_download_over_a_file_keeps_its_mode(self):
        self.ok("vol-create-as", "p", "v", "1M")
        self.image("out/old", 0o664)
        status, _, err = self.cistern("vol-download", "v", self.at("out", "old"), "--pool", "p")
        self.assertEqual((0, 0o664), (status, self.mode("out", "old")), err)
