/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS with GnuTLS: with pre-shared keys (a file of psktool), or with certificates of both sides
 * (with the file names of QEMU's tls-creds-x509). A client that cannot be verified fails in the
 * handshake.
 */
#include "tls.h"

#include <errno.h>
#include <gnutls_library.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/input.h>
#include <base/log.h>

/* As in QEMU. */
#define PRIORITY_PSK  "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK"
#define PRIORITY_X509 "NORMAL"

#define CREDENTIAL_MAX (1U << 20) /* bytes of a file */

struct CstNbdTls {
    char *psk_path;                        /* read for each client */
    gnutls_psk_server_credentials_t psk;   /* NULL: certificates */
    gnutls_certificate_credentials_t x509; /* NULL: keys */
};

struct NbdSession {
    gnutls_session_t session;
};

/* --- credentials ------------------------------------------------------------------------------ */

/* Zeroes a key's text and frees it. */
static void key_text_clear(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    g_free(text);
}

/*
 * GnuTLS's callback: finds the key of @name in the lines NAME:HEX of the file, which may have
 * changed since the last client. Return: 1 for an unknown name. GnuTLS then continues with a random
 * key, so that a client cannot probe names.
 */
static int psk_find(gnutls_session_t session, const char *name, gnutls_datum_t *ret_key)
{
    const CstNbdTls *tls = gnutls_session_get_ptr(session);
    size_t name_len = strlen(name), len = 0;
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    int result = 1;

    if (!cst_input_read(tls->psk_path, CST_FILE_PRIVATE, CREDENTIAL_MAX, &text, &len, &error)) {
        cst_log(CST_LOG_WARNING, "%s", error->message);
        return -1;
    }
    for (char *line = text; line && result == 1;) {
        char *end = strchr(line, '\n');

        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *hex = line + name_len + 1;
            gnutls_datum_t digits = {(unsigned char *)hex, (unsigned)strcspn(hex, "\r\n")};

            result = gnutls_hex_decode2(&digits, ret_key);
        }
        line = end ? end + 1 : NULL;
    }
    key_text_clear(text, len);
    return result;
}

CstNbdTls *cst_nbd_tls_new_psk(const char *path, GError **error)
{
    g_autoptr(CstNbdTls) tls = g_new0(CstNbdTls, 1);
    g_autoptr(GError) why = NULL;
    char *text = NULL;
    size_t len = 0;
    int result;

    if (!cst_library_load(&cst_gnutls_library, error))
        return NULL;
    result = gnutls_psk_allocate_server_credentials(&tls->psk);
    /*
     * The file is read for each client. Check it now, so that an unusable file is reported early.
     */
    if (!cst_input_read(path, CST_FILE_PRIVATE, CREDENTIAL_MAX, &text, &len, &why)) {
        if (cst_error_code(why) == CST_ERROR_NOT_FOUND)
            cst_fail_errno(error, ENOENT, _("cannot read the keys in '%s'"), path);
        else
            g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    key_text_clear(text, len);
    tls->psk_path = g_strdup(path);
    if (result == 0)
        gnutls_psk_set_server_credentials_function(tls->psk, psk_find);
    if (result < 0) {
        cst_fail(error, CST_ERROR_INVALID, _("cannot use the keys in '%s': %s"), path,
                 gnutls_strerror(result));
        return NULL;
    }
    return g_steal_pointer(&tls);
}

static gboolean fail_certificates(const char *dir, int result, GError **error)
{
    return cst_fail(error, CST_ERROR_INVALID,
                    _("cannot use the certificates in '%s' (ca-cert.pem, server-cert.pem, "
                      "server-key.pem): %s"),
                    dir, gnutls_strerror(result));
}

typedef enum { TLS_AUTHORITY, TLS_REVOKED, TLS_CERTIFICATE, TLS_KEY, TLS_N_FILES } TlsFile;

static const char *const tls_files[TLS_N_FILES] = {"ca-cert.pem", "ca-crl.pem", "server-cert.pem",
                                                   "server-key.pem"};

typedef struct {
    gnutls_datum_t texts[TLS_N_FILES]; /* data NULL: the file does not exist */
} TlsTexts;

static void tls_texts_clear(TlsTexts *texts)
{
    for (guint i = 0; i < TLS_N_FILES; i++)
        key_text_clear((char *)texts->texts[i].data, texts->texts[i].size);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TlsTexts, tls_texts_clear)

/* Reads the file @file of @dir. The list of revoked certificates may be missing. */
static gboolean tls_read_file(const char *dir, TlsFile file, gnutls_datum_t *ret_text,
                              GError **error)
{
    g_autofree char *path = g_build_filename(dir, tls_files[file], NULL);
    const CstFileAccess access = file == TLS_KEY ? CST_FILE_PRIVATE : CST_FILE_ANY;
    g_autoptr(GError) why = NULL;
    char *text = NULL;
    size_t len = 0;

    if (cst_input_read(path, access, CREDENTIAL_MAX, &text, &len, &why)) {
        *ret_text = (gnutls_datum_t){(unsigned char *)text, (unsigned)len};
        return TRUE;
    }
    if (cst_error_code(why) == CST_ERROR_NOT_FOUND)
        return file == TLS_REVOKED || fail_certificates(dir, GNUTLS_E_FILE_ERROR, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Loads the files of @dir. GnuTLS gets their content, so that it opens no path. */
static gboolean tls_load_directory(gnutls_certificate_credentials_t x509, const char *dir,
                                   GError **error)
{
    g_auto(TlsTexts) all = {0};
    const gnutls_datum_t *texts = all.texts;
    int result;

    for (guint i = 0; i < TLS_N_FILES; i++)
        if (!tls_read_file(dir, i, &all.texts[i], error))
            return FALSE;
    result =
        gnutls_certificate_set_x509_trust_mem(x509, &texts[TLS_AUTHORITY], GNUTLS_X509_FMT_PEM);
    if (result >= 0 && texts[TLS_REVOKED].data)
        result =
            gnutls_certificate_set_x509_crl_mem(x509, &texts[TLS_REVOKED], GNUTLS_X509_FMT_PEM);
    if (result >= 0)
        result = gnutls_certificate_set_x509_key_mem(x509, &texts[TLS_CERTIFICATE], &texts[TLS_KEY],
                                                     GNUTLS_X509_FMT_PEM);
    return result >= 0 || fail_certificates(dir, result, error);
}

CstNbdTls *cst_nbd_tls_new_certificates(const char *dir, GError **error)
{
    g_autoptr(CstNbdTls) tls = g_new0(CstNbdTls, 1);
    int result;

    if (!cst_library_load(&cst_gnutls_library, error))
        return NULL;
    result = gnutls_certificate_allocate_credentials(&tls->x509);
    if (result < 0) {
        fail_certificates(dir, result, error);
        return NULL;
    }
    if (!tls_load_directory(tls->x509, dir, error))
        return NULL;
    return g_steal_pointer(&tls);
}

void cst_nbd_tls_free(CstNbdTls *tls)
{
    if (!tls)
        return;
    if (tls->psk)
        gnutls_psk_free_server_credentials(tls->psk);
    if (tls->x509)
        gnutls_certificate_free_credentials(tls->x509);
    g_free(tls->psk_path);
    g_free(tls);
}

/* --- sessions --------------------------------------------------------------------------------- */

static int set_up(NbdSession *session, const CstNbdTls *tls, int fd)
{
    int result = gnutls_init(&session->session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);

    if (result < 0)
        return result;
    result =
        gnutls_priority_set_direct(session->session, tls->psk ? PRIORITY_PSK : PRIORITY_X509, NULL);
    if (result == 0)
        result = tls->psk
                     ? gnutls_credentials_set(session->session, GNUTLS_CRD_PSK, tls->psk)
                     : gnutls_credentials_set(session->session, GNUTLS_CRD_CERTIFICATE, tls->x509);
    gnutls_session_set_ptr(session->session, (void *)tls);
    gnutls_certificate_server_set_request(session->session, GNUTLS_CERT_REQUIRE);
    gnutls_transport_set_int(session->session, fd);
    return result;
}

/*
 * Verifies that our authority has signed the client's certificate, that it is valid now, and that
 * its purpose is a client. A server's certificate is not accepted, because it is often stored on a
 * host that should not read disks.
 */
static int certificate_verify(const NbdSession *session, const CstNbdTls *tls)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned status = 0;
    int result =
        tls->x509 ? gnutls_certificate_verify_peers(session->session, &purpose, 1, &status) : 0;

    if (result == 0 && (status & GNUTLS_CERT_PURPOSE_MISMATCH))
        return GNUTLS_E_KEY_USAGE_VIOLATION;
    return result < 0 || status == 0 ? result : GNUTLS_E_CERTIFICATE_ERROR;
}

NbdSession *nbd_session_new(const CstNbdTls *tls, int fd, const char **ret_failure)
{
    NbdSession *session = g_new0(NbdSession, 1);
    int result = set_up(session, tls, fd);

    if (result == 0) {
        do
            result = gnutls_handshake(session->session);
        while (result == GNUTLS_E_INTERRUPTED || result == GNUTLS_E_WARNING_ALERT_RECEIVED);
    }
    if (result == 0)
        result = certificate_verify(session, tls);
    if (result == 0)
        return session;
    *ret_failure = gnutls_strerror(result);
    nbd_session_free(session);
    return NULL;
}

void nbd_session_free(NbdSession *session)
{
    if (!session)
        return;
    if (session->session)
        gnutls_deinit(session->session);
    g_free(session);
}

ssize_t nbd_session_receive(NbdSession *session, void *data, size_t len)
{
    ssize_t got;

    do
        got = gnutls_record_recv(session->session, data, len);
    while (got == GNUTLS_E_INTERRUPTED);
    return got < 0 ? -1 : got;
}

ssize_t nbd_session_send(NbdSession *session, const void *data, size_t len)
{
    ssize_t sent;

    do
        sent = gnutls_record_send(session->session, data, len);
    while (sent == GNUTLS_E_INTERRUPTED);
    return sent < 0 ? -1 : sent;
}
