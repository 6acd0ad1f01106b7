# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-import of URLs: from servers that do what they should, and from hostile ones."""

import contextlib
import glob
import gzip
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import threading

from harness import peers, space
from import_test import MIB, Importing, digest, read


class Handler(http.server.BaseHTTPRequestHandler):
    """What is done with a request is the first word of its path; the last is a name in FILES."""

    protocol_version = "HTTP/1.1"
    files = {}
    log = []  # (path, range) of each request
    lock = threading.Lock()
    etag = '"1"'

    def log_message(self, *_words):
        pass

    def do_GET(self):
        way, name = self.path.split("?")[0].strip("/").split("/", 1)
        with self.lock:
            self.log.append((self.path, self.headers.get("Range")))
            number = sum(1 for path, _ in self.log if path == self.path)
        with contextlib.suppress(ConnectionError):
            getattr(self, "way_" + way)(self.files.get(name.split("/")[-1], b""), number)
        self.close_connection = True

    def span(self, content):
        """The part that is asked for; None: all."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not found:
            return None
        return int(found[1]), min(int(found[2] or len(content)), len(content) - 1)

    def answer(self, content, status=200, length=None, headers=()):
        self.send_response(status)
        if length is not False:
            self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def part(self, content, etag=None, cut=None, shift=0):
        span = self.span(content)
        etag = etag or self.etag
        if not span or self.headers.get("If-Range", etag) != etag:
            return self.answer(content, headers=[("ETag", etag)])
        first, last = span
        return self.answer(content[first:last + 1][:cut], 206, last + 1 - first, [
            ("ETag", etag), ("Content-Range", f"bytes {first + shift}-{last + shift}/{len(content)}")])

    def way_ranges(self, content, _number):
        self.part(content)

    def way_found(self, content, _number):
        if not content:
            return self.answer(b"", 404)
        return self.part(content)

    stop = None  # after so many bytes of the file
    released = threading.Event()  # set at the end of a test: requests that are not answered end

    def way_stops(self, content, _number):
        """Whoever asks for what is behind it waits."""
        first = (self.span(content) or (0, 0))[0]
        self.part(content, cut=None if self.stop is None else max(self.stop - first, 0))
        if self.stop is not None:
            self.released.wait()

    def way_whole(self, content, _number):
        self.answer(content)

    def way_unsized(self, content, _number):
        self.answer(content, length=False)

    def way_short(self, content, _number):
        """Each reply ends early, but is of use."""
        self.part(content, cut=200000)

    def way_never(self, content, _number):
        self.part(content, cut=0)

    def way_shortwhole(self, content, _number):
        self.answer(content[:-1000], length=len(content))

    def way_shifted(self, content, number):
        self.part(content, shift=0 if number == 1 else 512)

    def way_changing(self, content, number):
        self.part(content, etag=f'"{min(number, 2)}"')

    def way_resized(self, content, number):
        self.part(content if number == 1 else content + b"x")

    def way_busy(self, content, number):
        if number < 3:
            return self.answer(b"busy", 503)
        return self.part(content)

    def way_error(self, _content, _number):
        self.answer(b"x" * 1000, int(self.path.split("?")[0].split("/")[2]))

    def way_endless(self, _content, _number):
        self.answer(b"", length=False)
        while True:
            self.wfile.write(b"x" * 65536)

    def way_huge(self, _content, _number):
        self.answer(b"x", length=1 << 62)

    def way_headers(self, _content, _number):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 1000)
                                                       for i in range(1000)))

    def way_drip(self, content, _number):
        self.answer(b"", length=len(content))
        for byte in content:
            self.wfile.write(bytes([byte]))
            if self.released.wait(0.1):  # paced: a server that is slower than --timeout allows
                break

    def way_silent(self, _content, _number):
        self.released.wait()

    def way_ring(self, _content, _number):
        self.answer(b"", 302, headers=[("Location", self.path)])

    def way_to(self, _content, _number):
        self.answer(b"", 302, headers=[("Location", self.path.split("?", 1)[1])])


class Server:
    def __init__(self, context=None):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class WithServer(Importing):
    def setUp(self):
        super().setUp()
        self.server = Server()
        self.addCleanup(self.server.stop)
        Handler.released.clear()
        self.addCleanup(Handler.released.set)
        self.base = f"http://127.0.0.1:{self.server.port}"
        Handler.log.clear()
        Handler.files = {"disk.raw": os.urandom(MIB) + bytes(2 * MIB) + os.urandom(MIB)}
        Handler.files["disk.qcow2"] = read(self.image("made", Handler.files["disk.raw"], "qcow2"))
        Handler.files["disk.raw.gz"] = gzip.compress(Handler.files["disk.raw"])

    def url(self, path):
        return f"{self.base}/{path}"

    def assert_disk(self, name):
        self.assertEqual(Handler.files["disk.raw"], read(self.at("p", name)))


class Servers(WithServer):
    def test_by_ranges(self):
        """An image by its tables and data, in few requests, and without a spool."""
        for number, file in enumerate(("disk.raw", "disk.qcow2")):
            Handler.log.clear()
            self.assertEqual("disk", self.made(self.url(f"ranges/{file}?token=secret")))
            self.assert_disk("disk")
            self.ok("vol-delete", "disk", "--pool", "p")
            self.assertTrue(all(span for _, span in Handler.log))
            self.assertLess(len(Handler.log), 20, number)

    def test_whole(self):
        """Packed, without ranges, with a checksum: through a spool."""
        for number, path in enumerate(("ranges/disk.raw.gz", "whole/disk.raw", "unsized/disk.qcow2")):
            notes = [self.downloaded(self.url(path))] if path.startswith("ranges") else []
            if path != "ranges/disk.raw":
                notes.append(self.spooled(self.url(path)))
            self.made(self.url(path), f"v{number}", note="\nnote: ".join(notes))
            self.assert_disk(f"v{number}")
        content = Handler.files["disk.raw"]
        self.made(self.url("ranges/disk.raw"), "sum", "--checksum", digest(content),
                  note=self.downloaded(self.url("ranges/disk.raw")))
        self.assert_disk("sum")
        sums = self.file("SUMS", f"{digest(content)[7:]}  disk.raw\n")
        self.made(self.url("whole/disk.raw"), "list", "--checksum-file", sums,
                  note=self.spooled(self.url("whole/disk.raw")))
        for way in ("ranges", "whole"):
            self.refused(self.url(f"{way}/disk.raw"), "x", "--checksum", digest(b""), code=7,
                         text="and not")

    def test_a_broken_download_is_continued(self):
        """From where it ended; a server that is busy is asked again."""
        self.made(self.url("short/disk.raw"), "short")
        self.assert_disk("short")
        self.made(self.url("busy/disk.raw"), "busy")
        self.assert_disk("busy")
        for way in ("never", "shortwhole"):
            self.refused(self.url(way + "/disk.raw"), "x", text="ends it after")

    def test_a_source_that_changes_during_the_download_is_refused(self):
        for way, text in (("changing", "has changed on the server"), ("resized", "has changed on the"),
                          ("shifted", "gives another part")):
            self.refused(self.url(way + "/disk.raw"), "x", text=text)

    def test_statuses_of_the_server(self):
        for status, code in ((404, 3), (403, 4), (410, 3), (500, None), (418, None)):
            self.refused(self.url(f"error/{status}"), "x", code=code, text=f"answers with status {status}")
        self.refused("http://127.0.0.1:1/x", text="cannot get 'http://127.0.0.1:1/x'")
        self.refused("ftp://127.0.0.1/x", text="is no http or https URL")
        self.refused("file:///etc/passwd", text="is no http or https URL")
        err = self.refused(f"http://user:hidden@127.0.0.1:{self.server.port}/error/404?key=hidden", "x",
                           text="status 404")
        self.assertNotIn("hidden", err.splitlines()[-1])

    def test_redirects(self):
        """A few, to http and https, and to nothing else."""
        self.made(self.url("to/x?" + self.url("ranges/disk.raw")), "to")
        self.assert_disk("to")
        self.refused(self.url("ring/x"), "x", text="redirects over 5 times")
        for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
            self.refused(self.url("to/x?" + target), "x", text="redirected to a forbidden address", code=4)

    def test_downloads_that_are_too_large_are_refused(self):
        self.refused(self.url("endless/x"), "x", "--max-size", "5M", text="is larger than 5.00 MiB")
        self.refused(self.url("huge/x"), "x", text="is larger than 16.00 TiB")
        self.refused(self.url("headers/x"), "x", text="too many headers")
        self.refused(self.url("whole/disk.raw"), "x", "--max-size", "1M", text="is larger than 1.00 MiB")

    def test_downloads_that_are_too_slow_are_refused(self):
        for way in ("drip", "silent"):
            self.refused(self.url(way + "/disk.raw"), "x", "--timeout", "1",
                         text="was silent, or nearly so, for 1 s")

    def certificate(self, name):
        key, cert = (os.path.join(self.peer.files, f"{name}.{end}") for end in ("key", "pem"))
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                               "-out", cert, "-days", "2", "-subj", "/CN=" + name, "-addext",
                               "subjectAltName=" + name], stderr=subprocess.PIPE, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context, cert

    def test_tls(self):
        """Certificates count, with their names; nothing leads back to http."""
        for name, works in (("IP:127.0.0.1", True), ("DNS:elsewhere", False)):
            context, cert = self.certificate(name)
            server = Server(context)
            self.addCleanup(server.stop)
            base = f"https://127.0.0.1:{server.port}"
            self.refused(base + "/ranges/disk.raw", "x", text="cannot get")
            if not works:
                self.refused(base + "/ranges/disk.raw", "x", "--ca-file", cert, text="cannot get")
                continue
            self.made(base + "/ranges/disk.raw", "tls", "--ca-file", cert)
            self.assert_disk("tls")
            with open(cert, "rb") as short:
                text = short.read()
            self.made(base + "/ranges/disk.raw", "piped", "--ca-file", "/dev/stdin", stdin=text)
            self.made(base + "/ranges/disk.raw", "large", "--ca-file",
                      self.file("large.pem", (b"#" * 79 + b"\n") * 26215 + text))
            self.refused(base + "/ranges/disk.raw", "x", "--ca-file",
                         self.file("huge.pem", bytes((16 << 20) + 1)),
                         text="is larger than 16777216 bytes")
            self.made(self.file("local.raw", Handler.files["disk.raw"]), "local", "--ca-file",
                      "/nosuch")
            self.made(self.url("to/x?" + base + "/ranges/disk.raw"), "up", "--ca-file", cert)
            self.refused(base + "/to/x?" + self.url("ranges/disk.raw"), "x", "--ca-file", cert, code=4,
                         text="redirected to a forbidden address")

    def test_a_list_of_checksums(self):
        """With its signature beside it, which gpgv gets as the server has it."""
        content = Handler.files["disk.raw"]
        text = f"{digest(content)[7:]}  disk.raw\n".encode()
        keys, signed, cleared = self.signers(text)
        url, sums = self.url("ranges/disk.raw"), self.url("found/SUMS")
        plain = f"'{sums}' comes by http and without a signature: it shows damage, not forgery"
        Handler.files["SUMS"] = text
        self.made(url, "plain", "--checksum-url", sums, note=f"{plain}\nnote: {self.downloaded(url)}")
        self.assert_disk("plain")
        words = ["--checksum-url", sums, "--keyring", keys[0]]
        self.refused(url, "x", *words, text="is not signed: there is no signature", code=7)
        Handler.files["SUMS.gpg"] = signed[1]
        self.refused(url, "x", *words, text=f"'{sums}' is not signed by a key of", code=7)
        del Handler.files["SUMS.gpg"]
        for ending in (".gpg", ".sign", ".asc", ".sig"):
            Handler.files["SUMS" + ending] = signed[0]
            self.made(url, "v" + ending[1:], *words[:1], sums + "?token=secret", *words[2:],
                      note=self.downloaded(url))
            Handler.files["SUMS"] = text + b"\n"
            self.refused(url, "x", *words, text="is not signed by a key of", code=7)
            Handler.files["SUMS"] = text
            del Handler.files["SUMS" + ending]
        Handler.files["SUMS"] = cleared[0]
        self.made(url, "cleared", *words, note=self.downloaded(url))
        Handler.files["SUMS"] = f"{digest(b'')[7:]}  disk.raw\n".encode()
        self.refused(url, "x", "--checksum-url", sums, text="and not", code=7)
        Handler.files["SUMS"] = b"x" * (MIB + 1)
        self.refused(url, "x", "--checksum-url", sums, text="is larger than 1048576 bytes", code=1)
        self.refused(url, "x", "--checksum-url", self.url("endless/SUMS"), text="is larger than", code=1)
        self.refused(url, "x", "--checksum-url", self.url("found/none"), text="404", code=3)
        self.refused(url, "x", "--checksum-url", self.url("shortwhole/disk.raw"), text="'")
        self.refused(url, "x", "--checksum-url", "SUMS", text="'SUMS' is no URL", code=2)
        self.refused(url, "x", "--checksum-url", "file:///etc/passwd", text="is no http or https URL")
        self.refused(url, "x", "--checksum-url", sums, "--checksum-file", "x", text="exclusive", code=2)
        self.refused(url, "x", "--checksum-url", self.url("to/x?file:///etc/passwd"), text="redirected to a forbidden address",
                     code=4)

    def test_a_proxy_of_the_environment(self):
        done = subprocess.run([space.CISTERN, "-c", self.peer.uri, "vol-import", "http://nowhere.invalid/x",
                               "--pool", "p"], env={**space.ENV, "http_proxy": "http://127.0.0.1:1"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertIn(b"Couldn't connect", done.stderr)
        self.assertNotEqual(0, done.returncode)

    def big(self, size=40 * MIB):
        """The words of an import that is downloaded first."""
        Handler.files["big.raw"] = os.urandom(size)
        url = self.url("stops/big.raw")
        return [url, "--checksum", digest(Handler.files["big.raw"])]

    def part(self):
        found = glob.glob(os.path.join(self.spool, "cistern-*", "*.part"))
        return found[0] if found else None

    def stopped(self, words, strike, at=36 * MIB):
        """It has come to @at bytes when @strike comes."""
        Handler.stop = at
        child = self.start(*words)
        self.wait_until(lambda: self.part() and os.stat(self.part()).st_size >= at, "it has come so far")
        strike(child)
        child.communicate(timeout=20)
        self.assertNotEqual(0, child.returncode)
        self.assertEqual([], self.entries("p"))
        Handler.stop = None
        Handler.log.clear()

    def gone_on_with(self, words, at):
        """It is made, and what follows byte @at, or one soon after it, is asked for."""
        status, _, err = self.run_import(*words)
        self.assertEqual(0, status, err)
        firsts = [int(span.split("=")[1].split("-")[0]) for _, span in Handler.log if span]
        self.assertIn(firsts[-1], range(at, at + MIB), firsts)
        self.assertEqual(Handler.files["big.raw"], read(self.at("p", "big")))
        self.assertEqual([], self.left())
        self.ok("vol-delete", "big", "--pool", "p")
        return err

    def test_goes_on_in_the_next_command(self):
        words = self.big()
        self.stopped(words, lambda child: child.send_signal(signal.SIGINT))
        self.assertIn("has left 36 of 40 MiB", self.gone_on_with(words, 36 * MIB))
        # Killed: what was synced before.
        self.stopped(words, lambda child: child.kill())
        self.gone_on_with(words, 32 * MIB)

    def test_does_not_go_on_with_another_version(self):
        words = self.big()
        self.stopped(words, lambda child: child.kill())
        words = self.big()
        self.addCleanup(setattr, Handler, "etag", Handler.etag)
        Handler.etag = '"2"'
        self.gone_on_with(words, 0)

    def test_damaged_parts_are_not_continued(self):
        words = self.big()
        for damage in (lambda part, info: os.truncate(part, MIB), lambda part, info: os.unlink(info),
                       lambda part, info: open(info, "w", encoding="utf-8").close(),
                       lambda part, info: os.unlink(part)):
            self.stopped(words, lambda child: child.kill())
            damage(self.part(), self.part().replace(".part", ".info"))
            self.gone_on_with(words, 0)
        # Of bytes that are not what they were, nothing is kept.
        self.stopped(words, lambda child: child.kill())
        with open(self.part(), "r+b") as out:
            out.write(b"damage")
        self.refused(*words, text="checksum")
        self.assertEqual([], self.left())
        self.gone_on_with(words, 0)

    def test_option_download_keeps_the_part_of_a_raw_image(self):
        words = [self.big()[0], "--download"]
        self.stopped(words, lambda child: child.send_signal(signal.SIGINT))
        self.gone_on_with(words, 36 * MIB)

    def test_two_at_once(self):
        words = self.big()
        Handler.stop = 36 * MIB
        child = self.start(*words)
        self.wait_until(self.part, "the first one has begun")
        Handler.stop = None
        status, _, err = self.run_import(words[0], "other", *words[1:])
        self.assertEqual((0, f"note: {self.spooled(words[0])}\n"), (status, err))
        child.terminate()
        child.communicate(timeout=20)

    def test_a_spool_directory_of_another_user_is_refused(self):
        words = self.big(MIB)
        place = os.path.join(self.spool, f"cistern-{os.geteuid()}")
        for uid, mode in ((65534, 0o700), (os.geteuid(), 0o777)):
            os.mkdir(place, mode)
            os.chmod(place, mode)
            os.chown(place, uid, -1)
            self.refused(*words, text="not a private directory of yours")
            os.rmdir(place)
        os.symlink("/tmp", place)
        self.refused(*words, text="not a private directory of yours")
        os.unlink(place)

    def test_exchanged_spool_directory_leads_to_no_other_directory(self):
        """The owner of the spool directory replaces the private one in it by a link."""
        private, victim = os.path.join(self.spool, f"cistern-{os.geteuid()}"), self.at("victim")
        os.mkdir(victim, 0o700)

        def strike(child):
            os.rename(private, private + ".moved")
            os.symlink(victim, private)
            child.send_signal(signal.SIGINT)

        words = self.big()
        self.stopped(words, strike)
        self.assertEqual([], os.listdir(victim))
        os.unlink(private)
        os.rename(private + ".moved", private)
        self.gone_on_with(words, 36 * MIB)

    def test_cache_in_the_home_of_another_user_is_not_used(self):
        """HOME is the directory of another user, and a link is its cache."""
        home, victim, temporary = self.at("home"), self.at("victim"), self.at("temporary")
        for path in (home, victim, temporary):
            os.mkdir(path, 0o700)
        os.symlink(victim, os.path.join(home, ".cache"))
        os.lchown(home, 12345, 12345)
        os.lchown(os.path.join(home, ".cache"), 12345, 12345)
        words = self.big()
        done = subprocess.run([space.CISTERN, "-c", self.peer.uri, "vol-import", "--pool", "p", *words],
                              env=dict(space.ENV, HOME=home, XDG_CACHE_HOME="", TMPDIR=temporary),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(temporary, done.stderr.decode())
        self.assertEqual([], os.listdir(victim))

    def test_old_parts_are_removed(self):
        words = self.big()
        self.stopped(words, lambda child: child.kill())
        old = self.part()
        os.utime(old, (0, 0))
        url = self.url("ranges/disk.raw")
        self.made(url, "--checksum", digest(Handler.files["disk.raw"]), note=self.downloaded(url))
        self.assertFalse(os.path.exists(old))

    def test_interrupted(self):
        child = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-import", "--pool", "p",
                                  self.url("drip/disk.raw")], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=space.ENV)
        self.wait_until(lambda: Handler.log, "it is asked for")
        child.terminate()
        child.communicate(timeout=10)
        self.assertNotEqual(0, child.returncode)
        self.assertEqual([], self.entries("p"))
        self.assertEqual(0, peers.run([space.CISTERN, "-c", self.peer.uri, "vol-import", "--pool", "p",
                                       self.url("ranges/disk.raw"), "--dry-run"])[0])
        self.assertEqual([], self.entries("p"))


class SecretsOfUrls(WithServer):
    """The password and the token of a URL are in no job, log, file or command line."""

    SECRETS = ("hunter2", "t0ken")

    def url(self, path):
        return f"http://me:hunter2@127.0.0.1:{self.server.port}/{path}?token=t0ken"

    def assert_clean(self, place, text):
        for secret in self.SECRETS:
            self.assertNotIn(secret, text, place)

    def command_lines(self):
        """Those of the processes that import from this server."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as line:
                text = line.read()
                if str(self.server.port) in text and "vol-import" in text:
                    found.append(text)
        return found

    def assert_nothing_is_seen(self, job):
        for words in (("job-list", "--all"), ("job-list", "--all", "--json"), ("job-info", job),
                      ("job-info", job, "--json")):
            self.assert_clean(words, "".join(self.cistern(*words)[1:]))
        self.assert_clean("log", self.peer.log())
        for folder, _, names in os.walk(self.peer.root):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    self.assert_clean(path, read(path).decode(errors="replace"))

    def test_password_of_a_running_import_is_in_no_command_line_job_or_file(self):
        for detach in ((), ("--detach",)):
            Handler.log.clear()
            child = self.start("--download", self.url("silent/disk.raw"), *detach)
            self.wait_until(lambda: Handler.log, "the server is asked")
            lines = self.command_lines()
            self.assertTrue(lines)
            self.assert_clean("command line", "".join(lines))
            (job,) = self.wait_until(lambda: json.loads(self.cistern("job-list", "--json")[1])["jobs"],
                                     "the job is listed")
            self.assert_nothing_is_seen(str(job["id"]))
            self.cistern("job-cancel", str(job["id"]))
            Handler.released.set()
            out, err = child.communicate(timeout=60)
            self.assert_clean("output", out + err)
            self.cistern("job-wait", str(job["id"]))
            self.assert_nothing_is_seen(str(job["id"]))
            Handler.released.clear()

    def test_password_is_in_no_error(self):
        """Also of words that are wrong, and of a URL that cannot be parsed."""
        port = self.server.port
        for words in ((self.url("never/none"),), (self.url("found/none"),),
                      (self.url("found/none").replace("http", "ftp"),),
                      (self.url("found/none"), "x", self.url("found/more")),
                      (f"http://me:hunter2@127.0.0.1:{port}port/x",),
                      ("http://127.0.0.1:port/hunter2",),
                      (self.url("ranges/disk.raw"), "--checksum-url", self.url("found/none")),
                      (self.url("ranges/disk.raw"), "--checksum-file", self.url("found/none"))):
            for option in ((), ("--json",)):
                status, out, err = self.run_import(*words, *option)
                self.assertNotEqual(0, status, words)
                self.assert_clean(words, out + err)
