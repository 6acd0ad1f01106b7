# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-import of OVAs and OVFs: whole ones, damaged ones, and what attackers would put into them."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import unittest

from harness import peers, space
from import_http_test import Handler, Server
from import_test import MIB, Importing, digest, read

FILE = '<File ovf:id="f{n}" ovf:href="{href}"{more}/>'
DISK = '<Disk ovf:diskId="d{n}" ovf:fileRef="f{n}"{attributes}/>'
OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References>{files}</References><DiskSection><Info/>{disks}</DiskSection></Envelope>
"""


def descriptor(*hrefs, more="", attributes="", empty=0):
    return OVF.format(files="".join(FILE.format(n=n, href=h, more=more) for n, h in enumerate(hrefs)),
                      disks="".join(DISK.format(n=n, attributes=attributes) for n in range(len(hrefs))) +
                      empty * '<Disk ovf:diskId="none" ovf:capacity="1"/>').encode()


def manifest(files, kind="sha256", form="{kind}({name})= {hex}\n"):
    return "".join(form.format(kind=kind.upper(), name=name, hex=hashlib.new(kind, data).hexdigest())
                   for name, data in files.items()).encode()


class Packages(Importing):
    def setUp(self):
        super().setUp()
        self.contents = [self.content() for _ in range(3)]
        self.disks = {f"d{n}.vmdk": read(self.image(f"d{n}", content, "vmdk", "-o",
                                                    "subformat=streamOptimized"))
                      for n, content in enumerate(self.contents)}
        self.one = {"d0.vmdk": self.disks["d0.vmdk"]}

    def ova(self, files, name="vm.ova", fmt=tarfile.USTAR_FORMAT, change=None):
        """An archive of @files in their order; @change may do something to each entry's header."""
        path = os.path.join(self.peer.files, name)
        with tarfile.open(path, "w", format=fmt) as archive:
            for file, data in files.items():
                info = tarfile.TarInfo(file)
                info.size = len(data)
                if change:
                    change(info)
                archive.addfile(info, io.BytesIO(data))
        return path

    def package(self, disks, ovf=None, kind="sha256", **more):
        """The files of a package with a manifest."""
        files = {"vm.ovf": ovf or descriptor(*disks, **more), **disks}
        return {**files, "vm.mf": manifest(files, kind)}

    def assert_disk(self, name, number=0):
        self.assertEqual(self.contents[number], read(self.at("p", name)))

    def no_manifest(self, name="vm.mf"):
        return f"there is no manifest '{name}': the disks cannot be verified"


class Whole(Packages):
    def test_empty_file_reference_is_an_empty_disk(self):
        ovf = descriptor("d0.vmdk").replace(b"</DiskSection>", b'<Disk ovf:diskId="e" ovf:fileRef=""/></DiskSection>')
        status, _, err = self.run_import(self.ova(self.package(self.one, ovf=ovf)), "vm")
        self.assertEqual(0, status, err)
        self.assertIn("1 disk of 'vm.ovf' is empty, and left out", err)
        self.assert_disk("vm")

    def test_disk_section_of_ovf_0_9_is_read(self):
        ovf = descriptor("d0.vmdk").replace(b"<DiskSection>", b'<Section xmlns:xsi="http://www.w3.org/2001/'
                                            b'XMLSchema-instance" xsi:type="ovf:DiskSection_Type">')
        ovf = ovf.replace(b"</DiskSection>", b"</Section>")
        self.made(self.ova(self.package(self.one, ovf=ovf)), "vm")
        self.assert_disk("vm")

    def test_one_disk(self):
        path = self.ova(self.package(self.one))
        self.assertEqual("vm", self.made(path))
        self.assert_disk("vm")
        self.assertEqual("other", self.made(path, "other", "--format", "qcow2", "--resize", "40M",
                                            "--disk", "1", "--checksum", digest(read(path))))
        self.assert_content("other", self.contents[0] + bytes(34 * MIB), "qcow2")

    def test_forms_of_archives(self):
        """POSIX, pax and GNU; long names, names with blanks and a directory, as others write them."""
        long = "disk-" + "x" * 150 + ".vmdk"
        for number, fmt in enumerate((tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
            for name, href in (("d 0.vmdk", "d 0.vmdk"), ("d 0.vmdk", "d%200.vmdk"),
                               ("d%200.vmdk", "d%200.vmdk"), ("dä.vmdk", "dä.vmdk"), (long, long)):
                if number == 0 and name == long:
                    continue
                disks = {name: self.one["d0.vmdk"]}
                path = self.ova(self.package(disks, descriptor(href)), fmt=fmt)
                self.made(path)
                self.assert_disk("vm")
                self.ok("vol-delete", "vm", "p")
        files = self.package(self.one)
        self.made(self.ova({"./" + name: data for name, data in files.items()}), "dotted")
        self.assert_disk("dotted")

    def test_kinds_of_digests(self):
        for kind in ("sha1", "sha256", "sha512"):
            self.made(self.ova(self.package(self.one, kind=kind)), kind)
            files = {"vm.ovf": descriptor("d0.vmdk"), **self.one}
            files["vm.mf"] = manifest(files, kind, "{kind} ({name}) = {hex}\r\n")
            self.made(self.ova(files), kind + "-bsd")
        self.refused(self.ova(self.package(self.one, kind="md5")), "x", code=7,
                     text="'vm.mf' has no SHA-1 or SHA-2 checksum of 'vm.ovf'")

    def test_where_the_manifest_stands(self):
        """At the end, behind the descriptor, or nowhere."""
        files = self.package(self.one)
        order = ("vm.ovf", "vm.mf", "d0.vmdk")
        self.made(self.ova({name: files[name] for name in order}), "a")
        del files["vm.mf"]
        self.made(self.ova(files), "b", note=self.no_manifest())
        self.assert_disk("b")

    def test_several_disks(self):
        path = self.ova(self.package(self.disks, empty=2))
        status, out, err = self.run_import(path)
        self.assertEqual((0, "note: 2 disks of 'vm.ovf' are empty, and left out\n"),
                         (status, re.sub(r"Importing .*\n", "", err)))
        self.assertEqual([f"Vol vm-disk{n} imported from {path}" for n in (1, 2, 3)],
                         out.strip().split("\n"))
        for number in range(3):
            self.assert_disk(f"vm-disk{number + 1}", number)
        self.assertEqual(3, len(self.entries("p")))
        self.made(path, "second", "--disk", "2", note="2 disks of 'vm.ovf' are empty, and left out")
        self.assert_disk("second", 1)
        status, out, _ = self.run_import(path, "json", "--json")
        self.assertEqual(["json-disk1", "json-disk2", "json-disk3"],
                         [vol["name"] for vol in json.loads(out)["volumes"]])
        self.refused(path, "x", "--disk", "4", text="has no disk 4: it has 3", code=3)
        self.refused(path, "x", "--disk", "0", text="disk", code=2)
        self.refused(path, "x", "--resize", "1G", text="say which with --disk", code=2)
        self.refused(path, "vm", text="'vm-disk1' exists already")

    def test_several_disks_are_imported_completely_or_not_at_all(self):
        """When the last one can't be made, those before it go as well, and not into the trash."""
        os.makedirs(self.at("q"))
        space.tmpfs(self.at("q"), "11m")
        self.addCleanup(space.unmount, self.at("q"))
        status, _, err = self.cistern("pool-create-as", "q", "dir", "--target", self.at("q"), "--trash",
                                      "7")
        self.assertEqual(0, status, err)
        self.contents = [os.urandom(4 * MIB) for _ in range(3)]
        disks = {f"d{n}.raw": content for n, content in enumerate(self.contents)}
        status, out, err = self.run_import(self.ova(self.package(disks)), pool="q")
        self.assertEqual((1, ""), (status, out.strip()), err)
        self.assertIn("it needs 12.00 MiB", err)
        self.assertEqual([], os.listdir(self.at("q")))
        path = self.ova(self.package({**self.one, "cut.qcow2": read(
            self.image("cut", self.contents[0], "qcow2"))[:-70000]}))
        self.refused(path, "x", text="'cut.qcow2' (qcow2)")

    def test_a_dry_run(self):
        path = self.ova(self.package(self.disks))
        before = self.entries("p")
        status, out, err = self.run_import(path, "--dry-run")
        self.assertEqual((0, "".join(f"Would import {path} (vmdk, 6.00 MiB) as vol vm-disk{n} into pool p\n"
                                     for n in (1, 2, 3)) + "\n"), (status, out), err)
        self.assertEqual(before, self.entries("p"))

    def test_compressed_disks(self):
        """Of which the manifest has the digest as they are in the package; and compressed packages."""
        packed = {"d0.vmdk.gz": gzip.compress(self.one["d0.vmdk"])}
        path = self.ova(self.package(packed, more=' ovf:compression="gzip"'))
        self.made(path, "a", note=self.spooled("d0.vmdk.gz"))
        whole = self.file("vm.ova.gz", gzip.compress(read(self.ova(self.package(self.one)))))
        self.assertEqual("vm", self.made(whole, note=self.spooled(whole)))
        self.made("-", "b", stdin=read(whole), note=self.spooled("(standard input)"))
        for name in ("a", "b", "vm"):
            self.assert_disk(name)
        files = self.package(packed)
        files["d0.vmdk.gz"] += bytes(1)
        self.refused(self.ova(files), "x", text="'d0.vmdk.gz' has the sha256 checksum", code=7)

    def test_an_ovf_with_files_in_its_directory(self):
        for name, data in self.package(self.disks).items():
            self.file(name, data)
        path = os.path.join(self.peer.files, "vm.ovf")
        self.assertEqual(0, self.run_import(path)[0])
        for number in range(3):
            self.assert_disk(f"vm-disk{number + 1}", number)
        self.refused(path, "x", "--checksum", digest(read(path)), text="does not cover its disks", code=2)
        self.refused("-", "x", stdin=read(path), text="cannot refer to its disk files")
        self.file("d2.vmdk", self.disks["d2.vmdk"][:-1] + b"x")
        self.refused(path, "x", text="d2.vmdk' has the sha256 checksum", code=7)
        os.unlink(os.path.join(self.peer.files, "d2.vmdk"))
        self.refused(path, "x", text="d2.vmdk", code=3)

    def test_an_ovf_is_recognised_in_capitals(self):
        for name, data in {"VM.OVF": descriptor("d0.vmdk"), **self.one}.items():
            self.file(name, data)
        self.made(os.path.join(self.peer.files, "VM.OVF"), "a", note=self.no_manifest("VM.mf"))
        self.made(self.ova({"VM.OVF": descriptor("d0.vmdk"), **self.one}), "b", note=self.no_manifest("VM.mf"))
        for name in ("a", "b"):
            self.assert_disk(name)

    def test_an_interrupted_one(self):
        """In the middle of the second disk: the first one goes as well."""
        self.contents = [os.urandom(2 * MIB), os.urandom(8 * MIB)]
        path = self.ova(self.package({f"d{n}.raw": content for n, content in enumerate(self.contents)}))
        before = self.entries("p")
        child = self.start(path, "--rate-limit", "2M")
        self.wait_until(lambda: "vm-disk1" in self.entries("p"), "the first disk is there")
        self.assertIsNone(child.poll())
        child.send_signal(signal.SIGINT)
        err = child.communicate(timeout=10)[1]
        self.assertIn(child.returncode, (1, 130), err)
        self.assertNotIn("stays", err)
        self.wait_until(lambda: self.entries("p") == before, "nothing is there")

    def test_an_export_is_imported_again(self):
        """There and back."""
        self.made(self.file("disk.raw", self.contents[0]))
        path = os.path.join(self.peer.files, "out.ova")
        status, _, err = self.cistern("vol-export", "disk", path, "--pool", "p")
        self.assertEqual(0, status, err)
        self.assertEqual("out", self.made(path, "--format", "qcow2"))
        self.assert_content("out", self.contents[0], "qcow2")


class Hostile(Packages):
    def test_wrong_manifests(self):
        good = self.package(self.one)
        for name, changed, text in (
                ("d0.vmdk", good["d0.vmdk"][:-1] + b"x", "'d0.vmdk' has the sha256 checksum"),
                ("vm.ovf", good["vm.ovf"] + b"\n", "'vm.ovf' has the sha256 checksum"),
                ("vm.mf", good["vm.mf"].split(b"\n")[0], "'vm.mf' has no SHA-1 or SHA-2 checksum of 'd0.vmdk'"),
                ("vm.mf", good["vm.mf"].split(b"\n")[1], "'vm.mf' has no SHA-1 or SHA-2 checksum of 'vm.ovf'"),
                ("vm.mf", b"", "'vm.mf' has no SHA-1 or SHA-2 checksum"),
                ("vm.mf", good["vm.mf"] + good["vm.mf"].replace(b"= ", b"= 00")[:-3], "'")):
            with self.subTest(name=name, text=text):
                self.refused(self.ova({**good, name: changed}), "x", text=text)
        self.refused(self.ova({**good, "vm.mf": b"x" * (MIB + 1)}), "x", text="is larger than 1048576 bytes")

    def test_names_that_lead_elsewhere(self):
        """Nothing but the archive is looked into, whatever is there."""
        secret = self.file("secret.raw", b"the victim's" + bytes(MIB))
        before = os.stat(secret).st_atime_ns
        for href in ("../secret.raw", secret, "file://" + secret, "x/../../secret.raw", ".", "..", "",
                     "http://127.0.0.1:1/x", "%2e%2e%2fsecret.raw", "..%2Fsecret.raw", "a/b"):
            with self.subTest(href=href):
                self.refused(self.ova({"vm.ovf": descriptor(href), "secret.raw": bytes(MIB)}), "x", text="'")
                path = self.file("vm.ovf", descriptor(href))
                self.refused(path, "x", text="'")
        self.refused(self.ova({"vm.ovf": descriptor("secret.raw")}), "x",
                     text="there is no 'secret.raw' in", code=3)
        self.made(self.ova({"../evil": b"x", "/etc/evil": b"y", "vm.ovf": descriptor("d0.vmdk"), **self.one}),
                  "only-looked-up", note=self.no_manifest())
        self.assertFalse(os.path.exists("/etc/evil"))
        self.assertEqual(before, os.stat(secret).st_atime_ns)

    def test_names_that_a_terminal_would_obey(self):
        """None of them gets there: neither in errors nor in notes."""
        evil, c1 = "\x1b[31m\x07", "&#x9b;31m&#x202e;"
        archives = [{evil + ".ovf": descriptor("d0.vmdk"), evil + ".mf": b"", **self.one},
                    {evil + ".ovf": b"<Envelope>", **self.one},
                    {"vm.ovf": descriptor("x/" + c1), **self.one},
                    {"vm.ovf": descriptor(c1), **self.one},
                    {"vm.ovf": descriptor("%1b%9b"), **self.one},
                    {"vm.ovf": descriptor(c1, more=' ovf:chunkSize="1"')},
                    {"vm.ovf": descriptor(c1, more=f' ovf:compression="{c1}"')},
                    {"vm.ovf": descriptor("d0.vmdk", attributes=' ovf:parentRef="x"').replace(
                        b"d0\"", c1.encode() + b"\"")},
                    {"vm.ovf": descriptor("\u009b31m"), "vm.mf": manifest({"vm.ovf": descriptor("\u009b31m")}),
                     "\u009b31m": b"x"},
                    {"vm.ovf": descriptor("d0.vmdk"), evil: b"x", "./" + evil: b"y"}]
        for number, files in enumerate(archives):
            with self.subTest(number=number):
                err = self.refused(self.ova(files), "x", text="")
                for text in ("\x1b", "\x07", "\u009b", "\u202e"):
                    self.assertNotIn(text, err)
        self.file("vm.ovf", descriptor("\u009b31m"))
        self.assertNotIn("\u009b", self.refused(os.path.join(self.peer.files, "vm.ovf"), "x", text="31m"))
        status, _, err = self.run_import(self.ova({evil + ".ovf": descriptor("d0.vmdk"), **self.one}))
        self.assertEqual((0, "note: " + self.no_manifest("\\x1b[31m\\x07.mf") + "\n"), (status, err))

    def test_a_guest_that_writes_a_descriptor(self):
        """To its raw disk, to be given a neighbour's with the next import."""
        self.file("neighbour.raw", b"the victim's" + bytes(MIB))
        content = descriptor("neighbour.raw")
        content += bytes(MIB - len(content))
        for name in ("guest.raw", "guest.img", "guest", ".ovf"):
            path = self.file(name, content)
            self.refused(path, "x", text="is not called .ovf", code=4)
        self.made(path, "as-it-is", "--source-format", "raw")
        self.assertEqual(content, read(self.at("p", "as-it-is")))

    def test_descriptor_in_utf_16_is_read(self):
        ovf = descriptor("d0.vmdk").decode().replace('version="1.0"', 'version="1.0" encoding="UTF-16"')
        for name, data in (("le", b"\xff\xfe" + ovf.encode("utf-16-le")), ("be", b"\xfe\xff" + ovf.encode("utf-16-be"))):
            self.made(self.ova(self.package(self.one, ovf=data)), name)
            self.assert_disk(name)
            for file, content in self.package(self.one, ovf=data).items():
                self.file(file, content)
            self.made(os.path.join(self.peer.files, "vm.ovf"), name + "-ovf")
            self.assert_disk(name + "-ovf")

    def test_disks_in_directories_below_the_descriptor_are_read(self):
        files = self.package({"disks/a/d0.vmdk": self.one["d0.vmdk"]})
        self.made(self.ova(files), "ova")
        self.assert_disk("ova")
        self.made(self.ova(self.package({"d0.vmdk": self.one["d0.vmdk"]}, ovf=descriptor("./d0.vmdk"))), "dotted-href")
        self.assert_disk("dotted-href")
        self.made(self.ova({"export/" + name: data for name, data in files.items()}), "nested")
        self.assert_disk("nested")
        os.makedirs(os.path.join(self.peer.files, "disks/a"))
        for name, data in files.items():
            self.file(name, data)
        path = os.path.join(self.peer.files, "vm.ovf")
        self.made(path, "ovf")
        self.assert_disk("ovf")
        os.rename(os.path.join(self.peer.files, "disks"), os.path.join(self.peer.files, "elsewhere"))
        os.symlink("elsewhere", os.path.join(self.peer.files, "disks"))
        self.refused(path, "x", text="is a link, which is not followed", code=4)

    def test_two_disks_in_one_file_are_refused(self):
        for hrefs in (("d0.vmdk", "d0.vmdk"), ("d0.vmdk", "./d0.vmdk")):
            self.refused(self.ova(self.package(self.one, ovf=descriptor(*hrefs))), "x", text="are the same file")

    def test_what_is_called_a_package(self):
        """And begins otherwise is no disk either."""
        whole = read(self.ova(self.package(self.one)))
        broken = whole[:10] + b"x" + whole[11:]
        for name, data in (("x.ova", broken), ("x.OVA.gz", gzip.compress(broken)), ("x.ovf", b"x" * MIB)):
            self.refused(self.file(name, data), "x", text="is called a package and begins otherwise", code=1)
        self.made(self.file("image.ova", self.one["d0.vmdk"]), "meant", "--source-format", "vmdk")
        self.assert_disk("meant")

    def test_an_archive_that_lost_its_manifest(self):
        """It was cut between two entries, so everything that is left of it is right."""
        whole = read(self.ova(self.package(self.one)))
        self.refused(self.file("cut.ova", whole[:whole.index(b"vm.mf\0")]), "x",
                     text="is cut off: it has neither a manifest nor the mark that ends an archive", code=1)
        self.made(self.file("end.ova", whole[:whole.rindex(b"\n") // 512 * 512 + 512]), "whole")

    def test_linked_descriptor_is_verified_by_its_manifest(self):
        """The link has another name and another directory than the descriptor."""
        good = self.package(self.one)
        at = os.path.join(self.peer.files, "package")
        os.mkdir(at)
        link = os.path.join(self.peer.files, "link.ovf")
        os.symlink("package/vm.ovf", link)
        for files, text in ((good, None),
                            ({**good, "d0.vmdk": good["d0.vmdk"][:-1] + b"x"},
                             at + "/d0.vmdk' has the sha256 checksum"),
                            ({**good, "vm.ovf": good["vm.ovf"] + b"\n"}, "'vm.ovf' has the sha256")):
            for manifest_name in ("vm.mf", "link.mf"):
                with self.subTest(text=text, manifest=manifest_name):
                    peers.empty(at)
                    for name, content in files.items():
                        name = manifest_name if name == "vm.mf" else name
                        content = content if name != "link.mf" else content.replace(b"vm.ovf", b"link.ovf")
                        self.file("package/" + name, content)
                    if text:
                        name = "'vm.ovf'" if manifest_name == "vm.mf" else "'link.ovf'"
                        self.refused(link, "x", text=text.replace("'vm.ovf'", name))
                    else:
                        self.made(link, "linked-" + manifest_name)

    def test_links_beside_a_descriptor(self):
        secret = self.file("elsewhere", b"the victim's" + bytes(MIB))
        path = self.file("vm.ovf", descriptor("link.raw"))
        link = os.path.join(self.peer.files, "link.raw")
        for make in (lambda: os.symlink(secret, link), lambda: os.mkfifo(link), lambda: os.mkdir(link)):
            make()
            self.refused(path, "x", text="link.raw' is", code=4)
            shutil.move(link, link + ".old" + str(len(os.listdir(self.peer.files))))
        self.file("link.raw", self.contents[0])
        os.symlink("/etc/passwd", os.path.join(self.peer.files, "vm.mf"))
        self.refused(path, "x", text="vm.mf' is a link, which is not followed", code=4)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_disks_beside_the_descriptor_of_another_user_are_no_files_of_root(self):
        """The tenant owns the directory, and plants a link, a directory that is a link, and a name
        with ".."."""
        self.file("elsewhere", b"the victim's" + bytes(MIB))
        os.chmod(self.peer.files, 0o755)
        home = os.path.join(self.peer.files, "home")
        os.mkdir(home)
        os.chown(home, 12345, 12345)
        script = 'ln -s "$1/elsewhere" "$1/home/link.raw"; ln -s "$1" "$1/home/dir"'
        subprocess.run(["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "sh",
                        "-ec", script, "sh", self.peer.files], check=True)
        for href in ("link.raw", "dir/elsewhere", "../elsewhere"):
            path = self.file("home/vm.ovf", descriptor(href))
            os.chown(path, 12345, 12345)
            self.refused(path, "x", text="elsewhere" if "elsewhere" in href else "link.raw", code=4)
            # A directory of the path is a link.
            self.refused(os.path.join(home, "dir", "home", "vm.ovf"), "x",
                         text="is a symbolic link that another user can change", code=4)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_hard_link_in_a_directory_of_another_user_is_no_disk(self):
        """The descriptor and its directory are root's, the directory below is the tenant's."""
        secret = self.file("secret.raw", b"the victim's" + bytes(MIB))
        disks = os.path.join(self.peer.files, "disks")
        os.mkdir(disks)
        path = self.file("vm.ovf", descriptor("disks/d.raw"))
        os.link(secret, os.path.join(disks, "d.raw"))
        os.chown(disks, 12345, 12345)
        self.refused(path, "x", text="disks/d.raw': it is a file of user 0 with another name", code=4)
        os.unlink(os.path.join(disks, "d.raw"))
        self.file("disks/d.raw", self.contents[0])
        self.made(path, note=self.no_manifest())

    def test_entries_that_no_ova_has(self):
        files = {"vm.ovf": descriptor("d0.vmdk"), **self.one}
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            def change(info, kind=kind):
                if info.name == "d0.vmdk":
                    info.type, info.linkname, info.size = kind, "/etc/passwd", 0
            self.refused(self.ova(files, change=change), "x", text="has a link or a device", code=4)

        def sparse(info):
            if info.name == "d0.vmdk":
                info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                    "GNU.sparse.name": "d0.vmdk", "GNU.sparse.realsize": str(1 << 50)}
        self.refused(self.ova(files, fmt=tarfile.PAX_FORMAT, change=sparse), "x", text="has a sparse entry")

        def old_sparse(info):
            info.type = tarfile.GNUTYPE_SPARSE if info.name == "d0.vmdk" else info.type
        self.refused(self.ova(files, change=old_sparse), "x", text="has a sparse entry")

    def test_damaged_archives(self):
        whole = read(self.ova(self.package(self.one)))
        start = whole.index(b"d0.vmdk\0")
        self.refused(self.file("cut.ova", whole[:start + 5000]), "x", text="extends past the end of the file", code=1)
        self.refused(self.file("sum.ova", whole[:start + 10] + b"x" + whole[start + 11:]), "x",
                     text="there is no valid entry at byte", code=1)
        self.refused(self.ova({**self.package(self.one), "b.ovf": b"x"}), "x", text="has two descriptors")
        self.refused(self.ova(self.one), "x", text="is an archive without a descriptor")
        self.made(self.ova(self.one), "as-it-is", "--source-format", "raw")
        path = os.path.join(self.peer.files, "two.ova")
        with tarfile.open(path, "w") as archive:
            for name, data in (("vm.ovf", descriptor("d0.vmdk")), ("d0.vmdk", b"x"), ("./d0.vmdk", b"y")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        self.refused(path, "x", text="has two entries called './d0.vmdk'", code=1)
        huge = tarfile.TarInfo("d0.vmdk")
        huge.size = 1 << 62
        archive = huge.tobuf(tarfile.GNU_FORMAT)
        self.refused(self.file("huge.ova", archive), "x", text="extends past the end of the file")
        negative = bytearray(tarfile.TarInfo("d0.vmdk").tobuf())
        negative[124:136] = b"\xff" * 12
        negative[148:156] = b"%06o\0 " % (sum(negative) - sum(negative[148:156]) + 8 * 32)
        self.refused(self.file("negative.ova", bytes(negative)), "x", text="there is no valid entry")
        self.refused(self.ova({f"{n}": b"" for n in range(5000)}), "x", text="has over 4096 entries")
        for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            for length, size in ((5000, 5000), (70000, 7)):
                self.refused(self.ova({"x" * length: b""}, fmt=fmt), "x", text=f"has a name of {size}", code=1)

    def test_bad_descriptors(self):
        disk = self.one
        for ovf, text in (
                (b"<Envelope>", "vm.ovf"),
                (descriptor("d0.vmdk", more=' ovf:chunkSize="1"'), "comes in pieces"),
                (descriptor("d0.vmdk", more=' ovf:compression="lzma"'), "has a compression that is not supported"),
                (descriptor(*(f"d{n}.vmdk" for n in range(65))), "there are over 64 disks"),
                (descriptor("d0.vmdk", attributes=' ovf:parentRef="d1"'), "is based on another one"),
                (descriptor("d0.vmdk", "d0.vmdk"), "are the same file"),
                (descriptor(), "no disk in it has content"),
                (OVF.format(files="", disks=DISK.format(n=0, attributes="")).encode(), "that is not listed"),
                (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Envelope>&e;</Envelope>', "vm.ovf"),
                (b"<Envelope>" + b"<a>" * 300 + b"</a>" * 300 + b"</Envelope>", "vm.ovf"),
                (b" " * (MIB + 1) + b"<Envelope/>", "is larger than")):
            with self.subTest(text=text):
                self.refused(self.ova({"vm.ovf": ovf, **disk, "vm.mf": manifest({"vm.ovf": ovf, **disk})}),
                             "x", text=text)

    def test_disks_that_refer_to_others(self):
        path = os.path.join(self.peer.files, "b")
        secret = self.file("secret", b"the victim's" + bytes(MIB))
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"])
        peers.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", secret, path])
        self.refused(self.ova(self.package({"d0.qcow2": read(path)})), "x",
                     text="refers to the backing image", code=4)

    def test_a_bomb_in_it(self):
        bomb = {"d0.raw.gz": gzip.compress(bytes(64 * MIB))}
        self.refused(self.ova(self.package(bomb)), "x", "--max-size", "20M", text="is larger than 20.00 MiB")


class ByUrl(Packages):
    def setUp(self):
        super().setUp()
        server = Server()
        self.addCleanup(server.stop)
        self.base = f"http://127.0.0.1:{server.port}/found/"
        Handler.log.clear()
        Handler.files = {}

    def test_an_ova(self):
        """It is read once: into a spool."""
        path = self.ova(self.package(self.disks))
        Handler.files["vm.ova"] = read(path)
        url = self.base + "vm.ova"
        self.made(url, "second", "--disk", "2", note=self.downloaded(url))
        self.assert_disk("second", 1)

    def test_an_ovf(self):
        """Its files are asked for beside it, and nowhere else."""
        files = self.package({"d 0.vmdk": self.one["d0.vmdk"]})
        Handler.files = {name.replace(" ", "%20"): data for name, data in files.items()}
        url = self.base + "vm.ovf"
        self.made(url, "vm", note=self.downloaded(self.base + "d%200.vmdk"))
        self.assert_disk("vm")
        self.assertEqual({"vm.ovf", "vm.mf", "d%200.vmdk"},
                         {path.split("/")[-1] for path, _ in Handler.log})
        Handler.files["vm.ovf"] = descriptor("http://127.0.0.1:1/x")
        del Handler.files["vm.mf"]
        self.refused(url, "x", text="which is not a file in the directory of the descriptor", code=4)
