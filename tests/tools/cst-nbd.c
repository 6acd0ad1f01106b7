/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: cst-nbd SOCKET|PORT FILE [ro|rw [FORMAT [PSKFILE|DIR]]]
 *
 * Serves the guest's view of the image FILE (raw unless told), with its dirty bitmaps, until it is
 * terminated, then flushes it. "PORT" and its number are printed once it listens.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <image/bitmap.h>
#include <image/image.h>
#include <nbd/server.h>

static CstTask *task;

static void on_signal(int number)
{
    cst_task_cancel(task);
}

static GError *error; /* of the call that must() looks at */

static void must(gboolean ok)
{
    if (ok)
        return;
    fprintf(stderr, "cst-nbd: %s\n", error ? error->message : "failed");
    exit(1);
}

/* All bitmaps of the image, which must do. */
static GPtrArray *bitmaps_of(CstImage *image)
{
    g_autoptr(GPtrArray) list = cst_image_bitmap_list(image, NULL);
    GPtrArray *bitmaps = g_ptr_array_new_with_free_func(cst_nbd_bitmap_free);

    for (guint i = 0; list && i < list->len; i++) {
        const CstImageBitmap *from = g_ptr_array_index(list, i);
        CstNbdBitmap *to = g_new0(CstNbdBitmap, 1);

        to->name = g_strdup(from->name);
        to->ranges = cst_image_bitmap_ranges(image, from->name, G_MAXUINT, NULL, &error);
        must(to->ranges != NULL);
        g_ptr_array_add(bitmaps, to);
    }
    return bitmaps;
}

int main(int argc, char **argv)
{
    gboolean writable = !(argc > 3 && strcmp(argv[3], "ro") == 0);
    const char *format = argc > 4 ? argv[4] : "raw";
    CstNbdExport export = {.name = "disk", .description = "a disk", .writable = writable};
    CstNbdServer *server;
    CstImage *image;
    CstBlob *file;
    guint16 port = 0;

    if (argc < 3)
        return 2;
    task = cst_task_new();
    signal(SIGTERM, on_signal);
    file = cst_blob_file_open(argv[2], writable, &error);
    must(file != NULL);
    image = cst_image_open(file, cst_image_format_find(format, NULL),
                           writable ? CST_IMAGE_WRITE : 0, NULL, &error);
    must(image != NULL);
    export.bitmaps = bitmaps_of(image);
    export.blob = cst_image_guest_blob(image);
    server = cst_nbd_server_new(&export, &error);
    must(server != NULL);
    if (argc > 5) {
        CstNbdTls *tls = g_file_test(argv[5], G_FILE_TEST_IS_DIR)
                             ? cst_nbd_tls_new_certificates(argv[5], &error)
                             : cst_nbd_tls_new_psk(argv[5], &error);

        must(tls != NULL);
        cst_nbd_server_set_tls(server, tls);
    }
    if (strcmp(argv[1], "PORT") == 0)
        must(cst_nbd_server_listen_tcp(server, "127.0.0.1", 0, &port, &error));
    else
        must(cst_nbd_server_listen_unix(server, argv[1], getuid(), &error));
    printf("PORT %u\n", port);
    fflush(stdout);
    must(cst_nbd_server_run(server, task, &error));
    must(cst_blob_flush(export.blob, &error));
    cst_nbd_server_free(server);
    g_ptr_array_unref(export.bitmaps);
    cst_blob_unref(export.blob);
    cst_blob_unref(file);
    cst_task_unref(task);
    return 0;
}
