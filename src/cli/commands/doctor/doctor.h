/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/doctor.h>

#include "core/ctl.h"

/** A run of the command doctor. */
typedef struct {
    CliCtl *ctl;
    CstTask *task;
    const char *object;  /* as typed; NULL: all */
    GPtrArray *findings; /* of CstDoctorFinding * */
} DoctorWork;

/** Whether no finding says that the storage of the pool does not answer. */
gboolean doctor_pool_answers(const DoctorWork *work, const char *pool);
/**
 * Adds the findings about schedules, and about the backups that they make. A server without
 * schedules has no findings.
 */
gboolean doctor_check_schedules(DoctorWork *work, GError **error);
/**
 * Adds the volumes that no machine, image, schedule, process or mark refers to. Adds no findings if
 * libvirt has no machines, because each volume would be one.
 */
gboolean doctor_check_orphans(DoctorWork *work, GError **error);

/** Adds the findings of the server about an object, and compares its clock with ours. */
gboolean doctor_check_server(DoctorWork *work, const CstConnDoctorQuery *query, GError **error);
/** Adds all findings about the host, its pools and schedules. */
gboolean doctor_check_all(DoctorWork *work, GError **error);
/** Sorts findings and removes repeated ones: several pools may have the same directory. */
void doctor_findings_order(GPtrArray *findings);
/** Collects all findings, ordered. NULL on failure. */
GPtrArray *doctor_collect(CliCtl *ctl, GError **error);

/** Handles --mute, --unmute and --mutes; *ret_done: one of them was given. */
gboolean doctor_change_mutes(CliCtl *ctl, const CliArgs *args, gboolean *ret_done, GError **error);
extern const CliCommand cli_doctor_command;
