/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Rejects (XML) a document that libxml2 would parse very slowly: one with an element of more than
 * CST_XML_MAX_ATTRIBUTES attributes. Also rejects encodings that are not supersets of ASCII,
 * because the guard would see other characters than the parser. Accepts any other text, well-formed
 * or not. @what names the document in messages.
 */
gboolean cst_xml_guard(const char *text, const char *what, GError **error);
