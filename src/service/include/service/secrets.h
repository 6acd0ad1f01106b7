/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/flags.h>
#include <model/secret_def.h>
#include <service/service.h>

/** A secret as lists and lookups name it. */
typedef struct {
    CstUuid uuid;
    CstSecretUsage usage;
    char *usage_id; /**< "" for usage none */
} CstSecretRow;

void cst_secret_row_free(CstSecretRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSecretRow, cst_secret_row_free)

/** @filter: CstListSecretsFlags, 0: all. Elements CstSecretRow *, freed with the array. */
GPtrArray *cst_service_secrets(CstService *service, unsigned filter, GError **error);
CstSecretRow *cst_service_secret_by_uuid(CstService *service, const CstUuid *uuid, GError **error);
CstSecretRow *cst_service_secret_by_usage(CstService *service, int usage, const char *usage_id,
                                          GError **error);
CstSecretRow *cst_service_secret_define(CstService *service, const char *xml, unsigned flags,
                                        GError **error);
gboolean cst_service_secret_undefine(CstService *service, const CstUuid *uuid, GError **error);
char *cst_service_secret_get_xml(CstService *service, const CstUuid *uuid, unsigned flags,
                                 GError **error);
/** @len ≤ CST_SECRET_VALUE_MAX. */
gboolean cst_service_secret_set_value(CstService *service, const CstUuid *uuid,
                                      const uint8_t *value, size_t len, unsigned flags,
                                      GError **error);
/**
 * INVALID_SECRET for a private secret ("secret is private") unless @token is the host's system
 * token (store/system_token.h), by which libvirt's daemons prove themselves to each other; NULL:
 * none. NO_SECRET when the secret has no value. The caller wipes (explicit_bzero) and frees
 * *ret_value.
 */
gboolean cst_service_secret_get_value(CstService *service, const CstUuid *uuid, unsigned flags,
                                      const char *token, uint8_t **ret_value, size_t *ret_len,
                                      GError **error);

/**
 * Manages the secrets from now on in libvirt's place: keeps libvirt's lock of them, as virtsecretd
 * would. FALSE with BUSY while another program has it, who is named; it is taken as soon as it can
 * be, and until then the files are read anew for each answer and changes are refused.
 */
gboolean cst_service_manage_secrets(CstService *service, GError **error);
/** Leaves them to others again: the lock is held during changes only. */
void cst_service_leave_secrets(CstService *service);
