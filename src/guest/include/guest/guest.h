/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * What a guest's disk is good for: its partitions, the soundness of its file systems, whether it
 * boots. A guest may be hostile, so neither this process nor the kernel reads its tables and file
 * systems: nothing is mounted and no device is made; blkid, partx, the checkers of the file systems
 * and QEMU run confined (base/confine.h) over a file without a name that is this disk and nothing
 * else.
 */
typedef struct CstGuestDisk CstGuestDisk;

/**
 * Makes a disk of @size bytes that reads as zeroes, in the directory @dir. @data: bytes that will
 * be written to it. NO_SPACE when there is too little left. A disk belongs to one thread.
 */
CstGuestDisk *cst_guest_disk_new(const char *dir, uint64_t size, uint64_t data, GError **error);
/** NULL is accepted. */
void cst_guest_disk_free(CstGuestDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstGuestDisk, cst_guest_disk_free)
/** Its content, writable, borrowed. */
CstBlob *cst_guest_disk_blob(CstGuestDisk *disk);

typedef enum {
    CST_GUEST_SOUND,
    CST_GUEST_DAMAGED,
    CST_GUEST_UNKNOWN, /**< there is no check for it; that is no damage */
    CST_GUEST_UNPROVEN /**< this host could not make the check: a tool is missing or was killed */
} CstGuestVerdict;

/** A partition, or all of a disk that has none. */
typedef struct {
    guint number; /**< from 1; 0: the disk */
    uint64_t offset, length;
    char *type; /**< what it holds, in blkid's words: "ext4", "LVM2_member"; NULL: not known */
    CstGuestVerdict verdict;
    char *detail; /**< a sentence, translated, printable; NULL: none */
} CstGuestPart;

/** Partitions of a disk that are looked at. */
#define CST_GUEST_PARTS 128

/**
 * Looks at each partition. Returns CstGuestPart * in the order of the table. Damage is a verdict
 * and no failure, and so is a tool that is missing, cannot be confined, or was killed. Journals are
 * replayed on copies of partitions, which need as much space again as the largest one has data; the
 * disk stays as it is.
 */
GPtrArray *cst_guest_disk_check(CstGuestDisk *disk, CstTask *task, GError **error);

typedef struct {
    GRegex *expect;       /**< sought in each line of the console; NULL: a prompt for a login */
    unsigned wait_s;      /**< for a sign of life */
    uint64_t memory;      /**< bytes */
    unsigned cpus;        /**< how many */
    const char *firmware; /**< "bios", "uefi" or the path of an image */
    const char *bus;      /**< of the disk: "virtio" or "sata" */
} CstGuestBoot;

typedef struct {
    CstGuestVerdict verdict; /**< SOUND: alive; DAMAGED: no sign; UNPROVEN: QEMU did not run it */
    char *detail;  /**< the sign, or why there was none: a sentence, translated, printable */
    char *console; /**< last lines of the console, printable */
} CstGuestLife;

/** Frees the texts of @life. */
void cst_guest_life_clear(CstGuestLife *life);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstGuestLife, cst_guest_life_clear)

/**
 * Boots the disk by QEMU, without a network, and waits for a line on the serial console or, without
 * @how->expect, also for an answer of the guest agent. QEMU has ended when this returns. The guest
 * writes to the disk. A guest that gives no sign is DAMAGED. A QEMU or firmware that is missing, a
 * QEMU that fails, and a guest that QEMU stopped are UNPROVEN; with KVM, they are tried again
 * without it first.
 */
gboolean cst_guest_disk_boot(CstGuestDisk *disk, const CstGuestBoot *how, CstTask *task,
                             CstGuestLife *ret_life, GError **error);
