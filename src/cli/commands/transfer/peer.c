/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-copy to a destination that cannot use a temporary name. A cisternd receives the guest-visible
 * content, and the volume appears when it is complete. Other servers receive stored bytes through
 * libvirt's upload. For a raw volume these are the content, with its holes. For another format they
 * are an image file, which is first created in a spool.
 *
 * libvirt has no rename. The copy has its final name from the beginning, and an interrupted copy
 * cannot be continued. If the copy fails before it is verified, the volume is deleted. This command
 * has created it, because the creation fails if the volume exists. Only a killed command leaves a
 * partial volume.
 *
 * The copy is verified with digests if the server computes them, else it is read back.
 */
#include "copy.h"

#include <errno.h>
#include <inttypes.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/spool.h>
#include <image/convert.h>

#include "commands/volume/volume.h"
#include "core/interrupt.h"
#include "image_writer.h"
#include "output/progress.h"
#include "output/report.h"

#define PIECE       (UINT64_C(1) << 20)  /* bytes of an image file that are sent at a time */
#define PADDING_MAX (UINT64_C(64) << 20) /* maximum of the bytes after an image file */

typedef struct {
    Copy *copy;
    const CstImageFormat *format; /* of the image file that is sent; NULL: the content is sent */
    CstBlob *image;               /* the image file */
    uint64_t length;              /* bytes to send */
    Chunks back;                  /* digests of the content that was read back */
    uint64_t come;                /* number of bytes that were read back */
} Peer;

/* --- checks in advance ------------------------------------------------------------------------ */

uint64_t copy_peer_space(const Copy *copy)
{
    return cst_pool_type_has_files(copy->pool_type) ? copy->allocation : copy->capacity;
}

/* Return: NULL if the stored bytes are the guest-visible content. */
static const CstImageFormat *image_format(const Copy *copy)
{
    if (copy->far_can.receives || !copy->new_format || cst_image_name_is_plain(copy->new_format))
        return NULL;
    return cst_image_format_find(copy->new_format, NULL);
}

static gboolean can_make(const char *name)
{
    const CstImageFormat *format = cst_image_format_find(name, NULL);

    return format && cst_image_format_can_create(format);
}

gboolean copy_check_peer(const Copy *copy, GError **error)
{
    const char *format = copy->new_format;

    if (!format || copy->far_can.receives || cst_image_name_is_plain(format))
        return TRUE;
    if (!cst_pool_volume_format_ok(copy->pool_type, format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("pool '%s' at '%s' is of type '%s', which has no format '%s'"),
                        copy->pool->name, copy->to, cst_pool_type_name(copy->pool_type), format);
    return can_make(format) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the server of '%s' takes images only as files, and it does not create files "
                      "of format '%s'; give --format qcow2 or raw"),
                    copy->to, format);
}

char *copy_delete_command(const Copy *copy)
{
    g_autofree char *uri = g_shell_quote(copy->to), *vol = g_shell_quote(copy->new_name),
                    *pool = g_shell_quote(copy->pool->name);

    return g_strdup_printf("cistern -c %s vol-delete %s --pool %s", uri, vol, pool);
}

/* --- image file ------------------------------------------------------------------------------- */

static gboolean peer_open_spool(Peer *peer, GError **error)
{
    const char *dir = cst_spool_dir(NULL);
    int fd = cst_spool_open(dir);
    uint64_t room;

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot spool in '%s'"), dir);
    peer->image = cst_blob_file_new(fd, dir, TRUE, error);
    if (!peer->image)
        return FALSE;
    cst_blob_file_skip_sync(peer->image);
    if (!cst_spool_room(fd, &room))
        return cst_fail_errno(error, errno, _("cannot spool in '%s'"), dir);
    return room >= peer->copy->allocation ||
           cst_fail(error, CST_ERROR_NO_SPACE,
                    _("'%s' (TMPDIR) has room for %" PRIu64 " bytes, and vol %s takes %" PRIu64
                      "; --format raw needs no temporary file"),
                    dir, room, peer->copy->name, peer->copy->allocation);
}

static gboolean peer_write_image(CstBlob *content, gpointer data, GError **error)
{
    const Peer *peer = data;

    return cst_image_convert(content, peer->image, peer->format, NULL, CST_CONVERT_TARGET_ZERO,
                             NULL, error);
}

static gboolean run_make_image(CstTask *task, gpointer data, GError **error)
{
    Peer *peer = data;
    const Copy *copy = peer->copy;
    CliImageWriter *writer;
    gboolean sent;

    if (!peer_open_spool(peer, error))
        return FALSE;
    cst_task_set_total(task, copy->capacity);
    writer = cli_image_writer_new(copy->name, copy->capacity, peer_write_image, peer);
    sent =
        cli_vol_content_send(copy->content, &copy->what, cli_image_writer_put, writer, task, error);
    return cli_image_writer_end(writer, sent, error) &&
           cst_blob_get_size(peer->image, &peer->length, error);
}

/* --- upload ----------------------------------------------------------------------------------- */

char *copy_document(const Copy *copy, const char *name, GError **error)
{
    const CliVolSpec spec = {.name = name,
                             .capacity = copy->capacity,
                             .has_allocation =
                                 !cst_pool_type_info(copy->pool_type)->allocation_is_limit,
                             .format = copy->new_format};

    return cli_vol_spec_xml(&spec, error);
}

/*
 * Set the number of bytes to send. The volume may be larger than the content (LVM's extents, an
 * image file created by the server). Zeroes follow the content up to its end, so that all former
 * bytes are replaced.
 */
static gboolean peer_set_length(Peer *peer, GError **error)
{
    const Copy *copy = peer->copy;
    uint64_t size;
    CstVolInfo info;

    if (!cst_conn_vol_info(copy->far, copy->there, peer->format != NULL, &info, error))
        return FALSE;
    size = peer->format ? MIN(info.allocation, peer->length + PADDING_MAX) : info.capacity;
    if (!peer->format && (size < peer->length || size - peer->length > COPY_EXTENT_MAX))
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("pool '%s' at '%s' has made a vol of %" PRIu64 " bytes where %" PRIu64 " are needed"),
            copy->pool->name, copy->to, size, peer->length);
    peer->length = MAX(peer->length, size);
    return TRUE;
}

static gboolean make_vol(Peer *peer, GError **error)
{
    Copy *copy = peer->copy;
    g_autofree char *xml = copy_document(copy, copy->new_name, error);

    if (!xml)
        return FALSE;
    if (!peer->format)
        peer->length = copy->capacity;
    copy->there = cst_conn_vol_create(copy->far, copy->pool, xml, 0, NULL, error);
    return copy->there && peer_set_length(peer, error);
}

static gboolean pass_zeroes(Copy *copy, uint64_t length, GError **error)
{
    g_autofree uint8_t *zeroes = g_malloc0(PIECE);

    for (uint64_t n; length > 0; length -= n) {
        n = MIN(length, PIECE);
        if (!copy_pass_piece(zeroes, (size_t)n, 0, copy, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * Holes of the file are sent as bytes, because the server's new volume may have data at these
 * positions.
 */
static gboolean pass_image(const Peer *peer, CstTask *task, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(PIECE);
    Copy *copy = peer->copy;
    uint64_t size, n;

    if (!cst_blob_get_size(peer->image, &size, error))
        return FALSE;
    for (uint64_t at = 0; at < size; at += n) {
        n = MIN(size - at, PIECE);
        if (!cst_task_check(task, error) ||
            !cst_blob_pread(peer->image, buf, (size_t)n, at, error) ||
            !copy_pass_piece(buf, (size_t)n, 0, copy, error))
            return FALSE;
        cst_task_advance(task, n);
    }
    return pass_zeroes(copy, peer->length - size, error);
}

/*
 * A new volume of a file system reads as zeroes. A device may not, and receives zeroes explicitly.
 */
static gboolean pass_content(const Peer *peer, CstTask *task, GError **error)
{
    Copy *copy = peer->copy;
    uint64_t tail = peer->length - copy->capacity;

    return cli_vol_content_send(copy->content, &copy->what, copy_pass_piece, copy, task, error) &&
           (tail == 0 || copy_pass_piece(NULL, 0, tail, copy, error));
}

static gboolean run_peer_upload(CstTask *task, gpointer data, GError **error)
{
    const Peer *peer = data;
    Copy *copy = peer->copy;
    gboolean done;

    cst_task_set_total(task, peer->length);
    if (!chunks_begin(&copy->passed, peer->length, COPY_CHUNK, error))
        return FALSE;
    copy->receive = cst_conn_vol_upload_pieces(
        copy->far, copy->there, peer->format ? 0 : CST_VOL_STREAM_SPARSE, NULL, error);
    done = copy->receive &&
           (peer->format ? pass_image(peer, task, error) : pass_content(peer, task, error)) &&
           cst_conn_patch_finish(copy->receive, error);
    g_clear_pointer(&copy->receive, cst_conn_receive_free);
    if (done)
        copy_keep_passed(copy);
    return done;
}

/* --- guest-visible content -------------------------------------------------------------------- */

static gboolean run_give(CstTask *task, gpointer data, GError **error)
{
    Peer *peer = data;
    Copy *copy = peer->copy;
    g_autofree char *xml = copy_document(copy, copy->new_name, error);

    peer->length = copy->capacity;
    cst_task_set_total(task, peer->length);
    if (!xml || !chunks_begin(&copy->passed, peer->length, COPY_CHUNK, error))
        return FALSE;
    copy->receive =
        cst_conn_vol_receive(copy->far, copy->pool, xml, CST_VOL_CREATE_PREALLOC_OFF, NULL, error);
    if (copy->receive &&
        cli_vol_content_send(copy->content, &copy->what, copy_pass_piece, copy, task, error))
        copy->there = cst_conn_receive_finish(copy->receive, error);
    g_clear_pointer(&copy->receive, cst_conn_receive_free);
    if (copy->there)
        copy_keep_passed(copy);
    return copy->there != NULL;
}

/* --- verification ----------------------------------------------------------------------------- */

static gboolean fail_size(const Copy *copy, uint64_t length, GError **error)
{
    return cst_fail(error, CST_ERROR_MISMATCH,
                    _("the copy at '%s' does not have the %" PRIu64
                      " bytes that were sent: the destination does not store data reliably; the "
                      "original was left as it is"),
                    copy->to, length);
}

/* Add the bytes that were sent to the digests. Any bytes after them must be zero. */
static gboolean read_back(const void *bytes, size_t len, uint64_t hole, gpointer data,
                          GError **error)
{
    Peer *peer = data;
    uint64_t ours = MIN(len + hole, peer->length - peer->come);

    peer->come += ours;
    if (ours > 0)
        chunks_add(&peer->back, bytes, len ? (size_t)ours : 0, len ? 0 : ours);
    return ours >= len || cst_bytes_are_zero((const uint8_t *)bytes + ours, len - (size_t)ours) ||
           fail_size(peer->copy, peer->length, error);
}

static gboolean digest_back(Peer *peer, CstTask *task, GError **error)
{
    const CstConnSink sink = {.piece = read_back, .data = peer};
    Copy *copy = peer->copy;

    cst_task_set_total(task, peer->length);
    if (!chunks_begin(&peer->back, peer->length, COPY_CHUNK, error) ||
        !(copy->far_can.receives
              ? cst_conn_vol_send(copy->far, copy->there, &(CstVolSend){0}, &sink, task, error)
              : cst_conn_vol_download_pieces(copy->far, copy->there, 0, 0, CST_VOL_STREAM_SPARSE,
                                             read_back, peer, task, error)))
        return FALSE;
    if (peer->come != peer->length)
        return fail_size(copy, peer->length, error);
    chunks_end(&peer->back);
    copy->distant = peer->back.of;
    peer->back.of.digests = NULL;
    return TRUE;
}

/*
 * Get the digests from the server. If the volume is larger than the sent bytes, read it back
 * instead, because the bytes after them must be checked.
 */
static gboolean digest_remote_vol(Peer *peer, CstTask *task, GError **error)
{
    Copy *copy = peer->copy;

    cst_task_set_total(task, peer->length / COPY_CHUNK * CST_VOL_DIGEST_SIZE);
    if (!cst_conn_vol_digests(copy->far, copy->there, &(CstVolSend){0}, COPY_CHUNK, task,
                              &copy->distant, error))
        return FALSE;
    if (copy->distant.capacity <= peer->length)
        return copy->distant.capacity == peer->length || fail_size(copy, peer->length, error);
    cst_vol_digests_clear(&copy->distant);
    return digest_back(peer, task, error);
}

static gboolean run_verify_copy(CstTask *task, gpointer data, GError **error)
{
    Peer *peer = data;
    gboolean told = peer->copy->far_can.digests ? digest_remote_vol(peer, task, error)
                                                : digest_back(peer, task, error);

    return told && copy_check_is_there(peer->copy, error);
}

/* --- all steps -------------------------------------------------------------------------------- */

static gboolean make_and_verify(Peer *peer, GError **error)
{
    const Copy *copy = peer->copy;
    CliCtl *ctl = copy->ctl;
    gboolean made;

    if (copy->far_can.receives)
        made = cli_run_task(ctl, _("Copying"), run_give, peer, error);
    else
        made = (!peer->format || cli_run_task(ctl, _("Converting"), run_make_image, peer, error)) &&
               make_vol(peer, error) &&
               cli_run_task(ctl, _("Copying"), run_peer_upload, peer, error);
    made = made && cli_run_task(ctl, _("Verifying"), run_verify_copy, peer, error);
    return cli_live_copy_end(&peer->copy->live, made, error);
}

static void hint_at_rest(const Copy *copy)
{
    g_autofree char *command = copy_delete_command(copy);

    cli_hint(copy->ctl, _("a partial copy may still exist and cannot be resumed; delete it: %s"),
             command);
}

/* Return: TRUE if the answer of the server was lost, so that its state is unknown. */
static gboolean is_answer_lost(const GError *why)
{
    return g_error_matches(why, CST_ERROR, CST_ERROR_UNREACHABLE) ||
           g_error_matches(why, CST_ERROR, CST_ERROR_TIMEOUT);
}

static void delete_failed_copy(const Copy *copy, const GError *why)
{
    g_autoptr(GError) stays = NULL;

    if (copy->there
            ? !cst_conn_vol_delete(copy->far, copy->there, CST_VOL_DELETE_AT_ONCE, NULL, &stays)
            : is_answer_lost(why))
        hint_at_rest(copy);
    else if (copy->there)
        cli_hint(copy->ctl,
                 _("no partial copy is left at '%s', and the next copy starts from the beginning"),
                 copy->to);
}

gboolean copy_to_peer(Copy *copy, GError **error)
{
    Peer peer = {.copy = copy, .format = image_format(copy)};
    GError *why = NULL;
    gboolean done;

    /*
     * Set the mode in this thread and check it here, because the server may not support dry runs.
     */
    cst_dry_run_set(copy->ctl->settings.dry_run);
    if (!cst_may_change(error))
        return FALSE;
    /* Defer interrupts, also between two tasks, until a failed copy was deleted. */
    cli_interrupt_begin();
    done = make_and_verify(&peer, &why);
    if (!done)
        delete_failed_copy(copy, why);
    cli_interrupt_end();
    chunks_clear(&peer.back);
    if (peer.image)
        cst_blob_unref(peer.image);
    if (why)
        g_propagate_error(error, why);
    return done;
}
