/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes the descriptor: a separate file, or the space that the header of the single extent
 * reserves. Only differing sectors are written. The text never gets shorter: it is padded with
 * newlines in a file and with zeroes in an extent. A content ID keeps its length, so changing it
 * writes one sector, or two if it crosses a sector's border. Callers hold vmdk->lock;
 * vmdk_begin_writing() acquires it itself.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "vmdk.h"

uint32_t vmdk_new_cid(uint32_t old)
{
    uint32_t cid;

    do
        cid = g_random_int();
    while (cid == old || cid == VMDK_NO_PARENT);
    return cid;
}

/* Returns the text as stored in the file, padded to @len bytes. */
static uint8_t *lay_out(const Vmdk *vmdk, const char *text, size_t len, GError **error)
{
    uint8_t *bytes = cst_alloc(len, 1, vmdk->blob->name, error);
    size_t n = MIN(strlen(text), len);

    if (!bytes)
        return NULL;
    memset(bytes, vmdk->text_room ? 0 : '\n', len);
    memcpy(bytes, text, n);
    return bytes;
}

static gboolean write_text(Vmdk *vmdk, const char *text, GError **error)
{
    size_t old_len = strlen(vmdk->descriptor.text), len = MAX(old_len, strlen(text));
    g_autofree uint8_t *new_bytes = NULL, *old_bytes = NULL;

    if (len > (vmdk->text_room ? vmdk->text_room : VMDK_MAX_DESCRIPTOR))
        return cst_fail(error, CST_ERROR_LIMIT, _("the VMDK descriptor of '%s' has no more room"),
                        vmdk->blob->name);
    new_bytes = lay_out(vmdk, text, len, error);
    old_bytes = new_bytes ? lay_out(vmdk, vmdk->descriptor.text, len, error) : NULL;
    if (!old_bytes)
        return FALSE;
    for (size_t at = 0; at < len; at += VMDK_SECTOR) {
        size_t n = MIN(VMDK_SECTOR, len - at);

        if ((at + n > old_len || memcmp(old_bytes + at, new_bytes + at, n) != 0) &&
            !cst_blob_pwrite(vmdk->blob, new_bytes + at, n, vmdk->text_place + at, error))
            return FALSE;
    }
    g_free(vmdk->descriptor.text);
    vmdk->descriptor.text = g_strndup((const char *)new_bytes, len);
    return TRUE;
}

gboolean vmdk_text_write(Vmdk *vmdk, GError **error)
{
    g_autofree char *text = vmdk_descriptor_render(&vmdk->descriptor);

    return write_text(vmdk, text, error);
}

/* Blank lines and comments that may be removed. The first line and Cistern's own comments stay. */
static gboolean is_filler(const char *line)
{
    return *line == '\n' || (g_str_has_prefix(line, "# ") || g_str_has_prefix(line, "#\n") ||
                             g_str_has_prefix(line, "#DDB\n"));
}

/*
 * Fits @head into the first sector without moving the text after it. Blank lines make @head longer;
 * removed filler makes it shorter. FALSE: it is too long.
 */
static gboolean fit_head(GString *head, gboolean exactly)
{
    char *line = strchr(head->str, '\n');
    const char *parent;

    while (head->len > VMDK_SECTOR && line && line[1] != '\0') {
        const char *end = strchr(line + 1, '\n');

        if (!end || !is_filler(line + 1)) {
            line = (char *)end;
            continue;
        }
        g_string_erase(head, line + 1 - head->str, end - line);
        line = strchr(head->str, '\n');
    }
    if (head->len > VMDK_SECTOR)
        return FALSE;
    parent = strstr(head->str, "\nparentCID=");
    while (exactly && parent && head->len < VMDK_SECTOR)
        g_string_insert_c(head, parent + 1 - head->str, '\n');
    return !exactly || head->len == VMDK_SECTOR;
}

gboolean vmdk_text_switch(Vmdk *vmdk, GError **error)
{
    const char *old = vmdk->descriptor.text;
    const char *tail = strlen(old) > VMDK_SECTOR ? old + VMDK_SECTOR : "";
    g_autofree char *text = NULL;
    GString *head;
    gboolean fits;

    vmdk->descriptor.other_parent = TRUE;
    text = vmdk_descriptor_render(&vmdk->descriptor);
    vmdk->descriptor.other_parent = FALSE;
    fits = g_str_has_suffix(text, tail);
    head = g_string_new_len(text, (gssize)(strlen(text) - (fits ? strlen(tail) : 0)));
    fits = fits && fit_head(head, *tail != '\0');
    g_string_append(head, tail);
    g_free(text);
    text = g_string_free(head, FALSE);
    if (!fits)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the descriptor of '%s' has no room where its parent could be changed "
                          "safely; convert the image instead"),
                        vmdk->blob->name);
    return write_text(vmdk, text, error) && cst_blob_flush(vmdk->blob, error);
}

static gboolean change_cid(Vmdk *vmdk, GError **error)
{
    uint32_t old = vmdk->descriptor.cid;

    if (g_atomic_int_get(&vmdk->changed))
        return TRUE;
    if (vmdk->descriptor.text && !(vmdk->how.image.flags & CST_IMAGE_SAME_CONTENT)) {
        vmdk->descriptor.cid = vmdk->next_cid ? vmdk->next_cid : vmdk_new_cid(old);
        if (!vmdk_text_write(vmdk, error) ||
            (vmdk->barriers && !cst_blob_flush(vmdk->blob, error))) {
            vmdk->descriptor.cid = old;
            return FALSE;
        }
    }
    g_atomic_int_set(&vmdk->changed, TRUE);
    return TRUE;
}

gboolean vmdk_begin_writing(Vmdk *vmdk, GError **error)
{
    gboolean ok;

    if (g_atomic_int_get(&vmdk->changed))
        return TRUE;
    g_mutex_lock(&vmdk->lock);
    ok = change_cid(vmdk, error);
    g_mutex_unlock(&vmdk->lock);
    return ok;
}
