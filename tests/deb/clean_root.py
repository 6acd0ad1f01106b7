# SPDX-License-Identifier: LGPL-2.1-or-later
"""A clean Debian in a directory, to install packages into.

mmdebstrap makes a release once, and CISTERN_LAB keeps it as a tar file. Each root is a copy of its
own. Commands run in namespaces of their own (do()), or in those of a session, in which processes and
/run stay until the session ends (start_session()).
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/system"))

from harness import wait  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
LAB = os.environ.get("CISTERN_LAB") or os.path.join(BUILD, "lab")
OUT = os.path.join(BUILD, "deb")
LONG = sys.argv[1:] == ["long"]
ARCHIVE = "http://deb.debian.org/debian"
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
       "DEBIAN_FRONTEND": "noninteractive"}

# The first process of a session. The kernel reaps the orphans of a process that ignores SIGCHLD.
FIRST_PROCESS = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
SESSION_MOUNTS = """
mount -t proc proc "$0/proc"
mount --rbind /sys "$0/sys"
mount --rbind /dev "$0/dev"
mount -t tmpfs tmpfs "$0/run"
mkdir -p "$0/run/systemd/system" "$0/run/lock"
"""


class Skip(Exception):
    pass


def run(*argv, check=True, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, check=False, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout[-6000:]}")
    return done.stdout if check else (done.returncode, done.stdout)


def make_root(path, release, packages):
    """A minimal Debian as a tar file or a directory."""
    status, said = run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", release,
                       path, f"deb {ARCHIVE} {release} main", check=False)
    if status:
        raise Skip(f"Debian's archive gives no root: {said.strip()[-300:]}")


def cached_root(release, packages):
    recipe = hashlib.sha256(f"{release} {ARCHIVE} {packages}".encode()).hexdigest()[:12]
    tar = os.path.join(LAB, f"deb-root-{release}-{recipe}.tar")
    if not os.path.exists(tar):
        os.makedirs(LAB, exist_ok=True)
        print(f"  making a clean Debian {release} (a minute or two, once)", flush=True)
        fresh = os.path.join(LAB, f"deb-root-{os.getpid()}.tar")
        try:
            make_root(fresh, release, packages)
            os.rename(fresh, tar)
        finally:
            if os.path.exists(fresh):
                os.unlink(fresh)
    return tar


class Root:
    """A Debian to install into."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cst-deb-")
        self.session = None  # process that holds the namespaces
        self.first = None  # PID of the first process in them

    def unpack(self, release, packages):
        """From the kept tar file."""
        if os.geteuid():
            raise Skip("needs root")
        run("tar", "-xf", cached_root(release, packages), "-C", self.dir)
        shutil.copy("/etc/resolv.conf", self.at("etc/resolv.conf"))

    def make(self, release, packages):
        """Anew from the archive."""
        if os.geteuid():
            raise Skip("needs root")
        make_root(self.dir, release, packages)
        shutil.copy("/etc/resolv.conf", self.at("etc/resolv.conf"))

    def forbid_services(self):
        """No maintainer script may start a service."""
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)

    def remove(self):
        if self.session:
            self.session.send_signal(signal.SIGKILL)  # and the processes within
            self.session.wait()
            self.session.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- files

    def at(self, path):
        return os.path.join(self.dir, path)

    def has(self, path):
        return os.path.lexists(self.at(path))

    def read(self, path):
        with open(self.at(path), encoding="utf-8") as stream:
            return stream.read()

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(self.at(path), mode)

    # --- commands

    def start_session(self):
        """From now on, commands share their processes and /run. All end with this process."""
        self.session = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--fork",
             "--kill-child", "sh", "-ec",
             SESSION_MOUNTS + 'exec "$@"', self.dir, sys.executable, "-c", FIRST_PROCESS],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.session.stdout.readline() != "ready\n":
            raise Skip("the kernel gives no namespaces")
        pid = self.session.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            self.first = int(stream.read())

    def inside(self, *namespaces):
        """The words before a command of the session."""
        return ["nsenter", f"--target={self.first}", "--mount", "--pid", *namespaces, "chroot", self.dir]

    def session_path(self, path):
        """A file of the session, whose /run is not that of the directory."""
        return f"/proc/{self.first}/root{self.dir}/{path}"

    def do(self, script, check=True):
        """Inside, with its own processes and mounts; the long run has the machine's network."""
        if self.session:
            return run(*self.inside("--net"), "sh", "-ec", script, check=check, env=ENV)
        mounts = f"mount -t proc proc {self.dir}/proc && mount -t tmpfs tmpfs {self.dir}/run && " \
                 f'exec chroot {self.dir} sh -ec "$1"'
        network = [] if LONG else ["--net"]
        return run("unshare", "--mount", "--pid", *network, "--fork", "--kill-child", "sh", "-c",
                   mounts, "sh", script, check=check, env=ENV)

    def start(self, script):
        """In the session, beside the test. Returns the process."""
        return subprocess.Popen([*self.inside("--net"), "sh", "-ec", script], env=ENV, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def install(self, packages, *options):
        names = []
        for path in packages:
            shutil.copy(path, self.at("root"))
            names.append("/root/" + os.path.basename(path))
        if LONG:
            return self.apt_install(*("-o Dpkg::Options::=" + o for o in options), *names)
        return self.do(f"dpkg --force-unsafe-io {' '.join(options)} -i {' '.join(names)}")

    def apt_install(self, *words):
        """
        By apt, from the archive. A session downloads with the machine's network. It installs without,
        because maintainer scripts start daemons.
        """
        install = f"apt-get install -qq -y --no-install-recommends --allow-downgrades {' '.join(words)}"
        download = "apt-get update -qq && " + install + " --download-only"
        if self.session:
            run(*self.inside(), "sh", "-ec", download, env=ENV)
        else:
            self.do(download)
        return self.do(install)


def wait_until(condition, name, state=lambda: ""):
    wait.until(condition, name, state)
