/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keyrings of Ceph, from an administrator's file or from a cluster, and keys in them. */
#include <stdlib.h>
#include <string.h>

#include <model/cephx.h>

#include "fuzz.h"

#define USER "client.u"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_auto(CstSecretBytes) text = {0}, key = {0}, found = {0}, made = {0}, again = {0}, twice = {0};

    if (!cst_secret_bytes_copy(&text, data, size, NULL) || !cst_cephx_key_new(&key, NULL))
        return 0;
    cst_cephx_key_from_base64(&text, &found, NULL);
    cst_secret_bytes_clear(&found);
    cst_cephx_keyring_find(&text, USER, &found, NULL);
    if (!cst_cephx_keyring_with(&text, USER, &key, &made, NULL))
        return 0;
    /* It has the new key, and nothing is lost of it when it is made once more. */
    if (made.len != strlen((const char *)made.data) && !memchr(data, 0, size))
        abort();
    if (!cst_cephx_keyring_find(&made, USER, &again, NULL) || again.len != key.len ||
        memcmp(again.data, key.data, key.len) != 0)
        abort();
    if (!cst_cephx_keyring_with(&made, USER, &key, &twice, NULL) || twice.len != made.len ||
        memcmp(twice.data, made.data, made.len) != 0)
        abort();
    return 0;
}
