/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounts and unmounts with mount(8) and umount(8). Both are children with a timeout, because
 * mount(2) in this process could block a thread for as long as the server does not respond. The
 * result is read from the kernel's table and never from the exit status alone.
 *
 * umount gets the path of a mount in the kernel's table, and must not resolve it (-c), because that
 * would contact the server. If the storage does not respond, it is disconnected. First umount -f
 * aborts the requests that wait for the server. Then umount -l detaches the mount from the tree
 * while it is in use.
 */
#include "mount.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <pool/tool.h>

MountTimes mount_times = {.mount_s = 300,
                          .mount_network_s = 30,
                          .umount_s = 300,
                          .umount_network_s = 20,
                          .force_s = 5,
                          .format_s = 3600,
                          .ask_s = 20};

/* The wait for a short-lived user (udev, one of our probes) to leave the mount. */
#define PASSING_US (2 * G_TIME_SPAN_SECOND)
#define LOOK_US    (100 * G_TIME_SPAN_MILLISECOND)

/* Parts of the messages of mount, mount.nfs, mount.cifs and mount.glusterfs. */
static const CstToolMeaning meanings[] = {
    {"onnection timed out", CST_ERROR_UNREACHABLE},
    {"onnection refused", CST_ERROR_UNREACHABLE},
    {"No route to host", CST_ERROR_UNREACHABLE},
    {"etwork is unreachable", CST_ERROR_UNREACHABLE},
    {"Host is down", CST_ERROR_UNREACHABLE},
    {"Failed to resolve server", CST_ERROR_UNREACHABLE},
    {"could not resolve address", CST_ERROR_UNREACHABLE},
    {"DNS resolution failed", CST_ERROR_UNREACHABLE},
    {"Unable to find suitable address", CST_ERROR_UNREACHABLE},
    {"mount error(115)", CST_ERROR_UNREACHABLE},
    {"mount error(113)", CST_ERROR_UNREACHABLE},
    {"access denied by server", CST_ERROR_DENIED},
    {"ermission denied", CST_ERROR_DENIED},
    {"Operation not permitted", CST_ERROR_DENIED},
    {"No such file or directory", CST_ERROR_NOT_FOUND},
    {"does not exist", CST_ERROR_NOT_FOUND},
    {"unknown filesystem type", CST_ERROR_UNSUPPORTED},
    {"bad option", CST_ERROR_CONFIG},
    {"incorrect mount option", CST_ERROR_CONFIG},
    {"wrong fs type", CST_ERROR_CONFIG},
    {"busy", CST_ERROR_BUSY},
    {NULL, 0},
};

static const CstPoolDef *mount_state_def(const MountState *state)
{
    return state->dir.head.def;
}

static gboolean is_network(const MountState *state)
{
    return mount_state_def(state)->type == CST_POOL_NETFS;
}

/* --- credentials ------------------------------------------------------------------------------ */

static gboolean is_one_line(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (g_ascii_iscntrl(text[i]))
            return FALSE;
    return TRUE;
}

/*
 * Formats the credentials file of mount.cifs. "DOMAIN\\user" contains both names. A line break in a
 * value would begin another option, so control characters are refused.
 */
static gboolean cifs_format_credentials(const CstAuth *auth, const CstSecretBytes *password,
                                        CstSecretBytes *ret_text, GError **error)
{
    static const char format[] = "username=%s\npassword=%.*s\n%s%s%s";
    const char *name = strchr(auth->username, '\\');
    g_autofree char *domain =
        name ? g_strndup(auth->username, (gsize)(name - auth->username)) : NULL;

    if (!is_one_line(auth->username, strlen(auth->username)))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the name of a user can't contain control characters"));
    if (!is_one_line((const char *)password->data, password->len))
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("the secret of user '%s' is no password: it contains control characters"),
                        auth->username);
    if (!cst_secret_bytes_alloc(
            ret_text, sizeof(format) + 16 + 2 * strlen(auth->username) + password->len, error))
        return FALSE;
    ret_text->len = (size_t)snprintf((char *)ret_text->data, ret_text->len, format,
                                     name ? name + 1 : auth->username, (int)password->len,
                                     (const char *)password->data, domain ? "domain=" : "",
                                     domain ? domain : "", domain ? "\n" : "");
    return TRUE;
}

/* Reads the credentials of the pool. *ret_text stays empty if the definition has no <auth>. */
static gboolean read_credentials(const MountState *state, CstSecretBytes *ret_text, GError **error)
{
    const CstAuth *auth = &mount_state_def(state)->source.auth;
    const CstPoolHost *host = state->dir.head.host;
    g_auto(CstSecretBytes) value = {0};

    if (auth->type == CST_AUTH_NONE)
        return TRUE;
    if (!host)
        return cst_fail(error, CST_ERROR_NO_SECRET, _("no secret for user '%s'"), auth->username);
    return host->secret(auth, &value, host->data, error) &&
           cifs_format_credentials(auth, &value, ret_text, error);
}

/* --- mount ------------------------------------------------------------------------------------ */

static gboolean mount_run_mount(const MountState *state, const CstSecretBytes *input,
                                GError **error)
{
    const CstPoolDef *def = mount_state_def(state);
    g_autofree char *options = mount_options(def, input->data != NULL, error);
    const char *argv[] = {"mount", "-t",          mount_type(def),  "-o",
                          options, state->source, def->target_path, NULL};
    const CstTool tool = {.argv = argv,
                          .package = "mount",
                          .meanings = meanings,
                          .timeout_s =
                              is_network(state) ? mount_times.mount_network_s : mount_times.mount_s,
                          .input = input->data,
                          .input_len = input->len};

    return options && cst_tool_run(&tool, NULL, NULL, error);
}

/*
 * Reports a timeout of a network mount as UNREACHABLE, because the server did not respond. Consumes
 * @why.
 */
static void mount_propagate_timeout(const MountState *state, GError *why, GError **error)
{
    if (is_network(state) && g_error_matches(why, CST_ERROR, CST_ERROR_TIMEOUT)) {
        cst_fail(error, CST_ERROR_UNREACHABLE, _("'%s' has not answered for %u s"), state->source,
                 mount_times.mount_network_s);
        g_error_free(why);
    } else {
        g_propagate_error(error, why);
    }
}

gboolean mount_run(MountState *state, GError **error)
{
    g_auto(CstSecretBytes) input = {0};
    GError *why = NULL;

    if (!read_credentials(state, &input, error))
        return FALSE;
    mount_run_mount(state, &input, &why);
    if (mount_is_there(state)) {
        g_clear_error(&why);
        return TRUE;
    }
    if (!why)
        cst_fail(&why, CST_ERROR_FAILED,
                 _("'mount' claims success, but '%s' is not mounted on '%s'"), state->source,
                 mount_state_def(state)->target_path);
    mount_propagate_timeout(state, why, error);
    return FALSE;
}

/* --- umount ----------------------------------------------------------------------------------- */

/* Runs umount with the options @how, at most three and a final NULL. */
static gboolean run_umount(const MountState *state, const char *const how[4], unsigned timeout_s,
                           GError **error)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    const CstMount *mount = mount_at_target(state, mounts);
    const char *argv[7] = {"umount", "-c"};
    const CstTool tool = {
        .argv = argv, .package = "mount", .meanings = meanings, .timeout_s = timeout_s};
    size_t count = 2;

    if (!mount || !mount_is_ours(state, mount))
        return TRUE;
    for (size_t i = 0; how[i]; i++)
        argv[count++] = how[i];
    argv[count] = mount->target;
    return cst_tool_run(&tool, NULL, NULL, error);
}

/*
 * Fails with BUSY, and the message names the users of the mount. Returns TRUE if no user is found.
 */
static gboolean mount_refuse_used(const MountState *state, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    const CstMount *mount = mount_at_target(state, mounts);
    g_autofree char *who = NULL;

    if (mount)
        mount_users(mount, mounts, holders);
    who = cst_holders_describe(holders);
    return holders->len == 0 || cst_fail(error, CST_ERROR_BUSY, _("'%s' is in use: %s"),
                                         mount_state_def(state)->target_path, who);
}

/* Unmounts storage that responds. Fails with TIMEOUT if it stops responding. */
static gboolean mount_unmount_retry(const MountState *state, GError **error)
{
    unsigned timeout_s = is_network(state) ? mount_times.umount_network_s : mount_times.umount_s;
    gint64 end = g_get_monotonic_time() + PASSING_US;
    static const char *const plainly[4] = {NULL};

    for (;;) {
        GError *why = NULL;

        run_umount(state, plainly, timeout_s, &why);
        if (!why || !mount_is_there(state)) {
            g_clear_error(&why);
            return TRUE;
        }
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) || g_get_monotonic_time() > end) {
            g_propagate_error(error, why);
            return FALSE;
        }
        if (!mount_refuse_used(state, error)) {
            g_error_free(why);
            return FALSE;
        }
        g_error_free(why);
        g_usleep(LOOK_US);
    }
}

/*
 * Disconnects storage that does not respond. -i skips umount.nfs, which would contact the server.
 */
static gboolean mount_unmount_forced(const MountState *state, GError **error)
{
    static const char *const forced[4] = {"-i", "-f", NULL};
    static const char *const lazily[4] = {"-i", "-l", NULL};

    cst_log(CST_LOG_WARNING, "pool '%s': '%s' does not answer; it is unmounted by force",
            mount_state_def(state)->name, state->source);
    run_umount(state, forced, mount_times.force_s, NULL);
    return run_umount(state, lazily, mount_times.force_s, error);
}

gboolean mount_undo(MountState *state, GError **error)
{
    GError *why = NULL;

    CST_TEST_POINT("mount.undo");
    if (cst_liveness_check(state->dir.head.liveness, NULL)) {
        if (mount_unmount_retry(state, &why))
            return TRUE;
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_TIMEOUT)) {
            g_propagate_error(error, why);
            return FALSE;
        }
        g_error_free(why);
    }
    if (!mount_unmount_forced(state, error))
        return FALSE;
    return !mount_is_there(state) ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("'umount' claims success, but '%s' is still mounted"),
                    mount_state_def(state)->target_path);
}
