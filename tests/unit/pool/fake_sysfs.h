/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <model/pool_def.h>
#include <pool/pool.h>

#include "fake_kernel.h"

/**
 * A host with SCSI hosts and LUNs, whose /sys, /proc and /dev are simulated by fake_kernel.h.
 * Functions that query the kernel and udev are wrapped with --wrap.
 */

/** Writes to the kernel's files, one line "PATH TEXT" each. */
extern GString *fake_written;
/** Called after each such write to simulate the kernel's reaction; may be NULL. */
extern void (*fake_on_write)(const char *path, const char *text);
/** errno of such writes; 0: success */
extern int fake_write_errno;
/** Suffix of the paths whose writes fail; NULL: all. */
extern const char *fake_write_fails;
/** Number of waits for udev. */
extern guint fake_settled;
/** Holder of every queried device; NULL: no holder. */
extern const char *fake_holder;

/** cmocka's fixtures: make and remove the directory. */
int fake_sysfs_set_up(void **state);
int fake_sysfs_tear_down(void **state);

/** Makes SCSI host @host, with its hardware at the path @place ("/sys/devices/pci0000:00/…"). */
void fake_host(unsigned host, const char *place, unsigned unique_id);
/**
 * Makes the disk @node ("sdb", number 8:@minor) of LUN @address ("2:0:0:1"), with @size bytes and
 * the WWID @wwid.
 */
void fake_lun(const char *address, const char *node, unsigned minor, uint64_t size,
              const char *wwid);
/** Makes udev's symbolic name @path of device 8:@minor. */
void fake_name(const char *path, unsigned minor);

/** Opens a pool of the document @xml, which must be valid. */
CstPoolState *fake_pool(const char *xml);
/** Returns the volumes of a scan with their problems: "unit:0:0:1 unit:0:0:2!problem". */
char *fake_scan(CstPoolState *pool);
/** Returns the XML document of a volume, or NULL. */
char *fake_volume_xml(CstPoolState *pool, const char *name);
