/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <backup/backup.h>
#include <model/domain_restore.h>
#include <model/pool_type.h>

#include "core/args.h"
#include "core/ctl.h"

/** The state of backup-restore --machine (restore_machine.c), and its output (restore_report.c). */

/** A disk with its volume. */
typedef struct {
    const CstBackupVolume *volume;
    char *target;
    CstPoolRef *pool; /* of the new volume */
    CstPoolType pool_type;
    char *name; /* of the new volume */
    CstVolRef *made;
    char *path, *format; /* of the new volume */
    gboolean is_device;
    GError *failure;
} MachineDisk;

typedef struct {
    CliCtl *ctl;
    const CliArgs *args;
    const CstBackup *backup;
    const CstBackupMachine *machine;
    CstRepo *repo;
    const char *new_name; /* NULL: the domain keeps its name */
    const char *format;   /* of the new volumes; NULL: that of the backup */
    gboolean defines;
    GPtrArray *disks; /* of MachineDisk * */
} MachineRestore;

/** Prints the steps of a dry run. */
void machine_print_plan(const MachineRestore *restore);
/** Warns of parts of the definition that the backup cannot restore. */
void machine_warn_parts(const MachineRestore *restore, const CstDomainDefinition *definition);
/** Prints the JSON document with --json. @definition NULL: a volume failed. */
void machine_print_json(const MachineRestore *restore, const CstDomainDefinition *definition,
                        gboolean defined);
/** Prints the definition, which is the data of the command, without --json. */
void machine_print_definition(const MachineRestore *restore, const CstDomainDefinition *definition);
