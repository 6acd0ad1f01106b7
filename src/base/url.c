/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths in URLs, and the interpretation of an image's reference to another file. References come
 * from the content of images. So the functions open no file, and return a result for any text.
 */
#include <base/url.h>

#include <string.h>

#include <base/file.h>

/*
 * The characters in a path that libxml2 does not escape, besides letters, digits, "-", ".", "_" and
 * "~".
 */
#define ALLOWED_IN_PATH "/!*'():@&=+$,;"

#define WORD_ENDS   " \t\n\"'" /* of a URL in a line */
#define SCHEME_ENDS ":;/\\"    /* of the scheme in a mistyped URL */

char *cst_url_escape_path(const char *path)
{
    return g_uri_escape_string(path, ALLOWED_IN_PATH, FALSE);
}

char *cst_url_unescape_path(const char *escaped)
{
    return g_uri_unescape_string(escaped, NULL);
}

/* Returns the start of the path of a URL; NULL if @text is not a URL. */
static const char *path_of_url(const char *text)
{
    const char *authority = strstr(text, "://");

    if (!authority || authority == text || memchr(text, '/', (gsize)(authority - text)))
        return NULL;
    return strchrnul(authority + strlen("://"), '/');
}

char *cst_reference_resolve(const char *directory, const char *reference)
{
    const char *colon = strchr(reference, ':');
    const char *slash = strchr(reference, '/');
    const char *path = path_of_url(directory);
    g_autofree char *clean = NULL;
    g_autofree char *escaped = NULL;

    if (reference[0] == '/' || (colon && (!slash || colon < slash)))
        return g_strdup(reference);
    if (!path)
        return g_canonicalize_filename(reference, directory);
    /* The reference is a file name, so a URL's special characters in it are escaped. */
    escaped = cst_url_escape_path(reference);
    clean = g_canonicalize_filename(escaped, *path ? path : "/");
    return g_strdup_printf("%.*s%s", (int)(path - directory), directory, clean);
}

/*
 * Returns the string that follows the last "filename" or "file.filename" key of a JSON object,
 * which belongs to the innermost node; NULL if there is no such key. A backslash escapes the next
 * character.
 */
static char *filename_of_json(const char *json)
{
    static const char key[] = "filename\"";
    const char *found = NULL;
    GString *value;

    for (const char *at = strstr(json, key); at; at = strstr(at + 1, key))
        if (at[-1] == '"' || at[-1] == '.')
            found = at + strlen(key);
    if (!found)
        return NULL;
    found += strspn(found, " \t\r\n:");
    if (*found++ != '"')
        return NULL;
    value = g_string_new(NULL);
    for (; *found && *found != '"'; found++) {
        if (*found == '\\' && found[1])
            found++;
        g_string_append_c(value, *found);
    }
    return g_string_free(value, FALSE);
}

char *cst_reference_path(const char *reference)
{
    g_autofree char *json =
        g_str_has_prefix(reference, "json:") ? filename_of_json(reference) : NULL;
    const char *path = json ? json : reference;

    if (g_str_has_prefix(path, "file:"))
        path += strlen("file:");
    return g_path_is_absolute(path) ? g_canonicalize_filename(path, NULL) : g_strdup(reference);
}

gboolean cst_reference_is_below(const char *reference)
{
    g_auto(GStrv) parts = g_strsplit(reference, "/", -1);

    for (char **part = parts; *part; part++)
        if (!cst_name_check(*part, "file", NULL))
            return FALSE;
    return *reference != '\0';
}

/*
 * Returns the length of the scheme of a mistyped URL with a user, such as "http:/user:password@h"
 * or "https//user@h"; 0 for any other text.
 */
static size_t mistyped_scheme(const char *text)
{
    static const char *const schemes[] = {"https", "http", "ftps", "ftp", "nbds", "nbd"};

    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        size_t len = strlen(schemes[i]);

        if (g_ascii_strncasecmp(text, schemes[i], len) == 0 && text[len] &&
            strchr(SCHEME_ENDS, text[len]) && strchr(text + len, '@'))
            return len;
    }
    return 0;
}

char *cst_url_shown(const char *text)
{
    const char *path = path_of_url(text);
    g_autoptr(GUri) uri = path ? g_uri_parse(text, G_URI_FLAGS_ENCODED, NULL) : NULL;
    size_t scheme = path ? 0 : mistyped_scheme(text);

    if (scheme > 0)
        return g_strdup_printf("%.*s%c…", (int)scheme, text, text[scheme]);
    if (!path)
        return g_strdup(text);
    if (uri)
        return g_uri_to_string_partial(uri, G_URI_HIDE_USERINFO | G_URI_HIDE_QUERY |
                                                G_URI_HIDE_FRAGMENT);
    /* The password may be anywhere in a URL that cannot be parsed. */
    return g_strdup_printf("%.*s://…", (int)(strstr(text, "://") - text), text);
}

/* --- references for display ------------------------------------------------------------------- */

/*
 * Whether a value under @key, of @len bytes, may be a secret. A key with a backslash may be any
 * key.
 */
static gboolean is_secret_key(const char *key, size_t len)
{
    static const char *const words[] = {"password", "user", "cookie", "header", "token", "query"};
    g_autofree char *name = g_ascii_strdown(key, (gssize)len);

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(name, words[i]))
            return TRUE;
    return strchr(name, '\\') != NULL;
}

/* Appends a JSON string of @len bytes in its escaped form. */
static void append_value(GString *shown, const char *value, size_t len, gboolean secret)
{
    g_autofree char *text = g_strndup(value, len);
    g_autofree char *safe = NULL;

    /* A backslash may hide the "://" of a URL. */
    if (secret || strchr(text, '\\'))
        g_string_append_c(shown, '*');
    else
        g_string_append(shown, safe = cst_reference_shown(text));
}

/* Returns the closing quote of the string that begins at @at, or the end of the text. */
static const char *end_of_string(const char *at)
{
    while (*at && *at != '"')
        at += *at == '\\' && at[1] ? 2 : 1;
    return at;
}

/*
 * Returns QEMU's JSON of a reference without secrets. Only string values are checked, because QEMU
 * has no secret that is a number or an object.
 */
static char *json_shown(const char *json)
{
    GString *shown = g_string_new(NULL);
    gboolean secret = FALSE;

    while (*json) {
        const char *quote = strchrnul(json, '"'), *end, *next;

        g_string_append_len(shown, json, quote - json);
        if (!*quote)
            break;
        end = end_of_string(quote + 1);
        next = *end ? end + 1 : end;
        g_string_append_c(shown, '"');
        if (next[strspn(next, " \t\r\n")] == ':') {
            secret = is_secret_key(quote + 1, (size_t)(end - quote - 1));
            g_string_append_len(shown, quote + 1, end - quote - 1);
        } else {
            append_value(shown, quote + 1, (size_t)(end - quote - 1), secret);
        }
        if (*end)
            g_string_append_c(shown, '"');
        json = next;
    }
    return g_string_free(shown, FALSE);
}

char *cst_reference_shown(const char *reference)
{
    const char *authority = strstr(reference, "://");

    if (*reference == '/')
        return g_strdup(reference);
    if (g_str_has_prefix(reference, "json:"))
        return json_shown(reference);
    /* "rbd:POOL/IMAGE:id=NAME:key=SECRET" */
    if (g_str_has_prefix(reference, "rbd:") && strchr(reference + strlen("rbd:"), ':'))
        return g_strdup_printf("rbd:%.*s:…", (int)strcspn(reference + strlen("rbd:"), ":"),
                               reference + strlen("rbd:"));
    if (!authority || path_of_url(reference))
        return cst_url_shown(reference);
    return g_strdup_printf("%.*s://…", (int)(authority - reference), reference);
}

/* --- typed text ------------------------------------------------------------------------------- */

static gboolean is_scheme(char c)
{
    return g_ascii_isalnum(c) || c == '+' || c == '-' || c == '.';
}

/*
 * Whether the scheme that ends at @end is of a connection URI, such as "storage+unix" or "qemu".
 * The user and the query of such a URI are not secret, and show where it leads.
 */
static gboolean is_connection(const char *text, const char *end)
{
    static const char *const schemes[] = {"storage", "qemu", "secret", "virt"};
    const char *begin = end;

    while (begin > text && is_scheme(begin[-1]))
        begin--;
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++)
        if (g_str_has_prefix(begin, schemes[i]) && begin + strlen(schemes[i]) <= end)
            return TRUE;
    return FALSE;
}

/* Masks the user before @end. A password that is not encoded may contain a slash. */
static void mask_user(char *authority, const char *end, gboolean connection)
{
    char *at = memrchr(authority, '@', (size_t)(end - authority));
    size_t len = at ? (size_t)(at - authority) : 0;

    if (len > 0 && (!connection || memchr(authority, ':', len)))
        memset(authority, '*', len);
}

/* Masks the user of each word that is a mistyped URL. */
static void mask_mistyped(char *text)
{
    for (char *word = text; *word; word++) {
        size_t scheme = word == text || !is_scheme(word[-1]) ? mistyped_scheme(word) : 0;
        char *user = word + scheme + strspn(word + scheme, SCHEME_ENDS);

        if (scheme > 0)
            mask_user(user, user + strcspn(user, WORD_ENDS), FALSE);
    }
}

void cst_url_mask(char *text)
{
    for (char *url = strstr(text, "://"); url; url = strstr(url, "://")) {
        gboolean connection;
        char *end, *query;

        url += strlen("://");
        if (url - text < 4 || !is_scheme(url[-4]))
            continue;
        connection = is_connection(text, url - strlen("://"));
        end = url + strcspn(url, WORD_ENDS);
        query = url + strcspn(url, "?#" WORD_ENDS);
        if (!connection)
            memset(query, '*', (size_t)(end - query));
        mask_user(url, query, connection);
        url = end;
    }
    mask_mistyped(text);
}
