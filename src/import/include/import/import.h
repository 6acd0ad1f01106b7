/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/**
 * Foreign disk images, read for import: a file, a device, standard input, or a file on an http or
 * https server, with or without compression; and packages of several disks (OVA, OVF). References
 * in an image are never followed. The result is the content that a guest would see.
 *
 * An import belongs to one thread.
 */
typedef struct CstImport CstImport;

/** Maximum size of an image without max_size: 16 TiB. */
#define CST_IMPORT_MAX_SIZE (UINT64_C(16) << 40)

typedef struct {
    const char *source;        /**< a path, an http(s) URL, or "-": standard input */
    int fd;                    /**< an open file that @source is the name of; 0: open @source */
    unsigned disk;             /**< of a package: 1, 2, …; 0: all of them */
    const char *format;        /**< of the image; NULL: recognised by its content */
    const char *checksum;      /**< "sha256:HEX", of the unmodified source; NULL: not verified */
    const char *checksum_file; /**< a list with the checksum of the source's name; NULL: not used */
    const char *checksum_url;  /**< the same, on an http or https server; NULL: not used */
    const char *keyring;       /**< one of its keys must have signed that list; NULL: no check */
    const char *spool_dir;     /**< directory of spools; NULL: TMPDIR, else /var/tmp */
    gboolean download;         /**< download all of a URL first, even if ranges would suffice */
    gboolean force_share; /**< read a file or device even if a program has it open for writing */
    gboolean drop_sector_size; /**< accept a disk of 4096-byte sectors, with a note */
    uint64_t max_size;         /**< bytes; 0: CST_IMPORT_MAX_SIZE, with a bound on expansion */
    const char *ca_file;       /**< trusted certificates of servers; NULL: the system's */
    unsigned timeout_s;        /**< seconds that a server may send (almost) no data; 0: 30 */
    /** Receives a text about used space and omitted content, such as a spool. May be NULL. */
    void (*note)(const char *text, gpointer data);
    gpointer note_data;
} CstImportHow;

/** Receives a piece of content: @len bytes, or (@len 0) a hole of @hole bytes. */
typedef gboolean (*CstImportPieceFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                       GError **error);

/**
 * Opens the source, verifies its checksum, unpacks it, and inspects the image in it. Compressed
 * data and pipes are copied to a spool, an unnamed file. If all of a server's file is needed, it is
 * downloaded to a file of the user. The next import continues that download if this one is
 * interrupted. Borrows @how and its strings until the import is closed, and @task (may be NULL),
 * which is advanced by the bytes read.
 *
 * Fails with:
 * - USAGE for an invalid checksum, and for a list if the source has no name;
 * - NOT_FOUND for a list without the source, and for a disk that a package does not have;
 * - DENIED for an image that refers to other files;
 * - BUSY for a source that another program has open for writing;
 * - MISMATCH for a wrong checksum, signature or manifest;
 * - LIMIT for a source or image that is too large;
 * - CORRUPT for damaged data, UNSUPPORTED for encrypted data or an unsupported format;
 * - NO_SPACE for the spool;
 * - UNREACHABLE, TIMEOUT, NOT_FOUND and DENIED as reported by a server.
 */
CstImport *cst_import_open(const CstImportHow *how, CstTask *task, GError **error);
/** Removes the downloaded files. Without this call the next import continues with them. */
void cst_import_done(CstImport *import);
/** Closes the import. NULL is accepted. */
void cst_import_free(CstImport *import);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstImport, cst_import_free)

/** Returns the number of disks: 1, or that of the package. */
guint cst_import_disks(const CstImport *import);
/** Returns the image format of disk @disk, from 0 on: "qcow2"; static. */
const char *cst_import_format(const CstImport *import, guint disk);
/** Returns the size of the disk in bytes, as a guest sees it. */
uint64_t cst_import_capacity(const CstImport *import, guint disk);
/** Sums up the bytes of disk @disk that are not known to be zeroes. Reads no content. */
gboolean cst_import_data_size(const CstImport *import, guint disk, uint64_t *ret_size,
                              GError **error);
/**
 * Sends the content of disk @disk to @piece, in order and without gaps. Known runs of zeroes are
 * sent as holes. Does not advance the task; @piece does. At the end, fails with MISMATCH if a
 * source that was read in place has changed since it was opened. Therefore do not publish the
 * volume before this function returns. Fails with LIMIT if an image expands beyond the bound of
 * compressed files.
 */
gboolean cst_import_send(CstImport *import, guint disk, CstImportPieceFunc piece, gpointer data,
                         GError **error);

/**
 * Makes a volume name from the name of a source: without directory and without the suffixes of
 * compressions and formats. All characters are valid for file systems, LVM and Ceph. Returns "disk"
 * if no character is left, as for standard input. Free it with g_free().
 */
char *cst_import_name(const char *source);
