/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Checks a guest's disk: its partitions, its file systems, whether it boots. A guest may be
 * hostile, so neither this process nor the kernel parses its tables and file systems. No file
 * system is mounted and no device is made. blkid, partx, the checkers and QEMU run confined
 * (base/confine.h) with an unnamed file as the only disk.
 */
typedef struct CstGuestDisk CstGuestDisk;

/**
 * Makes a disk of @size bytes that reads as zeroes, in the directory @dir. @data: bytes that will
 * be written to it. Fails with NO_SPACE if less is free. A disk belongs to one thread.
 */
CstGuestDisk *cst_guest_disk_new(const char *dir, uint64_t size, uint64_t data, GError **error);
/** NULL is accepted. */
void cst_guest_disk_free(CstGuestDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstGuestDisk, cst_guest_disk_free)
/** Returns the content of the disk; writable, borrowed. */
CstBlob *cst_guest_disk_blob(CstGuestDisk *disk);

typedef enum {
    CST_GUEST_SOUND,
    CST_GUEST_DAMAGED,
    CST_GUEST_UNKNOWN, /**< no check exists for it; not damaged */
    CST_GUEST_UNPROVEN /**< the check failed on this host: a tool is missing or was killed */
} CstGuestVerdict;

/** The journal of a file system before the check. */
typedef enum {
    CST_GUEST_JOURNAL_UNKNOWN, /**< there is none, or the checker does not report its state */
    CST_GUEST_JOURNAL_EMPTY,
    CST_GUEST_JOURNAL_REPLAYED /**< it had changes, as after a crash of the guest */
} CstGuestJournal;

/** A partition, or a whole disk without partitions. */
typedef struct {
    guint number; /**< from 1; 0: the disk */
    uint64_t offset, length;
    char *type; /**< blkid's type: "ext4", "LVM2_member"; NULL: unknown */
    CstGuestJournal journal;
    CstGuestVerdict verdict;
    char *detail; /**< a translated, printable text; NULL: not set */
} CstGuestPart;

/** Maximum of partitions that are checked. */
#define CST_GUEST_PARTS 128

/**
 * Checks each partition. Returns CstGuestPart * in the order of the partition table. Damage is a
 * verdict and not a failure. So is a tool that is missing, cannot be confined, or was killed.
 * Journals are replayed on copies of partitions, which need as much space as the data of the
 * largest one. The disk is not changed.
 */
GPtrArray *cst_guest_disk_check(CstGuestDisk *disk, CstTask *task, GError **error);

typedef struct {
    GRegex *expect;       /**< searched in each line of the console; NULL: a login prompt */
    unsigned wait_s;      /**< seconds to wait for a sign of life */
    uint64_t memory;      /**< bytes */
    unsigned cpus;        /**< number of CPUs */
    const char *firmware; /**< "bios", "uefi" or the path of an image */
    const char *bus;      /**< of the disk: "virtio" or "sata" */
} CstGuestBoot;

typedef struct {
    CstGuestVerdict verdict; /**< SOUND: alive; DAMAGED: no sign of life; UNPROVEN: QEMU could
                                  not run it */
    char *detail;            /**< the sign of life, or the failure: a translated, printable text */
    char *console;           /**< last lines of the console, printable */
} CstGuestLife;

/** Frees the texts of @life. */
void cst_guest_life_clear(CstGuestLife *life);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstGuestLife, cst_guest_life_clear)

/**
 * Boots the disk in QEMU, without a network. Waits for a matching line on the serial console or,
 * without @how->expect, also for an answer of the guest agent. QEMU has ended when this returns.
 * The guest writes to the disk. A guest without a sign of life is DAMAGED. UNPROVEN means that QEMU
 * or the firmware is missing, that QEMU fails, or that QEMU has stopped the guest. In these cases
 * the boot is first repeated without KVM, except for missing firmware.
 */
gboolean cst_guest_disk_boot(CstGuestDisk *disk, const CstGuestBoot *how, CstTask *task,
                             CstGuestLife *ret_life, GError **error);
