/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <encryption> of a volume: its format, the references to its secrets, and for LUKS the cipher
 * and the IV generator. Values of secrets never appear here.
 */
#include "encryption.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "secret_ref.h"

static const char *const format_names[] = {"default", "qcow", "luks", "luks2", NULL};
static const char *const engine_names[] = {"qemu", "librbd", NULL};

static void secret_ref_free(gpointer data)
{
    CstSecretRef *ref = data;

    g_free(ref->usage);
    g_free(ref);
}

CstEncryption *cst_encryption_new(CstEncryptionFormat format)
{
    CstEncryption *encryption = g_new0(CstEncryption, 1);

    encryption->format = format;
    encryption->secrets = g_ptr_array_new_with_free_func(secret_ref_free);
    return encryption;
}

void cst_encryption_add_secret(CstEncryption *encryption, const CstUuid *uuid, const char *usage)
{
    CstSecretRef *ref = g_new0(CstSecretRef, 1);

    ref->by_uuid = uuid != NULL;
    if (uuid)
        ref->uuid = *uuid;
    else
        ref->usage = g_strdup(usage);
    g_ptr_array_add(encryption->secrets, ref);
}

CstEncryption *cst_encryption_copy(const CstEncryption *encryption)
{
    CstEncryption *copy = cst_encryption_new(encryption->format);

    for (guint i = 0; i < encryption->secrets->len; i++) {
        const CstSecretRef *ref = g_ptr_array_index(encryption->secrets, i);

        cst_encryption_add_secret(copy, ref->by_uuid ? &ref->uuid : NULL, ref->usage);
    }
    copy->cipher_name = g_strdup(encryption->cipher_name);
    copy->cipher_size = encryption->cipher_size;
    copy->cipher_mode = g_strdup(encryption->cipher_mode);
    copy->cipher_hash = g_strdup(encryption->cipher_hash);
    copy->ivgen_name = g_strdup(encryption->ivgen_name);
    copy->ivgen_hash = g_strdup(encryption->ivgen_hash);
    copy->engine = g_strdup(encryption->engine);
    return copy;
}

void cst_encryption_free(CstEncryption *encryption)
{
    if (!encryption)
        return;
    g_ptr_array_unref(encryption->secrets);
    g_free(encryption->cipher_name);
    g_free(encryption->cipher_mode);
    g_free(encryption->cipher_hash);
    g_free(encryption->ivgen_name);
    g_free(encryption->ivgen_hash);
    g_free(encryption->engine);
    g_free(encryption);
}

/* Parses <secret type='passphrase' uuid='…'/>, or the same with usage='…'. */
static gboolean parse_secret(xmlNode *node, CstEncryption *encryption, GError **error)
{
    g_autofree char *type = cst_xml_attr(node, "type");
    g_autofree char *usage = NULL;
    gboolean by_uuid;
    CstUuid uuid;

    if (!type || !*type)
        return cst_fail(error, CST_ERROR_XML, _("unknown volume encryption secret type"));
    if (strcmp(type, "passphrase") != 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown volume encryption secret type %s"),
                        type);
    if (!cst_secret_ref_parse(node, &by_uuid, &uuid, &usage, error))
        return FALSE;
    cst_encryption_add_secret(encryption, by_uuid ? &uuid : NULL, usage);
    return TRUE;
}

/* Parses <cipher name='aes' size='256' mode='cbc' hash='sha256'/>; mode and hash are optional. */
static gboolean parse_cipher(xmlNode *node, CstEncryption *encryption, GError **error)
{
    encryption->cipher_name = cst_xml_attr(node, "name");
    if (!encryption->cipher_name)
        return cst_fail(error, CST_ERROR_XML, _("cipher info missing 'name' attribute"));
    if (!xmlHasNsProp(node, BAD_CAST "size", NULL))
        return cst_fail(error, CST_ERROR_XML, _("Missing required attribute '%s' in element '%s'"),
                        "size", "cipher");
    if (!cst_xml_attr_uint(node, "size", 10, &encryption->cipher_size, error))
        return FALSE;
    encryption->cipher_mode = cst_xml_attr(node, "mode");
    encryption->cipher_hash = cst_xml_attr(node, "hash");
    return TRUE;
}

/* Parses <ivgen name='plain64' hash='sha256'/>; the hash is optional. */
static gboolean parse_ivgen(xmlNode *node, CstEncryption *encryption, GError **error)
{
    if (!encryption->cipher_name)
        return cst_fail(error, CST_ERROR_XML, _("ivgen element found, but cipher is missing"));
    encryption->ivgen_name = cst_xml_attr(node, "name");
    if (!encryption->ivgen_name)
        return cst_fail(error, CST_ERROR_XML, _("missing ivgen info name string"));
    encryption->ivgen_hash = cst_xml_attr(node, "hash");
    return TRUE;
}

/*
 * Parses cipher and IV generator, which only LUKS has. For other formats they are ignored, as in
 * libvirt.
 */
static gboolean parse_luks(xmlNode *node, CstEncryption *encryption, GError **error)
{
    xmlNode *cipher = cst_xml_find(node, "cipher");
    xmlNode *ivgen = cst_xml_find(node, "ivgen");

    if (encryption->format != CST_ENCRYPTION_LUKS)
        return TRUE;
    if (cipher && !parse_cipher(cipher, encryption, error))
        return FALSE;
    return !ivgen || parse_ivgen(ivgen, encryption, error);
}

static CstEncryption *parse_format(xmlNode *node, GError **error)
{
    g_autofree char *text = cst_xml_attr(node, "format");
    int format;

    if (!text || !*text) {
        cst_fail(error, CST_ERROR_XML, _("unknown volume encryption format"));
        return NULL;
    }
    format = cst_name_index(format_names, text);
    if (format < 0) {
        cst_fail(error, CST_ERROR_CONFIG, _("unknown volume encryption format type %s"), text);
        return NULL;
    }
    /* format_names does not contain CST_ENCRYPTION_NONE. */
    return cst_encryption_new(CST_ENCRYPTION_DEFAULT + (unsigned)format);
}

static gboolean parse_body(xmlNode *node, CstEncryption *encryption, GError **error)
{
    int engine;

    if (!cst_xml_attr_enum(node, "engine", engine_names, &engine, error))
        return FALSE;
    if (engine >= 0)
        encryption->engine = g_strdup(engine_names[engine]);
    for (xmlNode *secret = cst_xml_find(node, "secret"); secret; secret = cst_xml_next(secret))
        if (!parse_secret(secret, encryption, error))
            return FALSE;
    return parse_luks(node, encryption, error);
}

CstEncryption *cst_encryption_parse(xmlNode *node, GError **error)
{
    CstEncryption *encryption = parse_format(node, error);

    if (encryption && !parse_body(node, encryption, error))
        g_clear_pointer(&encryption, cst_encryption_free);
    return encryption;
}

static void format_cipher(CstXmlWriter *xml, const CstEncryption *encryption)
{
    char size[16];

    g_snprintf(size, sizeof(size), "%u", encryption->cipher_size);
    cst_xml_empty(xml, "cipher", "name", encryption->cipher_name, "size", size, "mode",
                  encryption->cipher_mode, "hash", encryption->cipher_hash, NULL);
    if (encryption->ivgen_name)
        cst_xml_empty(xml, "ivgen", "name", encryption->ivgen_name, "hash", encryption->ivgen_hash,
                      NULL);
}

void cst_encryption_format(CstXmlWriter *xml, const CstEncryption *encryption)
{
    if (encryption->format < CST_ENCRYPTION_DEFAULT || encryption->format > CST_ENCRYPTION_LUKS2)
        return;
    cst_xml_open(xml, "encryption", "format",
                 format_names[encryption->format - CST_ENCRYPTION_DEFAULT], "engine",
                 encryption->engine, NULL);
    for (guint i = 0; i < encryption->secrets->len; i++) {
        const CstSecretRef *ref = g_ptr_array_index(encryption->secrets, i);

        cst_secret_ref_format(xml, "passphrase", ref->by_uuid, &ref->uuid, ref->usage);
    }
    if (encryption->format == CST_ENCRYPTION_LUKS && encryption->cipher_name)
        format_cipher(xml, encryption);
    cst_xml_close(xml, "encryption");
}
