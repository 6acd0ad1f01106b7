# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's Gluster (tests/lab/gluster): one for the whole run, started when the first test needs it."""

import atexit
import glob
import os
import signal
import subprocess
import unittest

from . import space, wait

SCRIPT = os.path.join(space.TOP, "tests/lab/gluster")
VOLUME = "gv0"
# Short, so that what does not answer is noticed within a test.
TIMEOUT_S = 3

POOL = """<pool type='gluster'><name>{name}</name><source><host name='{host}'/>
<dir path='{dir}'/><name>{volume}</name></source>
<options xmlns='urn:cistern:storage:1.0'>{options}</options></pool>"""


class Gluster:
    def __init__(self, name="gluster", how="start", *more):
        self.dir = space.path(name)
        atexit.register(self.stop)
        subprocess.run([SCRIPT, how, self.dir, *more], check=True,
                       timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with open(os.path.join(self.dir, "host"), encoding="utf-8") as stream:
            self.host = stream.read().strip()
        self.brick = os.path.join(self.dir, "brick", VOLUME)
        self.socket = os.path.join(self.dir, "socket")

    def stop(self):
        self.thaw()
        subprocess.run([SCRIPT, "stop", self.dir], check=False)

    def tool(self, *words, check=True):
        return subprocess.run(["gluster", "--mode=script", f"--glusterd-sock={self.socket}",
                               f"--log-file={self.dir}/log/cli.log", *words], check=check, text=True,
                              timeout=120, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE).stdout

    def add_volume(self, name, brick=None):
        subprocess.run([SCRIPT, "volume", self.dir, name, *([brick] if brick else [])], check=True,
                       timeout=120, stdout=subprocess.DEVNULL)

    def url(self, name="", directory=""):
        return f"gluster://{self.host}/{VOLUME}/{directory}{name}"

    def path(self, name):
        """A file of the volume as the brick has it."""
        return os.path.join(self.brick, name)

    def names(self):
        """All there is in the volume but Gluster's own."""
        return sorted(name for name in os.listdir(self.brick) if name not in (".glusterfs",
                                                                              ".glusterfs-anonymous-inode"))

    def clear(self):
        """
        Empties the volume through a client: what the brick knows beside the files has to go with
        them.
        """
        if left := self.names():
            self.client("\n".join(f"remove {name}" for name in left))

    def client(self, script):
        """Plays commands to the volume: tests/lab/glfs."""
        subprocess.run([os.path.join(space.TOP, "tests/lab/glfs"), self.host, VOLUME], check=True,
                       input=script, text=True, timeout=120)

    def pids(self, which):
        """Of "glusterd", or of the "brick"s that serve a volume: VOLUME, if none is named."""
        volume = VOLUME if which == "brick" else which
        pattern = "run/glusterd.pid" if which == "glusterd" else f"run/vols/{volume}/*.pid"
        found = []
        for name in glob.glob(os.path.join(self.dir, pattern)):
            with open(name, encoding="utf-8") as stream:
                found.append(int(stream.read()))
        return found

    def signal(self, which, number):
        for pid in self.pids(which):
            try:
                os.kill(pid, number)
            except OSError:
                pass  # not there

    def freeze(self, which="brick"):
        self.signal(which, signal.SIGSTOP)

    def kill(self, which="brick"):
        self.signal(which, signal.SIGKILL)

    def thaw(self):
        for which in ("glusterd", "brick"):
            try:
                self.signal(which, signal.SIGCONT)
            except (OSError, ValueError):
                pass  # not there, or not yet

    def revive(self, which="brick"):
        """Starts what was killed."""
        if which == "glusterd":
            subprocess.run([SCRIPT, "serve", self.dir], check=True, timeout=120)

        def status():
            return self.tool("volume", "status", VOLUME, check=False)

        def is_online():
            if "Y" in status().split("Brick")[-1].split():
                return True
            # glusterd may not have noticed yet that the brick is gone.
            self.tool("volume", "start", VOLUME, "force", check=False)
            return False

        wait.until(is_online, "the brick is online", status)

    def pool_xml(self, name, directory="/", volume=VOLUME, host=None, options=None):
        given = {"timeout": TIMEOUT_S, **(options or {})}
        text = "".join(f"<option name='{k}' value='{v}'/>" for k, v in given.items())
        return POOL.format(name=name, host=host or self.host, dir=directory, volume=volume,
                           options=text)


class Pair:
    """A second server, and the volume "pair" with a copy on each; gone with stop()."""

    VOLUME = "pair"

    def __init__(self):
        self.servers = (lab(), Gluster("gluster2", "second", lab().dir))
        bricks = [os.path.join(server.dir, "brick", self.VOLUME) for server in self.servers]
        for brick in bricks:
            os.makedirs(brick)
        self.tool("create", "replica", "2",
                  *(f"{server.host}:{brick}" for server, brick in zip(self.servers, bricks)), "force")
        self.tool("start")
        self.wait(lambda: all(self.pids(i) for i in (0, 1)))
        self.bricks = bricks

    def tool(self, verb, *words, check=True):
        return lab().tool("volume", verb, self.VOLUME, *words, check=check)

    def pids(self, which):
        """Of all processes of one server that serve the volume."""
        server = self.servers[which]
        return server.pids("glusterd") + server.pids(self.VOLUME)

    def signal(self, which, number):
        for pid in self.pids(which):
            try:
                os.kill(pid, number)
            except OSError:
                pass  # not there

    def wait(self, true):
        wait.until(true, "the volume's processes serve it",
                   lambda: self.tool("status", check=False))

    def revive(self, which):
        """Starts what was killed of one server, and waits until both copies are the same."""
        self.servers[which].signal("glusterd", signal.SIGCONT)
        self.signal(which, signal.SIGCONT)
        subprocess.run([SCRIPT, "serve", self.servers[which].dir], check=True, timeout=120)

        def is_complete():
            if self.tool("status", check=False).count(" Y ") >= 4:
                return True
            # The servers refuse the command until they know each other again. A glusterd that has
            # just begun may ignore the command, too.
            self.tool("start", "force", check=False)
            return False

        self.wait(is_complete)

    def held(self, which, name):
        """What one server has of a file."""
        with open(os.path.join(self.bricks[which], name), "rb") as stream:
            return stream.read()

    def stop(self):
        for which in (0, 1):
            self.signal(which, signal.SIGCONT)
        self.tool("stop", "force", check=False)
        self.tool("delete", check=False)
        self.servers[0].tool("peer", "detach", self.servers[1].host, "force", check=False)
        self.servers[1].stop()
        # Its glusterd was killed perhaps, and has to know its other bricks again.
        self.servers[0].revive()


_lab = []


def lab():
    """The lab; skips the test that asks where it can't run."""
    if not _lab:
        missing = subprocess.run([SCRIPT, "check"], text=True, stdout=subprocess.PIPE,
                                 check=False).stdout.strip()
        if missing:
            raise unittest.SkipTest(f"no Gluster here ({missing})")
        if os.environ.get("CST_PRIVATE_NETWORK") != "1":
            raise unittest.SkipTest("no Gluster here (it needs a network of its own)")
        _lab.append(Gluster())
    return _lab[0]
