/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS, by GnuTLS: with keys that both sides know (a file of psktool), or with certificates of both
 * sides (the names of files are those of QEMU's tls-creds-x509). A client that can't prove who it
 * is gets no further than the handshake.
 */
#include "tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

/* QEMU's, too. */
#define PRIORITY_PSK  "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK"
#define PRIORITY_X509 "NORMAL"

struct CstNbdTls {
    gnutls_psk_server_credentials_t psk;   /* NULL: certificates */
    gnutls_certificate_credentials_t x509; /* NULL: keys */
};

struct NbdSession {
    gnutls_session_t session;
};

/* --- credentials ------------------------------------------------------------------------------ */

CstNbdTls *cst_nbd_tls_new_psk(const char *path, GError **error)
{
    g_autoptr(CstNbdTls) tls = g_new0(CstNbdTls, 1);
    int result = gnutls_psk_allocate_server_credentials(&tls->psk);

    /* The library looks into the file when a client comes: who can't read it is told now. */
    if (access(path, R_OK) < 0) {
        cst_fail_errno(error, errno, _("cannot read the keys in '%s'"), path);
        return NULL;
    }
    if (result == 0)
        result = gnutls_psk_set_server_credentials_file(tls->psk, path);
    if (result < 0) {
        cst_fail(error, CST_ERROR_INVALID, _("cannot use the keys in '%s': %s"), path,
                 gnutls_strerror(result));
        return NULL;
    }
    return g_steal_pointer(&tls);
}

/* The files of @dir; the first call that fails says what is wrong. */
static int load(gnutls_certificate_credentials_t x509, const char *dir)
{
    g_autofree char *ca = g_build_filename(dir, "ca-cert.pem", NULL);
    g_autofree char *crl = g_build_filename(dir, "ca-crl.pem", NULL);
    g_autofree char *certificate = g_build_filename(dir, "server-cert.pem", NULL);
    g_autofree char *key = g_build_filename(dir, "server-key.pem", NULL);
    int result = gnutls_certificate_set_x509_trust_file(x509, ca, GNUTLS_X509_FMT_PEM);

    if (result >= 0 && access(crl, F_OK) == 0)
        result = gnutls_certificate_set_x509_crl_file(x509, crl, GNUTLS_X509_FMT_PEM);
    return result < 0
               ? result
               : gnutls_certificate_set_x509_key_file(x509, certificate, key, GNUTLS_X509_FMT_PEM);
}

CstNbdTls *cst_nbd_tls_new_certificates(const char *dir, GError **error)
{
    g_autoptr(CstNbdTls) tls = g_new0(CstNbdTls, 1);
    int result = gnutls_certificate_allocate_credentials(&tls->x509);

    if (result == 0)
        result = load(tls->x509, dir);
    if (result < 0) {
        cst_fail(error, CST_ERROR_INVALID,
                 _("cannot use the certificates in '%s' (ca-cert.pem, server-cert.pem, "
                   "server-key.pem): %s"),
                 dir, gnutls_strerror(result));
        return NULL;
    }
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
    gnutls_certificate_server_set_request(session->session, GNUTLS_CERT_REQUIRE);
    gnutls_transport_set_int(session->session, fd);
    return result;
}

/*
 * Whether our authority has signed the client's certificate, it is valid now, and it is for
 * clients: a server's certificate and its key often lie on a machine that should not read disks.
 */
static int verify(const NbdSession *session, const CstNbdTls *tls)
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
        result = verify(session, tls);
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
