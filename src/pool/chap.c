/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHAP credentials of pools that log in to an iSCSI target. */
#include <pool/chap.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define MUTUAL_SECRET "mutual-secret"

const char *const cst_chap_secret_options[] = {MUTUAL_SECRET, NULL};

static gboolean chap_check_user(const char *user, GError **error)
{
    size_t len = user ? strlen(user) : 0;

    return (len > 0 && len <= CST_CHAP_MAX) ||
           cst_fail(error, CST_ERROR_CONFIG,
                    _("the user name for CHAP has to have 1 to %d printable characters"),
                    CST_CHAP_MAX);
}

static gboolean read_password(const CstPoolState *state, const CstAuth *auth,
                              CstSecretBytes *ret_password, GError **error)
{
    if (!state->host)
        return cst_fail(error, CST_ERROR_NO_SECRET, _("no secret for CHAP user '%s'"),
                        auth->username);
    if (!state->host->secret(auth, ret_password, state->host->data, error))
        return FALSE;
    return (ret_password->len > 0 && ret_password->len <= CST_CHAP_MAX &&
            !memchr(ret_password->data, 0, ret_password->len)) ||
           cst_fail(error, CST_ERROR_INVALID_SECRET,
                    _("the secret for CHAP user '%s' is no password: it takes 1 to %d "
                      "printable characters"),
                    auth->username, CST_CHAP_MAX);
}

static gboolean read_mutual(const CstPoolState *state, CstChap *chap, GError **error)
{
    const char *user = cst_options_get(state->def->options, "mutual-username");
    const char *secret = cst_options_get(state->def->options, MUTUAL_SECRET);
    CstAuth auth = {.type = CST_AUTH_CHAP, .username = (char *)user};

    if (!user && !secret)
        return TRUE;
    if (!user || !secret || !chap->user)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("mutual CHAP takes both options, 'mutual-username' and 'mutual-secret', "
                          "and the pool's <auth>"));
    if (!chap_check_user(user, error))
        return FALSE;
    auth.by_uuid = cst_uuid_parse(secret, &auth.secret_uuid);
    auth.secret_usage = auth.by_uuid ? NULL : (char *)secret;
    chap->user_in = g_strdup(user);
    return read_password(state, &auth, &chap->password_in, error);
}

gboolean cst_chap_read(const CstPoolState *state, CstChap *ret_chap, GError **error)
{
    const CstAuth *auth = &state->def->source.auth;

    if (auth->type == CST_AUTH_NONE)
        return read_mutual(state, ret_chap, error);
    if (auth->type != CST_AUTH_CHAP)
        return cst_fail(error, CST_ERROR_XML, _("%s pool only supports 'chap' auth type"),
                        cst_pool_type_name(state->def->type));
    if (!chap_check_user(auth->username, error))
        return FALSE;
    ret_chap->user = g_strdup(auth->username);
    return read_password(state, auth, &ret_chap->password, error) &&
           read_mutual(state, ret_chap, error);
}
