/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * The directory of libvirt's RelaxNG schemas, which the VALIDATE flags use. They are part of
 * libvirt's packages. Without them validation fails with ARGUMENT_UNSUPPORTED.
 */
#define CST_SCHEMA_DIR "/usr/share/libvirt/schemas"

/** Sets the directory of the schemas; NULL: CST_SCHEMA_DIR. Call it before other threads parse. */
void cst_schema_set_dir(const char *dir);
