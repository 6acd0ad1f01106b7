/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys and keyrings of cephx (see the header). The keyring is parsed line by line without a copy.
 */
#include <model/cephx.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#define KEY_HEAD 12 /* type, seconds, nanoseconds, length of the secret: 2, 4, 4, 2 bytes */
#define KEY_AES  1
#define AES_LEN  16

/* --- keys ------------------------------------------------------------------------------------- */

static void put_le(uint8_t *at, guint bytes, uint64_t value)
{
    for (guint i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static guint get_le16(const uint8_t *at)
{
    return at[0] | (guint)at[1] << 8;
}

gboolean cst_cephx_key_new(CstSecretBytes *ret_key, GError **error)
{
    g_auto(CstSecretBytes) key = {0};
    gint64 now = g_get_real_time();

    if (!cst_secret_bytes_alloc(&key, KEY_HEAD + AES_LEN, error))
        return FALSE;
    put_le(key.data, 2, KEY_AES);
    put_le(key.data + 2, 4, (uint64_t)(now / G_USEC_PER_SEC));
    put_le(key.data + 6, 4, (uint64_t)(now % G_USEC_PER_SEC * 1000));
    put_le(key.data + 10, 2, AES_LEN);
    if (getentropy(key.data + KEY_HEAD, AES_LEN) < 0)
        return cst_fail_errno(error, errno, "%s", _("cannot get random numbers"));
    *ret_key = key;
    key = (CstSecretBytes){0};
    return TRUE;
}

/* A key of another type may have another length. The cluster decides which types it accepts. */
gboolean cst_cephx_key_check(const CstSecretBytes *key, GError **error)
{
    gboolean fits = key->len > KEY_HEAD && get_le16(key->data) >= KEY_AES &&
                    get_le16(key->data + 10) == key->len - KEY_HEAD;

    if (fits && get_le16(key->data) == KEY_AES)
        fits = key->len == KEY_HEAD + AES_LEN;
    return fits ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("the value is not a cephx key; 'ceph auth print-key' prints the key"));
}

static gboolean is_base64(const char *text, size_t len)
{
    size_t padding = len > 0 && text[len - 1] == '=' ? 1 + (len > 1 && text[len - 2] == '=') : 0;

    for (size_t i = 0; i + padding < len; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '+' && text[i] != '/')
            return FALSE;
    return len > padding && len % 4 == 0;
}

/* The decoder skips characters that are not base64, so they are checked first. */
static gboolean read_key(const char *text, size_t len, CstSecretBytes *ret_key, GError **error)
{
    g_auto(CstSecretBytes) key = {0};

    if (is_base64(text, len) && !cst_secret_bytes_from_base64(&key, text, len, error))
        return FALSE;
    if (!cst_cephx_key_check(&key, error))
        return FALSE;
    *ret_key = key;
    key = (CstSecretBytes){0};
    return TRUE;
}

gboolean cst_cephx_key_from_base64(const CstSecretBytes *text, CstSecretBytes *ret_key,
                                   GError **error)
{
    return read_key((const char *)text->data, text->len, ret_key, error);
}

/* --- keyrings --------------------------------------------------------------------------------- */

typedef struct {
    const char *text;
    size_t len;
} Line;

static gboolean is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static Line line_trimmed(const char *text, size_t len)
{
    while (len > 0 && is_blank(*text)) {
        text++;
        len--;
    }
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    return (Line){text, len};
}

/* Returns the next line from *at on, and advances *at. Returns FALSE at the end. */
static gboolean next_line(const CstSecretBytes *keyring, size_t *at, Line *ret_line)
{
    const char *begin = (const char *)keyring->data + *at;
    size_t left = keyring->len - *at;
    const char *end = left > 0 ? memchr(begin, '\n', left) : NULL;
    size_t len = end ? (size_t)(end - begin) : left;

    if (left == 0)
        return FALSE;
    *ret_line = line_trimmed(begin, len);
    *at += len + (end ? 1 : 0);
    return TRUE;
}

static gboolean is_section(const Line *line)
{
    return line->len > 2 && line->text[0] == '[' && line->text[line->len - 1] == ']';
}

static gboolean is_section_of(const Line *line, const char *user)
{
    return is_section(line) && line->len - 2 == strlen(user) &&
           memcmp(line->text + 1, user, line->len - 2) == 0;
}

/* Whether the line is "key = VALUE". *ret_value is the text after the equals sign. */
static gboolean is_key(const Line *line, Line *ret_value)
{
    const char *sign = line->len > 0 ? memchr(line->text, '=', line->len) : NULL;
    Line name;

    if (!sign)
        return FALSE;
    name = line_trimmed(line->text, (size_t)(sign - line->text));
    *ret_value = line_trimmed(sign + 1, line->len - (size_t)(sign + 1 - line->text));
    return name.len == 3 && memcmp(name.text, "key", 3) == 0;
}

static gboolean is_caps(const Line *line)
{
    return line->len > 5 && memcmp(line->text, "caps", 4) == 0 && is_blank(line->text[4]);
}

/* Moves *at past the section header of @user. */
static gboolean find_section(const CstSecretBytes *keyring, const char *user, size_t *at,
                             GError **error)
{
    Line line;

    if (keyring->len > CST_CEPHX_KEYRING_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("a keyring has at most %u bytes"),
                        CST_CEPHX_KEYRING_MAX);
    *at = 0;
    while (next_line(keyring, at, &line))
        if (is_section_of(&line, user))
            return TRUE;
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("the keyring has no user '%s'"), user);
}

gboolean cst_cephx_keyring_find(const CstSecretBytes *keyring, const char *user,
                                CstSecretBytes *ret_key, GError **error)
{
    Line line, value;
    size_t at;

    if (!find_section(keyring, user, &at, error))
        return FALSE;
    while (next_line(keyring, &at, &line) && !is_section(&line))
        if (is_key(&line, &value))
            return read_key(value.text, value.len, ret_key, error);
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("the keyring has no key of user '%s'"), user);
}

static size_t secret_append(CstSecretBytes *to, size_t at, const char *text, size_t len)
{
    memcpy(to->data + at, text, len);
    return at + len;
}

static size_t append_text(CstSecretBytes *to, size_t at, const char *text)
{
    return secret_append(to, at, text, strlen(text));
}

/*
 * Copies only the caps. Another line, such as a pending key, could be left from an earlier
 * rotation.
 */
gboolean cst_cephx_keyring_with(const CstSecretBytes *keyring, const char *user,
                                const CstSecretBytes *key, CstSecretBytes *ret_keyring,
                                GError **error)
{
    g_auto(CstSecretBytes) base64 = {0}, made = {0};
    size_t from, to = 0;
    Line line;

    if (!find_section(keyring, user, &from, error) ||
        !cst_secret_bytes_to_base64(&base64, key, error) ||
        !cst_secret_bytes_alloc(&made, 2 * keyring->len + base64.len + strlen(user) + 16, error))
        return FALSE;
    to = append_text(&made, to, "[");
    to = append_text(&made, to, user);
    to = append_text(&made, to, "]\nkey = ");
    to = secret_append(&made, to, (const char *)base64.data, base64.len);
    to = append_text(&made, to, "\n");
    while (next_line(keyring, &from, &line) && !is_section(&line)) {
        if (!is_caps(&line))
            continue;
        to = secret_append(&made, to, line.text, line.len);
        to = append_text(&made, to, "\n");
    }
    made.len = to;
    *ret_keyring = made;
    made = (CstSecretBytes){0};
    return TRUE;
}
