# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running guests of virtqemud, libvirt's modular daemon, whose storage is cisternd. The guest and the
tests are those of running_real_test, running_volumes_test and running_backup_test."""

import os
import threading

import running_backup_test as backup
import running_real_test as running
import running_volumes_test as volumes
from harness import cases, modular, peers

STARTS = 100

VOLUME_DOMAIN = """<domain type='qemu'><name>web2</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}<memballoon model='none'/></devices>
</domain>"""

VOLUME_DISK = """<disk type='volume' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source pool='p' volume='{name}'/><target dev='vd{name}' bus='virtio'/></disk>"""


class OnVirtqemud:
    """virtqemud in libvirtd's place. Its lookups of volumes go to the cisternd of the test."""

    @classmethod
    def make_libvirt(cls):
        modular.folder()
        daemon = modular.Modular("virtqemud", cls.peer)
        cls.addClassCleanup(daemon.end_domains)
        return daemon


@cases.long("running_real_test has the same calls with libvirtd")
class SnapshotsOfVirtqemud(OnVirtqemud, running.Guest):
    take = running.RunningQcow2.take
    test_snapshots_with_an_agent_are_consistent_file_systems = \
        running.RunningQcow2.test_snapshots_with_an_agent_are_consistent_file_systems
    test_daemon_that_is_killed_during_a_snapshot_leaves_the_guest_running = \
        running.RunningQcow2.test_daemon_that_is_killed_during_a_snapshot_leaves_the_guest_running

    def test_domain_starts_while_snapshots_of_running_volumes_are_made(self):
        """libvirt asks cisternd for the volumes during a start, and cisternd asks libvirt for the
        domains during a snapshot. A deadlock would end both by their deadlines."""
        self.boot()
        for name in ("d", "e"):
            self.done("vol-create-as", "p", name, "4M", "--format", "qcow2")
            self.addCleanup(self.done, "vol-delete", name, "--pool", "p", "--yes")
        xml = os.path.join(self.peer.files, "web2.xml")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(VOLUME_DOMAIN.format(disks="".join(VOLUME_DISK.format(name=name)
                                                         for name in ("d", "e"))))
        self.domain("define", xml)
        self.addCleanup(peers.run, ["virsh", "-c", self.uri, "undefine", "web2"])
        ended, made = threading.Event(), []

        def snapshots():
            while not ended.is_set():
                name = f"n{len(made)}"
                made.append(self.cistern("snap-create", "a", name, "--pool", "p", "--with", "b,c",
                                         "--max-pause", "5s"))
                for disk in running.DISKS:
                    self.cistern("snap-delete", disk, name, "--pool", "p", "--yes")
        thread = threading.Thread(target=snapshots)
        thread.start()
        try:
            for _ in range(STARTS):
                self.domain("start", "web2")
                self.domain("destroy", "web2")
        finally:
            ended.set()
            thread.join()
        self.assertEqual([], [err for status, _, err in made if status != 0])
        self.assertGreater(len(made), 10)
        self.goes_on()


def only(base, *names):
    """Attributes of a class that keeps only these tests of its base."""
    return {test: None for test in dir(base) if test.startswith("test_") and test not in names}


class VolumesOfVirtqemud(OnVirtqemud, volumes.RunningVolumes):
    locals().update(only(volumes.RunningVolumes,
                         "test_flatten_makes_the_disk_of_a_running_guest_independent",
                         "test_move_to_another_format"))


class BackupsOfVirtqemud(OnVirtqemud, backup.BackupQcow2):
    locals().update(only(backup.BackupQcow2,
                         "test_increments_have_the_content_of_each_disk",
                         "test_backup_goes_on_after_a_restart_of_libvirtd"))
