# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's Ceph (tests/lab/ceph): one for the whole run, started when the first test needs it."""

import atexit
import json
import os
import signal
import subprocess
import time
import unittest

from . import space

SCRIPT = os.path.join(space.TOP, "tests/lab/ceph")
DAEMONS = ("mon.a", "mgr.x", "osd.0")
UUID = "11111111-2222-3333-4444-555555555555"
# Short, so that what does not answer is noticed within a test.
TIMEOUT_S = 3
# What takes so long hangs, however busy the machine is.
HANGS_S = 60

SECRET = f"""<secret ephemeral='no' private='yes'><uuid>{UUID}</uuid>
<usage type='ceph'><name>client.libvirt secret</name></usage></secret>"""

POOL = """<pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>
<name>{name}</name>{refresh}<source><host name='{host}' port='{port}'/><name>{source}</name>
{auth}</source><rbd:config_opts>{options}</rbd:config_opts></pool>"""

AUTH = f"<auth type='ceph' username='libvirt'><secret uuid='{UUID}'/></auth>"


class Ceph:
    def __init__(self):
        self.dir = space.path("ceph")
        atexit.register(self.stop)
        subprocess.run([SCRIPT, "start", self.dir], check=True, timeout=300,
                       stdin=subprocess.DEVNULL)
        self.conf = os.path.join(self.dir, "ceph.conf")
        with open(os.path.join(self.dir, "client.key"), encoding="utf-8") as stream:
            self.key = stream.read().strip()
        with open(os.path.join(self.dir, "mon"), encoding="utf-8") as stream:
            self.host, self.port = stream.read().strip().rsplit(":", 1)
        self.address6 = self.second_address()
        self.env = dict(space.ENV, CEPH_CONF=self.conf)

    def second_address(self):
        """(host, port) of IPv6; None: this machine has none."""
        try:
            with open(os.path.join(self.dir, "mon6"), encoding="utf-8") as stream:
                host, port = stream.read().strip().rsplit(":", 1)
        except FileNotFoundError:
            return None
        return host.strip("[]"), port

    def stop(self):
        self.thaw()
        subprocess.run([SCRIPT, "stop", self.dir], check=False)

    def run(self, *words, check=True, limit=HANGS_S):
        done = subprocess.run(words, env=self.env, text=True, timeout=limit, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def rbd(self, *words, pool="libvirt", **options):
        return self.run("rbd", "-p", pool, *words, **options)

    def images(self, pool="libvirt"):
        """Everything that is there, by any name: images, snapshots of any kind, the trash."""
        found = self.rbd("ls", pool=pool).split()
        for image in list(found):
            # It may go at any moment.
            for line in self.rbd("snap", "ls", "--all", image, pool=pool,
                                 check=False).splitlines()[1:]:
                found.append(f"{image}@{line.split()[1]}")
        return found + [f"trash:{line}" for line in
                        self.rbd("trash", "ls", "--all", pool=pool).splitlines()]

    def notes(self, pool="libvirt"):
        """What is noted in the pool's metadata."""
        return self.run("rados", "-p", pool, "listomapkeys", "rbd_info").split()

    def clear(self, pool="libvirt", limit=HANGS_S):
        """
        Removes all images. When that hangs the test fails that asked for it, with what the cluster
        was doing; the next one finds a cluster without images that works.
        """
        try:
            self.remove_images(pool, limit)
        except subprocess.TimeoutExpired as late:
            told = self.doings()
            subprocess.run([SCRIPT, "renew", self.dir], check=True, timeout=300,
                           stdin=subprocess.DEVNULL)
            raise AssertionError(f"{late}\n{told}") from late

    def remove_images(self, pool, limit):
        """Clones before their parents, half-removed ones too, and what a process had open that died."""
        def rbd(*words, check=False):
            return self.rbd(*words, pool=pool, check=check, limit=limit)
        ends = time.monotonic() + limit
        while left := rbd("ls", check=True).split():
            for image in left:
                for snap in json.loads(rbd("snap", "ls", "--format", "json", image) or "[]"):
                    if snap.get("protected") == "true":
                        rbd("snap", "unprotect", f"{image}@{snap['name']}")
                rbd("snap", "purge", "--no-progress", image)
                rbd("rm", "--no-progress", image)
            if time.monotonic() > ends:
                raise subprocess.TimeoutExpired(f"removing {left}", limit)

    def doings(self):
        """What each daemon does: its process's state, and the requests that it has not answered."""
        told = []
        for name in DAEMONS:
            try:
                with open(f"/proc/{self.daemon(name)}/stat", encoding="ascii") as stream:
                    told.append(f"{name}: {stream.read().rpartition(')')[2].split()[0]}")
            except OSError as error:
                told.append(f"{name}: {error}")
        try:
            told.append(self.run("ceph", "--admin-daemon", os.path.join(self.dir, "run/osd.0.asok"),
                                 "dump_ops_in_flight", check=False, limit=10))
        except subprocess.TimeoutExpired as late:
            told.append(str(late))
        return "\n".join(told)

    def daemon(self, name):
        with open(os.path.join(self.dir, "run", name + ".pid"), encoding="utf-8") as stream:
            return int(stream.read())

    def freeze(self, name="osd.0"):
        os.kill(self.daemon(name), signal.SIGSTOP)

    def thaw(self):
        for name in ("osd.0", "mon.a"):
            try:
                os.kill(self.daemon(name), signal.SIGCONT)
            except (OSError, ValueError):
                pass  # not there, or not yet

    def pool_xml(self, name, source="libvirt", host=None, auth=AUTH, refresh="", options=()):
        given = {"rados_osd_op_timeout": TIMEOUT_S, "rados_mon_op_timeout": TIMEOUT_S,
                 "client_mount_timeout": TIMEOUT_S, "objecter_tick_interval": 1,
                 **dict(options)}
        text = "".join(f"<rbd:option name='{k}' value='{v}'/>" for k, v in given.items())
        return POOL.format(name=name, source=source, host=host or self.host, port=self.port,
                           auth=auth, refresh=refresh, options=text)


_lab = []


def lab():
    """The lab; skips the test that asks where it can't run."""
    if not _lab:
        missing = subprocess.run([SCRIPT, "check"], text=True, stdout=subprocess.PIPE,
                                 check=False).stdout.strip()
        if missing:
            raise unittest.SkipTest(f"no Ceph here ({missing})")
        _lab.append(Ceph())
    return _lab[0]
