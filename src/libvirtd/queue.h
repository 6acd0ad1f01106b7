/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#define QUEUE_PIECE_MAX 262144 /* bytes of one piece */

/** Data and holes of a stream, in order. Not thread-safe: the owner's lock guards it. */
typedef struct {
    GQueue pieces;
    size_t bytes; /* of data */
} DataQueue;

/** Whether the next piece should wait. Bounds the memory of a stream. */
gboolean data_queue_is_full(const DataQueue *queue);
gboolean data_queue_is_empty(const DataQueue *queue);

/** Append a copy of @data, or a hole. Adjacent holes become one. */
void data_queue_push(DataQueue *queue, const char *data, size_t len);
void data_queue_push_hole(DataQueue *queue, gint64 length);

/** Returns the length of the hole at the head; 0: no hole is at the head. */
gint64 data_queue_hole(const DataQueue *queue);
/** Returns the length of the data at the head; 0: no data is at the head. */
size_t data_queue_data(const DataQueue *queue);

/** Moves up to @len bytes from the data at the head into @ret_data. Returns their number. */
size_t data_queue_pop(DataQueue *queue, char *ret_data, size_t len);
/** Removes up to @length bytes from the hole at the head. */
void data_queue_pop_hole(DataQueue *queue, gint64 length);

void data_queue_clear(DataQueue *queue);
