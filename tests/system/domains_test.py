# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains of a fake libvirt (tests/libvirt/fake.c) that use volumes: vol-holders, vol-info, and the
refusals, with a daemon and without."""

import contextlib
import fcntl
import json
import os
import shutil
import unittest

from harness import peers, space
from harness.cases import WithDaemon
from held_test import qemu_system

FAKE = os.path.join(space.BUILD, "tests/libvirt")
LOCAL = "qemu:///fake"

# Changes that a managed save forbids. {0} is a file with data, {1} the volume.
CHANGES = ("vol-wipe {1}", "vol-upload {1} {0}", "vol-delete {1}", "vol-resize {1} 8M",
           "vol-resize {1} 1M --shrink", "vol-rename {1} other", "vol-check {1} --repair all",
           "snap-revert {1} s --yes", "snap-delete {1} s --yes", "vol-sparsify {1}",
           "vol-flatten {1}")


def replace_file(path, text):
    """Replaces a file of the fake at once: another process never reads half of it."""
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(text)
    os.rename(path + ".new", path)


def edit_live(path, edit):
    """Changes the state of a domain with @edit, under the lock of tests/libvirt/live.c."""
    with open(path + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as stream:
            replace_file(path, edit(stream.read()))
            return
        replace_file(path, edit(""))


class Fake:
    """The state of the fake, for each process with its environment."""

    def __init__(self):
        self.dir = space.path("fake-libvirt")
        self.state = os.path.join(self.dir, "state")
        self.log = os.path.join(self.dir, "log")
        self.env = {"LD_LIBRARY_PATH": ":".join([FAKE, *filter(None, [space.LIBRARIES])]),
                    "FAKE_LIBVIRT": self.state}.items()

    def reset(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.set()

    def set(self, *groups, **calls):
        lines = ["[calls]", f"log = {self.log}", *(f"{call} = {how}" for call, how in calls.items())]
        replace_file(self.state, "\n".join([*lines, *groups]) + "\n")

    def domain(self, path, name="web1", state="running", target="vda", agent="connected", more=""):
        """The group of a domain whose disk is the file @path; @more is XML in the disk."""
        xml = os.path.join(self.dir, "xml")
        channel = ("<channel><target type='virtio' name='org.qemu.guest_agent.0' "
                   f"state='{agent}'/></channel>" if agent else "")
        replace_file(xml, f"<domain><devices>{channel}<disk><source file='{path}'/>"
                          f"<target dev='{target}'/>{more}</disk></devices></domain>")
        return (f"[domain 1]\nname = {name}\nstate = {state}\nblocks = {target}:{path}\n"
                f"xml = {xml}\nsaved-xml = {xml}")

    def calls(self):
        """The names of the calls since the last time."""
        try:
            with open(self.log, encoding="utf-8") as stream:
                found = stream.read().split()
            os.unlink(self.log)
        except FileNotFoundError:
            return []
        return found


class FakeDomains(WithDaemon):
    """Volume "v" of pool "p", 4 MiB, and the fake libvirt. Has no tests itself."""

    VOLUME_FORMAT = "qcow2"

    @classmethod
    def setUpClass(cls):
        cls.fake = Fake()
        cls.fake.reset()
        cls.peer = cls.make_peer(f'[service]\nhypervisor = "{LOCAL}"\n')
        cls.peer.fresh()

    @classmethod
    def make_peer(cls, config):
        return peers.Cisternd(env=cls.fake.env, config=config)

    def setUp(self):
        self.fake.reset()
        super().setUp()
        self.ok("vol-create-as", "p", "v", "4M", "--format", self.VOLUME_FORMAT)
        self.path = self.at("p", "v")
        self.fake.calls()

    def cistern(self, *words, **options):
        return super().cistern(*words, env=self.fake.env, **options)

    def done(self, *words):
        status, out, err = self.cistern(*words)
        # With --json, a command that needs more than a second also reports its progress.
        lines = [line for line in err.splitlines() if '"event":"progress"' not in line]
        self.assertEqual((0, []), (status, lines), " ".join(words))
        return out

    def refused(self, *words):  # pylint: disable=arguments-differ
        status, out, err = self.cistern(*words)
        self.assertNotEqual(0, status, f"{' '.join(words)} went through: {out}")
        return err

    def content(self):
        with open(self.path, "rb") as stream:
            return stream.read()

    def restart(self):
        """Forgets a failure of libvirt."""
        self.peer.restart()


class Domains(FakeDomains):
    """With a daemon."""

    def changes(self):
        data = self.file("data", b"x" * 4096)
        return [change.format(data, "v") + " --pool p" for change in CHANGES]

    def test_domain_is_a_holder_with_its_state_target_and_agent(self):
        self.fake.set(self.fake.domain(self.path))
        out = self.done("vol-holders", "v", "--pool", "p")
        self.assertIn("Domain", out)
        self.assertEqual("domain 'web1'\tmay write\t-\tweb1\trunning\tvda\tconnected\n",
                         self.done("vol-holders", "v", "--pool", "p", "-H"))
        rows = json.loads(self.done("--json", "vol-holders", "v", "--pool", "p"))["holders"]
        self.assertEqual([("web1", "running", "vda", "connected")],
                         [(row["domain"], row["state"], row["target"], row["agent"])
                          for row in rows])

    def test_domain_is_found_by_inode_and_not_by_path(self):
        link = self.at("link")
        os.symlink(self.path, link)
        self.fake.set(self.fake.domain(link, agent=None))
        self.assertIn("\tweb1\trunning\tvda\tnone\n",
                      self.done("vol-holders", "v", "--pool", "p", "-H"))
        self.ok("vol-create-as", "p", "w", "1M")
        self.fake.set(self.fake.domain(self.at("p", "w")))
        self.assertEqual("", self.done("vol-holders", "v", "--pool", "p", "-H"))

    def test_vol_info_names_the_domain(self):
        self.fake.set(self.fake.domain(self.path, state="paused", agent="disconnected"))
        out = self.done("vol-info", "v", "--pool", "p")
        self.assertIn("web1 (paused), disk vda, guest agent: disconnected\n", out)
        self.fake.set(self.fake.domain(self.path, state="saved"))
        self.assertIn("web1 (managed save), disk vda\n", self.done("vol-info", "v", "--pool", "p"))
        info = json.loads(self.done("--json", "vol-info", "v", "--pool", "p"))
        info = info.get("volumes", [info.get("volume", info)])[0]
        self.assertEqual([("web1", "saved", "vda")],
                         [(row["domain"], row["state"], row["target"]) for row in info["domains"]])

    def test_output_without_domains_is_that_without_libvirt(self):
        commands = (["vol-info", "v", "--pool", "p"], ["--json", "vol-info", "v", "--pool", "p"],
                    ["vol-holders", "v", "--pool", "p"],
                    ["--json", "vol-holders", "v", "--pool", "p"])
        for words in commands:
            self.fake.set()
            with_libvirt = self.done(*words)
            self.assertTrue(self.fake.calls())
            self.fake.set(virConnectOpenReadOnly="fail 38 2 No such file or directory")
            self.assertEqual(with_libvirt, self.done(*words))
            self.assertNotIn("omain", with_libvirt)

    def test_refusal_names_domain_state_target_agent_and_next_step(self):
        self.fake.set(self.fake.domain(self.path) + "\ncapacity = 4194304")
        wanted = ("domain 'web1' (running, guest agent: connected) has it as disk 'vda'; shut the "
                  "domain down (virsh shutdown 'web1')")
        with qemu_system(self.path, "qcow2") as pid:
            before = self.content()
            for command in ("vol-resize v 4M", "vol-wipe v", "vol-delete v",
                            "vol-clone v copy", "vol-clone v copy --linked", "vol-rename v other"):
                with self.subTest(command=command):
                    err = self.refused(*command.split(), "--pool", "p")
                    self.assertIn(f"process {pid}", err)
                    self.assertIn(wanted, err)
            self.assertEqual(before, self.content())

    def test_managed_save_forbids_changes(self):
        self.done("snap-create", "v", "s", "--pool", "p")
        self.fake.set(self.fake.domain(self.path, state="saved"))
        before = self.content()
        for command in self.changes():
            with self.subTest(command=command):
                err = self.refused(*command.split())
                self.assertIn("domain 'web1' has a managed save", err)
                self.assertIn("virsh managedsave-remove 'web1'", err)
                self.assertEqual(before, self.content())
                self.assertEqual(["v"], [name for name in self.entries("p") if name[0] != "."])
        self.fake.set()
        self.done("vol-resize", "v", "8M", "--pool", "p")
        self.done("vol-delete", "v", "--pool", "p")

    def test_managed_save_of_a_pool_disk_forbids_changes(self):
        group = self.fake.domain("/nowhere", state="saved")
        with open(os.path.join(self.fake.dir, "xml"), "w", encoding="utf-8") as out:
            out.write("<domain><devices><disk type='volume'><source pool='p' volume='v'/>"
                      "<target dev='sda'/></disk></devices></domain>")
        self.fake.set(group)
        self.assertIn("content of disk 'sda'", self.refused("vol-delete", "v", "--pool", "p"))

    def test_grow_is_not_refused_because_of_another_volume(self):
        self.ok("vol-create-as", "p", "w", "1M")
        self.fake.set(self.fake.domain(self.at("p", "w"), state="saved"))
        self.done("vol-resize", "v", "8M", "--pool", "p")
        self.assertTrue(self.fake.calls())

    def test_error_of_libvirt_forbids_changes_and_no_reading(self):
        self.done("snap-create", "v", "s", "--pool", "p")
        before = self.content()
        self.fake.set(virConnectListAllDomains="fail 1 0 internal error: broken")
        for command in self.changes():
            with self.subTest(command=command):
                err = self.refused(*command.split())
                self.assertIn("cannot verify that no domain has volume 'v' in a managed save", err)
                self.assertIn("internal error: broken", err)
                self.assertIn("hypervisor = none", err)
        self.assertEqual(before, self.content())
        for command in (["vol-info", "v"], ["vol-holders", "v"]):
            status, _, err = self.cistern(*command, "--pool", "p")
            self.assertEqual(0, status)
            self.assertIn("warning: cannot find the domains that use vol 'v'", err)
        self.restart()

    def test_libvirt_that_hangs_is_left_at_the_deadline(self):
        before = self.content()
        self.fake.set(virConnectListAllDomains="hang")
        err = self.refused("vol-wipe", "v", "--pool", "p")
        self.assertIn(f"libvirt at '{LOCAL}' did not answer within 5 s", err)
        self.assertEqual(before, self.content())
        self.restart()

    def test_trash_is_emptied_without_questions(self):
        self.done("pool-trash", "p", "--days", "7")
        self.done("vol-delete", "v", "--pool", "p")
        self.assertTrue(self.fake.calls())
        self.fake.set(virConnectOpenReadOnly="fail 1 0 broken")
        self.done("trash-empty", "--pool", "p", "--yes")
        self.assertEqual([], self.fake.calls())

    def test_names_of_libvirt_are_escaped(self):
        self.fake.set(self.fake.domain(self.path, name="a\\tb\u202e\u001b[31m", state="saved"))
        for words in (["vol-holders", "v"], ["vol-info", "v"], ["vol-delete", "v"]):
            _, out, err = self.cistern(*words, "--pool", "p")
            self.assertIn("a", out + err)
            for character in "\u202e\u001b":
                self.assertNotIn(character, out + err)

    def test_lists_do_not_ask_libvirt(self):
        self.fake.set(virConnectOpenReadOnly="hang")
        self.done("vol-list", "p", "--columns", "all")
        self.ok("vol-info", "v", "--pool", "p")
        self.ok("vol-dumpxml", "v", "--pool", "p")
        self.assertEqual([], self.fake.calls())


class Configured(peers.Embedded):
    """Without a daemon, and with a configuration of one."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.path = os.path.join(self.root, "etc/cistern/cisternd.conf")

    def configure(self, text):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "w", encoding="utf-8") as out:
            out.write(text)

    def start(self):
        self.configure(self.config)


class WithoutDaemon:
    """The command reads cisternd's configuration. Precedes FakeDomains in the bases of a class."""

    @classmethod
    def make_peer(cls, config):
        return Configured(config)

    def virsh(self, *words, **options):
        """The same words for our program."""
        return self.cistern(*words, **options)

    def clear(self):
        for name in self.cistern("pool-list", "--all", "--name")[1].split():
            self.cistern("pool-destroy", name)
            self.cistern("pool-undefine", name)
        peers.empty(self.peer.dir)
        peers.empty(self.peer.files)

    def restart(self):
        pass


class Embedded(WithoutDaemon, Domains):
    """Without a daemon."""

    def test_lists_do_not_ask_libvirt(self):
        self.fake.set(virConnectOpenReadOnly="hang")
        self.done("vol-list", "p", "--columns", "all")
        self.assertEqual([], self.fake.calls())

    def test_disabled_setting_asks_no_libvirt(self):
        self.peer.configure("[service]\nhypervisor = none\n")
        self.fake.set(self.fake.domain(self.path, state="saved"))
        self.done("vol-wipe", "v", "--pool", "p")
        self.assertEqual([], self.fake.calls())

    def test_wrong_setting_forbids_changes(self):
        self.peer.configure("[log]\nlevel = info\n[service]\nhypervisor = qemu+ssh:///system\n")
        err = self.refused("vol-wipe", "v", "--pool", "p")
        self.assertIn("cisternd.conf: line 4: [service] hypervisor: 'qemu+ssh:///system' is not a "
                      "URI of libvirt on this host", err)

    def test_default_is_the_socket_below_the_root(self):
        os.unlink(self.peer.path)
        self.fake.set(self.fake.domain(self.path, state="saved"))
        self.done("vol-wipe", "v", "--pool", "p")
        self.assertEqual([], self.fake.calls())
        sock = os.path.join(self.peer.root, "run/libvirt/libvirt-sock")
        os.makedirs(os.path.dirname(sock), exist_ok=True)
        with open(sock, "wb"), contextlib.ExitStack() as stack:
            stack.callback(os.unlink, sock)
            self.assertIn("managed save", self.refused("vol-wipe", "v", "--pool", "p"))
            self.assertIn(f"qemu:///system?socket={sock}", self.fake.calls())


class Setting(unittest.TestCase):
    """Values of the setting that cisternd refuses at its start."""

    def test_daemon_refuses_remote_uris(self):
        for value in ("qemu+ssh://host/system", "qemu://host/system", "web1"):
            peer = peers.Cisternd("setting", config=f"[service]\nhypervisor = {value}\n")
            with self.assertRaises(peers.PeerError) as caught:
                peer.fresh()
            self.assertIn(f"line 2: [service] hypervisor: '{value}' is not a URI of libvirt on "
                          "this host", str(caught.exception))
