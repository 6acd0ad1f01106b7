# SPDX-License-Identifier: LGPL-2.1-or-later
"""cisternd as a program: options, exit statuses, sockets, signals, logs, and whom it tells that it is
ready. CISTERND names the program, SOURCE the tree."""

import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

CISTERND = os.environ["CISTERND"]
SOURCE = os.environ["SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "tests/system"))

from harness import wait, wire  # noqa: E402

OK, USAGE, NOT_FOUND, CONFLICT = 0, 2, 3, 5
AUTH_LIST, POOL_DEFINE_XML, LIST_ALL_POOLS = 66, 77, 281  # procedures of cistern_remote.x
RUN = "run/libvirt"
SOCKETS = ["virtsecretd-sock", "virtsecretd-sock-ro", "virtstoraged-sock", "virtstoraged-sock-ro"]
POOL = ("<pool type='dir'><name>{0}</name><uuid>{1}</uuid>"
        "<target><path>{2}</path></target></pool>")


def run(*words, **env):
    done = subprocess.run([CISTERND, *words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=wait.LIMIT_S,
                          check=False, env={**os.environ, "LC_ALL": "C", **env})
    return done.returncode, done.stdout, done.stderr


class WithRoot(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="cisternd-")
        self.addCleanup(shutil.rmtree, self.root)

    def path(self, name):
        return os.path.join(self.root, name)

    def put(self, name, text=""):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as stream:
            stream.write(text)

    def settings(self, text):
        self.put("etc/cistern/cisternd.conf", text)

    def listener(self, name):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(self.path(name))
        other.listen()
        return other


class Daemon:
    """A daemon on @root, stopped at the end; READY=1 has come when start() returns."""

    def __init__(self, case, *words, passed=(), program=(CISTERND,), **env):
        self.case = case
        self.log = os.path.join(case.root, "log")
        manager = tempfile.mktemp(prefix="manager-", dir=case.root)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(manager)
        self.manager.settimeout(wait.LIMIT_S)
        case.addCleanup(self.manager.close)
        words = [*program, "--root", case.root, *words]
        if passed:
            words = ["sh", "-c", f"LISTEN_PID=$$ LISTEN_FDS={len(passed)}; "
                     "export LISTEN_PID LISTEN_FDS; exec \"$@\"", "sh", *words]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "LC_ALL": "C", "NOTIFY_SOCKET": manager, **env},
                close_fds=not passed, preexec_fn=lambda: self.prepare(passed))
        case.addCleanup(self.end)

    @staticmethod
    def prepare(passed):
        """The state of a child: what must not be inherited as it is, and descriptors to pass."""
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
        high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in passed]
        for at, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + at)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def hear(self):
        return self.manager.recv(100).decode()

    def start(self):
        self.case.assertEqual("READY=1", self.hear(), self.said())
        return self

    def said(self):
        with open(self.log, encoding="utf-8") as stream:
            return stream.read()

    def wait_for(self, words):
        wait.until(lambda: words in self.said(), f"it says '{words}'", self.said)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.case.assertEqual(OK, self.process.wait(wait.LIMIT_S), self.said())

    def threads(self):
        """All but the first one, which waits for signals and so has them open for a moment."""
        found = map(int, os.listdir(f"/proc/{self.process.pid}/task"))
        return [thread for thread in found if thread != self.process.pid]

    def status(self, field, thread=None):
        path = f"/proc/{self.process.pid}/task/{thread or self.process.pid}/status"
        with open(path, encoding="utf-8") as stream:
            return re.search(rf"^{field}:\s*(\S+)$", stream.read(), re.M).group(1)


def bits(numbers):
    return {number for number in range(1, 65) if int(numbers, 16) >> (number - 1) & 1}


class Options(WithRoot):
    def test_version(self):
        with open(os.path.join(SOURCE, "meson.build"), encoding="utf-8") as stream:
            version = re.search(r"version: '(.*)'", stream.read()).group(1)
        for option in ("--version", "-V"):
            self.assertEqual((OK, f"cisternd {version}\n", ""), run("--root", self.root, option))
        self.assertEqual([], os.listdir(self.root))

    def test_help_describes_the_program_and_its_options(self):
        status, out, _ = run("--help")
        self.assertEqual(OK, status)
        self.assertIn("Manages storage pools and volumes", out)
        for option in ("root=DIR", "config=FILE", "check-takeover", "-v, --verbose", "--debug"):
            self.assertIn(option, out)

    def test_wrong_use(self):
        for words, text in ((["--nosuch"], "--nosuch"), (["serve"], "unexpected argument 'serve'"),
                            (["--root", self.root, "a", "b"], "unexpected argument 'a'")):
            status, out, err = run(*words)
            self.assertEqual((USAGE, ""), (status, out))
            self.assertIn("error: cisternd: ", err)
            self.assertIn(text, err)
        self.assertEqual([], os.listdir(self.root))

    def test_a_configuration_that_is_asked_for_must_be_there_and_right(self):
        status, _, err = run("--root", self.root, "--config", self.path("none"))
        self.assertEqual(NOT_FOUND, status)
        self.assertIn(self.path("none"), err)
        self.put("wrong", "[log]\nlevel = loud\n")
        status, _, err = run("--root", self.root, "--config", self.path("wrong"))
        self.assertNotEqual(OK, status)
        self.assertIn("[log] level: 'loud'", err)
        self.assertEqual(["wrong"], os.listdir(self.root))

    def test_the_check_before_taking_over_changes_nothing(self):
        status, out, _ = run("--root", self.root, "--check-takeover")
        self.assertEqual(OK, status)
        self.assertTrue(out.endswith("No obstacle was found.\n"))
        self.assertEqual([], os.listdir(self.root))
        self.listener(f"{RUN}/virtstoraged-sock")
        status, out, _ = run("--root", self.root, "--check-takeover")
        self.assertEqual(CONFLICT, status)
        self.assertTrue(out.endswith("1 problems stand in the way.\n"))


class Spanish(WithRoot):
    def test_people_are_told_in_their_language_and_logs_are_in_english(self):
        os.makedirs(self.path("po/es/LC_MESSAGES"))
        subprocess.run(["msgfmt", "-o", self.path("po/es/LC_MESSAGES/cistern.mo"),
                        os.path.join(SOURCE, "po/es.po")], check=True)
        env = {"LC_ALL": "C.UTF-8", "LANGUAGE": "es", "CISTERN_LOCALE_DIR": self.path("po")}
        self.assertIn("Guarda definiciones, estado y sockets en DIR", run("--help", **env)[1])
        self.assertIn("virtstoraged-sock' is free",
                      run("--root", self.root, "--check-takeover", **env)[1])


class Serving(WithRoot):
    def names(self):
        return sorted(n for n in os.listdir(self.path(RUN)) if "sock" in n)

    def test_from_ready_to_the_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = Daemon(self, "-v").start()
            self.assertEqual(SOCKETS, self.names())
            for name in SOCKETS:
                mode = stat.S_IMODE(os.stat(self.path(f"{RUN}/{name}")).st_mode)
                self.assertEqual(0o777 if name.endswith("-ro") else 0o700, mode)
                wire.alive(self.path(f"{RUN}/{name}"))
            with wire.Wire(self.path(f"{RUN}/virtstoraged-sock-ro")) as client:
                client.open()
                with self.assertRaisesRegex(wire.RemoteError, "read-only|read only|reading"):
                    client.call(POOL_DEFINE_XML, wire.string("<pool/>") + wire.u32(0))
            said = daemon.said()
            for name in SOCKETS:
                what = f"info: serving at {self.path(f'{RUN}/{name}')}"
                self.assertIn(what + (", for reading\n" if name.endswith("-ro") else "\n"), said)
            daemon.stop(number)
            self.assertEqual("STOPPING=1", daemon.hear())
            self.assertRegex(daemon.said(), "info: stopping: (Terminated|Interrupt)\n")
            self.assertNotIn("does not answer", daemon.said())
            self.assertEqual([], self.names())
            self.assertFalse(os.path.exists(self.path(f"{RUN}/storage/driver.pid")))

    def test_the_process_it_is(self):
        daemon = Daemon(self).start()
        self.assertEqual("0022", daemon.status("Umask"))
        self.assertTrue(daemon.threads())
        for thread in daemon.threads():
            self.assertLessEqual({signal.SIGTERM, signal.SIGINT, signal.SIGHUP},
                                 bits(daemon.status("SigBlk", thread)))
        self.assertIn(signal.SIGPIPE, bits(daemon.status("SigIgn")))
        self.assertEqual((300, 300),
                         resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE))
        daemon.stop()

    def test_without_its_directories_it_does_not_start(self):
        self.put(f"{RUN}/storage", "a file")
        status, _, err = run("--root", self.root)
        self.assertNotIn(status, (OK, USAGE))
        self.assertIn(self.path(f"{RUN}/storage"), err)
        self.assertEqual([], self.names())

    def test_a_socket_of_another_keeps_it_from_starting(self):
        self.listener(f"{RUN}/virtstoraged-sock")
        status, _, err = run("--root", self.root)
        self.assertEqual(CONFLICT, status)
        self.assertIn("another daemon answers at", err)
        self.assertEqual(["virtstoraged-sock"], self.names())

    def test_the_configuration_below_the_root_and_another(self):
        self.settings("[access]\nsocket_mode = 0750\n")
        self.put("other", "[access]\nsocket_mode = 0705\n")
        for words, mode in (([], 0o750), (["--config", self.path("other")], 0o705)):
            daemon = Daemon(self, *words).start()
            found = os.stat(self.path(f"{RUN}/virtstoraged-sock")).st_mode
            self.assertEqual(mode, stat.S_IMODE(found))
            daemon.stop()

    def test_limits_come_from_the_configuration(self):
        self.settings("[limits]\nmax_clients = 2\n")
        daemon = Daemon(self).start()
        path = self.path(f"{RUN}/virtstoraged-sock")
        with wire.Wire(path) as one, wire.Wire(path) as other, wire.Wire(path) as more:
            one.open()
            other.open()
            serial = more.post(AUTH_LIST)
            for _ in range(20):
                other.call(LIST_ALL_POOLS, wire.u32(0) + wire.u32(0))
            self.assertEqual(0, more.arrived())
            one.close()
            more.answer(serial).reader()
        daemon.stop()

    def test_pools_are_started_as_the_setting_says(self):
        os.mkdir(self.path("images"))
        self.put("etc/libvirt/storage/own.xml",
                 POOL.format("own", "11111111-2222-3333-4444-555555555555", self.path("images")))
        self.put("etc/libvirt/storage/there.xml",
                 POOL.format("there", "11111111-2222-3333-4444-666666666666", self.root))
        os.mkdir(self.path("etc/libvirt/storage/autostart"))
        os.symlink(self.path("etc/libvirt/storage/own.xml"),
                   self.path("etc/libvirt/storage/autostart/own.xml"))
        for setting, active in (("cistern", ["own"]), ("libvirt", ["own", "there"])):
            self.settings(f"[service]\ncompatibility = {setting}\n")
            daemon = Daemon(self).start()
            wait.until(lambda active=active: self.active() == active, f"active: {active}", self.active)
            daemon.stop()

    def active(self):
        with wire.Wire(self.path(f"{RUN}/virtstoraged-sock")) as client:
            client.open()
            reader = client.call(LIST_ALL_POOLS, wire.u32(1) + wire.u32(2))
            return sorted((reader.string(), reader.bytes(16))[0] for _ in range(reader.u32()))


class Logs(WithRoot):
    def levels_said(self, *words, level=None):
        self.settings(f"[log]\nlevel = {level}\n" if level else "")
        daemon = Daemon(self, *words).start()
        with wire.Wire(self.path(f"{RUN}/virtstoraged-sock")) as client:
            client.open()
        daemon.stop()
        return set(re.findall(r"\+\d{4}: (\w+): ", daemon.said()))

    def test_options_and_settings_decide_what_is_logged(self):
        self.assertEqual(set(), self.levels_said())
        self.assertEqual({"info"}, self.levels_said("-v"))
        self.assertEqual({"info"}, self.levels_said(level="info"))
        self.assertEqual({"info"}, self.levels_said("--verbose", level="error"))

    def test_a_hangup_has_the_configuration_read_again(self):
        self.settings("[limits]\nworkers = 7\n")
        daemon = Daemon(self).start()
        for text, words in (
                ("[log]\nlevel = loud\n", "error: the configuration is not read again: "),
                ("[limits]\nworkers = 9\n", "warning: {}: these changes need a restart: "
                                            "workers\n"),
                ("[log]\nlevel = info\n[limits]\nworkers = 7\n", "info: read {} again\n")):
            self.settings(text)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for(words.format(self.path("etc/cistern/cisternd.conf")))
        wire.alive(self.path(f"{RUN}/virtstoraged-sock"))
        os.unlink(self.path("etc/cistern/cisternd.conf"))
        self.assertEqual(1, daemon.said().count(" again\n"))
        daemon.process.send_signal(signal.SIGHUP)  # the defaults, since nobody asked for the file
        daemon.wait_for("need a restart: workers\n")
        daemon.stop()
        self.assertEqual(1, daemon.said().count("is not read again"))

    def test_a_configuration_that_was_asked_for_must_stay(self):
        self.put("other", "")
        daemon = Daemon(self, "--config", self.path("other")).start()
        os.unlink(self.path("other"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("error: the configuration is not read again: ")
        daemon.stop()


class Secrets(WithRoot):
    def lock_file(self):
        """What the one who manages the secrets has written; None: nobody has."""
        try:
            with open(self.path(f"{RUN}/secrets/driver.pid"), encoding="utf-8") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def test_they_are_managed_where_they_are_served(self):
        daemon = Daemon(self).start()
        self.assertEqual(str(daemon.process.pid), self.lock_file())
        self.assertEqual("", daemon.said())
        daemon.stop()

    def test_they_are_left_to_whoever_serves_them(self):
        self.listener(f"{RUN}/virtsecretd-sock")
        daemon = Daemon(self).start()
        self.assertIn(f"warning: '{self.path(f'{RUN}/virtsecretd-sock')}' is not served: another "
                      "daemon answers", daemon.said())
        self.assertIn(self.lock_file(), (None, ""))
        daemon.stop()

    def test_they_are_left_to_whoever_manages_them(self):
        self.put(f"{RUN}/secrets/driver.pid")
        with open(self.path(f"{RUN}/secrets/driver.pid"), "r+b") as held:
            fcntl.lockf(held, fcntl.LOCK_EX, 1)
            daemon = Daemon(self).start()
            self.assertIn("' is not served: ", daemon.said())
            self.assertFalse(os.path.exists(self.path(f"{RUN}/virtsecretd-sock")))
            daemon.stop()

    def test_passed_sockets_decide(self):
        storage = self.listener("virtstoraged-sock")
        secrets = self.listener("virtsecretd-sock")
        reading = self.listener("virtsecretd-sock-ro")
        daemon = Daemon(self, "-v", passed=[storage]).start()
        self.assertIn("info: serving at a socket of the service manager\n", daemon.said())
        self.assertNotIn("warning", daemon.said())
        wire.alive(self.path("virtstoraged-sock"))
        self.assertIsNone(self.lock_file())
        self.assertFalse(os.path.exists(self.path(f"{RUN}/virtsecretd-sock")))
        daemon.stop()
        daemon = Daemon(self, "-v", passed=[storage, secrets, reading]).start()
        self.assertEqual(str(daemon.process.pid), self.lock_file())
        self.assertIn("info: serving at a socket of the service manager, for reading\n",
                      daemon.said())
        self.assertNotIn("warning", daemon.said())
        wire.alive(self.path("virtsecretd-sock"))
        daemon.stop()
        self.assertTrue(os.path.exists(self.path("virtsecretd-sock")))

    def test_passed_sockets_are_served_though_another_manages_them(self):
        self.put(f"{RUN}/secrets/driver.pid")
        with open(self.path(f"{RUN}/secrets/driver.pid"), "r+b") as held:
            fcntl.lockf(held, fcntl.LOCK_EX, 1)
            daemon = Daemon(self, passed=[self.listener("virtsecretd-sock")]).start()
            self.assertIn("warning: secrets can't be changed here for now: ", daemon.said())
            self.assertNotIn("is not served", daemon.said())
            wire.alive(self.path("virtsecretd-sock"))
            daemon.stop()


if __name__ == "__main__":
    unittest.main()
