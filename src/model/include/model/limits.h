/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/** Bounds on untrusted documents, checked before they are parsed (xml_read.c, xml_guard.c). */

/** Largest pool, volume, secret or source document, in bytes without the final NUL. */
#define CST_XML_MAX_BYTES (1024 * 1024)

/** Maximum number of attributes of one element. libxml2's run time is quadratic in their number. */
#define CST_XML_MAX_ATTRIBUTES 512
