/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <backup/backup.h>
#include <base/i18n.h>

#include "core/ctl.h"
#include "output/job.h"
#include "output/table.h"

/** Bytes of an id that people see. */
#define CLI_BACKUP_SHORT 8

/** Refuses what no option of the command can be, before anything is looked for. USAGE. */
gboolean cli_repo_check_words(const CliArgs *args, GError **error);
/** Returns the directory of the repository that option <repo> names; it may not exist. Free it. */
char *cli_repo_path(CliCtl *ctl, const CliArgs *args, GError **error);
/** Returns the directory of a pool of files of this host, which has to be active; free it. */
char *cli_pool_directory(CliCtl *ctl, const char *name, GError **error);
/** Reads the key's protection (--secret or --key-file); *ret_given: one of them was given. */
gboolean cli_repo_secret(CliCtl *ctl, const CliArgs *args, CstSecretBytes *ret_secret,
                         gboolean *ret_given, GError **error);
/** Opens the repository that the options name. */
CstRepo *cli_repo(CliCtl *ctl, const CliArgs *args, GError **error);
/**
 * Opens the repository, *ret_repo, and finds the backup in it that option <backup> names; "latest"
 * is the newest one that holds the volume, or a volume of the pool, that option <vol> names.
 */
CstBackup *cli_repo_backup(CliCtl *ctl, const CliArgs *args, CstRepo **ret_repo, GError **error);
/** Finds the volume of it that option <vol> names, or the only one. */
const CstBackupVolume *cli_backup_volume(const CliArgs *args, const CstBackup *backup,
                                         GError **error);

/** What a backup's volumes have together. Only the numbers of the result are set. */
CstBackupVolume cli_backup_sum(const CstBackup *backup);
/** Whether all its volumes are of one moment. */
gboolean cli_backup_one_moment(const CstBackup *backup);
/** The table of a backup's volumes. */
CliTable *cli_backup_volumes(const CliCtl *ctl, const CstBackup *backup);

/** What a volume that is restored is to be. */
typedef struct {
    const CstPoolRef *pool;
    const char *name;
    const char *format; /**< NULL: that of the backup, or raw where the pool has no such */
} CliRestore;

/** Makes a volume of a backup's; the caller frees the reference. */
CstVolRef *cli_restore(CliCtl *ctl, CstRepo *repo, const CstBackupVolume *volume,
                       const CliRestore *how, GError **error);

/** Gives @size bytes of a blob, in order, to @give: data, and holes as such. */
gboolean cli_backup_give(CstBlob *blob, uint64_t size, CstPieceFunc give, gpointer data,
                         GError **error);

/** Begins the command's job (output/job.h) over the repository; @what, of it, may be NULL. */
gboolean cli_repo_job_begin(CliCtl *ctl, const CliArgs *args, const char *kind, const char *what,
                            GError **error);

/* Rows of option tables. */
#define REPO CLI_REQUIRED("repo", N_("repository: a directory with a slash, or a pool of files"))
#define KEY_OPTIONS                                                                        \
    CLI_NAMED("secret", N_("UUID of the secret that protects the repository's key")),      \
    {                                                                                      \
        .name = "key-file", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_FILE, \
        .help = N_("file whose bytes protect the repository's key")                        \
    }
#define REPO_OPTIONS \
    KEY_OPTIONS, CLI_SWITCH("shared", N_("others may write to the repository's directory"))
#define BACKUP                                                                                 \
    CLI_REQUIRED("backup", N_("id of a backup, or how it begins; latest: the newest with the " \
                              "vol"))
#define BACKUP_VOL CLI_STRING("vol", N_("volume of the backup, if it has several (POOL/NAME)"))
#define FORMAT                                                                              \
    {                                                                                       \
        .name = "format", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED,                   \
        .help = N_("format of the new vol; default: that of the backup where the pool can") \
    }

/* The rows of commands, each beside its handler. */
extern const CliCommand cli_backup_check_command;
extern const CliCommand cli_backup_create_command;
extern const CliCommand cli_backup_forget_command;
extern const CliCommand cli_backup_info_command;
extern const CliCommand cli_backup_init_command;
extern const CliCommand cli_backup_list_command;
extern const CliCommand cli_backup_mount_command;
extern const CliCommand cli_backup_prove_command;
extern const CliCommand cli_backup_prune_command;
extern const CliCommand cli_backup_repair_command;
extern const CliCommand cli_backup_restore_command;
extern const CliCommand cli_backup_unlock_command;
