/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <model/severity.h>

/**
 * Findings of the command doctor, and the mutes that hide some of them. The service finds problems
 * of the host, its pools and its volumes. The command line adds the findings about schedules and
 * machines. All texts are owned by the struct that has them.
 */

/** A check. Its id never changes, because mutes and scripts refer to it. */
typedef struct {
    const char *id; /**< NULL ends the table */
    CstSeverity severity;
} CstDoctorRule;

/** Returns the table of all checks, sorted by id. docs/doctor.md has a section for each. */
const CstDoctorRule *cst_doctor_rules(void);
/** Returns the check @id, or NULL for an unknown one. */
const CstDoctorRule *cst_doctor_rule(const char *id);

/** The object of findings about the host as a whole. */
#define CST_DOCTOR_HOST "host"

typedef struct {
    char *id; /**< of the check */
    CstSeverity severity;
    char *object;   /**< a pool, POOL/VOLUME, a path, a schedule, "secret UUID" or "host" */
    char *evidence; /**< one sentence; may have names from images: escape it for a terminal */
    char *repair;   /**< a command line of a shell that repairs it; NULL: no command does */
    int64_t muted;  /**< end of its mute in seconds since 1970; 0: it is not muted */
} CstDoctorFinding;

/** NULL is accepted. */
void cst_doctor_finding_free(CstDoctorFinding *finding);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDoctorFinding, cst_doctor_finding_free)
/** Returns an empty list of findings, which frees its elements. */
GPtrArray *cst_doctor_findings_new(void);
/**
 * Appends a finding of the check @id, which must be in the table, to @findings. @severity: mostly
 * that of the check. Consumes @repair and @evidence; copies @object.
 */
void cst_doctor_findings_add(GPtrArray *findings, const char *id, CstSeverity severity,
                             const char *object, char *repair, char *evidence);
/**
 * Returns a command line of @first and the further words, up to NULL, each quoted for a POSIX shell
 * where that is needed. The word "--" precedes names that other users have chosen, and is printed
 * only if one of them looks like an option. The caller frees it.
 */
char *cst_doctor_command(const char *first, ...) G_GNUC_NULL_TERMINATED;
/** Sorts findings: errors first, then by id and object. */
void cst_doctor_findings_sort(GPtrArray *findings);

/** Hides the findings of a check until a time, as long as they do not get worse. */
typedef struct {
    char *id;
    char *object;         /**< "": all objects of the check */
    CstSeverity severity; /**< findings with a higher severity are shown */
    int64_t until;        /**< seconds since 1970 */
} CstDoctorMute;

/** NULL is accepted. */
void cst_doctor_mute_free(CstDoctorMute *mute);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDoctorMute, cst_doctor_mute_free)
/** Maximum number of mutes of a host. */
#define CST_DOCTOR_MUTES_MAX 1024
/** Maximum length of the object of a mute, in bytes. */
#define CST_DOCTOR_OBJECT_MAX 4096

/**
 * Checks the id, the object and the end of a mute, which must be in the future. @now: seconds since
 * 1970. Fails with INVALID.
 */
gboolean cst_doctor_mute_check(const CstDoctorMute *mute, int64_t now, GError **error);
/** Sets the member muted of each finding that one of @mutes (of CstDoctorMute *) hides at @now. */
void cst_doctor_findings_mute(const GPtrArray *findings, const GPtrArray *mutes, int64_t now);
