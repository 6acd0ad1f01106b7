# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that writes to a volume's file and holds none of QEMU's locks: no verb destroys or
replaces the file, copies of images are refused, and the holder is named."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
WRITER = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
if sys.argv[2] == "mapped":
    area = mmap.mmap(fd, 4096)
    os.close(fd)
print("open", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def writer(path, way="open"):
    """Yields the pid of a process that has the file open, or only mapped, for writing."""
    argv = [sys.executable, "-c", WRITER, path, way]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@contextlib.contextmanager
def writer_in_kernel(path):
    """The descriptor for writing is in the queue of a socket, so that no process has it."""
    here, there = socket.socketpair()
    with here, there:
        with open(path, "rb+") as file:
            socket.send_fds(here, [b"x"], [file.fileno()])
        yield


class Writers(WithDaemon):
    def make(self, form="raw"):
        self.ok("vol-create-as", "p", "v", "4M", "--format", form)
        return self.at("p", "v")

    def content(self, path):
        with open(path, "rb") as stream:
            return stream.read()

    def assert_busy(self, command, pid):
        status, out, err = self.cistern(*command.split())
        self.assertEqual(5, status, f"{command}: {out}{err}")
        self.assertIn(f"process {pid} (", err, command)

    def test_writer_without_lock_is_listed_by_vol_holders(self):
        path = self.make()
        for way in ("open", "mapped"):
            with self.subTest(way=way), writer(path, way) as pid:
                _, out, _ = self.cistern("vol-holders", "v", "--pool", "p", "-H")
                self.assertRegex(out, rf"^process {pid} \(\S+\), which writes without a lock\t"
                                      r"may write\t-\n$")
        self.assertEqual("", self.cistern("vol-holders", "v", "--pool", "p", "-H")[1])

    def test_reader_is_not_listed(self):
        with open(self.make(), "rb"):
            self.assertEqual("", self.cistern("vol-holders", "v", "--pool", "p", "-H")[1])

    def test_volume_with_writer_is_not_destroyed(self):
        data = self.file("data", b"x" * 4096)
        for form in ("raw", "qcow2"):
            path = self.make(form)
            with writer(path) as pid:
                before = self.content(path)
                for command in ("vol-delete v --pool p --yes", "vol-wipe v --pool p --yes",
                                "vol-resize v 2M --shrink --pool p --yes",
                                f"vol-upload v {data} --pool p --yes",
                                "vol-rename v w --pool p", "vol-flatten v --pool p",
                                "vol-clone v copy --pool p --linked"):
                    with self.subTest(form=form, command=command):
                        self.assert_busy(command, pid)
                self.assertEqual(before, self.content(path))
                self.assertEqual(["v"], self.entries("p"))
            self.ok("vol-delete", "v", "--pool", "p")

    def test_image_with_writer_is_not_changed(self):
        path = self.make("qcow2")
        self.ok("vol-create-as", "p", "base", "4M", "--format", "qcow2")
        self.ok("vol-create-as", "p", "over", "4M", "--format", "qcow2", "--backing-vol", "v",
                "--backing-vol-format", "qcow2")
        self.assertEqual(0, self.cistern("snap-create", "v", "s1", "--pool", "p")[0])
        with writer(path) as pid:
            before = self.content(path)
            for command in ("snap-create v s2 --pool p", "snap-delete v s1 --pool p --yes",
                            "snap-rename v s1 s3 --pool p", "snap-revert v s1 --pool p --yes",
                            "vol-bitmap v b --add --pool p", "vol-sparsify v --pool p",
                            "vol-check v --repair all --pool p", "vol-commit over --pool p --yes",
                            "vol-rebase v --backing-vol base --pool p"):
                with self.subTest(command=command):
                    self.assert_busy(command, pid)
                    self.assertEqual(before, self.content(path))

    def test_image_with_writer_is_not_copied_without_force_share(self):
        path = self.make("qcow2")
        with writer(path) as pid:
            for command in ("vol-clone v copy --pool p",
                            f"vol-download v {self.at('copy')} --pool p",
                            f"vol-export v {self.at('copy')} --pool p"):
                self.assert_busy(command, pid)
                status, _, err = self.cistern(*command.split(), "--force-share")
                self.assertEqual((0, ""), (status, err))
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.at("copy"))

    def test_raw_volume_with_writer_is_copied_with_a_warning(self):
        repo = os.path.join(self.peer.files, "repo")
        self.assertEqual(0, self.cistern("backup-init", repo, "--no-encryption")[0])
        with writer(self.make()) as pid:
            for command in ("vol-clone v copy --pool p", f"backup-create {repo} v --pool p",
                            f"vol-download v {self.at('copy')} --pool p"):
                status, _, err = self.cistern(*command.split())
                self.assertEqual(0, status, err)
                self.assertIn(f"process {pid} (", err)
                self.assertIn("the copy may be inconsistent", err)
            far = f"storage:///embed?root={self.at('far')}"
            status, _, err = peers.run([space.CISTERN, "-c", far, "pool-create-as", "p", "dir",
                                        "--target", self.at("far-p"), "--build"])
            self.assertEqual(0, status, err)
            status, _, err = self.cistern("vol-copy", "v", "--pool", "p", "--to", far)
            self.assertEqual(0, status, err)
            self.assertIn(f"'v' is open for writing: process {pid} (", err)

    def test_export_does_not_replace_a_file_with_writer(self):
        self.make()
        target = self.file("target", b"x" * 4096)
        with writer(target) as pid:
            self.assert_busy(f"vol-export v {target} --pool p --yes", pid)
        self.assertEqual(b"x" * 4096, self.content(target))
        status, _, err = self.cistern("vol-export", "v", target, "--pool", "p", "--yes")
        self.assertEqual((0, ""), (status, err))

    def test_image_commands_do_not_change_a_file_with_writer(self):
        path = self.at("image")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "4M"])
        with writer(path) as pid:
            self.assert_busy(f"image-resize {path} 8M", pid)
            self.assert_busy(f"image-convert {path} {self.at('copy')} -O raw", pid)


    def image(self, name, form, *options):
        path = self.at(name)
        peers.run(["qemu-img", "create", "-q", "-f", form, *options, path, "4M"])
        return path

    def assert_image_stays(self, path, who, *commands):
        before = self.content(path)
        for command in commands:
            with self.subTest(command=command):
                status, out, err = self.cistern(*command.split())
                self.assertEqual(5, status, out + err)
                self.assertIn(who, err)
                self.assertEqual(before, self.content(path))

    def test_image_is_not_changed_when_a_program_writes_to_its_part(self):
        flat = self.image("flat.vmdk", "vmdk", "-o", "subformat=monolithicFlat")
        data = self.image("data.qcow2", "qcow2", "-o", f"data_file={self.at('data.raw')}")
        for path, part, options in ((flat, self.at("flat-flat.vmdk"), ""),
                                    (data, self.at("data.raw"), f" --data-file {self.at('data.raw')}")):
            with writer(part) as pid:
                self.assert_image_stays(path, f"process {pid} (", f"image-resize {path} 8M{options}")
        status, _, err = self.cistern("image-resize", data, "8M", "--data-file", self.at("data.raw"))
        self.assertEqual((0, ""), (status, err))

    def test_part_of_another_image_is_not_replaced(self):
        """The user agrees to replace the image, whose own parts are replaced with it."""
        source, target = self.image("source", "raw"), self.image("a.vmdk", "vmdk")
        other = self.at("a-flat.vmdk")
        with open(other, "wb") as out:
            out.write(b"x" * 4096)
        words = ("image-convert", "-f", "raw", source, target, "-O", "vmdk", "-o",
                 "subformat=monolithicFlat", "--yes")
        before = self.content(target)
        status, _, err = self.cistern(*words)
        self.assertNotEqual(0, status)
        self.assertIn("a-flat.vmdk': it exists, and is no part of", err)
        self.assertEqual((before, b"x" * 4096), (self.content(target), self.content(other)))
        os.unlink(other)
        for _ in range(2):
            status, _, err = self.cistern(*words)
            self.assertEqual((0, ""), (status, err))
        with writer(other) as pid:
            status, _, err = self.cistern(*words)
            self.assertEqual(5, status, err)
            self.assertIn(f"process {pid} (", err)
        self.assertEqual(bytes(4 * MIB), self.content(other))

    def test_writer_that_only_the_kernel_knows_is_found(self):
        """A loop device, and a descriptor that no process has received yet."""
        path = self.image("image", "qcow2")
        self.ok("vol-create-as", "p", "v", "4M", "--format", "qcow2")
        with writer_in_kernel(path):
            self.assert_image_stays(path, "is open for writing in", f"image-resize {path} 8M",
                                    f"image-check {path} --repair all")
        with writer_in_kernel(self.at("p", "v")):
            self.assert_image_stays(self.at("p", "v"), "'v'", "vol-check v --repair all --pool p",
                                    "snap-create v s --pool p")
        loop = subprocess.run(["losetup", "--find", "--show", path], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()
        try:
            self.assert_image_stays(path, "is open for writing in", f"image-resize {path} 8M")
        finally:
            subprocess.run(["losetup", "--detach", loop], check=True)

    def test_image_between_with_writer_is_not_committed(self):
        base = self.image("base", "qcow2")
        middle = self.image("middle", "qcow2", "-b", base, "-F", "qcow2")
        top = self.image("top", "qcow2", "-b", middle, "-F", "qcow2")
        with writer(middle) as pid:
            self.assert_image_stays(base, f"'{middle}' is open for writing in process {pid} (",
                                    f"image-commit {top} -b {base} --backing-chain --yes")

    def test_data_file_of_base_with_writer_is_not_copied_into_an_overlay(self):
        data = self.at("base.raw")
        base = self.image("base", "qcow2", "-o", f"data_file={data}")
        top = self.image("top", "qcow2", "-b", base, "-F", "qcow2")
        words = f"--backing-chain --data-file {data}"
        with writer(data) as pid:
            self.assert_image_stays(base, f"'{data}' is open for writing in process {pid} (",
                                    f"image-flatten {top} {words}")
            self.assertIn("backing file: ", self.cistern("image-info", top)[1])
        self.assertEqual(0, self.cistern(*f"image-flatten {top} {words}".split())[0])

    def test_base_with_writer_is_not_copied_into_its_overlay(self):
        base, other = self.image("base", "qcow2"), self.image("other", "qcow2")
        top = self.image("top", "qcow2", "-b", base, "-F", "qcow2")
        with writer(base) as pid:
            self.assert_image_stays(
                top, f"process {pid} (", f"image-flatten {top} --backing-chain",
                f"image-rebase {top} -b {other} -F qcow2 --backing-chain")
            self.assert_image_stays(top, f"'{base}' is being written by process {pid} (",
                                    f"image-convert {top} {self.at('copy')} -O raw --backing-chain")
        with writer(other) as pid:
            self.assert_image_stays(top, f"process {pid} (",
                                    f"image-rebase {top} -b {other} -F qcow2 --backing-chain")


class PartsOfImages(WithDaemon):
    """A VMDK whose content is in an extent file, and a qcow2 image with a data file."""

    def setUp(self):
        super().setUp()
        self.vmdk, self.extent = self.at("d.vmdk"), self.at("d-f001.vmdk")
        subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "-o",
                        "subformat=twoGbMaxExtentFlat", self.vmdk, "4M"], check=True)

    def convert(self, source, target, *words):
        return self.cistern("image-convert", source, target, "-O", "raw", "--yes", *words)

    def test_part_that_is_written_is_not_copied(self):
        top, data = self.at("top"), self.at("top.data")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data}", top,
                        "4M"], check=True)
        copy = self.at("copy")
        for image, part, words in ((self.vmdk, self.extent, []), (top, data, ["--data-file", data])):
            with self.subTest(image=image), writer(part) as pid:
                status, out, err = self.convert(image, copy, *words)
                self.assertEqual(5, status, out + err)
                self.assertIn(f"{os.path.basename(part)}' is being written by process {pid} (", err)
                self.assertFalse(os.path.exists(copy))
                status, out, err = self.convert(image, copy, "--force-share", *words)
                self.assertEqual((0, ""), (status, err))
                os.unlink(copy)

    def test_reader_is_warned_of_a_part_that_is_written(self):
        with writer(self.extent) as pid:
            status, _, err = self.cistern("image-map", self.vmdk)
            self.assertEqual(0, status, err)
            self.assertIn(f"{self.extent}' is being written by process {pid} (", err)
        self.assertEqual("", self.cistern("image-map", self.vmdk)[2])

    def test_check_asks_about_parts(self):
        data, beside = self.at("data.qcow2"), self.at("d.raw")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={beside}", data,
                        "4M"], check=True)
        own = self.at("own.qcow2")
        shutil.copyfile(data, own)
        subprocess.run(["qemu-img", "amend", "-o", "data_file=d.raw", own], cwd=self.at(), check=True)
        for image, part, words in ((self.vmdk, self.extent, []), (own, beside, []),
                                   (data, beside, ["--data-file", beside])):
            with self.subTest(image=image), writer(part) as pid:
                status, out, err = self.cistern("image-check", image, *words)
                self.assertEqual(0, status, out + err)
                self.assertIn(f"{part}' is being written by process {pid} (", err)
                status, out, err = self.cistern("image-check", image, "--repair", "all", *words)
                self.assertEqual(5, status, out + err)
                self.assertIn(f"process {pid} (", err)
            for more in ([], ["--repair", "all"]):
                self.assertEqual("", self.cistern("image-check", image, *words, *more)[2])

    def test_copy_is_as_private_as_the_parts(self):
        os.chmod(self.extent, 0o600)
        self.assertEqual(0, self.convert(self.vmdk, self.at("copy"))[0])
        self.assertEqual(0o600, os.stat(self.at("copy")).st_mode & 0o777)

    def test_copy_does_not_replace_a_part_or_a_base_of_its_source(self):
        base, top = self.at("base"), self.at("top")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "4M"], check=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top],
                       check=True)
        for source, target, words in ((self.vmdk, self.extent, []), (top, base, ["--backing-chain"])):
            before = self.content(target)
            for command in (["image-convert", source, target, "-O", "raw", *words],
                            ["image-dd", f"if={source}", f"of={target}", *words]):
                with self.subTest(command=command):
                    status, out, err = self.cistern(*command, "--yes")
                    self.assertNotEqual(0, status, out)
                    self.assertIn("give another target", err)
                    self.assertEqual(before, self.content(target))

    def content(self, path):
        with open(path, "rb") as stream:
            return stream.read()


class PartsOfVolumes(WithDaemon):
    """An image volume whose data are in another volume of its pool."""

    def test_volume_is_not_copied_while_its_data_file_has_a_writer(self):
        data = self.at("p", "v.data")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data}",
                        self.at("p", "v"), "4M"], check=True)
        self.ok("pool-refresh", "p")
        self.assertEqual(0, self.cistern("vol-trust", "v", "--pool", "p")[0])
        commands = ["vol-convert v w --pool p --format raw",
                    f"vol-export v {self.at('w')} --pool p --format raw"]
        for command in commands:
            with self.subTest(command=command):
                with writer(data) as pid:
                    status, out, err = self.cistern(*command.split())
                    self.assertEqual(5, status, out + err)
                    self.assertIn(f"process {pid} (", err)
                    self.assertEqual(["v", "v.data"], sorted(os.listdir(self.at("p"))))
                status, out, err = self.cistern(*command.split())
                self.assertEqual(0, status, out + err)
                self.cistern("vol-delete", "w", "--pool", "p", "--yes")


    def test_overlay_on_data_that_are_written_is_not_moved(self):
        data = self.at("p", "v.data")
        for words in (("-o", f"data_file={data}", self.at("p", "v"), "4M"),
                      ("-b", self.at("p", "v"), "-F", "qcow2", self.at("p", "over"))):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words], check=True)
        self.ok("pool-refresh", "p")
        for name in ("v", "over"):
            self.assertEqual(0, self.cistern("vol-trust", name, "--pool", "p")[0])
        command = "vol-move p/over --newpool p --format raw --name moved"
        for path in (data, self.at("p", "v")):
            with self.subTest(path=path), writer(path) as pid:
                status, out, err = self.cistern(*command.split())
                self.assertEqual(5, status, out + err)
                self.assertIn(f"process {pid} (", err)
                self.assertEqual(["over", "v", "v.data"], sorted(os.listdir(self.at("p"))))
        self.assertEqual(0, self.cistern(*command.split())[0])
        self.assertEqual(["moved", "v", "v.data"], sorted(os.listdir(self.at("p"))))


class MovingBesideWriter(WithDaemon):
    """vol-move to another file format, so that the content is copied."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.at("q"))
        self.ok("pool-create-as", "q", "dir", "--target", self.at("q"))
        self.ok("vol-create-as", "p", "v", "16M", "--format", "raw")
        self.path = self.at("p", "v")
        with open(self.path, "rb+") as volume:
            volume.write(b"a" * (16 << 20))

    def jobs(self):
        return [job for job in json.loads(self.cistern("--json", "job-list")[1])["jobs"]
                if job["operation"] == "move" and job["done"]]

    @contextlib.contextmanager
    def moving(self):
        """Yields while the move has copied a part. Afterwards the move has ended."""
        with subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-move", "p/v", "--newpool",
                               "q", "--format", "qcow2", "--rate-limit", "2M"], env=space.ENV,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as move:
            self.wait_until(self.jobs, "the move has copied a part")
            yield move
            self.assertEqual(0, self.cistern("job-rate", str(self.jobs()[0]["id"]), "1G")[0])
            move.out, move.err = move.communicate()

    def assert_stays(self, move, text):
        self.assertEqual(5, move.returncode, move.err)
        self.assertIn(text, move.err)
        self.assertEqual((["v"], []), (self.entries("p"), self.entries("q")))

    def test_move_is_refused_while_a_writer_has_the_original(self):
        with writer(self.path) as pid:
            status, _, err = self.cistern("vol-move", "p/v", "--newpool", "q")
            self.assertEqual(5, status, err)
            self.assertIn(f"process {pid} (", err)
        self.assertEqual((["v"], []), (self.entries("p"), self.entries("q")))

    def test_original_stays_when_a_writer_opens_it_during_the_copy(self):
        with contextlib.ExitStack() as stack:
            with self.moving() as move:
                pid = stack.enter_context(writer(self.path))
            self.assert_stays(move, f"process {pid} (")

    def test_original_stays_when_it_was_written_during_the_copy(self):
        with self.moving() as move:
            with open(self.path, "rb+") as volume:
                volume.write(b"b" * 4096)
                os.fsync(volume.fileno())
        self.assert_stays(move, "another program has written to volume 'v'")
        with open(self.path, "rb") as volume:
            self.assertEqual(b"b" * 4096 + b"a" * 4096, volume.read(8192))
        self.assertEqual(0, self.cistern("vol-move", "p/v", "--newpool", "q")[0])
        self.assertEqual(([], ["v"]), (self.entries("p"), self.entries("q")))


class FilesAndDevices(WithDaemon):
    """The files and devices that vol-import, vol-upload, vol-download and vol-export name."""

    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "4M")
        self.disk = self.file("disk", os.urandom(4 << 20))

    def assert_busy_unless_forced(self, command, text):
        status, out, err = self.cistern(*command.split())
        self.assertEqual(5, status, f"{command}: {out}{err}")
        self.assertIn(text, err)
        status, out, err = self.cistern(*command.split(), "--force-share")
        self.assertEqual(0, status, f"{command}: {out}{err}")

    def test_import_and_upload_of_a_file_with_writer_need_force_share(self):
        with writer(self.disk) as pid:
            for command in (f"vol-import {self.disk} new --pool p",
                            f"vol-upload v {self.disk} --pool p --yes"):
                self.assert_busy_unless_forced(command, f"process {pid} (")
        self.assertEqual(["new", "v"], self.entries("p"))

    def test_import_of_a_file_that_qemu_writes_names_qemu(self):
        with subprocess.Popen(["qemu-io", "-f", "raw", self.disk], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as qemu:
            qemu.stdin.write("length\n")
            qemu.stdin.flush()
            qemu.stdout.readline()
            self.assert_busy_unless_forced(f"vol-import {self.disk} new --pool p",
                                           f"process {qemu.pid} (qemu-io)")
            qemu.stdin.close()
            qemu.wait()

    def test_download_onto_a_file_with_writer_needs_force_share(self):
        with writer(self.disk) as pid:
            self.assert_busy_unless_forced(f"vol-download v {self.disk} --pool p --yes",
                                           f"process {pid} (")

    def mounted(self):
        """A loop device that is mounted."""
        image = self.file("fs", b"")
        os.truncate(image, 4 << 20)
        self.assertEqual(0, peers.run(["mkfs.ext2", "-q", image])[0])
        status, device, err = peers.run(["losetup", "--find", "--show", image])
        self.assertEqual(0, status, err)
        device = device.strip()
        self.addCleanup(peers.run, ["losetup", "--detach", device])
        self.assertEqual(0, peers.run(["mount", device, self.at("mnt")])[0])
        self.addCleanup(peers.run, ["umount", self.at("mnt")])
        return device

    def test_mounted_device_is_neither_source_nor_target(self):
        os.makedirs(self.at("mnt"))
        device = self.mounted()
        for command in (f"vol-import {device} new --pool p",
                        f"vol-upload v {device} --pool p --yes",
                        f"vol-download v {device} --pool p --yes",
                        f"vol-export v {device} --pool p --yes",
                        f"image-convert {self.disk} {device} -f raw -O raw --yes"):
            with self.subTest(command=command):
                status, _, err = self.cistern(*command.split())
                self.assertEqual(5, status, err)
                self.assertIn("mounted", err)
        peers.run(["umount", self.at("mnt")])
        for command in (f"vol-import {device} new --pool p", f"vol-export v {device} --pool p --yes"):
            status, _, err = self.cistern(*command.split())
            self.assertEqual(0, status, err)


class Meanwhile(WithDaemon):
    """A source that is at rest when a copy begins, and that a program writes to before it ends."""

    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "8M", "--format", "raw")
        self.write(self.at("p", "v"), os.urandom(8 * MIB), 0)

    def write(self, path, content, offset):
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, content, offset)
        os.close(fd)

    def begin(self, *words):
        rate = () if "--rate-limit" in words else ("--rate-limit", "1M")
        argv = [space.CISTERN, "-c", self.peer.uri, *words, *rate]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                env=space.ENV, text=True)

    def change_when(self, begun, path, *words):
        """The exit status and the messages of a copy during which PATH is written to."""
        with self.begin(*words) as process:
            self.wait_until(begun, f"{words} copies", lambda: self.cistern("job-list")[1])
            self.write(path, b"other content", 8 * MIB - 4096)
            _, err = process.communicate()
        return process.returncode, err

    def copies(self):
        return any(job["done"] for job in json.loads(self.cistern("--json", "job-list")[1])["jobs"])

    def test_copy_of_volume_that_is_written_to_is_refused(self):
        out = os.path.join(self.peer.files, "out.raw")
        document = os.path.join(self.peer.files, "x.xml")
        with open(document, "w", encoding="utf-8") as stream:
            stream.write("<volume><name>x</name><capacity>0</capacity>"
                         "<target><format type='qcow2'/></target></volume>")
        for words in (("vol-create-from", "p", document, "v", "--inputpool", "p"),
                      ("vol-convert", "v", "x", "--pool", "p", "--format", "qcow2"),
                      ("vol-export", "v", out, "--pool", "p"),
                      ("vol-download", "v", out, "--pool", "p")):
            with self.subTest(words=words):
                status, err = self.change_when(self.copies, self.at("p", "v"), *words)
                self.assertEqual(5, status, err)
                self.assertIn("another program has written to", err)
                self.assertEqual(["v"], os.listdir(self.at("p")))
                self.assertFalse(os.path.exists(out))

    def test_upload_of_file_that_is_written_to_fails(self):
        source = os.path.join(self.peer.files, "in")
        for words in ((), ("--force-share",)):
            with open(source, "wb") as stream:
                stream.write(os.urandom(8 * MIB))
            with self.subTest(words=words):
                status, err = self.change_when(self.copies, source, "vol-upload", "v", source,
                                               "--pool", "p", "--yes", *words)
                self.assertEqual(0 if words else 5, status, err)
                self.assertIn("" if words else f"another program has written to '{source}'", err)

    def test_clone_of_bytes_that_are_written_to_is_refused(self):
        """It is copied by runs of 8 MiB, two at a time."""
        self.write(self.at("p", "v"), os.urandom(64 * MIB), 0)
        self.ok("pool-refresh", "p")
        status, err = self.change_when(self.copies, self.at("p", "v"), "vol-clone", "v", "x", "--pool",
                                       "p", "--rate-limit", "8M")
        self.assertEqual(5, status, err)
        self.assertIn("another program has written to 'v'", err)
        self.assertEqual(["v"], os.listdir(self.at("p")))

    def test_base_that_is_written_to_stays_the_base(self):
        """The reference of an overlay changes only if its bases were at rest during the copy."""
        self.ok("vol-create-as", "p", "over", "8M", "--format", "qcow2", "--backing-vol", "v",
                "--backing-vol-format", "raw")
        status, err = self.change_when(self.copies, self.at("p", "v"), "vol-flatten", "over",
                                       "--pool", "p")
        self.assertEqual(5, status, err)
        self.assertIn("another program has written to", err)
        self.assertEqual(self.at("p", "v"), self.ok(
            "vol-dumpxml", "over", "--pool", "p", "--xpath",
            "/volume/backingStore/path/text()").strip())

    def test_copy_with_force_share_is_made_although_the_volume_is_written_to(self):
        status, err = self.change_when(self.copies, self.at("p", "v"), "vol-convert", "v", "x",
                                       "--pool", "p", "--format", "qcow2", "--force-share")
        self.assertEqual(0, status, err)
        self.assertEqual(["v", "x"], sorted(os.listdir(self.at("p"))))

    def test_copy_of_image_file_that_is_written_to_is_refused(self):
        """The kernel copies by runs of 8 MiB. The rate limit applies between two runs."""
        source, where = os.path.join(self.peer.files, "in.raw"), os.path.join(self.peer.files, "out")
        os.makedirs(where)
        with open(source, "wb") as stream:
            stream.write(os.urandom(64 * MIB))
        target = os.path.join(where, "x")
        for words in (("image-convert", "-f", "raw", source, target),
                      ("image-dd", "-f", "raw", f"if={source}", f"of={target}")):
            with self.subTest(words=words):
                status, err = self.change_when(lambda: os.listdir(where), source, *words,
                                               "--rate-limit", "8M")
                self.assertEqual(5, status, err)
                self.assertIn(f"another program has written to '{source}'", err)
                self.assertEqual([], os.listdir(where))
