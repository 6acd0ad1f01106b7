# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two servers of a comparison: stock libvirtd and ours, each with its own root and pools.

Both live in the same scratch space under names of the same length ("them", "ours"), so that even
the widths of printed tables agree. Each has

    dir    where its pools' directories are; a file system of its own and of one size
    files  where a test puts XML files and payloads
    root   the root that holds etc/, run/ and var/
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess

from . import space, wait, wire

POOL_FS_SIZE = "320m"
AUTH_LIST = 66  # the call that libvirt's clients begin with

_started = []  # every daemon's process, for a run that ends before its tests have stopped them


class PeerError(Exception):
    pass


@atexit.register
def take_along():
    for process in _started:
        if process.poll() is None:
            process.kill()


def accepts(path):
    """A connection to the socket is accepted."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def wait_for_socket(path, process, log):
    def text():
        with open(log, encoding="utf-8", errors="replace") as stream:
            return stream.read()[-3000:]

    def accepted_or_ended():
        return accepts(path) or process.poll() is not None

    wait.until(accepted_or_ended, f"an answer on {path}", text)
    if process.poll() is not None:
        raise PeerError(f"no answer on {path}:\n{text()}")


def empty(directory):
    for name in os.listdir(directory):
        full = os.path.join(directory, name)
        if os.path.isdir(full) and not os.path.islink(full):
            shutil.rmtree(full, ignore_errors=True)
        else:
            os.unlink(full)


class Peer:
    """A place with a root and pool directories; subclasses add the process."""

    def __init__(self, name):
        self.name = name
        self.dir = space.path(name)
        self.files = space.path(name + "-files")
        self.root = space.path(name + "-root")
        self.process = None
        for directory in (self.dir, self.files, self.root):
            os.makedirs(directory, exist_ok=True)
        if space.private_mounts() and not os.path.ismount(self.dir):
            space.tmpfs(self.dir, POOL_FS_SIZE)

    def spawn(self, argv, sock, env=()):
        log = space.path(self.name + ".log")
        with open(log, "ab") as stream:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream,
                                            stderr=stream, env=dict(space.ENV, **dict(env)))
        _started.append(self.process)
        wait_for_socket(sock, self.process, log)

    def wait_for_drivers(self):
        """libvirt's daemons listen before their drivers are there, and answer when they are: only
        then do they manage anything, and hold the lock that says so; or they end."""
        try:
            with wire.Wire(self.sock) as probe:
                probe.call(AUTH_LIST)
        except (OSError, wire.Closed) as error:
            self.process.wait(wait.LIMIT_S)
            raise PeerError(f"no answer on {self.sock}:\n{self.log()[-3000:]}") from error

    def log(self):
        with open(space.path(self.name + ".log"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def ended(self):
        """How the daemon ended that nobody has stopped, and its last words; None: it goes on."""
        status = self.process.poll() if self.process else None
        return None if status is None else f"{self.name} ended with {status}: {self.log()[-2000:]}"

    def stop(self, signum=signal.SIGTERM):
        """Ends the daemon; returns its exit status."""
        if not self.process:
            return None
        self.process.send_signal(signum)
        try:
            status = self.process.wait(wait.LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "had to be killed"
        self.process = None
        return status

    def restart(self, signum=signal.SIGTERM):
        status = self.stop(signum)
        self.start()
        return status

    def wipe(self):
        empty(self.dir)
        empty(self.files)
        empty(self.root)

    def fresh(self):
        """As on the first day: no pools, no files."""
        self.stop()
        self.wipe()
        self.start()

    @property
    def uri(self):
        return f"storage+unix:///system?socket={self.sock}"

    @property
    def uri_ro(self):
        return f"storage+unix:///system?socket={self.sock_ro}"

    @property
    def secret_uri(self):
        return f"secret+unix:///system?socket={self.sock}"

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def open_files(self, path):
        """The daemon's descriptors of a file."""
        directory = f"/proc/{self.process.pid}/fd"
        return [fd for fd in os.listdir(directory)
                if os.path.realpath(os.path.join(directory, fd)) == path]

    def rss(self):
        """Bytes; 0 under ThreadSanitizer, whose own memory grows with what the daemon touches."""
        if "TSAN_OPTIONS" in space.ENV:
            return 0
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0


# Runs the command after $1 where $1 is the root as far as libvirt's directories go. libvirtd wants a
# user and group "libvirt-qemu", which only the package with its system service makes.
IN_PLACE = """
set -e
root=$1
shift
know() {
    ! grep -q '^libvirt-qemu:' "/etc/$1" || return 0
    copy=$(mktemp)
    { cat "/etc/$1"; echo "libvirt-qemu:x:64055:$2"; } >"$copy"
    chmod 644 "$copy"
    mount --bind "$copy" "/etc/$1"
    rm "$copy"
}
know passwd 64055::/nonexistent:/usr/sbin/nologin
know group ''
mount -t tmpfs tmpfs /run
for d in run/libvirt etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt; do
    mkdir -p "/$d" "$root/$d"
    mount --bind "$root/$d" "/$d"
done
exec "$@"
"""


def in_place(root, *argv):
    return ["unshare", "-m", "--propagation", "slave", "sh", "-c", IN_PLACE, "sh", root, *argv]


class Libvirtd(Peer):
    """Stock libvirtd, in a mount namespace whose libvirt directories are those of our root."""

    def __init__(self, name="them"):
        super().__init__(name)
        self.sock_dir = space.path(name + "-sock")
        os.makedirs(self.sock_dir, exist_ok=True)
        self.sock = os.path.join(self.sock_dir, "libvirt-sock")
        self.sock_ro = os.path.join(self.sock_dir, "libvirt-sock-ro")

    @staticmethod
    def available():
        return space.private_mounts() and shutil.which("libvirtd", path=space.ENV["PATH"])

    def start(self):
        with open(os.path.join(self.root, "libvirtd.conf"), "w", encoding="utf-8") as conf:
            conf.write(f'unix_sock_dir = "{self.sock_dir}"\nunix_sock_group = "root"\n'
                       'unix_sock_ro_perms = "0777"\nunix_sock_rw_perms = "0777"\n'
                       'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'
                       'log_outputs = "3:stderr"\n')
        for leftover in (self.sock, self.sock_ro):
            if os.path.exists(leftover):
                os.unlink(leftover)
        self.spawn(in_place(self.root, "libvirtd", "-f", os.path.join(self.root, "libvirtd.conf"),
                            "-p", os.path.join(self.root, "libvirtd.pid")), self.sock)
        self.wait_for_drivers()


UNIT = os.path.join(space.BUILD, "packaging/cisternd.service")
CONFINED = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "confined.py"), UNIT]


class Cisternd(Peer):
    """
    config: the text of its configuration file; None: there is none. CST_CONFINED=1 runs it under the
    limits of its unit, whatever the test.
    """

    def __init__(self, name="ours", env=(), config=None, confined="CST_CONFINED" in os.environ,
                 program=space.CISTERND):
        super().__init__(name)
        self.program = program
        self.env = env
        self.config = config
        self.prefix = CONFINED if confined else []
        self.sock = os.path.join(self.root, "run/libvirt/virtstoraged-sock")
        self.sock_ro = self.sock + "-ro"

    def start(self):
        if self.config is not None:
            path = os.path.join(self.root, "etc/cistern/cisternd.conf")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as out:
                out.write(self.config)
        self.spawn([*self.prefix, self.program, "--root", self.root], self.sock, self.env)


class CisterndInPlace(Cisternd):
    """Started as the system's daemon is, without --root, where libvirtd's directories are."""

    def start(self):
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        own = os.path.join(self.root, "var/lib/cistern")
        os.makedirs(own, exist_ok=True)
        script = 'mkdir -p /var/lib/cistern; mount --bind "$1" /var/lib/cistern; exec "$2"'
        self.spawn(in_place(self.root, "sh", "-c", script, "sh", own, space.CISTERND), self.sock)


class Embedded(Peer):
    """No process at all: the same root and pools, driven by the command line in process."""

    def __init__(self, name="ours"):
        super().__init__(name)

    @property
    def uri(self):
        return f"storage:///embed?root={self.root}"

    secret_uri = uri

    def start(self):
        pass


def run(argv, stdin=None, env=(), timeout=wait.LIMIT_S, cwd=None, user=None):
    """(status, stdout, stderr) of a command in the fixed environment."""
    try:
        done = subprocess.run(argv, env=dict(space.ENV, **dict(env)), text=True, timeout=timeout,
                              errors="surrogateescape", cwd=cwd or space.BASE,
                              **({"input": stdin} if stdin is not None
                                 else {"stdin": subprocess.DEVNULL}),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=user)
    except subprocess.TimeoutExpired as late:
        return "timeout", (late.stdout or b"").decode(errors="replace"), ""
    return done.returncode, done.stdout, done.stderr


def virsh(peer, *words, **options):
    return run(["virsh", "-c", peer.uri, *words], **options)


def ours(config=None):
    """The daemon under test. CST_SELF_CHECK=1 puts stock libvirtd in its place: what then fails is
    a wrong expectation of a test, or a weakness of libvirt's."""
    return Libvirtd("ours") if "CST_SELF_CHECK" in os.environ else Cisternd(config=config)
