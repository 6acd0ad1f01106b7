/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packages (DMTF DSP0243): an OVF descriptor with its files in the same directory, or all of them
 * in a tar archive (OVA). The paths in a descriptor are resolved only below the descriptor's own
 * directory, in the archive or in the file system.
 *
 * The manifest has the descriptor's name with the suffix .mf, in the directory of the opened file.
 * If it exists, it must contain the descriptor and each file that is used. A manifest detects
 * damage but not forgery, because an attacker who changes a disk can change its digest as well.
 * Only a checksum of the whole OVA (--checksum) detects forgery.
 */
#include "package.h"

#include <string.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/text.h>
#include <blob/tail.h>
#include <model/limits.h>
#include <model/ovf.h>

#include "archive.h"
#include "list.h"
#include "name.h"
#include "tar.h"
#include "unpack.h"

#define HEAD            4096u
#define MANIFEST_MAX    (1u << 20) /* bytes */
#define OVA_ENDING      ".ova"
#define OVF_ENDING      ".ovf"
#define MANIFEST_ENDING ".mf"

typedef struct {
    const ImportContext *context;
    const ImportSource *source; /* the descriptor or the archive; borrowed */
    ImportTar *tar;             /* NULL: the files are in a directory */
    CstBlob *archive;           /* of the tar; borrowed */
    char *manifest;             /* the manifest's name, for messages; NULL: not searched yet */
    char *digests;              /* its text; NULL: there is no manifest */
    const char *shown;          /* the source's name; borrowed */
    char *dir; /* of the descriptor in the archive, with a trailing slash; NULL: the root */
} Package;

static void package_clear(Package *package)
{
    import_tar_free(package->tar);
    g_free(package->manifest);
    g_free(package->digests);
    g_free(package->dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Package, package_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImportSource, import_source_clear)

static void package_source_free(gpointer data)
{
    import_source_clear(data);
    g_free(data);
}

/* --- files ------------------------------------------------------------------------------------ */

static gboolean package_open_file(const Package *package, const char *name, ImportSource *ret_file,
                                  GError **error)
{
    const ImportTarEntry *entry;
    g_autofree char *shown = cst_text_escape(name), *path = NULL;

    if (!package->tar)
        return import_source_open_beside(ret_file, package->context, package->source, name, error);
    path = g_strconcat(package->dir ? package->dir : "", name, NULL);
    entry = import_tar_find(package->tar, path);
    if (!entry)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no '%s' in '%s'"), shown,
                        package->shown);
    *ret_file = (ImportSource){.fd = -1};
    ret_file->name = g_steal_pointer(&shown);
    ret_file->blob = cst_blob_slice(package->archive, entry->offset, entry->length, ret_file->name);
    return TRUE;
}

/* Reads a whole small file, and appends a NUL. */
static char *package_read_text(CstBlob *blob, size_t limit, GError **error)
{
    g_autofree char *text = NULL;
    uint64_t size;

    if (!cst_blob_get_size(blob, &size, error))
        return NULL;
    if (size > limit) {
        cst_fail(error, CST_ERROR_LIMIT, _("'%s' is larger than %zu bytes"), blob->name, limit);
        return NULL;
    }
    text = cst_alloc0(size + 1, 1, blob->name, error);
    return text && cst_blob_pread(blob, text, (size_t)size, 0, error) ? g_steal_pointer(&text)
                                                                      : NULL;
}

/*
 * Returns a UTF-16 text as UTF-8, without the XML declaration, because that names the encoding.
 * NULL: @text has no UTF-16 mark, or is invalid.
 */
static char *utf8_of(const char *text, size_t len)
{
    const char *from = len < 2                            ? NULL
                       : memcmp(text, "\xff\xfe", 2) == 0 ? "UTF-16LE"
                       : memcmp(text, "\xfe\xff", 2) == 0 ? "UTF-16BE"
                                                          : NULL;
    g_autofree char *plain =
        from ? g_convert(text + 2, (gssize)(len - 2), "UTF-8", from, NULL, NULL, NULL) : NULL;
    const char *end = plain && g_str_has_prefix(plain, "<?xml") ? strstr(plain, "?>") : NULL;

    return end ? g_strdup(end + strlen("?>")) : g_steal_pointer(&plain);
}

static gboolean ends_in(const char *name, const char *ending)
{
    size_t len = strlen(name);

    return len > strlen(ending) && g_ascii_strcasecmp(name + len - strlen(ending), ending) == 0;
}

/* --- the manifest ----------------------------------------------------------------------------- */

/*
 * Reads the manifest of the descriptor with the name @descriptor. package->digests stays NULL if it
 * is missing.
 */
static gboolean package_find_manifest(Package *package, const char *descriptor, GError **error)
{
    size_t stem = strlen(descriptor) - strlen(OVF_ENDING);
    g_autofree char *name = g_strdup_printf("%.*s" MANIFEST_ENDING, (int)stem, descriptor);
    g_autoptr(GError) missing = NULL;
    g_auto(ImportSource) file = {.fd = -1};

    g_free(package->manifest);
    package->manifest = cst_text_escape(name);
    if (package_open_file(package, name, &file, &missing)) {
        package->digests = package_read_text(file.blob, MANIFEST_MAX, error);
        return package->digests != NULL;
    }
    if (cst_error_code(missing) == CST_ERROR_NOT_FOUND)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&missing));
    return FALSE;
}

/*
 * Reads the manifest. If links lead to the descriptor, the name of the opened file takes precedence
 * over the name that the user gave. *name becomes the name to which the manifest belongs.
 */
static gboolean package_read_manifest(Package *package, const char **name, GError **error)
{
    const char *given = *name, *opened = package->tar ? NULL : package->source->place.name;

    if (opened && !g_str_equal(opened, given) && ends_in(opened, OVF_ENDING)) {
        *name = opened;
        if (!package_find_manifest(package, opened, error))
            return FALSE;
    }
    if (!package->digests) {
        if (!package_find_manifest(package, given, error))
            return FALSE;
        if (package->digests)
            *name = given;
    }
    if (package->digests)
        return TRUE;
    /* The manifest is often the last entry, so a truncated archive may lack only the manifest. */
    if (package->tar && !import_tar_is_complete(package->tar))
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("'%s' is cut off: it has neither a manifest nor the mark that ends an "
                          "archive"),
                        package->shown);
    import_note(package->context, _("there is no manifest '%s': the disks cannot be verified"),
                package->manifest);
    return TRUE;
}

/* Finds the digest of a file in the manifest. A missing digest is a mismatch, like a wrong one. */
static gboolean find_digest(const Package *package, const char *name, ImportChecksum *ret_wanted,
                            GError **error)
{
    g_autoptr(GError) problem = NULL;

    return import_list_find(package->digests, name, package->manifest, TRUE, ret_wanted,
                            &problem) ||
           cst_fail(error, CST_ERROR_MISMATCH, "%s", problem->message);
}

static gboolean verify_descriptor(const Package *package, const char *name, const char *text,
                                  size_t len, GError **error)
{
    g_autofree char *shown = cst_text_escape(name);
    g_autoptr(CstDigest) digest = NULL;
    ImportChecksum wanted;

    if (!package->digests)
        return TRUE;
    if (!find_digest(package, name, &wanted, error))
        return FALSE;
    digest = cst_digest_new(wanted.kind, error);
    if (!digest)
        return FALSE;
    cst_digest_add(digest, text, len);
    return import_checksum_verify(&wanted, digest, shown, error);
}

/* --- disks ------------------------------------------------------------------------------------ */

/* Opens a file by a reference. References are URLs, which only some programs escape. */
static gboolean package_open_reference(const Package *package, const char *href,
                                       ImportSource *ret_file, char **ret_name, GError **error)
{
    g_autofree char *plain = g_uri_unescape_string(href, "/");
    g_autoptr(GError) missing = NULL;

    *ret_name = g_strdup(href);
    if (package_open_file(package, href, ret_file, &missing))
        return TRUE;
    import_source_clear(ret_file);
    if (cst_error_code(missing) == CST_ERROR_NOT_FOUND && plain && !g_str_equal(plain, href)) {
        g_free(*ret_name);
        *ret_name = g_steal_pointer(&plain);
        return package_open_file(package, *ret_name, ret_file, error);
    }
    g_propagate_error(error, g_steal_pointer(&missing));
    return FALSE;
}

static gboolean package_open_disk(const Package *package, const CstOvfDisk *disk, GPtrArray *disks,
                                  GError **error)
{
    ImportSource *file = g_new0(ImportSource, 1);
    g_autofree char *name = NULL;
    ImportChecksum wanted;

    file->fd = -1;
    g_ptr_array_add(disks, file);
    if (!package_open_reference(package, disk->file, file, &name, error) ||
        (package->digests && !find_digest(package, name, &wanted, error)))
        return FALSE;
    return import_source_read(file, package->context, package->digests ? &wanted : NULL, error);
}

static gboolean package_open_disks(const Package *package, const GPtrArray *found,
                                   GPtrArray **ret_disks, GError **error)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(package_source_free);
    guint only = package->context->how->disk;

    if (only > found->len)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no disk %u: it has %u"),
                        package->shown, only, found->len);
    for (guint i = 0; i < found->len; i++)
        if ((only == 0 || only == i + 1) &&
            !package_open_disk(package, found->pdata[i], disks, error))
            return FALSE;
    *ret_disks = g_steal_pointer(&disks);
    return TRUE;
}

/* @name is the name of the descriptor in @blob, and ends in OVF_ENDING. */
static gboolean open_package(Package *package, const char *name, CstBlob *blob,
                             GPtrArray **ret_disks, GError **error)
{
    g_autofree char *text = package_read_text(blob, CST_XML_MAX_BYTES, error);
    g_autofree char *shown = NULL, *plain = NULL;
    g_autoptr(GPtrArray) found = NULL;
    uint64_t len;
    guint empty = 0;

    if (!text || !cst_blob_get_size(blob, &len, error))
        return FALSE;
    if (!package_read_manifest(package, &name, error) ||
        !verify_descriptor(package, name, text, (size_t)len, error))
        return FALSE;
    shown = cst_text_escape(name);
    plain = utf8_of(text, (size_t)len);
    found = cst_ovf_disks(plain ? plain : text, shown, &empty, error);
    if (!found || !package_open_disks(package, found, ret_disks, error))
        return FALSE;
    if (empty > 0)
        import_note(package->context,
                    ngettext("%u disk of '%s' is empty, and left out",
                             "%u disks of '%s' are empty, and left out", empty),
                    empty, shown);
    return TRUE;
}

/* --- recognising them ------------------------------------------------------------------------- */

static gboolean is_called_package(const char *name)
{
    g_autofree char *unpacked = g_strndup(name, import_codec_strip(name, strlen(name)));

    return ends_in(unpacked, OVA_ENDING) || ends_in(unpacked, OVF_ENDING);
}

/*
 * Finds the only descriptor in the root, or (@below) in the directories. *ret_entry NULL: not
 * found.
 */
static gboolean find_only(const Package *package, gboolean below, const ImportTarEntry **ret_entry,
                          GError **error)
{
    *ret_entry = NULL;
    for (guint i = 0; i < import_tar_count(package->tar); i++) {
        const ImportTarEntry *entry = import_tar_entry(package->tar, i);

        if (!ends_in(entry->name, OVF_ENDING) || (strchr(entry->name, '/') != NULL) != below)
            continue;
        if (*ret_entry)
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("'%s' has two descriptors; unpack it, and import one of them"),
                            package->shown);
        *ret_entry = entry;
    }
    return TRUE;
}

/*
 * Finds the descriptor, and the directory in the archive that its paths are relative to. A
 * descriptor in the root takes precedence. *ret_entry NULL: there is no descriptor, so this is not
 * an OVA.
 */
static gboolean find_descriptor(Package *package, const ImportTarEntry **ret_entry, GError **error)
{
    const char *name;

    if (!find_only(package, FALSE, ret_entry, error))
        return FALSE;
    if (*ret_entry)
        return TRUE;
    if (!find_only(package, TRUE, ret_entry, error))
        return FALSE;
    name = *ret_entry ? (*ret_entry)->name : NULL;
    package->dir = name ? g_strndup(name, (gsize)(strrchr(name, '/') + 1 - name)) : NULL;
    return TRUE;
}

/*
 * Opens a tar archive. Without a descriptor it is unpacked like any archive. The strict reader of
 * OVAs rejects sparse entries, so such an archive counts as one without a descriptor.
 */
static gboolean open_tar(Package *package, const char *name, ImportSource *source,
                         GPtrArray **ret_disks, GError **error)
{
    g_autoptr(GError) problem = NULL;
    const ImportTarEntry *entry = NULL;
    g_autoptr(CstBlob) descriptor = NULL;
    gboolean ova = is_called_package(name);

    package->archive = source->blob;
    package->tar = import_tar_open(source->blob, package->context->task, &problem);
    if (!package->tar && (ova || cst_error_code(problem) != CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (package->tar && !find_descriptor(package, &entry, error))
        return FALSE;
    if (!entry && ova)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is an archive without a descriptor (.ovf), so it is no OVA; to "
                          "have it as it is, give --source-format raw"),
                        package->shown);
    if (!entry)
        return import_source_unpack(source, package->context, error);
    descriptor = cst_blob_slice(source->blob, entry->offset, entry->length, package->shown);
    return open_package(package, entry->name + (package->dir ? strlen(package->dir) : 0),
                        descriptor, ret_disks, error);
}

/*
 * Opens a descriptor whose disks are other files. Its content alone does not make it a descriptor:
 * a guest could write a descriptor to its raw disk and name other images in it. The file must also
 * be called .ovf.
 */
static gboolean open_ovf(Package *package, const char *name, CstBlob *blob, GPtrArray **ret_disks,
                         GError **error)
{
    const CstImportHow *how = package->context->how;

    if (import_is_standard(package->context))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "%s",
                        _("a descriptor from standard input cannot refer to its disk files; import "
                          "the descriptor as a file, or an OVA"));
    if (!ends_in(name, OVF_ENDING))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("'%s' has an OVF descriptor in it, which refers to other files, and is "
                          "not called .ovf; to have it as it is, give --source-format raw"),
                        package->shown);
    if (how->checksum || how->checksum_file || how->checksum_url)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("the checksum of the descriptor '%s' does not cover its disks, which are "
                          "other files; import it without a checksum, or import an OVA"),
                        package->shown);
    return open_package(package, name, blob, ret_disks, error);
}

static gboolean head_is_ovf(const uint8_t *head, size_t len)
{
    g_autofree char *text = utf8_of((const char *)head, len & ~(size_t)1);
    const char *at;

    if (!text)
        text = g_strndup((const char *)head, len);
    at = g_str_has_prefix(text, "\xef\xbb\xbf") ? text + 3 : text;

    while (g_ascii_isspace(*at))
        at++;
    return *at == '<' && (strstr(at, "<Envelope") || strstr(at, ":Envelope"));
}

/*
 * Fails if the name is that of a package but the content is not, because an archive with a damaged
 * beginning must not become a disk.
 */
static gboolean check_not_called_package(const Package *package, const char *name, GError **error)
{
    if (!is_called_package(name))
        return TRUE;
    return cst_fail(error, CST_ERROR_CORRUPT,
                    _("'%s' is called a package and begins otherwise; if it is an image, say of "
                      "which format with --source-format"),
                    package->shown);
}

gboolean import_package_open(const ImportContext *context, ImportSource *source,
                             GPtrArray **ret_disks, GError **error)
{
    g_auto(Package) package = {.context = context, .source = source, .shown = source->name};
    g_autofree char *name = import_file_of(context->how->source);
    uint8_t head[HEAD];
    uint64_t size;
    size_t len;

    *ret_disks = NULL;
    if (context->how->format)
        return TRUE;
    if (!cst_blob_get_size(source->blob, &size, error))
        return FALSE;
    len = (size_t)MIN(size, HEAD);
    if (!cst_blob_pread(source->blob, head, len, 0, error))
        return FALSE;
    if (import_tar_probe(head, len))
        return open_tar(&package, name, source, ret_disks, error);
    if (import_archive_probe(head, len))
        return import_source_unpack(source, context, error);
    return head_is_ovf(head, len) ? open_ovf(&package, name, source->blob, ret_disks, error)
                                  : check_not_called_package(&package, name, error);
}
