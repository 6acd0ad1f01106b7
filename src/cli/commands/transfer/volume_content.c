/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest-visible content of a volume, in one of three ways:
 *
 *  - SENT: cisternd sends it, including the content of backing images.
 *  - STORED: other servers (libvirt's daemons, older cisternds) send the stored bytes. For a raw
 *    volume these are the content.
 *  - IMAGE: for other formats the stored bytes are an untrusted image. Its file is downloaded to a
 *    spool and read as in vol-import, without following references.
 */
#include "volume_content.h"

#include <errno.h>
#include <inttypes.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/spool.h>
#include <blob/blob.h>
#include <image/image.h>
#include <model/pool_type.h>

#include "commands/changed.h"
#include "commands/xml.h"

typedef enum { SENT, STORED, IMAGE } Way;

struct CliVolContent {
    CstConn *conn;        /* borrowed */
    const CstVolRef *vol; /* borrowed */
    CstImportHow how;     /* its source is the volume's name; borrowed */
    Way way;
    uint64_t capacity;
    char *format;      /* of an image */
    CstImport *import; /* of a downloaded image */
};

void cli_vol_content_free(CliVolContent *content)
{
    if (!content)
        return;
    cst_import_free(content->import);
    g_free(content->format);
    g_free(content);
}

uint64_t cli_vol_content_capacity(const CliVolContent *content)
{
    return content->capacity;
}

gboolean cli_vol_content_is_fetched(const CliVolContent *content)
{
    return content->way == IMAGE;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Devices are raw, even if their documents report a format. */
static gboolean vol_content_find_format(CliVolContent *content, GError **error)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_of_vol(content->conn, content->vol, error);
    g_autofree char *pool_xml = pool ? cst_conn_pool_xml(content->conn, pool, 0, error) : NULL;
    g_autofree char *xml =
        pool_xml ? cst_conn_vol_xml(content->conn, content->vol, 0, error) : NULL;
    g_autofree char *type_name = NULL;
    CstPoolType type;

    if (!xml)
        return FALSE;
    type_name = cli_xml_text(pool_xml, "/pool/@type");
    if (!type_name || !cst_pool_type_parse(type_name, &type))
        return cst_fail(error, CST_ERROR_RPC, _("pool '%s' is of a type that is not known"),
                        pool->name);
    if (cst_pool_type_info(type)->volume_formats)
        content->format = cli_xml_text(xml, "/volume/target/format/@type");
    return TRUE;
}

static gboolean vol_content_check_readable(const CliVolContent *content, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(content->format, NULL);

    return (format && cst_image_format_can_open(format)) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("vol '%s' has the format '%s', which is not read; vol-import --from with "
                      "--source-format raw takes its bytes as they are"),
                    content->how.source, content->format);
}

static gboolean choose_way(CliVolContent *content, GError **error)
{
    CstConnAbilities can;
    gboolean said = content->how.format != NULL;

    if (!cst_conn_abilities(content->conn, &can, error))
        return FALSE;
    if (can.sends)
        return !said ||
               cst_fail(
                   error, CST_ERROR_USAGE, "%s",
                   _("--source-format is for images; this server sends the guest-visible content"));
    content->format = g_strdup(content->how.format);
    if (!said && !vol_content_find_format(content, error))
        return FALSE;
    content->way = !content->format || cst_image_name_is_plain(content->format) ? STORED : IMAGE;
    return content->way == STORED || vol_content_check_readable(content, error);
}

static void note_writers(const CliVolContent *content)
{
    g_autofree char *text = NULL;

    if (content->way == SENT || !content->how.note)
        return;
    text = g_strdup_printf(_("this server does not tell whether a machine writes to '%s'; the "
                             "machine has to be shut down"),
                           content->how.source);
    content->how.note(text, content->how.note_data);
}

CliVolContent *cli_vol_content_open(CstConn *conn, const CstVolRef *vol, const char *name,
                                    const CstImportHow *how, GError **error)
{
    g_autoptr(CliVolContent) content = g_new0(CliVolContent, 1);
    gboolean as_it_is;
    CstVolInfo info;

    content->conn = conn;
    content->vol = vol;
    content->how = *how;
    content->how.source = name;
    if (!choose_way(content, error))
        return NULL;
    /* If an image is read as raw, the size is that of its file and not its capacity. */
    as_it_is = content->way == STORED && how->format;
    if (!cst_conn_vol_info(conn, vol, as_it_is, &info, error))
        return NULL;
    content->capacity = as_it_is ? info.allocation : info.capacity;
    note_writers(content);
    return g_steal_pointer(&content);
}

/* --- image file ------------------------------------------------------------------------------- */

typedef struct {
    const CliVolContent *content;
    CstBlob *spool;
    uint64_t size, done; /* in bytes: reported by the server, and received */
} Fetching;

/* Store a piece, and fail if the server sends more bytes than it has reported. */
static gboolean fetch_store_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                  GError **error)
{
    Fetching *fetching = data;

    if (len + hole > fetching->size - fetching->done)
        return cst_fail(
            error, CST_ERROR_BUSY,
            _("vol '%s' has grown since the start of the operation: another program writes to it"),
            fetching->content->how.source);
    if (len > 0 && !cst_blob_pwrite(fetching->spool, bytes, len, fetching->done, error))
        return FALSE;
    fetching->done += len + hole;
    return TRUE;
}

/* Holes need no space in a spool, so the allocation is compared. */
static gboolean fetch_check_room(const char *dir, int fd, uint64_t wanted, GError **error)
{
    uint64_t room;

    if (!cst_spool_room(fd, &room))
        return cst_fail_errno(error, errno, _("cannot spool in '%s'"), dir);
    return room >= wanted ||
           cst_fail(error, CST_ERROR_NO_SPACE,
                    _("'%s' (TMPDIR) has room for %" PRIu64 " bytes, and the image takes %" PRIu64),
                    dir, room, wanted);
}

static gboolean fetch_file(Fetching *fetching, int fd, const char *dir, CstTask *task,
                           GError **error)
{
    const CliVolContent *content = fetching->content;
    CstVolInfo stored, physical;

    if (!cst_conn_vol_info(content->conn, content->vol, FALSE, &stored, error) ||
        !cst_conn_vol_info(content->conn, content->vol, TRUE, &physical, error) ||
        !fetch_check_room(dir, fd, stored.allocation, error))
        return FALSE;
    fetching->size = physical.allocation;
    cst_task_set_total(task, fetching->size);
    return cst_conn_vol_download_pieces(content->conn, content->vol, 0, 0, CST_VOL_STREAM_SPARSE,
                                        fetch_store_piece, fetching, task, error) &&
           cst_blob_resize(fetching->spool, fetching->done, error);
}

gboolean cli_vol_content_fetch(CliVolContent *content, CstTask *task, GError **error)
{
    const char *dir = cst_spool_dir(content->how.spool_dir);
    Fetching fetching = {.content = content};
    gboolean fetched;
    int fd;

    if (content->way != IMAGE || content->import)
        return TRUE;
    fd = cst_spool_open(dir);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot spool in '%s'"), dir);
    fetching.spool = cst_blob_file_new(fd, dir, TRUE, error);
    if (!fetching.spool)
        return FALSE;
    content->how.fd = fd;
    content->how.format = content->format;
    fetched = fetch_file(&fetching, fd, dir, task, error);
    if (fetched)
        content->import = cst_import_open(&content->how, task, error);
    cst_blob_unref(fetching.spool);
    content->how.fd = 0;
    if (!content->import)
        return FALSE;
    content->capacity = cst_import_capacity(content->import, 0);
    return TRUE;
}

/* --- transfer --------------------------------------------------------------------------------- */

/** The caller's function, and the progress. */
typedef struct {
    const CliVolContent *content;
    CstPieceFunc piece;
    gpointer data;
    CstTask *task;
    uint64_t wanted, done; /* bytes */
} Passing;

static gboolean vol_content_begin(uint64_t capacity, gpointer data, GError **error)
{
    const CliVolContent *content = ((const Passing *)data)->content;

    return cli_check_size(content->how.source, content->capacity, capacity, error);
}

static gboolean vol_content_pass_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                       GError **error)
{
    const Passing *passing = data;

    return passing->piece(bytes, len, hole, passing->data, error);
}

/* Pass a piece on. Fail with BUSY if more bytes come than expected. */
static gboolean pass_stored(const void *bytes, size_t len, uint64_t hole, gpointer data,
                            GError **error)
{
    Passing *passing = data;

    passing->done += len + hole;
    return cli_check_size(passing->content->how.source, passing->wanted,
                          MAX(passing->wanted, passing->done), error) &&
           passing->piece(bytes, len, hole, passing->data, error);
}

/* Pass a piece on and count its bytes, because an import does not. */
static gboolean pass_imported(const void *bytes, size_t len, uint64_t hole, gpointer data,
                              GError **error)
{
    const Passing *passing = data;

    if (!cst_task_check(passing->task, error) ||
        !passing->piece(bytes, len, hole, passing->data, error))
        return FALSE;
    cst_task_advance(passing->task, len);
    cst_task_skip(passing->task, hole);
    return TRUE;
}

static gboolean send_stored(Passing *passing, const CstVolSend *what, CstTask *task, GError **error)
{
    const CliVolContent *content = passing->content;

    passing->wanted = what->length ? what->length : content->capacity - what->offset;
    return cst_conn_vol_download_pieces(content->conn, content->vol, what->offset, passing->wanted,
                                        CST_VOL_STREAM_SPARSE, pass_stored, passing, task, error) &&
           cli_check_size(content->how.source, passing->wanted, passing->done, error);
}

gboolean cli_vol_content_send(CliVolContent *content, const CstVolSend *what, CstPieceFunc piece,
                              gpointer data, CstTask *task, GError **error)
{
    Passing passing = {.content = content, .piece = piece, .data = data, .task = task};
    const CstConnSink sink = {vol_content_begin, vol_content_pass_piece, &passing};

    if (content->way == SENT)
        return cst_conn_vol_send(content->conn, content->vol, what, &sink, task, error);
    if (what->snapshot)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s",
                        _("this server is libvirt's, or an older cisternd, and has no snapshots"));
    if (content->way == STORED)
        return send_stored(&passing, what, task, error);
    g_return_val_if_fail(what->offset == 0 && what->length == 0, FALSE);
    return cst_import_send(content->import, 0, pass_imported, &passing, error);
}
