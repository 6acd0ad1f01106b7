/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The references of images that are followed, and the recorded trust in their writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/images.h>
#include <service/trust.h>
#include <store/declarations.h>

#include "core/pool.h"
#include "fixture.h"
#include "points.h"

/* Creates an overlay of @base, which is raw, in any pool. */
static void create_overlay(CstPool *pool, const char *name, const char *base, const char *format)
{
    g_autofree char *more = g_strdup_printf("<backingStore><path>%s</path><format type='%s'/>"
                                            "</backingStore>",
                                            base, format);

    fixture_create(pool, name, "qcow2", more);
}

static char *path_of(Fixture *f, const char *pool, const char *name)
{
    return g_build_filename(f->images, pool, name, NULL);
}

/*
 * Copies a file like a tool that does not know this program: to a new file, or in place
 * (@in_place).
 */
static void write_copy(Fixture *f, const char *name, const char *of, gboolean in_place)
{
    g_autofree char *from = path_of(f, "p", of), *to = path_of(f, "p", name), *content = NULL;
    gsize len;
    FILE *file;

    assert_true(g_file_get_contents(from, &content, &len, NULL));
    if (!in_place)
        remove(to);
    file = fopen(to, in_place ? "r+" : "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    fclose(file);
}

static void set_mode(Fixture *f, const char *pool, mode_t mode)
{
    g_autofree char *path = path_of(f, pool, NULL);

    assert_int_equal(chmod(path, mode), 0);
}

static void refresh(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_refresh(pool, 0, NULL, &error);
    assert_no_error(error);
}

/*
 * Checks whether all files that a guest of @name would read may be read. @code: of the error; 0:
 * success.
 */
static void assert_followed(CstPool *pool, const char *name, int code, guint files)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolMap) map = cst_vol_map(pool, name, 0, 0, NULL, &error);

    if (code) {
        if (map)
            fail_msg("'%s' is followed", name);
        assert_error(&error, code);
        return;
    }
    assert_no_error(error);
    assert_int_equal(map->files->len, files);
}

static void assert_format(CstPool *pool, const char *name, const char *format)
{
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);

    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);

        if (strcmp(row->name, name) == 0) {
            assert_string_equal(row->format, format);
            return;
        }
    }
    fail_msg("no '%s'", name);
}

/* --- failed look-ups -------------------------------------------------------------------------- */

static gboolean look_up_fails;

gboolean __real_cst_declarations_find_many(CstDeclarations *declarations,
                                           CstDeclaredLookup *lookups, guint count, GError **error);
gboolean __wrap_cst_declarations_find_many(CstDeclarations *declarations,
                                           CstDeclaredLookup *lookups, guint count, GError **error);

gboolean __wrap_cst_declarations_find_many(CstDeclarations *declarations,
                                           CstDeclaredLookup *lookups, guint count, GError **error)
{
    if (look_up_fails)
        return cst_fail(error, CST_ERROR_IO, "%s", "the disk of the records fails");
    return __real_cst_declarations_find_many(declarations, lookups, count, error);
}

static void reference_is_followed_again_after_a_failed_look_up(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *base = path_of(f, "p", "base");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "base", "raw", "");
    create_overlay(pool, "over", base, "raw");
    assert_followed(pool, "over", 0, 2);
    look_up_fails = TRUE;
    write_copy(f, "over", "over", TRUE);
    refresh(pool);
    assert_null(cst_vol_map(pool, "over", 0, 0, NULL, &error));
    assert_non_null(strstr(error->message, "the disk of the records fails"));
    look_up_fails = FALSE;
    refresh(pool);
    assert_followed(pool, "over", 0, 2);
}

/* --- recorded trust --------------------------------------------------------------------------- */

/* Content that other users could write stays untrusted after they lose write access. */
static void volume_that_other_users_could_write_is_not_trusted_later(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *base = path_of(f, "p", "base");

    fixture_create(pool, "base", "raw", "");
    create_overlay(pool, "ours", base, "raw");
    fixture_create(pool, "alone", "qcow2", "");
    set_mode(f, "p", 0777);
    write_copy(f, "theirs", "ours", FALSE);
    write_copy(f, "empty", "alone", FALSE);
    refresh(pool);
    assert_followed(pool, "theirs", CST_ERROR_DENIED, 0);
    set_mode(f, "p", 0700);
    refresh(pool);
    assert_followed(pool, "theirs", CST_ERROR_DENIED, 0);
    /* An image without references needs no record. */
    write_copy(f, "empty", "ours", TRUE);
    refresh(pool);
    assert_followed(pool, "empty", 0, 2);
    for (int i = 0; i < 2; i++) {
        write_copy(f, "here", "ours", i > 0);
        refresh(pool);
        assert_followed(pool, "here", 0, 2);
    }
}

/*
 * Content that a guest could write is never an image later. An empty file is not yet a guest's
 * disk.
 */
static void empty_file_may_get_any_format(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    fixture_create(pool, "image", "qcow2", "");
    fixture_write(f, "p", "empty", "");
    fixture_write(f, "p", "disk", "a guest's bytes");
    refresh(pool);
    write_copy(f, "empty", "image", TRUE);
    write_copy(f, "disk", "image", TRUE);
    refresh(pool);
    assert_format(pool, "empty", "qcow2");
    assert_format(pool, "disk", "raw");
}

/* --- outside of all pools --------------------------------------------------------------------- */

static void reference_outside_the_pools_is_judged_by_its_location(void **state)
{
    static const struct {
        CstFollow follow;
        mode_t mode; /* of the directory outside */
        int direct;  /* error of an overlay of a raw file there; 0: success */
        int deep;    /* error of an overlay of an overlay of it, declared or not */
    } places[] = {
        {CST_FOLLOW_POOLS, 0700, CST_ERROR_NOT_FOUND, CST_ERROR_NOT_FOUND},
        {CST_FOLLOW_NONE, 0700, CST_ERROR_DENIED, CST_ERROR_DENIED},
        {CST_FOLLOW_ANYWHERE, 0700, 0, 0},
        {CST_FOLLOW_ANYWHERE, 0777, CST_ERROR_DENIED, CST_ERROR_DENIED},
    };
    const CstVolDeclare content = {.flags = CST_VOL_DECLARE_CONTENT};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), outside = fixture_pool(f, "q");
    g_autoptr(CstPool) safe = fixture_pool(f, "safe");
    g_autofree char *base = path_of(f, "q", "base"), *middle = path_of(f, "q", "middle");
    g_autofree char *bottom = path_of(f, "safe", "bottom");

    fixture_create(outside, "base", "raw", "");
    fixture_create(safe, "bottom", "raw", "");
    create_overlay(outside, "middle", bottom, "raw");
    create_overlay(pool, "declared", middle, "qcow2");
    create_overlay(pool, "overlay", base, "raw");
    write_copy(f, "direct", "overlay", FALSE);
    write_copy(f, "deep", "declared", FALSE);
    refresh(pool);
    assert_true(cst_pool_stop(outside, NULL, NULL));
    assert_true(cst_pool_stop(safe, NULL, NULL));
    assert_true(cst_vol_declare(pool, "declared", &content, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        assert_true(cst_pool_set_follow(pool, places[i].follow, NULL));
        set_mode(f, "q", places[i].mode);
        assert_followed(pool, "direct", places[i].direct, 2);
        assert_followed(pool, "deep", places[i].deep, 3);
        assert_followed(pool, "declared", places[i].deep, 3);
    }
}

/* --- listings --------------------------------------------------------------------------------- */

static void missing_format_is_taken_from_the_base(void **state)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *base = path_of(f, "p", formats[i]), *xml = NULL;
        g_autofree char *shown =
            g_strdup_printf("<path>%s</path>\n    <format type='%s'/>", base, formats[i]);

        fixture_create(pool, formats[i], formats[i], "");
        fixture_write_qcow(f, "p", "old", base);
        refresh(pool);
        xml = cst_vol_get_xml(pool, "old", 0, NULL);
        if (!strstr(xml, shown))
            fail_msg("no %s in %s", shown, xml);
    }
}

/* --- problems --------------------------------------------------------------------------------- */

/* @wanted: all problems of the volume, one per line. A listing has the first of them. */
static void assert_problems(CstPool *pool, const char *name, const char *wanted)
{
    g_autoptr(GPtrArray) problems = cst_vol_problems(pool, name, NULL);
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);
    g_autofree char *all = NULL;

    g_ptr_array_add(problems, NULL);
    all = g_strjoinv("\n", (char **)problems->pdata);
    assert_string_equal(all, wanted);
    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);

        if (strcmp(row->name, name) == 0 && g_strcmp0(row->problem, problems->pdata[0]) != 0)
            fail_msg("'%s' is listed with '%s'", name, row->problem);
    }
}

#define NOT_DECLARED \
    "its content names '%s' as its %s, which is not declared; it is not followed (vol-trust)"

static void problem_of_a_base_is_reported(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autofree char *base = path_of(f, "p", "base"), *far = path_of(f, "q", "far");
    g_autofree char *undeclared = g_strdup_printf(NOT_DECLARED, base, "backing store");
    g_autofree char *is_raw = g_strdup_printf(
        "it says that its backing store '%s' is qcow2, but that is raw; its guest would see other "
        "bytes than are meant",
        base);
    g_autofree char *missing = g_strdup_printf("its backing store '%s' does not exist", base);
    g_autofree char *far_missing = g_strdup_printf("its backing store '%s' does not exist", far);
    g_autofree char *outside = g_strdup_printf(
        "its backing store '%s' is no volume of an active pool; define and start a pool that holds "
        "it, or declare it (vol-trust)",
        far);

    fixture_create(pool, "base", "qcow2", "");
    fixture_create(other, "far", "raw", "");
    create_overlay(pool, "overlay", base, "qcow2");
    create_overlay(pool, "distant", far, "raw");
    fixture_write_qcow(f, "p", "silent", base); /* without the format of its base */
    refresh(pool);
    assert_problems(pool, "base", "");
    assert_problems(pool, "overlay", "");
    assert_problems(pool, "distant", "");
    assert_problems(pool, "silent", "");
    remove(base);
    fixture_write(f, "p", "base", "a guest's bytes");
    refresh(pool);
    assert_problems(pool, "overlay", is_raw);
    assert_problems(pool, "silent", "");
    remove(base);
    refresh(pool);
    assert_problems(pool, "overlay", missing);
    assert_problems(pool, "silent", missing);
    assert_true(cst_pool_stop(other, NULL, NULL));
    assert_problems(pool, "distant", outside);
    remove(far);
    assert_problems(pool, "distant", far_missing);
    set_mode(f, "p", 0777);
    write_copy(f, "theirs", "overlay", FALSE);
    refresh(pool);
    assert_problems(pool, "theirs", undeclared);
}

/* Reads the record of a name in pool "p" like another process. The caller frees it. */
static CstDeclaration *declaration_of_name(Fixture *f, const char *name)
{
    g_autofree char *dir = path_of(f, "p", NULL);
    const CstDeclaredFile file = {.dir = dir, .name = name};
    CstDeclarations *other = cst_declarations_new(f->paths);
    CstDeclaration *found;

    assert_true(cst_declarations_find(other, &file, TRUE, &found, NULL));
    cst_declarations_free(other);
    return found;
}

/* Another user's file of the name would inherit the record. */
static void record_is_removed_with_its_volume_where_other_users_can_write(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstDeclaration) before = NULL, after = NULL;

    set_mode(f, "p", 0777);
    fixture_create(pool, "v", "raw", "");
    before = declaration_of_name(f, "v");
    assert_non_null(before);
    assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
    after = declaration_of_name(f, "v");
    assert_null(after);
}

/* The next volume of the name has its own record. */
static void record_of_a_deleted_volume_does_not_remove_the_next_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstDeclaration) next = NULL;

    fixture_create(pool, "v", "raw", "");
    assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
    fixture_create(pool, "v", "raw", "");
    fixture_create(pool, "w", "raw", "");
    next = declaration_of_name(f, "v");
    assert_non_null(next);
}

/* --- records of missing files ----------------------------------------------------------------- */

static const CstDeclarationSweep *service_sweep; /* of the sweep in progress */
static int presence_of_v;                        /* its answer for volume "v"; -1: not asked */

gboolean __real_cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                       const CstDeclarationSweep *sweep, GError **error);
gboolean __wrap_cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                       const CstDeclarationSweep *sweep, GError **error);

static CstDeclaredPresence note_presence(const char *name, const CstFileId *id, gpointer data)
{
    CstDeclaredPresence presence = service_sweep->look(name, id, data);

    if (strcmp(name, "v") == 0)
        presence_of_v = presence;
    return presence;
}

gboolean __wrap_cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                       const CstDeclarationSweep *sweep, GError **error)
{
    CstDeclarationSweep noted = *sweep;

    service_sweep = sweep;
    noted.look = note_presence;
    return __real_cst_declarations_sweep(declarations, dir, &noted, error);
}

/* Scans the pool. Returns the presence of "v". The interval between sweeps counts as over. */
static int presence_in_scan(CstPool *pool)
{
    presence_of_v = -1;
    pool->swept_at = 0;
    refresh(pool);
    return presence_of_v;
}

static void move_path(Fixture *f, const char *from, const char *to)
{
    g_autofree char *old = g_build_filename(f->images, from, NULL);
    g_autofree char *new = g_build_filename(f->images, to, NULL);

    assert_int_equal(rename(old, new), 0);
}

/* Without a monitor, which would scan the pools in a thread of its own. */
static void make_two_pools(Fixture *f, CstPool **ret_pool, CstPool **ret_other)
{
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    *ret_pool = fixture_pool(f, "p");
    *ret_other = fixture_pool(f, "q");
}

static void record_of_a_file_without_a_pool_counts_as_missing(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL, other = NULL;

    make_two_pools(f, &pool, &other);
    fixture_create(pool, "v", "raw", "");
    assert_int_equal(presence_in_scan(pool), CST_DECLARED_PRESENT);
    move_path(f, "p/v", "away");
    assert_int_equal(presence_in_scan(pool), CST_DECLARED_MISSING);
    presence_of_v = -1;
    refresh(pool);
    assert_int_equal(presence_of_v, -1);
}

static void record_of_a_file_in_another_pool_is_kept(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL, other = NULL;

    make_two_pools(f, &pool, &other);
    fixture_create(pool, "v", "raw", "");
    move_path(f, "p/v", "q/w");
    refresh(other);
    assert_int_equal(presence_in_scan(pool), CST_DECLARED_PRESENT);
}

/* An unknown presence does not begin the week of grace. The next scan asks again. */
static void assert_unknown_in_each_scan(CstPool *pool)
{
    assert_int_equal(presence_in_scan(pool), CST_DECLARED_UNKNOWN);
    presence_of_v = -1;
    refresh(pool);
    assert_int_equal(presence_of_v, CST_DECLARED_UNKNOWN);
}

static void record_is_kept_while_another_pool_is_stopped_or_inaccessible(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL, other = NULL;

    make_two_pools(f, &pool, &other);
    fixture_create(pool, "v", "raw", "");
    move_path(f, "q", "away");
    assert_false(cst_pool_refresh(other, 0, NULL, NULL));
    move_path(f, "p/v", "away/w");
    assert_unknown_in_each_scan(pool);
    move_path(f, "away", "q");
    refresh(other);
    assert_int_equal(presence_in_scan(pool), CST_DECLARED_PRESENT);
    assert_true(cst_pool_stop(other, NULL, NULL));
    assert_unknown_in_each_scan(pool);
}

/* --- a power cut ------------------------------------------------------------------------------ */

static guint restrictions, durable_restrictions; /* recorded ones */

gboolean __wrap_cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                                     const CstDeclaration *declaration, gboolean durable,
                                     GError **error);
gboolean __real_cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                                     const CstDeclaration *declaration, gboolean durable,
                                     GError **error);

gboolean __wrap_cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                                     const CstDeclaration *declaration, gboolean durable,
                                     GError **error)
{
    gboolean done = __real_cst_declarations_set(declarations, file, declaration, durable, error);

    restrictions += done && declaration->restricted;
    durable_restrictions += done && declaration->restricted && durable;
    return done;
}

static void assert_restricted_durably(gpointer unused)
{
    assert_int_equal(restrictions, 1);
    assert_int_equal(durable_restrictions, 1);
}

/* A power cut that keeps the bytes of a client keeps the restriction, too. */
static void restriction_is_durable_before_the_first_byte_of_a_client(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autoptr(CstUpload) upload = NULL;
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "qcow2", "");
    restrictions = durable_restrictions = 0;
    upload = cst_vol_upload(pool, "v", 0, 0, 0, NULL, &error);
    assert_no_error(error);
    point_run("vol.upload.restricted", assert_restricted_durably, NULL);
    assert_true(cst_upload_write(upload, "QFI\xfb", 4, NULL));
    points_clear();
    g_clear_pointer(&upload, cst_upload_free);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(volume_that_other_users_could_write_is_not_trusted_later),
        TEST(empty_file_may_get_any_format),
        TEST(reference_outside_the_pools_is_judged_by_its_location),
        TEST(missing_format_is_taken_from_the_base),
        TEST(record_is_removed_with_its_volume_where_other_users_can_write),
        TEST(record_of_a_deleted_volume_does_not_remove_the_next_one),
        TEST(problem_of_a_base_is_reported),
        TEST(record_of_a_file_without_a_pool_counts_as_missing),
        TEST(record_of_a_file_in_another_pool_is_kept),
        TEST(record_is_kept_while_another_pool_is_stopped_or_inaccessible),
        TEST(reference_is_followed_again_after_a_failed_look_up),
        TEST(restriction_is_durable_before_the_first_byte_of_a_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
