/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libcurl: the variant with GnuTLS, which the rest of the program also uses, or any other. */
#include <base/curl.h>

#include <base/error.h>
#include <base/foreign.h>
#include <base/i18n.h>

/* Written once, by curl_load_library(); read-only afterwards. */
static struct {
    CstCurl table;
    CstForeign libraries;
} loaded;

static gpointer curl_load_library(gpointer data)
{
    static const char *const variants[][2] = {{"libcurl-gnutls.so.4", NULL},
                                              {"libcurl.so.4", NULL}};

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_free(g_steal_pointer(&loaded.libraries.problem));
        cst_foreign_open(&loaded.libraries, variants[i]);
        if (!loaded.libraries.problem)
            break;
    }
    if (loaded.libraries.problem)
        return NULL;
#define FIND(function) loaded.table.function = cst_foreign_find(&loaded.libraries, #function);
    CST_CURL_FUNCTIONS(FIND)
#undef FIND
    if (!loaded.libraries.problem)
        loaded.table.curl_global_init(CURL_GLOBAL_ALL);
    return NULL;
}

const CstCurl *cst_curl(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, curl_load_library, NULL);
    if (!loaded.libraries.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED, _("cannot load libcurl (%s); install libcurl3-gnutls"),
             loaded.libraries.problem);
    return NULL;
}
