# SPDX-License-Identifier: LGPL-2.1-or-later
"""The RPM packages: built and checked by Debian's rpmbuild and rpmlint, installed into a root.

The root is a Debian with libraries that are new enough, because Fedora and openSUSE are not to be
had here. So rpm gets --nodeps, and the scriptlets meet the stand-in for systemctl.
"""

import glob
import os
import re
import shutil

from clean_root import BUILD, TOP, Root, run
from packages import CONFFILE, DEPENDENCIES

RELEASE = "bookworm"
OUT = os.path.join(BUILD, "rpm")
NAMES = ("cistern", "cisternd", "cisternd-selinux", "libcistern-image")
POLICY = "usr/share/selinux/packages/cistern.pp"
# Records its arguments, and demands the module that it is to load.
SEMODULE = '#!/bin/sh\necho "$@" >>/root/semodule\n[ "$1" != -i ] || [ -s "$2" ]\n'
UNITS = "cisternd.socket cisternd-ro.socket cisternd.service"
# Findings that are no defects here, each with its reason.
FILTERS = """
Filters = [
    # The distribution that builds the packages adds these.
    "no-signature", "no-packager-tag", "manpage-not-compressed", "non-versioned-file-in-library-package",
    # Rules of one distribution: names of library packages, BuildRoot, the license list of Debian's rpmlint.
    "shlib-policy-name-error", "lib-package-without-%mklibname", "no-buildroot-tag", "invalid-license",
    "outside-libdir-files", "no-group-tag", "invalid-url Source0",
    # The test builds without a package of debugging symbols.
    "unstripped-binary-or-object",
    # The loader of each supported system reads the GNU hash.
    "missing-hash-section",
    # systemd reads /usr/lib/sysusers.d on each architecture, and /usr/lib/cistern is only removed.
    "hardcoded-library-path in %{_prefix}/lib/(cistern|sysusers.d)",
    # rpmlint looks for the names of compressed pages.
    "no-manual-page-for-binary",
]
"""


class Rpm:
    """A root with an rpm database of its own."""

    def __init__(self):
        self.root = Root()

    def remove(self):
        self.root.remove()

    def rpm(self, *words):
        """The host's rpm, with the root, in the session."""
        return run("nsenter", f"--target={self.root.first}", "--mount", "--pid", "rpm",
                   f"--root={self.root.dir}", *words)

    def install(self, *words):
        return self.rpm(*words, "--force-debian", "--nodeps", *[packaged(name) for name in NAMES])

    def main_pid(self):
        with open(self.root.session_path("run/standin/cisternd.service.pid"), encoding="ascii") as text:
            return int(text.read())

    # --- cases, in this order

    def rpmbuild_builds_the_packages(self):
        path = "/usr/lib/ccache:" + os.environ["PATH"]
        # Debian's packages have other names than Fedora's.
        run(os.path.join(TOP, "scripts/rpm"), OUT, "--nodeps", "--define", "debug_package %{nil}",
            "--define", "_libdir /usr/lib64", env=dict(os.environ, PATH=path))
        for name in NAMES:
            assert packaged(name)

    def rpmlint_finds_no_error(self):
        config = os.path.join(OUT, "rpmlint.toml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(FILTERS)
        said = run("rpmlint", "--config", config, os.path.join(TOP, "packaging/rpm/cistern.spec"),
                   *[packaged(name) for name in NAMES])
        assert re.search(r" 0 errors, 0 warnings", said), said

    def policy_has_the_type_of_virtstoraged_for_the_daemon(self):
        self.root.unpack(RELEASE, DEPENDENCIES[RELEASE])
        run("rpm2archive", "--nocompression", packaged("cisternd-selinux"))
        run("tar", "-xf", packaged("cisternd-selinux") + ".tar", "-C", self.root.at("root"))
        policy = self.root.at("root/" + POLICY)
        run("semodule_unpackage", policy, policy + ".mod", policy + ".fc")
        contexts = dict(line.split()[::len(line.split()) - 1]
                        for line in self.root.read(f"root/{POLICY}.fc").splitlines())
        assert contexts["/usr/bin/cisternd"] == "system_u:object_r:virtstoraged_exec_t:s0", contexts
        with open(policy + ".mod", "rb") as module:
            content = module.read()
        assert b"virtstoraged_t" in content and b"virtqemud_t" in content

    def programs_work_after_the_installation_and_no_unit_is_enabled(self):
        root = self.root
        root.start_session()
        root.do("dpkg-divert --quiet --local --rename --add /usr/bin/systemctl")
        shutil.copy(os.path.join(os.path.dirname(__file__), "systemctl"), root.at("usr/bin/systemctl"))
        root.write("usr/sbin/semodule", SEMODULE, 0o755)
        self.rpm("--initdb")
        self.install("--install")
        assert "cistern:" in root.do("getent group cistern")
        assert root.read("root/semodule") == f"-i /{POLICY}\n"
        assert root.do("find /etc/systemd -name 'cistern*'") == ""
        root.do(f"systemctl enable --now {UNITS} cistern-schedules.timer")
        root.do("cistern -c storage:///system pool-define-as images dir --target /srv/images"
                " && cistern -c storage:///system pool-build images"
                " && cistern -c storage:///system pool-start images"
                " && cistern -c storage:///system vol-create-as images disk 8M")
        assert root.has("srv/images/disk")

    def upgrade_restarts_the_daemon_and_keeps_its_settings(self):
        before = self.main_pid()
        self.root.write(CONFFILE, "[limits]\nmax_clients = 77\n")
        self.install("--upgrade", "--force")
        assert self.main_pid() != before, "the old daemon runs"
        assert "max_clients = 77" in self.root.read(CONFFILE)
        assert "disk" in self.root.do("cistern -c storage:///system vol-list images")

    def removal_stops_the_daemon_and_keeps_the_storage(self):
        self.rpm("--erase", "--force-debian", *NAMES)
        assert self.root.read("root/semodule").splitlines()[-1] == "-r cistern"
        assert not os.path.exists(self.root.session_path("run/standin/cisternd.service.pid"))
        assert self.root.do("find /etc/systemd -name 'cistern*'") == ""
        for path in ("usr/bin/cistern", "usr/bin/cisternd", "usr/lib/systemd/system/cisternd.service"):
            assert not self.root.has(path), path
        for path in (CONFFILE + ".rpmsave", "etc/libvirt/storage/images.xml", "srv/images/disk"):
            assert self.root.has(path), path

    def cases(self):
        return [self.rpmbuild_builds_the_packages, self.rpmlint_finds_no_error,
                self.policy_has_the_type_of_virtstoraged_for_the_daemon,
                self.programs_work_after_the_installation_and_no_unit_is_enabled,
                self.upgrade_restarts_the_daemon_and_keeps_its_settings,
                self.removal_stops_the_daemon_and_keeps_the_storage]


def packaged(name):
    found = [path for path in glob.glob(os.path.join(OUT, f"{name}-[0-9]*.rpm"))
             if not path.endswith(".src.rpm")]
    assert len(found) == 1, f"{name}: {found}"
    return found[0]
