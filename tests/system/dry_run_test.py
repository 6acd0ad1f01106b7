# SPDX-License-Identifier: LGPL-2.1-or-later
"""--dry-run: fails as the command would, with its words and its status, and changes nothing."""

import json
import os
import subprocess

from harness import cases, peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
SECRET = "aaaaaaaa-0000-0000-0000-00000000000d"
MISSING = "aaaaaaaa-0000-0000-0000-00000000000e"

# By command: what succeeds, and what fails in all ways that a check of it knows. {at} is the
# directory of pools. Of the volumes: "v" and "big" are raw, "q" is qcow2 with the snapshot "s",
# "mid" is based on "base" and "top" on "mid", "held" and "heldraw" are open in QEMU, "broken" is a
# damaged qcow2, "lost" is based on nothing that is there.
CASES = {
    "pool-define-as": (["pool-define-as new dir --target {at}/new"],
                       ["pool-define-as p dir --target {at}/new",
                        "pool-define-as new dir --target {at}/p",
                        "pool-define-as new dir", "pool-define-as a/b dir --target {at}/new"]),
    "pool-define": (["pool-define {at}/new.xml", "pool-define {at}/idle.xml"],
                    ["pool-define {at}/none.xml", "pool-define {at}/data"]),
    "pool-create-as": (["pool-create-as new dir --target {at}/idle2",
                        "pool-create-as new dir --target {at}/new --build"],
                       ["pool-create-as new dir --target {at}/new",
                        "pool-create-as p dir --target {at}/idle2",
                        "pool-create-as new dir --target {at}/p",
                        "pool-create-as new dir --target {at}/new --build --overwrite"]),
    "pool-create": (["pool-create {at}/new.xml --build"], ["pool-create {at}/new.xml"]),
    "pool-build": (["pool-build idle", "pool-build away"],
                   ["pool-build p", "pool-build none", "pool-build idle --overwrite",
                    "pool-build onfile"]),
    "pool-start": (["pool-start idle", "pool-start away --build"],
                   ["pool-start p", "pool-start none", "pool-start away", "pool-start onfile"]),
    "pool-destroy": (["pool-destroy p"], ["pool-destroy idle", "pool-destroy none"]),
    "pool-delete": (["pool-delete idle"],
                    ["pool-delete p", "pool-delete full", "pool-delete away"]),
    "pool-undefine": (["pool-undefine idle"], ["pool-undefine p", "pool-undefine none"]),
    "pool-autostart": (["pool-autostart p"], ["pool-autostart none", "pool-autostart transient"]),
    "vol-create-as": (["vol-create-as p new 1M", "vol-create-as p new 1T --format qcow2",
                       "vol-create-as p new 1M --format qcow2 --backing-vol base "
                       "--backing-vol-format qcow2", "vol-create-as p new 1M --format vhdx"],
                      ["vol-create-as p v 1M", "vol-create-as idle new 1M",
                       "vol-create-as none new 1M", "vol-create-as p a/b 1M",
                       "vol-create-as p new 1M --format bochs",
                       "vol-create-as p new 1M --format nothing",
                       "vol-create-as p new 1M --backing-vol base --backing-vol-format qcow2",
                       "vol-create-as p new 1M --format qcow2 --backing-vol none "
                       "--backing-vol-format qcow2",
                       "vol-create-as p new 1M --prealloc-metadata",
                       "vol-create-as p new 9E --format qcow2"]),
    "vol-create": (["vol-create p {at}/vol.xml"],
                   ["vol-create p {at}/taken.xml", "vol-create p {at}/lost.xml",
                    "vol-create p {at}/data", "vol-create idle {at}/vol.xml"]),
    "vol-create-from": (["vol-create-from p {at}/vol.xml v --inputpool p"],
                        ["vol-create-from p {at}/taken.xml v --inputpool p",
                         "vol-create-from p {at}/vol.xml none --inputpool p",
                         "vol-create-from p {at}/vol.xml held --inputpool p"]),
    "vol-clone": (["vol-clone v new --pool p", "vol-clone q new --pool p",
                   "vol-clone v new --pool p --linked"],
                  ["vol-clone v q --pool p", "vol-clone v q --pool p --linked", "vol-clone v v --pool p",
                   "vol-clone none new --pool p", "vol-clone held new --pool p",
                   "vol-clone broken new --pool p", "vol-clone v a/b --pool p"]),
    "vol-delete": (["vol-delete v --pool p", "vol-delete dir --pool p"],
                   ["vol-delete none --pool p", "vol-delete held --pool p",
                    "vol-delete heldraw --pool p", "vol-delete base --pool p",
                    "vol-delete fulldir --pool p", "vol-delete v --pool idle"]),
    "vol-wipe": (["vol-wipe v --pool p", "vol-wipe big --pool p --algorithm random"],
                 ["vol-wipe held --pool p", "vol-wipe base --pool p", "vol-wipe dir --pool p",
                  "vol-wipe v --pool p --algorithm hammer", "vol-wipe none --pool p"]),
    "vol-resize": (["vol-resize v 8M --pool p", "vol-resize v 1M --pool p --shrink",
                    "vol-resize q +1M --pool p", "vol-resize base 64M --pool p"],
                   ["vol-resize v 1M --pool p", "vol-resize held 8M --pool p",
                    "vol-resize base 1M --pool p --shrink",
                    "vol-resize broken 8M --pool p", "vol-resize v 8000T --pool p --allocate",
                    "vol-resize dir 8M --pool p", "vol-resize none 8M --pool p"]),
    "vol-upload": (["vol-upload v {at}/data --pool p"],
                   ["vol-upload held {at}/data --pool p", "vol-upload base {at}/data --pool p",
                    "vol-upload v {at}/none --pool p", "vol-upload dir {at}/data --pool p"]),
    "vol-download": (["vol-download v {at}/fresh --pool p"],
                     ["vol-download held {at}/fresh --pool p",
                      "vol-download v {at}/none/fresh --pool p",
                      "vol-download none {at}/fresh --pool p"]),
    "vol-export": (["vol-export v {at}/fresh --pool p", "vol-export q {at}/fresh.ova --pool p"],
                   ["vol-export held {at}/fresh --pool p", "vol-export none {at}/fresh --pool p",
                    "vol-export v {at}/none/fresh --pool p",
                    "vol-export v {at}/fresh --pool p --format nothing",
                    "vol-export q {at}/fresh --pool p --snapshot none",
                    "vol-export lost {at}/fresh --pool p", "vol-export dir {at}/fresh --pool p"]),
    "vol-check": (["vol-check q --pool p --repair all"],
                  ["vol-check held --pool p --repair all", "vol-check v --pool p --repair all",
                   "vol-check q --pool p --repair some"]),
    "vol-flatten": (["vol-flatten top --pool p"],
                    ["vol-flatten lost --pool p", "vol-flatten held --pool p",
                     "vol-flatten none --pool p"]),
    "vol-commit": (["vol-commit top --pool p --yes"],
                   ["vol-commit base --pool p --yes", "vol-commit lost --pool p --yes",
                    "vol-commit top --pool p --base none --yes",
                    "vol-commit mid2 --pool p --yes"]),
    "vol-consolidate": (["vol-consolidate top --pool p",
                         "vol-consolidate top --pool p --delete-layers --yes",
                         "vol-consolidate mid --pool p --keep 4"],
                        ["vol-consolidate lost --pool p", "vol-consolidate none --pool p",
                         "vol-consolidate top --pool p --base none",
                         "vol-consolidate top --pool p --keep 1"]),
    "vol-protect": (["vol-protect v --pool p"], ["vol-protect none --pool p"]),
    "vol-unprotect": (["vol-unprotect v --pool p"], ["vol-unprotect none"]),
    "vol-tag": (["vol-tag v gold --pool p"], ["vol-tag none gold --pool p", "vol-tag v .x --pool p",
                                              "vol-tag q gold --snapshot none --pool p"]),
    "vol-note": (["vol-note v text --pool p"], ["vol-note none text --pool p"]),
    "trash-restore": (["trash-restore gone --pool kept"],
                      ["trash-restore none --pool kept", "trash-restore gone --pool kept --name v"]),
    "trash-empty": (["trash-empty --pool kept --yes", "trash-empty gone --pool kept --yes"],
                    ["trash-empty none --pool kept --yes"]),
    "vol-rename": (["vol-rename v new --pool p", "vol-rename mid new --pool p"],
                   ["vol-rename v q --pool p", "vol-rename none new --pool p",
                    "vol-rename held new --pool p", "vol-rename v a/b --pool p",
                    "vol-rename v v --pool p", "vol-rename v new --pool idle"]),
    "vol-sparsify": (["vol-sparsify q --pool p"],
                     ["vol-sparsify held --pool p", "vol-sparsify none --pool p"]),
    "vol-convert": (["vol-convert v new --pool p --format qcow2"],
                    ["vol-convert v q --pool p --format qcow2",
                     "vol-convert v new --pool p --format nothing",
                     "vol-convert v new --pool p --format qcow2 -o cluster_size=3",
                     "vol-convert held new --pool p --format raw",
                     "vol-convert lost new --pool p --format raw",
                     "vol-convert broken new --pool p --format raw"]),
    "vol-import": (["vol-import {at}/data new --pool p --source-format raw", "vol-import {at}/p/base new --pool p",
                    "vol-import {at}/data new --pool p --source-format raw --format qcow2 --resize 4M"],
                   ["vol-import {at}/data v --pool p --source-format raw", "vol-import {at}/none new --pool p",
                    "vol-import {at}/data new --pool idle --source-format raw", "vol-import {at}/data a/b --pool p",
                    "vol-import {at}/p/top new --pool p", "vol-import {at}/p/broken new --pool p",
                    "vol-import {at}/data new --pool p --source-format raw --format nothing",
                    "vol-import {at}/data new --pool p --source-format raw --resize 1k",
                    "vol-import {at}/data new --pool p --source-format raw --max-size 1k",
                    "vol-import {at}/data new --pool p --source-format raw --checksum sha256:" + "0" * 64]),
    "vol-trust": (["vol-trust v --pool p", "vol-trust q --pool p"],
                  ["vol-trust none --pool p", "vol-trust dir --pool p",
                   "vol-trust v --pool p --format nothing"]),
    "pool-limits": (["pool-limits p --overcommit 1.5", "pool-limits p --quota 1G --volumes off"],
                    ["pool-limits none --quota 1G", "pool-limits p --overcommit 0"]),
    "pool-chains": (["pool-chains p --warn 8", "pool-chains p --refuse 16 --warn off"],
                    ["pool-chains none --warn 8", "pool-chains p --warn 1",
                     "pool-chains p --warn 9 --refuse 8"]),
    "pool-thresholds": (["pool-thresholds p --warn 80", "pool-thresholds p --critical off"],
                        ["pool-thresholds none --warn 80", "pool-thresholds p --warn x"]),
    "pool-autoextend": (["pool-autoextend p --threshold off"],
                        ["pool-autoextend none --threshold 80", "pool-autoextend p --threshold x",
                         "pool-autoextend p --threshold 80"]),
    "pool-trash": (["pool-trash p --days 7", "pool-trash p --days off"],
                   ["pool-trash none --days 7", "pool-trash p --days x", "pool-trash kept --days off"]),
    "pool-trust": (["pool-trust p --follow pools"],
                   ["pool-trust none --follow none", "pool-trust p --follow sideways"]),
    "vol-rebase": (["vol-rebase top --pool p -b base -F qcow2",
                    "vol-rebase top --pool p -b base -F qcow2 --unsafe"],
                   ["vol-rebase base --pool p -b top -F qcow2",
                    "vol-rebase v --pool p -b base -F qcow2",
                    "vol-rebase top --pool p -b none -F qcow2",
                    "vol-rebase held --pool p -b base -F qcow2"]),
    "vol-bitmap": (["vol-bitmap q new --pool p --add"],
                   ["vol-bitmap q b --pool p --add", "vol-bitmap q none --pool p --remove",
                    "vol-bitmap v b --pool p --add", "vol-bitmap held b --pool p --add"]),
    "snap-create": (["snap-create q new --pool p"],
                    ["snap-create q s --pool p",
                     "snap-create held new --pool p", "snap-create q a/b --pool p"]),
    "snap-revert": (["snap-revert q s --pool p --yes"],
                    ["snap-revert q none --pool p --yes", "snap-revert v s --pool p --yes"]),
    "snap-delete": (["snap-delete q s --pool p --yes"],
                    ["snap-delete q none --pool p --yes", "snap-delete v s --pool p --yes"]),
    "snap-rename": (["snap-rename q s new --pool p"],
                    ["snap-rename q none new --pool p", "snap-rename q s s2 --pool p"]),
    "snap-clone": (["snap-clone q s new --pool p"],
                   ["snap-clone q none new --pool p", "snap-clone q s v --pool p"]),
    "backup-init": (["backup-init {at}/repo2 --no-encryption",
                     "backup-init {at}/idle --key-file {at}/value", "backup-init p --no-encryption"],
                    ["backup-init {at}/repo --no-encryption", "backup-init {at}/repo2",
                     "backup-init {at}/full --no-encryption",
                     "backup-init none --no-encryption",
                     "backup-init {at}/repo2 --no-encryption --chunk 1k"]),
    "backup-create": (["backup-create {at}/repo p/v", "backup-create {at}/repo p/q --together",
                       "backup-create {at}/repo p/v p/q --incremental"],
                      ["backup-create {at}/repo p/none", "backup-create {at}/repo p/held",
                       "backup-create {at}/none p/v", "backup-create {at}/repo",
                       "backup-create {at}/repo --key-file {at}/value p/v",
                       "backup-create {at}/repo p/held --together",
                       "backup-create {at}/repo p/held --incremental"]),
    "backup-restore": (["backup-restore {at}/repo latest --newname new",
                        "backup-restore {at}/repo latest --newname new --format vhdx"],
                       ["backup-restore {at}/repo latest", "backup-restore {at}/repo ffff",
                        "backup-restore {at}/repo latest --newname a/b",
                        "backup-restore {at}/repo latest --newname new --format nothing",
                        "backup-restore {at}/repo latest --newname new --pool idle",
                        "backup-restore {at}/repo latest none --newname new"]),
    "backup-prove": (["backup-prove {at}/repo latest", "backup-prove {at}/repo latest --pool p",
                      "backup-prove {at}/repo latest --content-only --scratch p"],
                     ["backup-prove {at}/repo ffff", "backup-prove {at}/repo latest --pool idle",
                      "backup-prove {at}/repo latest --scratch {at}/none",
                      "backup-prove {at}/repo latest --scratch none"]),
    "backup-forget": (["backup-forget {at}/repo latest --yes"],
                      ["backup-forget {at}/repo ffff --yes", "backup-forget {at}/repo --yes"]),
    "backup-repair": (["backup-repair {at}/repo"], ["backup-repair {at}/none"]),
    "backup-prune": (["backup-prune {at}/repo"], ["backup-prune {at}/none"]),
    "backup-unlock": (["backup-unlock {at}/repo"], ["backup-unlock {at}/none"]),
    "secret-define": (["secret-define {at}/secret2.xml"],
                      ["secret-define {at}/data", "secret-define {at}/none"]),
    "secret-undefine": (["secret-undefine " + SECRET], ["secret-undefine " + MISSING]),
    "secret-seal": (["secret-seal " + SECRET, "secret-seal --all", "secret-seal --rekey"],
                    ["secret-seal " + MISSING, "secret-seal", "secret-seal --all " + SECRET]),
    "secret-unseal": (["secret-unseal " + SECRET, "secret-unseal --all"],
                      ["secret-unseal " + MISSING, "secret-unseal"]),
    "secret-set-value": (["secret-set-value " + SECRET + " --file {at}/value --plain"],
                         ["secret-set-value " + MISSING + " --file {at}/value --plain",
                          "secret-set-value " + SECRET + " --file {at}/none",
                          "secret-set-value " + SECRET]),
    "job-cancel": (["job-cancel {job}"], ["job-cancel 4711"]),
    "job-rate": (["job-rate {job} 10M"], ["job-rate 4711 10M"]),
    "image-create": (["image-create {at}/fresh.img 8M --format qcow2",
                      "image-create {at}/fresh.img 8T --format raw"],
                     ["image-create {at}/none/fresh.img 8M --format qcow2",
                      "image-create {at}/fresh.img 8M --format qcow2 -o cluster_size=3",
                      "image-create {at}/p/held 8M --format qcow2 --yes",
                      "image-create {at}/fresh.img 8M --format qcow2 -b {at}/none -F raw"]),
    "image-convert": (["image-convert {at}/data {at}/fresh.img -f raw -O qcow2",
                       "image-convert -n {at}/data {at}/p/q -f raw -O qcow2 --yes",
                       "image-convert {at}/data {at}/fresh.img -f raw -O qcow2 -B {at}/p/base "
                       "-F qcow2"],
                      ["image-convert {at}/none {at}/fresh.img -f raw -O qcow2",
                       "image-convert {at}/data {at}/none/fresh.img -f raw -O qcow2",
                       "image-convert {at}/p/held {at}/fresh.img -f qcow2 -O raw",
                       "image-convert {at}/p/top {at}/fresh.img -f qcow2 -O raw",
                       "image-convert {at}/data {at}/fresh.img -f raw -O vdi -c",
                       "image-convert -n {at}/data {at}/none -f raw -O raw --yes",
                       "image-convert -n {at}/data {at}/p/held -f raw -O qcow2 --yes",
                       "image-convert {at}/data {at}/fresh.img -f raw -O qcow2 -B {at}/none -F raw"
                       ]),
    "image-dd": (["image-dd -f raw -O qcow2 if={at}/data of={at}/fresh.img count=3"],
                 ["image-dd -f raw if={at}/none of={at}/fresh.img",
                  "image-dd -f raw if={at}/data of={at}/none/fresh.img",
                  "image-dd -f raw if={at}/data of={at}/fresh.img skip=1T"]),
    "image-bench": (["image-bench {at}/data -f raw -w -c 4 -s 512 --yes"],
                    ["image-bench {at}/p/held -f qcow2 -w -c 4 --yes",
                     "image-bench {at}/data -f raw -w -s 60M --yes"]),
    "image-check": (["image-check {at}/p/q -f qcow2 --repair all"],
                    ["image-check {at}/p/held -f qcow2 --repair all"]),
    "image-amend": (["image-amend {at}/p/base -f qcow2 -o compat=0.10",
                     "image-amend {at}/p/base -f qcow2 -o size=1M --shrink --yes"],
                    ["image-amend {at}/p/held -f qcow2 -o compat=0.10",
                     "image-amend {at}/p/base -f qcow2 -o cluster_size=4k",
                     "image-amend {at}/data -f raw -o size=1M",
                     "image-amend {at}/p/broken -f qcow2 -o compat=0.10"]),
    "image-resize": (["image-resize {at}/p/base +1M -f qcow2",
                      "image-resize {at}/data 1k -f raw --shrink --yes"],
                     ["image-resize {at}/p/held 8M -f qcow2",
                      "image-resize {at}/data 1k -f raw", "image-resize {at}/none 8M -f raw",
                      "image-resize {at}/p/broken 8M -f qcow2"]),
    "image-snapshot": (["image-snapshot {at}/p/q -f qcow2 --create new",
                        "image-snapshot {at}/p/q -f qcow2 --apply s --yes"],
                       ["image-snapshot {at}/p/q -f qcow2 --create s",
                        "image-snapshot {at}/p/q -f qcow2 --delete none --yes",
                        "image-snapshot {at}/data -f raw --create new",
                        "image-snapshot {at}/p/held -f qcow2 --create new"]),
    "image-commit": (["image-commit {at}/p/top -f qcow2 --backing-chain --yes"],
                     ["image-commit {at}/p/base -f qcow2 --yes",
                      "image-commit {at}/p/held -f qcow2 --yes",
                      "image-commit {at}/p/lost -f qcow2 --backing-chain --yes"]),
    "image-rebase": (["image-rebase {at}/p/top -f qcow2 -b {at}/p/base -F qcow2 --backing-chain"],
                     ["image-rebase {at}/p/top -f qcow2 -b {at}/none -F qcow2 --backing-chain",
                      "image-rebase {at}/data -f raw -b {at}/p/base -F qcow2 --unsafe"]),
    "image-flatten": (["image-flatten {at}/p/top -f qcow2 --backing-chain"],
                      ["image-flatten {at}/p/lost -f qcow2 --backing-chain",
                       "image-flatten {at}/p/held -f qcow2"]),
    "image-sparsify": (["image-sparsify {at}/p/q -f qcow2"],
                       ["image-sparsify {at}/p/held -f qcow2"]),
    "image-bitmap": (["image-bitmap {at}/p/q new -f qcow2 --add"],
                     ["image-bitmap {at}/p/q b -f qcow2 --add",
                      "image-bitmap {at}/data b -f raw --add"]),
}
# An editor's work, what takes a server, and what lasts until it is ended; tried by tests of their own.
ELSEWHERE = {"pool-edit", "secret-rotate", "vol-copy", "vol-move", "vol-serve", "schedule-create",
             "schedule-delete", "schedule-edit", "schedule-pause", "schedule-resume", "schedule-run",
             "pool-usage-sample",
             "doctor"}


class DryRun(WithDaemon):
    def setUp(self):
        super().setUp()
        self.make_pools()
        self.make_volumes()
        for secret in (SECRET, MISSING):
            self.virsh("secret-undefine", secret)
        self.ok("secret-define", self.file("secret.xml", "<secret ephemeral='no' private='no'>"
                                           f"<uuid>{SECRET}</uuid></secret>"))
        self.ok("secret-set-value", SECRET, "b2xk")
        for words in (("backup-init", "--no-encryption"), ("backup-create", "p/v")):
            status, _, err = self.cistern(words[0], self.at("repo"), *words[1:])
            self.assertEqual(0, status, err)
        self.processes = [self.hold("held", "qcow2"), self.hold("heldraw", "raw")]
        self.job = None

    def tearDown(self):
        if self.job:
            self.cistern("job-cancel", self.job)
        self.end_processes()
        self.virsh("secret-undefine", SECRET)

    def end_processes(self):
        for process in self.processes:
            process.kill()
            process.communicate()
        self.processes = []

    def write(self, name, text):
        with open(self.at(name), "wb") as stream:
            stream.write(text if isinstance(text, bytes) else text.encode())

    def make_pools(self):
        for name in ("idle", "idle2", "full", "transient"):
            os.makedirs(self.at(name))
        self.write("full/file", b"x")
        self.write("onfile", b"x")
        for name in ("idle", "full", "away", "onfile"):
            self.ok("pool-define-as", name, "dir", "--target", self.at(name))
        self.ok("pool-create-as", "transient", "dir", "--target", self.at("transient"))
        os.makedirs(self.at("kept"))
        self.cistern("pool-create-as", "kept", "dir", "--target", self.at("kept"), "--trash", "7")
        for name, target in (("new", "new"), ("idle", "elsewhere")):
            uuid = self.ok("pool-uuid", "idle").strip() if name == "idle" else None
            self.write(f"{name}.xml", f"<pool type='dir'><name>{name}</name>"
                       + (f"<uuid>{uuid}</uuid>" if uuid else "")
                       + f"<target><path>{self.at(target)}</path></target></pool>")

    def make_volumes(self):
        self.write("data", b"x" * MIB)
        self.write("value", b"new")
        os.chmod(self.at("value"), 0o600)
        vol = "<volume><name>{}</name><capacity unit='M'>4</capacity>{}</volume>"
        self.write("vol.xml", vol.format("new", ""))
        self.write("taken.xml", vol.format("v", ""))
        self.write("lost.xml", vol.format(
            "new", "<target><format type='qcow2'/></target><backingStore><path>/none</path>"
            "<format type='raw'/></backingStore>"))
        self.write("secret2.xml", f"<secret ephemeral='no'><uuid>{MISSING}</uuid></secret>")
        commands = ["vol-create-as p v 4M", "vol-create-as kept gone 1M", "vol-create-as kept v 1M",
                    "vol-delete gone --pool kept", "vol-create-as p big 64M",
                    "vol-create-as p heldraw 4M"]
        for name, below in (("q", None), ("base", None), ("mid", "base"), ("mid2", "base"),
                            ("top", "mid"), ("held", None), ("broken", None), ("lost", "base")):
            commands.append(f"vol-create-as p {name} 16M --format qcow2"
                            + (f" --backing-vol {below} --backing-vol-format qcow2" if below else ""))
        self.ok("; ".join(commands))
        for command in (f"snapshot -c s {self.at('p', 'q')}", f"snapshot -c s2 {self.at('p', 'q')}",
                        f"bitmap --add {self.at('p', 'q')} b",
                        f"rebase -u -b /none -F raw {self.at('p', 'lost')}"):
            peers.run(["qemu-img", *command.split()])
        for name in ("q", "top", "mid"):
            peers.run(["qemu-io", "-f", "qcow2", "-c", "write -P 5 0 1M", self.at("p", name)])
        with open(self.at("p", "broken"), "r+b") as stream:
            stream.write(b"QFI\xfb\0\0\0\7")
        os.makedirs(self.at("p", "dir"))
        os.makedirs(self.at("p", "fulldir", "x"))
        self.ok("pool-refresh", "p")

    def hold(self, name, form):
        process = subprocess.Popen(["qemu-io", "-f", form, self.at("p", name)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdin.write("length\n")
        process.stdin.flush()
        process.stdout.readline()
        return process

    def begin_job(self):
        """self.job: the number of a conversion that lasts."""
        os.makedirs(self.at("jobs"))
        self.ok("pool-create-as", "jobs", "dir", "--target", self.at("jobs"))
        self.write("jobs/src", os.urandom(8 * MIB))
        self.ok("pool-refresh", "jobs")
        self.processes.append(subprocess.Popen(
            [space.CISTERN, "-c", self.peer.uri, "vol-convert", "src", "dst", "--pool", "jobs",
             "--format", "qcow2", "--rate-limit", "16k"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=space.ENV))
        self.job = self.wait_until(
            lambda: next((str(job["id"]) for job in json.loads(
                self.cistern("--json", "job-list")[1])["jobs"] if job["volume"] == "dst"), None),
            "the conversion is a job", lambda: self.cistern("job-list")[1])

    def run_it(self, command, *more, uri=None):
        words = command.format(at=self.at(), job=self.job).split()
        return peers.run([space.CISTERN, "-c", uri or self.peer.uri, *words, *more])

    def files(self):
        """All files of pools, definitions and states, but for the driver's lock; whoever writes
        one changes its st_ctime."""
        found = {}
        for root in (self.at(), os.path.join(self.peer.root, "etc"),
                     os.path.join(self.peer.root, "run/libvirt/storage")):
            for top, dirs, files in os.walk(root):
                found.update({os.path.join(top, name): None for name in dirs})
                for name in set(files) - {"driver.pid", "dst"}:
                    path = os.path.join(top, name)
                    stat = os.lstat(path)
                    found[path] = (stat.st_mode, stat.st_ino, stat.st_size, stat.st_ctime_ns)
        # The job that lasts makes a volume.
        return {path: kept for path, kept in found.items() if "/jobs/.cistern" not in path}

    def told(self):
        """What the daemon tells of it all."""
        return [self.virsh(*words) for words in
                (("pool-list", "--all"), ("vol-list", "p", "--details"), ("secret-list",),
                 ("secret-get-value", SECRET))]

    def unchanged(self, before):
        now = self.files()
        self.assertEqual([], [key for key in before.keys() | now.keys()
                              if before.get(key) != now.get(key)])

    def test_the_table_is_whole(self):
        _, out, _ = self.cistern("--json", "help")
        changing = {command["name"] for group in json.loads(out)["groups"]
                    for command in group["commands"] if command.get("mutates")}
        self.assertEqual(changing, set(CASES) | ELSEWHERE)

    def test_dry_runs_succeed_and_change_no_file(self):
        self.begin_job()
        before, told = self.files(), self.told()
        for commands, _ in CASES.values():
            for command in commands:
                with self.subTest(command=command):
                    status, out, err = self.run_it(command, "--dry-run")
                    self.assertEqual((0, True), (status, "Would " in out), out + err)
                    self.assertEqual("", err)
                    self.unchanged(before)
        self.assertEqual(told, self.told())

    def test_dry_runs_fail_with_the_same_errors(self):
        before, told = self.files(), self.told()
        for _, commands in CASES.values():
            for command in commands:
                with self.subTest(command=command):
                    dry = self.run_it(command, "--dry-run")
                    self.unchanged(before)
                    real = self.run_it(command)
                    self.assertNotEqual(0, real[0], "that was to fail")
                    self.assertEqual(real, dry)
                    self.unchanged(before)
        self.assertEqual(told, self.told())

    @cases.long("test_dry_runs_fail_with_the_same_errors has the other half")
    def test_the_same_commands_succeed(self):
        """What the dry run said is true: each one on what it was said of."""
        for name, (commands, _) in CASES.items():
            if name.startswith("image-") or name in ("vol-create-as", "vol-clone", "vol-delete"):
                continue
            with self.subTest(command=commands[0]):
                if "{job}" in commands[0]:
                    self.begin_job()
                status, _, err = self.run_it(commands[0], "--yes") \
                    if name in ("pool-delete", "vol-wipe") else self.run_it(commands[0])
                self.assertEqual(0, status, err)
                self.tearDown()
                self.setUp()

    def test_without_a_daemon(self):
        uri = f"storage:///embed?root={self.peer.root}"
        self.end_processes()
        self.peer.stop()
        try:
            self.run_it("pool-list --all", uri=uri)
            for name, (commands, fails) in CASES.items():
                if name.startswith("job-"):
                    continue
                for command in commands:
                    before = self.files()
                    with self.subTest(command=command):
                        status, out, err = self.run_it(command, "--dry-run", uri=uri)
                        self.assertEqual((0, True), (status, "Would " in out), out + err)
                        self.unchanged(before)
                for command in fails:
                    if "held" in command:
                        continue
                    with self.subTest(command=command):
                        dry = self.run_it(command, "--dry-run", uri=uri)
                        self.assertNotEqual(0, dry[0])
                        self.assertEqual(self.run_it(command, uri=uri), dry)
        finally:
            self.peer.start()

    def test_one_dry_command_of_several(self):
        """Only the one that says so is a dry run."""
        status, out, err = self.cistern("vol-delete v --pool p --dry-run; vol-delete big --pool p; "
                                        "vol-delete heldraw --pool p --dry-run")
        self.assertIn("Vol big deleted", out)
        self.assertIn("Would delete vol v", out)
        self.assertIn("in use", err)
        self.assertNotEqual(0, status)
        self.assertIn("v", self.entries("p"))
        self.assertNotIn("big", self.entries("p"))

    def test_an_edited_definition(self):
        before = self.files()
        for edit, wanted in (("s#/idle</path>#/elsewhere</path>#", 0), ("s#>idle<#>p<#", 5)):
            status, out, err = peers.run(
                [space.CISTERN, "-c", self.peer.uri, "pool-edit", "idle", "--dry-run"],
                env={"EDITOR": f"sed -i {edit}", "VISUAL": f"sed -i {edit}"})
            self.assertEqual((wanted, not wanted), (status, "Would redefine" in out), out + err)
            self.unchanged(before)

    def test_a_dry_run_of_a_preallocation_writes_no_byte(self):
        before = self.files()
        for mode in ("metadata", "falloc", "full"):
            form = "raw" if mode != "metadata" else "qcow2"
            status, out, err = self.run_it(f"vol-create-as p new 100T --format {form} "
                                           f"--preallocation {mode}", "--dry-run")
            self.assertEqual((0, True), (status, "Would create" in out), err)
            self.unchanged(before)


class Stock(WithDaemon):
    """libvirtd has no dry runs: nothing is tried on it."""

    @classmethod
    def setUpClass(cls):
        if not peers.Libvirtd.available():
            cls.skipTest(cls, "needs libvirtd")
        cls.peer = peers.Libvirtd("ours")
        cls.peer.fresh()

    def test_it_is_refused(self):
        self.ok("vol-create-as", "p", "v", "1M")
        status, out, err = self.cistern("vol-delete", "v", "--pool", "p", "--dry-run")
        self.assertNotEqual(0, status, out)
        self.assertIn("--dry-run: not supported by this server", err)
        self.assertIn("v", self.entries("p"))
