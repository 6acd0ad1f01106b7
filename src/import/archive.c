/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Archives with one disk. libarchive reads the archive twice: the first pass lists the files and
 * finds the disk, the second pass passes the disk's bytes to an ImportReader. No file is written
 * under a name of the archive. The names only select the disk, and are shown in messages.
 *
 * The disk is the only regular file with the suffix of a disk image, or the only regular file. The
 * bound on expansion applies to the listed sizes, because the second pass may have to unpack the
 * files before the disk. It also applies to the bytes of the disk itself.
 */
#include "archive.h"

#include <string.h>
#include <unistd.h>

#include <base/i18n.h>
#include <base/text.h>
#include <base/units.h>

#include "codec.h"
#include "libarchive.h"
#include "seven_zip.h"
#include "unpack.h"

#define FILES_MAX      1000u
#define SHOWN_MAX      10u
#define NAME_MAX_SHOWN 200

typedef struct {
    ImportReader head;
    ImportReader input; /* not read: counts the archive's bytes for the bound on expansion */
    const ImportContext *context;
    const ImportLibarchive *library;
    CstBlob *blob;
    struct archive *archive;
    uint64_t size, offset; /* bytes of the archive */
    uint64_t made;         /* bytes of the disk */
    GError *problem;       /* error of the blob; libarchive knows only that the read failed */
    uint8_t buf[64 << 10];
} Archive;

gboolean import_archive_probe(const uint8_t *head, size_t len)
{
    return (len >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0)) ||
           import_7z_probe(head, len);
}

static size_t strip_ending(const char *name, size_t len, const char *const *endings)
{
    for (; *endings; endings++) {
        size_t ending = strlen(*endings);

        if (len > ending && g_ascii_strncasecmp(name + len - ending, *endings, ending) == 0)
            return len - ending;
    }
    return len;
}

size_t import_archive_strip(const char *name, size_t len)
{
    static const char *const endings[] = {".zip", ".7z", ".tar", ".tgz", ".txz", ".box", NULL};

    return strip_ending(name, len, endings);
}

/* --- libarchive ------------------------------------------------------------------------------- */

static ssize_t archive_input(struct archive *archive, void *data, const void **ret_bytes)
{
    Archive *self = data;
    size_t len = (size_t)MIN(sizeof(self->buf), self->size - MIN(self->size, self->offset));

    *ret_bytes = self->buf;
    if (!self->problem && cst_task_check(self->head.task, &self->problem) &&
        (len == 0 || cst_blob_pread(self->blob, self->buf, len, self->offset, &self->problem))) {
        self->offset += len;
        return (ssize_t)len;
    }
    self->library->archive_set_error(archive, EIO, "%s", self->problem->message);
    return IMPORT_ARCHIVE_FATAL;
}

static int64_t archive_seek(struct archive *archive, void *data, int64_t offset, int whence)
{
    Archive *self = data;
    int64_t base =
        whence == SEEK_SET ? 0 : (int64_t)(whence == SEEK_CUR ? self->offset : self->size);

    if (offset < -base || offset > (int64_t)self->size - base) {
        self->library->archive_set_error(archive, EINVAL, "offset outside the archive");
        return IMPORT_ARCHIVE_FATAL;
    }
    self->offset = (uint64_t)(base + offset);
    return (int64_t)self->offset;
}

static gboolean archive_fail(Archive *self, GError **error)
{
    const char *why = self->library->archive_error_string(self->archive);
    g_autofree char *shown = cst_text_escape(why ? why : "");

    if (self->problem) {
        g_propagate_error(error, g_steal_pointer(&self->problem));
        return FALSE;
    }
    return cst_fail(error, CST_ERROR_CORRUPT, _("cannot read the archive '%s': %s"),
                    self->head.name, shown);
}

/* Starts a pass. */
static gboolean archive_start(Archive *self, GError **error)
{
    const ImportLibarchive *library = self->library;

    if (self->archive)
        library->archive_read_free(self->archive);
    self->offset = 0;
    self->archive = library->archive_read_new();
    if (!self->archive)
        return cst_fail(error, CST_ERROR_NO_MEMORY, _("no memory to unpack '%s'"), self->head.name);
    library->archive_read_support_format_zip_seekable(self->archive);
    library->archive_read_support_format_7zip(self->archive);
    library->archive_read_support_format_tar(self->archive);
    library->archive_read_set_callback_data(self->archive, self);
    library->archive_read_set_read_callback(self->archive, archive_input);
    library->archive_read_set_seek_callback(self->archive, archive_seek);
    return library->archive_read_open1(self->archive) == IMPORT_ARCHIVE_OK ||
           archive_fail(self, error);
}

/* Moves to the next entry. *ret_entry NULL: end of the archive. */
static gboolean archive_next(Archive *self, struct archive_entry **ret_entry, GError **error)
{
    int result = self->library->archive_read_next_header(self->archive, ret_entry);

    if (result == IMPORT_ARCHIVE_EOF)
        *ret_entry = NULL;
    return result == IMPORT_ARCHIVE_EOF || result == IMPORT_ARCHIVE_OK ||
           result == IMPORT_ARCHIVE_WARN || archive_fail(self, error);
}

/* --- choosing the disk ------------------------------------------------------------------------ */

typedef struct {
    char *name;
    guint index; /* of the entry in the archive */
    gboolean encrypted;
} ArchiveFile;

static void archive_file_free(gpointer data)
{
    g_free(((ArchiveFile *)data)->name);
    g_free(data);
}

static gboolean is_called_disk(const char *name)
{
    static const char *const endings[] = {".img",  ".raw", ".qcow2", ".qcow", ".qed",
                                          ".vmdk", ".vdi", ".vhd",   ".vpc",  ".vhdx",
                                          ".hdd",  ".iso", NULL};
    size_t len = import_codec_strip(name, strlen(name));

    return strip_ending(name, len, endings) < len;
}

/* Lists the regular files of the archive. */
static gboolean archive_list(Archive *self, GPtrArray *files, GError **error)
{
    const ImportLibarchive *library = self->library;
    struct archive_entry *entry = NULL;
    uint64_t total = 0;

    for (guint i = 0;; i++) {
        int64_t size;
        ArchiveFile *file;
        const char *name;

        if (!archive_next(self, &entry, error))
            return FALSE;
        if (!entry)
            return TRUE;
        if (i == FILES_MAX)
            return cst_fail(error, CST_ERROR_LIMIT, _("'%s' has over %u entries"), self->head.name,
                            FILES_MAX);
        if (library->archive_entry_filetype(entry) != S_IFREG)
            continue;
        size = library->archive_entry_size(entry);
        total += size > 0 ? MIN((uint64_t)size, G_MAXINT64) : 0;
        if (!import_check_size(self->context, total, self->head.name, error) ||
            !import_check_expansion(self->context, total, self->size, self->head.name, error))
            return FALSE;
        name = library->archive_entry_pathname(entry);
        file = g_new0(ArchiveFile, 1);
        file->name = g_strdup(name ? name : "");
        file->index = i;
        file->encrypted = library->archive_entry_is_encrypted(entry) != 0;
        g_ptr_array_add(files, file);
    }
}

/* "'a.raw', 'b.raw', …" */
static char *show_files(const GPtrArray *files)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < files->len && i < SHOWN_MAX; i++) {
        g_autofree char *shown = cst_text_escape(((ArchiveFile *)files->pdata[i])->name);

        g_string_append_printf(text, "%s'%.*s'", i > 0 ? ", " : "", NAME_MAX_SHOWN, shown);
    }
    if (files->len > SHOWN_MAX)
        g_string_append(text, ", …");
    return g_string_free(text, FALSE);
}

static const ArchiveFile *choose_disk(const Archive *self, const GPtrArray *files, GError **error)
{
    g_autofree char *list = show_files(files);
    const ArchiveFile *found = NULL;
    guint disks = 0;

    for (guint i = 0; i < files->len; i++)
        if (is_called_disk(((ArchiveFile *)files->pdata[i])->name) && disks++ == 0)
            found = files->pdata[i];
    if (disks == 0 && files->len == 1)
        found = files->pdata[0];
    if (disks > 1 || !found) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is an archive with %u disk images in it, and not one; unpack it, and "
                   "import each disk by itself (files: %s)"),
                 self->head.name, disks, files->len > 0 ? list : "-");
        return NULL;
    }
    if (!found->encrypted)
        return found;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("the archive '%s' is encrypted; unpack it, and import the disk"), self->head.name);
    return NULL;
}

/* --- memory ----------------------------------------------------------------------------------- */

static gboolean archive_count_memory(Archive *self, uint64_t memory, GError **error)
{
    self->input.memory = memory;
    return memory <= IMPORT_CHAIN_MEMORY ||
           cst_fail(error, CST_ERROR_LIMIT, _("'%s' needs too much memory to be unpacked"),
                    self->head.name);
}

/* Refuses a 7z archive before libarchive allocates the memory requested by its header. */
static gboolean check_7z(Archive *self, GError **error)
{
    uint8_t head[16];
    uint64_t memory = 0;

    return self->size < sizeof(head) ||
           (cst_blob_pread(self->blob, head, sizeof(head), 0, error) &&
            (!import_7z_probe(head, sizeof(head)) ||
             (import_7z_memory(self->blob, self->head.name, &memory, error) &&
              archive_count_memory(self, memory, error))));
}

/*
 * Checks the memory for the current entry of a zip archive. libarchive reports its method ("ZIP 2.0
 * (deflation)"), and creates the decoder with the first byte that is read. It does not limit the
 * memory for LZMA and xz.
 */
static gboolean check_zip(Archive *self, GError **error)
{
    static const struct {
        const char *name;
        uint64_t memory;
    } methods[] = {{"(uncompressed)", 0},
                   {"(deflation)", CST_MIB},
                   {"(bzip)", 10 * CST_MIB},
                   {"(zstd)", 128 * CST_MIB},
                   {"(ppmd-1)", 256 * CST_MIB}};
    const char *format = self->library->archive_format_name(self->archive);
    g_autofree char *shown = NULL;

    if (!format || !g_str_has_prefix(format, "ZIP"))
        return TRUE;
    for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
        if (g_str_has_suffix(format, methods[i].name))
            return archive_count_memory(self, methods[i].memory, error);
    shown = cst_text_escape(format);
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("cannot read the archive '%s': the method of its disk, %s, has no bound on "
                      "memory; unpack it, and import the disk"),
                    self->head.name, shown);
}

/* Selects the disk and moves to its bytes. */
static gboolean archive_find(Archive *self, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(archive_file_free);
    struct archive_entry *entry = NULL;
    const ArchiveFile *disk;
    g_autofree char *shown = NULL;

    if (!archive_start(self, error) || !archive_list(self, files, error))
        return FALSE;
    disk = choose_disk(self, files, error);
    if (!disk || !archive_start(self, error))
        return FALSE;
    for (guint i = 0; i <= disk->index; i++)
        if (!archive_next(self, &entry, error))
            return FALSE;
        else if (!entry)
            return cst_fail(error, CST_ERROR_MISMATCH, _("'%s' has changed while it was read"),
                            self->head.name);
    if (!check_zip(self, error))
        return FALSE;
    shown = cst_text_escape(disk->name);
    import_note(self->context, _("'%s' is an archive; its disk '%s' is imported"), self->head.name,
                shown);
    return TRUE;
}

/* --- the reader ------------------------------------------------------------------------------- */

static gboolean archive_read(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                             GError **error)
{
    Archive *self = (Archive *)reader;
    ssize_t n = self->library->archive_read_data(self->archive, buf, MIN(len, IMPORT_STEP));

    if (n < 0)
        return archive_fail(self, error);
    *ret_len = (size_t)n;
    self->made += (uint64_t)n;
    return import_check_size(self->context, self->made, reader->name, error) &&
           import_check_expansion(self->context, self->made, self->size, reader->name, error);
}

static void archive_free(ImportReader *reader)
{
    Archive *self = (Archive *)reader;

    if (self->archive)
        self->library->archive_read_free(self->archive);
    cst_blob_unref(self->blob);
    g_clear_error(&self->problem);
    g_free(self);
}

ImportReader *import_archive_open(const ImportContext *context, CstBlob *blob, const char *name,
                                  GError **error)
{
    static const ImportReaderOps ops = {archive_read, archive_free};
    const ImportLibarchive *library = import_libarchive(error);
    g_autoptr(ImportReader) reader = NULL;
    Archive *self;

    if (!library)
        return NULL;
    self = g_new0(Archive, 1);
    reader = &self->head;
    import_reader_init(reader, &ops, name, context->task);
    reader->origin = &self->input;
    self->context = context;
    self->library = library;
    self->blob = cst_blob_ref(blob);
    if (!cst_blob_get_size(blob, &self->size, error))
        return NULL;
    self->input.taken = self->size;
    return check_7z(self, error) && archive_find(self, error) ? g_steal_pointer(&reader) : NULL;
}
