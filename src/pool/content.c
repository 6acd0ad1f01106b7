/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes the records of files. The metadata of a file decides whether its former record still
 * matches. Changed files are opened and inspected; a scan does this on several threads. A record
 * describes the file that was open while the record was made.
 *
 * A scan looks up the declarations of all files at once, after it has read their content. The
 * writer of undeclared content restricts the file before it writes the first byte. So content is
 * never judged by an older declaration. Each file is first inspected with the detected format, and
 * again only if another format is declared.
 *
 * A scan has no lock. An entry belongs to the thread that acquired its index, and the caller's
 * thread does all other work. An error in one file becomes that volume's problem.
 */
#include <pool/content.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/threads.h>
#include <image/image.h>

/* Inspection waits for the storage, so use more threads than cores. A few files need no thread. */
#define SCAN_THREADS_MAX 32
#define FILES_PER_THREAD 16

#define RESTRICTED " restricted"

/* --- declarations kept with the content ------------------------------------------------------- */

char *cst_declaration_text(const CstDeclaration *declaration)
{
    return g_strconcat(declaration->format, declaration->restricted ? RESTRICTED : NULL, NULL);
}

CstDeclaration *cst_declaration_of_text(const char *text)
{
    gboolean restricted = g_str_has_suffix(text, RESTRICTED);
    g_autofree char *format = g_strndup(text, strlen(text) - (restricted ? strlen(RESTRICTED) : 0));

    return cst_image_format_find(format, NULL) ? cst_declaration_new(format, restricted) : NULL;
}

/*
 * Consumes @recorded, which takes precedence over the declaration stored with the content. A record
 * of references alone has no format, and adopts the format stored with the content. A record of a
 * seen format alone adopts the whole declaration stored with the content.
 */
static void add_record(CstDeclaration **declaration, CstDeclaration *recorded)
{
    if (*declaration && !cst_declaration_declares(recorded)) {
        (*declaration)->seen_format = g_steal_pointer(&recorded->seen_format);
        cst_declaration_free(recorded);
        return;
    }
    if (*declaration && !recorded->format)
        recorded->format = g_steal_pointer(&(*declaration)->format);
    cst_declaration_free(*declaration);
    *declaration = recorded;
}

void cst_files_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                        CstDeclaration **declarations)
{
    g_autofree CstDeclaration **recorded = g_new0(CstDeclaration *, count);

    if (state)
        cst_pool_state_declared(state, volumes, count, recorded);
    for (guint i = 0; i < count; i++) {
        if (recorded[i])
            add_record(&declarations[i], recorded[i]);
    }
}

/* --- records ---------------------------------------------------------------------------------- */

CstVolume *cst_file_record(const char *name, const CstFileSeen *seen)
{
    CstVolume *volume = cst_volume_new(name);

    volume->flags = seen->shared ? CST_VOLUME_SHARED : 0;
    volume->stamp = seen->stamp;
    volume->mode = seen->mode;
    volume->uid = seen->uid;
    volume->gid = seen->gid;
    volume->atime_ns = seen->atime_ns;
    volume->btime_ns = seen->btime_ns;
    volume->type = seen->type;
    volume->format = "raw";
    if (seen->type == CST_VOL_DIR)
        volume->format = "dir";
    if (seen->type != CST_VOL_DIR || seen->counted) {
        volume->allocation = seen->allocation;
        volume->physical = seen->stamp.size;
        volume->capacity = seen->stamp.size;
    }
    return volume;
}

CstVolume *cst_file_with_problem(CstVolume *volume, const char *problem)
{
    cst_volume_extra(volume)->problem = g_strdup(problem);
    return volume;
}

/*
 * The allocation can change without the stamp (a hole filled within one clock tick, space punched
 * by the file system), so it is compared as well. A record with a problem is always made anew.
 */
gboolean cst_file_fits(const CstVolume *known, const CstFileSeen *seen)
{
    return known && !(known->flags & CST_VOLUME_SHARED) == !seen->shared &&
           cst_volume_stamp_equal(&known->stamp, &seen->stamp) &&
           (known->type != CST_VOL_FILE || known->allocation == seen->allocation) &&
           !cst_volume_problem(known);
}

void cst_file_log_problem(const CstPoolState *state, const CstVolume *known,
                          const CstVolume *volume)
{
    const char *problem = volume ? cst_volume_problem(volume) : NULL;
    gboolean is_logged = problem && known && g_strcmp0(cst_volume_problem(known), problem) == 0 &&
                         cst_volume_stamp_equal(&known->stamp, &volume->stamp);

    if (problem && !is_logged)
        cst_log(CST_LOG_WARNING, "pool '%s': volume '%s': %s", state->def->name, volume->name,
                problem);
}

/* --- inspecting one file ---------------------------------------------------------------------- */

/* Copies the result of the inspection. The extra part is created only if it is needed. */
static void volume_set_image_info(const CstFiles *files, CstVolume *volume,
                                  const CstImageInfo *info)
{
    CstVolumeExtra *extra;

    volume->format = cst_image_format_name(info->format);
    if (info->capacity || !info->problem)
        volume->capacity = info->capacity;
    if (!info->backing && !info->data_file && !info->encryption && !info->compat &&
        !info->problem && info->sector_size <= CST_SECTOR_SIZE)
        return;
    extra = cst_volume_extra(volume);
    extra->backing_path = info->backing ? files->reference(files->data, info->backing) : NULL;
    extra->backing_format = g_strdup(info->backing_format);
    extra->data_file = g_strdup(info->data_file);
    extra->encryption = g_strdup(info->encryption);
    extra->compat = g_intern_string(info->compat);
    extra->problem = g_strdup(info->problem);
    extra->cluster_size = info->compat ? info->cluster_size : 0; /* libvirt: of qcow2 only */
    extra->snapshots = info->snapshots;
    extra->lazy_refcounts = info->lazy_refcounts != 0;
    extra->extended_l2 = info->extended_l2 != 0;
    if (info->sector_size > CST_SECTOR_SIZE) {
        g_autofree char *size = g_strdup_printf("%u", info->sector_size);

        cst_options_add(&extra->options, "sector-size", size);
    }
    cst_volume_share_extra(volume);
}

/*
 * Opens the file described by *seen, and updates *seen from the open file. If it returns NULL,
 * *ret_volume is the complete record, or NULL if the file was removed or is not a volume.
 */
static CstBlob *content_open_file(const CstFiles *files, const char *name, CstVolume *known,
                                  CstFileSeen *seen, CstVolume **ret_volume)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) blob = NULL;

    *ret_volume = NULL;
    blob = files->open(files->data, name, seen, &error);
    if (g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND) ||
        g_error_matches(error, CST_ERROR, CST_ERROR_INVALID))
        return NULL;
    if (error) {
        *ret_volume = cst_file_with_problem(cst_file_record(name, seen), error->message);
        return NULL;
    }
    if (!cst_file_fits(known, seen))
        return g_steal_pointer(&blob);
    *ret_volume = cst_volume_ref(known);
    return NULL;
}

/*
 * Makes the record of an open file, inspected as @format (NULL: detect the format). If the file
 * cannot be read, *ret_readable is FALSE and the record has the error as its problem. Never NULL.
 */
static CstVolume *read_as(const CstFiles *files, const char *name, CstBlob *blob,
                          const CstFileSeen *seen, const CstImageFormat *format,
                          gboolean *ret_readable)
{
    CstVolume *volume = cst_file_record(name, seen);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) error = NULL;

    *ret_readable =
        (volume->type != CST_VOL_BLOCK || cst_blob_get_size(blob, &volume->capacity, &error)) &&
        cst_image_inspect(blob, format, &info, &error);
    if (!*ret_readable)
        return cst_file_with_problem(volume, error->message);
    volume_set_image_info(files, volume, &info);
    return volume;
}

/*
 * Returns the format that overrules the detected format, or NULL. This is the declared format. If
 * no format is declared, and the content has no image header, it is the former format.
 */
static const CstImageFormat *format_overruling(const CstVolume *volume,
                                               const CstDeclaration *declaration)
{
    const CstImageFormat *format;
    const char *name = declaration ? declaration->format : NULL;

    if (declaration && !name && cst_image_name_is_plain(volume->format))
        name = declaration->seen_format;
    format = name ? cst_image_format_find(name, NULL) : NULL;
    return format != cst_image_format_find(volume->format, NULL) ? format : NULL;
}

static void note_lost_header(CstVolume *volume)
{
    CstVolumeExtra *extra = cst_volume_extra(volume);

    g_free(extra->problem);
    extra->problem = g_strdup_printf(
        _("it is a %s image, but its header is gone: put the header back (from a backup or a "
          "snapshot), or, if its bytes are the disk, declare that (vol-trust %s --format raw)"),
        volume->format, volume->name);
}

/*
 * Records that the content of @volume looks like a format other than the volume's. Does nothing if
 * both formats are plain bytes (a disk, a medium), because a guest can write such a signature.
 */
static void note_content(CstVolume *volume, const char *content)
{
    if (cst_image_name_is_plain(volume->format) && cst_image_name_is_plain(content))
        return;
    cst_volume_extra(volume)->content = content;
    if (cst_volume_header_is_lost(volume))
        note_lost_header(volume);
}

/*
 * Reads the content, then the declaration, in this order (see the top). Reads the content again if
 * another format is declared.
 */
static CstVolume *content_inspect(const CstFiles *files, const char *name, CstBlob *blob,
                                  const CstFileSeen *seen)
{
    gboolean readable, again;
    CstVolume *volume = read_as(files, name, blob, seen, NULL, &readable);
    g_autoptr(CstDeclaration) declaration = files->declared(blob);
    const CstImageFormat *format;

    cst_files_declared(files->state, &volume, 1, &declaration);
    format = format_overruling(volume, declaration);
    if (format) {
        const char *content = volume->format;

        cst_volume_unref(volume);
        volume = read_as(files, name, blob, seen, format, &again);
        if (readable && again)
            note_content(volume, content);
    }
    cst_volume_judge(volume, declaration);
    return volume;
}

CstVolume *cst_file_inspect(const CstFiles *files, const char *name, CstFileSeen *seen,
                            CstVolume *known)
{
    CstVolume *volume = NULL;
    g_autoptr(CstBlob) blob = content_open_file(files, name, known, seen, &volume);

    return blob ? content_inspect(files, name, blob, seen) : volume;
}

/* --- reading many ----------------------------------------------------------------------------- */

/* A file to open, and its record. Owned by CstFileReading.waiting. */
typedef struct {
    char *name;
    CstVolume *known; /* referenced; NULL: no former record */
    CstFileSeen seen;
    CstVolume *volume;           /* NULL: not read yet; removed, or not a volume */
    CstDeclaration *declaration; /* at first the declaration stored with the content */
    gboolean undeclared;         /* the declaration of the volume must still be looked up */
} Entry;

struct CstFileReading {
    const CstFiles *files;
    const CstScan *scan;
    GPtrArray *waiting; /* of Entry */
    gint next;          /* index of the next file, shared by the threads */
};

static void file_entry_free(Entry *entry)
{
    g_free(entry->name);
    cst_volume_unref(entry->known);
    cst_volume_unref(entry->volume);
    cst_declaration_free(entry->declaration);
    g_free(entry);
}

CstFileReading *cst_file_reading_new(const CstFiles *files, const CstScan *scan)
{
    CstFileReading *reading = g_new0(CstFileReading, 1);

    reading->files = files;
    reading->scan = scan;
    reading->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)file_entry_free);
    return reading;
}

void cst_file_reading_free(CstFileReading *reading)
{
    g_ptr_array_unref(reading->waiting);
    g_free(reading);
}

void cst_file_reading_add(CstFileReading *reading, const char *name, const CstFileSeen *seen,
                          CstVolume *known)
{
    Entry *entry = g_new0(Entry, 1);

    *entry = (Entry){
        .name = g_strdup(name), .known = known ? cst_volume_ref(known) : NULL, .seen = *seen};
    g_ptr_array_add(reading->waiting, entry);
}

/* Runs on each thread: reads the next file until all files are read. */
static gpointer read_waiting(gpointer data)
{
    CstFileReading *r = data;
    guint i;

    while ((i = (guint)g_atomic_int_add(&r->next, 1)) < r->waiting->len) {
        Entry *entry = g_ptr_array_index(r->waiting, i);
        g_autoptr(CstBlob) blob =
            content_open_file(r->files, entry->name, entry->known, &entry->seen, &entry->volume);
        gboolean readable;

        if (!blob)
            continue;
        entry->volume = read_as(r->files, entry->name, blob, &entry->seen, NULL, &readable);
        entry->declaration = r->files->declared(blob);
        entry->undeclared = TRUE;
    }
    return NULL;
}

/*
 * Looks up the declarations of all files in one call. The content of all files has already been
 * read.
 */
static void declare_waiting(CstFileReading *r)
{
    g_autofree CstVolume **volumes = g_new(CstVolume *, r->waiting->len);
    g_autofree CstDeclaration **declarations = g_new(CstDeclaration *, r->waiting->len);
    guint count = 0;

    for (guint i = 0; i < r->waiting->len; i++) {
        Entry *entry = g_ptr_array_index(r->waiting, i);

        if (!entry->undeclared)
            continue;
        volumes[count] = entry->volume;
        declarations[count++] = g_steal_pointer(&entry->declaration);
    }
    cst_files_declared(r->files->state, volumes, count, declarations);
    for (guint i = r->waiting->len; i-- > 0;) {
        Entry *entry = g_ptr_array_index(r->waiting, i);

        if (entry->undeclared)
            entry->declaration = declarations[--count];
    }
}

/*
 * Passes a file's record to the sink. A file with another declared format is opened again, because
 * it was closed after reading.
 */
static void file_entry_report(const CstFileReading *r, Entry *entry)
{
    if (entry->undeclared && format_overruling(entry->volume, entry->declaration)) {
        cst_volume_unref(entry->volume);
        entry->volume = cst_file_inspect(r->files, entry->name, &entry->seen, NULL);
    } else if (entry->undeclared) {
        cst_volume_judge(entry->volume, entry->declaration);
    }
    if (!entry->volume)
        return;
    cst_file_log_problem(r->files->state, entry->known, entry->volume);
    r->scan->sink(g_steal_pointer(&entry->volume), r->scan->data);
}

void cst_file_reading_run(CstFileReading *reading)
{
    guint others = MIN(reading->waiting->len / FILES_PER_THREAD, SCAN_THREADS_MAX);

    cst_threads_run(read_waiting, reading, 1 + others);
    declare_waiting(reading);
    for (guint i = 0; i < reading->waiting->len; i++)
        file_entry_report(reading, g_ptr_array_index(reading->waiting, i));
}
