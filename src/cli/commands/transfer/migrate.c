/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate-check: checks whether a machine's disk is available on another host, as live migration on
 * shared storage requires. Both daemons receive the same queries, and the answers are compared. The
 * command is read-only.
 *
 * Two hosts may use one path for different disks. Therefore the first stored bytes are compared, in
 * addition to path, source and format. A running machine rarely changes these bytes. With --full,
 * the complete guest-visible content is compared, which requires that the disk is not in use.
 */
#include "transfer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "chunks.h"
#include "commands/volume/options.h"
#include "commands/xml.h"
#include "output/progress.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"

#define SAMPLE (1 << 20)
#define CHUNK  (UINT64_C(1) << 20)

/* The source or the destination of a migration. Strings are NULL if unknown. */
typedef struct {
    CstConn *conn;
    CstVolRef *vol;
    char *pool_xml, *vol_xml, *path;
} Side;

typedef struct {
    CliCtl *ctl;
    Side here, there;
    CstConn *far;
    CliTable *table;
    guint failed;
    CstVolDigests digests[2];
} Check;

static void migrate_side_clear(Side *side)
{
    g_clear_pointer(&side->vol, cst_vol_ref_free);
    g_free(side->pool_xml);
    g_free(side->vol_xml);
    g_free(side->path);
}

static void check_clear(Check *check)
{
    migrate_side_clear(&check->here);
    migrate_side_clear(&check->there);
    cst_conn_free(check->far);
    cli_table_free(check->table);
    for (guint i = 0; i < G_N_ELEMENTS(check->digests); i++)
        cst_vol_digests_clear(&check->digests[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

/* --- rows ------------------------------------------------------------------------------------- */

static const CliColumn columns[] = {
    {N_("Check"), "check", CLI_CELL_WORD, NULL, 0},
    {N_("Here"), "here", CLI_CELL_TEXT, "-", 0},
    {N_("There"), "there", CLI_CELL_TEXT, "-", 0},
    {N_("Result"), "result", CLI_CELL_WORD, NULL, 0},
};

static void migrate_add_row(Check *check, const char *what, const char *here, const char *there,
                            gboolean good)
{
    cli_table_add_word(check->table, what);
    cli_table_add_text(check->table, here);
    cli_table_add_text(check->table, there);
    cli_table_add_word(check->table, good ? N_("ok") : N_("failed"));
    check->failed += !good;
}

/* Compare two values. Two missing values are equal. */
static void compare_texts(Check *check, const char *what, const char *here, const char *there)
{
    migrate_add_row(check, what, here, there, g_strcmp0(here, there) == 0);
}

static void compare_xml(Check *check, const char *what, const char *here, const char *there,
                        const char *xpath)
{
    g_autofree char *mine = here ? cli_xml_text(here, xpath) : NULL;
    g_autofree char *its = there ? cli_xml_text(there, xpath) : NULL;

    if (mine || its)
        compare_texts(check, what, mine, its);
}

/* --- checks ----------------------------------------------------------------------------------- */

static gboolean migrate_side_read(Side *side, const CstPoolRef *pool, GError **error)
{
    side->pool_xml = cst_conn_pool_xml(side->conn, pool, 0, error);
    side->vol_xml = side->pool_xml ? cst_conn_vol_xml(side->conn, side->vol, 0, error) : NULL;
    side->path = side->vol_xml ? cst_conn_vol_path(side->conn, side->vol, error) : NULL;
    return side->path != NULL;
}

static gboolean migrate_read_source(Check *check, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;

    check->here.vol = cli_vol(check->ctl, args, "pool", NULL, error);
    if (!check->here.vol)
        return FALSE;
    check->here.conn = check->ctl->conn;
    pool = cst_conn_pool_of_vol(check->here.conn, check->here.vol, error);
    return pool && migrate_side_read(&check->here, pool, error);
}

/*
 * Find the volume by its path, because the machine's definition has the path. A missing volume is a
 * row, and not an error.
 */
static gboolean migrate_read_destination(Check *check, const char *uri, GError **error)
{
    const CstConnOptions options = {.must_exist = TRUE};
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(GError) why = NULL;

    check->far = check->there.conn = cst_conn_open(uri, &options, error);
    if (!check->far)
        return FALSE;
    check->there.vol = cst_conn_vol_by_path(check->far, check->here.path, &why);
    if (!check->there.vol) {
        migrate_add_row(check, N_("path"), check->here.path, why->message, FALSE);
        return TRUE;
    }
    pool = cst_conn_pool_of_vol(check->far, check->there.vol, error);
    return pool && migrate_side_read(&check->there, pool, error);
}

static void compare_definitions(Check *check)
{
    static const struct {
        const char *what, *xpath;
    } of_pool[] =
        {
            {N_("pool type"), "/pool/@type"},
            {N_("source host"), "/pool/source/host/@name"},
            {N_("source name"), "/pool/source/name"},
            {N_("source directory"), "/pool/source/dir/@path"},
            {N_("source device"), "/pool/source/device/@path"},
        },
      of_vol[] = {
          {N_("capacity"), "/volume/capacity"},
          {N_("format"), "/volume/target/format/@type"},
          {N_("based on"), "/volume/backingStore/path"},
          {N_("mode"), "/volume/target/permissions/mode"},
          {N_("owner"), "/volume/target/permissions/owner"},
          {N_("group"), "/volume/target/permissions/group"},
          {N_("label"), "/volume/target/permissions/label"},
      };
    const Side *here = &check->here, *there = &check->there;

    compare_texts(check, N_("path"), here->path, there->path);
    for (gsize i = 0; i < G_N_ELEMENTS(of_pool); i++)
        compare_xml(check, of_pool[i].what, here->pool_xml, there->pool_xml, of_pool[i].xpath);
    for (gsize i = 0; i < G_N_ELEMENTS(of_vol); i++)
        compare_xml(check, of_vol[i].what, here->vol_xml, there->vol_xml, of_vol[i].xpath);
}

/* Check that the backing image exists at the other host, under the path in the image. */
static void compare_base(Check *check)
{
    g_autofree char *base = cli_xml_text(check->here.vol_xml, "/volume/backingStore/path");
    g_autoptr(CstVolRef) vol = base ? cst_conn_vol_by_path(check->far, base, NULL) : NULL;

    if (base)
        migrate_add_row(check, N_("base there"), base, vol ? base : NULL, vol != NULL);
}

/* Check that the volume is unused at the other host. The machine uses it on this host. */
static void compare_holders(Check *check)
{
    g_autoptr(GPtrArray) holders = cst_conn_vol_holders(check->far, check->there.vol, NULL);
    const CstVolHolder *first = holders && holders->len > 0 ? holders->pdata[0] : NULL;

    if (!holders)
        cli_note(_("the server there does not report who has the vol open"), check->ctl);
    else
        migrate_add_row(check, N_("open there"), NULL, first ? first->what : NULL, first == NULL);
}

/* --- content ---------------------------------------------------------------------------------- */

static gboolean read_sample(const Side *side, uint8_t *buf, size_t *ret_len, GError **error)
{
    g_auto(CstFd) fd = memfd_create("sample", MFD_CLOEXEC);
    CstConnAbilities can;
    unsigned flags;
    ssize_t n;

    if (fd < 0)
        return cst_fail_errno(error, errno, "memfd_create");
    if (!cst_conn_abilities(side->conn, &can, error))
        return FALSE;
    /* libvirt's daemon does not check holders of a volume, and does not support the flag. */
    flags = can.sends ? CST_VOL_STREAM_FORCE_SHARE : 0;
    if (!cst_conn_vol_download(side->conn, side->vol, fd, 0, SAMPLE, flags, NULL, error))
        return FALSE;
    n = pread(fd, buf, SAMPLE, 0);
    *ret_len = n > 0 ? (size_t)n : 0;
    return TRUE;
}

static gboolean run_sample(CstTask *task, gpointer data, GError **error)
{
    Check *check = data;
    g_autofree uint8_t *mine = g_malloc0(SAMPLE), *its = g_malloc0(SAMPLE);
    size_t len = 0, other = 0;

    if (!read_sample(&check->here, mine, &len, error) ||
        !read_sample(&check->there, its, &other, error))
        return FALSE;
    migrate_add_row(check, N_("first bytes"), NULL, NULL,
                    len == other && memcmp(mine, its, len) == 0);
    return TRUE;
}

static gboolean run_full(CstTask *task, gpointer data, GError **error)
{
    Check *check = data;
    const CstVolSend all = {0};
    CstConnAbilities here, there;
    g_autoptr(GArray) runs = NULL;

    if (!cst_conn_abilities(check->here.conn, &here, error) ||
        !cst_conn_abilities(check->there.conn, &there, error))
        return FALSE;
    if (!here.digests || !there.digests)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s",
                        _("--full needs a cisternd of this version on both sides; without it the "
                          "first bytes are compared"));
    if (!cst_conn_vol_digests(check->here.conn, check->here.vol, &all, CHUNK, task,
                              &check->digests[0], error) ||
        !cst_conn_vol_digests(check->there.conn, check->there.vol, &all, CHUNK, task,
                              &check->digests[1], error))
        return FALSE;
    if (check->digests[0].capacity == check->digests[1].capacity)
        runs = chunks_compare(&check->digests[0], &check->digests[1], 0);
    migrate_add_row(check, N_("content"), NULL, NULL, runs && runs->len == 0);
    return TRUE;
}

static gboolean migrate_compare_content(Check *check, const CliArgs *args, GError **error)
{
    return cli_run_task(check->ctl, _("Comparing"),
                        cli_args_has(args, "full") ? run_full : run_sample, check, error);
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean cmd_migrate(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Check) check = {.ctl = ctl};
    g_auto(CliView) view = {0};
    const char *uri;

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error) ||
        !cli_args_string(args, "to", &uri, error) || !migrate_read_source(&check, args, error))
        return FALSE;
    check.table = cli_table_new(columns, G_N_ELEMENTS(columns));
    if (!migrate_read_destination(&check, uri, error))
        return FALSE;
    if (check.there.vol) {
        compare_definitions(&check);
        compare_base(&check);
        compare_holders(&check);
        if (!migrate_compare_content(&check, args, error))
            return FALSE;
    }
    cli_view_print(ctl, &view, check.table, "checks");
    return check.failed == 0 ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    _("vol %s is not the same, or not to be had, at '%s': %u checks failed"),
                    check.here.vol->name, uri, check.failed);
}

static void complete_migrate_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption migrate_options[] = {
    VOL,
    {.name = "to",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED,
     .help = N_("connection URI of the daemon on the other host")},
    POOL,
    CLI_SWITCH("full", N_("compare the complete content; the vol must have no writer")),
    CLI_VIEW_OPTIONS(complete_migrate_columns),
    {0},
};

const CliCommand cli_migrate_check_command = {
    .name = "migrate-check",
    .summary = N_("tell whether another host has the same vol"),
    .description =
        N_("Before a live migration on shared storage, verify that the other host has the vol's "
           "path in a pool with the same source. Its size, format, base, permissions and bytes "
           "must be equal, and no program may have it open there. Migration needs the disk's cache "
           "mode none or directsync, except on Ceph or a cluster file system."),
    .options = migrate_options,
    .handler = cmd_migrate,
    .flags = CLI_CMD_OURS,
};
