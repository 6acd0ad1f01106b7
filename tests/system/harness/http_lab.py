# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server in a namespace of its own, which has public and private addresses.

usage: http_lab.py HOSTS LOG FILE ADDRESS…    (in new mount and network namespaces)

The server has each ADDRESS, port 80, and names that /etc/hosts has from HOSTS. It answers each path
with FILE, by ranges, and "/to?URL" with a redirect to URL. LOG gets the address of each connection.
"""

import http.server
import re
import socket
import socketserver
import subprocess
import sys

PORT = 80


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content = b""

    def log_message(self, *_words):
        pass

    def reply(self, status, headers, content=b""):
        self.send_response(status)
        for name, value in (("Content-Length", len(content)), ("Connection", "close"), *headers):
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def do_GET(self):
        if self.path.startswith("/to?"):
            return self.reply(302, [("Location", self.path.split("?", 1)[1])])
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not span:
            return self.reply(200, [("ETag", '"1"')], self.content)
        first = int(span[1])
        part = self.content[first:int(span[2]) + 1 if span[2] else None]
        return self.reply(206, [("ETag", '"1"'), (
            "Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(self.content)}")], part)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    log = None

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self):
        connection, peer = super().get_request()
        self.log.write(connection.getsockname()[0].removeprefix("::ffff:") + "\n")
        self.log.flush()
        return connection, peer


def run(*argv):
    subprocess.run(argv, check=True)


def main(hosts, log, file, addresses):
    run("mount", "--bind", hosts, "/etc/hosts")
    run("ip", "link", "set", "lo", "up")
    for address in addresses:
        run("ip", "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    with open(file, "rb") as stream:
        Handler.content = stream.read()
    with open(log, "a", encoding="ascii") as Server.log, Server(("::", PORT), Handler) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])
