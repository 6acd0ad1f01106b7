# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is played and then cut short: by kill -9 (tests/crash) and by a power cut (tests/power)."""

import os
import shlex
import shutil
import signal
import subprocess
import sys

from . import space, wait
from .peers import PeerError, run, wait_for_socket

WORK = space.path("work")
ROOT = os.path.join(WORK, "root")
POOL = os.path.join(WORK, "pool")
DISK = space.path("disk")
EMBED = f"storage:///embed?root={ROOT}"
SOCK = os.path.join(ROOT, "run/libvirt/virtstoraged-sock")
REMOTE = f"storage+unix:///system?socket={SOCK}"
UUID = "aaaaaaaa-0000-0000-0000-000000000001"
UUID3 = "aaaaaaaa-0000-0000-0000-000000000003"

FILES = {
    "pool.xml": f"<pool type='dir'><name>n</name><uuid>{UUID}</uuid><target><path>{WORK}/n</path>"
                "</target></pool>",
    "again.xml": f"<pool type='dir'><name>n</name><uuid>{UUID}</uuid><target><path>{WORK}/other"
                 "</path></target></pool>",
    "kept.xml": f"<pool type='dir'><name>n</name><uuid>{UUID}</uuid><target><path>{WORK}/n</path>"
                "</target><c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>",
    "from.xml": "<volume><name>new</name><capacity>1048576</capacity><target>"
                "<format type='qcow2'/></target></volume>",
    "toraw.xml": "<volume><name>new</name><capacity>1048576</capacity></volume>",
    "secret.xml": f"<secret><uuid>{UUID}</uuid><usage type='ceph'><name>c</name></usage></secret>",
    "secret2.xml": f"<secret private='yes'><uuid>{UUID}</uuid><usage type='ceph'><name>c</name>"
                   "</usage></secret>",
    "secret3.xml": f"<secret><uuid>{UUID3}</uuid></secret>",
    "rbd.xml": "<pool type='rbd'><name>r</name><source><host name='127.0.0.1'/>"
               "<name>libvirt</name><auth type='ceph' username='libvirt'>"
               f"<secret uuid='{UUID}'/></auth></source></pool>",
    "key": "AQAA8VNlAAAAABAAdGhlIG9sZCBrZXkgb2Ygcg==",
    "key2": "AQAA8VNlAAAAABAAdGhlIG5ldyBrZXkgb2Ygcg==",
}

# The server of rotations: a Ceph in memory (tests/ceph), which knows the new key already.
SERVER = {"LD_LIBRARY_PATH": os.path.join(space.BUILD, "tests/ceph"), "FAKE_CEPH_KEY": FILES["key2"]}

# Steps before the operation besides the active pool "p" with volumes "raw" and "cow".
DEFINED = ["pool-define {f}/pool.xml"]
AUTOSTARTED = DEFINED + ["pool-autostart n"]
STARTED = DEFINED + ["pool-build n", "pool-start n"]
OVERLAY = ["vol-create-as p over 1M --format qcow2 --backing-vol cow --backing-vol-format qcow2"]
OVERLAYS = OVERLAY + ["vol-create-as p above 1M --format qcow2 --backing-vol cow "
                      "--backing-vol-format qcow2", "vol-protect cow --pool p"]
LAYERS = OVERLAY + ["!qemu-io -f qcow2 -c 'write -P 8 0 200k' {p}/over",
                    "vol-create-as p third 1M --format qcow2 --backing-vol over "
                    "--backing-vol-format qcow2"]
# Both volumes with two snapshots, and with something else in them since the last one.
SHOTS = ["snap-create raw one --pool p", "vol-upload raw {f}/payload --pool p",
         "snap-create raw two --pool p", "vol-upload raw {f}/payload2 --pool p"]
SHOTS_INSIDE = ["snap-create cow one --pool p", "!qemu-io -f qcow2 -c 'write -P 6 0 200k' {p}/cow",
                "snap-create cow two --pool p", "!qemu-io -f qcow2 -c 'write -P 7 0 99k' {p}/cow"]
# A pool with a trash, and a volume in it, whose content is declared to be no image.
KEEPING = ["pool-define {f}/kept.xml", "pool-build n", "pool-start n", "vol-create-as n v 1M",
           "vol-upload v {f}/payload --pool n"]
KEPT = KEEPING + ["vol-delete v --pool n"]
KEPT_TWO = KEPT + ["vol-create-as n w 1M", "vol-delete w --pool n"]
IN_TRASH = "trash-list --pool n --columns name --parsable"
TAGGED = ["vol-tag cow gold --pool p", "vol-note cow text --pool p"]
TAGS = "vol-list p --columns name,tags,note --parsable"
SECRET = ["secret-define {f}/secret.xml"]
VALUED = SECRET + [f"secret-set-value {UUID} --file {{f}}/value"]
SEALED = VALUED + [f"secret-seal {UUID}"]
# Two values, and what shows that one of them can be read.
TWO_VALUES = VALUED + ["secret-define {f}/secret3.xml",
                       f"secret-set-value {UUID3} --file {{f}}/value2"]
VALUE = f"secret-get-value {UUID}"
# A value that a pool logs in with. What is left of its rotation is settled when a pool starts whose
# server refuses the value that is there.
ROTATED = [*SECRET, f"secret-set-value {UUID} --file {{f}}/key", "pool-define {f}/rbd.xml"]
ROTATE = f"secret-rotate {UUID} --file {{f}}/key2"
START = "pool-start r; pool-destroy r"


class Operation:
    """content: "same" = files are byte for byte those before or after; "images" = new images only
    have to be whole and equal in content; "guest" = and their allocation may differ; "any" = data of
    volumes may be in between.
    partway: some files may be as before and others as after already.
    shares: on a file system that shares extents.
    shows: a command whose output is what it was before, or what it is after.
    inodes: what it makes is known again by its inode, which a disk that is put together from writes
    (tests/power) gives anew.
    settles: what has the next program settle what is left; it may fail.
    leaves: files that an interrupted deletion leaves, and that a repetition does not delete, because
    the result does not refer to them."""

    def __init__(self, name, command, before=(), content="same", partway=False, shares=False,
                 shows="", settles="", inodes=False, leaves=()):
        self.name, self.command, self.before, self.content = name, command, before, content
        self.partway, self.shares, self.shows, self.settles = partway, shares, shows, settles
        self.inodes, self.leaves = inodes, leaves


OPERATIONS = [
    Operation("create-raw", "vol-create-as p new 1M"),
    Operation("create-sparse", "vol-create-as p new 1M --allocation 0"),
    Operation("create-qcow2", "vol-create-as p new 1M --format qcow2", content="images"),
    Operation("create-prealloc", "vol-create-as p new 1M --format qcow2 --prealloc-metadata",
              content="images"),
    Operation("create-overlay", "vol-create-as p new 1M --format qcow2 --backing-vol cow "
              "--backing-vol-format qcow2", content="images"),
    Operation("clone-raw", "vol-clone raw new --pool p"),
    Operation("clone-qcow2", "vol-clone cow new --pool p", content="images"),
    Operation("create-from-raw", "vol-create-from p {f}/from.xml raw --inputpool p",
              content="images"),
    Operation("create-from-qcow2", "vol-create-from p {f}/toraw.xml cow --inputpool p"),
    Operation("resize-raw", "vol-resize raw 3M --pool p"),
    Operation("resize-raw-allocate", "vol-resize raw 3M --pool p --allocate"),
    Operation("resize-raw-shrink", "vol-resize raw 64k --pool p --shrink"),
    Operation("resize-qcow2", "vol-resize cow 3G --pool p", content="images"),
    Operation("delete-raw", "vol-delete raw --pool p"),
    Operation("delete-qcow2", "vol-delete cow --pool p"),
    Operation("upload", "vol-upload raw {f}/payload --pool p", content="any"),
    Operation("wipe", "vol-wipe raw --pool p", content="any"),
    Operation("wipe-slow", "vol-wipe raw --pool p --algorithm nnsa --rate-limit 3M",
              content="any"),
    Operation("flatten", "vol-flatten over --pool p", OVERLAY, content="images"),
    Operation("commit", "vol-commit over --pool p --yes", OVERLAY, content="any"),
    Operation("consolidate", "vol-consolidate third --pool p", LAYERS, content="images"),
    Operation("consolidate-delete", "vol-consolidate third --pool p --delete-layers --yes", LAYERS,
              content="images", partway=True, leaves=("pool/over",)),
    Operation("rebase", "vol-rebase over --pool p --backing-vol raw --backing-vol-format raw",
              OVERLAY, content="images"),
    Operation("convert", "vol-convert over new --pool p --format qcow2 --compress", OVERLAY,
              content="images"),
    Operation("move-raw", "vol-move raw --pool p --newpool n", STARTED),
    Operation("move-qcow2", "vol-move cow --pool p --newpool n", SHOTS_INSIDE + STARTED),
    Operation("move-converted", "vol-move cow --pool p --newpool n --format raw", STARTED,
              inodes=True),
    Operation("move-with-snapshots", "vol-move raw --pool p --newpool n", SHOTS + STARTED,
              shares=True, inodes=True),
    Operation("move-with-snapshots-qcow2", "vol-move raw --pool p --newpool n --format qcow2",
              SHOTS + STARTED, content="images", shares=True, inodes=True),
    Operation("sparsify", "vol-sparsify raw --pool p"),
    Operation("snap-create", "snap-create raw s --pool p", shares=True),
    Operation("snap-create-again", "snap-create raw s --pool p", SHOTS, shares=True),
    Operation("snap-revert", "snap-revert raw one --pool p --yes", SHOTS, shares=True),
    Operation("snap-delete", "snap-delete raw one --pool p --yes", SHOTS, shares=True),
    Operation("snap-delete-last", "snap-delete raw s --pool p --yes",
              ["snap-create raw s --pool p"], shares=True),
    Operation("snap-rename", "snap-rename raw one s --pool p", SHOTS, shares=True),
    Operation("snap-clone", "snap-clone raw one new --pool p", SHOTS, shares=True),
    Operation("delete-with-snapshots", "vol-delete raw --pool p --delete-snapshots", SHOTS,
              partway=True, shares=True),
    Operation("snap-create-qcow2", "snap-create cow s --pool p", SHOTS_INSIDE, content="images"),
    Operation("snap-revert-qcow2", "snap-revert cow one --pool p --yes", SHOTS_INSIDE,
              content="images"),
    Operation("snap-delete-qcow2", "snap-delete cow one --pool p --yes", SHOTS_INSIDE,
              content="images"),
    Operation("snap-rename-qcow2", "snap-rename cow one s --pool p", SHOTS_INSIDE,
              content="images"),
    Operation("snap-clone-qcow2", "snap-clone cow one new --pool p", SHOTS_INSIDE,
              content="images"),
    Operation("clone-with-snapshots-qcow2", "vol-clone cow new --pool p", SHOTS_INSIDE,
              content="images"),
    Operation("delete-with-snapshots-qcow2", "vol-delete cow --pool p --delete-snapshots",
              SHOTS_INSIDE),
    Operation("rename", "vol-rename raw other --pool p", ["vol-protect raw --pool p"]),
    Operation("rename-with-snapshots", "vol-rename raw other --pool p", SHOTS, shares=True),
    Operation("rename-declared", "vol-rename over other --pool p", OVERLAY, content="images",
              shows="vol-list p --columns name,backing"),
    Operation("rename-base", "vol-rename cow other --pool p", OVERLAYS, content="images",
              shows="vol-list p --columns name,backing"),
    # Where a file with two names is nobody's to open.
    Operation("rename-base-open", "vol-rename cow other --pool p",
              ["!chmod 777 {p}", *OVERLAYS], content="images",
              shows="vol-list p --columns name,backing"),
    Operation("trash", "vol-delete v --pool n", KEEPING, shows=IN_TRASH),
    Operation("trash-with-snapshots", "vol-delete v --pool n --delete-snapshots",
              KEEPING + ["snap-create v one --pool n"], shares=True, shows=IN_TRASH),
    Operation("trash-restore", "trash-restore v --pool n", KEPT, shows=IN_TRASH),
    Operation("trash-restore-as", "trash-restore v --pool n --name w", KEPT, shows=IN_TRASH),
    Operation("trash-empty", "trash-empty v --pool n --yes", KEPT, partway=True, shows=IN_TRASH),
    Operation("trash-empty-all", "trash-empty --pool n --yes", KEPT_TWO, partway=True),
    Operation("define", "pool-define {f}/pool.xml"),
    Operation("redefine", "pool-define {f}/again.xml", DEFINED),
    Operation("undefine", "pool-undefine n", DEFINED),
    Operation("undefine-autostarted", "pool-undefine n", AUTOSTARTED),
    Operation("autostart", "pool-autostart n", DEFINED),
    Operation("autostart-off", "pool-autostart n --disable", AUTOSTARTED),
    Operation("protect", "vol-protect cow --pool p"),
    Operation("unprotect", "vol-unprotect cow --pool p", ["vol-protect cow --pool p"]),
    Operation("tag", "vol-tag cow silver --remove gold --pool p", TAGGED, shows=TAGS),
    Operation("rename-tagged", "vol-rename cow other --pool p", TAGGED, shows=TAGS),
    Operation("move-tagged", "vol-move cow --pool p --newpool n", TAGGED + STARTED,
              shows="vol-list --columns pool,name,tags,note --filter tags=gold --parsable"),
    Operation("trash-restore-tagged", "trash-restore v --pool n",
              KEEPING + ["vol-tag v gold --pool n", "vol-delete v --pool n"],
              shows="vol-list n --columns name,tags --parsable"),
    Operation("snap-rename-tagged", "snap-rename cow one s --pool p",
              SHOTS_INSIDE + ["vol-tag cow gold --snapshot one --pool p"], content="images",
              shows="snap-list cow --pool p --columns name,tags --parsable"),
    Operation("build", "pool-build n", DEFINED),
    Operation("start", "pool-start n", DEFINED + ["pool-build n"]),
    Operation("create-transient", "pool-create {f}/pool.xml --build", partway=True),
    Operation("destroy", "pool-destroy p"),
    Operation("destroy-transient", "pool-destroy n", ["pool-create {f}/pool.xml --build"]),
    Operation("pool-delete", "pool-delete n", DEFINED + ["pool-build n"]),
    Operation("refresh", "pool-refresh p"),
    Operation("secret-define", "secret-define {f}/secret.xml"),
    Operation("secret-redefine", "secret-define {f}/secret2.xml", VALUED),
    Operation("secret-set", f"secret-set-value {UUID} --file {{f}}/value", SECRET),
    Operation("secret-set-again", f"secret-set-value {UUID} --file {{f}}/value2", VALUED),
    Operation("secret-undefine", f"secret-undefine {UUID}", VALUED),
    Operation("secret-seal", f"secret-seal {UUID}", VALUED, partway=True, shows=VALUE),
    Operation("secret-seal-all", "secret-seal --all", TWO_VALUES, partway=True, shows=VALUE),
    Operation("secret-unseal", f"secret-unseal {UUID}", SEALED, shows=VALUE),
    Operation("secret-unseal-all", "secret-unseal --all", TWO_VALUES + ["secret-seal --all"],
              partway=True, shows=VALUE),
    Operation("secret-rekey", "secret-seal --rekey", TWO_VALUES + ["secret-seal --all"],
              partway=True, shows=VALUE),
    Operation("secret-set-sealed", f"secret-set-value {UUID} --file {{f}}/value2", SEALED,
              shows=VALUE),
    Operation("secret-undefine-sealed", f"secret-undefine {UUID}", SEALED),
    Operation("secret-rotate", ROTATE, ROTATED, shows=VALUE, settles=START),
    Operation("secret-rotate-sealed", ROTATE, [*ROTATED, f"secret-seal {UUID}"], shows=VALUE,
              settles=START),
    # The new value is sealed and the one that is there not yet, which is sealed on the way.
    Operation("secret-rotate-and-seal", ROTATE, [*ROTATED, "secret-define {f}/secret3.xml",
              f"secret-set-value {UUID3} --file {{f}}/value2", f"secret-seal {UUID3}"], shows=VALUE,
              partway=True, settles=START),
]


class Trouble(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Trouble(text)


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def skip(self, name, reason):
        self.skipped += 1
        print(f"SKIP {name}: {reason}", flush=True)

    def case(self, name, body):
        try:
            body()
            self.passed += 1
        except (Trouble, subprocess.CalledProcessError, OSError) as trouble:
            self.failed += 1
            print(f"FAIL {name}: {trouble}", flush=True)
            if "-x" in sys.argv:
                sys.exit(f"left in {WORK}")


def cistern(uri, command, env=()):
    words = command.replace("{f}", space.path("files")).replace("{p}", POOL).split()
    return run([space.CISTERN, "-c", uri, *words], env=dict(env).items())


def settle(uri, operation, env=()):
    """What the operation has left, if it needs somebody to."""
    if operation.settles:
        run([space.CISTERN, "-c", uri, operation.settles], env=dict(env).items())


def must(uri, command):
    status, out, err = cistern(uri, command)
    expect(status == 0, f"`{command}` failed with {status}: {err.strip()}")
    return out


class Embedded:
    name = "embedded"

    def __init__(self, env=()):
        self.env = dict(env)
        self.status = None

    def play(self, command):
        status, out, err = cistern(EMBED, command, self.env)
        self.status = status
        return status, out + err

    def killed(self):
        return self.status == -signal.SIGKILL

    def is_running(self):
        return not self.killed()

    def close(self):
        pass

    uri = EMBED


class Daemon:
    name = "daemon"
    uri = REMOTE

    def __init__(self, env=()):
        log = space.path("daemon.log")
        if os.path.exists(SOCK):
            os.unlink(SOCK)
        with open(log, "ab") as stream:
            self.process = subprocess.Popen([space.CISTERND, "--root", ROOT], stdout=stream,
                                            stderr=stream, stdin=subprocess.DEVNULL,
                                            env=dict(space.ENV, **dict(env)))
        try:
            wait_for_socket(SOCK, self.process, log)
        except PeerError as error:
            self.close()
            raise Trouble(str(error)) from error

    def play(self, command):
        status, out, err = cistern(REMOTE, command)
        return status, out + err

    def killed(self):
        """Waits for the end, which a kill that has been reported as an error has begun."""
        wait.until(lambda: self.process.poll() is not None, "the daemon ends")
        return self.process.poll() == -signal.SIGKILL

    def is_running(self):
        return self.process.poll() is None

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def write_files():
    os.makedirs(space.path("files"))
    for name, text in FILES.items():
        with open(os.path.join(space.path("files"), name), "w", encoding="utf-8") as out:
            out.write(text)
    for name, text in (("value", "SGVsbG8="), ("value2", "V29ybGQ="), ("payload", "u" * 300000),
                       ("payload2", "w" * 200000)):
        with open(os.path.join(space.path("files"), name), "w", encoding="utf-8") as out:
            out.write(text)


def prepare(operation):
    """A fresh root with the pool, its volumes and the operation's own premises; kept as template."""
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(POOL)
    os.makedirs(ROOT)
    with open(os.path.join(POOL, "raw"), "wb") as out:
        out.write(b"payload" * 10000)
        out.truncate(1 << 20)
    run(["qemu-img", "create", "-q", "-f", "qcow2", os.path.join(POOL, "cow"), "1M"])
    run(["qemu-io", "-f", "qcow2", "-c", "write -P 5 0 300k", os.path.join(POOL, "cow")])
    must(EMBED, f"pool-define-as p dir --target {POOL}")
    must(EMBED, "pool-start p")
    for command in operation.before:
        if command.startswith("!"):
            status, out, err = run(shlex.split(command[1:].replace("{p}", POOL)))
            expect(status == 0, f"`{command}` failed with {status}: {out}{err}")
        else:
            must(EMBED, command)
    template = space.path("template")
    shutil.rmtree(template, ignore_errors=True)
    subprocess.run(["cp", "-a", WORK, template], check=True)
    return template


def enter_shared(count, name):
    """Mounts a file system that shares extents on WORK; False where that can't be."""
    if not space.private_mounts():
        count.skip(name, "mounting a file system needs root and a mount namespace")
        return False
    if not os.path.exists(DISK):
        with open(DISK, "wb") as out:
            out.truncate(320 << 20)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", DISK], check=True)
    try:
        space.mount(WORK, "-o", "loop", DISK)
    except subprocess.CalledProcessError as error:
        count.skip(name, f"no file system can be mounted here: {error}")
        return False
    return True


def leave_shared():
    space.unmount(WORK)
