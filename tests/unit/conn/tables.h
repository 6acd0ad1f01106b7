/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ask_type.h"
#include "client_private.h"

/** Asserts that the client waits for no reply and has no stream. */
static inline void assert_tables_empty(const CstWireClient *client)
{
    assert_int_equal(g_hash_table_size(client->pending), 0);
    assert_int_equal(g_hash_table_size(client->streams), 0);
}

/** The connection works, and the tables are empty. */
static inline void assert_goes_on(CstWireClient *client)
{
    g_autofree char *type = ask_type(client, NULL);

    assert_string_equal(type, STORAGE);
    assert_tables_empty(client);
}
