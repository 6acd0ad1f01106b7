/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sealed form of a value (see the header). The functions work on memory only, except for random
 * numbers.
 */
#include "seal.h"

#include <string.h>

#include <gnutls_library.h>

#include <base/error.h>
#include <base/i18n.h>

#define MAGIC       "CSTSEAL\n"
#define MAGIC_BYTES 8
#define VERSION     1
#define VERSION_AT  8
#define ID_AT       12
#define CHANGED_AT  20
#define NONCE_AT    28
#define NONCE_BYTES (SEAL_HEAD - NONCE_AT)

G_STATIC_ASSERT(ID_AT + SEAL_ID_BYTES == CHANGED_AT);

/* --- numbers ---------------------------------------------------------------------------------- */

static uint32_t read_32(const uint8_t *at)
{
    uint32_t number;

    memcpy(&number, at, sizeof(number));
    return GUINT32_FROM_BE(number);
}

static uint64_t read_64(const uint8_t *at)
{
    uint64_t number;

    memcpy(&number, at, sizeof(number));
    return GUINT64_FROM_BE(number);
}

static void write_32(uint8_t *at, uint32_t number)
{
    number = GUINT32_TO_BE(number);
    memcpy(at, &number, sizeof(number));
}

static void write_64(uint8_t *at, uint64_t number)
{
    number = GUINT64_TO_BE(number);
    memcpy(at, &number, sizeof(number));
}

/* --- keys ------------------------------------------------------------------------------------- */

static gboolean seal_fail_gnutls(GError **error, int code, const char *doing)
{
    return cst_fail(error, CST_ERROR_FAILED, _("GnuTLS cannot %s: %s"), doing,
                    gnutls_strerror(code));
}

static void id_bytes(const CstSecretBytes *key, uint8_t ret_id[SEAL_ID_BYTES])
{
    uint8_t digest[32];

    /* Without memory the digest fails, and a zero id matches no key. */
    memset(digest, 0, sizeof(digest));
    gnutls_hash_fast(GNUTLS_DIG_SHA256, key->data, key->len, digest);
    memcpy(ret_id, digest, SEAL_ID_BYTES);
}

static void seal_format_id(const uint8_t id[SEAL_ID_BYTES], char ret_text[SEAL_ID_TEXT])
{
    for (size_t i = 0; i < SEAL_ID_BYTES; i++)
        g_snprintf(ret_text + 2 * i, 3, "%02x", id[i]);
}

void seal_key_id(const CstSecretBytes *key, char ret_id[SEAL_ID_TEXT])
{
    uint8_t id[SEAL_ID_BYTES];

    id_bytes(key, id);
    seal_format_id(id, ret_id);
}

/* --- files ------------------------------------------------------------------------------------ */

gboolean seal_read_head(const uint8_t *file, size_t len, const char *path, SealHead *ret_head,
                        GError **error)
{
    if (len < SEAL_HEAD + 1 + SEAL_TAG || len > SEAL_MAX || memcmp(file, MAGIC, MAGIC_BYTES) != 0)
        return cst_fail(error, CST_ERROR_INVALID_SECRET, _("'%s' is no sealed value"), path);
    if (read_32(file + VERSION_AT) != VERSION)
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("'%s' is sealed in version %u, which this program does not know"), path,
                        read_32(file + VERSION_AT));
    seal_format_id(file + ID_AT, ret_head->key_id);
    ret_head->changed = (gint64)read_64(file + CHANGED_AT);
    return TRUE;
}

/* Encrypts or decrypts, and authenticates the head and the UUID. Returns GnuTLS's result. */
static int run_cipher(const CstSecretBytes *key, const CstUuid *uuid, uint8_t *file, size_t sealed,
                      CstSecretBytes *value, gboolean encrypt)
{
    const gnutls_datum_t datum = {key->data, (unsigned)key->len};
    uint8_t known[SEAL_HEAD + sizeof(uuid->bytes)];
    gnutls_aead_cipher_hd_t cipher;
    int result;

    memcpy(known, file, SEAL_HEAD);
    memcpy(known + SEAL_HEAD, uuid->bytes, sizeof(uuid->bytes));
    result = gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &datum);
    if (result < 0)
        return result;
    if (encrypt)
        result = gnutls_aead_cipher_encrypt(cipher, file + NONCE_AT, NONCE_BYTES, known,
                                            sizeof(known), SEAL_TAG, value->data, value->len,
                                            file + SEAL_HEAD, &sealed);
    else
        result = gnutls_aead_cipher_decrypt(cipher, file + NONCE_AT, NONCE_BYTES, known,
                                            sizeof(known), SEAL_TAG, file + SEAL_HEAD, sealed,
                                            value->data, &value->len);
    gnutls_aead_cipher_deinit(cipher);
    return result;
}

gboolean seal_close(const CstSecretBytes *key, const CstUuid *uuid, gint64 changed,
                    const CstSecretBytes *value, uint8_t **ret_file, size_t *ret_len,
                    GError **error)
{
    size_t len = SEAL_HEAD + value->len + SEAL_TAG;
    g_autofree uint8_t *file = NULL;
    CstSecretBytes text = *value;
    int result;

    if (value->len == 0 || value->len > CST_SECRET_VALUE_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("a secret's value has at most %d bytes"),
                        CST_SECRET_VALUE_MAX);
    if (!cst_library_load(&cst_gnutls_library, error))
        return FALSE;
    file = g_malloc0(len);
    memcpy(file, MAGIC, MAGIC_BYTES);
    write_32(file + VERSION_AT, VERSION);
    id_bytes(key, file + ID_AT);
    write_64(file + CHANGED_AT, (uint64_t)changed);
    result = gnutls_rnd(GNUTLS_RND_NONCE, file + NONCE_AT, NONCE_BYTES);
    if (result == 0)
        result = run_cipher(key, uuid, file, len - SEAL_HEAD, &text, TRUE);
    if (result < 0)
        return seal_fail_gnutls(error, result, _("seal a value"));
    *ret_file = g_steal_pointer(&file);
    *ret_len = len;
    return TRUE;
}

gboolean seal_open(const CstSecretBytes *key, const CstUuid *uuid, const uint8_t *file, size_t len,
                   const char *path, CstSecretBytes *ret_value, GError **error)
{
    g_auto(CstSecretBytes) value = {0};
    SealHead head;
    int result;

    if (!cst_library_load(&cst_gnutls_library, error) ||
        !seal_read_head(file, len, path, &head, error) ||
        !cst_secret_bytes_alloc(&value, len - SEAL_HEAD - SEAL_TAG, error))
        return FALSE;
    result = run_cipher(key, uuid, (uint8_t *)file, len - SEAL_HEAD, &value, FALSE);
    if (result == GNUTLS_E_DECRYPTION_FAILED)
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("'%s' is damaged, or is another secret's file: its seal (key %s) does "
                          "not fit"),
                        path, head.key_id);
    if (result < 0)
        return seal_fail_gnutls(error, result, _("open a sealed value"));
    *ret_value = value;
    value = (CstSecretBytes){0};
    return TRUE;
}
