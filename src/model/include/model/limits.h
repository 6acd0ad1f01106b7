/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/** Bounds on what comes from outside, checked before anything is parsed. */

/** Largest pool, volume, secret or source document, in bytes without the final NUL. */
#define CST_XML_MAX_BYTES (1024 * 1024)

/** Most attributes of one element: the parser's work grows with their square. */
#define CST_XML_MAX_ATTRIBUTES 512
