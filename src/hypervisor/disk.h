/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "helper.h"

/** Checks of the disks of running domains: for their growth, their pause and their description. */

/**
 * Calls libvirt for the statistics of the disks of running domains. Returns the number of records;
 * -1 after an error of libvirt. Does not wait for the job of a domain.
 */
int helper_get_stats(Helper *helper, virDomainStatsRecordPtr **ret_records);
/** Returns the record of domain @uuid, borrowed; NULL: not in the list. */
virDomainStatsRecordPtr helper_record_of(virDomainStatsRecordPtr *records, int count,
                                         const char *uuid);
/** Returns the path of the top layer in the record, borrowed; NULL: not shown. */
const char *record_disk_path(virDomainStatsRecordPtr record, const char *target);

/**
 * Returns the path of the top layer of disk @target in libvirt's statistics, or NULL. May set a
 * failure. The caller frees the path.
 */
char *helper_stats_path(Helper *helper, const char *uuid, const char *target);
/**
 * Whether libvirt's statistics of domain @uuid show the volume as the top layer of disk @target. A
 * disk with type='volume' has no path in the document of its domain. May set a failure.
 */
gboolean helper_stats_show_volume(Helper *helper, const char *uuid, const char *target);
/**
 * Sets the paths of all layers that the document names by a pool and a volume only. A layer that
 * libvirt's statistics do not show keeps none. Returns FALSE after a failure.
 */
gboolean helper_fill_paths(Helper *helper, const char *uuid, CstDomainDef *def);
/** Whether a layer below the top of disk @target is the volume. @target NULL: of any disk. */
gboolean helper_volume_is_below(Helper *helper, const CstDomainDef *def, const char *target);
/**
 * Whether the domain has a job. Return: -1 after an error of libvirt; 0 also for a driver of
 * libvirt that has no jobs.
 */
int domain_has_job(virDomainPtr domain);
/** Like domain_has_job(), for a block job of disk @target. */
int domain_has_block_job(virDomainPtr domain, const char *target);
