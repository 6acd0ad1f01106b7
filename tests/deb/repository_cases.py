# SPDX-License-Identifier: LGPL-2.1-or-later
"""The signed apt repository of `make repository`: apt installs from it, and refuses changed files."""

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile

from clean_root import BUILD, OUT, TOP, Root, run
from packages import DEPENDENCIES, package

RELEASE = "bookworm"
PLACE = "srv/repository"  # in the root
SOURCES = f"""Types: deb
URIs: file:/{PLACE}
Suites: stable
Components: main
Signed-By: /usr/share/keyrings/cistern.gpg
"""
INSTALL = "apt-get install -qq -y --no-install-recommends cistern cisternd"


@contextlib.contextmanager
def fake_program(name, script):
    """A folder for PATH in which the program @name runs @script."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)
        yield folder


class Repository:
    """A root whose only source of packages is the repository. Each case begins with an intact one."""

    def __init__(self):
        self.root = Root()
        self.made = os.path.join(BUILD, "deb", "repository-test")

    def remove(self):
        """The repositories and their keys, too."""
        self.root.remove()
        for path in glob.glob(self.made + "*"):
            shutil.rmtree(path)

    def place(self):
        shutil.rmtree(self.root.at(PLACE), ignore_errors=True)
        shutil.copytree(self.made, self.root.at(PLACE))

    def file(self, name):
        return self.root.at(os.path.join(PLACE, name))

    def replace(self, name, old, new):
        with open(self.file(name), "rb") as stream:
            content = stream.read()
        assert content.count(old) >= 1, name
        with open(self.file(name), "wb") as stream:
            stream.write(content.replace(old, new))

    def assert_refused(self, script, reason):
        status, said = self.root.do(script, check=False)
        assert status != 0 and reason in said, (status, said)
        assert not self.root.has("usr/bin/cisternd"), "apt has installed the package"

    # --- cases, in this order

    def one_command_makes_a_repository_that_replaces_the_last_one(self):
        for path in glob.glob(self.made + "*"):
            shutil.rmtree(path)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("REPOSITORY_")}
        run(os.path.join(TOP, "scripts/repository"), OUT, self.made, env=environment)
        with open(os.path.join(self.made, "cistern.gpg"), "rb") as stream:
            key = stream.read()
        run(os.path.join(TOP, "scripts/repository"), OUT, self.made, env=environment)
        with open(os.path.join(self.made, "cistern.gpg"), "rb") as stream:
            assert stream.read() == key, "the second run has another key"
        suite = os.path.join(self.made, "dists/stable")
        assert {"InRelease", "Release", "Release.gpg", "main"} == set(os.listdir(suite))
        assert not glob.glob(self.made + ".[no]*")

    def run_after_a_killed_one_restores_the_repository_and_makes_a_key(self):
        """The kills are between the two renames, and while the key is made."""
        script = os.path.join(TOP, "scripts/repository")
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("REPOSITORY_")}
        killed = self.made + "-killed"
        shutil.copytree(self.made, killed + ".old")
        os.mkdir(killed + ".key.new", 0o700)
        # A run that fails before its renames, too.
        with fake_program("apt-ftparchive", "exit 1") as folder:
            failed = dict(environment, PATH=f"{folder}:{environment['PATH']}")
            done = subprocess.run([script, OUT, killed], env=failed, check=False, capture_output=True)
            assert done.returncode != 0
        with open(os.path.join(killed, "cistern.gpg"), "rb") as now, \
                open(os.path.join(self.made, "cistern.gpg"), "rb") as former:
            assert now.read() == former.read(), "the former repository is lost"
        assert not os.path.exists(killed + ".key.new")
        run(script, OUT, killed, env=environment)
        assert not glob.glob(killed + ".[no]*")
        # A folder without a key, as an earlier version has left it.
        shutil.rmtree(killed + ".key")
        os.mkdir(killed + ".key", 0o700)
        done = subprocess.run([script, OUT, killed], env=environment, check=False, text=True,
                              capture_output=True)
        assert done.returncode == 1 and "cannot find a secret key" in done.stderr, done.stderr

    def changed_release_file_is_refused(self):
        root = self.root
        root.unpack(RELEASE, DEPENDENCIES[RELEASE])
        root.forbid_services()
        for path in glob.glob(root.at("etc/apt/sources.list*")):
            (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
        root.write("etc/apt/sources.list.d/cistern.sources", SOURCES)
        shutil.copy(os.path.join(self.made, "cistern.gpg"), root.at("usr/share/keyrings/cistern.gpg"))
        self.place()
        self.replace("dists/stable/InRelease", b"Label: Cistern", b"Label: cistern")
        self.assert_refused("apt-get update", "invalid")

    def repository_of_another_key_is_refused(self):
        self.place()
        other = self.made + "-other"
        run(os.path.join(TOP, "scripts/repository"), OUT, other)
        shutil.copytree(other, self.root.at(PLACE), dirs_exist_ok=True)
        self.assert_refused("apt-get update", "NO_PUBKEY")

    def changed_index_is_refused(self):
        self.place()
        for name in ("Packages", "Packages.gz"):
            path = self.file(glob.glob(self.file(f"dists/stable/main/binary-*/{name}"))[0])
            with open(path, "ab") as stream:
                stream.write(b"\n")
        self.assert_refused("apt-get update --error-on=any", "Hash Sum mismatch")

    def changed_package_is_refused(self):
        self.place()
        self.root.do("apt-get update -qq --error-on=any")
        name = "pool/main/" + os.path.basename(package("cisternd"))
        with open(self.file(name), "r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            last = stream.read(1)
            stream.seek(-1, os.SEEK_END)
            stream.write(bytes([last[0] ^ 1]))
        self.assert_refused(INSTALL, "Hash Sum mismatch")

    def packages_are_installed_by_their_names(self):
        self.place()
        self.root.do("apt-get update -qq --error-on=any")
        self.root.do(INSTALL)
        assert "cisternd " in self.root.do("cisternd --version")

    def cases(self):
        return [self.one_command_makes_a_repository_that_replaces_the_last_one,
                self.run_after_a_killed_one_restores_the_repository_and_makes_a_key,
                self.changed_release_file_is_refused, self.repository_of_another_key_is_refused,
                self.changed_index_is_refused, self.changed_package_is_refused,
                self.packages_are_installed_by_their_names]
