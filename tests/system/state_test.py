# SPDX-License-Identifier: LGPL-2.1-or-later
"""What survives: restarts, and moving a host from libvirtd to cisternd and back."""

import os
import re
import shutil
import signal
import unittest

from harness import peers, space
from harness.cases import WithDaemon

SECRET = ("<secret><uuid>aaaaaaaa-0000-0000-0000-000000000005</uuid><usage type='ceph'>"
          "<name>moves</name></usage></secret>")


def set_up_host(peer):
    """Two persistent pools (one active with autostart), a transient one, volumes, a secret."""
    # "off" has no directory: libvirtd takes an inactive pool whose directory exists for active.
    for name in ("act", "tra"):
        os.makedirs(os.path.join(peer.dir, name))
    for command in ("pool-define-as act dir --target {d}/act", "pool-autostart act",
                    "pool-start act", "pool-define-as off dir --target {d}/off",
                    "pool-create-as tra dir --target {d}/tra", "vol-create-as act raw 1M",
                    "vol-create-as act cow 1M --format qcow2", "vol-create-as tra t 2M"):
        status, _, err = peers.virsh(peer, *command.replace("{d}", peer.dir).split())
        assert status == 0, err
    path = os.path.join(peer.files, "s.xml")
    with open(path, "w", encoding="utf-8") as out:
        out.write(SECRET)
    for command in (["secret-define", path],
                    ["secret-set-value", "aaaaaaaa-0000-0000-0000-000000000005", "--base64",
                     "bW92ZXM="]):
        status, _, err = peers.run(["virsh", "-c", peer.secret_uri, *command])
        assert status == 0, err


def steady(text):
    """Without what a refresh may change, and what libvirtd only knows after one."""
    text = re.sub(r"<(allocation|available)( unit='bytes')?>\d+<", r"<\1>N<", text)
    text = re.sub(r"^((?:Allocation|Available): +).*$", r"\1N", text, flags=re.M)
    text = re.sub(r"<(.time)>[0-9.]+<", r"<\1>T<", text)
    return re.sub(r" *<(clusterSize|compat).*</\1>\n| *<features/>\n", "", text)


def picture(peer):
    """Everything a client can see, as text."""
    texts = []
    for command in ("pool-refresh act", "pool-refresh tra", "pool-list --all", "pool-dumpxml act",
                    "pool-dumpxml off", "pool-dumpxml tra", "pool-info act", "vol-list act --details",
                    "vol-list tra --details", "vol-dumpxml cow --pool act"):
        status, out, err = peers.virsh(peer, *command.split())
        texts.append((command, status, steady(out), err))
    for command in ("secret-list",
                    "secret-get-value aaaaaaaa-0000-0000-0000-000000000005"):
        texts.append((command, *peers.run(["virsh", "-c", peer.secret_uri, *command.split()])))
    return texts


class Restart(WithDaemon):
    def setUp(self):
        self.peer.fresh()
        set_up_host(self.peer)

    def check_after(self, signum):
        before = picture(self.peer)
        self.peer.restart(signum)
        self.assertEqual(before, picture(self.peer))

    def test_orderly_restart(self):
        self.check_after(signal.SIGTERM)

    def test_killed(self):
        self.check_after(signal.SIGKILL)

    def test_interrupted(self):
        self.check_after(signal.SIGINT)

    def test_ten_kills_in_a_row(self):
        before = picture(self.peer)
        for _ in range(10):
            self.peer.restart(signal.SIGKILL)
        self.assertEqual(before, picture(self.peer))

    def test_ends_with_status_zero(self):
        self.assertEqual(0, self.peer.stop())

    def test_after_a_reboot_autostart_starts_and_transient_pools_are_gone(self):
        self.peer.stop()
        shutil.rmtree(os.path.join(self.peer.root, "run"))
        self.peer.start()
        self.wait_until(lambda: self.ok("pool-list", "--name").split(), "a pool is active")
        self.assertEqual(["act"], self.ok("pool-list", "--name").split())
        self.assertEqual(["act", "off"], sorted(self.ok("pool-list", "--all", "--name").split()))

    def test_autostart_of_a_directory_that_comes_late(self):
        self.peer.stop()
        shutil.rmtree(os.path.join(self.peer.root, "run"))
        os.rename(self.at("act"), self.at("away"))
        self.peer.start()
        self.assertNotIn("act", self.ok("pool-list", "--name").split())
        os.rename(self.at("away"), self.at("act"))
        self.wait_until(lambda: "act" in self.ok("pool-list", "--name").split(),
                        "a failed autostart is tried again", lambda: self.peer.log())

    def test_damaged_files_do_not_stop_the_daemon(self):
        self.peer.stop()
        storage = os.path.join(self.peer.root, "etc/libvirt/storage")
        for name, content in (("junk.xml", "not xml"), ("empty.xml", ""), ("readme.txt", "hello"),
                              ("other.xml", "<pool type='dir'><name>another</name></pool>"),
                              (".off.xml.tmp", "<pool")):
            with open(os.path.join(storage, name), "w", encoding="utf-8") as out:
                out.write(content)
        os.symlink("nowhere", os.path.join(storage, "dangling.xml"))
        with open(os.path.join(self.peer.root, "run/libvirt/storage/tra.xml"), "w",
                  encoding="utf-8") as out:
            out.write("<poolstate")
        self.peer.start()
        self.assertEqual(["act", "off"],
                         sorted(n for n in self.ok("pool-list", "--all", "--name").split()
                                if n != "tra"))

    def test_a_second_daemon_on_the_same_root_is_refused_and_says_who_holds_it(self):
        status, out, err = peers.run([space.CISTERND, "--root", self.peer.root], timeout=10)
        self.assertNotIn(status, (0, "timeout"))
        self.assertIn(str(self.peer.process.pid), out + err)
        self.assert_alive()

    def test_sockets_have_the_right_modes(self):
        if "CST_SELF_CHECK" in os.environ:
            self.skipTest("libvirtd's are configured by the harness")
        self.assertEqual(0o777, os.stat(self.peer.sock_ro).st_mode & 0o777)
        self.assertEqual(0, os.stat(self.peer.sock).st_mode & 0o007)


class FromStockAndBack(unittest.TestCase):
    """The same directories under /etc, /run and /var, first with one daemon, then the other."""

    maxDiff = None

    def setUp(self):
        if not peers.Libvirtd.available():
            self.skipTest("stock libvirtd needs root, a mount namespace and its package")
        self.stock = peers.Libvirtd()
        self.stock.fresh()
        self.mine = peers.Libvirtd() if "CST_SELF_CHECK" in os.environ else peers.CisterndInPlace("them")
        self.addCleanup(self.stock.stop)
        self.addCleanup(self.mine.stop)

    def definitions(self):
        found = {}
        for folder in ("etc/libvirt/storage", "etc/libvirt/storage/autostart",
                       "etc/libvirt/secrets"):
            full = os.path.join(self.stock.root, folder)
            for name in sorted(os.listdir(full)):
                path = os.path.join(full, name)
                if os.path.islink(path):
                    found[folder + "/" + name] = os.readlink(path).rsplit("/", 1)[-1]
                elif os.path.isfile(path):
                    with open(path, encoding="utf-8") as stream:
                        found[folder + "/" + name] = stream.read()
        return found

    def test_pools_made_by_libvirtd_are_there_under_cisternd_and_still_there_afterwards(self):
        set_up_host(self.stock)
        before, files = picture(self.stock), self.definitions()
        self.stock.stop()
        self.mine.start()
        self.assertEqual(before, picture(self.mine))
        self.mine.stop()
        self.assertEqual(files, self.definitions())
        self.stock.start()
        self.assertEqual(before, picture(self.stock))

    def test_pools_made_by_cisternd_are_there_under_libvirtd(self):
        self.stock.stop()
        self.mine.start()
        set_up_host(self.mine)
        before = picture(self.mine)
        self.mine.stop()
        self.stock.start()
        self.assertEqual(before, picture(self.stock))

    def test_work_goes_on_across_the_change(self):
        set_up_host(self.stock)
        self.stock.stop()
        self.mine.start()
        for command in ("vol-clone cow cow2 --pool act", "vol-resize raw 3M --pool act",
                        "pool-autostart act --disable", "pool-autostart off", "pool-build off", "pool-start off",
                        "vol-create-as off new 1M", "pool-destroy tra"):
            status, _, err = peers.virsh(self.mine, *command.split())
            self.assertEqual(0, status, err)
        self.mine.stop()
        self.stock.start()
        listing = peers.virsh(self.stock, "pool-list", "--all", "--autostart", "--name")[1]
        self.assertEqual(["off"], listing.split())
        volumes = peers.virsh(self.stock, "vol-list", "act")[1]
        self.assertIn("cow2", volumes)
        self.assertIn("new", peers.virsh(self.stock, "vol-list", "off")[1])

    def test_both_at_once_is_refused(self):
        if "CST_SELF_CHECK" in os.environ:
            self.skipTest("about cisternd")
        status, out, err = peers.run([space.CISTERND, "--root", self.stock.root], timeout=20)
        self.assertNotIn(status, (0, "timeout"))
        self.assertIn(str(self.stock.process.pid), out + err)
