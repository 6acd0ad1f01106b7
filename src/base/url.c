/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths in URLs, and what an image means by the name of another file. References come from the
 * content of images: nothing here opens anything, and any text has a result.
 */
#include <base/url.h>

#include <string.h>

/* What libxml2 leaves as it is in a path, besides letters, digits, "-", ".", "_" and "~". */
#define ALLOWED_IN_PATH "/!*'():@&=+$,;"

char *cst_url_escape_path(const char *path)
{
    return g_uri_escape_string(path, ALLOWED_IN_PATH, FALSE);
}

char *cst_url_unescape_path(const char *escaped)
{
    return g_uri_unescape_string(escaped, NULL);
}

/* Where the path of a URL begins; NULL: @text is none. */
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
    /* The name is one of a file: what it has of a URL's special characters means itself. */
    escaped = cst_url_escape_path(reference);
    clean = g_canonicalize_filename(escaped, *path ? path : "/");
    return g_strdup_printf("%.*s%s", (int)(path - directory), directory, clean);
}

/*
 * The string that follows the last "filename" or "file.filename" key of a JSON object, which is
 * that of the innermost node; NULL: there is none. A backslash escapes the next character.
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

char *cst_url_shown(const char *text)
{
    const char *path = path_of_url(text);
    g_autoptr(GUri) uri = path ? g_uri_parse(text, G_URI_FLAGS_ENCODED, NULL) : NULL;

    if (!path)
        return g_strdup(text);
    if (uri)
        return g_uri_to_string_partial(uri, G_URI_HIDE_USERINFO | G_URI_HIDE_QUERY |
                                                G_URI_HIDE_FRAGMENT);
    /* The password may be anywhere in a URL that cannot be parsed. */
    return g_strdup_printf("%.*s://…", (int)(strstr(text, "://") - text), text);
}

void cst_url_mask(char *text)
{
    for (char *url = strchr(text, ':'); url; url = strchr(url, ':')) {
        const gboolean http = (url - text >= 4 && g_ascii_strncasecmp(url - 4, "http", 4) == 0) ||
                              (url - text >= 5 && g_ascii_strncasecmp(url - 5, "https", 5) == 0);
        char *at, *end;

        url++;
        if (!http || !g_str_has_prefix(url, "//"))
            continue;
        url += strlen("//");
        end = url + strcspn(url, " \t\n\"'");
        at = url + strcspn(url, "?# \t\n\"'");
        memset(at, '*', (size_t)(end - at));
        /* A password that is not encoded may have a slash. */
        at = memrchr(url, '@', (size_t)(at - url));
        if (at)
            memset(url, '*', (size_t)(at - url));
        url = end;
    }
}
