/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users of a cluster and their keys. A separate connection verifies a login: the monitors check the
 * key when the connection is made, and again for the tickets of the OSDs.
 *
 * An administrator changes a key with the commands of "ceph auth get" and "ceph auth import": the
 * user's section of the keyring is read and written back with another key. So the permissions of
 * the user are kept. Each command is one transaction in the monitors. A change of the user by
 * another program between the two commands is lost, as with the tools.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/cephx.h>

#define FSID_TEXT 37

gboolean cst_rbd_prove(CstPoolState *state, GError **error)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_new((RbdState *)state, error);

    return conn != NULL;
}

/* A query or a change of a user, in a separate thread with a deadline. */
typedef struct {
    CstWork work;
    RbdConn *conn;
    char *entity; /* "client.libvirt" */
    char *name;   /* of the Ceph pool, for messages */
    CstSecretBytes value;
    char *account;
} Change;

static void login_change_clear(CstWork *work)
{
    Change *change = (Change *)work;

    cst_rbd_conn_unref(change->conn);
    cst_secret_bytes_clear(&change->value);
    g_free(change->entity);
    g_free(change->name);
    g_free(change->account);
}

/* The library's own buffers also have keys, so wipe them. */
static void free_answer(const CstCeph *ceph, char *answer, size_t len)
{
    if (!answer)
        return;
    explicit_bzero(answer, len);
    ceph->rados_buffer_free(answer);
}

/* Sends @command with @input (may be NULL). *ret_answer stays empty if the answer is empty. */
static gboolean ask_monitors(Change *change, const char *command, const CstSecretBytes *input,
                             CstSecretBytes *ret_answer, GError **error)
{
    const CstCeph *ceph = change->conn->ceph;
    const char *commands[] = {command};
    char *answer = NULL, *status = NULL;
    size_t answer_len = 0, status_len = 0;
    gboolean done;
    int result = ceph->rados_mon_command(
        change->conn->cluster, commands, 1, input ? (const char *)input->data : "",
        input ? input->len : 0, &answer, &answer_len, &status, &status_len);

    /* The text of the status has only names of users, but its format is not documented. */
    free_answer(ceph, status, status_len);
    if (result == -ENOENT)
        done = cst_fail(error, CST_ERROR_NOT_FOUND, _("the Ceph cluster has no user '%s'"),
                        change->entity);
    else if (result == -EACCES || result == -EPERM)
        done = cst_fail(error, CST_ERROR_DENIED,
                        _("the administrator may not change users of the Ceph cluster"));
    else if (result < 0)
        done = cst_ceph_fail(error, result, _("cannot change user '%s' of the Ceph cluster"),
                             change->entity);
    else
        done = answer_len == 0 || !ret_answer ||
               cst_secret_bytes_copy(ret_answer, answer, answer_len, error);
    free_answer(ceph, answer, answer_len);
    return done;
}

static gboolean change_now(CstWork *work, GError **error)
{
    Change *change = (Change *)work;
    g_autofree char *get =
        g_strdup_printf("{\"prefix\": \"auth get\", \"entity\": \"%s\"}", change->entity);
    g_auto(CstSecretBytes) keyring = {0}, changed = {0}, known = {0};
    char fsid[FSID_TEXT] = "";
    int result = change->conn->ceph->rados_cluster_fsid(change->conn->cluster, fsid, sizeof(fsid));

    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot read the identity of the Ceph cluster"));
    change->account = g_strdup_printf("%s@%s", change->entity, fsid);
    if (!ask_monitors(change, get, NULL, &keyring, error) ||
        !cst_cephx_keyring_find(&keyring, change->entity, &known, error))
        return FALSE;
    if (!change->value.data ||
        (known.len == change->value.len && memcmp(known.data, change->value.data, known.len) == 0))
        return TRUE;
    return cst_cephx_keyring_with(&keyring, change->entity, &change->value, &changed, error) &&
           ask_monitors(change, "{\"prefix\": \"auth import\"}", &changed, NULL, error);
}

/* The names of users are inserted in JSON and in the head of a section. */
static gboolean rbd_check_user(const char *user, GError **error)
{
    for (const char *at = user; *at; at++)
        if (!g_ascii_isgraph(*at) || strchr("\"\\[]", *at))
            return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no name of a user of Ceph"), user);
    return TRUE;
}

gboolean cst_rbd_set_credential(CstPoolState *head, const CstLoginAdmin *admin,
                                const CstSecretBytes *value, char **ret_account, GError **error)
{
    RbdState *state = (RbdState *)head;
    const CstAuth *auth = &head->def->source.auth;
    g_autoptr(RbdConn) conn = NULL;
    g_autoptr(CstWork) work = NULL;
    Change *change;

    if (auth->type != CST_AUTH_CEPH)
        return cst_fail(error, CST_ERROR_CONFIG, _("the pool has no <auth> of type 'ceph'"));
    if (!rbd_check_user(auth->username, error) || !rbd_check_user(admin->user, error))
        return FALSE;
    conn = cst_rbd_conn_new_admin(state, admin, error);
    if (!conn)
        return FALSE;
    change = cst_work_new(sizeof(*change), change_now, login_change_clear);
    work = &change->work;
    change->conn = cst_rbd_conn_ref(conn);
    change->entity = g_strconcat("client.", auth->username, NULL);
    change->name = g_strdup(state->pool);
    change->work.what = change->name;
    if ((value && !cst_secret_bytes_copy(&change->value, value->data, value->len, error)) ||
        !cst_work_wait(work, conn->deadline_ms, error))
        return FALSE;
    *ret_account = g_steal_pointer(&change->account);
    return TRUE;
}
