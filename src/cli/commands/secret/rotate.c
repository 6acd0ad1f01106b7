/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret-rotate. This process reads or generates the new value, and reads the administrator's
 * keyring, because the daemon opens no file that a client names. A value is in the text form that
 * the storage's administrator uses (model/credential.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/place.h>
#include <model/cephx.h>
#include <model/credential.h>

#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"
#include "secret.h"

#define ADMIN_DEFAULT "client.admin"

/** The values of the options, borrowed. NULL: not given. */
typedef struct {
    const char *file;
    const char *save;
    const char *keyring;
    const char *admin; /**< default with a keyring: "client.admin" */
    unsigned wait_s;
} Options;

/* --- the value -------------------------------------------------------------------------------- */

/* Save the value in a new file that only this user can read, before the value is used. */
static gboolean secret_value_save(const char *path, const CstSecretBytes *text, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_auto(CstFd) fd = -1;

    if (!cst_place_init(&place, path, error))
        return FALSE;
    fd = cst_place_create(&place, 0600);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot create '%s'"), path);
    if (!cst_pwrite_full(fd, text->data, text->len, 0, path, error) ||
        !cst_pwrite_full(fd, "\n", 1, text->len, path, error))
        return FALSE;
    return fsync(fd) == 0 || cst_fail_errno(error, errno, _("cannot sync '%s'"), path);
}

static gboolean secret_value_generate(CliCtl *ctl, const char *save, CstSecretUsage usage,
                                      CstSecretBytes *ret_value, GError **error)
{
    g_auto(CstSecretBytes) text = {0};

    if (!cst_credential_new(usage, ret_value, error))
        return FALSE;
    if (!save || ctl->settings.dry_run)
        return TRUE;
    return cst_credential_to_text(usage, ret_value, &text, error) &&
           secret_value_save(save, &text, error);
}

static gboolean read_rotated_value(CliCtl *ctl, const CliArgs *args, const Options *options,
                                   CstSecretUsage usage, CstSecretBytes *ret_value, GError **error)
{
    g_auto(CstSecretBytes) text = {0};

    if (cli_args_has(args, "generate"))
        return secret_value_generate(ctl, options->save, usage, ret_value, error);
    if (!(options->file || cli_args_has(args, "stdin")
              ? cli_secret_read_file(options->file, &text, error)
              : cli_secret_read_prompt(ctl, &text, error)))
        return FALSE;
    return cst_credential_from_text(usage, &text, ret_value, error);
}

/* --- the administrator ------------------------------------------------------------------------ */

static gboolean read_admin(const Options *options, const char **ret_user, CstSecretBytes *ret_key,
                           GError **error)
{
    const char *id = options->admin;
    g_auto(CstSecretBytes) keyring = {0};
    g_autofree char *entity = NULL;

    *ret_user = NULL;
    if (!options->keyring)
        return TRUE;
    entity = g_str_has_prefix(id, "client.") ? g_strdup(id) : g_strconcat("client.", id, NULL);
    if (!cli_secret_read_file(options->keyring, &keyring, error) ||
        !cst_cephx_keyring_find(&keyring, entity, ret_key, error))
        return FALSE;
    *ret_user = g_str_has_prefix(id, "client.") ? id + strlen("client.") : id;
    return TRUE;
}

/* --- the command ------------------------------------------------------------------------------ */

typedef struct {
    CstConn *conn;
    const CstConnSecret *secret;
    CstConnRotate how;
    GPtrArray *pools;
} Work;

static gboolean run_rotate(CstTask *task, gpointer data, GError **error)
{
    Work *work = data;

    work->pools = cst_conn_secret_rotate(work->conn, work->secret, &work->how, task, error);
    return work->pools != NULL;
}

/*
 * Check that the server can learn a generated value: from this command, or from an administrator.
 */
static gboolean check_generate(const CliArgs *args, GError **error)
{
    if (!cli_args_has(args, "generate"))
        return !cli_args_has(args, "save") ||
               cst_fail(error, CST_ERROR_USAGE, _("option --%s goes with --%s only"), "save",
                        "generate");
    return cli_args_has(args, "admin-keyring") ||
           (cli_args_has(args, "save") && cli_args_has(args, "wait")) ||
           cst_fail(error, CST_ERROR_USAGE, "%s",
                    _("the server must learn a generated value: give --admin-keyring, or --save "
                      "and --wait and set it on the server before the wait ends"));
}

static gboolean read_rotate_options(const CliArgs *args, Options *options, GError **error)
{
    if (!cli_args_string(args, "file", &options->file, error) ||
        !cli_args_string(args, "save", &options->save, error) ||
        !cli_args_string(args, "admin-keyring", &options->keyring, error) ||
        !cli_args_string(args, "admin-id", &options->admin, error) ||
        !cli_args_uint(args, "wait", &options->wait_s, error) ||
        !cli_args_exclusive(args, "file", "stdin", error) ||
        !cli_args_exclusive(args, "file", "generate", error) ||
        !cli_args_exclusive(args, "stdin", "generate", error) || !check_generate(args, error))
        return FALSE;
    if (options->admin && !options->keyring)
        return cst_fail(error, CST_ERROR_USAGE, _("option --%s goes with --%s only"), "admin-id",
                        "admin-keyring");
    if (!options->admin)
        options->admin = ADMIN_DEFAULT;
    return TRUE;
}

static void report_secret_rotated(CliCtl *ctl, const char *name, GPtrArray *pools)
{
    g_autofree char *list = NULL;

    g_ptr_array_add(pools, NULL);
    list = g_strjoinv(", ", (char **)pools->pdata);
    cli_done(ctl, "secret", name, _("Secret %s rotated; its new value was proved on: %s"), name,
             list);
}

static gboolean cmd_rotate(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstConnSecret) secret = NULL;
    g_auto(CstSecretBytes) value = {0}, admin_key = {0};
    Work work = {.how = {.value = &value}};
    Options options = {0};
    const char *name;

    if (!read_rotate_options(args, &options, error))
        return FALSE;
    work.how.wait_s = options.wait_s;
    secret = cli_secret(ctl, args, &name, error);
    if (!secret || !cst_credential_usage_check(secret->usage, error) ||
        !read_admin(&options, &work.how.admin_user, &admin_key, error))
        return FALSE;
    cli_plan(ctl, _("Would rotate secret %s"), name);
    if (!read_rotated_value(ctl, args, &options, secret->usage, &value, error))
        return FALSE;
    work.conn = ctl->conn;
    work.secret = secret;
    work.how.flags = cli_args_has(args, "active") ? CST_CONN_ROTATE_ACTIVE : 0;
    work.how.admin_key = work.how.admin_user ? &admin_key : NULL;
    if (!cli_run_task(ctl, _("Rotating"), run_rotate, &work, error))
        return cli_failed(ctl, _("Failed to rotate secret %s"), name);
    report_secret_rotated(ctl, name, work.pools);
    g_ptr_array_unref(work.pools);
    return TRUE;
}

static const CliOption rotate_options[] = {
    CLI_SECRET_OPTION,
    CLI_NAMED("file", N_("file with the new value: a cephx key as 'ceph auth print-key' prints it, "
                         "or a CHAP password")),
    CLI_SWITCH("stdin", N_("read the new value from stdin")),
    CLI_SWITCH("generate", N_("make a new value of random numbers")),
    CLI_NAMED("save", N_("new file to write the generated value to, for the server")),
    CLI_NUMBER("wait",
               N_("seconds for which the server may refuse the new value, until it was told")),
    CLI_SWITCH("active", N_("prove the new value on active pools only")),
    CLI_NAMED("admin-keyring",
              N_("keyring of a Ceph administrator, to change the key on the cluster as well")),
    CLI_NAMED("admin-id", N_("name of that administrator (client.admin)")),
    {0},
};

const CliCommand cli_secret_rotate_command = {
    .name = "secret-rotate",
    .summary = N_("replace the value that pools log in with"),
    .description =
        N_("Replace the value of a secret that pools log in with (usages ceph and iscsi). The new "
           "value is asked for, comes from a file or stdin, or is generated. The old value stays "
           "valid until every pool that uses the secret has logged in with the new one. Then the "
           "new value replaces it, and active pools use it from their next login on. A failed "
           "login changes no secret. With the keyring of a Ceph administrator the key is also "
           "changed on the cluster, which must then refuse the old one."),
    .options = rotate_options,
    .handler = cmd_rotate,
    .flags = CLI_CMD_OURS | CLI_CMD_MUTATES,
};
