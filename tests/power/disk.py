# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a disk may hold after a power cut, played from a record of changes and syncs (record.c).

A file system promises this much, and no more is taken for granted:

- A file's data and size are there for good after a sync of the file, fdatasync or fsync; its mode
  and attributes after fsync.
- A directory's entries are there for good after a sync of the directory. A file that was synced in
  a directory that was not has no name; a directory whose parent was not synced is lost whole.
- What was not synced is there or not, each change for itself, whatever came before or after it.
  Only changes of one and the same thing (an entry, a block) reach it in their order, and what comes
  after a file was cut comes after the cut.
- A rename is there whole or not at all. A write may be there in part; it may have made the file
  longer, and have left zeroes there.
"""

import collections
import hashlib
import itertools
import os
import random
import shutil
import stat

BLOCK = 4096
PIECES = 4  # of a write that may be there in part

Record = collections.namedtuple("Record", "verb a b c one two")


def read_log(path):
    records = []
    with open(path, "rb") as stream:
        while line := stream.readline():
            verb, *numbers = line.split()
            a, b, c, first, second = map(int, numbers)
            records.append(Record(verb.decode(), a, b, c, stream.read(first), stream.read(second)))
    return records


class Thing:
    """A file, directory or link. Links have their target for content."""

    def __init__(self, kind, mode=0, content=b"", attributes=(), origin=None):
        self.kind, self.mode, self.content, self.origin = kind, mode, content, origin
        self.attributes = dict(attributes)


class Node(collections.namedtuple("Node", "kind mode content attributes origin", defaults=[None])):
    """What is at a path. origin: the number of the inode that a file was when the recording began;
    nodes are equal without it."""

    __slots__ = ()

    def __eq__(self, other):
        return isinstance(other, Node) and self[:4] == other[:4]

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(self[:4])


def node_of(path):
    kind = "link" if os.path.islink(path) else "dir" if os.path.isdir(path) else "file"
    mode = os.lstat(path).st_mode & 0o7777
    if kind == "link":
        return Node(kind, mode, os.readlink(path).encode(), ())
    if kind == "dir":
        return Node(kind, mode, b"", ())
    attributes = tuple(sorted((name, os.getxattr(path, name)) for name in os.listxattr(path)
                              if name.startswith("user.")))
    with open(path, "rb") as stream:
        return Node(kind, mode, stream.read(), attributes)


def read_tree(top):
    """{path below @top: Node}; sockets are left out."""
    paths = [os.path.join(folder, name) for folder, folders, files in os.walk(top)
             for name in folders + files]
    return {os.path.relpath(path, top): node_of(path) for path in paths
            if not stat.S_ISSOCK(os.lstat(path).st_mode)}


def write_file(path, node):
    """In place, so that a file that is there stays the same one."""
    known = node_of(path) if os.path.exists(path) else None
    if known == node:
        return
    with open(path, "r+b" if known else "xb") as stream:
        if not known or known.content != node.content:
            stream.truncate(0)
            stream.write(node.content)
    os.chmod(path, node.mode)
    for name, _ in known.attributes if known else ():
        os.removexattr(path, name)
    for name, value in node.attributes:
        os.setxattr(path, name, value)


def take_aside(top, tree, held):
    """Moves files that are elsewhere in the tree to @held. Returns {inode: path} of all that are
    in it, whatever their names."""
    wanted = {node.origin: short for short, node in tree.items() if node.origin}
    found = {}
    for folder, _, files in list(os.walk(top)):
        for name in files:
            path = os.path.join(folder, name)
            inode = os.lstat(path).st_ino
            node = tree.get(os.path.relpath(path, top))
            if inode not in wanted or node and node.origin == inode:
                continue
            if inode in found:
                os.unlink(path)
                continue
            found[inode] = os.path.join(held, str(inode))
            os.rename(path, found[inode])
    for short, node in tree.items():
        path = os.path.join(top, short)
        if node.origin and os.path.exists(path) and os.lstat(path).st_ino == node.origin:
            found[node.origin] = path
    return found


def put_back(path, origin, found):
    """Has the file that was @origin have the name @path, as a second one where it has another."""
    if origin in found and found[origin] != path:
        if os.path.exists(path):
            os.unlink(path)
        os.link(found[origin], path)


def write_tree(top, tree):
    """Makes what is below @top the tree; directories that are in both stay the same ones, and so do
    files that were there when the recording began, under whatever names."""
    held = os.path.join(top, ".held")
    os.mkdir(held)
    found = take_aside(top, tree, held)
    for folder, folders, files in os.walk(top, topdown=False):
        if folder == held:
            continue
        for name in folders + files:
            if os.path.join(folder, name) == held:
                continue
            path = os.path.join(folder, name)
            wanted = tree.get(os.path.relpath(path, top))
            is_dir = os.path.isdir(path) and not os.path.islink(path)
            if is_dir and not (wanted and wanted.kind == "dir"):
                os.rmdir(path)
            elif not is_dir and not (wanted and wanted.kind == "file" and not os.path.islink(path)):
                os.unlink(path)
    for short, node in sorted(tree.items()):
        path = os.path.join(top, short)
        if node.kind == "link":
            os.symlink(node.content, path)
        elif node.kind == "file":
            put_back(path, node.origin, found)
            write_file(path, node)
        else:
            os.makedirs(path, exist_ok=True)
            os.chmod(path, node.mode)
    shutil.rmtree(held)


class Change:
    """One thing that the disk has or has not yet. syncs: whose sync makes it durable."""

    def __init__(self, number, syncs, after):
        self.number, self.syncs, self.after = number, syncs, after
        self.entries = ()  # ((directory, name), thing or None)
        self.thing = self.effect = None

    def is_about_inode(self):
        return self.effect is not None and self.effect[0] in ("mode", "attr")


class Disk:
    """The files below @top as they are now, all of them durable, and what is then recorded."""

    def __init__(self, top):
        self.top = top
        self.things = {0: Thing("dir")}
        self.first_inodes = {os.stat(top).st_ino: 0}
        self.first_entries = {}
        self.first_sizes = {}
        places = {"": 0}
        for short, node in sorted(read_tree(top).items()):
            number = len(self.things)
            folder, name = os.path.split(short)
            inode = os.lstat(os.path.join(top, short)).st_ino
            self.things[number] = Thing(node.kind, node.mode, node.content, node.attributes,
                                        inode if node.kind == "file" else None)
            self.first_inodes[inode] = number
            self.first_entries[places[folder], name] = number
            self.first_sizes[number] = len(node.content)
            places[short] = number
        self.first_count = len(self.things)
        self.contents, self.changes = {}, []

    # --- from records to changes ----------------------------------------------------------------

    def play(self, records):
        """Events: ("change", Change), ("sync" or "datasync", thing or None), ("ack", name)."""
        self.things = {n: self.things[n] for n in range(self.first_count)}
        self.inodes, self.sizes = dict(self.first_inodes), dict(self.first_sizes)
        self.now = dict(self.first_entries)
        self.changes, self.events, self.last, self.of_thing = [], [], {}, {}
        self.contents.clear()
        self.paths = []
        for record in records:
            self.paths.append(self.path_of(record))
            getattr(self, "play_" + record.verb)(record)

    def path_of(self, record):
        """Below top, of what the record is about, for plants and for people."""
        if record.verb in ("ack", "syncfs"):
            return ""
        names = {thing: key for key, thing in self.now.items()}
        number = self.inodes[record.a]
        entries = ("create", "mkdir", "symlink", "link", "rename", "remove")
        parts = [record.one.decode()] if record.verb in entries else []
        while number in names:
            number, name = names[number]
            parts.insert(0, name)
        return "/".join(parts)

    def add(self, syncs, keys, thing=None, effect=None, entries=()):
        after = {self.last[key] for key in keys if key in self.last}
        change = Change(len(self.changes), set(syncs), after)
        change.thing, change.effect, change.entries = thing, effect, entries
        for key in keys:
            self.last[key] = change.number
        if thing is not None:
            if ("cut", thing) in self.last and ("cut", thing) not in keys:
                after.add(self.last["cut", thing])
            self.of_thing.setdefault(thing, []).append(change.number)
        after.discard(change.number)
        self.changes.append(change)
        self.events.append(("change", change))

    def set_entries(self, *entries):
        for key, thing in entries:
            if thing is None:
                self.now.pop(key, None)
            else:
                self.now[key] = thing
        self.add({key[0] for key, _ in entries}, [("entry", *key) for key, _ in entries],
                 entries=entries)

    def make(self, record, kind):
        number = len(self.things)
        self.things[number] = Thing(kind, record.c, record.two)
        self.inodes[record.b] = number
        self.sizes[number] = 0
        self.set_entries(((self.inodes[record.a], record.one.decode()), number))

    def play_create(self, record):
        self.make(record, "file")

    def play_mkdir(self, record):
        self.make(record, "dir")

    def play_symlink(self, record):
        self.make(record, "link")

    def play_link(self, record):
        self.set_entries(((self.inodes[record.a], record.one.decode()), self.inodes[record.b]))

    def play_remove(self, record):
        self.set_entries(((self.inodes[record.a], record.one.decode()), None))

    def play_rename(self, record):
        old = self.inodes[record.a], record.one.decode()
        new = self.inodes[record.b], record.two.decode()
        moved = self.now.get(old)
        self.set_entries((old, None), (new, moved))

    def change_data(self, inode, keys, *effect):
        thing = self.inodes[inode]
        self.add({thing}, [(kind, thing, *rest) for kind, *rest in keys], thing, effect)

    def play_write(self, record):
        self.grow(record.a, record.b + len(record.one))
        # Whole blocks but for both ends, so that each piece is of a few blocks of its own.
        end = record.b + len(record.one)
        first, last = record.b // BLOCK, (end - 1) // BLOCK
        step = -(-(last - first + 1) // PIECES)
        for block in range(first, last + 1, step):
            start, stop = max(block * BLOCK, record.b), min((block + step) * BLOCK, end)
            keys = [("block", n) for n in range(block, min(block + step, last + 1))]
            self.change_data(record.a, keys, "write", start,
                             record.one[start - record.b:stop - record.b])

    def play_zero(self, record):
        end = min(record.b + record.c, self.sizes[self.inodes[record.a]])
        if end > record.b:
            keys = [("block", n) for n in range(record.b // BLOCK, (end - 1) // BLOCK + 1)]
            self.change_data(record.a, keys, "zero", record.b, end - record.b)

    def grow(self, inode, size):
        thing = self.inodes[inode]
        if size > self.sizes[thing]:
            self.sizes[thing] = size
            self.change_data(inode, [], "grow", size)

    def play_grow(self, record):
        self.grow(record.a, record.b)

    def play_size(self, record):
        thing = self.inodes[record.a]
        if record.b >= self.sizes[thing]:
            self.grow(record.a, record.b)
            return
        self.sizes[thing] = record.b
        before = list(self.of_thing.get(thing, ()))
        self.change_data(record.a, [("cut",)], "cut", record.b)
        self.changes[-1].after.update(before)

    def play_mode(self, record):
        self.change_data(record.a, [("mode",)], "mode", record.b)

    def play_attr(self, record):
        self.change_data(record.a, [("attr", record.one)], "attr", record.one.decode(), record.two)

    def play_sync(self, record):
        self.events.append(("sync", self.inodes[record.a]))

    def play_datasync(self, record):
        self.events.append(("datasync", self.inodes[record.a]))

    def play_syncfs(self, _record):
        self.events.append(("sync", None))

    def play_ack(self, record):
        self.events.append(("ack", record.one.decode()))

    # --- what is there when some changes are ----------------------------------------------------

    def content(self, number, applied):
        """The Node of a thing with those of its changes, and a short name for its content."""
        key = number, applied
        if key not in self.contents:
            thing = self.things[number]
            data, mode, attributes = bytearray(thing.content), thing.mode, dict(thing.attributes)
            for effect, *rest in (self.changes[n].effect for n in applied):
                if effect == "mode":
                    mode = rest[0]
                elif effect == "attr":
                    attributes[rest[0]] = rest[1]
                else:
                    apply(data, effect, *rest)
            node = Node(thing.kind, mode, bytes(data), tuple(sorted(attributes.items())),
                        thing.origin)
            digest = hashlib.sha1(data).digest()
            self.contents[key] = node, (node.kind, mode, digest, node.attributes)
        return self.contents[key]

    def tree(self, there):
        """({path: Node}, signature) of the disk with the changes whose numbers are in @there."""
        entries, applied = dict(self.first_entries), collections.defaultdict(list)
        for change in self.changes:
            if change.number in there:
                if change.thing is not None:
                    applied[change.thing].append(change.number)
                entries.update(change.entries)
        below = collections.defaultdict(list)
        for (folder, name), number in entries.items():
            if number is not None:
                below[folder].append((name, number))
        found, names = {}, []
        todo = [("", 0)]
        while todo:
            at, folder = todo.pop()
            for name, number in below[folder]:
                path = os.path.join(at, name)
                node, short = self.content(number, tuple(applied[number]))
                found[path] = node
                names.append((path, short))
                if node.kind == "dir":
                    todo.append((path, number))
        return found, hash(tuple(sorted(names)))

    # --- power cuts -----------------------------------------------------------------------------

    def cuts(self):
        """(durable, pending, acknowledged, settles) of each moment; settles: a sync comes next."""
        durable, pending, acknowledged = set(), [], []
        for at, (kind, what) in enumerate(self.events):
            if kind == "change":
                pending.append(what.number)
            elif kind == "ack":
                acknowledged = acknowledged + [what]
            else:
                synced = [n for n in pending if what is None or what in self.changes[n].syncs
                          and not (kind == "datasync" and self.changes[n].is_about_inode())]
                durable |= self.with_needed(synced, set(pending))
                pending = [n for n in pending if n not in durable]
            following = self.events[at + 1][0] if at + 1 < len(self.events) else "end"
            yield set(durable), list(pending), acknowledged, following != "change"

    def with_needed(self, numbers, among):
        """Those, and what of @among has to be there before them."""
        found, todo = set(), list(numbers)
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo += self.changes[number].after & among
        return found

    def without(self, number, pending):
        """All pending ones that can be there when that one is not."""
        lost = {number}
        for later in pending:
            if self.changes[later].after & lost:
                lost.add(later)
        return set(pending) - lost

    def choices(self, pending, settles, chance, tries):
        """Sets of pending changes that may be there: nothing, all; before a sync many more, @tries
        of them by chance."""
        yield set()
        yield set(pending)
        if not settles:
            return
        among = set(pending)
        if len(pending) <= 4:
            for count in range(1, len(pending)):
                for some in itertools.combinations(pending, count):
                    if self.with_needed(some, among) == set(some):
                        yield set(some)
            return
        for number in pending:
            yield self.without(number, pending)
            yield self.with_needed([number], among)
        for _ in range(tries):
            kept = set()
            for number in pending:
                if chance.random() < 0.5 and self.changes[number].after & among <= kept:
                    kept.add(number)
            yield kept

    def states(self, seed=1, tries=8):
        """(tree, acknowledged, natural) of every different state. Natural ones lost all or nothing
        that was not synced, or all data and no name."""
        chance = random.Random(seed)
        seen = set()
        for durable, pending, acknowledged, settles in self.cuts():
            names = self.with_needed([n for n in pending if self.changes[n].thing is None],
                                     set(pending))
            for kept in itertools.chain([names], self.choices(pending, settles, chance, tries)):
                found, name = self.tree(durable | kept)
                if (name, len(acknowledged)) not in seen:
                    seen.add((name, len(acknowledged)))
                    yield found, acknowledged, kept == names or len(kept) in (0, len(pending))

    def first(self):
        """The tree before anything of the record."""
        return self.tree(set())[0]

    def final(self):
        return self.tree(set(range(len(self.changes))))[0]


def apply(data, effect, *rest):
    if effect == "cut":
        del data[rest[0]:]
        return
    start, end = {"grow": lambda size: (size, size), "zero": lambda at, n: (at, at + n),
                  "write": lambda at, piece: (at, at + len(piece))}[effect](*rest)
    if effect == "zero":
        end = min(end, len(data))
    elif len(data) < end:
        data.extend(bytes(end - len(data)))
    if effect == "write":
        data[start:end] = rest[1]
    elif effect == "zero" and end > start:
        data[start:end] = bytes(end - start)
