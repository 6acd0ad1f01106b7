/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cst-xml NOUN FILE: parses a document and prints it formatted, or "code N: message" with libvirt's
 * number. For tests that compare with libvirt. NOUN: pool, vol, vol:TYPE, source:TYPE, secret,
 * poolstate; pool-file and state-file print what the daemon leaves on disk for a pool; caps takes
 * no file. "--validate" first checks the schema. */
#include <stdio.h>
#include <string.h>

#include <base/error_class.h>
#include <model/file_header.h>
#include <model/pool_def.h>
#include <model/secret_def.h>
#include <model/vol_def.h>

static char *show_pool(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, flags, error);

    return def ? cst_pool_def_format(def, error) : NULL;
}

static char *show_vol(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstVolDef) def = cst_vol_def_parse(xml, type, flags, error);

    return def ? cst_vol_def_format(def, type, error) : NULL;
}

static char *show_live_vol(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    return show_vol(xml, type, flags | CST_VOL_PARSE_LIVE, error);
}

static char *show_source(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    CstPoolSource source;
    char *text;

    if (!cst_pool_source_parse(xml, type, &source, error))
        return NULL;
    text = cst_pool_source_format(&source, type, error);
    cst_pool_source_clear(&source);
    return text;
}

static char *show_secret(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstSecretDef) def = cst_secret_def_parse(xml, flags, error);

    return def ? cst_secret_def_format(def) : NULL;
}

static char *show_state(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_state_parse(xml, error);

    return def ? cst_pool_state_format(def, error) : NULL;
}

static char *on_disk(const char *xml, char *(*format)(const CstPoolDef *, GError **),
                     GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, error);
    g_autofree char *text = def ? format(def, error) : NULL;
    g_autofree char *header = NULL;

    if (!text)
        return NULL;
    header = cst_model_file_header("pool-edit", def->name, &def->uuid);
    return g_strconcat(header, text, NULL);
}

static char *show_pool_file(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    return on_disk(xml, cst_pool_def_format, error);
}

static char *show_state_file(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    return on_disk(xml, cst_pool_state_format, error);
}

static const struct {
    const char *name;
    char *(*show)(const char *xml, CstPoolType type, unsigned flags, GError **error);
} nouns[] = {
    {"pool", show_pool},           {"vol", show_vol},
    {"live-vol", show_live_vol},   {"source", show_source},
    {"secret", show_secret},       {"poolstate", show_state},
    {"pool-file", show_pool_file}, {"state-file", show_state_file},
};

static int show(const char *noun, const char *file, unsigned flags)
{
    g_auto(GStrv) parts = g_strsplit(noun, ":", 2);
    g_autofree char *xml = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolType type = CST_POOL_DIR;

    if (parts[1] && !cst_pool_type_parse(parts[1], &type))
        return 2;
    if (!g_file_get_contents(file, &xml, NULL, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++)
        if (strcmp(nouns[i].name, parts[0]) == 0)
            text = nouns[i].show(xml, type, flags, &error);
    if (text) {
        fputs(text, stdout);
        return 0;
    }
    if (!error)
        return 2;
    g_free(text);
    text = cst_error_text(error);
    printf("code %d: %s\n", cst_error_info(cst_error_code(error))->wire, text);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned flags = 0;

    if (argc > 1 && strcmp(argv[1], "--validate") == 0) {
        flags = CST_PARSE_VALIDATE;
        argc--;
        argv++;
    }
    if (argc == 2 && strcmp(argv[1], "caps") == 0) {
        g_autofree char *text = cst_pool_capabilities_format(NULL);

        fputs(text, stdout);
        return 0;
    }
    if (argc != 3) {
        fprintf(stderr, "usage: cst-xml [--validate] NOUN[:POOLTYPE] FILE\n");
        return 2;
    }
    return show(argv[1], argv[2], flags);
}
