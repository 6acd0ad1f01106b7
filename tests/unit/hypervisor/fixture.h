/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <hypervisor/hypervisor.h>

extern char *fake_dir;      /* of one test; it has the file "disk" */
extern GString *fake_state; /* of the fake, written before each question */

int fake_setup(void **unused);
int fake_teardown(void **unused);

/** Returns the path of a file in the directory. The caller frees it. */
char *fake_at(const char *name);
void fake_write_file(const char *name, const char *text);
/** Whether a file of the test exists. */
gboolean fake_file_exists(const char *name);
/** Writes the document of a domain. "DIR" in @disks is the directory. */
void fake_write_document(const char *name, const char *disks);
/** Appends lines to the state of the fake. */
void fake_add(const char *format, ...) G_GNUC_PRINTF(1, 2);
/** Adds domain web1 whose disk vda is "disk", and its document. */
void fake_add_domain(const char *domain_state);
/** Returns how often the fake was called with @line. */
guint fake_calls(const char *line);
/** Returns a connection to qemu:///system. */
CstHypervisor *fake_hypervisor(unsigned deadline_s);
/** Asks for the domains of "disk", which is volume v of pool p. */
GPtrArray *fake_ask(CstHypervisor *hypervisor, GError **error);
/** Asks, and expects @count disks. */
GPtrArray *fake_find(guint count);
