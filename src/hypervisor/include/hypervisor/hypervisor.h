/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

#include <base/task.h>
#include <model/domain.h>

/**
 * Finds the domains of this host's libvirt that use a volume. Each question is answered by a helper
 * process, because calls of libvirt can hang and cannot be cancelled. The helper is this program
 * (/proc/self/exe) and ends at its deadline. It connects for reading only, except for
 * cst_hypervisor_resize(), cst_hypervisor_define(), and a pause (hypervisor/pause.h).
 *
 * libvirtd may itself wait for this process while it starts a domain. So no question is asked while
 * a lock is held that a look-up of pools and volumes needs.
 */
typedef struct CstHypervisor CstHypervisor;

/** Default of the seconds in which libvirt must answer. */
#define CST_HYPERVISOR_DEADLINE_S 5

/** Seconds for which a failure of libvirt is remembered. Further questions fail at once. */
#define CST_HYPERVISOR_FAILURE_S 10

/**
 * Seconds in which libvirt may make a change whose helper was killed. It waits up to 30 s for the
 * job of a domain.
 */
#define CST_HYPERVISOR_LATE_S 40

/** Maximum number of URIs in the setting. */
#define CST_HYPERVISOR_URIS_MAX 8

/**
 * Parses the setting "hypervisor": "none", or URIs of libvirt on this host with blanks or commas
 * between them. The value may have quotes. *ret_uris is empty for "none"; the caller frees it.
 * Fails with CONFIG for other values, such as a URI of another host.
 */
gboolean cst_hypervisor_parse_uris(const char *value, GStrv *ret_uris, GError **error);
/**
 * Parses the setting "backup_scratch": the absolute path of a directory. The value may have quotes.
 * The caller frees *ret_path. Fails with CONFIG for other values.
 */
gboolean cst_hypervisor_parse_scratch(const char *value, char **ret_path, GError **error);

/**
 * @uris: the connections, copied. NULL: libvirt's system connection of this host whenever @run_dir
 * ("/run/libvirt") has a socket of libvirtd or virtqemud. @run_dir NULL: no connection then.
 * @deadline_s: limit of a question at one connection, in seconds.
 */
CstHypervisor *cst_hypervisor_new(const char *const *uris, const char *run_dir,
                                  unsigned deadline_s);
/** NULL is accepted. */
void cst_hypervisor_free(CstHypervisor *hypervisor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstHypervisor, cst_hypervisor_free)

/** Whether there is a connection to ask. If not, cst_hypervisor_find() finds no domains. */
gboolean cst_hypervisor_is_used(const CstHypervisor *hypervisor);

/**
 * Identity of a volume. The names are compared with disks with type='volume'. A disk with
 * type='network' has another name, so an image of rbd or gluster is not found there.
 */
typedef struct {
    gboolean has_file;  /**< @device and @inode are set */
    gboolean is_device; /**< a block device; @device is its number (st_rdev) */
    uint64_t device;    /**< of a file: st_dev */
    uint64_t inode;     /**< of a file */
    const char *pool, *volume;
} CstHypervisorVolume;

/** Sets the file's identity from its open descriptor. */
void cst_hypervisor_volume_set_file(CstHypervisorVolume *volume, int fd);

/**
 * Returns the disks of running, paused and saved domains that show @volume, as CstDomainDisk *.
 * Saved are domains with a managed save. The result is empty if libvirt does not run, has no
 * domains, or has no driver for the default connection. @task may be NULL. Any thread. Questions at
 * one connection wait for each other. @task waits during the question, so that its worker is free
 * for the look-ups of libvirt. Blocks for up to twice the deadline and 20 s.
 *
 * Return: NULL with TIMEOUT if libvirt does not answer. FAILED if it reports an error, if its
 * library cannot be loaded, or if it has no driver for a URI of the setting. A failure of libvirt
 * as a whole is remembered for CST_HYPERVISOR_FAILURE_S. CANCELLED if the task was cancelled.
 */
GPtrArray *cst_hypervisor_find(CstHypervisor *hypervisor, const CstHypervisorVolume *volume,
                               CstTask *task, GError **error);

/**
 * Returns the domains with the name or UUID @name, as CstDomain *; NULL: all domains. Includes
 * domains that do not run. CstDomain's document is set only if @name is. The drives are those of
 * the running domain, of its managed save, or of its definition. The result is empty as in
 * cst_hypervisor_find(), which has the errors and the limits of this call.
 */
GPtrArray *cst_hypervisor_domains(CstHypervisor *hypervisor, const char *name, CstTask *task,
                                  GError **error);

/**
 * Checks that libvirt has no domain with this name or UUID, and defines the domain of @document. It
 * is validated against libvirt's schema. @uuid NULL: libvirt makes one. @document NULL: only the
 * check. The first connection is used. The limits of waiting are those of cst_hypervisor_resize().
 *
 * Return: FALSE with EXISTS if there is such a domain. NOT_FOUND if libvirt does not run, or is not
 * used. LIMIT if the document is too long. Else the errors of cst_hypervisor_find(). If libvirt may
 * have defined the domain nevertheless, the message says so.
 */
gboolean cst_hypervisor_define(CstHypervisor *hypervisor, const char *name, const char *uuid,
                               const char *document, GError **error);

/** Whether a disk of a running domain can grow with the volume. */
typedef enum {
    CST_DISK_FIT,
    CST_DISK_INACTIVE, /**< the domain does not run any more */
    CST_DISK_GONE,     /**< the disk does not exist, or is another volume */
    CST_DISK_STOPPED,  /**< the domain is paused by an I/O error, or is ending */
    CST_DISK_SHAREABLE,
    CST_DISK_READ_ONLY,
    CST_DISK_ABOVE_VOLUME, /**< the volume is a backing file of the disk */
    /** The domain uses the volume in another format, encrypted, or as a slice of it. A device may
     * grow. Its disk does not have its size. */
    CST_DISK_OTHER_FORMAT,
    CST_DISK_NO_SIZE, /**< a device: libvirt's driver cannot report the size of a disk */
    CST_DISK_DOMAIN_HAS_JOB,
    CST_DISK_HAS_BLOCK_JOB,
    CST_DISK_LARGER, /**< the guest's disk has more bytes than requested */
    CST_DISK_FITNESS_LAST
} CstDiskFitness;

/** A disk that is to grow. The texts are borrowed. */
typedef struct {
    const char *uri, *uuid, *target; /**< as cst_hypervisor_find() returned them */
    const char *format;              /**< of the volume, as in the document of a domain */
    uint64_t bytes;                  /**< the new size of the disk */
    gboolean is_empty;               /**< the volume has 0 bytes now */
    gboolean change;                 /**< FALSE: check only */
} CstHypervisorDisk;

/**
 * Checks whether a disk of a running domain is @volume, which must have a file, and can grow to
 * @disk->bytes. Then grows it if @disk->change is set. *ret_fitness is the result of the check;
 * nothing was changed unless it is CST_DISK_FIT. *ret_capacity is the size of the disk afterwards,
 * in bytes; set for CST_DISK_FIT and CST_DISK_LARGER. *ret_sent is set if the change was sent to
 * libvirt, and libvirt did not refuse it. The limits of waiting are those of
 * cst_hypervisor_find(); the change itself has the same deadline again. @task cannot cancel a
 * change.
 *
 * After a change with TIMEOUT, another size of that disk fails with BUSY for CST_HYPERVISOR_LATE_S,
 * because libvirt might make the earlier change last. A check which finds that the disk has at
 * least the earlier size ends that. Only this CstHypervisor remembers it.
 *
 * Return: FALSE with the errors of cst_hypervisor_find(). If *ret_sent is set then, it is unknown
 * whether the disk has grown. If not, it has not grown. A repetition is harmless.
 */
gboolean cst_hypervisor_resize(CstHypervisor *hypervisor, const CstHypervisorVolume *volume,
                               const CstHypervisorDisk *disk, CstTask *task,
                               CstDiskFitness *ret_fitness, uint64_t *ret_capacity,
                               gboolean *ret_sent, GError **error);

/**
 * Runs the helper, the watchdog of a pause, or the keeper of a backup or of a block job, if the
 * arguments of main() ask for it. Call it first in main(), because these processes share no state
 * with the rest of the program, and some of them fork. Does not return then.
 */
void cst_hypervisor_run_helper(int argc, char **argv);
