/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <model/pool_def.h>
#include <pool/pool.h>

#include "fake_kernel.h"

/**
 * A host with SCSI hosts and LUNs, whose /sys, /proc and /dev are those of fake_kernel.h. Linked
 * with --wrap for the functions that ask the kernel and udev.
 */

/** What was written to the kernel's files, a line "PATH TEXT" each. */
extern GString *fake_written;
/** Called after each such write, as the kernel that does something about it; NULL: it doesn't. */
extern void (*fake_on_write)(const char *path, const char *text);
/** errno of such writes; 0: they succeed. */
extern int fake_write_errno;
/** How the paths end to which writes fail so; NULL: all. */
extern const char *fake_write_fails;
/** How often udev was waited for. */
extern guint fake_settled;
/** Who holds any device that is asked for; NULL: nobody. */
extern const char *fake_holder;

/** Makes and removes the folder; cmocka's fixtures. */
int fake_sysfs_set_up(void **state);
int fake_sysfs_tear_down(void **state);

/** Makes SCSI host @host, with its hardware at @place ("/sys/devices/pci0000:00/…"). */
void fake_host(unsigned host, const char *place, unsigned unique_id);
/**
 * Makes the disk @node ("sdb", number 8:@minor) of LUN @address ("2:0:0:1"), of @size bytes, with
 * the WWID @wwid.
 */
void fake_lun(const char *address, const char *node, unsigned minor, uint64_t size,
              const char *wwid);
/** Makes udev's name @path for device 8:@minor. */
void fake_name(const char *path, unsigned minor);

/** Opens a pool of that document; it must be one. */
CstPoolState *fake_pool(const char *xml);
/** Names of the volumes that a scan finds, with what is wrong: "unit:0:0:1 unit:0:0:2!problem". */
char *fake_scan(CstPoolState *pool);
/** One volume as a document; NULL: there is none. */
char *fake_volume_xml(CstPoolState *pool, const char *name);
