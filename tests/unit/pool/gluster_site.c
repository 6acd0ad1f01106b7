/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gluster_site.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

CstPoolState *site_pool;
char *site_volume;
static GHashTable *records, *found; /* of the last scan; of the running one */

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);
}

CstPoolState *site_open_xml(const char *xml, GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, error);

    return def ? cst_pool_state_open(def, NULL, error) : NULL;
}

CstPoolState *site_open(const char *dir, const char *options)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='gluster'><name>p</name><source><host name='one'/><host name='two' "
        "port='24008'/><dir path='%s'/><name>gv0</name></source>"
        "<options xmlns='urn:cistern:storage:1.0'>%s</options></pool>",
        dir, options);
    CstPoolState *state = site_open_xml(xml, NULL);

    assert_non_null(state);
    return state;
}

int site_set_up(void **unused)
{
    g_autofree char *dir = NULL;

    site_volume = g_dir_make_tmp("gluster-XXXXXX", NULL);
    dir = g_build_filename(site_volume, "d", NULL);
    g_mkdir(dir, 0755);
    g_chmod(site_volume, 0755);
    fake_gluster_reset(site_volume, "gv0", 1);
    site_pool = site_open("/d", "");
    records = table_new();
    return 0;
}

int site_tear_down(void **unused)
{
    const char *argv[] = {"rm", "-rf", site_volume, NULL};

    fake_gluster_resume();
    g_clear_pointer(&records, g_hash_table_unref);
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_clear_pointer(&site_volume, g_free);
    /* The last connection ends in its own thread, after the last probe. */
    fake_gluster_await_open(0, 0);
    return 0;
}

char *site_path(const char *name)
{
    return g_build_filename(site_volume, "d", name, NULL);
}

void site_put(const char *name, const char *text)
{
    g_autofree char *path = site_path(name);

    assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
}

gboolean site_make(const char *name, const char *format, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume><name>%s</name><capacity>65536</capacity>"
                                           "<target><format type='%s'/></target></volume>",
                                           name, format);
    g_autoptr(CstVolDef) def = cst_vol_def_parse(xml, CST_POOL_GLUSTER, 0, error);
    g_auto(CstVolDraft) draft = {.token = g_strdup(name)};

    assert_non_null(def);
    def->type = strcmp(format, "dir") == 0 ? CST_VOL_DIR : CST_VOL_FILE;
    return cst_pool_state_reserve(site_pool, def, &draft, error) &&
           (!draft.blob || cst_blob_pwrite(draft.blob, "content", 7, 0, error)) &&
           cst_pool_state_commit(site_pool, &draft, def, error);
}

static char *row_of(const CstVolume *volume)
{
    const char *problem = cst_volume_problem(volume);

    return g_strdup_printf(
        "%s %s %s %" G_GUINT64_FORMAT " %s %s\n", volume->name, cst_vol_type_name(volume->type),
        volume->format, volume->capacity,
        volume->extra && volume->extra->backing_path ? volume->extra->backing_path : "-",
        problem ? problem : "-");
}

static CstVolume *known(const char *name, gpointer unused)
{
    CstVolume *volume = g_hash_table_lookup(records, name);

    return volume ? cst_volume_ref(volume) : NULL;
}

static void sink(CstVolume *volume, gpointer unused)
{
    g_hash_table_replace(found, volume->name, volume);
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

/* The results of a scan are the known records of the next one. */
char *site_scan(GError **error)
{
    CstScan scan = {.known = known, .sink = sink};
    GString *text = g_string_new(NULL);
    GList *names;

    found = table_new();
    if (!cst_pool_state_scan(site_pool, &scan, NULL, error)) {
        g_clear_pointer(&found, g_hash_table_unref);
        g_string_free(text, TRUE);
        return NULL;
    }
    g_hash_table_unref(records);
    records = g_steal_pointer(&found);
    names = g_list_sort(g_hash_table_get_keys(records), by_text);
    for (GList *name = names; name; name = name->next) {
        g_autofree char *row = row_of(g_hash_table_lookup(records, name->data));

        g_string_append(text, row);
    }
    g_list_free(names);
    return g_string_free(text, FALSE);
}

char *site_scan_one(const char *name, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    if (!cst_pool_state_scan_one(site_pool, name, NULL, &volume, error))
        return NULL;
    return volume ? row_of(volume) : g_strdup("none");
}

void site_assert_failed(gboolean done, GError **error, int code, const char *words)
{
    assert_false(done);
    assert_non_null(*error);
    if (!g_error_matches(*error, CST_ERROR, code) || !strstr((*error)->message, words))
        fail_msg("%s", (*error)->message);
    g_clear_error(error);
}
