/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads device-mapper's status of a multipath map. The status is the kernel's own list of the paths
 * that it sends requests to. multipathd, which checks the paths and reports them to the kernel,
 * need not run.
 *
 * The status line of the target is (drivers/md/dm-mpath.c):
 *
 *     COUNT FEATURE…  COUNT HANDLER…  GROUPS NEXT-GROUP  GROUP…
 *     GROUP:  A|D|E  COUNT SELECTOR…  PATHS PATH-ARGUMENTS  PATH…
 *     PATH:   MAJOR:MINOR  A|F  FAILURES  ARGUMENT…
 */
#include "mpath.h"

#include <linux/dm-ioctl.h>
#include <string.h>
#include <sys/ioctl.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/device.h>

#define ANSWER_SIZE (64u << 10) /* for some thousand paths */
#define COUNT_MAX   4096

/* --- the line --------------------------------------------------------------------------------- */

/* The unread words of a line that was split at spaces. */
typedef char **Words;

static const char *status_next_word(Words *words)
{
    while (**words && ***words == '\0')
        (*words)++;
    return **words ? *(*words)++ : NULL;
}

static gboolean next_count(Words *words, guint64 *ret_count)
{
    const char *word = status_next_word(words);

    return word && g_ascii_string_to_unsigned(word, 10, 0, COUNT_MAX, ret_count, NULL);
}

static gboolean status_skip_words(Words *words, guint64 count)
{
    while (count > 0 && status_next_word(words))
        count--;
    return count == 0;
}

/* Skips a count, and as many words. */
static gboolean skip_list(Words *words)
{
    guint64 count;

    return next_count(words, &count) && status_skip_words(words, count);
}

static gboolean parse_path(Words *words, guint64 arguments, GArray *paths)
{
    const char *device = status_next_word(words);
    const char *state = status_next_word(words);
    MpathPath path;

    if (!device || !state || !cst_device_number(device, &path.device) ||
        (strcmp(state, "A") != 0 && strcmp(state, "F") != 0))
        return FALSE;
    path.active = *state == 'A';
    g_array_append_val(paths, path);
    return status_skip_words(words, arguments + 1); /* and the number of failures */
}

static gboolean parse_group(Words *words, GArray *paths)
{
    guint64 count, arguments;

    if (!status_next_word(words) || !skip_list(words) || !next_count(words, &count) ||
        !next_count(words, &arguments))
        return FALSE;
    for (; count > 0; count--)
        if (!parse_path(words, arguments, paths))
            return FALSE;
    return TRUE;
}

static gboolean parse_groups(Words *words, GArray *paths)
{
    guint64 groups;

    if (!skip_list(words) || !skip_list(words) || !next_count(words, &groups) ||
        !status_next_word(words))
        return FALSE;
    for (; groups > 0; groups--)
        if (!parse_group(words, paths))
            return FALSE;
    return TRUE;
}

GArray *mpath_status_parse(const char *line, GError **error)
{
    g_auto(GStrv) split = g_strsplit(line, " ", -1);
    g_autoptr(GArray) paths = g_array_new(FALSE, FALSE, sizeof(MpathPath));
    Words words = split;

    if (parse_groups(&words, paths))
        return g_steal_pointer(&paths);
    cst_fail(error, CST_ERROR_CORRUPT, _("device-mapper tells of a multipath map: '%s'"), line);
    return NULL;
}

/* --- the kernel ------------------------------------------------------------------------------- */

/*
 * Returns the status line in @answer, of ANSWER_SIZE bytes. NULL if the device has no target, or a
 * target of another type.
 */
static const char *status_in(const struct dm_ioctl *answer)
{
    const char *end = (const char *)answer + ANSWER_SIZE;
    const struct dm_target_spec *target;
    const char *line;

    if (answer->target_count == 0 || answer->data_start > ANSWER_SIZE - sizeof(*target))
        return NULL;
    target = (const struct dm_target_spec *)((const char *)answer + answer->data_start);
    line = (const char *)(target + 1);
    if (strncmp(target->target_type, "multipath", sizeof(target->target_type)) != 0 ||
        !memchr(line, '\0', (size_t)(end - line)))
        return NULL;
    return line;
}

gboolean mpath_status_read(dev_t device, GArray **ret_paths, GError **error)
{
    g_autofree struct dm_ioctl *answer = g_malloc0(ANSWER_SIZE);
    const char *line;
    int found;

    *ret_paths = NULL;
    answer->flags = DM_NOFLUSH_FLAG;
    found = cst_dm_ask(DM_TABLE_STATUS, device, answer, ANSWER_SIZE, error);
    if (found != 1)
        return found == 0;
    line = status_in(answer);
    if (line)
        *ret_paths = mpath_status_parse(line, error);
    return !line || *ret_paths;
}
