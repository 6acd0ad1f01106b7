/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/**
 * Foreign disk images, read for import: a file, a device, standard input, or what an http or https
 * server has, perhaps compressed; and packages of several disks (OVA, OVF). Nothing that an image
 * names is followed. What comes out is the content that a guest would see.
 *
 * An import belongs to one thread.
 */
typedef struct CstImport CstImport;

/** Largest image that is read unless the caller says otherwise: 16 TiB. */
#define CST_IMPORT_MAX_SIZE (UINT64_C(16) << 40)

typedef struct {
    const char *source;        /**< a path, an http(s) URL, or "-": standard input */
    int fd;                    /**< of a file that @source is only the name of; 0: none */
    unsigned disk;             /**< of a package: 1, 2, …; 0: all of them */
    const char *format;        /**< of the image; NULL: recognised by its content */
    const char *checksum;      /**< "sha256:HEX", of the source as it comes; NULL: none */
    const char *checksum_file; /**< a list with the checksum of the source's name; NULL: none */
    const char *checksum_url;  /**< the same, on an http or https server; NULL: none */
    const char *keyring;   /**< keys of which one must have signed that list; NULL: not asked for */
    const char *spool_dir; /**< for what is read more than once; NULL: TMPDIR, else /var/tmp */
    gboolean download;     /**< have all of an URL here first, also where parts would do */
    gboolean force_share;  /**< read a file or device that another program can write to */
    gboolean drop_sector_size; /**< read a disk of 4096-byte sectors, with a note */
    uint64_t max_size;         /**< 0: CST_IMPORT_MAX_SIZE, and no compression beyond belief */
    const char *ca_file;       /**< certificates that servers are believed by; NULL: the system's */
    unsigned timeout_s;        /**< how long a server may be silent, or nearly so; 0: 30 */
    /** Told in words what takes space or is left out: that something is spooled. May be NULL. */
    void (*note)(const char *text, gpointer data);
    gpointer note_data;
} CstImportHow;

/** Takes a piece of content: @len bytes, or (@len 0) a hole of @hole bytes. */
typedef gboolean (*CstImportPieceFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                       GError **error);

/**
 * Opens the source, verifies its checksum, unpacks it, and inspects the image in it. What is
 * compressed and what can't be read twice goes into a spool, a file without a name; what a server
 * has and is needed whole into a file of the user's, with which the next import goes on if this one
 * is interrupted. @how and the
 * strings in it are borrowed until the import is closed, and so is @task (may be NULL), which is
 * advanced by what is read meanwhile.
 *
 * USAGE for a checksum that is none, and for a list where the source has no name; NOT_FOUND for a
 * list without the source's and for a disk that a package does not have; DENIED for an image that
 * refers to other files; BUSY for a source that another program can write to; MISMATCH for a wrong
 * checksum, signature or manifest; LIMIT for what is too large; CORRUPT for what is damaged,
 * UNSUPPORTED for what is encrypted or of a format that is not read; NO_SPACE for the spool;
 * UNREACHABLE, TIMEOUT, NOT_FOUND and DENIED for what a server says.
 */
CstImport *cst_import_open(const CstImportHow *how, CstTask *task, GError **error);
/** What was downloaded is not needed any more; otherwise the next import goes on with it. */
void cst_import_done(CstImport *import);
/** Closes it. NULL is accepted. */
void cst_import_free(CstImport *import);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstImport, cst_import_free)

/** How many disks there are: 1, or as many as the package has. */
guint cst_import_disks(const CstImport *import);
/** The format of the image of disk @disk, from 0 on: "qcow2"; static. */
const char *cst_import_format(const CstImport *import, guint disk);
/** Bytes that a guest sees of it. */
uint64_t cst_import_capacity(const CstImport *import, guint disk);
/** Sums up the bytes of disk @disk that are not known to be zeroes. Reads no content. */
gboolean cst_import_data_size(const CstImport *import, guint disk, uint64_t *ret_size,
                              GError **error);
/**
 * Gives the content of disk @disk to @piece, one piece after the other without gaps; runs of zeroes
 * that are known as such are holes. Advances no task: who takes the pieces does. In the end, checks
 * that a source that was read where it lies is the same as when it was opened (MISMATCH), so the
 * volume must not appear before. LIMIT when an image expands beyond the bound of compressed files.
 */
gboolean cst_import_send(CstImport *import, guint disk, CstImportPieceFunc piece, gpointer data,
                         GError **error);

/**
 * Makes the name of a volume of that of a source: without directory, without endings of
 * compressions and formats, with nothing in it that a file system, LVM or Ceph would mind. "disk"
 * when nothing is left, as for standard input. g_free() it.
 */
char *cst_import_name(const char *source);
