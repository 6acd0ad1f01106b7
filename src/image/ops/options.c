/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table of create options, and its users: parsing, help, completion, and the options of amend.
 * A row has the member of CstImageCreate that the option sets, the function that sets it, and the
 * capability bit that a format must have. The index of a row is the option's bit in
 * CstImageOptions.given, so the table has at most 32 rows.
 */
#include <image/amend.h>
#include <image/options.h>

#include <stddef.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "format.h"

typedef gboolean (*SetFunc)(CstImageOptions *options, gpointer member, char *value);

typedef struct {
    CstImageOption option;
    unsigned bit;  /**< CstCreateOptions that the format must support; 0: every format has the
                        option */
    size_t member; /**< offset in CstImageCreate */
    SetFunc set;   /**< consumes value; FALSE: invalid value of this option */
} Row;

static gboolean set_text(CstImageOptions *options, gpointer member, char *value)
{
    g_ptr_array_add(options->texts, value);
    *(const char **)member = value;
    return *value != '\0';
}

static gboolean set_compat(CstImageOptions *options, gpointer member, char *value)
{
    const char *number = strcmp(value, "v2") == 0   ? "0.10"
                         : strcmp(value, "v3") == 0 ? "1.1"
                                                    : value;
    char *copy = g_strdup(number);

    g_free(value);
    return set_text(options, member, copy);
}

static gboolean set_bytes(CstImageOptions *options, gpointer member, char *value)
{
    g_autofree char *text = value;

    return cst_units_parse(text, 1, member, NULL);
}

static gboolean set_capacity(CstImageOptions *options, gpointer member, char *value)
{
    options->has_size = TRUE;
    return set_bytes(options, member, value);
}

static gboolean set_number(CstImageOptions *options, gpointer member, char *value)
{
    g_autofree char *text = value;
    guint64 number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT, &number, NULL))
        return FALSE;
    *(unsigned *)member = (unsigned)number;
    return TRUE;
}

/** For members of CstImageCreate in which 0 means the default, and is therefore an invalid
 * value. */
static gboolean set_positive_number(CstImageOptions *options, gpointer member, char *value)
{
    return set_number(options, member, value) && *(const unsigned *)member > 0;
}

static gboolean set_positive_bytes(CstImageOptions *options, gpointer member, char *value)
{
    return set_bytes(options, member, value) && *(const uint64_t *)member > 0;
}

static gboolean set_switch(CstImageOptions *options, gpointer member, char *value)
{
    g_autofree char *text = value;

    *(gboolean *)member = strcmp(text, "on") == 0;
    return strcmp(text, "on") == 0 || strcmp(text, "off") == 0;
}

/** For a member whose FALSE is the option's "on". */
static gboolean set_inverted_switch(CstImageOptions *options, gpointer member, char *value)
{
    gboolean *off = member, valid = set_switch(options, member, value);

    *off = !*off;
    return valid;
}

static gboolean set_static(CstImageOptions *options, gpointer member, char *value)
{
    g_autofree char *text = value;

    *(const char **)member = strcmp(text, "on") == 0 ? "static" : "dynamic";
    return strcmp(text, "on") == 0 || strcmp(text, "off") == 0;
}

static gboolean set_preallocation(CstImageOptions *options, gpointer member, char *value)
{
    g_autofree char *text = value;

    return cst_preallocation_parse(text, member);
}

#define MEMBER(name) offsetof(CstImageCreate, name)

static const Row rows[] = {
    {{"adapter_type", "ide|lsilogic|buslogic|legacyESX", N_("virtual adapter to be named")},
     CST_CREATE_ADAPTER_TYPE,
     MEMBER(adapter_type),
     set_text},
    {{"backing_file", "file", N_("image that this one is based on")},
     CST_CREATE_BACKING,
     MEMBER(backing),
     set_text},
    {{"backing_fmt", "format", N_("format of that image")},
     CST_CREATE_BACKING,
     MEMBER(backing_format),
     set_text},
    {{"block_size", "size", N_("unit of allocation; 0: chosen by capacity")},
     CST_CREATE_BLOCK_SIZE,
     MEMBER(block_size),
     set_bytes},
    {{"cluster_size", "size", N_("unit of allocation")},
     CST_CREATE_CLUSTER_SIZE,
     MEMBER(cluster_size),
     set_positive_bytes},
    {{"compat", "0.10|1.1", N_("version of the format")},
     CST_CREATE_COMPAT,
     MEMBER(compat),
     set_compat},
    {{"compression_type", "zlib|zstd", N_("method for compressed clusters")},
     CST_CREATE_COMPRESSION,
     MEMBER(compression),
     set_text},
    {{"data_file", "file", N_("separate file for the guest-visible content")},
     CST_CREATE_DATA_FILE,
     MEMBER(data_file),
     set_text},
    {{"data_file_raw", "on|off", N_("let that file be a raw image of its own")},
     CST_CREATE_DATA_FILE,
     MEMBER(data_file_raw),
     set_switch},
    {{"extended_l2", "on|off", N_("keep track of parts of clusters")},
     CST_CREATE_EXTENDED_L2,
     MEMBER(extended_l2),
     set_switch},
    {{"force_size", "on|off",
      N_("keep the exact size (default); off: round up to whole cylinders")},
     CST_CREATE_FORCE_SIZE,
     MEMBER(round_size),
     set_inverted_switch},
    {{"hwversion", "number", N_("version of the virtual hardware to be named")},
     CST_CREATE_HW_VERSION,
     MEMBER(hw_version),
     set_text},
    {{"lazy_refcounts", "on|off", N_("write reference counts late")},
     CST_CREATE_LAZY_REFCOUNTS,
     MEMBER(lazy_refcounts),
     set_switch},
    {{"log_size", "size", N_("space for the log")},
     CST_CREATE_LOG_SIZE,
     MEMBER(log_size),
     set_bytes},
    {{"logical_sector_size", "512|4096", N_("sector that the guest sees")},
     CST_CREATE_SECTOR_SIZE,
     MEMBER(sector_size),
     set_number},
    {{"preallocation", "off|metadata|falloc|full", N_("space that is taken at once")},
     0,
     MEMBER(preallocation),
     set_preallocation},
    {{"refcount_bits", "number", N_("width of a reference count")},
     CST_CREATE_REFCOUNT_BITS,
     MEMBER(refcount_bits),
     set_positive_number},
    {{"size", "size", N_("capacity: size of the disk that the guest sees")},
     0,
     MEMBER(capacity),
     set_capacity},
    {{"static", "on|off", N_("give every block its place at once")},
     CST_CREATE_STATIC,
     MEMBER(subformat),
     set_static},
    {{"subformat", "name", N_("variant of the format: dynamic, fixed, streamOptimized, ...")},
     CST_CREATE_SUBFORMAT,
     MEMBER(subformat),
     set_text},
    {{"zeroed_grain", "on|off", N_("let the tables tell which grains are zero")},
     CST_CREATE_ZEROED_GRAIN,
     MEMBER(zeroed_grain),
     set_switch},
    {{"table_size", "1|2|4|8|16", N_("clusters of a table")},
     CST_CREATE_TABLE_SIZE,
     MEMBER(table_size),
     set_positive_number},
};

gboolean cst_preallocation_parse(const char *text, CstPreallocation *ret_preallocation)
{
    static const char *const words[] = {
        [CST_PREALLOC_OFF] = "off",
        [CST_PREALLOC_METADATA] = "metadata",
        [CST_PREALLOC_FALLOC] = "falloc",
        [CST_PREALLOC_FULL] = "full",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcmp(words[i], text) == 0) {
            *ret_preallocation = (CstPreallocation)i;
            return TRUE;
        }
    return FALSE;
}

/** The purpose of parsing. */
typedef enum { TO_CREATE, TO_AMEND } Purpose;

static gboolean format_has_option(const CstImageFormat *format, Purpose purpose, const Row *row)
{
    if (purpose == TO_AMEND && !row->bit)
        return format->amend && row->set == set_capacity;
    return (row->bit & ~(purpose == TO_AMEND ? format->amend_options : format->create_options)) ==
           0;
}

static GPtrArray *options_list(const CstImageFormat *format, Purpose purpose)
{
    GPtrArray *options = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (format_has_option(format, purpose, &rows[i]))
            g_ptr_array_add(options, (gpointer)&rows[i].option);
    return options;
}

GPtrArray *cst_image_options_of(const CstImageFormat *format)
{
    return options_list(format, TO_CREATE);
}

GPtrArray *cst_image_amend_options_of(const CstImageFormat *format)
{
    return options_list(format, TO_AMEND);
}

void cst_image_options_clear(CstImageOptions *options)
{
    g_clear_pointer(&options->texts, g_ptr_array_unref);
    memset(options, 0, sizeof(*options));
}

/**
 * Returns the text up to the next single comma, with doubled commas replaced by one; NULL at the
 * end. Advances *text.
 */
static char *next_word(const char **text)
{
    GString *word;

    if (!**text)
        return NULL;
    word = g_string_new(NULL);
    for (; **text; (*text)++) {
        if (**text == ',' && *++*text != ',')
            break;
        g_string_append_c(word, **text);
    }
    return g_string_free(word, FALSE);
}

static const Row *option_find(const CstImageFormat *format, Purpose purpose, const char *name,
                              GError **error)
{
    const Row *known = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(rows) && !known; i++)
        if (strcmp(rows[i].option.name, name) == 0 &&
            format_has_option(format, TO_CREATE, &rows[i]))
            known = &rows[i];
    if (known && format_has_option(format, purpose, known))
        return known;
    if (known)
        cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                 _("option '%s' of an image can't be changed; 'image-convert' makes a copy with "
                   "another one"),
                 name);
    else if (purpose == TO_AMEND && g_str_has_prefix(name, "encrypt."))
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s': keys of encrypted images can't be changed here"), name);
    else
        cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED, _("image format '%s' has no option '%s'"),
                 format->name, name);
    return NULL;
}

static gboolean option_parse(CstImageOptions *options, const CstImageFormat *format,
                             Purpose purpose, const char *word, GError **error)
{
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals ? g_strndup(word, (gsize)(equals - word)) : g_strdup(word);
    const char *value = equals ? equals + 1 : "on";
    const Row *row = option_find(format, purpose, name, error);

    if (!row)
        return FALSE;
    if (!row->set(options, (char *)&options->create + row->member, g_strdup(value)))
        return cst_fail(error, CST_ERROR_INVALID, _("option '%s' can't be '%s'; it takes %s"), name,
                        value, row->option.value);
    options->given |= 1u << (row - rows);
    return TRUE;
}

static gboolean options_parse(CstImageOptions *options, const CstImageFormat *format,
                              Purpose purpose, const char *text, GError **error)
{
    if (!options->texts)
        options->texts = g_ptr_array_new_with_free_func(g_free);
    while (*text) {
        g_autofree char *word = next_word(&text);

        if (!option_parse(options, format, purpose, word, error))
            return FALSE;
    }
    return TRUE;
}

gboolean cst_image_options_parse(CstImageOptions *options, const CstImageFormat *format,
                                 const char *text, GError **error)
{
    return options_parse(options, format, TO_CREATE, text, error);
}

gboolean cst_image_amend_parse(CstImageOptions *options, const CstImageFormat *format,
                               const char *text, GError **error)
{
    return options_parse(options, format, TO_AMEND, text, error);
}

/** Returns @value as a switch if the option that sets @member was given, else CST_AMEND_KEEP. */
static CstAmendSwitch given_switch(const CstImageOptions *options, size_t member, gboolean value)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].member == member && (options->given & (1u << i)))
            return value ? CST_AMEND_ON : CST_AMEND_OFF;
    return CST_AMEND_KEEP;
}

void cst_image_amend_read(const CstImageOptions *options, CstImageAmend *ret_amend)
{
    const CstImageCreate *create = &options->create;

    *ret_amend = (CstImageAmend){
        .compat = create->compat,
        .refcount_bits = create->refcount_bits,
        .lazy_refcounts = given_switch(options, MEMBER(lazy_refcounts), create->lazy_refcounts),
        .data_file = create->data_file,
        .data_file_raw = given_switch(options, MEMBER(data_file_raw), create->data_file_raw),
        .backing = create->backing,
        .backing_format = create->backing_format,
        .has_size = options->has_size,
        .size = create->capacity,
    };
}

gboolean cst_image_options_for_copy(const CstImageOptions *options, GError **error)
{
    if (options->create.backing || options->create.backing_format)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "%s",
                        _("a converted image holds all data itself; it has no backing file"));
    if (options->has_size)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "%s",
                        _("a converted image has the size of its source; resize it afterwards"));
    return TRUE;
}
