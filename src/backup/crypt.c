/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys and ciphers of a repository, with GnuTLS (see the header). Stateless. Only repo_random() and
 * repo_digest() load the library, because every use of a repository starts with one of them.
 */
#include "crypt.h"

#include <inttypes.h>
#include <string.h>

#include <gnutls_library.h>

#include <base/bytes.h>
#include <base/error.h>
#include <base/i18n.h>

enum { KEY_DATA, KEY_LISTS, KEY_FILES, N_KEYS };

static gboolean repo_fail_gnutls(GError **error, int code)
{
    return cst_fail(error, CST_ERROR_FAILED, _("GnuTLS cannot encrypt or decrypt: %s"),
                    gnutls_strerror(code));
}

static gboolean repo_hmac_sha256(const uint8_t *key, const void *data, size_t len,
                                 uint8_t ret[REPO_HASH], GError **error)
{
    int result = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, REPO_KEY, data, len, ret);

    return result == 0 || repo_fail_gnutls(error, result);
}

void repo_keys_clear(RepoKeys *keys)
{
    cst_secret_bytes_clear(&keys->bytes);
}

gboolean repo_random(void *ret_bytes, size_t len, GError **error)
{
    int result;

    if (!cst_library_load(&cst_gnutls_library, error))
        return FALSE;
    result = gnutls_rnd(GNUTLS_RND_KEY, ret_bytes, len);
    return result == 0 || repo_fail_gnutls(error, result);
}

static gboolean repo_keys_derive(const uint8_t *master, RepoKeys *ret_keys, GError **error)
{
    static const char *const labels[N_KEYS] = {"cistern backup 1 data", "cistern backup 1 lists",
                                               "cistern backup 1 files"};

    if (!cst_secret_bytes_alloc(&ret_keys->bytes, N_KEYS * REPO_KEY, error))
        return FALSE;
    for (int i = 0; i < N_KEYS; i++)
        if (!repo_hmac_sha256(master, labels[i], strlen(labels[i]),
                              ret_keys->bytes.data + i * REPO_KEY, error))
            return FALSE;
    return TRUE;
}

/* --- the key of a repository ------------------------------------------------------------------ */

/*
 * Derives the key that encrypts @config's key. The iterations make guessing a passphrase expensive.
 */
static gboolean passphrase_key_derive(const RepoConfig *config, const CstSecretBytes *secret,
                                      CstSecretBytes *ret_key, GError **error)
{
    const gnutls_datum_t value = {secret->data, (unsigned)secret->len};
    const gnutls_datum_t salt = {(uint8_t *)config->salt, sizeof(config->salt)};
    int result;

    if (!cst_secret_bytes_alloc(ret_key, REPO_KEY, error))
        return FALSE;
    result = gnutls_pbkdf2(GNUTLS_MAC_SHA256, &value, &salt, config->iterations, ret_key->data,
                           ret_key->len);
    return result == 0 || repo_fail_gnutls(error, result);
}

/* Encrypts @master into *@config, or decrypts it into @master. Returns the result of GnuTLS. */
static int master_key_crypt(RepoConfig *config, const CstSecretBytes *with, CstSecretBytes *master,
                            gboolean encrypt)
{
    const gnutls_datum_t key = {with->data, (unsigned)with->len};
    uint8_t known[REPO_CONFIG_BYTES];
    size_t sealed = sizeof(config->key), plain = REPO_KEY;
    gnutls_aead_cipher_hd_t cipher;
    int result = gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key);

    if (result < 0)
        return result;
    repo_config_format(config, known);
    result = encrypt ? gnutls_aead_cipher_encrypt(cipher, config->nonce, REPO_NONCE, known,
                                                  REPO_CONFIG_KNOWN, REPO_TAG, master->data,
                                                  REPO_KEY, config->key, &sealed)
                     : gnutls_aead_cipher_decrypt(cipher, config->nonce, REPO_NONCE, known,
                                                  REPO_CONFIG_KNOWN, REPO_TAG, config->key, sealed,
                                                  master->data, &plain);
    gnutls_aead_cipher_deinit(cipher);
    return result;
}

gboolean repo_keys_make(RepoConfig *config, const CstSecretBytes *secret, RepoKeys *ret_keys,
                        GError **error)
{
    g_auto(CstSecretBytes) master = {0};
    g_auto(CstSecretBytes) with = {0};
    int result;

    if (!cst_secret_bytes_alloc(&master, REPO_KEY, error) ||
        !repo_random(master.data, master.len, error) ||
        !repo_random(config->salt, sizeof(config->salt), error) ||
        !repo_random(config->nonce, sizeof(config->nonce), error))
        return FALSE;
    memset(config->key, 0, sizeof(config->key));
    config->wrapped = secret != NULL;
    if (!secret) {
        config->iterations = 0;
        memcpy(config->key, master.data, REPO_KEY);
    } else {
        if (!passphrase_key_derive(config, secret, &with, error))
            return FALSE;
        result = master_key_crypt(config, &with, &master, TRUE);
        if (result < 0)
            return repo_fail_gnutls(error, result);
    }
    return repo_keys_derive(master.data, ret_keys, error);
}

gboolean repo_keys_open(const RepoConfig *config, const CstSecretBytes *secret, const char *name,
                        RepoKeys *ret_keys, GError **error)
{
    g_auto(CstSecretBytes) master = {0};
    g_auto(CstSecretBytes) with = {0};
    RepoConfig copy = *config;
    int result;

    /*
     * An attacker who replaces the config must not cause the next backup to be stored in plain
     * text.
     */
    if (secret && !config->wrapped)
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("repository '%s' is not encrypted, although a secret is given for it: "
                          "its config may have been replaced"),
                        name);
    if (!secret && config->wrapped)
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("repository '%s' is encrypted; name its secret"), name);
    if (!secret)
        return repo_keys_derive(config->key, ret_keys, error);
    if (!cst_secret_bytes_alloc(&master, REPO_KEY, error) ||
        !passphrase_key_derive(config, secret, &with, error))
        return FALSE;
    result = master_key_crypt(&copy, &with, &master, FALSE);
    if (result == GNUTLS_E_DECRYPTION_FAILED)
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("repository '%s' is encrypted with another secret"), name);
    return result < 0 ? repo_fail_gnutls(error, result)
                      : repo_keys_derive(master.data, ret_keys, error);
}

gboolean repo_config_sum(const uint8_t *file, uint8_t ret_sum[REPO_HASH], GError **error)
{
    return repo_digest(file, REPO_CONFIG_SUM, ret_sum, error);
}

gboolean repo_digest(const void *bytes, size_t len, uint8_t ret_digest[REPO_HASH], GError **error)
{
    int result;

    if (!cst_library_load(&cst_gnutls_library, error))
        return FALSE;
    result = gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, len, ret_digest);
    return result == 0 || repo_fail_gnutls(error, result);
}

/* --- chunks and files ------------------------------------------------------------------------- */

gboolean repo_chunk_name(const RepoKeys *keys, ChunkKind kind, const void *content, size_t len,
                         uint8_t ret_hash[REPO_HASH], GError **error)
{
    int key = kind == CHUNK_LIST ? KEY_LISTS : KEY_DATA;

    return repo_hmac_sha256(keys->bytes.data + key * REPO_KEY, content, len, ret_hash, error);
}

void file_cipher_clear(FileCipher *cipher)
{
    explicit_bzero(cipher->key, sizeof(cipher->key));
}

gboolean file_cipher_init(FileCipher *cipher, const RepoKeys *keys,
                          const uint8_t head[REPO_FILE_HEAD], GError **error)
{
    memcpy(cipher->head, head, REPO_FILE_HEAD);
    return repo_hmac_sha256(keys->bytes.data + KEY_FILES * REPO_KEY, head, REPO_FILE_HEAD,
                            cipher->key, error);
}

static void nonce_of(uint64_t offset, uint8_t ret_nonce[REPO_NONCE])
{
    memset(ret_nonce, 0, REPO_NONCE);
    cst_put_be64(ret_nonce + REPO_NONCE - 8, offset);
}

gboolean file_cipher_seal(const FileCipher *cipher, uint64_t offset, const void *plain, size_t len,
                          uint8_t *ret_sealed, GError **error)
{
    const gnutls_datum_t key = {(uint8_t *)cipher->key, REPO_KEY};
    uint8_t nonce[REPO_NONCE];
    size_t sealed = len + REPO_TAG;
    gnutls_aead_cipher_hd_t handle;
    int result = gnutls_aead_cipher_init(&handle, GNUTLS_CIPHER_AES_256_GCM, &key);

    if (result < 0)
        return repo_fail_gnutls(error, result);
    nonce_of(offset, nonce);
    result = gnutls_aead_cipher_encrypt(handle, nonce, REPO_NONCE, cipher->head, REPO_FILE_HEAD,
                                        REPO_TAG, plain, len, ret_sealed, &sealed);
    gnutls_aead_cipher_deinit(handle);
    return result == 0 || repo_fail_gnutls(error, result);
}

gboolean file_cipher_open(const FileCipher *cipher, uint64_t offset, const uint8_t *sealed,
                          size_t len, uint8_t *ret_plain, const char *name, GError **error)
{
    const gnutls_datum_t key = {(uint8_t *)cipher->key, REPO_KEY};
    uint8_t nonce[REPO_NONCE];
    size_t plain = len - REPO_TAG;
    gnutls_aead_cipher_hd_t handle;
    int result = gnutls_aead_cipher_init(&handle, GNUTLS_CIPHER_AES_256_GCM, &key);

    if (result < 0)
        return repo_fail_gnutls(error, result);
    nonce_of(offset, nonce);
    result = gnutls_aead_cipher_decrypt(handle, nonce, REPO_NONCE, cipher->head, REPO_FILE_HEAD,
                                        REPO_TAG, sealed, len, ret_plain, &plain);
    gnutls_aead_cipher_deinit(handle);
    if (result == GNUTLS_E_DECRYPTION_FAILED)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged at byte %" PRIu64), name,
                        offset);
    return result == 0 || repo_fail_gnutls(error, result);
}
