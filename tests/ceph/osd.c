/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>
#include <string.h>

/*
 * What OSDs answer to the methods of the class "rbd": little-endian integers, strings after their
 * length, structs after their version, the oldest version that may read them, and their length.
 */

static void add_int(GByteArray *answer, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        g_byte_array_append(answer, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static void add_string(GByteArray *answer, const char *text)
{
    add_int(answer, strlen(text), 4);
    g_byte_array_append(answer, (const uint8_t *)text, (guint)strlen(text));
}

static void add_struct(GByteArray *answer, GByteArray *content)
{
    add_int(answer, 1, 1);
    add_int(answer, 1, 1);
    add_int(answer, content->len, 4);
    g_byte_array_append(answer, content->data, content->len);
    g_byte_array_unref(content);
}

static void parent_get(Image *image, GByteArray *answer)
{
    GByteArray *content = g_byte_array_new();
    Image *parent = image->head.parent;

    add_int(content, parent ? (uint64_t)parent->space->pool->id : UINT64_MAX, 8);
    add_string(content, parent ? parent->space->name : "");
    add_string(content, parent ? parent->id : "");
    add_int(content, image->head.parent_snap, 8);
    add_struct(answer, content);
}

/* Two bits an object, of which 01 is "there" and 00 "not there". */
static int object_map_load(Image *image, GByteArray *answer)
{
    uint64_t objects = (image->head.size + (UINT64_C(1) << image->order) - 1) >> image->order;
    GByteArray *content = g_byte_array_new();
    uint8_t bits = 0;

    add_int(answer, 14, 4);
    add_int(content, objects, 8);
    add_struct(answer, content);
    for (uint64_t i = 0; i < objects; i++) {
        if (fake_layer_has_object(&image->head, image->order, i, FALSE))
            bits |= (uint8_t)(1 << (6 - i % 4 * 2));
        if (i % 4 == 3 || i + 1 == objects) {
            g_byte_array_append(answer, &bits, 1);
            bits = 0;
        }
    }
    return 0;
}

static int directory(Space *space, const char *question, size_t len, GByteArray *answer)
{
    g_autofree char *id = g_strndup(question + 4, len - 4);
    Image *image = fake_image_by_id(space, id);

    if (!image)
        return -ENOENT;
    add_string(answer, image->name);
    return 0;
}

static int header(Image *image, const char *method, const char *question, size_t len,
                  GByteArray *answer)
{
    static const uint8_t head[8] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (strcmp(method, "parent_get") == 0) {
        parent_get(image, answer);
        return 0;
    }
    if (len != sizeof(head) || memcmp(question, head, len) != 0)
        return -EINVAL;
    if (strcmp(method, "get_size") == 0) {
        add_int(answer, (uint64_t)image->order, 1);
        add_int(answer, image->head.size, 8);
    } else if (strcmp(method, "get_features") == 0) {
        add_int(answer, image->features, 8);
        add_int(answer, image->features, 8);
    } else if (strcmp(method, "get_flags") == 0) {
        add_int(answer, image->flags, 8);
    } else {
        return -EOPNOTSUPP;
    }
    return 0;
}

static const char *behind(const char *text, const char *prefix)
{
    return g_str_has_prefix(text, prefix) ? text + strlen(prefix) : NULL;
}

/* Of an image of the old format: "NAME.rbd", and nothing else. */
static int old_header(Space *space, const char *object)
{
    g_autofree char *name = g_str_has_suffix(object, ".rbd")
                                ? g_strndup(object, strlen(object) - strlen(".rbd"))
                                : NULL;
    Image *image = name ? fake_image(space, name) : NULL;

    return image && !*image->id ? 0 : -ENOENT;
}

int fake_osd_answer(Space *space, const char *object, const char *method, const char *question,
                    size_t len, GByteArray *answer)
{
    const char *rest;
    Image *image;

    if (!method)
        return old_header(space, object);
    if (strcmp(object, "rbd_directory") == 0)
        return directory(space, question, len, answer);
    rest = behind(object, "rbd_id.");
    if (rest) {
        image = fake_image(space, rest);
        if (!image || !*image->id || strcmp(method, "get_id") != 0)
            return -ENOENT;
        add_string(answer, image->id);
        return 0;
    }
    rest = behind(object, "rbd_header.");
    image = rest ? fake_image_by_id(space, rest) : NULL;
    if (image)
        return header(image, method, question, len, answer);
    rest = behind(object, "rbd_object_map.");
    image = rest ? fake_image_by_id(space, rest) : NULL;
    return image && (image->features & FEATURE_OBJECT_MAP) ? object_map_load(image, answer)
                                                           : -ENOENT;
}
