/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds and opens the repository of a command. A repository is on the host where the command runs,
 * even if the volumes are on another host. Content is transferred through the connection.
 */
#include "backup.h"

#include <string.h>

#include <base/error.h>
#include <model/pool_type.h>

#include "commands/secret/secret.h"
#include "commands/xml.h"
#include "output/report.h"
#include "seen.h"

/** Directory of a repository in a pool. Volume names cannot have this form. */
#define POOL_REPO ".cistern-backups"

char *cli_pool_directory(CliCtl *ctl, const char *name, GError **error)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(ctl->conn, name, error);
    g_autofree char *xml = pool ? cst_conn_pool_xml(ctl->conn, pool, 0, error) : NULL;
    g_autofree char *type = xml ? cli_xml_text(xml, "/pool/@type") : NULL;
    g_autofree char *target = xml ? cli_xml_text(xml, "/pool/target/path") : NULL;
    g_autofree char *host = NULL;
    const CstPoolTypeInfo *info;
    gboolean active = FALSE;
    CstPoolType number;

    if (!xml || !cst_conn_pool_is_active(ctl->conn, pool, &active, error))
        return NULL;
    info = type && cst_pool_type_parse(type, &number) ? cst_pool_type_info(number) : NULL;
    host = cst_conn_is_embedded(ctl->conn) ? NULL : cst_conn_hostname(ctl->conn, NULL);
    if (!active)
        cst_fail(error, CST_ERROR_STATE, _("pool '%s' is not active"), name);
    else if (!info || !target || info->volume_type != CST_VOL_FILE || info->url_scheme)
        cst_fail(error, CST_ERROR_UNSUPPORTED, _("pool '%s' has no directory of files"), name);
    else if (host && strcmp(host, g_get_host_name()) != 0)
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("pool '%s' is on host '%s', and not on that of the command"), name, host);
    else
        return g_steal_pointer(&target);
    return NULL;
}

gboolean cli_repo_check_words(const CliArgs *args, GError **error)
{
    const char *word;

    for (const CliOption *option = args->command->options; option->name; option++)
        if (option->kind != CLI_OPT_BOOL && !cli_args_string(args, option->name, &word, error))
            return FALSE;
    return cli_args_exclusive(args, "secret", "key-file", error);
}

char *cli_repo_path(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autofree char *target = NULL;
    const char *text;

    if (!cli_repo_check_words(args, error) || !cli_args_string(args, "repo", &text, error))
        return NULL;
    if (strchr(text, '/') || *text == '.')
        return g_canonicalize_filename(text, NULL);
    target = cli_conn(ctl, error) ? cli_pool_directory(ctl, text, error) : NULL;
    return target ? g_build_filename(target, POOL_REPO, NULL) : NULL;
}

gboolean cli_repo_job_begin(CliCtl *ctl, const CliArgs *args, const char *kind, const char *what,
                            GError **error)
{
    g_autofree char *path = NULL;
    const char *text;

    if (!cli_args_string(args, "repo", &text, error))
        return FALSE;
    if (strchr(text, '/') || *text == '.')
        text = path = g_canonicalize_filename(text, NULL);
    return cli_job_begin(ctl, kind, text, what, error);
}

/* Add a hint. The error already has the reason, but no alternative. Always returns FALSE. */
static gboolean explain_private(CliCtl *ctl, const CstConnSecret *secret)
{
    g_autofree char *xml = cst_conn_secret_xml(ctl->conn, secret, NULL);
    g_autofree char *is_private = xml ? cli_xml_text(xml, "/secret/@private") : NULL;

    if (!cst_conn_is_embedded(ctl->conn) && g_strcmp0(is_private, "yes") == 0)
        cli_hint(ctl, "%s",
                 _("a daemon gives the value of a private secret to no client; use --key-file, or "
                   "a secret that is not private"));
    return FALSE;
}

gboolean cli_repo_secret(CliCtl *ctl, const CliArgs *args, CstSecretBytes *ret_secret,
                         gboolean *ret_given, GError **error)
{
    g_autoptr(CstConnSecret) secret = NULL;
    const char *uuid, *file;

    if (!cli_repo_check_words(args, error) || !cli_args_string(args, "secret", &uuid, error) ||
        !cli_args_string(args, "key-file", &file, error))
        return FALSE;
    *ret_given = uuid || file;
    if (file)
        return cli_secret_read_private_file(file, ret_secret, error);
    if (!uuid)
        return TRUE;
    secret = cli_conn(ctl, error) ? cli_secret_named(ctl, uuid, error) : NULL;
    return secret && (cst_conn_secret_use_value(ctl->conn, secret, ret_secret, error) ||
                      explain_private(ctl, secret));
}

CstRepo *cli_repo(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(CstSecretBytes) secret = {0};
    g_autofree char *path = cli_repo_path(ctl, args, error);
    CstRepoOpen how = {.shared_ok = cli_args_has(args, "shared"), .read_only = TRUE};
    gboolean given = FALSE;

    if (!path || !cli_repo_secret(ctl, args, &secret, &given, error))
        return NULL;
    how.secret = given ? &secret : NULL;
    return cst_repo_open(path, &how, error);
}

CstBackup *cli_repo_backup(CliCtl *ctl, const CliArgs *args, CstRepo **ret_repo, GError **error)
{
    const char *id, *word;

    if (!cli_args_string(args, "backup", &id, error) || !cli_args_string(args, "vol", &word, error))
        return NULL;
    *ret_repo = cli_repo(ctl, args, error);
    if (!*ret_repo)
        return NULL;
    backup_seen_warn(ctl, *ret_repo);
    return word && strcmp(id, "latest") == 0 ? cst_repo_latest(*ret_repo, word, error)
                                             : cst_repo_backup(*ret_repo, id, error);
}

const CstBackupVolume *cli_backup_volume(const CliArgs *args, const CstBackup *backup,
                                         GError **error)
{
    const char *name;

    return cli_args_string(args, "vol", &name, error) ? cst_backup_volume(backup, name, error)
                                                      : NULL;
}

/* --- backup-init ------------------------------------------------------------------------------ */

static gboolean cmd_init(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(CstSecretBytes) secret = {0};
    g_autofree char *path = NULL;
    CstRepoInit how = {0};
    gboolean given = cli_args_has(args, "secret") || cli_args_has(args, "key-file");
    uint64_t chunk = 0;

    if (!cli_repo_check_words(args, error) || !cli_args_size(args, "chunk", 1, &chunk, error))
        return FALSE;
    if (given == cli_args_has(args, "no-encryption"))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("say how the repository is encrypted: --secret UUID or --key-file FILE, "
                          "or --no-encryption"));
    if (!cli_repo_secret(ctl, args, &secret, &given, error))
        return FALSE;
    if (chunk > CST_CHUNK_MAX)
        chunk = 1; /* this size is refused too */
    path = cli_repo_path(ctl, args, error);
    if (!path)
        return FALSE;
    how.secret = given ? &secret : NULL;
    how.chunk = (uint32_t)chunk;
    cli_warn_of_path(ctl, path);
    cli_plan(ctl, _("Would make a repository in %s"), path);
    return cli_outcome(ctl, cst_repo_init(path, &how, error), "path", path,
                       _("Repository made in %s"), _("Failed to make a repository in %s"), path);
}

static const CliOption init_options[] = {
    REPO,
    KEY_OPTIONS,
    CLI_SWITCH("no-encryption",
               N_("do not encrypt: every reader of the repository can read the backups")),
    CLI_NAMED("chunk", N_("size of a chunk, 64k to 1M; 64k without it")),
    {0},
};

const CliCommand cli_backup_init_command = {
    .name = "backup-init",
    .summary = N_("make a repository of backups"),
    .description =
        N_("Create a repository in a new or empty directory, or in a hidden directory of a pool of "
           "files. If the secret, or the file with the key, is lost, the backups are lost."),
    .options = init_options,
    .handler = cmd_init,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
