/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Refuses (XML), before the parser sees it, a text on which libxml2 would work for very long: an
 * element with more than CST_XML_MAX_ATTRIBUTES attributes. So that it sees what the parser will
 * see, encodings that are not a superset of ASCII are refused too. Anything else passes, whether
 * well-formed or not. @what names the document.
 */
gboolean cst_xml_guard(const char *text, const char *what, GError **error);
