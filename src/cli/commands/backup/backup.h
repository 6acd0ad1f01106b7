/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <backup/backup.h>
#include <base/i18n.h>

#include "core/ctl.h"
#include "output/job.h"
#include "output/table.h"

/** Length of the abbreviated ids in text output. */
#define CLI_BACKUP_SHORT 8

/**
 * Refuses empty option values, and --secret together with --key-file, before any lookup. Fails with
 * USAGE.
 */
gboolean cli_repo_check_words(const CliArgs *args, GError **error);
/**
 * Returns the directory of the repository in option <repo>. It may not exist. The caller frees it.
 */
char *cli_repo_path(CliCtl *ctl, const CliArgs *args, GError **error);
/**
 * Returns the directory of a file-based pool on this host. The pool must be active. The caller
 * frees it.
 */
char *cli_pool_directory(CliCtl *ctl, const char *name, GError **error);
/**
 * Reads the protection of the key from --secret or --key-file. *ret_given is TRUE if one of them
 * was given.
 */
gboolean cli_repo_secret(CliCtl *ctl, const CliArgs *args, CstSecretBytes *ret_secret,
                         gboolean *ret_given, GError **error);
/** Opens the repository of the options. */
CstRepo *cli_repo(CliCtl *ctl, const CliArgs *args, GError **error);
/**
 * Opens the repository (*ret_repo) and finds the backup of option <backup>. "latest" is the newest
 * backup with the volume of option <vol>, or with a volume of the pool that <vol> names.
 */
CstBackup *cli_repo_backup(CliCtl *ctl, const CliArgs *args, CstRepo **ret_repo, GError **error);
/** Returns the volume of option <vol>, or the only volume of the backup. */
const CstBackupVolume *cli_backup_volume(const CliArgs *args, const CstBackup *backup,
                                         GError **error);

/** Returns the sums over a backup's volumes. Only the numbers of the result are set. */
CstBackupVolume cli_backup_sum(const CstBackup *backup);
/** Return: TRUE if all volumes have the same point in time. */
gboolean cli_backup_one_moment(const CstBackup *backup);
/** Returns the table of a backup's volumes. */
CliTable *cli_backup_volumes(const CliCtl *ctl, const CstBackup *backup);

/** Parameters of a restored volume. */
typedef struct {
    const CstPoolRef *pool;
    const char *name;
    const char *format; /**< NULL: that of the backup, or raw if the pool does not support it */
    gboolean tags;      /**< the volume gets its tags and its note */
} CliRestore;

/** Restores a volume of a backup into a new volume. The caller frees the reference. */
CstVolRef *cli_restore(CliCtl *ctl, CstRepo *repo, const CstBackupVolume *volume,
                       const CliRestore *how, GError **error);

/** A volume of a backup, and the pool of the new volume. Both are borrowed. */
typedef struct {
    const CstBackupVolume *volume;
    const CstPoolRef *pool;
} CliRestorePlace;

/**
 * Fails with NO_SPACE if the file system of a pool certainly cannot hold all volumes that are to be
 * restored to it. Reads their contents only if the result depends on zeroes.
 */
gboolean cli_restore_check_room(CliCtl *ctl, CstRepo *repo, const CliRestorePlace *places,
                                guint n_places, GError **error);

/** Passes @size bytes of a blob to @give, in order. Holes are passed as holes. */
gboolean cli_backup_give(CstBlob *blob, uint64_t size, CstPieceFunc give, gpointer data,
                         GError **error);

/**
 * Begins the command's job (output/job.h) for the repository. @what names an object in the
 * repository and may be NULL.
 */
gboolean cli_repo_job_begin(CliCtl *ctl, const CliArgs *args, const char *kind, const char *what,
                            GError **error);

/* Rows of option tables. */
#define REPO CLI_REQUIRED("repo", N_("repository: a directory with a slash, or a pool of files"))
#define KEY_OPTIONS                                                                        \
    CLI_NAMED("secret", N_("UUID of the secret that protects the repository's key")),      \
    {                                                                                      \
        .name = "key-file", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_FILE, \
        .help = N_("file with the key that protects the repository")                       \
    }
#define REPO_OPTIONS \
    KEY_OPTIONS, CLI_SWITCH("shared", N_("other users may write to the repository's directory"))
#define BACKUP                                                                                 \
    CLI_REQUIRED("backup", N_("id of a backup, or how it begins; latest: the newest with the " \
                              "vol"))
#define BACKUP_VOL CLI_STRING("vol", N_("volume of the backup, if it has several (POOL/NAME)"))
#define FORMAT                                                                              \
    {                                                                                       \
        .name = "format", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED,                   \
        .help = N_("format of the new vol; default: that of the backup where the pool can") \
    }

/* The rows of commands. Each is defined in the file of its handler. */
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
