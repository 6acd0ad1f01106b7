/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <pool/pool.h>
#include <store/journal.h>

#include "await.h"

/* Pools: their life, restarts, what others do to their storage, what a dead process left. */

static void assert_volumes(Site *site, const char *expected)
{
    g_autofree char *names = volume_names(site);

    assert_string_equal(names, expected);
}

static void assert_native(Site *site, const char *expected)
{
    g_autofree char *names = site_native(site, "p");

    assert_string_equal(names, expected);
}

static CstPool *define(Site *site, const char *name)
{
    g_autofree char *xml = site->ground->pool_xml(name);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(site->service, xml, 0, &error);

    assert_no_error(error);
    return pool;
}

static void it_is_not_active_now(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_is_active(pool));
    assert_false(cst_pool_stop(pool, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_refresh(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_null(cst_pool_list_volumes(pool, NULL, 0, 0, &error));
    assert_error(&error, CST_ERROR_STATE);
}

static void it_is_active_now(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_is_active(pool));
    assert_false(cst_pool_start(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_build(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_undefine(pool, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    for (int i = 0; i < 2; i++) {
        cst_pool_refresh(pool, 0, NULL, &error);
        assert_no_error(error);
    }
}

static void a_life(Site *site)
{
    g_autoptr(CstPool) pool = define(site, "q");
    g_autoptr(GError) error = NULL;

    it_is_not_active_now(pool);
    cst_pool_build(pool, 0, NULL, &error);
    assert_no_error(error);
    /* A device that carries something by now is not formatted again unasked; nothing is lost. */
    if (!cst_pool_build(pool, 0, NULL, &error))
        assert_int_not_equal(error->code, CST_ERROR_INTERNAL);
    g_clear_error(&error);
    for (int i = 0; i < 2; i++) {
        cst_pool_start(pool, 0, NULL, &error);
        assert_no_error(error);
        it_is_active_now(pool);
        cst_pool_stop(pool, NULL, &error);
        assert_no_error(error);
        it_is_not_active_now(pool);
    }
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    assert_null(cst_service_pool_by_name(site->service, "q", NULL));
}

static void not_built(Site *site)
{
    g_autoptr(CstPool) pool = define(site, "q");
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_start(pool, 0, NULL, &error));
    assert_non_null(error);
    g_clear_error(&error);
    it_is_not_active_now(pool);
    assert_true(cst_pool_build(pool, 0, NULL, NULL));
    cst_pool_start(pool, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_true(cst_pool_undefine(pool, NULL, NULL));
}

static void stopping_keeps_everything(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 3, 2, 7);
    content_write(site, "v", 0, 3, 1);
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    assert_native(site, "v");
    cst_pool_start(site->pool, 0, NULL, &error);
    assert_no_error(error);
    assert_volumes(site, "v");
    assert_int_equal(volume_size(site, "v"), VOLUME_SIZE);
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
    assert_native(site, "");
}

static void deleting(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    assert_false(cst_pool_delete(site->pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    assert_false(cst_pool_delete(site->pool, 0, NULL, &error));
    assert_non_null(error);
    g_clear_error(&error);
    assert_native(site, "v");
    assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    cst_pool_delete(site->pool, 0, NULL, &error);
    assert_no_error(error);
    assert_false(site_has(site, GROUND_NEEDS_BUILD) && cst_pool_start(site->pool, 0, NULL, NULL));
    assert_true(cst_pool_build(site->pool, 0, NULL, NULL));
    assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
}

/* The volumes are there again once the pool is built and started. */
static void assert_only_target_deleted(Site *site)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;

    cst_pool_delete(site->pool, 0, NULL, &error);
    assert_no_error(error);
    assert_native(site, "v");
    assert_false(cst_pool_start(site->pool, 0, NULL, NULL));
    cst_pool_build(site->pool, 0, NULL, &error);
    assert_no_error(error);
    cst_pool_start(site->pool, 0, NULL, &error);
    assert_no_error(error);
    names = volume_names(site);
    assert_string_equal(names, "v");
}

static void deleting_otherwise(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    if (site_has(site, GROUND_MOUNTS)) {
        assert_only_target_deleted(site);
        return;
    }
    if (site_has(site, GROUND_DELETES_ALL)) {
        cst_pool_delete(site->pool, 0, NULL, &error);
        assert_no_error(error);
        assert_native(site, "");
        return;
    }
    assert_false(cst_pool_delete(site->pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SUPPORT);
}

/* --- restarts --------------------------------------------------------------------------------- */

static void restart_with_active_pools(Site *site)
{
    g_autoptr(CstPool) idle = define(site, "q");

    volume_make(site, "v", VOLUME_SIZE);
    g_clear_pointer(&idle, cst_pool_unref);
    for (int i = 0; i < 2; i++) {
        site_restart(site);
        site_wait_active(site->pool);
        assert_volumes(site, "v");
        idle = cst_service_pool_by_name(site->service, "q", NULL);
        assert_non_null(idle);
        assert_false(cst_pool_is_active(idle));
        g_clear_pointer(&idle, cst_pool_unref);
    }
    content_write(site, "v", 0, 1, 5);
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
}

static void autostart(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    assert_true(cst_pool_set_autostart(site->pool, TRUE, NULL));
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    site_restart(site);
    site_wait_active(site->pool);
    assert_volumes(site, "v");
    assert_true(cst_pool_set_autostart(site->pool, FALSE, NULL));
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    site_restart(site);
    assert_false(cst_pool_is_active(site->pool));
}

/* --- others at work --------------------------------------------------------------------------- */

static void changes_by_others(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "mine", VOLUME_SIZE);
    site->ground->native_create("p", "theirs", VOLUME_SIZE);
    /* Asked for by name it is found at once. */
    assert_true(cst_pool_has_volume(site->pool, "theirs", NULL));
    site->ground->native_create("p", "other", VOLUME_SIZE);
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_volumes(site, "mine other theirs");
    assert_int_equal(volume_size(site, "theirs"), VOLUME_SIZE);
    site->ground->native_delete("p", "theirs");
    site->ground->native_delete("p", "mine");
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_volumes(site, "other");
    assert_false(cst_vol_delete(site->pool, "mine", 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    /* One that vanished between two looks. */
    site->ground->native_delete("p", "other");
    assert_false(cst_vol_delete(site->pool, "other", 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_volumes(site, "");
}

/* --- drafts ----------------------------------------------------------------------------------- */

typedef struct {
    CstPoolDef *def;
    CstPoolState *state;
    CstVolDraft draft;
    CstVolDef *volume;
} Maker;

static gboolean is_native(Site *site, const char *expected)
{
    g_autofree char *names = site_native(site, "p");

    return strcmp(names, expected) == 0;
}

/* A thread of the service recovers remote storage when it has answered. */
static void wait_native(Site *site, const char *expected)
{
    AWAIT_STATE(is_native(site, expected), "'%s' instead of '%s'", site_native(site, "p"),
                expected);
}

/* A process that makes the volume "half", as far as having reserved it. */
static void maker_begin(Maker *maker, Site *site)
{
    g_autofree char *pool_xml = site->ground->pool_xml("p");
    g_autofree char *xml = volume_xml(site, "half", VOLUME_SIZE);
    g_autoptr(GError) error = NULL;
    char token[CST_UUID_TEXT_LEN];
    CstUuid id;

    maker->def = cst_pool_def_parse(pool_xml, 0, NULL);
    maker->state = cst_pool_state_open(maker->def, NULL, &error);
    assert_no_error(error);
    maker->volume = cst_vol_def_parse(xml, maker->def->type, 0, NULL);
    cst_uuid_generate(&id);
    maker->draft = (CstVolDraft){.token = g_strdup(cst_uuid_format(&id, token))};
    cst_pool_state_reserve(maker->state, maker->volume, &maker->draft, &error);
    assert_no_error(error);
    assert_true(cst_blob_pwrite(maker->draft.blob, "half", 4, 0, NULL));
}

/* The state after a kill, with or without an intent in the journal. */
static void maker_die(Maker *maker, Site *site, gboolean with_intent)
{
    if (with_intent) {
        CstJournal *journal = cst_journal_new(site->paths);
        g_autofree char *xml = cst_pool_def_format(maker->def, NULL);

        cst_intent_keep(cst_journal_begin(journal, NULL, "create", "pool", "p", "volume", "half",
                                          "draft", maker->draft.token, "definition", xml, NULL));
        cst_journal_free(journal);
    }
    cst_vol_draft_clear(&maker->draft);
    cst_vol_def_free(maker->volume);
    cst_pool_state_unref(maker->state);
    cst_pool_def_free(maker->def);
}

static void a_draft_in_the_journal(Site *site)
{
    g_autofree char *with_draft = NULL;
    Maker maker = {0};

    volume_make(site, "v", VOLUME_SIZE);
    site_stop_service(site);
    maker_begin(&maker, site);
    with_draft = site_native(site, "p");
    assert_int_equal(strcmp(with_draft, "v") == 0, site_has(site, GROUND_NO_DRAFTS));
    maker_die(&maker, site, TRUE);
    for (int i = 0; i < 2; i++) {
        site_start_service(site);
        site_wait_active(site->pool);
        wait_native(site, "v");
        assert_volumes(site, "v");
        site_stop_service(site);
    }
}

/* The power went before the journal was on the disk: the pool's start finds it. */
static void a_draft_without_a_word(Site *site)
{
    g_autofree char *with_draft = NULL;
    g_autoptr(GError) error = NULL;
    Maker maker = {0};

    volume_make(site, "v", VOLUME_SIZE);
    if (!site_has(site, GROUND_MOUNTS))
        assert_true(cst_pool_stop(site->pool, NULL, NULL));
    maker_begin(&maker, site);
    with_draft = site_native(site, "p");
    /* One that lives still is not a dead one's. */
    if (site_has(site, GROUND_MOUNTS)) {
        assert_false(cst_pool_stop(site->pool, NULL, &error));
        assert_error(&error, CST_ERROR_BUSY);
    } else {
        assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
    }
    assert_volumes(site, "v");
    assert_native(site, with_draft);
    if (!site_has(site, GROUND_MOUNTS))
        assert_true(cst_pool_stop(site->pool, NULL, NULL));
    maker_die(&maker, site, FALSE);
    if (site_has(site, GROUND_MOUNTS))
        assert_true(cst_pool_stop(site->pool, NULL, NULL));
    assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
    assert_volumes(site, "v");
    assert_native(site, site_has(site, GROUND_SHARED | GROUND_MAKER_LIVES) ? with_draft : "v");
}

const ContractTest lifecycle_tests[] = {
    {"a pool is built, started and stopped, and again", a_life, 0, NULL},
    {"a pool that was never built does not start", not_built, GROUND_NEEDS_BUILD, NULL},
    {"stopping keeps everything", stopping_keeps_everything, 0, NULL},
    {"pool-delete removes an empty pool's storage only", deleting, GROUND_DELETES,
     deleting_otherwise},
    {"the service restarts with active pools", restart_with_active_pools, 0, NULL},
    {"autostart", autostart, 0, NULL},
    {"a refresh sees what the technology's tool did", changes_by_others, 0, NULL},
    {"the draft of a dead process is dropped by the journal", a_draft_in_the_journal, 0, NULL},
    {"a draft that nobody knows of is dropped by the next start", a_draft_without_a_word, 0, NULL},
    {0},
};
