/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sentences for users about the traces of an interrupted job. The journal rolls back new volumes.
 * Most changes keep the image consistent at every point in time. The next daemon resumes jobs that
 * are safe to repeat (recovery/resume.c).
 */
#include "job_kind.h"

#include <string.h>

#include <base/i18n.h>
#include <store/job_files.h>

#define NOTHING_LEFT    N_("no partial result is left")
#define WRITTEN_TILL    N_("the volume has the data that was written until then")
#define NOTHING_CHANGED N_("it made no change")
#define STILL_LOGS_IN \
    N_("both values are kept until the storage says which one it accepts; that one stays")
#define NO_FILE N_("the file is absent or unchanged; a hidden draft may be left in its directory")
#define GOES_ON N_("the same command resumes with the existing data")
#define NO_BACKUP \
    N_("there is no backup of it; the next backup uses the data that was stored already")
#define PRUNED      N_("backups are whole; begin it again")
#define IN_ONE_POOL N_("the volume is in one of the pools, and whole")
#define STILL_WHOLE N_("the volume is valid and unchanged in content; start it again")

static const struct {
    const char *kind;
    const char *left; /* state after an interruption */
} kinds[] = {
    {"create", NOTHING_LEFT},         {"clone", NOTHING_LEFT},
    {"convert", NOTHING_LEFT},        {"receive", NOTHING_LEFT},
    {"upload", WRITTEN_TILL},         {"wipe", WRITTEN_TILL},
    {"flatten", STILL_WHOLE},         {"commit", STILL_WHOLE},
    {"consolidate", STILL_WHOLE},     {"sparsify", STILL_WHOLE},
    {"resize", STILL_WHOLE},          {"rebase", STILL_WHOLE},
    {"check", STILL_WHOLE},           {"bitmap", STILL_WHOLE},
    {"download", NOTHING_CHANGED},    {"send", NOTHING_CHANGED},
    {"digests", NOTHING_CHANGED},     {"move", IN_ONE_POOL},
    {"patch", WRITTEN_TILL},          {"compare", NOTHING_CHANGED},
    {"measure", NOTHING_CHANGED},     {"map", NOTHING_CHANGED},
    {"refresh", NOTHING_CHANGED},     {"rotate: check", NOTHING_CHANGED},
    {"serve", WRITTEN_TILL},          {"protect", NOTHING_CHANGED},
    {"unprotect", NOTHING_CHANGED},   {"tag", NOTHING_CHANGED},
    {"rotate: save", STILL_LOGS_IN},  {"rotate: change", STILL_LOGS_IN},
    {"rotate: prove", STILL_LOGS_IN}, {"rotate: switch", STILL_LOGS_IN},
    {"rotate: renew", STILL_LOGS_IN}, {"rotate: verify", STILL_LOGS_IN},
};

/* Kinds of work that clients do. */
static const struct {
    const char *kind;
    const char *left;
} client_kinds[] = {
    {"import", NOTHING_LEFT},
    {"export", NO_FILE},
    {"copy", GOES_ON},
    {"backup-create", NO_BACKUP},
    {"backup-restore", NOTHING_LEFT},
    {"backup-check", NOTHING_CHANGED},
    {"backup-prove", NOTHING_LEFT},
    {"backup-prune", PRUNED},
    {"schedule", N_("its copies so far are kept; the next run goes on")},
};

const char *job_kind_of_client(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(client_kinds); i++)
        if (strcmp(client_kinds[i].kind, word) == 0)
            return client_kinds[i].kind;
    return NULL;
}

static const char *left_by(const char *kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].left;
    for (size_t i = 0; i < G_N_ELEMENTS(client_kinds); i++)
        if (strcmp(client_kinds[i].kind, kind) == 0)
            return client_kinds[i].left;
    return NULL;
}

/* A killed process could not roll back its draft. The replay of the journal does that. */
const char *job_left(const CstJobInfo *info, gboolean killed)
{
    const char *left = left_by(info->kind);

    if (cst_job_file_can_resume(info))
        return _("the next daemon goes on with it");
    if (!left || (killed && strcmp(left, NOTHING_LEFT) == 0))
        return _("the interrupted work is finished or undone when its pool becomes active");
    return _(left);
}
