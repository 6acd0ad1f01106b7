/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holders of files, found in three ways. Locks show QEMU and processes of this program. Loop
 * devices and swap show uses by the kernel. The search for writers shows all other programs that
 * can change the file. Readers without a lock are unknown.
 *
 * A page of volumes takes two passes over its files. The first pass asks the kernel whether a file
 * has a lock or a writer, which most files have not. Then /proc is searched once for the users of
 * the remaining files. The second pass lists the holders of these files. A single volume is a page
 * of one.
 *
 * The second pass asks the kernel again, and the file may have another user by then. A holder that
 * is not in the index may have opened the file after the search. Therefore /proc is searched once
 * more for all files with such a holder. If it is still not found, it is listed without a name.
 */
#include "dir.h"

#include <fcntl.h>

#include <base/error.h>
#include <base/file_writers.h>
#include <base/i18n.h>
#include <base/process.h>
#include <base/test_point.h>
#include <image/hold.h>
#include <pool/device.h>

#define SEARCHES_MAX 2 /* of /proc for one page */

typedef struct {
    const CstDirHandle *target;
    CstKernelUses *uses;
    CstFileUsers *users; /* of the search */
    CstFileUsers *next;  /* files for the next search */
    gboolean unnamed;    /* the second pass has added a holder that is not in the index */
} HoldersPage;

static void holders_page_clear(HoldersPage *page)
{
    g_clear_pointer(&page->uses, cst_kernel_uses_free);
    g_clear_pointer(&page->users, cst_file_users_free);
    g_clear_pointer(&page->next, cst_file_users_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HoldersPage, holders_page_clear)

/* Returns NULL for a volume that cannot be opened, or is no file: its holders cannot be found. */
static CstBlob *holders_page_open(const HoldersPage *page, const char *name)
{
    int fd = cst_dir_name_is_volume(name) ? cst_entry_open(page->target, name, O_RDONLY, NULL) : -1;

    return fd < 0 ? NULL : cst_blob_file_new(fd, name, FALSE, NULL);
}

static void add_lock_holder(int64_t pid, gboolean writes, GPtrArray *holders)
{
    g_autofree char *who = cst_process_describe(pid);

    cst_holders_add(holders, pid, "%s", who)->reads_only = !writes;
}

/*
 * Adds the processes that lock the image. Several machines may read one volume. The core already
 * knows the uses of this process. Another host holds a lock if no process here does.
 */
static void add_lock_holders(HoldersPage *page, CstBlob *blob, GPtrArray *holders)
{
    g_autoptr(GArray) users = NULL, writers = NULL;
    gboolean self, changing;

    if (!cst_image_is_locked(blob, &changing))
        return;
    users = cst_image_users(blob, page->users, &self);
    for (guint i = 0; i < users->len; i++) {
        const CstImageUser *user = &g_array_index(users, CstImageUser, i);

        add_lock_holder(user->pid, user->writes, holders);
    }
    if (users->len > 0 || self)
        return;
    writers = cst_file_writers_among(cst_blob_file_fd(blob), page->users);
    page->unnamed = TRUE;
    add_lock_holder(0, changing || writers->len > 0, holders);
}

static gboolean has_holder(const GPtrArray *holders, int64_t pid)
{
    for (guint i = 0; i < holders->len; i++)
        if (((const CstHolder *)g_ptr_array_index(holders, i))->pid == pid)
            return TRUE;
    return FALSE;
}

static gboolean has_writer(const GPtrArray *holders)
{
    for (guint i = 0; i < holders->len; i++)
        if (!((const CstHolder *)g_ptr_array_index(holders, i))->reads_only)
            return TRUE;
    return FALSE;
}

/*
 * Adds the processes that can write to the file and hold no lock of QEMU. The kernel's count
 * includes loop devices and unknown processes, so an unnamed writer is listed only if no other
 * writer is.
 */
static void add_writers_without_lock(HoldersPage *page, int fd, GPtrArray *holders)
{
    g_autoptr(GArray) writers = cst_file_writers_among(fd, page->users);

    for (guint i = 0; i < writers->len; i++) {
        const CstFileWriter *writer = &g_array_index(writers, CstFileWriter, i);
        g_autofree char *who = cst_process_describe(writer->pid);

        if (writer->pid ? has_holder(holders, writer->pid) : has_writer(holders))
            continue;
        page->unnamed |= writer->pid == 0;
        cst_holders_add(holders, writer->pid, _("%s, which writes without a lock"), who)->passing =
            writer->ending;
    }
}

/*
 * First pass. Returns TRUE if the second pass must list the holders, with the file added to the
 * files that the search is for. Otherwise only the kernel can hold the file.
 */
static gboolean holders_page_ask(HoldersPage *page, const char *name, GPtrArray *holders)
{
    g_autoptr(CstBlob) blob = holders_page_open(page, name);
    int fd = blob ? cst_blob_file_fd(blob) : -1;
    gboolean changing;

    if (!blob)
        return FALSE;
    if (cst_image_is_locked(blob, &changing) || !cst_file_has_no_writer(fd)) {
        cst_file_users_want(page->next, fd);
        return TRUE;
    }
    cst_file_holders(fd, page->uses, holders);
    return FALSE;
}

/*
 * Second pass. Returns FALSE if a holder is not in the index and @may_repeat: adds no holder, and
 * adds the file to the files of the next search.
 */
static gboolean holders_page_add(HoldersPage *page, const char *name, gboolean may_repeat,
                                 GPtrArray *holders)
{
    g_autoptr(CstBlob) blob = holders_page_open(page, name);
    guint before = holders->len;

    if (!blob)
        return TRUE;
    page->unnamed = FALSE;
    add_lock_holders(page, blob, holders);
    cst_file_holders(cst_blob_file_fd(blob), page->uses, holders);
    add_writers_without_lock(page, cst_blob_file_fd(blob), holders);
    if (!page->unnamed || !may_repeat)
        return TRUE;
    g_ptr_array_set_size(holders, (int)before);
    cst_file_users_want(page->next, cst_blob_file_fd(blob));
    return FALSE;
}

/*
 * Searches /proc for the users of the wanted files, and reads the kernel's tables again.
 * *ret_complete: FALSE if the index has reached its limit.
 */
static gboolean holders_page_search(HoldersPage *page, CstTask *task, gboolean *ret_complete,
                                    GError **error)
{
    g_autoptr(GError) why = NULL;

    cst_file_users_free(page->users);
    page->users = g_steal_pointer(&page->next);
    page->next = cst_image_file_users_new();
    *ret_complete = cst_file_users_search(page->users, task, &why);
    CST_TEST_POINT("dir.holders.searched");
    cst_kernel_uses_free(page->uses);
    page->uses = cst_kernel_uses_read();
    if (*ret_complete || g_error_matches(why, CST_ERROR, CST_ERROR_LIMIT))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/*
 * Lists the holders of the @busy volumes (guint, places in @names). Returns the places of volumes
 * with a holder that is not in the index, if @may_repeat. Returns NULL with @error.
 *
 * If the index reaches its limit, the holders in a page are unknown. But a single volume must not
 * seem to be unused. Then an unnamed holder is listed for each lock and writer that has no process
 * in the index.
 */
static GArray *holders_page_list(HoldersPage *page, const char *const *names, const GArray *busy,
                                 gboolean single, gboolean may_repeat, CstTask *task,
                                 GPtrArray **holders, GError **error)
{
    g_autoptr(GArray) again = g_array_new(FALSE, FALSE, sizeof(guint));
    gboolean complete;
    guint found = 0;

    if (!holders_page_search(page, task, &complete, error))
        return NULL;
    for (guint i = 0; i < busy->len; i++) {
        guint volume = g_array_index(busy, guint, i);

        if (!cst_task_check(task, error))
            return NULL;
        if ((!complete && !single) || found > CST_HOLDERS_MAX) {
            g_clear_pointer(&holders[volume], g_ptr_array_unref);
            continue;
        }
        if (!holders_page_add(page, names[volume], may_repeat && complete, holders[volume]))
            g_array_append_val(again, volume);
        found += holders[volume]->len;
    }
    return g_steal_pointer(&again);
}

static gboolean holders_page_fill(HoldersPage *page, const char *const *names, guint count,
                                  CstTask *task, GPtrArray **holders, GError **error)
{
    g_autoptr(GArray) busy = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint i = 0; i < count; i++) {
        if (!cst_task_check(task, error))
            return FALSE;
        if (holders_page_ask(page, names[i], holders[i]))
            g_array_append_val(busy, i);
    }
    CST_TEST_POINT("dir.holders.asked");
    for (guint search = 1; search <= SEARCHES_MAX && busy->len > 0; search++) {
        GArray *again = holders_page_list(page, names, busy, count == 1, search < SEARCHES_MAX,
                                          task, holders, error);

        if (!again)
            return FALSE;
        g_array_unref(busy);
        busy = again;
    }
    return TRUE;
}

static gboolean holders_of_target(const CstDirHandle *target, const char *const *names, guint count,
                                  CstTask *task, GPtrArray **holders, GError **error)
{
    g_auto(HoldersPage) page = {.target = target};

    page.uses = cst_kernel_uses_read();
    page.next = cst_image_file_users_new();
    return holders_page_fill(&page, names, count, task, holders, error);
}

gboolean cst_dir_vols_holders(CstPoolState *state, const char *const *names, guint count,
                              CstTask *task, GPtrArray **holders, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    return cst_dir_target_open(state, &target, error) &&
           holders_of_target(&target, names, count, task, holders, error);
}

/* A volume whose directory cannot be opened has no holders that could be found. */
gboolean cst_dir_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    return !cst_dir_target_open(state, &target, NULL) ||
           holders_of_target(&target, &name, 1, NULL, &holders, error);
}
