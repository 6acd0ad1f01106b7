/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Directory of libvirt's RelaxNG schemas that the VALIDATE flags check against. They come with
 * libvirt's own packages; without them a request to validate fails with ARGUMENT_UNSUPPORTED.
 */
#define CST_SCHEMA_DIR "/usr/share/libvirt/schemas"

/** Uses @dir instead, NULL: CST_SCHEMA_DIR again. Call before threads parse (tests, start-up). */
void cst_schema_set_dir(const char *dir);
