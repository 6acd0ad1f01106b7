/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checked changes with channel programs (zfs-program(8)). ZFS runs a program atomically, as a step
 * of the transaction group. No other change of the ZFS pool happens between the program's checks
 * and its changes. The changes of a program are on the disk completely or not at all.
 *
 * Each object is also identified by its guid, so that another dataset with the same name is not
 * changed. Lua's integers are signed, so guids are compared as signed numbers. The prefix "g"
 * prevents that the tool parses a negative guid as an option.
 *
 * A program returns a word, or a word and the affected object: "done", "busy", "newer
 * tank/v@later".
 */
#include "zfs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Matches any guid. */
#define ANY "g"

/* The start of all programs. Its local variables have the names of the first arguments. */
#define PROLOGUE                                                                         \
    "local argv = (...)['argv']\n"                                                       \
    "local root, root_guid, name, guid = argv[1], argv[2], argv[3], argv[4]\n"           \
    "local function guid_of(dataset)\n"                                                  \
    "  return 'g' .. tostring(zfs.get_prop(dataset, 'guid'))\n"                          \
    "end\n"                                                                              \
    "local function is(dataset, known)\n"                                                \
    "  return known == 'g' or guid_of(dataset) == known\n"                               \
    "end\n"                                                                              \
    "if not zfs.exists(root) or not is(root, root_guid) then return 'root' end\n"        \
    "if not zfs.exists(name) then return 'gone' end\n"                                   \
    "if not is(name, guid) then return 'other' end\n"                                    \
    "local function ended(number)\n"                                                     \
    "  return number == 0 and 'done' or number == 16 and 'busy' or 'error ' .. number\n" \
    "end\n"

/*
 * argv[5]: "volume" or "snapshot". A volume with snapshots is refused, and the caller finds the
 * dependents.
 */
static const char destroy_program[] =
    "-- cistern destroy\n" PROLOGUE
    "if zfs.get_prop(name, 'type') ~= argv[5] then return 'gone' end\n"
    "if argv[5] == 'volume' then\n"
    "  for snapshot in zfs.list.snapshots(name) do return 'needed ' .. snapshot end\n"
    "end\n"
    "return ended(zfs.sync.destroy(name))\n";

/*
 * argv[5], argv[6]: the snapshot, and its guid. They are followed by the guids of newer snapshots
 * that may be removed, and by the bookmarks that are not newer. All conditions are checked before
 * any removal.
 */
static const char revert_program[] =
    "-- cistern revert\n" PROLOGUE "local snapshot, known, newer = argv[5], {}, {}\n"
    "for i = 7, #argv do known[argv[i]] = true end\n"
    "if not zfs.exists(snapshot) or not is(snapshot, argv[6]) then return 'lost' end\n"
    "local since = zfs.get_prop(snapshot, 'createtxg')\n"
    "for other in zfs.list.snapshots(name) do\n"
    "  if zfs.get_prop(other, 'createtxg') > since then\n"
    "    if not known[guid_of(other)] then return 'newer ' .. other end\n"
    "    if zfs.check.destroy(other) ~= 0 then return 'kept ' .. other end\n"
    "    newer[#newer + 1] = other\n"
    "  end\n"
    "end\n"
    "for bookmark in zfs.list.bookmarks(name) do\n"
    "  if not known[bookmark] then return 'newer ' .. bookmark end\n"
    "end\n"
    "local number = zfs.check.rollback(name)\n"
    "if number ~= 0 then return ended(number) end\n"
    "for i, other in ipairs(newer) do\n"
    "  number = zfs.sync.destroy(other)\n"
    "  if number ~= 0 then return ended(number) end\n"
    "end\n"
    "return ended(zfs.sync.rollback(name))\n";

/* --- running ---------------------------------------------------------------------------------- */

gboolean zfs_fail_other_root(const ZfsState *state, GError **error)
{
    return cst_fail(error, CST_ERROR_STATE,
                    _("the ZFS dataset '%s' is not the one that the pool was started with; restart "
                      "the pool to accept this one"),
                    state->root);
}

/* Converts "18446744073709551611" to "g-5". The caller frees it. */
static char *guid_argument(const char *guid)
{
    return guid ? g_strdup_printf("g%" PRId64, (int64_t)g_ascii_strtoull(guid, NULL, 10))
                : g_strdup(ANY);
}

/*
 * Returns the start of a program's argument vector for @dataset (@guid NULL: any guid). The caller
 * appends further arguments.
 */
static GPtrArray *vector_new(const ZfsState *state, const char *dataset, const char *guid)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    for (const char *const *word =
             (const char *[]){"zfs", "program", "-j", "--", state->pool, "-", state->root, NULL};
         *word; word++)
        g_ptr_array_add(argv, g_strdup(*word));
    g_ptr_array_add(argv, guid_argument(state->root_guid));
    g_ptr_array_add(argv, g_strdup(dataset));
    g_ptr_array_add(argv, guid_argument(guid));
    return argv;
}

/* Whether the answer begins with the word. *ret_what: the affected object. */
static gboolean answer_starts_with(const char *answer, const char *word, const char **ret_what)
{
    size_t len = strlen(word);

    if (strncmp(answer, word, len) != 0 || (answer[len] && answer[len] != ' '))
        return FALSE;
    *ret_what = answer[len] ? answer + len + 1 : "";
    return TRUE;
}

typedef struct {
    GPtrArray *argv;
    const char *program;
    char *answer; /* the last answer; NULL: no answer */
} Run;

static void run_clear(Run *run)
{
    g_clear_pointer(&run->argv, g_ptr_array_unref);
    g_free(run->answer);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

static gboolean run_once(gpointer data, gboolean *ret_busy, GError **error)
{
    Run *run = data;
    const char *what;
    g_autofree char *out = NULL;

    g_clear_pointer(&run->answer, g_free);
    if (!zfs_change_with((const char *const *)run->argv->pdata, run->program, strlen(run->program),
                         &out, error))
        return FALSE;
    run->answer = zfs_answer_parse(out, error);
    if (!run->answer)
        return FALSE;
    *ret_busy = answer_starts_with(run->answer, "busy", &what);
    /* The caller replaces this error, because it knows the object. */
    return !*ret_busy || cst_fail(error, CST_ERROR_BUSY, _("ZFS reports that it is in use"));
}

/*
 * Runs the program, and repeats it while the device is briefly open. FALSE if the program did not
 * report its result.
 */
static gboolean run_program(const ZfsState *state, Run *run, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean ran;

    g_ptr_array_add(run->argv, NULL);
    ran = zfs_attempt(run_once, run, &why) || run->answer;
    zfs_cache_changed(state->cache);
    if (!ran) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    /* The cached data is of another pool, so drop it. */
    if (strcmp(run->answer, "root") == 0)
        zfs_cache_reset(state->cache);
    else
        zfs_cache_prove(state->cache);
    return TRUE;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Sets @error for the answers that all programs have in common. Always returns FALSE. */
static gboolean fail_by(const ZfsState *state, const char *answer, const char *dataset,
                        GError **error)
{
    const char *what = "";

    if (answer_starts_with(answer, "root", &what))
        return zfs_fail_other_root(state, error);
    if (answer_starts_with(answer, "gone", &what))
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no ZFS dataset '%s'"), dataset);
    if (answer_starts_with(answer, "other", &what))
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' is another dataset than it was; refresh the pool to see it"),
                        dataset);
    if (answer_starts_with(answer, "busy", &what))
        return cst_fail(error, CST_ERROR_BUSY, _("a program has '%s' open"), dataset);
    if (answer_starts_with(answer, "error", &what)) {
        int number = (int)g_ascii_strtoll(what, NULL, 10);

        return cst_fail_errno(error, number ? number : EIO, _("ZFS refuses to change '%s'"),
                              dataset);
    }
    return cst_fail(error, CST_ERROR_CORRUPT,
                    _("ZFS's answer about '%s' is not to be believed: %s"), dataset, answer);
}

ZfsEnd zfs_program_destroy(const ZfsState *state, const char *dataset, const char *guid,
                           GError **error)
{
    g_auto(Run) run = {.argv = vector_new(state, dataset, guid), .program = destroy_program};
    const char *what = "";

    g_ptr_array_add(run.argv, g_strdup(strchr(dataset, '@') ? "snapshot" : "volume"));
    if (!run_program(state, &run, error))
        return ZFS_UNKNOWN;
    if (answer_starts_with(run.answer, "done", &what))
        return ZFS_DONE;
    if (answer_starts_with(run.answer, "needed", &what)) {
        cst_fail(error, CST_ERROR_BUSY, _("'%s' has a snapshot, '%s'"), dataset, what);
        return ZFS_NEEDED;
    }
    if (answer_starts_with(run.answer, "gone", &what)) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no ZFS dataset '%s'"), dataset);
        return ZFS_GONE;
    }
    fail_by(state, run.answer, dataset, error);
    return ZFS_REFUSED;
}

gboolean zfs_program_revert(const ZfsState *state, const ZfsRevert *revert, GError **error)
{
    g_auto(Run) run = {.argv = vector_new(state, revert->dataset->name, revert->dataset->guid),
                       .program = revert_program};
    g_autofree char *whole =
        g_strdup_printf("%s@%s", revert->dataset->name, revert->snapshot->name);
    const char *what = "";

    g_ptr_array_add(run.argv, g_steal_pointer(&whole));
    g_ptr_array_add(run.argv, guid_argument(revert->snapshot->guid));
    for (guint i = 0; i < revert->newer->len; i++)
        g_ptr_array_add(run.argv,
                        guid_argument(((const ZfsSnapshot *)revert->newer->pdata[i])->guid));
    for (guint i = 0; i < revert->bookmarks->len; i++)
        g_ptr_array_add(run.argv, g_strdup(revert->bookmarks->pdata[i]));
    if (!run_program(state, &run, error))
        return FALSE;
    if (answer_starts_with(run.answer, "done", &what))
        return TRUE;
    if (answer_starts_with(run.answer, "newer", &what))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("'%s' was just created, and would be removed; no change was made"), what);
    if (answer_starts_with(run.answer, "kept", &what))
        return cst_fail(
            error, CST_ERROR_BUSY,
            _("'%s' would be removed, and is kept by a hold or a clone; no change was made"), what);
    if (answer_starts_with(run.answer, "lost", &what))
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("snapshot '%s' of '%s' is gone, or another one"), revert->snapshot->name,
                        revert->dataset->name);
    return fail_by(state, run.answer, revert->dataset->name, error);
}
