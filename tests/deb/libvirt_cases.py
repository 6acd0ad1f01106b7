# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package cistern-libvirt: it is installed, upgraded and removed while a guest runs.

The guest has a volume disk, and its process lives through all cases of a release. The stand-in
systemctl performs what the maintainer scripts ask for, because systemd does not run here.
"""

import ctypes
import hashlib
import os
import shutil
import struct

from clean_root import LONG, Root, wait_until
from packages import DEPENDENCIES, OLD_VERSION, older, package

INSTALLED = ("cisternd", "cistern-libvirt")
LIBVIRT = ",libvirt-daemon-system,libvirt-daemon-driver-qemu,qemu-system-x86"
DROP_IN = "lib/systemd/system/libvirtd.service.d/cistern.conf"
# Kills the script that stops units, after the stop.
KILLING_SYSTEMCTL = """#!/bin/sh
/usr/bin/systemctl "$@"
status=$?
[ "$1" != stop ] || kill -9 $PPID
exit $status
"""
DRIVER = "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_storage.so"
OURS = "/usr/lib/cistern/libvirt_driver_storage.so"
UNITS = "libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service"
QEMU_CONF = 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\n' \
    'cgroup_controllers = []\nstdio_handler = "file"\n'
SECRET = "<secret ephemeral='no' private='no'><uuid>11111111-2222-3333-4444-555555555555</uuid></secret>"
DOMAIN = """<domain type='qemu'><name>guest</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='volume' device='disk'><driver name='qemu' type='raw'/>
<source pool='images' volume='disk'/><target dev='vda' bus='virtio'/></disk>
<memballoon model='none'/></devices></domain>"""
GUEST = """
virsh -q pool-define-as images dir --target /srv/images
virsh -q pool-build images
virsh -q pool-start images
virsh -q pool-autostart images
virsh -q vol-create-as images disk 8M --format raw
virsh -q secret-define /root/secret.xml
virsh -q define /root/guest.xml
virsh -q start guest
"""


class DriverWatch:
    """
    Records changes of the driver's name by inotify(7). replaced: how often a rename replaced it.
    removed: how often the name vanished. A rename over the name removes nothing.
    """

    MOVED_FROM, MOVED_TO, DELETE = 0x40, 0x80, 0x200
    EVENT = struct.Struct("iIII")

    def __init__(self, path):
        self.folder, self.name = os.path.split(path)
        self.replaced = self.removed = 0

    def __enter__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = self.MOVED_FROM | self.MOVED_TO | self.DELETE
        if self.fd < 0 or libc.inotify_add_watch(self.fd, self.folder.encode(), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        return self

    def __exit__(self, *_):
        try:
            events = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            events = b""
        os.close(self.fd)
        while events:
            _, mask, _, length = self.EVENT.unpack_from(events)
            name = events[self.EVENT.size:self.EVENT.size + length].rstrip(b"\0").decode()
            events = events[self.EVENT.size + length:]
            if name == self.name:
                self.replaced += bool(mask & self.MOVED_TO)
                self.removed += not mask & self.MOVED_TO


class Host:
    """A root of a release with libvirtd and a running guest."""

    def __init__(self, release):
        self.release = release
        self.root = Root()
        self.pid = self.started = None  # of the guest's process
        self.definitions = self.stock = None

    def remove(self):
        self.root.remove()

    # --- the state of the host

    def driver(self):
        return self.root.at(DRIVER)

    def session_file(self, path):
        with open(self.root.session_path(path), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def actions(self):
        return self.session_file("run/standin/actions").splitlines()

    def actions_since(self, mark):
        """Starts and stops."""
        return [line for line in self.actions()[mark:] if not line.startswith("condition ")]

    def pid_of(self, path):
        return int(self.session_file(path).strip())

    def process(self):
        """The PID and the start time of the guest's process."""
        pid = self.pid_of("run/libvirt/qemu/guest.pid")
        stat = self.root.do(f"cat /proc/{pid}/stat")
        return pid, stat.rpartition(")")[2].split()[19]

    def assert_guest_lives(self):
        # Answered when libvirtd has reconnected to the guest, or has ended it.
        assert self.root.do("virsh domstate guest").strip() == "running"
        assert self.process() == (self.pid, self.started), "the guest has another process"

    def storage_holder(self):
        """The name of the program that manages the storage."""
        pid = self.pid_of("run/libvirt/storage/driver.pid")
        return self.root.do(f"cat /proc/{pid}/comm").strip()

    def read_definitions(self):
        """Each file and link below /etc/libvirt, with its mode and content."""
        found = {}
        for folder, _, names in os.walk(self.root.at("etc/libvirt")):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    found[path] = os.readlink(path)
                else:
                    with open(path, "rb") as stream:
                        found[path] = (oct(os.stat(path).st_mode), stream.read())
        return found

    def assert_definitions_unchanged(self):
        now = self.read_definitions()
        different = [path for path in sorted(self.definitions | now)
                     if self.definitions.get(path) != now.get(path)]
        assert not different, different

    def assert_driver_is_stock(self):
        assert not os.path.islink(self.driver())
        assert digest(self.driver()) == self.stock
        assert not self.root.has(DRIVER + ".libvirt")
        assert not os.path.lexists(self.root.at(DROP_IN)), "libvirtd still wants cisternd"
        assert "cistern" not in self.root.do("dpkg-divert --list")

    def assert_driver_is_ours(self):
        assert os.readlink(self.driver()) == OURS
        assert digest(self.driver() + ".libvirt") == self.stock, "libvirt's driver is not kept"
        assert "libvirt-wait" in self.root.do(f"cat /{DROP_IN}")

    # --- cases, in this order

    def libvirtd_runs_a_guest_with_its_own_storage(self):
        root = self.root
        if LONG:
            root.make(self.release, "systemd" + LIBVIRT)
        else:
            root.unpack(self.release, DEPENDENCIES[self.release] + LIBVIRT)
        root.write("etc/libvirt/qemu.conf", QEMU_CONF)
        root.write("root/guest.xml", DOMAIN)
        root.write("root/secret.xml", SECRET)
        root.start_session()
        root.do("dpkg-divert --quiet --local --rename --add /usr/bin/systemctl")
        shutil.copy(os.path.join(os.path.dirname(__file__), "systemctl"), root.at("usr/bin/systemctl"))
        self.stock = digest(self.driver())
        root.do(f"systemctl start {UNITS}")
        root.do(GUEST)
        self.pid, self.started = self.process()
        self.definitions = self.read_definitions()
        assert self.storage_holder() == "libvirtd"

    def failed_start_of_cisternd_restores_the_driver_of_libvirt(self):
        root = self.root
        root.do("systemctl mask cisternd.service")
        try:
            root.install([older(name) for name in INSTALLED])
        except AssertionError as error:
            said = str(error)
        else:
            raise AssertionError("the installation has succeeded without cisternd")
        assert "cannot start cisternd; libvirtd has its own storage again" in said, said
        self.assert_driver_is_stock()
        self.assert_guest_lives()
        assert self.storage_holder() == "libvirtd"
        root.do("systemctl unmask cisternd.service")

    def installed_it_serves_the_pools_to_clients_of_libvirtd(self):
        root = self.root
        mark = len(self.actions())
        with DriverWatch(self.driver()) as watch:
            root.install([older(name) for name in INSTALLED])
        assert (watch.replaced, watch.removed) == (1, 0), (watch.replaced, watch.removed)
        self.assert_driver_is_ours()
        self.assert_guest_lives()
        actions = self.actions_since(mark)
        assert actions.index("stop libvirtd.service") < actions.index("start cisternd.service") \
            < actions.index("start libvirtd.service"), actions
        assert self.storage_holder() == "cisternd"
        assert "active" in root.do("virsh -c qemu:///system pool-list")
        root.do("virsh vol-create-as images made 1M && virsh vol-delete made --pool images")
        assert "disk" in root.do("virsh -c storage:///system vol-list images")

    def secrets_stay_with_libvirtd_and_the_settings_file_is_unchanged(self):
        assert self.pid_of("run/libvirt/secrets/driver.pid") == \
            self.pid_of("run/standin/libvirtd.service.pid")
        assert "11111111-2222" in self.root.do("virsh secret-list")
        assert self.root.do("dpkg --verify cisternd") == ""
        assert "condition cisternd-secret.socket" in self.actions()

    def libvirtd_starts_when_cisternd_answers_for_the_volumes_of_guests(self):
        root = self.root
        root.do(f"systemctl stop {UNITS} cisternd.service && systemctl mask cisternd.service")
        status, said = root.do("timeout 120 /usr/lib/cistern/libvirt-wait --seconds 1", check=False)
        assert status == 1 and "libvirtd is not started after 1 seconds" in said, said
        start = root.start(f"systemctl start {UNITS}")
        log = "run/standin/libvirtd.service.log"
        wait_until(lambda: "libvirtd waits: cisternd does not answer" in self.session_file(log),
                   "libvirtd waits for cisternd", lambda: self.session_file(log))
        # The pool of the guest is not active when cisternd answers.
        root.do("systemctl unmask cisternd.service")
        root.do("rm /run/libvirt/storage/images.xml")
        link = root.at("etc/libvirt/storage/autostart/images.xml")
        os.rename(link, link + ".off")
        root.do("systemctl start cisternd.service")
        wait_until(lambda: "guest 'guest' needs volume 'disk' of pool 'images': pool 'images' is not "
                   "active" in self.session_file(log), "libvirtd waits for the pool",
                   lambda: self.session_file(log))
        assert start.poll() is None, "libvirtd has started"
        os.rename(link + ".off", link)
        root.do("virsh -c storage:///system pool-start images")
        said, _ = start.communicate(timeout=300)
        assert start.returncode == 0, said + self.session_file(log)
        assert "cisternd answers for 1 volumes of running guests" in self.session_file(log)
        self.assert_guest_lives()

    def check_reports_no_obstacle_with_the_module(self):
        root = self.root
        root.do("systemctl stop cisternd.service")
        status, said = root.do("cisternd --check-takeover", check=False)
        root.do("systemctl start cisternd.service")
        assert status == 0 and "No obstacle was found." in said, said
        assert "libvirtd asks cisternd" in said, said

    def upgrade_restarts_cisternd_before_libvirtd(self):
        root = self.root
        mark = len(self.actions())
        root.install([package(name) for name in INSTALLED], "--force-confold")
        self.assert_driver_is_ours()
        assert self.actions_since(mark) == ["stop cisternd.service", "start cisternd.service",
                                            "stop libvirtd.service", "start libvirtd.service"], \
            self.actions_since(mark)
        self.assert_guest_lives()
        assert self.storage_holder() == "cisternd"
        assert OLD_VERSION not in root.do("dpkg-query -W -f '${Version}\\n' " + " ".join(INSTALLED))

    def libvirt_installed_again_leaves_the_module_in_its_place(self):
        owners = [line.split(":")[0] for line in self.root.do(f"dpkg -S /{DRIVER}").splitlines()
                  if not line.startswith("diversion ")]
        self.root.apt_install("--reinstall", *owners)
        self.assert_driver_is_ours()
        self.assert_guest_lives()

    def aborted_removal_returns_to_cisternd(self):
        root = self.root
        mark = len(self.actions())
        path = "var/lib/dpkg/info/cistern-libvirt.prerm"
        script = root.read(path)
        root.write(path, script + "\nexit 1\n", 0o755)
        status, said = root.do("dpkg --remove cistern-libvirt", check=False)
        root.write(path, script, 0o755)
        assert status != 0 and "stop libvirtd.service" in self.actions_since(mark), said
        self.assert_driver_is_ours()
        self.assert_guest_lives()
        assert self.storage_holder() == "cisternd"
        root.do("[ ! -e /run/cistern-libvirt.units ]")

    def killed_removal_can_be_repeated(self):
        root = self.root
        root.write("root/killing/systemctl", KILLING_SYSTEMCTL, 0o755)
        for _ in range(2):
            status, said = root.do("PATH=/root/killing:$PATH /usr/lib/cistern/libvirt-switch give-back",
                                   check=False)
            assert status != 0, said
            assert "libvirtd.service" in self.session_file("run/cistern-libvirt.units")
        root.do("DPKG_MAINTSCRIPT_PACKAGE=cistern-libvirt /usr/lib/cistern/libvirt-switch take-over")
        self.assert_driver_is_ours()
        self.assert_guest_lives()
        assert self.storage_holder() == "cisternd"
        root.do("[ ! -e /run/cistern-libvirt.units ]")

    def removal_restores_the_driver_of_libvirt(self):
        root = self.root
        mark = len(self.actions())
        with DriverWatch(self.driver()) as watch:
            root.do("dpkg --remove cistern-libvirt")
        assert (watch.replaced, watch.removed) == (1, 0), (watch.replaced, watch.removed)
        self.assert_driver_is_stock()
        actions = self.actions_since(mark)
        assert actions.index("stop libvirtd.service") < actions.index("stop cisternd.service") \
            < actions.index("start libvirtd.service"), actions
        assert "start cisternd.service" not in actions, actions
        self.assert_guest_lives()
        assert self.storage_holder() == "libvirtd"
        assert "active" in root.do("virsh pool-list")
        self.assert_definitions_unchanged()

    def removal_of_cisternd_stops_it(self):
        root = self.root
        root.do(f"systemctl stop {UNITS} && systemctl start cisternd.socket cisternd.service")
        assert self.storage_holder() == "cisternd"
        mark = len(self.actions())
        root.do("dpkg --remove cisternd")
        assert "stop cisternd.service" in self.actions_since(mark)
        assert "stop cisternd.socket" in self.actions_since(mark)
        root.do(f"systemctl start {UNITS}")
        self.assert_guest_lives()
        assert self.storage_holder() == "libvirtd"

    def removal_of_cistern_stops_its_timers(self):
        root = self.root
        root.install([package("cistern")])
        root.do("systemctl start cistern-schedules.timer")
        mark = len(self.actions())
        root.install([package("cistern")])
        assert self.actions_since(mark) == ["stop cistern-schedules.timer",
                                            "start cistern-schedules.timer"], self.actions_since(mark)
        mark = len(self.actions())
        root.do("dpkg --remove cistern")
        assert self.actions_since(mark) == ["stop cistern-schedules.timer"], self.actions_since(mark)

    def purge_leaves_only_the_files_of_libvirt(self):
        root = self.root
        root.do("dpkg --purge cistern-libvirt cisternd cistern")
        left = root.do("find / -xdev -name '*cistern*' -not -path '/proc/*' -not -path '/root/*'"
                       " -not -path '/var/log/*' -not -path '/usr/share/doc/*'")
        assert not left.strip(), left
        self.assert_guest_lives()
        self.assert_definitions_unchanged()

    def cases(self):
        network = [self.libvirt_installed_again_leaves_the_module_in_its_place] if LONG else []
        return [self.libvirtd_runs_a_guest_with_its_own_storage,
                self.failed_start_of_cisternd_restores_the_driver_of_libvirt,
                self.installed_it_serves_the_pools_to_clients_of_libvirtd,
                self.secrets_stay_with_libvirtd_and_the_settings_file_is_unchanged,
                self.libvirtd_starts_when_cisternd_answers_for_the_volumes_of_guests,
                self.check_reports_no_obstacle_with_the_module,
                self.upgrade_restarts_cisternd_before_libvirtd, *network,
                self.aborted_removal_returns_to_cisternd,
                self.killed_removal_can_be_repeated,
                self.removal_restores_the_driver_of_libvirt, self.removal_of_cisternd_stops_it,
                self.removal_of_cistern_stops_its_timers,
                self.purge_leaves_only_the_files_of_libvirt]


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
