/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image_writer.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <blob/pipe.h>

struct CliImageWriter {
    CstBlob *pipe;
    CliImageWriteFunc func;
    gpointer data;
    GThread *thread;
    gboolean dry_run, written;
    GError *error;
};

static gpointer write_thread(gpointer data)
{
    CliImageWriter *writer = data;

    cst_dry_run_set(writer->dry_run);
    writer->written = writer->func(writer->pipe, writer->data, &writer->error);
    cst_blob_pipe_leave(writer->pipe);
    return NULL;
}

CliImageWriter *cli_image_writer_new(const char *name, uint64_t capacity, CliImageWriteFunc func,
                                     gpointer data)
{
    CliImageWriter *writer = g_new0(CliImageWriter, 1);

    writer->pipe = cst_blob_pipe_new(name, capacity);
    writer->func = func;
    writer->data = data;
    writer->dry_run = cst_dry_run();
    writer->thread = g_thread_new("image", write_thread, writer);
    return writer;
}

gboolean cli_image_writer_put(const void *bytes, size_t len, uint64_t hole, gpointer writer,
                              GError **error)
{
    return cst_blob_pipe_put(((CliImageWriter *)writer)->pipe, bytes, len, hole, error);
}

gboolean cli_image_writer_end(CliImageWriter *writer, gboolean sent, GError **error)
{
    gboolean written;

    if (!writer)
        return sent;
    cst_blob_pipe_end(writer->pipe, sent || !error ? NULL : *error);
    g_thread_join(writer->thread);
    written = writer->written;
    if (!written) {
        g_clear_error(error);
        g_propagate_error(error, writer->error);
    }
    cst_blob_unref(writer->pipe);
    g_free(writer);
    return written && sent;
}
