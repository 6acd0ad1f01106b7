/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The creation options of each format: their order in qemu-img's text, their kinds and the defaults
 * that it prints. A value is normalized by its kind for the text: "1k" is printed as 1024.
 */
#include "creation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/text.h>
#include <base/units.h>
#include <image/amend.h>
#include <image/options.h>

#include "formats.h"
#include "message.h"

typedef enum { KIND_BOOL, KIND_NUMBER, KIND_SIZE, KIND_TEXT } Kind;

typedef struct {
    const char *name; /**< NULL ends a table */
    Kind kind;
    const char *shown; /**< default value that is printed; NULL: it is not printed */
} Option;

#define SIZE_OPTION             \
    {                           \
        "size", KIND_SIZE, NULL \
    }
/* Options that qemu-img has for the file of each format. */
#define FILE_OPTIONS                                                \
    {"nocow", KIND_BOOL, NULL}, {"preallocation", KIND_TEXT, NULL}, \
    {                                                               \
        "extent_size_hint", KIND_SIZE, NULL                         \
    }
#define BACKING_OPTIONS                \
    {"backing_file", KIND_TEXT, NULL}, \
    {                                  \
        "backing_fmt", KIND_TEXT, NULL \
    }

static const Option raw_options[] = {SIZE_OPTION, FILE_OPTIONS, {0}};

static const Option qcow2_options[] = {
    {"encryption", KIND_BOOL, NULL},
    {"cluster_size", KIND_SIZE, "65536"},
    {"extended_l2", KIND_BOOL, "off"},
    {"preallocation", KIND_TEXT, NULL},
    {"compression_type", KIND_TEXT, "zlib"},
    SIZE_OPTION,
    {"compat", KIND_TEXT, NULL},
    BACKING_OPTIONS,
    {"data_file", KIND_TEXT, NULL},
    {"data_file_raw", KIND_BOOL, NULL},
    {"lazy_refcounts", KIND_BOOL, "off"},
    {"refcount_bits", KIND_NUMBER, "16"},
    {"nocow", KIND_BOOL, NULL},
    {"extent_size_hint", KIND_SIZE, NULL},
    {0},
};

static const Option vmdk_options[] = {
    SIZE_OPTION,
    {"adapter_type", KIND_TEXT, NULL},
    BACKING_OPTIONS,
    {"compat6", KIND_BOOL, "off"},
    {"hwversion", KIND_TEXT, "undefined"},
    {"toolsversion", KIND_TEXT, NULL},
    {"subformat", KIND_TEXT, NULL},
    {"zeroed_grain", KIND_BOOL, NULL},
    FILE_OPTIONS,
    {0},
};

static const Option vdi_options[] = {SIZE_OPTION, {"static", KIND_BOOL, "off"}, FILE_OPTIONS, {0}};

static const Option vpc_options[] = {
    SIZE_OPTION, {"subformat", KIND_TEXT, NULL}, {"force_size", KIND_BOOL, NULL}, FILE_OPTIONS, {0},
};

static const Option vhdx_options[] = {
    SIZE_OPTION,
    {"log_size", KIND_SIZE, "1048576"},
    {"block_size", KIND_SIZE, "0"},
    {"subformat", KIND_TEXT, NULL},
    {"block_state_zero", KIND_BOOL, NULL},
    FILE_OPTIONS,
    {0},
};

static const Option qed_options[] = {
    SIZE_OPTION,
    BACKING_OPTIONS,
    {"cluster_size", KIND_SIZE, "65536"},
    {"table_size", KIND_SIZE, NULL},
    FILE_OPTIONS,
    {0},
};

static const Option qcow_options[] = {
    SIZE_OPTION, BACKING_OPTIONS, {"encryption", KIND_BOOL, NULL}, FILE_OPTIONS, {0}};

static const Option parallels_options[] = {
    SIZE_OPTION, {"cluster_size", KIND_SIZE, "1048576"}, FILE_OPTIONS, {0}};

static const struct {
    const char *format;
    const Option *options;
} formats[] = {
    {"raw", raw_options}, {"qcow2", qcow2_options}, {"vmdk", vmdk_options},
    {"vdi", vdi_options}, {"vpc", vpc_options},     {"vhdx", vhdx_options},
    {"qed", qed_options}, {"qcow", qcow_options},   {"parallels", parallels_options},
};

static const Option *options_of(const char *format)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (strcmp(formats[i].format, format) == 0)
            return formats[i].options;
    return raw_options;
}

static const Option *option_find(const char *format, const char *name)
{
    for (const Option *option = options_of(format); option->name; option++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

/* --- parsing --------------------------------------------------------------------------------- */

static gboolean fail_parameter(const CliQemuCreation *creation, const char *text)
{
    return creation->context ? cli_qemu_error("%s: %s", creation->context, text)
                             : cli_qemu_error("%s", text);
}

static gboolean is_on(const char *value)
{
    static const char *const words[] = {"on", "yes", "true", "y", NULL};

    return g_strv_contains(words, value);
}

static gboolean is_off(const char *value)
{
    static const char *const words[] = {"off", "no", "false", "n", NULL};

    return g_strv_contains(words, value);
}

/* Return: whether @value is of the kind of @option, with the text for the line "Formatting …". */
static gboolean value_normalize(const Option *option, const char *value, char **ret_text)
{
    uint64_t number = 0;

    switch (option->kind) {
    case KIND_TEXT: *ret_text = g_strdup(value); return TRUE;
    case KIND_BOOL: *ret_text = g_strdup(value); return is_on(value) || is_off(value);
    case KIND_NUMBER:
        /* As in qemu-img, a negative number wraps around. */
        if (!g_ascii_string_to_unsigned(value + (*value == '-'), 10, 0, G_MAXUINT64, &number, NULL))
            return FALSE;
        number = *value == '-' ? -number : number;
        break;
    case KIND_SIZE:
        if (!cst_units_parse(value, 1, &number, NULL))
            return FALSE;
        break;
    }
    *ret_text = g_strdup_printf("%" PRIu64, number);
    return TRUE;
}

static const char *kind_expected(Kind kind)
{
    switch (kind) {
    case KIND_BOOL: return "'on' or 'off'";
    case KIND_NUMBER: return "a number";
    case KIND_SIZE: return "a non-negative number below 2^64";
    case KIND_TEXT: break;
    }
    return "a string";
}

gboolean cli_qemu_creation_set(CliQemuCreation *creation, const char *name, const char *value)
{
    const Option *option = option_find(creation->format, name);
    g_autofree char *text = NULL, *problem = NULL;

    if (!option) {
        problem = g_strdup_printf("Invalid parameter '%s'", name);
        return fail_parameter(creation, problem);
    }
    if (!value_normalize(option, value, &text)) {
        problem = g_strdup_printf("Parameter '%s' expects %s", name, kind_expected(option->kind));
        fail_parameter(creation, problem);
        if (option->kind == KIND_SIZE) {
            cli_qemu_hint("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, "
                          "peta-");
            cli_qemu_hint("and exabytes, respectively.");
        }
        return FALSE;
    }
    for (guint i = 0; i < creation->pairs->len; i += 2)
        if (strcmp(g_ptr_array_index(creation->pairs, i), name) == 0) {
            g_free(creation->pairs->pdata[i + 1]);
            creation->pairs->pdata[i + 1] = g_steal_pointer(&text);
            return TRUE;
        }
    g_ptr_array_add(creation->pairs, g_strdup(name));
    g_ptr_array_add(creation->pairs, g_steal_pointer(&text));
    return TRUE;
}

static gboolean fail_backing(const CliQemuCreation *creation, const char *what)
{
    g_autofree char *problem =
        g_strdup_printf("Backing %s not supported for file format '%s'", what, creation->format);

    return fail_parameter(creation, problem);
}

gboolean cli_qemu_creation_set_backing(CliQemuCreation *creation, const char *backing,
                                       const char *format)
{
    if (backing && !option_find(creation->format, "backing_file"))
        return fail_backing(creation, "file");
    if (format && !option_find(creation->format, "backing_fmt"))
        return fail_backing(creation, "format");
    return (!backing || cli_qemu_creation_set(creation, "backing_file", backing)) &&
           (!format || cli_qemu_creation_set(creation, "backing_fmt", format));
}

static void creation_add(const char *name, const char *value, gpointer data)
{
    CliQemuCreation *creation = data;

    creation->failed =
        creation->failed || !cli_qemu_creation_set(creation, name, value ? value : "on");
}

gboolean cli_qemu_creation_parse(CliQemuCreation *ret_creation, const char *context,
                                 const char *format, const char *list)
{
    *ret_creation = (CliQemuCreation){
        .format = format,
        .context = context,
        .pairs = g_ptr_array_new_with_free_func(g_free),
    };
    if (list)
        cli_qemu_list_walk(list, creation_add, ret_creation);
    return !ret_creation->failed;
}

void cli_qemu_creation_clear(CliQemuCreation *creation)
{
    g_clear_pointer(&creation->pairs, g_ptr_array_unref);
}

const char *cli_qemu_creation_get(const CliQemuCreation *creation, const char *name)
{
    for (guint i = 0; i < creation->pairs->len; i += 2)
        if (strcmp(g_ptr_array_index(creation->pairs, i), name) == 0)
            return g_ptr_array_index(creation->pairs, i + 1);
    return NULL;
}

gboolean cli_qemu_creation_knows(const CliQemuCreation *creation, const char *name)
{
    return option_find(creation->format, name) != NULL;
}

/* --- values ---------------------------------------------------------------------------------- */

static uint64_t get_number(const CliQemuCreation *creation, const char *name, uint64_t otherwise)
{
    const char *value = cli_qemu_creation_get(creation, name);

    return value ? g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static gboolean get_switch(const CliQemuCreation *creation, const char *name)
{
    const char *value = cli_qemu_creation_get(creation, name);

    return value && is_on(value);
}

static gboolean check_preallocation(const CliQemuCreation *creation, gboolean has_metadata)
{
    const char *value = cli_qemu_creation_get(creation, "preallocation");
    CstPreallocation mode = CST_PREALLOC_OFF;
    g_autofree char *problem = NULL;

    if (!value)
        return TRUE;
    if (!cst_preallocation_parse(value, &mode))
        problem =
            has_metadata
                ? g_strdup_printf("Parameter 'preallocation' does not accept value '%s'", value)
                : g_strdup_printf("invalid parameter value: %s", value);
    else if (mode == CST_PREALLOC_METADATA && !has_metadata)
        problem = g_strdup_printf("Unsupported preallocation mode: %s", value);
    return !problem || fail_parameter(creation, problem);
}

/* Checks the options that need compatibility level 1.1. */
static gboolean check_level(const CliQemuCreation *creation)
{
    const char *compat = cli_qemu_creation_get(creation, "compat");
    gboolean is_old = g_strcmp0(compat, "0.10") == 0 || g_strcmp0(compat, "v2") == 0;
    g_autofree char *problem = NULL;

    if (compat && !is_old && strcmp(compat, "1.1") != 0 && strcmp(compat, "v3") != 0) {
        problem = g_strdup_printf("Parameter 'version' does not accept value '%s'", compat);
        return fail_parameter(creation, problem);
    }
    if (!is_old)
        return TRUE;
    if (get_switch(creation, "lazy_refcounts"))
        return fail_parameter(creation, "Lazy refcounts only supported with compatibility level "
                                        "1.1 and above (use version=v3 or greater)");
    return get_number(creation, "refcount_bits", 16) == 16 ||
           fail_parameter(creation, "Different refcount widths than 16 bits require compatibility "
                                    "level 1.1 or above (use version=v3 or greater)");
}

/* Checks that the entries of an L1 table of at most 32 MiB are enough for the size. */
static gboolean check_size(const CliQemuCreation *creation, uint64_t cluster_size)
{
    uint64_t entry = get_switch(creation, "extended_l2") ? 16 : 8;
    uint64_t most = cluster_size / entry * cluster_size * (32 * CST_MIB / 8);
    g_autofree char *problem = NULL;

    if (get_number(creation, "size", 0) <= most)
        return TRUE;
    problem = g_strdup_printf("The image size is too large for file format '%s' (try using a "
                              "larger cluster size)",
                              creation->format);
    return fail_parameter(creation, problem);
}

static gboolean check_widths(const CliQemuCreation *creation)
{
    uint64_t cluster_size = get_number(creation, "cluster_size", 65536);
    uint64_t bits = get_number(creation, "refcount_bits", 16);

    if (!cst_is_power_of_two(cluster_size, 512, 2 * CST_MIB))
        return fail_parameter(creation,
                              "Cluster size must be a power of two between 512 and 2048k");
    if (get_switch(creation, "extended_l2") && cluster_size < 16 * CST_KIB)
        return fail_parameter(creation, "Extended L2 entries are only supported with cluster sizes "
                                        "of at least 16384 bytes");
    if (!cst_is_power_of_two(bits, 1, 64))
        return fail_parameter(creation, "Refcount width must be a power of two and may not exceed "
                                        "64 bits");
    return !get_switch(creation, "data_file_raw") ||
           cli_qemu_creation_get(creation, "data_file") != NULL ||
           fail_parameter(creation, "data-file-raw requires data-file");
}

gboolean cli_qemu_creation_check(const CliQemuCreation *creation)
{
    gboolean has_levels = cli_qemu_creation_knows(creation, "compat");

    return check_preallocation(creation, has_levels) &&
           (!has_levels || (check_widths(creation) && check_level(creation) &&
                            check_size(creation, get_number(creation, "cluster_size", 65536))));
}

/* --- output ---------------------------------------------------------------------------------- */

static void append_doubling_commas(GString *out, const char *value)
{
    for (; *value; value++)
        g_string_append(out, *value == ',' ? ",," : (const char[]){*value, '\0'});
}

void cli_qemu_creation_print(const CliQemuCreation *creation)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *escaped = NULL;

    for (const Option *option = options_of(creation->format); option->name; option++) {
        const char *value = cli_qemu_creation_get(creation, option->name);

        if (!value)
            value = option->shown;
        if (!value)
            continue;
        g_string_append_printf(line, " %s=", option->name);
        append_doubling_commas(line, value);
    }
    escaped = cst_text_escape(line->str);
    fputs(escaped, stdout);
}

/* Return: whether the option asks for qemu-img's default, for which the engine has no option. */
static gboolean is_without_effect(const char *name, const char *value)
{
    static const char *const switches[] = {"encryption", "nocow", "compat6", NULL};

    return (g_strv_contains(switches, name) && is_off(value)) ||
           (strcmp(name, "block_state_zero") == 0 && is_on(value)) ||
           (strcmp(name, "hwversion") == 0 && strcmp(value, "undefined") == 0) ||
           strcmp(name, "extent_size_hint") == 0;
}

void cli_qemu_creation_apply(const CliQemuCreation *creation, CliQemuRun *run)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < creation->pairs->len; i += 2) {
        const char *name = g_ptr_array_index(creation->pairs, i);
        const char *value = g_ptr_array_index(creation->pairs, i + 1);

        if (is_without_effect(name, value))
            continue;
        if (option_find(creation->format, name)->kind == KIND_BOOL)
            value = is_on(value) ? "on" : "off";
        g_string_append_printf(list, "%s%s=", list->len ? "," : "", name);
        append_doubling_commas(list, value);
    }
    if ((cli_qemu_traits(cst_image_format_find(creation->format, NULL)) & CLI_QEMU_ROUNDS) &&
        !cli_qemu_creation_get(creation, "force_size"))
        g_string_append_printf(list, "%sforce_size=off", list->len ? "," : "");
    if (list->len)
        cli_qemu_run_set(run, "options", list->str);
}

/* --- help ------------------------------------------------------------------------------------ */

static void find_help(const char *name, const char *value, gpointer data)
{
    gboolean *found = data;

    *found = *found || (!value && (strcmp(name, "help") == 0 || strcmp(name, "?") == 0));
}

gboolean cli_qemu_wants_help(const char *list)
{
    gboolean found = FALSE;

    if (list)
        cli_qemu_list_walk(list, find_help, &found);
    return found;
}

static void print_option(const char *format, const CstImageOption *option)
{
    static const char *const kinds[] = {
        [KIND_BOOL] = "bool (on/off)",
        [KIND_NUMBER] = "num",
        [KIND_SIZE] = "size",
        [KIND_TEXT] = "str",
    };
    const Option *row = option_find(format, option->name);
    g_autofree char *usage =
        g_strdup_printf("%s=<%s>", option->name, kinds[row ? row->kind : KIND_TEXT]);

    printf("  %-22s - %s\n", usage, option->help);
}

int cli_qemu_creation_help(const char *format)
{
    const CstImageFormat *found = cst_image_format_find(format, NULL);
    g_autoptr(GPtrArray) options = NULL;

    if (!found)
        return !cli_qemu_error("Unknown file format '%s'", format);
    if (!cst_image_format_can_create(found))
        return !cli_qemu_error("Format driver '%s' does not support image creation", format);
    options = cst_image_options_of(found);
    printf("Supported options:\n");
    for (guint i = 0; i < options->len; i++)
        print_option(format, g_ptr_array_index(options, i));
    return 0;
}

int cli_qemu_amend_help(const char *format)
{
    const CstImageFormat *found = cst_image_format_find(format, NULL);
    g_autoptr(GPtrArray) options = NULL;

    if (!found)
        return !cli_qemu_error("Unknown file format '%s'", format);
    if (!cst_image_format_can_amend(found))
        return !cli_qemu_error("Format driver '%s' does not support option amendment", format);
    options = cst_image_amend_options_of(found);
    printf("Amend options for '%s':\n", format);
    for (guint i = 0; i < options->len; i++)
        print_option(format, g_ptr_array_index(options, i));
    return 0;
}

/* --- snapshots ------------------------------------------------------------------------------- */

static void take_snapshot_name(const char *name, const char *value, gpointer data)
{
    char **snapshot = data;

    if (value && (strcmp(name, "snapshot.name") == 0 || strcmp(name, "snapshot.id") == 0)) {
        g_free(*snapshot);
        *snapshot = g_strdup(value);
    } else {
        cli_qemu_error("Invalid parameter '%s'", name);
    }
}

gboolean cli_qemu_snapshot_value(const char *text, char **ret_name)
{
    *ret_name = NULL;
    if (text && g_str_has_prefix(text, "snapshot."))
        cli_qemu_list_walk(text, take_snapshot_name, ret_name);
    else
        *ret_name = g_strdup(text);
    return !text || *ret_name || cli_qemu_error("Failed in parsing snapshot param '%s'", text);
}
