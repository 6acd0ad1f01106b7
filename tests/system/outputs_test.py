# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that root's commands make in the directory of another user, who exchanges names meanwhile.
The attacker is a process of that user. Nothing of root's changes, and nothing of it is read."""

import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import textwrap
import unittest

from harness import peers, space, wait
from harness.cases import WithDaemon

TENANT = 12345
MIB = 1 << 20
SECRET = b"only root may read this\n" * 100

# Exchanges the hidden directory of a draft by a link to root's directory, as often as one comes.
EXCHANGE = textwrap.dedent("""
    import os, sys
    home, outside = sys.argv[1:3]
    print("ready", flush=True)
    moved = 0
    while not os.path.exists(home + "/stop"):
        for name in os.listdir(home):
            path = os.path.join(home, name)
            if name.startswith(".cistern-") and not os.path.islink(path):
                os.rename(path, f"{home}/moved-{moved}")
                os.symlink(outside, path)
                moved += 1
                print("exchanged", flush=True)
""")


REPORTS = {
    "vol-import": "{source} w --pool p --source-format raw",
    "vol-copy": "v --pool p --to storage:///embed?root={at}/far",
    "vol-export": "v {at}/out --pool p --format raw", "backup-create": "{repo} p/v",
    "backup-restore": "{repo} latest p/v --newname w", "backup-check": "{repo}",
    "backup-prove": "{repo} latest", "backup-prune": "{repo}", "backup-repair": "{repo}",
    "schedule-run": "s"}
# By command and option: a command line that writes the file, socket or directory {f}.
WRITERS = {
    ("vol-export", "target"): "vol-export v {f} --pool p --format raw",
    ("vol-export", "checksum-file"): "vol-export v {at}/out --pool p --format raw --checksum-file {f}",
    ("vol-download", "file"): "vol-download v {f} --pool p",
    ("vol-serve", "socket"): "vol-serve v --pool p --socket {f} --detach",
    ("backup-mount", "socket"): "backup-mount {repo} latest --socket {f}",
    ("backup-prove", "scratch"): "backup-prove {repo} latest --scratch {f}",
    ("vol-import", "spool-dir"): "vol-import {source} w --pool p --source-format raw --spool-dir {f}",
    ("backup-init", "repo"): "backup-init {f} --no-encryption",
    ("image-create", "file"): "image-create -f raw {f} 1M",
    ("image-convert", "target"): "image-convert -f raw -O raw {source} {f}",
    ("image-dd", "operand"): "image-dd -f raw -O raw if={source} of={f}",
    ("image-resize", "file"): "image-resize -f raw {f} 16M",
    ("image-bench", "file"): "image-bench -w -f raw {f}",
    **{(command, "report"): f"{command} {rest} --detach --report {{f}}"
       for command, rest in REPORTS.items()},
}
# Options with a file or socket that is read (tests/system/inputs_test.py), and those of a pool's
# definition.
READ = {"file", "source", "keyring", "ca-file", "tls-psk", "tls-certificates", "firmware",
        "key-file", "data-file", "source-path", "source-dev", "root", "qmp"}
READ_IN = {("vol-import", "checksum-file"), ("pool-define-as", "target"),
           ("pool-create-as", "target")}


def as_tenant(*argv, **options):
    return subprocess.Popen(["setpriv", "--reuid", str(TENANT), "--regid", str(TENANT),
                             "--clear-groups", *argv], cwd="/", text=True,
                            stdout=subprocess.PIPE, **options)


@unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
class Outputs(WithDaemon):
    """Pool "p" has the volume "v"; "home" is the tenant's; "outside" is root's alone."""

    def setUp(self):
        super().setUp()
        os.chmod(self.at(), 0o755)
        self.ok("vol-create-as", "p", "v", "8M", "--format", "raw")
        self.source = self.file("source", os.urandom(8 * MIB))
        self.ok("vol-upload", "v", self.source, "--pool", "p")
        self.home = self.at("home")
        os.mkdir(self.home)
        os.chown(self.home, TENANT, TENANT)
        self.outside = self.at("outside")
        os.mkdir(self.outside, 0o700)
        self.victim = os.path.join(self.outside, "web.img")
        with open(self.victim, "wb") as out:
            out.write(SECRET)
        os.chmod(self.victim, 0o600)
        self.before = self.picture()

    def picture(self):
        found = {}
        for name in sorted(os.listdir(self.outside)):
            st = os.lstat(os.path.join(self.outside, name))
            with open(os.path.join(self.outside, name), "rb") as stream:
                found[name] = (st.st_mode, st.st_uid, st.st_gid,
                               hashlib.sha256(stream.read()).hexdigest())
        return found

    def tearDown(self):
        self.assertEqual(self.before, self.picture(), "a file of root's has changed")
        super().tearDown()

    def link(self, name, target):
        path = os.path.join(self.home, name)
        os.symlink(target, path)
        os.chown(path, TENANT, TENANT, follow_symlinks=False)
        return path

    def refuses(self, *words, text, timeout=20):
        status, out, err = self.cistern("--yes", *words, timeout=timeout)
        self.assertNotIn(status, (0, "timeout"), f"{' '.join(words)}: {out}{err}")
        self.assertIn(text, err)

    def done(self, *words):
        status, _, err = self.cistern("--yes", *words)
        self.assertEqual(0, status, f"{' '.join(words)}: {err}")
        return err

    def attacked(self, *words):
        """Runs the command while the tenant exchanges each draft; its status."""
        with as_tenant("/usr/bin/python3", "-c", EXCHANGE, self.home, self.outside) as attacker:
            self.assertEqual("ready\n", attacker.stdout.readline())
            status, _, err = self.cistern("--yes", *words)
            with open(os.path.join(self.home, "stop"), "w", encoding="ascii"):
                pass
            rounds = attacker.stdout.read().count("exchanged")
        os.unlink(os.path.join(self.home, "stop"))
        return status, err, rounds

    def assert_only_ours_is_there(self):
        with open(os.path.join(self.home, "web.img"), "rb") as made, \
                open(self.source, "rb") as source:
            self.assertEqual(source.read(), made.read())

    def test_exchanged_drafts_lead_an_export_nowhere(self):
        target = os.path.join(self.home, "web.img")
        rounds = 0
        for _ in range(10):
            status, err, more = self.attacked("vol-export", "v", target, "--pool", "p",
                                                              "--format", "raw")
            rounds += more
            if status == 0:
                self.assert_only_ours_is_there()
                self.assertEqual(0, os.stat(target).st_mode & (stat.S_ISUID | stat.S_ISGID))
                os.unlink(target)
            else:
                self.assertIn("exchange", err)
        self.assertGreater(rounds, 0, "the tenant was never in time")

    def test_image_commands_stay_in_the_directory_too(self):
        source, target = self.source, os.path.join(self.home, "web.img")
        for words in (["image-convert", "-O", "raw", "-f", "raw", source, target],
                      ["image-create", "-f", "raw", target, "1M"],
                      ["image-dd", "-f", "raw", "-O", "raw", f"if={source}", f"of={target}"]):
            self.attacked(*words)
            if os.path.exists(target):
                os.unlink(target)

    def test_links_of_the_tenant_are_refused_as_outputs_and_sources(self):
        link = self.link("web.img", self.victim)
        hint = "is a symbolic link that another user can change"
        self.refuses("vol-export", "v", link, "--pool", "p", text=hint)
        self.refuses("vol-download", "v", link, "--pool", "p", text=hint)
        self.refuses("vol-upload", "v", link, "--pool", "p", text=hint)
        self.refuses("vol-import", link, "w", "--pool", "p", "--source-format", "raw", text=hint)
        self.refuses("image-convert", "-O", "raw", "-f", "raw", self.source, link, text=hint)
        self.refuses("image-convert", "-O", "raw", "-f", "raw", link, self.at("copy"), text=hint)
        self.refuses("image-create", "-f", "raw", link, "1M", text=hint)
        self.refuses("image-resize", "-f", "raw", link, "1M", text=hint)
        self.refuses("vol-export", "v", self.at("out"), "--pool", "p", "--format", "raw", "--detach",
                     "--report", link, text=hint)
        os.mkdir(os.path.join(self.outside, "repo"), 0o700)
        os.rmdir(os.path.join(self.outside, "repo"))
        repo = self.link("repo", os.path.join(self.outside, "repo"))
        self.refuses("backup-init", repo, "--no-encryption", text=hint)

    def test_each_option_that_names_an_output_is_attacked(self):
        groups = json.loads(self.cistern("help", "--json")[1])["groups"]
        found = {(command["name"], option["name"]) for group in groups
                 for command in group["commands"] for option in command["options"] if option["file"]}
        self.assertEqual(set(), {pair for pair in found - READ_IN - set(WRITERS)
                                 if pair[1] not in READ})

    def test_planted_link_leads_no_command_out_of_the_directory(self):
        """To root's file, to a name that root's directory does not have, and to that directory."""
        repo = self.at("repo")
        self.done("backup-init", repo, "--no-encryption")
        self.done("backup-create", repo, "p/v")
        self.make_destination()
        for (command, option), line in WRITERS.items():
            for target in (self.victim, os.path.join(self.outside, "new"), self.outside):
                with self.subTest(command=command, option=option, target=target):
                    link = self.link("planted", target)
                    words = line.format(f=link, at=self.at(), repo=repo, source=self.source).split()
                    self.cistern("--yes", *words)
                    self.end_jobs()
                    os.unlink(link)
                    self.assertEqual(self.before, self.picture())

    def test_directory_that_the_tenant_can_exchange_is_named(self):
        """Below the tenant's home. A spool and a scratch disk have no names there."""
        repo = self.at("repo")
        self.done("backup-init", repo, "--no-encryption")
        self.done("backup-create", repo, "p/v")
        self.make_destination()
        for number, ((command, option), line) in enumerate(WRITERS.items()):
            if option in ("spool-dir", "scratch"):
                continue
            with self.subTest(command=command, option=option):
                folder = self.folder(f"folder{number}")
                path = os.path.join(folder, "web.img")
                if command in ("image-resize", "image-bench"):
                    shutil.copy(self.source, path)
                words = line.format(f=path, at=self.at(), repo=repo, source=self.source).split()
                err = self.warning(path, "--yes", *words) if command == "backup-mount" else \
                    self.cistern("--yes", *words)[2]
                self.end_jobs()
                self.assertIn(f"can exchange the directory 'folder{number}'", err)

    def make_destination(self):
        """A pool for vol-copy, and a schedule."""
        self.cistern("schedule-create", "s", "--every", "daily", "--do", "check", "p")
        status, _, err = peers.run([space.CISTERN, "-c", f"storage:///embed?root={self.at('far')}",
                                    "pool-create-as", "p", "dir", "--target", self.at("far-p"),
                                    "--build"])
        self.assertEqual(0, status, err)

    def warning(self, path, *words):
        """Ends the command when it serves at PATH. Returns its messages."""
        server = self.background([space.CISTERN, "-c", self.peer.uri, *words])
        self.wait_until(lambda: os.path.exists(path), "the socket exists")
        server.send_signal(signal.SIGTERM)
        return server.communicate(timeout=wait.LIMIT_S)[1]

    def end_jobs(self):
        for job in json.loads(self.cistern("--json", "job-list")[1])["jobs"]:
            self.cistern("job-cancel", str(job["id"]))
        self.wait_until(lambda: not json.loads(self.cistern("--json", "job-list")[1])["jobs"],
                        "all jobs have ended")

    def exchange(self, folder):
        """The tenant puts a link to root's directory in place of FOLDER."""
        with as_tenant("/usr/bin/python3", "-c",
                       "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '-moved');"
                       "os.symlink(sys.argv[2], sys.argv[1])", folder, self.outside) as attacker:
            self.assertEqual(0, attacker.wait())

    def folder(self, name="folder"):
        path = os.path.join(self.home, name)
        os.mkdir(path)
        os.chown(path, TENANT, TENANT)
        return path

    def test_socket_of_an_exchanged_directory_is_not_removed_at_its_new_place(self):
        """The name of the socket is that of root's file in the directory that replaces its own."""
        folder = self.folder()
        path = os.path.join(folder, "web.img")
        server = self.background([space.CISTERN, "-c", self.peer.uri, "vol-serve", "v", "--pool",
                                  "p", "--socket", path])
        self.wait_until(lambda: os.path.exists(path), "the socket is there")
        self.exchange(folder)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=wait.LIMIT_S)
        self.assertEqual([], os.listdir(folder + "-moved"))

    def test_interrupted_download_removes_nothing_in_an_exchanged_directory(self):
        folder = self.folder()
        download = self.background([space.CISTERN, "-c", self.peer.uri, "vol-download", "v",
                                    os.path.join(folder, "web.img"), "--pool", "p", "--rate-limit",
                                    "1M"])
        self.wait_until(lambda: os.listdir(folder), "the download has begun")
        self.exchange(folder)
        download.send_signal(signal.SIGTERM)
        download.communicate(timeout=wait.LIMIT_S)
        self.assertNotEqual(0, download.returncode)

    def test_a_set_user_id_file_that_is_replaced_keeps_no_such_bits(self):
        target = os.path.join(self.home, "web.img")
        with open(target, "wb"):
            pass
        os.chown(target, TENANT, TENANT)
        os.chmod(target, 0o6755)
        self.done("vol-export", "v", target, "--pool", "p", "--format", "raw")
        st = os.stat(target)
        self.assertEqual((0o755, TENANT), (stat.S_IMODE(st.st_mode), st.st_uid))
        self.assert_only_ours_is_there()

    def test_a_file_laid_into_a_common_directory_gets_no_content_for_its_maker(self):
        common = self.at("common")
        os.mkdir(common)
        os.chmod(common, 0o1777)
        target = os.path.join(common, "web.img")
        with as_tenant("touch", target) as maker:
            maker.wait()
        err = self.done("vol-export", "v", target, "--pool", "p", "--format", "raw")
        self.assertIn(f"belongs to user {TENANT}", err)
        st = os.stat(target)
        self.assertEqual((0o600, 0), (stat.S_IMODE(st.st_mode), st.st_uid))
        os.unlink(target)
        with as_tenant("touch", target) as maker:
            maker.wait()
        self.refuses("vol-download", "v", target, "--pool", "p", text=f"belongs to user {TENANT}")

    def refuses_fifo_of_the_tenant(self, folder):
        fifo = os.path.join(folder, "web.img")
        with as_tenant("mkfifo", fifo) as maker:
            maker.wait()
        for words in (["vol-download", "v", fifo, "--pool", "p"],
                      ["vol-export", "v", self.at("out"), "--pool", "p", "--format", "raw",
                       "--detach", "--report", fifo]):
            self.refuses(*words, text=f"it is a FIFO of user {TENANT}")

    def test_a_fifo_laid_into_a_common_directory_gets_no_content(self):
        common = self.at("common")
        os.mkdir(common)
        os.chmod(common, 0o1777)
        self.refuses_fifo_of_the_tenant(common)

    def test_fifo_of_the_tenant_blocks_no_command(self):
        """Its owner would decide when the command ends."""
        self.refuses_fifo_of_the_tenant(self.home)

    def test_download_makes_no_program_of_another_user(self):
        target = os.path.join(self.home, "web.img")
        with open(target, "wb"):
            pass
        os.chown(target, TENANT, TENANT)
        os.chmod(target, 0o6755)
        self.done("vol-download", "v", target, "--pool", "p")
        self.assertEqual(0o755, stat.S_IMODE(os.stat(target).st_mode))

    def test_root_of_the_tenant_is_refused(self):
        """Its definitions name paths and programs that root would use."""
        root = self.at("root")
        for directory in (".", "etc", "etc/libvirt/storage", "run/libvirt", "var/lib/cistern"):
            with self.subTest(directory=directory):
                for made in ("etc/libvirt/storage", "run/libvirt", "var/lib/cistern"):
                    os.makedirs(os.path.join(root, made))
                os.chown(os.path.join(root, directory), TENANT, TENANT)
                status, out, err = peers.run(
                    [space.CISTERN, "-c", f"storage:///embed?root={root}", "pool-list", "--all"])
                self.assertEqual((4, ""), (status, out), err)
                self.assertIn("another user can exchange the files in", err)
                shutil.rmtree(root)
        missing = os.path.join(self.home, "missing")
        status, _, err = peers.run([space.CISTERN, "-c", f"storage:///embed?root={missing}",
                                    "pool-define-as", "p", "dir", "--target", "/nowhere"])
        self.assertEqual(4, status, err)
        self.assertFalse(os.path.exists(missing))

    def test_editor_gets_no_file_in_the_directory_of_another_user(self):
        """sudo may keep TMPDIR. Its owner could replace the file while the editor has it open."""
        named = self.at("named")
        env = {"TMPDIR": self.home, "EDITOR": f"sh -c 'echo \"$0\" >{named}'", "VISUAL": ""}
        status, _, err = self.cistern("pool-edit", "p", env=env.items())
        self.assertEqual(0, status, err)
        with open(named, encoding="utf-8") as stream:
            self.assertEqual("/tmp", os.path.dirname(stream.read()))

    def test_a_file_of_a_hypervisor_in_a_directory_of_root_keeps_its_owner(self):
        target = self.at("web.img")
        with open(target, "wb"):
            pass
        os.chown(target, TENANT, TENANT)
        os.chmod(target, 0o640)
        for words in (["vol-export", "v", target, "--pool", "p", "--format", "raw"],
                      ["vol-download", "v", target, "--pool", "p"]):
            self.assertNotIn("belongs to user", self.done(*words))
            st = os.stat(target)
            self.assertEqual((0o640, TENANT, 8 * MIB),
                             (stat.S_IMODE(st.st_mode), st.st_uid, st.st_size))

    def test_a_stdout_that_another_user_has_opened_is_written(self):
        path = os.path.join(self.home, "redirected")
        with open(path, "wb") as out:
            os.chown(path, TENANT, TENANT)
            subprocess.run([space.CISTERN, "-c", self.peer.uri, "--yes", "vol-download", "v",
                            "/dev/stdout", "--pool", "p"], stdout=out, check=True, env=space.ENV)
        self.assertGreaterEqual(os.stat(path).st_size, 8 * MIB)

    def test_a_listener_that_takes_no_client_does_not_hold_vol_serve(self):
        path = os.path.join(self.home, "socket")
        with socket.socket(socket.AF_UNIX) as planted:
            planted.bind(path)
            planted.listen(0)
            clients = []
            while True:
                client = socket.socket(socket.AF_UNIX)
                clients.append(client)
                client.setblocking(False)
                try:
                    client.connect(path)
                except BlockingIOError:
                    break
            self.refuses("vol-serve", "v", "--pool", "p", "--socket", path,
                         text="listens at")
            for client in clients:
                client.close()

    def test_the_shell_of_root_keeps_no_history_in_the_home_of_another_user(self):
        os.mkdir(os.path.join(self.home, ".cache"))
        os.chown(os.path.join(self.home, ".cache"), TENANT, TENANT)
        self.link(".cache/cistern", self.outside)
        done = subprocess.run(["script", "-qec", f"{space.CISTERN} -c '{self.peer.uri}'",
                               "/dev/null"], input="pool-list\nquit\n", text=True, check=True,
                              stdout=subprocess.PIPE, timeout=wait.LIMIT_S,
                              env={**space.ENV, "HOME": self.home, "TERM": "dumb",
                                   "XDG_CACHE_HOME": ""})
        self.assertIn("active", done.stdout)


if __name__ == "__main__":
    unittest.main()
