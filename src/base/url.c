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
