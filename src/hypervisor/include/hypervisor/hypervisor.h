/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

#include <base/task.h>
#include <model/domain.h>

/**
 * Finds the domains of this host's libvirt that use a volume. Each question is answered by a helper
 * process, because calls of libvirt can hang and cannot be cancelled. The helper is this program
 * (/proc/self/exe), ends at its deadline, and connects for reading only.
 *
 * libvirtd may itself wait for this process while it starts a domain. So no question is asked while
 * a lock is held that a look-up of pools and volumes needs.
 */
typedef struct CstHypervisor CstHypervisor;

/** Default of the seconds in which libvirt must answer. */
#define CST_HYPERVISOR_DEADLINE_S 5

/** Seconds for which a failure of libvirt is remembered. Further questions fail at once. */
#define CST_HYPERVISOR_FAILURE_S 10

/** Maximum number of URIs in the setting. */
#define CST_HYPERVISOR_URIS_MAX 8

/**
 * Parses the setting "hypervisor": "none", or URIs of libvirt on this host with blanks or commas
 * between them. The value may have quotes. *ret_uris is empty for "none"; the caller frees it.
 * Fails with CONFIG for other values, such as a URI of another host.
 */
gboolean cst_hypervisor_parse_uris(const char *value, GStrv *ret_uris, GError **error);

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
 * Runs the helper if the arguments of main() ask for it. Call it first in main(), because the
 * helper shares no state with the rest of the program. Does not return then.
 */
void cst_hypervisor_run_helper(int argc, char **argv);
