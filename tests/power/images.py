# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts in commands over image files: no daemon recovers them, the next command opens them.

Each image must then be sound (leaked space is allowed) to our own check and to QEMU's, and show
what it showed before the command or what it shows after it.
"""

import collections
import hashlib
import json
import os

from disk import write_tree
from harness import space
from harness.operations import EMBED, POOL, SHOTS_INSIDE, WORK, Operation, cistern, expect
from harness.peers import run
from harness.pictures import CLEAN, qcow2_of
from scenes import DRAFT, STATES, Scene

# QEMU opens no differencing VHD or VHDX, and has no check of these.
UNKNOWN_TO_QEMU = ("vpc", "vhdx", "qcow")


class ImageOperation(Operation):
    """images: what is looked at, {p}/NAME each. same: those of them that show the same at every
    moment, whatever becomes of the others. between: their content may be partly new. repairs: they
    are broken before."""

    def __init__(self, name, command, before=(), images=("image",), same=(), between=False,
                 repairs=False):
        super().__init__(name, command, before)
        self.images, self.same, self.between, self.repairs = images, same, between, repairs


# What one image is: damage (None: sound), a digest of what the guest sees, of what each of its
# snapshots holds, and what image-info tells of it.
Look = collections.namedtuple("Look", "damage content snapshots info")

# What image-info tells differently of two images that are the same.
VARIES = ("actual_size", "dirty_flag", "cid", "parent_cid", "snapshots")


def steady(info):
    """Without what varies, however deep it lies."""
    if isinstance(info, dict):
        return {key: steady(value) for key, value in info.items() if key not in VARIES}
    return [steady(value) for value in info] if isinstance(info, list) else info


def damage_of(path, form, report):
    """What our own check, which has given the report, and QEMU's say against the image."""
    errors = [finding["text"] for finding in report["findings"] if finding["kind"] == "error"]
    # That it was not closed is what the mark is for, which QEMU, too, takes for an error.
    marked = [text for text in errors if "was not closed" in text]
    if report["check_errors"] or errors != marked:
        return f"image-check: {report}"
    if marked or form in UNKNOWN_TO_QEMU:
        return None
    status, out, err = run(["qemu-img", "check", "-f", form, path])
    return None if status in CLEAN else f"qemu-img check: {out}{err}"


def digest(content):
    return hashlib.sha1(content).hexdigest()


def look(path):
    guest = space.path("guest")
    if os.path.exists(guest):
        os.unlink(guest)
    _, out, err = run([space.CISTERN, f"image-info --json {path}; image-check --json {path}; "
                       f"image-convert --backing-chain {path} {guest}"])
    told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    if not told or not os.path.exists(guest):
        return Look(f"cannot be read: {err}", None, {}, None)
    info = told[0]["images"][0]
    form = info["format"]
    with open(guest, "rb") as stream:
        content = digest(stream.read())
    snapshots = {name: digest(held) for name, held in qcow2_of(path)[1].items()} \
        if "snapshots" in info else {}
    # The log of a VHDX is part of it, and image-info does not look there.
    is_shown = form != "vhdx" or not info["dirty_flag"]
    return Look(damage_of(path, form, told[1]) if form != "raw" else None, content, snapshots,
                steady(info) if is_shown else None)


def differences(found, wanted):
    """What of {name: Look} is not as wanted."""
    if set(found) != set(wanted):
        return f"there are {sorted(found)}, not {sorted(wanted)}"
    return "; ".join(f"{field} of {name}: {one}, not {other}" for name in sorted(found)
                     if found[name] for field, one, other in
                     zip(Look._fields, found[name], wanted[name])
                     if one != other and not (field == "info" and one is None))


class ImageScene(Scene):
    most = STATES // 2  # there are many formats

    def put(self, tree):
        write_tree(WORK, tree)
        return self.look(), ""

    def look(self):
        """{name: Look} of the images that are there; None for other files."""
        found = {name: None for name in os.listdir(POOL) if not DRAFT.match("pool/" + name)}
        for name in self.operation.images:
            if name in found:
                found[name] = look(os.path.join(POOL, name))
        return found

    def check(self, tree, acknowledged, natural):
        found, _ = self.put(tree)
        undone = differences(found, self.after)
        if acknowledged:
            expect(not undone, f"acknowledged, and {undone}")
            return
        if not self.operation.repairs:
            self.check_images(found)
        if undone and (natural or self.operation.repairs):
            status, out, err = cistern(EMBED, self.operation.command)
            expect(status == 0, f"repeating it failed: {out}{err}")
            undone = differences(self.look(), self.after)
            expect(not undone, f"repeated, and {undone}")

    def check_images(self, found):
        for name, image in found.items():
            expect(not image or not image.damage, f"{name}: {image and image.damage}")
        for name in self.operation.same:
            expect(found[name].content == self.before[name].content,
                   f"{name} shows something else")
            expect(found[name].info in (None, self.before[name].info, self.after[name].info),
                   f"{name} is {found[name].info}")
        if not self.operation.same and not self.operation.between:
            first, second = (differences(found, side) for side in (self.before, self.after))
            expect(not first or not second, f"neither before ({first}) nor after ({second})")


def below(form):
    """An image "over" of @form based on "one"; "two" has other content."""
    return [f"image-convert {{p}}/raw {{p}}/one --source-format raw --target-format {form}",
            f"image-convert {{p}}/cow {{p}}/two --target-format {form}",
            f"image-create {{p}}/over --format {form} --backing one --backing-format {form}"]


def layered(form):
    rebase = f"image-rebase {{p}}/over --backing two --backing-format {form}"
    yield ImageOperation(f"image-flatten-{form}", "image-flatten {p}/over --backing-chain",
                         below(form), ("over",), same=("over",))
    yield ImageOperation(f"image-rebase-{form}", rebase + " --backing-chain", below(form),
                         ("over",), same=("over",))
    yield ImageOperation(f"image-rebase-unsafe-{form}", rebase + " --unsafe", below(form),
                         ("over",))
    # With what one and two differ in, which the rebase has left in it.
    yield ImageOperation(f"image-commit-{form}", "image-commit {p}/over --backing-chain --yes",
                         below(form) + [rebase + " --backing-chain"], ("over", "two"),
                         same=("over",))


def any_format(form):
    made = [f"image-convert {{p}}/cow {{p}}/image --target-format {form}"]
    zeroes = f"!qemu-io -f {form} -c 'write -P 0 64k 128k' {{p}}/image"
    yield ImageOperation(f"image-sparsify-{form}", f"image-sparsify {{p}}/image --format {form}",
                         made + [zeroes], same=("image",))
    yield ImageOperation(f"image-dd-{form}", "image-dd if={p}/cow of={p}/image bs=64k skip=1 "
                         f"count=6 --target-format {form}")
    yield ImageOperation(f"image-resize-{form}", f"image-resize {{p}}/image 8M --format {form}",
                         made)


def qcow2_only():
    def amended(name, options, before=(), **more):
        return ImageOperation(f"image-amend-{name}", f"image-amend {{p}}/cow --yes --options "
                              f"{options}", before, ("cow",), **more)

    yield amended("down", "compat=0.10", ["!qemu-io -f qcow2 -c 'write -z 0 64k' {p}/cow"])
    yield amended("up", "compat=1.1", ["image-amend {p}/cow --options compat=0.10"])
    yield amended("lazy", "lazy_refcounts=on")
    yield amended("refcounts", "refcount_bits=64")
    yield amended("size", "size=4M")
    yield amended("shrink", "size=512k --shrink")
    inside = [("create", "--create s"), ("revert", "--apply one"), ("delete", "--delete one")]
    for name, how in inside:
        yield ImageOperation(f"image-snapshot-{name}", f"image-snapshot {{p}}/cow {how} --yes",
                             SHOTS_INSIDE, ("cow",))
    bitmaps = ["image-bitmap {p}/cow a --add", "image-bitmap {p}/cow b --add",
               "!qemu-io -f qcow2 -c 'write -P 9 100k 99k' {p}/cow",
               "image-bitmap {p}/cow b --disable"]
    for name, how in (("add", "c --add"), ("remove", "a --remove"), ("clear", "a --clear"),
                      ("enable", "b --enable"), ("disable", "a --disable"),
                      ("merge", "b --merge a")):
        yield ImageOperation(f"image-bitmap-{name}", f"image-bitmap {{p}}/cow {how}", bitmaps,
                             ("cow",))


# Where the first entry of an image's table is, how long one is, and how many there are from one
# that is used to the next one.
TABLES = {"vdi": (512, 4, 3), "vmdk": (13824, 4, 1), "vhdx": (3 << 20, 8, 3),
          "parallels": (64, 4, 3), "qed": (393216, 8, 1), "qcow": (8192, 8, 130)}


def checks():
    wrong = "!qemu-io -f raw -c 'write -P {} {} {}' {{p}}/{}"
    leak = wrong.format(1, 131105, 1, "cow")  # counted, beyond the end
    yield ImageOperation("image-check-leaks", "image-check {p}/cow --repair leaks", [leak],
                         ("cow",))
    yield ImageOperation("image-check-qcow2", "image-check {p}/cow --repair all",
                         [leak, wrong.format(0, 131082, 4, "cow")], ("cow",), repairs=True)
    big = ["!qemu-img create -q -f qcow2 {p}/big 6M", "!qemu-io -c 'write -P 5 0 300k' "
           "-c 'write -P 6 3M 300k' -c 'write -P 7 5M 100k' {p}/big",
           "!qemu-io -f qcow2 -c 'write -P 6 64k 64k' {p}/cow"]
    for form, (first, size, step) in TABLES.items():
        options = " --options block_size=1M" if form == "vhdx" else ""
        # In one piece where a table's place depends on who comes first.
        source = "cow" if form in ("qed", "qcow") else "big"
        made = f"image-convert {{p}}/{source} {{p}}/image --target-format {form}{options}"
        same_place = f"!dd if={{p}}/image of={{p}}/image bs={size} count=1 conv=notrunc " \
            f"skip={first // size} seek={first // size + step} status=none"
        yield ImageOperation(f"image-check-{form}", "image-check {p}/image --repair all",
                             big + [made, same_place], repairs=True)
    yield ImageOperation("image-check-vpc", "image-check {p}/image --repair leaks",
                         big + ["!qemu-img convert -m 1 -O vpc {p}/big {p}/image",
                                wrong.format(255, 1540, 4, "image")])


IMAGE_OPERATIONS = [
    *[operation for form in ("qcow2", "qcow", "qed", "vmdk", "vpc", "vhdx")
      for operation in layered(form)],
    *[operation for form in ("raw", "qcow2", "qcow", "qed", "vdi", "vmdk", "vpc", "vhdx",
                             "parallels")
      for operation in any_format(form)],
    *qcow2_only(),
    *checks(),
]
