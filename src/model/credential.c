/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules for the credentials of pools, by the usage of the secret. */
#include <model/credential.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/cephx.h>

/* The maximum length that the weakest initiators accept. */
#define CHAP_LEN 16

/* --- CHAP ------------------------------------------------------------------------------------- */

/*
 * Draws bytes above the last multiple of the alphabet's size again, so that all characters are
 * equally likely.
 */
static gboolean chap_new(CstSecretBytes *ret_value, GError **error)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const size_t count = sizeof(alphabet) - 1;
    g_auto(CstSecretBytes) value = {0};

    if (!cst_secret_bytes_alloc(&value, CHAP_LEN, error))
        return FALSE;
    for (size_t i = 0; i < CHAP_LEN;) {
        if (getentropy(value.data + i, 1) < 0)
            return cst_fail_errno(error, errno, "%s", _("cannot get random numbers"));
        if (value.data[i] < 256 / count * count) {
            value.data[i] = (uint8_t)alphabet[value.data[i] % count];
            i++;
        }
    }
    *ret_value = value;
    value = (CstSecretBytes){0};
    return TRUE;
}

static gboolean chap_check(const CstSecretBytes *value, GError **error)
{
    gboolean fits = value->len > 0 && value->len <= CST_CREDENTIAL_CHAP_MAX;

    for (size_t i = 0; fits && i < value->len; i++)
        fits = value->data[i] >= ' ' && value->data[i] != 127;
    return fits || cst_fail(error, CST_ERROR_INVALID,
                            _("the value is no password for CHAP: it takes 1 to %d printable "
                              "characters"),
                            CST_CREDENTIAL_CHAP_MAX);
}

static gboolean chap_text(const CstSecretBytes *text, CstSecretBytes *ret_value, GError **error)
{
    return cst_secret_bytes_copy(ret_value, text->data, text->len, error);
}

/* --- by usage --------------------------------------------------------------------------------- */

typedef struct {
    gboolean (*make)(CstSecretBytes *ret_value, GError **error);
    gboolean (*check)(const CstSecretBytes *value, GError **error);
    gboolean (*read)(const CstSecretBytes *text, CstSecretBytes *ret_value, GError **error);
    gboolean (*write)(const CstSecretBytes *value, CstSecretBytes *ret_text, GError **error);
} Kind;

static gboolean cephx_text(const CstSecretBytes *value, CstSecretBytes *ret_text, GError **error)
{
    return cst_secret_bytes_to_base64(ret_text, value, error);
}

static const Kind *kind_of(CstSecretUsage usage, GError **error)
{
    static const Kind cephx = {cst_cephx_key_new, cst_cephx_key_check, cst_cephx_key_from_base64,
                               cephx_text};
    static const Kind chap = {chap_new, chap_check, chap_text, chap_text};
    const char *name = cst_secret_usage_name(usage);

    if (usage == CST_SECRET_CEPH)
        return &cephx;
    if (usage == CST_SECRET_ISCSI)
        return &chap;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("a secret of usage '%s' cannot be rotated, because pools log in only with usages "
               "'ceph' and 'iscsi'; see secret-set-value"),
             name ? name : "none");
    return NULL;
}

gboolean cst_credential_usage_check(CstSecretUsage usage, GError **error)
{
    return kind_of(usage, error) != NULL;
}

gboolean cst_credential_check(CstSecretUsage usage, const CstSecretBytes *value, GError **error)
{
    const Kind *kind = kind_of(usage, error);

    return kind && kind->check(value, error);
}

gboolean cst_credential_new(CstSecretUsage usage, CstSecretBytes *ret_value, GError **error)
{
    const Kind *kind = kind_of(usage, error);

    return kind && kind->make(ret_value, error);
}

gboolean cst_credential_from_text(CstSecretUsage usage, const CstSecretBytes *text,
                                  CstSecretBytes *ret_value, GError **error)
{
    const Kind *kind = kind_of(usage, error);
    CstSecretBytes line = *text;
    g_auto(CstSecretBytes) value = {0};

    if (line.len > 0 && line.data[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (!kind || !kind->read(&line, &value, error) || !kind->check(&value, error))
        return FALSE;
    *ret_value = value;
    value = (CstSecretBytes){0};
    return TRUE;
}

gboolean cst_credential_to_text(CstSecretUsage usage, const CstSecretBytes *value,
                                CstSecretBytes *ret_text, GError **error)
{
    const Kind *kind = kind_of(usage, error);

    return kind && kind->write(value, ret_text, error);
}
