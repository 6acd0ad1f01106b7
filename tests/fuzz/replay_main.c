/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over files and directories of inputs without libFuzzer, so that every input
 * that was ever worth keeping is an ordinary test with any compiler and any sanitizer. */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static unsigned replay_file(const char *path)
{
    g_autofree char *data = NULL;
    uint8_t *exact;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        fprintf(stderr, "can't read %s\n", path);
        exit(1);
    }
    /* Without the NUL that GLib puts behind it, so that a sanitizer sees one byte too far. */
    exact = g_malloc(len + (len == 0));
    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
    g_free(exact);
    return 1;
}

static unsigned replay(const char *path)
{
    g_autoptr(GDir) dir = NULL;
    const char *name;
    unsigned count = 0;

    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return replay_file(path);
    dir = g_dir_open(path, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *inside = g_build_filename(path, name, NULL);

        count += replay(inside);
    }
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    if (count == 0) {
        fprintf(stderr, "usage: %s FILE|DIRECTORY…: no inputs\n", argv[0]);
        return 1;
    }
    printf("%u inputs\n", count);
    return 0;
}
