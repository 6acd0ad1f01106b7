/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recognises sources that are not a disk. A raw disk has no magic number, so any unknown file would
 * become one: an archive, an error page of a server, an image of another program. Such a file has a
 * magic number or is text. A boot sector is never text, because it begins with code.
 */
#include "kind.h"

#include <string.h>

#include <base/bytes.h>
#include <base/i18n.h>
#include <image/image.h>

#define TEXT_HEAD      4096u /* bytes: number of leading characters that are checked */
#define TEXT_START     64u   /* of these, without a control character in a text */
#define CONTROLS_RATIO 128u  /* characters of a text for each control character in it */

typedef struct {
    const char *kind; /* for messages */
    const char *mark;
    size_t len;
    const char *instead;
} KindMark;

#define MARK(kind, mark, instead)             \
    {                                         \
        kind, mark, sizeof(mark) - 1, instead \
    }

static const KindMark marks[] = {
    MARK("lz4", "\x04\x22\x4d\x18", N_("decompress it with 'lz4 -d' first")),
    MARK("lz4", "\x02\x21\x4c\x18", N_("decompress it with 'lz4 -d' first")),
    MARK("lzip", "LZIP", N_("decompress it with 'lzip -d' first")),
    MARK("lzop", "\x89LZO\0\r\n\x1a\n", N_("decompress it with 'lzop -d' first")),
    MARK("compress", "\x1f\x9d", N_("decompress it with 'gzip -d' first")),
    MARK("rar", "Rar!\x1a\x07", N_("unpack it first")),
    MARK("cabinet", "MSCF\0\0\0\0", N_("unpack it first")),
    MARK("WIM", "MSWIM\0\0\0", N_("unpack it first")),
    MARK("EWF", "EVF\x09\x0d\x0a\xff\0", N_("convert it with 'ewfexport' first")),
    MARK("lrzip", "LRZI", N_("decompress it with 'lrzip -d' first")),
    MARK("partclone", "partclone-image", N_("restore it with 'partclone.restore' first")),
    MARK("ntfsclone", "\0ntfsclone-image", N_("restore it with 'ntfsclone --restore-image' first")),
    MARK("fsarchiver", "FsArCh_", N_("restore it with 'fsarchiver restfs' first")),
    MARK("VMA", "VMA\0", N_("unpack it with 'vma extract' first")),
    MARK("deb or ar", "!<arch>\n", N_("unpack it first")),
    MARK("cpio", "070701", N_("unpack it first")),
    MARK("cpio", "070702", N_("unpack it first")),
    MARK("cpio", "070707", N_("unpack it first")),
    MARK("bochs", "Bochs Virtual HD Image", N_("convert it with 'qemu-img convert' first")),
    MARK("cloop", "#!/bin/sh\n#V2.0 Format", N_("convert it with 'qemu-img convert' first")),
    MARK("RPM", "\xed\xab\xee\xdb", N_("unpack it first")),
    MARK("PDF", "%PDF-", N_("look at it, and get the image itself")),
    MARK("PNG", "\x89PNG\r\n\x1a\n", N_("look at it, and get the image itself")),
    MARK("JPEG", "\xff\xd8\xff", N_("look at it, and get the image itself")),
    MARK("ELF",
         "\x7f"
         "ELF",
         N_("look at it, and get the image itself")),
    MARK("SQLite", "SQLite format 3\0", N_("look at it, and get the image itself")),
    MARK("seSparse", "\xbe\xba\xfe\xca\0\0\0\0", N_("convert it with 'qemu-img convert' first")),
};

static gboolean refuse_kind(const char *name, const char *kind, const char *instead, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("'%s' is no disk image: its content is %s; %s, or give --source-format raw"),
                    name, kind, instead);
}

/* Recognises the older format of xz: properties 5d, a dictionary of 2^n or 2^n + 2^(n-1) bytes. */
static gboolean is_lzma(const uint8_t *head, size_t len)
{
    uint32_t dictionary;
    uint64_t size;

    if (len < 13 || head[0] != 0x5d)
        return FALSE;
    dictionary = cst_le32(head + 1);
    size = cst_le64(head + 5);
    if (dictionary < 4096 || (size != G_MAXUINT64 && size > UINT64_C(1) << 38))
        return FALSE;
    dictionary >>= __builtin_ctz(dictionary);
    return dictionary == 1 || dictionary == 3;
}

/*
 * Recognises the binary format of cpio in both byte orders. Two bytes are its magic number, so the
 * name of the first file has to end where the header says.
 */
static gboolean is_binary_cpio(const uint8_t *head, size_t len)
{
    const gboolean big = len > 26 && head[0] == 0x71 && head[1] == 0xc7;
    size_t name;

    if (len <= 26 || (!big && (head[0] != 0xc7 || head[1] != 0x71)))
        return FALSE;
    name = big ? cst_be16(head + 20) : cst_le16(head + 20);
    return name > 1 && name <= len - 26 && memchr(head + 26, '\0', name) == head + 26 + name - 1;
}

static gboolean check_marks(const uint8_t *head, size_t len, const char *name, GError **error)
{
    if (is_lzma(head, len))
        return refuse_kind(name, "lzma", _("decompress it with 'xz --format=lzma -d' first"),
                           error);
    if (is_binary_cpio(head, len))
        return refuse_kind(name, "cpio", _("unpack it first"), error);
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        if (len >= marks[i].len && memcmp(head, marks[i].mark, marks[i].len) == 0)
            return refuse_kind(name, marks[i].kind, _(marks[i].instead), error);
    return TRUE;
}

/* Formats with a magic number that are not probed for volumes and are not raw disks. */
static gboolean check_formats(CstBlob *blob, const char *name, GError **error)
{
    static const char *const formats[] = {"bochs", "cloop", "dmg"};

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        const CstImageFormat *format = cst_image_format_find(formats[i], error);
        g_auto(CstImageInfo) info = {0};

        if (!format || !cst_image_inspect(blob, format, &info, error))
            return FALSE;
        if (!info.problem)
            return refuse_kind(name, formats[i], _("convert it with 'qemu-img convert' first"),
                               error);
    }
    return TRUE;
}

/*
 * Whether the head is text of characters of @width bytes (2: UTF-16, 4: UTF-32) without accents.
 * All bytes but the last one (@big) or the first one are zero in each character. A sector of a disk
 * with some text in it has zeroes elsewhere.
 */
static gboolean is_wide_text(const uint8_t *head, size_t len, size_t width, gboolean big)
{
    const size_t at = big ? width - 1 : 0;
    size_t count = len / width;

    for (size_t i = 0; i < count * width; i++) {
        const uint8_t c = head[i];

        if (i % width != at ? c != 0 : (c < ' ' || c >= 0x7f) && (!c || !strchr("\t\n\r", c)))
            return FALSE;
    }
    return count > 0 && len % width == 0;
}

/* Text in UTF-16 or UTF-32, in either byte order. A mark of the byte order is not needed. */
static gboolean head_is_wide_text(const uint8_t *head, size_t len)
{
    static const struct {
        const char *mark;
        size_t width;
        gboolean big;
    } kinds[] = {{"\xff\xfe\0\0", 4, FALSE},
                 {"\0\0\xfe\xff", 4, TRUE},
                 {"\xff\xfe", 2, FALSE},
                 {"\xfe\xff", 2, TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const size_t width = kinds[i].width;
        const gboolean marked = len > width && memcmp(head, kinds[i].mark, width) == 0;

        if (is_wide_text(head + (marked ? width : 0), len - (marked ? width : 0), width,
                         kinds[i].big))
            return TRUE;
    }
    return FALSE;
}

/*
 * Text in any encoding, such as Latin-1, in which a few control characters may be. The start of a
 * boot sector is code. Erased or formatted sectors have bytes that are not ASCII.
 */
static gboolean head_is_text(const uint8_t *head, size_t len)
{
    size_t controls = 0, ascii = 0;
    const char *end;

    if (head_is_wide_text(head, len))
        return TRUE;
    if (len >= 2 && (memcmp(head, "\xff\xfe", 2) == 0 || memcmp(head, "\xfe\xff", 2) == 0))
        return len >= 4 && (head[2] == 0) != (head[3] == 0);
    for (size_t i = 0; i < len; i++) {
        ascii += head[i] < 0x80;
        if ((head[i] >= ' ' && head[i] != 0x7f) || memchr("\t\n\f\r\x1b", head[i], 5))
            continue;
        if (i < TEXT_START || ++controls > len / CONTROLS_RATIO)
            return FALSE;
    }
    /* The last character of UTF-8 may be truncated. */
    return len > 0 &&
           (ascii >= len / 4 * 3 || g_utf8_validate((const char *)head, (gssize)len, &end) ||
            (len == TEXT_HEAD && (const char *)head + len - end < 4));
}

static gboolean check_text(const uint8_t *head, size_t len, const char *name, GError **error)
{
    g_autofree char *text = NULL, *lower = NULL;

    if (!head_is_text(head, len))
        return TRUE;
    text = g_malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = head[i] ? (char)head[i] : ' ';
    text[len] = '\0';
    lower = g_ascii_strdown(text, -1);
    if (g_str_has_prefix(text, "version https://git-lfs.github.com/"))
        return refuse_kind(name, _("a Git LFS pointer"), _("get the file with 'git lfs pull'"),
                           error);
    if (strstr(lower, "<!doctype html") || strstr(lower, "<html"))
        return refuse_kind(name, _("an HTML page"),
                           _("look at the page, and download the image that it refers to"), error);
    return refuse_kind(name, _("text"), _("look at it, and get the image itself"), error);
}

gboolean import_check_is_disk(CstBlob *blob, const char *name, GError **error)
{
    uint8_t head[TEXT_HEAD];
    uint64_t size;
    size_t len;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    len = (size_t)MIN(size, sizeof(head));
    return cst_blob_pread(blob, head, len, 0, error) && check_marks(head, len, name, error) &&
           check_formats(blob, name, error) && check_text(head, len, name, error);
}
