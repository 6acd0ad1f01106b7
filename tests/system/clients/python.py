#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: python.py URI DIR SOURCE

A life of the pool DIR by libvirt-python: every format, streams with holes, a download driven by the
event loop, one that is aborted, events, errors. SOURCE is a sparse file, uploaded as it is. Prints one
JSON object of what the client saw; the volumes stay for the caller to look at.
"""

import json
import os
import sys
import threading

import libvirt

FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vpc")
VOLUME = ("<volume><name>{0}</name><capacity>{1}</capacity><allocation>0</allocation>"
          "<target><format type='{2}'/></target></volume>")


def next_extent(_stream, fd):
    """What libvirt asks before it reads: [is it data, bytes up to where that changes]."""
    here = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        data = os.lseek(fd, here, os.SEEK_DATA)
        end = data if data > here else os.lseek(fd, here, os.SEEK_HOLE)
    except OSError:
        data = None
        end = os.lseek(fd, 0, os.SEEK_END)
    os.lseek(fd, here, os.SEEK_SET)
    return [data == here, end - here]


def sparse_upload(conn, vol, source):
    fd = os.open(source, os.O_RDONLY)
    stream = conn.newStream()
    vol.upload(stream, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
    stream.sparseSendAll(lambda _s, count, fd: os.read(fd, count), next_extent,
                         lambda _s, count, fd: os.lseek(fd, count, os.SEEK_CUR), fd)
    stream.finish()
    os.close(fd)


def sparse_download(conn, vol):
    """(content, bytes that came as holes)"""
    content = bytearray()
    holes = []

    def hole(_stream, count, _opaque):
        holes.append(count)
        content.extend(bytes(count))
    stream = conn.newStream()
    vol.download(stream, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
    stream.sparseRecvAll(lambda _s, data, _o: content.extend(data), hole, None)
    stream.finish()
    return bytes(content), sum(holes)


def download_by_events(conn, vol):
    """The same over a stream that never blocks, read when the event loop says so."""
    content = bytearray()
    done = threading.Event()
    stream = conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
    vol.download(stream, 0, 0, 0)

    def readable(stream, _events, _opaque):
        data = stream.recv(262144)
        if data == -2:
            return
        if data:
            content.extend(data)
            return
        stream.eventRemoveCallback()
        stream.finish()
        done.set()
    stream.eventAddCallback(libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_ERROR
                            | libvirt.VIR_STREAM_EVENT_HANGUP, readable, None)
    return bytes(content) if done.wait(20) else None


def abort_download(conn, vol):
    stream = conn.newStream()
    vol.download(stream, 0, 0, 0)
    stream.recv(1000)
    stream.abort()


def code_of(call):
    try:
        call()
    except libvirt.libvirtError as error:
        return [error.get_error_code(), error.get_error_domain()]
    return None


def watch(conn, seen):
    """Notes events of pools; returns what is set when one has been undefined."""
    gone = threading.Event()

    def lifecycle(_conn, pool, event, _detail, _opaque):
        seen.append(f"{pool.name()} {event}")
        if event == libvirt.VIR_STORAGE_POOL_EVENT_UNDEFINED:
            gone.set()
    conn.storagePoolEventRegisterAny(None, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
                                     lifecycle, None)
    conn.storagePoolEventRegisterAny(None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                                     lambda _c, pool, _o: seen.append(f"{pool.name()} refreshed"),
                                     None)
    return gone


def play(conn, directory, source):
    facts = {"events": []}
    gone = watch(conn, facts["events"])
    pool = conn.storagePoolDefineXML("<pool type='dir'><name>py</name><target>"
                                     f"<path>{directory}</path></target></pool>")
    pool.build()
    pool.create()
    pool.setAutostart(1)
    facts["autostart"] = pool.autostart()
    for form in FORMATS:
        pool.createXML(VOLUME.format("v." + form, 8 << 20, form))
    facts["volumes"] = {v.name(): v.info()[1] for v in pool.listAllVolumes()}
    raw = pool.storageVolLookupByName("v.raw")
    sparse_upload(conn, raw, source)
    content, holes = sparse_download(conn, raw)
    with open(source, "rb") as stream:
        wanted = stream.read()
    facts["sparse download"] = content == wanted
    facts["holes"] = holes
    facts["download by events"] = download_by_events(conn, raw) == wanted
    abort_download(conn, raw)
    copy = pool.createXMLFrom(VOLUME.format("copy.qcow2", 8 << 20, "qcow2"), raw)
    copy.resize(16 << 20)
    facts["copy"] = copy.info()[1]
    facts["codes"] = [code_of(lambda: pool.storageVolLookupByName("none")),
                      code_of(lambda: pool.createXML(VOLUME.format("v.raw", 1, "raw"))),
                      code_of(lambda: conn.storagePoolLookupByName("none"))]
    pool.refresh()
    pool.destroy()
    pool.undefine()
    gone.wait(10)
    return facts


def main():
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def loop():
        while True:
            libvirt.virEventRunDefaultImpl()
    threading.Thread(target=loop, daemon=True).start()
    conn = libvirt.open(sys.argv[1])
    conn.setKeepAlive(5, 3)
    print(json.dumps(play(conn, *sys.argv[2:])))
    conn.close()


main()
