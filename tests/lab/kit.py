# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What tests inside the lab's machine share: cases in TAP, cisternd and stock libvirtd, LVM. Servers
and other storage to be started: services; the same commands to both daemons: comparison.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
WORK = "/tmp/lab"
MIB = 1 << 20

sys.path.insert(0, os.path.join(TOP, "tests/system"))

from harness import wait  # noqa: E402

os.makedirs(WORK, exist_ok=True)


class Failed(Exception):
    pass


class Skipped(Exception):
    """What a case needs can't be had here; the text says what and why."""


def run(*command, check=True, env=None, limit=300, data=None):
    """The command's status and what it printed, both streams together."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=limit, input=data,
                          stdin=subprocess.DEVNULL if data is None else None,
                          env=dict(os.environ, **(env or {})))
    if check and done.returncode:
        raise Failed(f"{' '.join(command)}: status {done.returncode}: {done.stdout.strip()}")
    return done.returncode, done.stdout


def out(*command, **how):
    return run(*command, **how)[1]


def expect(condition, text):
    if not condition:
        raise Failed(str(text))


def expect_in(words, text):
    expect(words in text, f"'{words}' is not in: {text.strip()}")


def wait_until(question):
    """Returns False when it has not become true within the one limit of all waits; the caller says so."""
    try:
        return wait.until(question, "the condition")
    except wait.NeverTrue as late:
        print(f"# {late}", flush=True)
        return False


def noticed(what, question):
    """Waits until QUESTION is true, and prints the seconds."""
    started = time.monotonic()
    wait.until(question, what)
    print(f"# {what}: after {time.monotonic() - started:.1f} s", flush=True)


def listens(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


# --- cases -----------------------------------------------------------------------------------------

CASES = []


def case(function):
    """A case is a function; its name says what holds."""
    CASES.append((function.__name__.replace("_", " "), function))
    return function


def long_case(function):
    """A case that takes minutes: `make test` leaves it out (LAB_SHORT), `make test-lab` does not."""
    return function if os.environ.get("LAB_SHORT") else case(function)


def main():
    """All cases in order; one that fails leaves the next ones their chance.

    LAB_ONLY=WORDS[,WORDS…] leaves out those without any of the words in their names, but for the
    first, which makes what the others need.
    """
    only = os.environ.get("LAB_ONLY", "").split(",")
    CASES[1:] = [entry for entry in CASES[1:] if any(words in entry[0] for words in only)]
    print(f"1..{len(CASES)}", flush=True)
    bad = 0
    for number, (name, function) in enumerate(CASES, 1):
        started = time.monotonic()
        try:
            function()
            word = "ok"
        except Skipped as reason:
            word, name = "ok", f"{name} # skip {reason}"
        except Exception as error:  # pylint: disable=broad-except
            bad += 1
            word = "not ok"
            where = traceback.extract_tb(error.__traceback__)[1:2]
            line = where[0].lineno if where else "?"
            print(f"# line {line}: {type(error).__name__}: {error}", flush=True)
        print(f"{word} {number} - {name}", flush=True)
        print(f"# {time.monotonic() - started:.1f} s", flush=True)
    sys.exit(1 if bad else 0)


# --- peers -----------------------------------------------------------------------------------------

class Peer:
    """Something that stock virsh talks to."""

    # Of many commands in a row, beside other machines: what takes longer hangs.
    LIMIT_S = 1200

    def virsh(self, *commands, check=True):
        """What virsh prints for each command, as a list; all in one virsh."""
        mark = "=next="
        line = f"; echo {mark}; ".join(commands) + f"; echo {mark}"
        text = run("virsh", "-c", self.uri, line, check=False, limit=self.LIMIT_S)[1]
        parts = [part.strip() for part in text.split(mark + "\n")][:len(commands)]
        status = self.process.poll()
        expect(status is None or "ailed to connect" not in text,
               f"{self.name} ended with {status}: {text}")
        if check:
            for command, part in zip(commands, parts):
                expect("error:" not in part, f"{command}: {part}")
        return parts

    def fails(self, command):
        """The error of a command that must not work."""
        text = self.virsh(command, check=False)[0]
        expect("error:" in text, f"'{command}' worked: {text}")
        return text.split("\nerror: ", 1)[-1]


class Stock(Peer):
    name, uri = "libvirtd", "qemu:///system"

    def start(self):
        os.makedirs("/run/libvirt", exist_ok=True)
        os.makedirs("/etc/libvirt", exist_ok=True)
        with open("/etc/libvirt/libvirtd.conf", "w", encoding="utf-8") as conf:
            conf.write('auth_unix_rw = "none"\n')
        self.process = subprocess.Popen(["libvirtd"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        expect(wait_until(lambda: run("virsh", "-q", "-c", self.uri, "uri", check=False)[0] == 0), "libvirtd does not come up")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def cistern(*words, status=0, env=None):
    """What our own client prints."""
    done, text = run(os.path.join(BUILD, "cistern"), *words, check=False, env=env)
    expect(done == status, f"cistern {' '.join(words)}: status {done}: {text}")
    return text


class Ours(Peer):
    name = "cisternd"
    root = os.path.join(WORK, "root")
    socket = os.path.join(root, "run/libvirt/virtstoraged-sock")
    uri = f"storage+unix:///system?socket={socket}"

    log = os.path.join(WORK, "log")

    def start(self):
        os.makedirs(self.root, exist_ok=True)
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([os.path.join(BUILD, "cisternd"), "--root", self.root],
                                            stdout=subprocess.DEVNULL, stderr=log)
        # virsh would take a second of the daemon's time for each look.
        expect(wait_until(lambda: listens(self.socket)), "cisternd does not come up")

    def cistern(self, *words, status=0, env=None):
        """What our own client prints, with the daemon at the other end."""
        return cistern("-c", self.uri, *words, status=status, env=env)

    def logged(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()


# --- LVM and devices -------------------------------------------------------------------------------

def disk(number):
    return os.path.realpath(f"/dev/disk/by-id/virtio-lab{number}")


def write_xml(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def pool_xml(name, devices, options=None, vg=None):
    """The document of a logical pool; its options in our namespace."""
    listed = "".join(f"<option name='{key}' value='{value}' xmlns='urn:cistern:storage:1.0'/>"
                     for key, value in (options or {}).items())
    block = f"<options xmlns='urn:cistern:storage:1.0'>{listed}</options>" if listed else ""
    sources = "".join(f"<device path='{device}'/>" for device in devices)
    return write_xml(f"{name}.xml", f"<pool type='logical'><name>{name}</name><source>{sources}"
                                    f"<name>{vg or name}</name></source>{block}</pool>")


def lvs(vg, fields="lv_name"):
    """Rows of visible LVs: lists of words, by name."""
    text = out("lvs", "--noheadings", "--separator", "|", "--units", "b", "--nosuffix", "-o", fields,
               vg)
    return sorted([word.strip() for word in line.split("|")] for line in text.splitlines()
                  if "|" in line or "," not in fields and re.match(r"\s+\S+$", line))


def names(vg):
    return [row[0] for row in lvs(vg)]


def wipe_disks(*devices):
    for vg in out("vgs", "--noheadings", "-o", "vg_name").split():
        run("vgremove", "-ff", "-y", vg, check=False)
    for device in devices:
        run("pvremove", "-ff", "-y", device, check=False)
        run("wipefs", "-aq", device)


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def write_at(path, text, offset=0):
    with open(path, "r+b", buffering=0) as file:
        file.seek(offset)
        file.write(text.encode().ljust(4096, b"."))
        os.fsync(file.fileno())


def read_at(path, offset=0):
    with open(path, "rb", buffering=0) as file:
        # What others wrote through another device is not in this one's cache.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(offset)
        return file.read(4096).rstrip(b".").decode(errors="replace")


def cst_pool(xml, *words, check=True, env=None):
    return run(os.path.join(BUILD, "tests/tools/cst-pool"), xml, *words, check=check, env=env)
