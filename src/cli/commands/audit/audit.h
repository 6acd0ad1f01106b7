/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "core/command.h"

/** A record of the audit trail. Members that it does not have are NULL or FALSE. */
typedef struct {
    int64_t time; /* seconds since 1970 */
    uint64_t seq;
    char *kind; /* "call", "repair", "rotation" */
    char *procedure;
    char *user;  /* name of the uid; the uid if it has no name */
    char *login; /* the same of the user that has logged in */
    char *actor; /* name by SASL or TLS, or the user for whom libvirt called */
    char *program, *via;
    char *object; /* text of all objects */
    char *uuids;  /* of the objects; of the pools of volumes */
    char *keys;   /* of the volumes */
    char *detail; /* further names, "snapshot=s1 new_name=x" */
    char *result;
    GPtrArray *names; /* all words that --object finds */
    gboolean has_uid, has_login, has_job, has_duration;
    uint64_t uid, login_uid, pid, job, duration_us, lost;
    char *hash;
} AuditRecord;

/**
 * Parses a line. Returns NULL if it is no record. Load cst_json_glib_library before. The caller
 * frees the record.
 */
AuditRecord *audit_record_parse(const char *line);
/** NULL is accepted. */
void audit_record_free(AuditRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AuditRecord, audit_record_free)

extern const CliCommand cli_audit_list_command;
extern const CliCommand cli_audit_verify_command;
