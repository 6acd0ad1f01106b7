/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Members of libvirt's objects, found at run time. An object is a header of some words and then:
 *
 *   volume   conn, pool, name, key, private data, free function
 *   stream   conn, flags, driver, private data, free function
 *
 * A public accessor returns conn and name, so their words are recognised by value. FIRST and LAST
 * are the words at which conn can be: the header has 2 words in old versions and 4 since GObject.
 */
#include "layout.h"

#include "symbols.h"

#define FIRST_WORD 1
#define LAST_WORD  4

static gint stream_word; /* word of a stream that has its conn; 0: unknown yet. Atomic. */

enum { STREAM_FLAGS = 1, STREAM_DRIVER, STREAM_DATA, STREAM_FREE }; /* words after conn */

const char *layout_pool_name(virStorageVolPtr vol)
{
    void **words = (void **)vol;
    const void *conn = virStorageVolGetConnect(vol), *name = virStorageVolGetName(vol);

    for (int i = FIRST_WORD; i <= LAST_WORD; i++)
        if (words[i] == conn && words[i + 2] == name && words[i + 1])
            return words[i + 1];
    module_fail(
        VIR_ERR_INTERNAL_ERROR,
        "cannot find the pool of volume '%s': this libvirt has an unknown layout of volumes",
        virStorageVolGetName(vol));
    return NULL;
}

static unsigned stream_flags(void **words, int word)
{
    return *(unsigned *)&words[word + STREAM_FLAGS];
}

static gboolean is_new_stream(void **words, int word, virConnectPtr conn)
{
    return words[word] == conn && !words[word + STREAM_DRIVER] && !words[word + STREAM_DATA] &&
           !words[word + STREAM_FREE];
}

gboolean layout_find_stream(virConnectPtr conn)
{
    virStreamPtr stream;
    int found = 0;

    if (g_atomic_int_get(&stream_word))
        return TRUE;
    stream = virStreamNew(conn, VIR_STREAM_NONBLOCK);
    if (!stream)
        return FALSE;
    for (int i = FIRST_WORD; i <= LAST_WORD && !found; i++)
        if (is_new_stream((void **)stream, i, conn) &&
            stream_flags((void **)stream, i) == VIR_STREAM_NONBLOCK)
            found = i;
    virStreamFree(stream);
    g_atomic_int_set(&stream_word, found);
    if (!found)
        module_fail(VIR_ERR_INTERNAL_ERROR, "%s",
                    "cannot open a stream: this libvirt has an unknown layout of streams");
    return found != 0;
}

gboolean layout_set_stream(virStreamPtr stream, virConnectPtr conn, const StreamDriver *driver,
                           void *data, virFreeCallback free_data)
{
    void **words = (void **)stream;
    int word = g_atomic_int_get(&stream_word);

    if (!is_new_stream(words, word, conn)) {
        module_fail(VIR_ERR_INTERNAL_ERROR, "%s",
                    "cannot use a stream that is not new or is of another connection");
        return FALSE;
    }
    words[word + STREAM_DRIVER] = (void *)driver;
    words[word + STREAM_DATA] = data;
    words[word + STREAM_FREE] = (void *)free_data;
    return TRUE;
}

void *layout_stream_data(virStreamPtr stream)
{
    return ((void **)stream)[g_atomic_int_get(&stream_word) + STREAM_DATA];
}

gboolean layout_stream_is_nonblocking(virStreamPtr stream)
{
    return (stream_flags((void **)stream, g_atomic_int_get(&stream_word)) & VIR_STREAM_NONBLOCK) !=
           0;
}
