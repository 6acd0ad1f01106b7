/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of gettext's catalogues (see the header). A program in the build tree uses the
 * build tree's, so that tests see the translations of their build.
 */
#include <base/locale.h>

#include <glib.h>

#include <base/i18n.h>

/** Returns DIR/po for an executable in DIR if there are catalogues in it, else NULL. */
static char *build_tree_dir(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;
    g_autofree char *po = dir ? g_build_filename(dir, "po", NULL) : NULL;
    g_autofree char *mark =
        po ? g_build_filename(po, "es", "LC_MESSAGES", "cistern.mo", NULL) : NULL;

    if (mark && g_file_test(mark, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&po);
    return NULL;
}

void cst_bind_locale(void)
{
    const char *wanted = g_getenv("CISTERN_LOCALE_DIR");
    g_autofree char *built = wanted && *wanted ? NULL : build_tree_dir();
    const char *dir = wanted && *wanted ? wanted : built ? built : CST_LOCALE_DIR;

    bindtextdomain(CST_TEXT_DOMAIN, dir);
    /* Messages are UTF-8 in every locale, because JSON and the wire allow only UTF-8. */
    bind_textdomain_codeset(CST_TEXT_DOMAIN, "UTF-8");
    textdomain(CST_TEXT_DOMAIN);
}
