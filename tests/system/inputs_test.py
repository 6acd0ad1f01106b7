# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that a user names as input. Another user plants a FIFO under the name: the command reports
it and does not wait. A FIFO of the caller's own, /dev/stdin and <(…) work, and a signal ends the
wait."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

from harness import space, wait

TENANT = 12345
UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
CEPH = "6f9619ff-8b86-d011-b42d-00c04fc964fe"
HINT = "is a symbolic link that another user can change"
VOLUME = "<volume><name>n</name><capacity>4096</capacity></volume>"
# By command and option: the rest of a command line that reads the file. {f} is the file.
READERS = {
    ("vol-create", "file"): "vol-create p {f}",
    ("vol-create-from", "file"): "vol-create-from p {f} v --inputpool p",
    ("pool-create", "file"): "pool-create {f}",
    ("pool-define", "file"): "pool-define {f}",
    ("secret-define", "file"): "secret-define {f}",
    ("secret-set-value", "file"): "secret-set-value " + UUID + " --file {f}",
    ("find-storage-pool-sources", "srcSpec"): "find-storage-pool-sources netfs {f}",
    ("vol-upload", "file"): "vol-upload v {f} --pool p",
    ("vol-import", "source"): "vol-import {f} new --pool p",
    ("vol-import", "checksum-file"): "vol-import {at}/data new --pool p --checksum-file {f}",
    ("vol-import", "keyring"): "vol-import {at}/data new --pool p --checksum-file {at}/sums "
                               "--keyring {f}",
    ("vol-serve", "tls-psk"): "vol-serve v --pool p --socket {at}/s --tls-psk {f}",
    ("vol-serve", "tls-certificates"): "vol-serve v --pool p --socket {at}/s --tls-certificates {f}",
    ("backup-mount", "tls-psk"): "backup-mount {at}/repo latest --socket {at}/s --tls-psk {f}",
    ("backup-mount", "tls-certificates"): "backup-mount {at}/repo latest --socket {at}/s "
                                          "--tls-certificates {f}",
    ("secret-rotate", "file"): "secret-rotate " + CEPH + " --file {f}",
    ("secret-rotate", "admin-keyring"): "secret-rotate " + CEPH + " --generate --admin-keyring {f}",
    ("image-dd", "operand"): "image-dd if={f} of={at}/out",
    ("image-create", "backing"): "image-create -f qcow2 {at}/out -b {f} -F raw",
    ("image-bitmap", "source-file"): "image-bitmap {at}/bitmap.qcow2 b --merge c --source-file {f} "
                                     "--source-format qcow2 --format qcow2",
    ("image-info", "file"): "image-info {f}",
    ("image-check", "file"): "image-check {f}",
    ("image-map", "file"): "image-map {f}",
    ("image-measure", "file"): "image-measure --file {f} --target-format qcow2",
    ("image-convert", "source"): "image-convert {f} {at}/out",
    ("image-compare", "a"): "image-compare {f} {at}/data",
    ("image-compare", "b"): "image-compare {at}/data {f}",
    ("vol-import", "ca-file"): "vol-import https://127.0.0.1:1/x new --pool p --ca-file {f}",
    ("backup-list", "key-file"): "backup-list {at}/sealed --key-file {f}",
}

# As READERS; commands that a FIFO does not reach.
LINKED = {
    **READERS,
    ("backup-prove", "firmware"): "backup-prove {at}/repo latest --boot --firmware {f}",
    ("image-convert", "data-file"): "image-convert {f} {at}/out",
    **{(command, "file"): command + " {f} " + rest for command, rest in {
        "image-resize": "2M", "image-amend": "-o compat=v3", "image-snapshot": "-l",
        "image-commit": "", "image-rebase": "-b x -F raw -u", "image-flatten": "",
        "image-sparsify": "", "image-bench": ""}.items()},
}


def as_tenant(script, *words):
    subprocess.run(["setpriv", "--reuid", str(TENANT), "--regid", str(TENANT), "--clear-groups",
                    "sh", "-ec", script, "sh", *words], check=True, cwd="/")


class Inputs(unittest.TestCase):
    """Embedded, in a root of its own, with the pool "p" that has the volume "v"."""

    def setUp(self):
        where = tempfile.TemporaryDirectory(prefix="cistern-inputs-")
        self.addCleanup(where.cleanup)
        self.where = where.name
        os.chmod(self.where, 0o755)
        os.mkdir(self.at("home"))
        self.ok("pool-define-as", "p", "dir", "--target", self.at("p"), "--build", "--start")
        self.ok("vol-create-as", "p", "v", "1M")
        self.write("secret.xml", f"<secret ephemeral='no'><uuid>{UUID}</uuid></secret>")
        self.ok("secret-define", self.at("secret.xml"))
        self.write("ceph.xml", f"<secret ephemeral='no'><uuid>{CEPH}</uuid><usage type='ceph'>"
                               "<name>c</name></usage></secret>")
        self.ok("secret-define", self.at("ceph.xml"))
        self.ok("image-create", "-f", "qcow2", self.at("bitmap.qcow2"), "1M")
        self.ok("image-bitmap", self.at("bitmap.qcow2"), "b", "--add", "--format", "qcow2")
        self.write("data", "x" * 4096)
        self.write("sums", "0" * 64 + "  data\n")
        self.write("sums.asc", "not a signature\n")
        self.write("vol.xml", VOLUME)

    def at(self, *parts):
        return os.path.join(self.where, *parts)

    def write(self, name, text):
        with open(self.at(name), "w", encoding="utf-8") as out:
            out.write(text)

    def argv(self, *words):
        return [space.CISTERN, "--root", self.at("root"), *words]

    def run_in(self, *words, **options):
        return subprocess.run(self.argv(*words), capture_output=True, text=True, check=False,
                              stdin=options.pop("stdin", subprocess.DEVNULL), timeout=wait.LIMIT_S,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, **options)

    def ok(self, *words, **options):
        done = self.run_in(*words, **options)
        self.assertEqual(0, done.returncode, (words, done.stderr))
        return done.stdout

    def make_repositories(self):
        self.write("key", "k" * 32)
        os.chmod(self.at("key"), 0o600)
        self.ok("backup-init", self.at("repo"), "--no-encryption")
        self.ok("backup-create", self.at("repo"), "p/v")
        self.ok("backup-init", self.at("sealed"), "--key-file", self.at("key"))

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_planted_fifo_is_refused_by_each_command(self):
        self.make_repositories()
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('mkfifo -m 666 "$1"', self.at("home", "fifo"))
        for (command, option), line in READERS.items():
            with self.subTest(command=command, option=option):
                words = line.format(f=self.at("home", "fifo"), at=self.where).split()
                done = self.run_in(*words)  # a command that waits fails by the limit
                self.assertNotEqual(0, done.returncode, done.stderr)
                self.assertIn(self.at("home", "fifo"), done.stderr)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_planted_signature_of_a_list_is_refused(self):
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('cp "$1" "$2/sums"; mkfifo -m 666 "$2/sums.asc"', self.at("sums"), self.at("home"))
        done = self.run_in("vol-import", self.at("data"), "new", "--pool", "p", "--checksum-file",
                           self.at("home", "sums"), "--keyring", self.at("data"))
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertIn("sums.asc' is not a regular file", done.stderr)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_refusal_names_the_owner_and_the_next_step(self):
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('mkfifo -m 666 "$1"', self.at("home", "fifo"))
        done = self.run_in("vol-create", "p", self.at("home", "fifo"))
        self.assertEqual(4, done.returncode)
        self.assertIn(f"a FIFO or device of user {TENANT}", done.stderr)
        self.assertIn("/dev/stdin", done.stderr)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_planted_link_is_not_followed(self):
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('ln -s "$1" "$2"', self.at("vol.xml"), self.at("home", "link"))
        for command in ("vol-create p", "pool-define", "secret-define", "vol-upload v --pool p --file"):
            done = self.run_in(*command.split(), self.at("home", "link"))
            self.assertEqual(4, done.returncode, (command, done.stderr))

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_planted_links_are_refused_by_each_command(self):
        """The name itself is a link, or a directory above it. The file is root's, and readable."""
        self.make_repositories()
        self.write("input", VOLUME)
        os.chmod(self.at("input"), 0o600)
        os.mkdir(self.at("certificates"))
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('ln -s "$1/input" "$1/home/link"; ln -s "$1" "$1/home/dir"; '
                  'ln -s "$1/certificates" "$1/home/certificates"', self.where)
        for (command, option), line in LINKED.items():
            names = ("certificates", "dir/certificates") if option == "tls-certificates" \
                else ("link", "dir/input")
            for name in names:
                with self.subTest(command=command, option=option, name=name):
                    words = line.format(f=self.at("home", name), at=self.where).split()
                    done = self.run_in(*words)
                    self.assertNotEqual(0, done.returncode, done.stderr)
                    self.assertIn(HINT, done.stderr)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_own_links_and_links_of_root_are_followed(self):
        """The tenant's own links in the tenant's own directory, and root's links for both."""
        os.chown(self.at("home"), TENANT, TENANT)
        self.write("input", VOLUME)
        os.symlink(self.where, self.at("rootlink"))
        as_tenant('echo secret > "$1/home/key"; chmod 600 "$1/home/key"; '
                  'ln -s key "$1/home/link"; ln -s . "$1/home/dir"', self.where)
        for path in ("home/link", "home/dir/key", "rootlink/home/key"):
            as_tenant('HOME="$1/home" "$3" image-info -f raw "$1/$2"', self.where, path,
                      space.CISTERN)
        self.ok("vol-create", "p", self.at("rootlink", "input"))

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_key_of_the_tenant_can_not_be_a_link_to_a_key_of_root(self):
        self.make_repositories()
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('ln -s "$1" "$2"', self.at("key"), self.at("home", "key"))
        done = self.run_in("backup-list", self.at("sealed"), "--key-file", self.at("home", "key"))
        self.assertEqual(4, done.returncode, done.stderr)
        self.ok("backup-list", self.at("sealed"), "--key-file", self.at("key"))
        with open(self.at("key"), encoding="utf-8") as key:
            self.ok("backup-list", self.at("sealed"), "--key-file", "/dev/stdin", stdin=key)
        program = subprocess.list2cmdline(self.argv("backup-list", self.at("sealed")))
        subprocess.run(["bash", "-c", f"{program} --key-file <(cat {self.at('key')})"], check=True,
                       timeout=wait.LIMIT_S, stdout=subprocess.DEVNULL)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_data_file_and_backing_file_are_no_links_of_the_tenant(self):
        os.chown(self.at("home"), TENANT, TENANT)
        self.write("victim", "v" * (1 << 20))
        os.chmod(self.at("victim"), 0o600)
        as_tenant('ln -s "$1/victim" "$1/home/data"; cd "$1/home"; '
                  'qemu-img create -q -f qcow2 -o data_file="$1/home/own",data_file_raw=on i 1M; '
                  'rm own; ln -s "$1/victim" own', self.where)
        done = self.run_in("image-resize", "-f", "qcow2", self.at("home", "i"), "2M",
                           "--data-file", self.at("home", "data"))
        self.assertIn(HINT, done.stderr)
        self.assertEqual(1 << 20, os.path.getsize(self.at("victim")))
        subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b",
                        self.at("home", "data"), self.at("top"), "1M"], check=True)
        done = self.run_in("image-convert", "--backing-chain", "-f", "qcow2", self.at("top"),
                           self.at("out"))
        self.assertIn(HINT, done.stderr)
        self.assertFalse(os.path.exists(self.at("out")))

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_backing_files_above_the_image_and_own_links_are_opened(self):
        """The group of the tenant can write to each directory, as with the umask 002."""
        os.chown(self.at("home"), TENANT, TENANT)
        as_tenant('umask 002; chmod 775 "$1"; cd "$1"; mkdir below other other/dir; '
                  'qemu-img create -q -f qcow2 base 1M; ln -s base linked; ln -s other/dir dirlink; '
                  'qemu-img create -q -f qcow2 other/base 2M; '
                  'make() { qemu-img create -q -u -f qcow2 -F qcow2 -b "$2" "$1" 1M; }; '
                  'make below/up ../base; make link linked; make other/dir/up ../base',
                  self.at("home"))
        line = 'cd "$2"; shift 2; HOME=$PWD "$@"'
        for image in ("below/up", "link", "dirlink/up"):
            for words in (["image-info", "-f", "qcow2", "--backing-chain", image],
                          ["image-commit", "--yes", "-f", "qcow2", "--backing-chain", image]):
                with self.subTest(words=words):
                    as_tenant(line, "-", self.at("home"), space.CISTERN, *words)
        self.ok("image-info", "-f", "qcow2", "--backing-chain", self.at("home", "below", "up"))
        self.ok("image-commit", "--yes", "-f", "qcow2", "--backing-chain", self.at("home", "below", "up"))
        for command in ("image-convert", "image-commit"):
            done = self.run_in(command, "-f", "qcow2", "--backing-chain", self.at("home", "link"),
                               *([self.at("out")] if command == "image-convert" else ["--yes"]))
            self.assertEqual(4, done.returncode, done.stderr)
            self.assertIn(HINT, done.stderr)
            self.assertIn("image-rebase -u", done.stderr)

    @unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
    def test_parent_directory_is_that_of_the_opened_directory(self):
        """The image is opened through a link to its directory. A file of the same name is above
        the link."""
        for name in ("real/dir", "links"):
            os.makedirs(self.at(name))
        os.symlink(self.at("real", "dir"), self.at("links", "dir"))
        self.ok("image-create", "-f", "qcow2", self.at("real", "base"), "3M")
        self.ok("image-create", "-f", "qcow2", self.at("links", "base"), "5M")
        subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b",
                        "../base", self.at("real", "dir", "up"), "2M"], check=True)
        shown = self.ok("image-info", "-f", "qcow2", "--backing-chain", "--bytes",
                        self.at("links", "dir", "up"))
        self.assertIn(str(3 << 20), shown)
        self.assertNotIn(str(5 << 20), shown)

    def test_own_fifo_is_read(self):
        os.mkfifo(self.at("own"))
        child = subprocess.Popen(self.argv("vol-create", "p", self.at("own")),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with open(self.at("own"), "w", encoding="utf-8") as out:
            out.write(VOLUME)
        _, err = child.communicate(timeout=wait.LIMIT_S)
        self.assertEqual((0, ""), (child.returncode, err))
        self.assertIn("n", os.listdir(self.at("p")))

    def test_standard_input_and_process_substitution_are_read(self):
        with open(self.at("vol.xml"), encoding="utf-8") as stream:
            self.ok("vol-create", "p", "/dev/stdin", stdin=stream)
        self.ok("vol-delete", "n", "--pool", "p")
        program = subprocess.list2cmdline(self.argv("vol-create", "p"))
        for shell in (f"{program} <(cat {self.at('vol.xml')})",
                      f"cat {self.at('vol.xml')} | {program} /dev/stdin"):
            subprocess.run(["bash", "-c", shell], check=True, timeout=wait.LIMIT_S,
                           stdout=subprocess.DEVNULL)
            self.ok("vol-delete", "n", "--pool", "p")
        # The writer is gone before the command opens the pipe.
        ends = os.pipe()
        os.close(ends[1])
        with os.fdopen(ends[0]) as empty:
            done = self.run_in("vol-create", "p", "/dev/stdin", stdin=empty)
        self.assertEqual(1, done.returncode, done.stderr)

    def test_one_signal_ends_the_wait_for_a_writer(self):
        os.mkfifo(self.at("own"))
        for line in ("vol-create p {f}", "pool-define {f}", "vol-upload v {f} --pool p",
                     "secret-set-value " + UUID + " --file {f}", "vol-import {f} new --pool p"):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(line=line, signal=number):
                    words = line.format(f=self.at("own")).split()
                    # A shell in the background ignores SIGINT, and so does each of its children.
                    child = subprocess.Popen(
                        self.argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
                    self.addCleanup(child.kill)
                    self.await_open(child)
                    child.send_signal(number)
                    child.communicate(timeout=wait.LIMIT_S)
                    self.assertIn(child.returncode, (-number, 128 + number))

    def await_open(self, child):
        """The command has the FIFO open."""
        def has_it():
            folder = f"/proc/{child.pid}/fd"
            for name in os.listdir(folder):
                try:
                    if os.readlink(os.path.join(folder, name)) == self.at("own"):
                        return True
                except FileNotFoundError:
                    pass
            return False
        wait.until(has_it, "the command opens the FIFO")

    def test_each_option_that_names_a_file_is_classified(self):
        groups = json.loads(self.ok("help", "--json"))["groups"]
        for command in (c for group in groups for c in group["commands"]):
            for option in command["options"]:
                name = (command["name"], option["name"])
                if not option["file"] or option["name"] == "root":
                    continue
                self.assertTrue(name in LINKED or name in OUTPUTS, name)


# Directories, outputs, images that a command changes, and options that READERS have once. By option:
# the commands. The process at a monitor's socket is verified (qmp_test.py).
OTHER = {
    "source-path": "pool-create-as pool-define-as", "source-dev": "pool-create-as pool-define-as",
    "target": "pool-create-as pool-define-as vol-export", "spool-dir": "vol-import",
    "scratch": "backup-prove", "file": "vol-download", "checksum-file": "vol-export",
    "socket": "vol-serve backup-mount", "qmp": "vol-resize snap-create backup-create",
    "report": "vol-import vol-copy vol-export backup-create backup-restore backup-check backup-prove "
              "backup-prune backup-repair schedule-run",
    "key-file": "backup-init backup-create backup-info backup-restore backup-mount backup-check "
                "backup-prove backup-forget backup-prune backup-repair backup-unlock "
                "schedule-create schedule-edit",
    "data-file": "image-check image-compare image-map image-measure image-resize image-amend image-snapshot "
                 "image-commit image-rebase image-flatten image-sparsify image-bitmap image-dd "
                 "image-bench",
}
OUTPUTS = {(command, option) for option, commands in OTHER.items() for command in commands.split()}


if __name__ == "__main__":
    unittest.main()
