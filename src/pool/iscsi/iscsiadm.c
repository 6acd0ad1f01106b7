/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs iscsiadm. Its exit status determines the error class; its messages are for people. Secrets
 * are never among its arguments.
 */
#include "iscsi.h"

#include <string.h>

#include <base/i18n.h>
#include <pool/tool.h>

IscsiHost iscsi_host = {
    .config = "/etc/iscsi",
    .databases = {"/etc/iscsi", "/var/lib/iscsi"},
    .discover_s = 30,
    .login_s = 60,
    .change_s = 40, /* iscsiadm waits 30 s for its lock */
    .prove_s = 15,
    .gone_s = 10,
};

/* open-iscsi's exit statuses (include/iscsi_err.h), with their error classes. */
static const CstToolStatus statuses[] = {
    {2, CST_ERROR_NOT_FOUND, NULL},    /* no such session */
    {4, CST_ERROR_UNREACHABLE, NULL},  /* transport */
    {5, CST_ERROR_UNREACHABLE, NULL},  /* login */
    {8, CST_ERROR_UNREACHABLE, NULL},  /* connection timed out */
    {11, CST_ERROR_UNREACHABLE, NULL}, /* no response */
    {12, CST_ERROR_UNSUPPORTED, N_("load the kernel module iscsi_tcp")},
    {13, CST_ERROR_DENIED, NULL},
    {15, CST_ERROR_EXISTS, NULL}, /* the session exists */
    {18, CST_ERROR_STATE, N_("iscsid does not answer; see 'systemctl status iscsid'")},
    {19, CST_ERROR_AUTH, N_("the target refuses the login, or cannot authenticate itself")},
    {20, CST_ERROR_STATE, N_("iscsid does not run; start it with 'systemctl start iscsid'")},
    {21, CST_ERROR_NOT_FOUND, NULL}, /* no such records */
    {23, CST_ERROR_UNREACHABLE, NULL},
    {24, CST_ERROR_AUTH, N_("the target refuses the user or the secret of the pool's <auth>")},
    {28, CST_ERROR_BUSY, NULL},
    {33, CST_ERROR_UNREACHABLE, NULL},
    {0, CST_ERROR_FAILED, NULL},
};

gboolean iscsi_run(const char *const *args, unsigned timeout_s, IscsiStatus accepted,
                   char **ret_out, GError **error)
{
    guint count = g_strv_length((char **)args);
    g_autofree const char **argv = g_new0(const char *, count + 2);
    const CstTool tool = {.argv = argv,
                          .package = "open-iscsi",
                          .statuses = statuses,
                          .accepted = (int)accepted,
                          .timeout_s = timeout_s};
    GError *why = NULL;

    argv[0] = "iscsiadm";
    memcpy(argv + 1, args, count * sizeof(*argv));
    if (cst_tool_run(&tool, NULL, ret_out, &why))
        return TRUE;
    /* iscsiadm waits for a target, or for iscsid, which waits for a target. */
    if (g_error_matches(why, CST_ERROR, CST_ERROR_TIMEOUT))
        why->code = CST_ERROR_UNREACHABLE;
    g_propagate_error(error, why);
    return FALSE;
}
