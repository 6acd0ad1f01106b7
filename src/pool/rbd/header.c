/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the properties of an image from OSDs; see header.h. All method calls for an object are in
 * one read operation, so that an image's header takes one round trip. The answers come from the
 * network, so every length is checked. An image with an invalid answer is left to librbd.
 */
#include "header.h"

#include <string.h>

#include <base/units.h>

#define FEATURE_FAST_DIFF (UINT64_C(1) << 4)
#define ORDER_MAX         25 /* objects of 32 MiB, the largest of librbd */
#define NAME_MAX_LEN      4096

/* The snapshot id of the image's head. */
static const uint8_t head_snapshot[8] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void cst_rbd_header_clear(RbdHeader *header)
{
    g_clear_pointer(&header->parent_namespace, g_free);
    g_clear_pointer(&header->parent_id, g_free);
    g_clear_pointer(&header->parent, g_free);
}

void cst_rbd_answers_clear(const CstCeph *ceph, RbdAnswers *answers)
{
    for (size_t i = 0; i < RBD_ANSWERS_MAX; i++)
        if (answers->data[i])
            ceph->rados_buffer_free(answers->data[i]);
    memset(answers, 0, sizeof(*answers));
}

/* --- requests --------------------------------------------------------------------------------- */

/* Adds one method call. @of_head: its argument is the snapshot id of the image's head. */
static void header_add_query(const CstCeph *ceph, rados_read_op_t op, RbdAnswers *answers, size_t i,
                             const char *method, gboolean of_head)
{
    ceph->rados_read_op_exec(op, "rbd", method, of_head ? (const char *)head_snapshot : "",
                             of_head ? sizeof(head_snapshot) : 0, &answers->data[i],
                             &answers->len[i], &answers->result[i]);
}

char *cst_rbd_id_ask(const CstCeph *ceph, rados_read_op_t op, const char *name, RbdAnswers *answers)
{
    header_add_query(ceph, op, answers, 0, "get_id", FALSE);
    return g_strconcat("rbd_id.", name, NULL);
}

/* An image of format 1 has the object "NAME.rbd". */
char *cst_rbd_old_ask(const CstCeph *ceph, rados_read_op_t op, const char *name)
{
    ceph->rados_read_op_stat(op, NULL, NULL, NULL);
    return g_strconcat(name, ".rbd", NULL);
}

/* The argument is an encoded string: a little-endian length and the bytes. */
char *cst_rbd_name_ask(const CstCeph *ceph, rados_read_op_t op, const char *id, RbdAnswers *answers)
{
    uint32_t len = (uint32_t)strlen(id);
    g_autofree char *question = g_malloc(sizeof(uint32_t) + len);

    for (size_t i = 0; i < sizeof(uint32_t); i++)
        question[i] = (char)(len >> (8 * i));
    memcpy(question + sizeof(uint32_t), id, len);
    ceph->rados_read_op_exec(op, "rbd", "dir_get_name", question, sizeof(uint32_t) + len,
                             &answers->data[0], &answers->len[0], &answers->result[0]);
    return g_strdup("rbd_directory");
}

char *cst_rbd_header_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                         RbdAnswers *answers)
{
    header_add_query(ceph, op, answers, 0, "get_size", TRUE);
    header_add_query(ceph, op, answers, 1, "get_features", TRUE);
    header_add_query(ceph, op, answers, 2, "get_flags", TRUE);
    header_add_query(ceph, op, answers, 3, "parent_get", FALSE);
    return g_strconcat("rbd_header.", id, NULL);
}

char *cst_rbd_map_ask(const CstCeph *ceph, rados_read_op_t op, const char *id, RbdAnswers *answers)
{
    header_add_query(ceph, op, answers, 0, "object_map_load", FALSE);
    return g_strconcat("rbd_object_map.", id, NULL);
}

/* --- decoding: little-endian integers, strings with their length, versioned structs ----------- */

typedef struct {
    const uint8_t *p;
    size_t left;
    gboolean bad;
} Reader;

/*
 * Makes a reader of an answer. If the answer is an error, the reader is bad, and so are all reads
 * from it.
 */
static Reader answer_reader_init(const RbdAnswers *answers, size_t i)
{
    return (Reader){(const uint8_t *)answers->data[i], answers->len[i], answers->result[i] < 0};
}

/* Reads a little-endian integer; 0 if the reader is bad or at its end. */
static uint64_t reader_get_int(Reader *r, size_t bytes)
{
    uint64_t value = 0;

    if (r->bad || r->left < bytes) {
        r->bad = TRUE;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)r->p[i] << (8 * i);
    r->p += bytes;
    r->left -= bytes;
    return value;
}

/* Reads a string, which the caller frees; NULL if it has zero bytes or is too long. */
static char *reader_get_string(Reader *r)
{
    size_t len = (size_t)reader_get_int(r, 4);
    char *text;

    if (r->bad || len > r->left || len > NAME_MAX_LEN || memchr(r->p, 0, len)) {
        r->bad = TRUE;
        return NULL;
    }
    text = g_strndup((const char *)r->p, len);
    r->p += len;
    r->left -= len;
    return text;
}

/* Enters a versioned struct: its version, the oldest compatible version of readers, its length. */
static void enter_struct(Reader *r)
{
    uint64_t compatible, len;

    reader_get_int(r, 1);
    compatible = reader_get_int(r, 1);
    len = reader_get_int(r, 4);
    if (compatible > 1 || len > r->left)
        r->bad = TRUE;
}

char *cst_rbd_id_decode(const RbdAnswers *answers)
{
    Reader r = answer_reader_init(answers, 0);
    char *id = reader_get_string(&r);

    if (id && !*id)
        g_clear_pointer(&id, g_free);
    return id;
}

/* A parent pool of -1 means that the image is not a clone. */
static gboolean decode_parent(const RbdAnswers *answers, RbdHeader *header)
{
    Reader r = answer_reader_init(answers, 3);

    enter_struct(&r);
    header->parent_pool = (int64_t)reader_get_int(&r, 8);
    header->parent_namespace = reader_get_string(&r);
    header->parent_id = reader_get_string(&r);
    if (!r.bad && header->parent_pool < 0) {
        g_clear_pointer(&header->parent_namespace, g_free);
        g_clear_pointer(&header->parent_id, g_free);
    }
    return !r.bad;
}

gboolean cst_rbd_header_decode(const RbdAnswers *answers, RbdHeader *header)
{
    Reader size = answer_reader_init(answers, 0);
    Reader features = answer_reader_init(answers, 1);
    Reader flags = answer_reader_init(answers, 2);

    header->order = (uint8_t)reader_get_int(&size, 1);
    header->size = reader_get_int(&size, 8);
    header->features = reader_get_int(&features, 8);
    header->flags = reader_get_int(&flags, 8);
    return !size.bad && !features.bad && !flags.bad && header->order >= 12 &&
           header->order <= ORDER_MAX && header->size <= G_MAXINT64 &&
           decode_parent(answers, header);
}

gboolean cst_rbd_header_has_map(const RbdHeader *header)
{
    return (header->features & FEATURE_FAST_DIFF) &&
           !(header->flags & (RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID));
}

static uint64_t object_count(const RbdHeader *header)
{
    uint64_t object = UINT64_C(1) << header->order;

    return cst_div_up(header->size, object);
}

uint64_t cst_rbd_header_objects_size(const RbdHeader *header)
{
    return object_count(header) << header->order;
}

/*
 * Counts the existing objects. An object has two bits, and the first object has the highest bits;
 * 00 means that it does not exist.
 */
static uint64_t object_map_count(const uint8_t *bits, uint64_t objects)
{
    uint64_t there = 0;

    for (uint64_t i = 0; i < objects; i++)
        there += (bits[i / 4] >> (6 - i % 4 * 2) & 3) != 0;
    return there;
}

gboolean cst_rbd_map_decode(const RbdAnswers *answers, RbdHeader *header)
{
    Reader r = answer_reader_init(answers, 0);
    uint64_t objects = object_count(header);
    uint64_t listed, there;

    reader_get_int(&r, 4); /* length of the map's own header */
    enter_struct(&r);
    listed = reader_get_int(&r, 8);
    /* If the map is too short, a resize of the image is in progress. */
    if (r.bad || listed < objects || (objects + 3) / 4 > r.left)
        return FALSE;
    there = object_map_count(r.p, objects);
    header->allocated = MIN(there << header->order, header->size);
    header->mapped = TRUE;
    return TRUE;
}
