/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decompression of a reader into another reader. Members may be concatenated, as pigz, `cat a.gz
 * b.gz` and zstd's frames do. Zeroes after the last member are padding, as on a tape or in xz.
 *
 * A decompression bomb is a small file that unpacks to a huge one. The user's limit bounds it, or
 * else import_check_expansion().
 */
#include "unpack.h"

#include <string.h>

#include <base/i18n.h>

#include "codec.h"

#define INPUT      (256u << 10)
#define BZIP2_HEAD 10 /* "BZh", the block size, and the magic of a block or of the end */

typedef struct {
    ImportReader head;
    ImportReader *packed;
    const ImportCodec *codec;
    const ImportContext *context;
    gpointer state;
    gboolean in_member; /* inside a member */
    gboolean padding;   /* a member has ended: zeroes may follow */
    uint64_t made;      /* bytes */
    uint64_t memory;    /* bytes of the codec that are counted in its origin */
    size_t have, used;  /* of input */
    uint8_t input[INPUT];
} Unpacker;

/* Also requires the magic of the first block or of the end, because "BZh9" may be text. */
static gboolean is_bzip2(const uint8_t *head, size_t len)
{
    return len >= BZIP2_HEAD && head[3] >= '1' && head[3] <= '9' &&
           (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
            memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static const ImportCodec *const codecs[IMPORT_CODECS] = {&import_codec_gzip, &import_codec_xz,
                                                         &import_codec_zstd, &import_codec_bzip2};

const ImportCodec *import_codec_probe(const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < IMPORT_CODECS; i++)
        if (len >= codecs[i]->magic_len &&
            memcmp(head, codecs[i]->magic, codecs[i]->magic_len) == 0)
            return codecs[i] != &import_codec_bzip2 || is_bzip2(head, len) ? codecs[i] : NULL;
    return NULL;
}

size_t import_codec_strip(const char *name, size_t len)
{
    for (size_t i = 0; i < IMPORT_CODECS; i++) {
        size_t ending = strlen(codecs[i]->ending);

        if (len > ending &&
            g_ascii_strncasecmp(name + len - ending, codecs[i]->ending, ending) == 0)
            return len - ending;
    }
    return len;
}

static gboolean unpacker_check_output(const Unpacker *self, GError **error)
{
    /* Each nested compression has its own ratio, so compare with the bytes of the origin. */
    uint64_t read = self->head.origin->taken;

    if (!import_check_size(self->context, self->made, self->head.name, error))
        return FALSE;
    return import_check_expansion(self->context, self->made, read, self->head.name, error);
}

/* Reads more input if all input is consumed. */
static gboolean unpacker_refill(Unpacker *self, GError **error)
{
    if (self->used < self->have)
        return TRUE;
    self->used = 0;
    return import_reader_read(self->packed, self->input, INPUT, &self->have, error);
}

/* Finds the next member, between members. *ret_more FALSE: there is no further member. */
static gboolean next_member(Unpacker *self, gboolean *ret_more, GError **error)
{
    *ret_more = FALSE;
    do {
        if (!unpacker_refill(self, error))
            return FALSE;
        while (self->padding && self->used < self->have && self->input[self->used] == 0)
            self->used++;
    } while (self->used == self->have && self->have > 0);
    if (self->have == 0)
        return TRUE;
    if (self->input[self->used] != self->codec->magic[0] && self->codec != &import_codec_zstd)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' has other data after its %s data"),
                        self->head.name, self->codec->name);
    if (!self->codec->reset(self->state))
        return cst_fail(error, CST_ERROR_NO_MEMORY, _("no memory to unpack '%s'"), self->head.name);
    self->in_member = *ret_more = TRUE;
    return TRUE;
}

/* Returns whether a step had input but consumed and produced no bytes. This would loop for ever. */
static gboolean is_stuck(const Unpacker *self, const ImportCodecStep *step, size_t made)
{
    return made == 0 && self->have > 0 && step->in_len == self->have - self->used;
}

/*
 * Counts the codec's memory. Returns FALSE if all decompressors over the origin exceed the limit.
 */
static gboolean unpacker_count_memory(Unpacker *self)
{
    ImportReader *origin = self->head.origin;
    uint64_t memory = self->codec->memory ? self->codec->memory(self->state) : 0;

    origin->memory += memory - self->memory;
    self->memory = memory;
    return origin->memory <= IMPORT_CHAIN_MEMORY;
}

/* Runs one step of the codec. *ret_len may be 0. */
static gboolean run_step(Unpacker *self, uint8_t *buf, size_t len, size_t *ret_len, GError **error)
{
    ImportCodecStep step = {self->input + self->used, self->have - self->used, buf, len};
    ImportCodecResult result = self->codec->step(self->state, &step);

    *ret_len = len - step.out_len;
    self->made += *ret_len;
    if (!unpacker_count_memory(self) || result == CODEC_MEMORY)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' needs too much memory to be unpacked"),
                        self->head.name);
    if (result == CODEC_DAMAGED || (result == CODEC_MORE && is_stuck(self, &step, *ret_len)))
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: its %s data are invalid"),
                        self->head.name, self->codec->name);
    if (result == CODEC_MORE && *ret_len == 0 && self->have == 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' ends in the middle of its %s data"),
                        self->head.name, self->codec->name);
    self->used = self->have - step.in_len;
    self->in_member = result != CODEC_END;
    self->padding = !self->in_member;
    return unpacker_check_output(self, error);
}

static gboolean unpacker_begin(Unpacker *self, GError **error)
{
    if (self->codec->library && !cst_library_load(self->codec->library, error))
        return FALSE;
    self->state = self->codec->begin();
    return self->state ||
           cst_fail(error, CST_ERROR_NO_MEMORY, _("no memory to unpack '%s'"), self->head.name);
}

static gboolean unpack_read(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                            GError **error)
{
    Unpacker *self = (Unpacker *)reader;
    gboolean more = TRUE;

    *ret_len = 0;
    if (!self->state && !unpacker_begin(self, error))
        return FALSE;
    len = MIN(len, IMPORT_STEP);
    while (*ret_len == 0) {
        if (!cst_task_check(reader->task, error))
            return FALSE;
        if (!self->in_member && !next_member(self, &more, error))
            return FALSE;
        if (!more)
            return TRUE;
        if (!unpacker_refill(self, error) || !run_step(self, buf, len, ret_len, error))
            return FALSE;
    }
    return TRUE;
}

static void unpack_free(ImportReader *reader)
{
    Unpacker *self = (Unpacker *)reader;

    if (self->state)
        self->codec->end(self->state);
    import_reader_free(self->packed);
    g_free(self);
}

ImportReader *import_unpack(ImportReader *packed, const ImportCodec *codec,
                            const ImportContext *context)
{
    static const ImportReaderOps ops = {unpack_read, unpack_free};
    Unpacker *self = g_new0(Unpacker, 1);

    import_reader_init(&self->head, &ops, packed->name, packed->task);
    self->head.origin = packed->origin;
    self->packed = packed;
    self->codec = codec;
    self->context = context;
    return &self->head;
}
