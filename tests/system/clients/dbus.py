#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: dbus.py BUS DIR

A life of the pool DIR through libvirt-dbus on the bus BUS: volumes made, cloned, resized, wiped, deleted,
signals, an error. Prints one JSON object of what was seen; a clone stays for the caller to look at.
"""

import json
import sys

from gi.repository import Gio, GLib

CONNECT = "/org/libvirt/QEMU"
VOLUME = ("<volume><name>{0}</name><capacity>{1}</capacity>"
          "<target><format type='qcow2'/></target></volume>")


class Bus:
    def __init__(self, address):
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
                 | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        self.conn = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.seen = []
        self.conn.signal_subscribe("org.libvirt", None, None, None, None,
                                   Gio.DBusSignalFlags.NONE, self.note)

    def note(self, _conn, _sender, path, _interface, member, arguments):
        self.seen.append([member, path, list(arguments.unpack())])

    def call(self, path, interface, method, signature="", *arguments):
        """The one value that comes back; None where there is none."""
        reply = self.conn.call_sync(
            "org.libvirt", path, interface, method,
            GLib.Variant(f"({signature})", arguments), None, Gio.DBusCallFlags.NONE, 20000, None)
        values = reply.unpack()
        return values[0] if values else None

    def connect(self, *words):
        return self.call(CONNECT, "org.libvirt.Connect", *words)

    def pool(self, path, *words):
        return self.call(path, "org.libvirt.StoragePool", *words)

    def vol(self, path, *words):
        return self.call(path, "org.libvirt.StorageVol", *words)

    def property(self, path, interface, name):
        return self.call(path, "org.freedesktop.DBus.Properties", "Get", "ss",
                         "org.libvirt." + interface, name)

    def signals(self, last):
        """Those so far; waits until the event of pools with these numbers has come."""
        while not any(member == "StoragePoolEvent" and arguments[1:] == last
                      for member, _path, arguments in self.seen):
            GLib.MainContext.default().iteration(True)
        return self.seen


def volumes(bus, pool, facts):
    vol = bus.pool(pool, "StorageVolCreateXML", "su", VOLUME.format("v.qcow2", 32 << 20), 0)
    facts["looked up"] = bus.pool(pool, "StorageVolLookupByName", "s", "v.qcow2") == vol
    bus.vol(vol, "Resize", "tu", 64 << 20, 0)
    facts["capacity"] = bus.vol(vol, "GetInfo", "u", 0)[1]
    key = bus.property(vol, "StorageVol", "Key")
    facts["key is path"] = key == bus.property(vol, "StorageVol", "Path")
    bus.pool(pool, "StorageVolCreateXMLFrom", "ssu", VOLUME.format("copy.qcow2", 64 << 20), key, 0)
    facts["listed"] = len(bus.pool(pool, "ListStorageVolumes", "u", 0))
    bus.vol(vol, "Wipe", "uu", 0, 0)
    bus.vol(vol, "Delete", "u", 0)
    facts["left"] = len(bus.pool(pool, "ListStorageVolumes", "u", 0))
    try:
        bus.pool(pool, "StorageVolLookupByName", "s", "none")
    except GLib.Error as error:
        facts["error"] = [Gio.DBusError.get_remote_error(error), error.message.split(": ", 1)[1]]


def main():
    bus = Bus(sys.argv[1])
    facts = {}
    pool = bus.connect("StoragePoolDefineXML", "su", "<pool type='dir'><name>db</name><target>"
                       f"<path>{sys.argv[2]}</path></target></pool>", 0)
    facts["found"] = pool in bus.connect("ListStoragePools", "u", 0)
    facts["by name"] = bus.connect("StoragePoolLookupByName", "s", "db") == pool
    bus.pool(pool, "Build", "u", 0)
    bus.pool(pool, "Create", "u", 0)
    facts["properties"] = [bus.property(pool, "StoragePool", name)
                           for name in ("Name", "Active", "Persistent", "Autostart")]
    facts["state"] = bus.pool(pool, "GetInfo")[0]
    volumes(bus, pool, facts)
    bus.pool(pool, "Refresh", "u", 0)
    bus.pool(pool, "Destroy")
    bus.pool(pool, "Undefine")
    facts["events"] = [arguments[1:] for member, _path, arguments in bus.signals([1, 0])
                       if member == "StoragePoolEvent"]
    facts["refreshed"] = any(member == "Refresh" and path == pool
                             for member, path, _arguments in bus.seen)
    facts["secrets"] = bus.connect("ListSecrets", "u", 0)
    print(json.dumps(facts))


main()
