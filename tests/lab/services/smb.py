# SPDX-License-Identifier: LGPL-2.1-or-later
"""Samba with one share, SHARE, which only root with PASSWORD may use (SMB 3.1.1)."""

import os
import signal

from kit import expect, run, wait_until, write_xml
from services import network

SHARE, USER, PASSWORD = "share", "root", "samba's password, of several words"
ROOT, PORT = "/srv/smb", 445
CONFIGURATION = f"""[global]
server role = standalone server
map to guest = never
interfaces = lo
bind interfaces only = yes
disable netbios = yes
load printers = no
[{SHARE}]
path = {ROOT}
read only = no
"""


def is_listening():
    # An entry of state 0A listens; nothing is connected, so that no server process is made.
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(f":{PORT:04X} 00000000:0000 0A" in line for line in table)


def mounts(folder, user):
    """Whether the share can be mounted there, for a moment."""
    if run("mount.cifs", f"//127.0.0.1/{SHARE}", folder, "-o", f"credentials={user}",
           check=False)[0]:
        return False
    run("umount", folder)
    return True


def warm_up():
    """Under emulation the first answer of all takes longer than the kernel's client waits."""
    user = write_xml("smb-user", f"username={USER}\npassword={PASSWORD}\n")
    os.makedirs("/mnt/smb", exist_ok=True)
    expect(wait_until(lambda: mounts("/mnt/smb", user)), "smbd lets nobody in")
    os.unlink(user)


def serve():
    run("smbd", "-D")
    expect(wait_until(is_listening), "smbd does not listen")


def start():
    run("modprobe", "cifs")
    for folder in (ROOT, "/run/samba", "/var/log/samba", "/var/lib/samba/private",
                   "/var/cache/samba", "/etc/samba"):
        os.makedirs(folder, exist_ok=True)
    with open("/etc/samba/smb.conf", "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    set_password(PASSWORD)
    serve()
    warm_up()


def set_password(password):
    run("smbpasswd", "-s", "-a", USER, data=f"{password}\n{password}\n")


def stop():
    """Connections end, and new ones are refused."""
    with open("/run/samba/smbd.pid", encoding="ascii") as file:
        pid = int(file.read())
    os.killpg(pid, signal.SIGKILL)
    expect(wait_until(lambda: not is_listening()), "smbd is still there")


def restart():
    serve()


def freeze():
    network.silence(PORT)


def thaw():
    network.hear()
