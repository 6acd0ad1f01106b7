/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Computes the memory that a 7z archive needs. libarchive allocates the dictionary that the archive
 * requests for each decoder, up to 4 GiB, without a limit. Therefore the header is read here first,
 * and the import refuses the archive before libarchive opens it.
 *
 *     signature header (32 bytes): "7z\xbc\xaf\x27\x1c", version, CRC, offset, size, CRC
 *     packed streams
 *     header: 01, or 17 and the description of one packed stream that is the header
 *
 * A header begins with the packed streams (06) and the folders (07, 0b). A folder is a chain of
 * coders, and each coder has its dictionary. The data after the folders is not needed. The grammar
 * is that of 7zFormat.txt, as far as libarchive reads it.
 */
#include "seven_zip.h"

#include <string.h>

#include <lzma_library.h>

#include <base/alloc.h>
#include <base/bytes.h>
#include <base/i18n.h>
#include <base/units.h>

#define SIGNATURE    "7z\xbc\xaf\x27\x1c"
#define START        32u         /* bytes of the signature header */
#define HEADER_MAX   (16u << 20) /* bytes of a header, packed or not */
#define STREAMS_MAX  100000u     /* as libarchive */
#define CODERS_MAX   4u          /* as libarchive */
#define STREAM_MAX   8u          /* of a coder */
#define PROPS_MAX    255u
#define OTHER_MEMORY (10 * CST_MIB) /* of a coder without a dictionary: bzip2 needs the most */
#define ZSTD_MEMORY  (128 * CST_MIB)

enum {
    ID_END = 0x00,
    ID_HEADER = 0x01,
    ID_STREAMS = 0x04,
    ID_FILES = 0x05,
    ID_PACK = 0x06,
    ID_UNPACK = 0x07,
    ID_SIZES = 0x09,
    ID_DIGESTS = 0x0a,
    ID_FOLDERS = 0x0b,
    ID_UNPACK_SIZES = 0x0c,
    ID_ENCODED = 0x17
};

/* Methods, as big-endian numbers. */
enum { METHOD_COPY = 0x00, METHOD_LZMA2 = 0x21, METHOD_LZMA = 0x030101, METHOD_PPMD = 0x030401 };
#define METHOD_ZSTD UINT64_C(0x04f71101)

/* A header in memory. @bad is set at the first error of the grammar. */
typedef struct {
    const uint8_t *at, *end;
    gboolean bad;
} Header;

typedef struct {
    uint64_t method;
    uint64_t in, out; /* streams */
    const uint8_t *props;
    uint64_t props_len;
} Coder;

/* The packed streams and folders of a header, as far as a packed header needs them. */
typedef struct {
    uint64_t pack_at;   /* offset after the signature header */
    uint64_t pack_size; /* of the first stream */
    uint64_t outs;      /* out streams of all folders */
    Coder coder;        /* the first one of the first folder */
    uint64_t coders;    /* of the first folder */
    uint64_t memory;    /* of the folder that needs the most */
} Streams;

gboolean import_7z_probe(const uint8_t *head, size_t len)
{
    return len >= strlen(SIGNATURE) && memcmp(head, SIGNATURE, strlen(SIGNATURE)) == 0;
}

/* --- the grammar ------------------------------------------------------------------------------ */

static const uint8_t *header_bytes(Header *header, uint64_t len)
{
    const uint8_t *bytes = header->at;

    if (header->bad || len > (uint64_t)(header->end - header->at)) {
        header->bad = TRUE;
        return NULL;
    }
    header->at += len;
    return bytes;
}

static uint8_t header_byte(Header *header)
{
    const uint8_t *byte = header_bytes(header, 1);

    return byte ? *byte : 0;
}

/*
 * The leading one bits of the first byte are the number of further bytes. Its other bits are the
 * highest bits of the value.
 */
static uint64_t header_number(Header *header)
{
    uint8_t first = header_byte(header), mask = 0x80;
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++, mask >>= 1) {
        if (!(first & mask))
            return value + ((uint64_t)(first & (mask - 1)) << (8 * i));
        value |= (uint64_t)header_byte(header) << (8 * i);
    }
    return value;
}

/* Reads the number of items that follow in the header. */
static uint64_t header_count(Header *header, uint64_t limit)
{
    uint64_t count = header_number(header);

    if (count > limit)
        header->bad = TRUE;
    return header->bad ? 0 : count;
}

static void expect_id(Header *header, uint8_t id)
{
    if (header_byte(header) != id)
        header->bad = TRUE;
}

static void skip_digests(Header *header, uint64_t count)
{
    uint64_t defined = count;

    if (header_byte(header) == 0) {
        const uint8_t *bits = header_bytes(header, cst_div_up(count, 8));

        defined = 0;
        for (uint64_t i = 0; bits && i < count; i++)
            defined += bits[i / 8] >> (7 - i % 8) & 1;
    }
    header_bytes(header, 4 * defined);
}

static void seven_zip_read_pack(Header *header, Streams *streams)
{
    uint64_t count;
    uint8_t id;

    streams->pack_at = header_number(header);
    count = header_count(header, STREAMS_MAX);
    id = header_byte(header);
    if (id == ID_SIZES) {
        for (uint64_t i = 0; i < count; i++) {
            uint64_t size = header_number(header);

            if (i == 0)
                streams->pack_size = size;
        }
        id = header_byte(header);
    }
    if (id == ID_DIGESTS) {
        skip_digests(header, count);
        id = header_byte(header);
    }
    if (id != ID_END)
        header->bad = TRUE;
}

static void read_coder(Header *header, Coder *coder)
{
    uint8_t flags = header_byte(header);
    unsigned id_len = flags & 0x0f;
    const uint8_t *id = header_bytes(header, id_len);

    *coder = (Coder){.in = 1, .out = 1};
    if (flags & 0xc0 || id_len > 8)
        header->bad = TRUE;
    for (unsigned i = 0; id && !header->bad && i < id_len; i++)
        coder->method = coder->method << 8 | id[i];
    if (flags & 0x10) {
        coder->in = header_count(header, STREAM_MAX);
        coder->out = header_count(header, STREAM_MAX);
    }
    if (flags & 0x20) {
        coder->props_len = header_count(header, PROPS_MAX);
        coder->props = header_bytes(header, coder->props_len);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t lzma2_dictionary(uint8_t bits)
{
    return bits >= 40 ? UINT32_MAX : (uint64_t)(2 | (bits & 1)) << (bits / 2 + 11);
}

static uint64_t coder_memory(const Coder *coder)
{
    if (coder->method == METHOD_LZMA2 && coder->props_len >= 1)
        return lzma2_dictionary(coder->props[0]);
    if ((coder->method == METHOD_LZMA || coder->method == METHOD_PPMD) && coder->props_len >= 5)
        return cst_le32(coder->props + 1);
    return coder->method == METHOD_ZSTD ? ZSTD_MEMORY : OTHER_MEMORY;
}

static void read_folder(Header *header, gboolean first, Streams *streams)
{
    uint64_t count = header_count(header, CODERS_MAX), memory = 0, in = 0, out = 0;

    for (uint64_t i = 0; i < count; i++) {
        Coder coder;

        read_coder(header, &coder);
        if (header->bad)
            return;
        memory += coder_memory(&coder);
        in += coder.in;
        out += coder.out;
        if (first && i == 0)
            streams->coder = coder;
    }
    if (count == 0 || out == 0 || in < out - 1) {
        header->bad = TRUE;
        return;
    }
    for (uint64_t i = 0; i < 2 * (out - 1); i++)
        header_number(header);
    for (uint64_t i = 0; in - (out - 1) > 1 && i < in - (out - 1); i++)
        header_number(header);
    streams->outs += out;
    streams->memory = MAX(streams->memory, memory);
    if (first)
        streams->coders = count;
}

/* Reads the packed streams and the folders. Moves @header past the last folder. */
static gboolean read_streams(Header *header, Streams *streams)
{
    uint64_t folders;
    uint8_t id = header_byte(header);

    if (id == ID_PACK) {
        seven_zip_read_pack(header, streams);
        id = header_byte(header);
    }
    if (id != ID_UNPACK)
        return !header->bad && id == ID_END; /* no packed data */
    expect_id(header, ID_FOLDERS);
    folders = header_count(header, STREAMS_MAX);
    expect_id(header, 0); /* the folders are described here, and not in a separate stream */
    for (uint64_t i = 0; i < folders && !header->bad; i++)
        read_folder(header, i == 0, streams);
    return !header->bad;
}

/* --- a packed header -------------------------------------------------------------------------- */

static gboolean seven_zip_fail_damaged(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("cannot read the archive '%s': %s"), name,
                    _("its header is damaged"));
}

static gboolean refuse_packing(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("cannot read the archive '%s': its list of files is encrypted, or written in "
                      "an unknown way; unpack it, and import the disk"),
                    name);
}

static gboolean refuse_size(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_LIMIT, _("cannot read the archive '%s': %s"), name,
                    _("its header is larger than 16 MiB"));
}

static uint8_t *seven_zip_read_header(CstBlob *blob, const char *name, uint64_t at, uint64_t len,
                                      GError **error)
{
    g_autofree uint8_t *bytes = NULL;
    uint64_t size;

    if (!cst_blob_get_size(blob, &size, error))
        return NULL;
    if (size < START || at > size - START || len > size - START - at || len == 0) {
        seven_zip_fail_damaged(name, error);
        return NULL;
    }
    if (len > HEADER_MAX) {
        refuse_size(name, error);
        return NULL;
    }
    bytes = cst_alloc((size_t)len, 1, name, error);
    return bytes && cst_blob_pread(blob, bytes, (size_t)len, START + at, error)
               ? g_steal_pointer(&bytes)
               : NULL;
}

/*
 * Decodes raw LZMA data. The dictionary is limited to the size of the output, because a larger one
 * has no effect.
 */
static gboolean run_lzma(const Coder *coder, const uint8_t *packed, size_t packed_len, uint8_t *out,
                         size_t len)
{
    lzma_filter filters[] = {
        {.id = coder->method == METHOD_LZMA ? LZMA_FILTER_LZMA1 : LZMA_FILTER_LZMA2},
        {.id = LZMA_VLI_UNKNOWN}};
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_options_lzma *options;
    lzma_ret result = LZMA_OK;

    if (lzma_properties_decode(filters, NULL, coder->props, (size_t)coder->props_len) != LZMA_OK)
        return FALSE;
    options = filters[0].options;
    options->dict_size = (uint32_t)MIN(options->dict_size, MAX(len, LZMA_DICT_SIZE_MIN));
    if (lzma_raw_decoder(&stream, filters) == LZMA_OK) {
        stream.next_in = packed;
        stream.avail_in = packed_len;
        stream.next_out = out;
        stream.avail_out = len;
        while (result == LZMA_OK && stream.avail_out > 0)
            result = lzma_code(&stream, LZMA_RUN);
        len = stream.avail_out;
    }
    lzma_end(&stream);
    free(options);
    return len == 0;
}

/* Replaces the description of a packed header in @header by the unpacked header. */
static gboolean unpack_header(CstBlob *blob, const char *name, Header *header, Streams *streams,
                              uint8_t **ret_bytes, GError **error)
{
    const Coder *coder = &streams->coder;
    g_autofree uint8_t *packed = NULL, *bytes = NULL;
    uint64_t len;

    expect_id(header, ID_UNPACK_SIZES);
    len = header_number(header);
    if (header->bad || streams->coders == 0 || len == 0)
        return seven_zip_fail_damaged(name, error);
    if (streams->coders != 1 || streams->outs != 1 ||
        (coder->method != METHOD_LZMA && coder->method != METHOD_LZMA2 &&
         coder->method != METHOD_COPY))
        return refuse_packing(name, error);
    if (len > HEADER_MAX)
        return refuse_size(name, error);
    if (coder->method != METHOD_COPY && !cst_library_load(&cst_lzma_library, error))
        return FALSE;
    packed = seven_zip_read_header(blob, name, streams->pack_at, streams->pack_size, error);
    bytes = packed ? cst_alloc0((size_t)len, 1, name, error) : NULL;
    if (!bytes)
        return FALSE;
    if (coder->method == METHOD_COPY && streams->pack_size == len)
        memcpy(bytes, packed, (size_t)len);
    else if (coder->method == METHOD_COPY ||
             !run_lzma(coder, packed, (size_t)streams->pack_size, bytes, (size_t)len))
        return seven_zip_fail_damaged(name, error);
    *ret_bytes = g_steal_pointer(&bytes);
    *header = (Header){.at = *ret_bytes, .end = *ret_bytes + len};
    return TRUE;
}

/* Reads the unpacked header and adds its folders to @streams. */
static gboolean read_main(Header *header, const char *name, Streams *streams, GError **error)
{
    uint8_t id;

    if (header_byte(header) != ID_HEADER)
        return seven_zip_fail_damaged(name, error);
    id = header_byte(header);
    if (id == ID_STREAMS)
        return read_streams(header, streams) || seven_zip_fail_damaged(name, error);
    /* The properties of an archive would come before the streams. No program writes them. */
    return (!header->bad && (id == ID_FILES || id == ID_END)) || refuse_packing(name, error);
}

gboolean import_7z_memory(CstBlob *blob, const char *name, uint64_t *ret_memory, GError **error)
{
    g_autofree uint8_t *bytes = NULL, *unpacked = NULL;
    uint8_t start[START];
    Streams packed = {0}, streams = {0};
    Header header;
    uint64_t size;

    *ret_memory = 0;
    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size < START)
        return seven_zip_fail_damaged(name, error);
    if (!cst_blob_pread(blob, start, sizeof(start), 0, error))
        return FALSE;
    if (cst_le64(start + 20) == 0)
        return TRUE; /* an archive without files */
    bytes = seven_zip_read_header(blob, name, cst_le64(start + 12), cst_le64(start + 20), error);
    if (!bytes)
        return FALSE;
    header = (Header){.at = bytes, .end = bytes + cst_le64(start + 20)};
    if (*bytes == ID_ENCODED) {
        header_byte(&header);
        if (!read_streams(&header, &packed))
            return seven_zip_fail_damaged(name, error);
        if (!unpack_header(blob, name, &header, &packed, &unpacked, error))
            return FALSE;
    }
    if (!read_main(&header, name, &streams, error))
        return FALSE;
    *ret_memory = MAX(packed.memory, streams.memory);
    return TRUE;
}
