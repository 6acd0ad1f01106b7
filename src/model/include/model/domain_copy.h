/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The documents of a copy by virDomainBlockCopy(). All texts are borrowed. */

/** The destination of a copy. */
typedef struct {
    const char *path;   /**< absolute path of a file or a block device */
    const char *format; /**< as in the document of a domain: "qcow2" */
    gboolean is_device;
} CstDomainCopy;

/** Returns the document, which the caller frees. INVALID: XML cannot represent a value. */
char *cst_domain_copy_format(const CstDomainCopy *copy, GError **error);

/** The names of a copy that is the image of a disk. */
typedef struct {
    const char *target;                /**< of the disk: "vda" */
    const char *pool, *volume;         /**< the copy */
    const char *path, *format;         /**< of the copy */
    const char *old_pool, *old_volume; /**< the image of before; NULL: it is not replaced */
} CstDomainDiskName;

/**
 * Returns the <disk> of a persistent definition, changed so that it names the copy by its pool and
 * volume. The definition is untrusted. It must name the copy by @path, or the volume of before:
 * libvirt's pivot keeps a definition whose source differs from that of the running disk. So the
 * format and the mode of the old volume are replaced, too. <backingStore> is removed, so that
 * libvirt reads the layers from the image. All other elements stay.
 *
 * Return: the document, which the caller frees. NULL with NOT_FOUND if the definition has no such
 * disk, or if the disk names another image. UNSUPPORTED if the disk is encrypted or a slice of its
 * image. INVALID if XML cannot represent a name. Else the errors of the XML reader.
 */
char *cst_domain_disk_rename(const char *xml, const CstDomainDiskName *name, GError **error);
