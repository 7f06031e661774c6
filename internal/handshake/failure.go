package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// The codes of docs/wire.md, 3.4, that handshakes fail with.
const (
	codeFailedPrecondition = 9
	codeUnavailable        = 14
	codeUnauthenticated    = 16
)

// The alerts of RFC 8446, 6.2, that are about who somebody is.
const (
	alertBadCertificate      = 42
	alertUnknownCertificate  = 46
	alertUnknownCA           = 48
	alertAccessDenied        = 49
	alertDecryptError        = 51
	alertCertificateRequired = 116
)

// failure is what both sides are told of an error. A server's error may say what is
// nobody else's business, such as what a callback ran into: its client gets the alert
// that TLS has for it. A client's is about what the server has sent.
func failure(err error, dialed bool) *packet.Failure {
	f := &packet.Failure{Code: codeFailedPrecondition, Cause: err}
	var alert tls.AlertError
	switch {
	case errors.Is(err, context.Canceled):
		f.Code = codeUnavailable
	case errors.As(err, &alert) && identity(uint8(alert)):
		f.Code = codeUnauthenticated
	}
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		f.Code = codeUnauthenticated
	}
	switch {
	case dialed:
		f.Reason = "TLS handshake: " + err.Error()
	case alert != 0:
		f.Reason = fmt.Sprintf("TLS handshake failed at the server: %v", alert)
	default:
		f.Reason = "TLS handshake failed at the server"
	}
	return f
}

func identity(alert uint8) bool {
	return alert >= alertBadCertificate && alert <= alertUnknownCertificate || alert == alertUnknownCA ||
		alert == alertAccessDenied || alert == alertDecryptError || alert == alertCertificateRequired
}
