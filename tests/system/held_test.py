# SPDX-License-Identifier: LGPL-2.1-or-later
"""An image that a QEMU program has open: nothing here changes it, and the refusal names the holder;
what we change, QEMU doesn't open. libvirt lets all of this through."""

import contextlib
import os
import subprocess

from harness import peers, space, wait
from harness.cases import WithDaemon


@contextlib.contextmanager
def running(argv, **options):
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          bufsize=1, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def qemu_io(path, form):
    with running(["qemu-io", "-f", form, path]) as process:
        process.stdin.write("length\n")
        process.stdin.flush()
        process.stdout.readline()
        yield process.pid


@contextlib.contextmanager
def qemu_nbd(path, form):
    sock = path + ".sock"
    with running(["qemu-nbd", "-t", "-f", form, "-k", sock, path]) as process:
        wait.until(lambda: peers.accepts(sock), "qemu-nbd listens", process.poll)
        yield process.pid
    with contextlib.suppress(FileNotFoundError):
        os.unlink(sock)


@contextlib.contextmanager
def qemu_system(path, form):
    machine = ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "32", "-nodefaults",
               "-display", "none", "-S", "-qmp", "stdio",
               "-blockdev", f"driver=file,filename={path},node-name=file",
               "-blockdev", f"driver={form},file=file,node-name=disk",
               "-device", "virtio-blk-pci,drive=disk"]
    with running(machine) as process:
        process.stdout.readline()
        process.stdin.write('{"execute": "qmp_capabilities"}\n')
        process.stdin.flush()
        process.stdout.readline()
        yield process.pid


PROGRAMS = {"qemu-io": qemu_io, "qemu-nbd": qemu_nbd, "qemu-system": qemu_system}

CHANGES = (
    "image-resize {0} 8M",
    "image-amend {0} -o lazy_refcounts=on",
    "image-check {0} --repair all",
    "image-snapshot {0} --create s",
    "image-snapshot {0} --apply old --yes",
    "image-snapshot {0} --delete old --yes",
    "image-commit {0} --backing-chain --yes",
    "image-rebase {0} --backing base --backing-format qcow2 --backing-chain",
    "image-rebase {0} --backing base --backing-format qcow2 --unsafe",
    "image-flatten {0} --backing-chain",
    "image-sparsify {0}",
    "image-bitmap {0} b --add",
    "image-create {0} 8M --format raw --yes",
    "image-convert other {0} --target-format raw --yes",
)


class Held(WithDaemon):
    def image(self, name, *options):
        path = self.at("p", name)
        status, out, err = peers.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path,
                                      "4M"])
        self.assertEqual(0, status, out + err)
        return path

    def content(self, path):
        with open(path, "rb") as stream:
            return stream.read()

    def local(self, command, path):
        return peers.run([space.CISTERN, *command.format(path).split()], cwd=self.at("p"))

    def assert_refused(self, what, got, pid):
        status, out, err = got
        self.assertNotEqual(0, status, f"{what} went through: {out}")
        self.assertIn(f"process {pid}", err, what)

    def test_no_image_command_changes_an_image_that_qemu_has_open(self):
        self.image("base")
        self.image("other")
        top = self.image("top", "-b", "base", "-F", "qcow2")
        peers.run(["qemu-img", "snapshot", "-c", "old", top])
        for name, program in PROGRAMS.items():
            with program(top, "qcow2") as pid:
                before = self.content(top)
                for command in CHANGES:
                    with self.subTest(holder=name, command=command):
                        self.assert_refused(command, self.local(command, top), pid)
                self.assertEqual(before, self.content(top))

    def test_an_image_is_not_committed_into_one_that_qemu_has_open(self):
        base = self.image("base")
        top = self.image("top", "-b", "base", "-F", "qcow2")
        with qemu_io(base, "qcow2") as pid:
            self.assert_refused("commit", self.local("image-commit {0} --backing-chain --yes", top),
                                pid)

    def test_looking_at_it_warns_and_works(self):
        top = self.image("top")
        self.image("other")
        for command in ("image-info {0}", "image-map {0}", "image-check {0}",
                        "image-measure {0} -O raw", "image-compare {0} other",
                        "image-snapshot {0} --list"):
            with self.subTest(command=command):
                with qemu_io(top, "qcow2") as pid:
                    status, _, err = self.local(command, top)
                    self.assertEqual(0, status, err)
                    self.assertIn(f"is being written by process {pid} (qemu-io)", err)
                    if "snapshot" not in command:
                        status, _, err = self.local(command + " -U", top)
                        self.assertEqual((0, ""), (status, err))
                status, _, err = self.local(command, top)
                self.assertEqual((0, ""), (status, err))

    def test_it_is_copied_only_on_request(self):
        """As by qemu-img: a copy of what is being written would mix different times."""
        base = self.image("base")
        top = self.image("top", "-b", "base", "-F", "qcow2")
        command = "image-convert {0} copy -O raw --yes --backing-chain"
        for held in (top, base):
            with qemu_io(held, "qcow2") as pid:
                self.assert_refused("convert", self.local(command, top), pid)
                status, _, err = self.local(command + " --force-share", top)
                self.assertEqual((0, ""), (status, err))
        status, _, err = self.local(command, top)
        self.assertEqual((0, ""), (status, err))

    def test_no_volume_command_changes_a_volume_that_qemu_has_open(self):
        data = self.file("data", b"x" * 4096)
        for form in ("raw", "qcow2"):
            self.ok("vol-create-as", "p", "v", "4M", "--format", form)
            path = self.at("p", "v")
            for name, program in PROGRAMS.items():
                with program(path, form) as pid:
                    before = self.content(path)
                    for command in ("vol-resize v 8M --pool p", "vol-wipe v --pool p",
                                    f"vol-upload v {data} --pool p", "vol-delete v --pool p"):
                        with self.subTest(form=form, holder=name, command=command):
                            err = self.fails(*command.split())
                            self.assertIn(f"process {pid}", err)
                            self.assertIn("in use", err)
                    self.assertEqual(before, self.content(path))
            self.ok("vol-resize", "v", "8M", "--pool", "p")
            self.ok("vol-delete", "v", "--pool", "p")

    def test_a_volume_that_qemu_only_reads_is_not_deleted(self):
        base = self.image("base")
        top = self.image("top", "-b", base, "-F", "qcow2")
        self.ok("pool-refresh", "p")
        with qemu_io(top, "qcow2") as pid:
            self.assertIn(f"process {pid}", self.fails("vol-delete", "base", "--pool", "p"))
            self.assertIn(f"process {pid}", self.fails("vol-wipe", "base", "--pool", "p"))
        self.assertTrue(os.path.exists(base))

    def copies(self, name):
        """(what, command) of everything that copies a volume, as virsh and we have them."""
        xml = self.file("copy.xml", "<volume><name>copy</name><capacity>0</capacity>"
                        "<target><format type='qcow2'/></target></volume>")
        raw = self.file("raw.xml", "<volume><name>copy</name><capacity>0</capacity></volume>")
        return {"clone": f"vol-clone {name} copy --pool p",
                "create-from": f"vol-create-from p {xml} {name} --inputpool p",
                "another format": f"vol-create-from p {raw} {name} --inputpool p",
                "download": f"vol-download {name} {self.at('copy')} --pool p",
                "convert": f"vol-convert {name} copy --pool p --format qcow2"}

    def forget_copy(self):
        self.virsh("vol-delete", "copy", "--pool", "p")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.at("copy"))

    def test_an_image_that_is_written_to_is_not_copied(self):
        for form in ("qcow2", "vmdk", "vdi", "vpc", "vhdx"):
            self.ok("vol-create-as", "p", "v", "4M", "--format", form)
            with qemu_io(self.at("p", "v"), form) as pid:
                for what, command in self.copies("v").items():
                    with self.subTest(form=form, what=what):
                        if what != "convert":
                            err = self.fails(*command.split())
                            self.assertIn(f"process {pid} (qemu-io)", err)
                        status, _, err = self.cistern(*command.split())
                        self.assertEqual(5, status, err)
                        self.assertIn(f"process {pid} (qemu-io)", err)
                        self.assertEqual(["v"], self.entries("p"))
                        self.assertFalse(os.path.exists(self.at("copy")))
                        status, _, err = self.cistern(*command.split(), "-U")
                        self.assertEqual((0, ""), (status, err))
                        self.forget_copy()
                self.ok("vol-info", "v", "--pool", "p")
            self.ok("vol-delete", "v", "--pool", "p")

    def test_a_raw_volume_that_is_written_to_is_copied_with_a_warning(self):
        self.ok("vol-create-as", "p", "v", "4M")
        with qemu_io(self.at("p", "v"), "raw") as pid:
            for what, command in self.copies("v").items():
                with self.subTest(what=what):
                    status, _, err = self.cistern(*command.split())
                    self.assertEqual(0, status, err)
                    self.assertIn(f"process {pid} (qemu-io); the copy may be inconsistent", err)
                    self.forget_copy()
                    status, _, err = self.cistern(*command.split(), "--force-share")
                    self.assertEqual((0, ""), (status, err))
                    self.forget_copy()
                    if what != "convert":
                        status, _, err = self.virsh(*command.split())
                        self.assertEqual((0, ""), (status, err))
                        self.forget_copy()

    def test_the_base_of_a_running_machine_is_copied(self):
        """QEMU shares what it only reads; what it writes to is refused also below an image."""
        base = self.image("base")
        top = self.image("top", "-b", base, "-F", "qcow2")
        self.ok("pool-refresh", "p")
        with qemu_system(top, "qcow2"):
            for command in self.copies("base").values():
                status, _, err = self.cistern(*command.split())
                self.assertEqual((0, ""), (status, err))
                self.forget_copy()
        with qemu_io(base, "qcow2") as pid:
            for command in ("vol-convert top copy --pool p --format raw", "vol-flatten top --pool p"):
                status, _, err = self.cistern(*command.split())
                self.assertEqual(5, status, err)
                self.assertIn(f"process {pid}", err)

    def test_a_volume_with_a_writer_becomes_no_base(self):
        """A clone that is based on it would be damaged with the machine's next write."""
        clone = "vol-clone v copy --pool p --linked".split()
        for form in ("raw", "qcow2"):
            self.ok("vol-create-as", "p", "v", "4M", "--format", form)
            with qemu_io(self.at("p", "v"), form) as pid:
                status, _, err = self.cistern(*clone)
                self.assertEqual(5, status, err)
                self.assertIn(f"process {pid} (qemu-io)", err)
                self.assertEqual(["v"], self.entries("p"))
                status, _, err = self.cistern(*clone, "--force-share")
                self.assertEqual((0, ""), (status, err))
                self.forget_copy()
            with running(["qemu-io", "-r", "-f", form, self.at("p", "v")]) as reader:
                self.wait_until(lambda: f"process {reader.pid}" in self.cistern(
                    "vol-holders", "v", "--pool", "p")[1], "it is read")
                self.assertEqual(0, self.cistern(*clone)[0])
            self.forget_copy()
            self.ok("vol-delete", "v", "--pool", "p")

    def test_each_process_that_has_the_volume_open_is_listed(self):
        """Machines that share a volume, and the column of the list with details."""
        self.ok("vol-create-as", "p", "v", "4M")
        self.ok("vol-create-as", "p", "other", "4M")
        path = self.at("p", "v")
        words = ["qemu-io", "-r", "-f", "raw", path]
        with running(words) as one, running(words) as two, qemu_io(self.at("p", "other"), "raw"):
            wanted = {f"process {child.pid} (qemu-io)\treads\t-" for child in (one, two)}

            def listed():
                return set(self.cistern("vol-holders", "v", "--pool", "p", "-H")[1].splitlines())
            self.wait_until(lambda: listed() == wanted, "both are listed")
            _, out, _ = self.cistern("vol-list", "p", "--details", "--columns", "+holder", "-H")
            rows = {row[0]: row for row in (line.split("\t") for line in out.splitlines())}
            for child in one, two:
                self.assertIn(f"process {child.pid} (qemu-io)", rows["v"][-1])
                self.assertNotIn(str(child.pid), rows["other"][-1])
            self.assertEqual("file", rows["v"][2])
        self.assertEqual(set(), listed())

    def test_our_own_jobs_are_listed(self):
        self.ok("vol-create-as", "p", "v", "4M")
        with open(self.at("p", "v"), "rb+") as volume:
            volume.write(os.urandom(4 << 20))
        status, out, err = self.cistern("vol-wipe", "v", "--pool", "p", "--rate-limit", "64k",
                                        "--detach")
        self.assertEqual((0, ""), (status, err))
        number = out.split()[-1]

        def holders():
            return self.cistern("vol-holders", "v", "--pool", "p", "-H")[1]
        self.wait_until(holders, "the job is listed")
        self.assertRegex(holders(), rf"^job {number} \(wipe\) of process \d+, user 0\t-\t{number}\n$")
        self.assertEqual(0, self.cistern("job-cancel", number)[0])
        self.wait_until(lambda: not holders(), "the job is over")

    def test_the_holder_is_named_with_its_domain(self):
        if not space.private_mounts():
            self.skipTest("needs a mount namespace of its own")
        os.makedirs("/run/libvirt", exist_ok=True)
        space.tmpfs("/run/libvirt", "1m")
        self.addCleanup(space.unmount, "/run/libvirt")
        os.makedirs("/run/libvirt/qemu")
        self.ok("vol-create-as", "p", "v", "4M")
        with qemu_io(self.at("p", "v"), "raw") as pid:
            for name, number in (("other", pid + 1), ("web1", pid)):
                with open(f"/run/libvirt/qemu/{name}.pid", "w", encoding="ascii") as stream:
                    stream.write(str(number))
            status, _, err = peers.run([space.CISTERN, "image-resize", "-f", "raw",
                                        self.at("p", "v"), "8M"])
            self.assertNotEqual(0, status)
            self.assertIn(f"process {pid} (qemu-io, domain 'web1')", err)
            self.assertIn(f"process {pid} (qemu-io, domain 'web1')",
                          self.fails("vol-delete", "v", "--pool", "p"))

    def test_qemu_does_not_open_a_volume_during_a_change(self):
        self.ok("vol-create-as", "p", "v", "4M", "--format", "raw")
        path = self.at("p", "v")
        fifo = self.at("fifo")
        os.mkfifo(fifo)
        with running(["virsh", "-c", self.peer.uri, "vol-upload", "v", fifo, "--pool", "p"]):
            with open(fifo, "wb") as stream:
                stream.write(b"x" * (1 << 20))
                stream.flush()
                self.wait_for_content(path, b"x" * 4096)
                self.check_qemu_refuses(path)
        with open(path, "rb+") as volume:
            volume.truncate(4 << 20)

    def wait_for_content(self, path, wanted):
        self.wait_until(lambda: self.content(path)[:len(wanted)] == wanted, "the upload begins")

    def check_qemu_refuses(self, path):
        for argv in (["qemu-io", "-f", "raw", "-c", "length", path],
                     ["qemu-nbd", "-f", "raw", "-k", path + ".sock", path],
                     ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "32", "-nodefaults",
                      "-display", "none", "-S", "-blockdev",
                      f"driver=file,filename={path},node-name=disk",
                      "-device", "virtio-blk-pci,drive=disk"]):
            with self.subTest(program=argv[0]):
                status, _, err = peers.run(argv, timeout=20)
                self.assertNotEqual(0, status)
                self.assertIn("Failed to get", err)
