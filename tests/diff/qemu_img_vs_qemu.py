#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""cistern-qemu-img beside qemu-img: the same command line has to give the same bytes on stdout and
stderr and the same status, and a changed image the same content. Prints TAP.

usage: qemu_img_vs_qemu.py CISTERN [PATTERN]
"""

import os
import shutil
import subprocess
import sys

from cases import CISTERN, Failed, call, case, equal, main, qemu_img, qemu_io

OURS = os.path.join(os.path.dirname(CISTERN), "cistern-qemu-img")
FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "qed", "qcow")


def answer(program, directory, args):
    """(status, stdout, stderr) in @directory. Each message names the program as qemu-img."""
    done = subprocess.run([program, *args], cwd=directory, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False,
                          env={**os.environ, "LC_ALL": "C", "TZ": "UTC"})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def same_answer(*args, directory="."):
    ours, theirs = answer(OURS, directory, args), answer("qemu-img", directory, args)
    for name, our, their in zip(("status", "stdout", "stderr"), ours, theirs):
        equal(f"{name} of qemu-img {' '.join(args)}", our, their)


def mark_in_use(path):
    """Sets the flag that a bitmap was not saved in the first entry of the directory of bitmaps."""
    with open(path, "r+b") as image:
        header = image.read(65536)
        at = header.index(bytes.fromhex("23852875"))
        directory = int.from_bytes(header[at + 24:at + 32], "big")
        image.seek(directory + 12)
        flags = int.from_bytes(image.read(4), "big")
        image.seek(directory + 12)
        image.write((flags | 1).to_bytes(4, "big"))


def images():
    """Images of all formats, one with a backing file, a snapshot and a bitmap."""
    for fmt in FORMATS:
        qemu_img("create", "-q", "-f", fmt, f"empty.{fmt}", "1M")
        qemu_img("create", "-q", "-f", fmt, f"some.{fmt}", "4M")
        qemu_io(f"some.{fmt}", fmt, "write -P 1 0 128k", "write -P 2 3M 64k", "write -z 1M 64k")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "some.qcow2", "-F", "qcow2", "over.qcow2")
    qemu_io("over.qcow2", "qcow2", "write -P 3 64k 128k")
    qemu_img("create", "-q", "-f", "qcow2", "deep.qcow2", "1M")
    qemu_img("snapshot", "-c", "s1", "deep.qcow2")
    qemu_img("bitmap", "--add", "deep.qcow2", "b0")
    qemu_img("create", "-q", "-f", "qcow2", "broken.qcow2", "1M")
    qemu_img("bitmap", "--add", "broken.qcow2", "b0")
    qemu_img("bitmap", "--add", "--disable", "broken.qcow2", "b1")
    mark_in_use("broken.qcow2")
    qemu_img("create", "-q", "edge.raw", "1023k")  # shown in the larger unit
    with open("odd.raw", "wb") as odd:
        odd.write(b"x" * 1000)


@case(*FORMATS)
def reading_commands_answer_alike(fmt):
    images()
    for name in (f"empty.{fmt}", f"some.{fmt}"):
        for output in ("human", "json"):
            same_answer("info", f"--output={output}", name)
            same_answer("info", "--backing-chain", f"--output={output}", "-f", fmt, name)
            same_answer("check", f"--output={output}", name)
            same_answer("measure", "-O", "raw", f"--output={output}", name)
            # QEMU's drivers of vhdx and vpc do not know which parts of a block are zero.
            if fmt not in ("vhdx", "vpc"):
                same_answer("map", f"--output={output}", name)
                same_answer("measure", "-O", "qcow2", f"--output={output}", name)
        same_answer("compare", name, "some.raw")
        same_answer("compare", "-q", name, "empty.raw")
        if fmt not in ("vhdx", "vpc"):
            for other in ("some.qcow2", "some.raw", "some.qed"):
                same_answer("compare", "-s", name, other)
        same_answer("snapshot", "-l", name)


@case("over.qcow2", "deep.qcow2", "odd.raw", "edge.raw")
def chains_snapshots_and_odd_sizes_are_described_alike(name):
    images()
    for output in ("human", "json"):
        same_answer("info", f"--output={output}", name)
        same_answer("info", "-U", "--backing-chain", f"--output={output}", name)
        same_answer("map", f"--output={output}", name)
        if name != "odd.raw":
            same_answer("map", "-s", "64k", "-l", "128k", f"--output={output}", name)
        same_answer("measure", "-O", "qcow2", f"--output={output}", name)
        same_answer("check", f"--output={output}", name)
    same_answer("snapshot", "-l", name)
    same_answer("compare", "-s", name, "some.qcow2")
    same_answer("info", "--image-opts", f"file.filename={name}")
    same_answer("info", f"file:{name}")
    same_answer("info", "json:{'driver': 'raw', \"file\": {'driver': 'file', 'filename': '"
                + name + "'}}")


@case("info some.qcow2", "info --backing-chain over.qcow2", "check some.qcow2", "map some.qcow2",
      "measure -O qcow2 deep.qcow2")
def the_image_commands_print_the_same_json(line):
    images()
    command, *rest = line.split(" ")
    ours = answer(CISTERN, ".", [f"image-{command}", "--output=json", *rest])
    equal(line, ours, answer("qemu-img", ".", [command, "--output=json", *rest]))
    for wrong in (["--output=xml"], ["--output=json", "--json"]):
        equal("status", call(CISTERN, f"image-{command}", *wrong, *rest).returncode, 2)


def set_count(path, cluster, count):
    """Sets the refcount of a cluster in an image with one refcount block."""
    with open(path, "r+b") as image:
        image.seek(0x20000 + 2 * cluster)
        image.write(count.to_bytes(2, "big"))


@case((6, 1, 3), (5, 0, 2))
def a_check_ends_with_the_same_status(damage):
    cluster, count, status = damage
    for output in ("human", "json"):
        # qemu-img does not open an image with errors to repair only its leaks.
        for repair in ([], ["-r", "leaks"] if status == 3 else [], ["-r", "all"]):
            qemu_img("create", "-q", "-f", "qcow2", "bad.qcow2", "1M")
            qemu_io("bad.qcow2", "qcow2", "write 0 64k")
            os.truncate("bad.qcow2", 7 * 65536)
            set_count("bad.qcow2", cluster, count)
            shutil.copy("bad.qcow2", "copy.qcow2")
            theirs = answer("qemu-img", ".", ["check", f"--output={output}", *repair, "bad.qcow2"])
            shutil.copy("copy.qcow2", "bad.qcow2")
            ours = answer(OURS, ".", ["check", f"--output={output}", *repair, "bad.qcow2"])
            # Lines on stderr about each cluster differ, and a repair may use other clusters.
            equal(f"status of check {output} {repair}", ours[0], theirs[0])
            equal(f"check {output} {repair}", *[
                [line for line in found[1].splitlines() if "nd offset" not in line
                 and "end-offset" not in line] for found in (ours, theirs)])
            if not repair:
                equal("status", ours[0], status)


MISTAKES = [line.split(" ") for line in """
foo
info
info nothere
info .
info -f foo some.raw
info -f qcow2 some.raw
info -f qed some.raw
info --foo x
info -f
info foo:bar
info --output=x some.raw
create
create -f foo x 1M
create -f bochs x 1M
create -f qcow2 y
create -f qcow2 y 1M 2M
create -f qcow2 -b nothere y
create -f qcow2 -b nothere -F raw y 1M
create -f qcow2 -b some.raw y
create -u -f qcow2 -b some.raw y 1M
create -f qcow2 -b some.raw -F foo y
create -f qcow2 y 1Q
create -f qcow2 y -- -1024
create -f qcow2 y 99999999999999999999
create -f qcow2 y 1E
create -f qcow2 -o foo=bar y 1M
create -f qcow2 -o lazy_refcounts=bar y 1M
create -f qcow2 -o size=bar y
create -f qcow2 -o refcount_bits=bar y 1M
create -f qcow2 -o refcount_bits=5 y 1M
create -f qcow2 -o cluster_size=5 y 1M
create -f qcow2 -o preallocation=bar y 1M
create -f qcow2 -o compat=0.42 y 1M
create -f qcow2 -o compat=0.10,lazy_refcounts=on y 1M
create -f qcow2 -o compat=0.10,refcount_bits=1 y 1M
create -f qcow2 -o extended_l2=on,cluster_size=4k y 1M
create -f qcow2 -o data_file_raw=on y 1M
create -f qcow2 -o size=1M y 1M
create -f qcow2 -o ,, y 1M
create -f qcow2 -b y -F qcow2 y
create -f raw -b some.raw -F raw y
create -f raw -o preallocation=metadata y 1M
create -f raw nodir/y 1M
resize some.raw
resize some.raw foo
resize some.qcow2 -9M
resize -f raw some.raw 512
resize some.qcow2 512
resize --preallocation=foo some.qcow2 9M
resize --preallocation=full --shrink some.qcow2 512
commit
commit some.qcow2
commit -b foo over.qcow2
rebase over.qcow2
rebase -u -b some.qcow2 over.qcow2
rebase -b nothere -F qcow2 over.qcow2
rebase -b some.qcow2 -F foo over.qcow2
amend
amend over.qcow2
amend -o foo=0.10 over.qcow2
amend -o size=1 some.raw
bitmap
bitmap --add deep.qcow2
bitmap --add deep.qcow2 b0
bitmap --remove deep.qcow2 b1
bitmap --clear -g 64k deep.qcow2 b0
bitmap --clear -b deep.qcow2 deep.qcow2 b0
bitmap --merge b0 -F qcow2 deep.qcow2 b0
dd
dd if=some.raw
dd if=some.raw of=y bs=0
dd if=some.raw of=y bs=foo
dd if=some.raw of=y foo=1
dd if=some.raw of=y bar
dd if=nothere of=y
dd -O foo if=some.raw of=y
convert
convert some.raw
convert nothere y
convert -O foo some.raw y
convert -O qcow2 some.raw nodir/y
convert -n some.raw nothere
convert -n some.raw odd.raw
convert -S 5 some.raw y
convert -m 99 some.raw y
convert -l foo deep.qcow2 y
convert -l snapshot.foo=bar deep.qcow2 y
convert -C -S 4k some.qcow2 y
convert -c -C some.qcow2 y
convert -c some.qcow2 y
convert -O qcow2 -o foo=1 some.qcow2 y
convert -O qcow2 -B some.qcow2 over.qcow2 y
convert -O raw -B some.qcow2 -F qcow2 over.qcow2 y
convert -O qcow2 -B some.qcow2 -F qcow2 over.qcow2 some.raw y
convert -n -o cluster_size=4k some.raw y
convert --target-is-zero some.raw y
convert --target-image-opts some.raw y
convert --skip-broken-bitmaps some.raw y
convert --bitmaps some.raw y
convert --bitmaps -O raw deep.qcow2 y
convert --bitmaps -O qcow2 deep.qcow2 some.raw y
convert --bitmaps -O qcow2 broken.qcow2 y
convert --salvage -C some.raw y
convert some.raw some.raw
convert file:some.qcow2 some.qcow2
convert some.qcow2 file:some.qcow2
convert -l s1 -O raw file:deep.qcow2 deep.qcow2
convert -l s1 -O raw json:{"file.filename":"deep.qcow2"} deep.qcow2
convert -l s1 -O raw --image-opts driver=qcow2,file.filename=deep.qcow2 deep.qcow2
convert -n -O qcow2 file:some.qcow2 some.qcow2
convert -n -O qcow2 some.qcow2 file:some.qcow2
convert -n --target-image-opts some.raw driver=raw,file.filename=some.raw
convert -n --target-image-opts some.raw driver=qcow2,file.filename=some.qcow2,read-only=on
resize --image-opts driver=qcow2,file.filename=some.qcow2,read-only=on 9M
resize --image-opts driver=qcow2,file.filename=some.qcow2,file.read-only=yes 9M
resize --image-opts driver=qcow2,file.filename=some.qcow2,read-only=foo 9M
resize json:{"driver":"qcow2","read-only":true,"file":{"driver":"file","filename":"some.qcow2"}} 9M
check -r all --image-opts driver=qcow2,file.filename=some.qcow2,read-only=on
commit --image-opts driver=qcow2,file.filename=over.qcow2,read-only=on
rebase -u -b some.qcow2 -F qcow2 --image-opts driver=qcow2,file.filename=over.qcow2,read-only=on
amend -o compat=0.10 --image-opts driver=qcow2,file.filename=some.qcow2,read-only=on
bitmap --add --image-opts driver=qcow2,file.filename=some.qcow2,read-only=on b
snapshot -c x --image-opts driver=qcow2,file.filename=some.qcow2,read-only=on
info --image-opts driver=qcow2,file.filename=some.qcow2,read-only=on
info --image-opts driver=qcow2,file.filename=some.qcow2,read-only=foo
snapshot -c x some.raw
snapshot -d nope deep.qcow2
snapshot -a nope deep.qcow2
snapshot -l -c x deep.qcow2
measure -O vdi --size 1G
measure
measure --size 1G some.raw
compare some.raw
""".strip().splitlines()]


def contents():
    found = {}
    for name in os.listdir("."):
        if os.path.isfile(name):
            with open(name, "rb") as image:
                found[name] = image.read()
    return found


@case()
def mistakes_are_answered_alike_and_change_no_image():
    images()
    before = contents()
    for args in MISTAKES:
        answer(OURS, ".", args)
    # qemu-img itself changes an image with bitmaps when it opens it.
    changed = [name for name, content in contents().items() if before.get(name, content) != content]
    equal("changed images", changed, [])
    for args in MISTAKES:
        same_answer(*args)
    same_answer()


WRITES = [line.split(" ") for line in """
create -f qcow2 -o size=1k,refcount_bits=16,lazy_refcounts=yes,compat=v3,extended_l2=n y
create -f qcow2 -o cluster_size=0x1000,preallocation=metadata y 1M
create -q -f qcow2 -b some.raw -F raw y
create -f qcow2 -u -b nothere -F raw y 1M
create -f qcow2 -b some.qcow2 -F qcow2 y 9M
resize some.raw 9M
resize -q over.qcow2 +1M
resize --shrink some.qcow2 1M
commit over.qcow2
commit -q -d over.qcow2
rebase -u -b c -F raw over.qcow2
rebase -b empty.qcow2 -F qcow2 over.qcow2
rebase -b  over.qcow2
amend -o compat=0.10 some.qcow2
bitmap --add --disable deep.qcow2 b9
bitmap --remove deep.qcow2 b0
snapshot -c s2 deep.qcow2
snapshot -d s1 deep.qcow2
dd -O qcow2 if=some.raw of=y bs=64k count=2
dd if=some.raw of=y bs=64k skip=3
dd if=some.raw of=y
convert -l s1 deep.qcow2 y
convert -O qcow2 -c some.raw y
convert -O qcow2 -B some.qcow2 -F qcow2 over.qcow2 y
convert -O raw some.raw over.qcow2 y
convert -n -O qcow2 some.raw some.qcow2
convert --bitmaps -O qcow2 deep.qcow2 y
convert --bitmaps --skip-broken-bitmaps -O qcow2 broken.qcow2 y
""".strip("\n").splitlines()]
# Formats and what their line "Formatting ..." shows.
WRITES += [["create", "-f", fmt, "y", "5M"] for fmt in FORMATS]
WRITES += [["convert", "-O", fmt, "over.qcow2", "y"] for fmt in FORMATS]


def same_images(ours, theirs):
    for name in sorted(set(os.listdir(ours)) | set(os.listdir(theirs))):
        pair = [os.path.join(where, name) for where in (ours, theirs)]
        if [os.path.exists(path) for path in pair] != [True, True]:
            raise Failed(f"{name} is in one directory only")
        equal(f"description of {name}", *[
            [line for line in answer("qemu-img", where, ["info", name])[1].splitlines()
             if line.startswith(("file format", "virtual size", "backing file", "            name",
                                 "            granularity", "                [0]"))]
            for where in (ours, theirs)])
        if call("qemu-img", "compare", *pair).returncode == 1:
            raise Failed(f"{name} has another content")


@case(*(" ".join(args) for args in WRITES))
def changes_are_reported_alike_and_leave_the_same(line):
    images()
    names = os.listdir(".")
    answers = []
    for where, program in (("ours", OURS), ("theirs", "qemu-img")):
        os.mkdir(where)
        for name in names:
            shutil.copy(name, where)
        answers.append(answer(program, where, line.split(" ")))
    equal("answer", *answers)
    same_images("ours", "theirs")


if __name__ == "__main__":
    sys.exit(main())
