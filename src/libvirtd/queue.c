/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data and holes of a stream between libvirtd's event loop and the stream's thread. */
#include "queue.h"

#include <string.h>

#define BYTES_MAX  (4 * QUEUE_PIECE_MAX)
#define PIECES_MAX 64 /* bounds small pieces and holes */

typedef struct {
    char *data; /* NULL: a hole */
    size_t len, used;
    gint64 hole;
} Piece;

static void piece_free(gpointer data)
{
    Piece *piece = data;

    g_free(piece->data);
    g_free(piece);
}

gboolean data_queue_is_full(const DataQueue *queue)
{
    return queue->bytes >= BYTES_MAX || queue->pieces.length >= PIECES_MAX;
}

gboolean data_queue_is_empty(const DataQueue *queue)
{
    return queue->pieces.length == 0;
}

void data_queue_push(DataQueue *queue, const char *data, size_t len)
{
    Piece *piece = g_new0(Piece, 1);

    piece->data = g_malloc(len);
    memcpy(piece->data, data, len);
    piece->len = len;
    queue->bytes += len;
    g_queue_push_tail(&queue->pieces, piece);
}

void data_queue_push_hole(DataQueue *queue, gint64 length)
{
    Piece *tail = g_queue_peek_tail(&queue->pieces);

    if (length <= 0)
        return;
    if (!tail || tail->data || tail->hole > G_MAXINT64 - length) {
        tail = g_new0(Piece, 1);
        g_queue_push_tail(&queue->pieces, tail);
    }
    tail->hole += length;
}

gint64 data_queue_hole(const DataQueue *queue)
{
    const Piece *head = queue->pieces.head ? queue->pieces.head->data : NULL;

    return head && !head->data ? head->hole : 0;
}

size_t data_queue_data(const DataQueue *queue)
{
    const Piece *head = queue->pieces.head ? queue->pieces.head->data : NULL;

    return head && head->data ? head->len - head->used : 0;
}

static void drop_head(DataQueue *queue)
{
    piece_free(g_queue_pop_head(&queue->pieces));
}

size_t data_queue_pop(DataQueue *queue, char *ret_data, size_t len)
{
    size_t count = MIN(len, data_queue_data(queue));
    Piece *head = g_queue_peek_head(&queue->pieces);

    if (count == 0)
        return 0;
    memcpy(ret_data, head->data + head->used, count);
    head->used += count;
    queue->bytes -= count;
    if (head->used == head->len)
        drop_head(queue);
    return count;
}

void data_queue_pop_hole(DataQueue *queue, gint64 length)
{
    Piece *head = g_queue_peek_head(&queue->pieces);

    if (data_queue_hole(queue) == 0)
        return;
    head->hole -= MIN(length, head->hole);
    if (head->hole == 0)
        drop_head(queue);
}

void data_queue_clear(DataQueue *queue)
{
    g_queue_clear_full(&queue->pieces, piece_free);
    queue->bytes = 0;
}
