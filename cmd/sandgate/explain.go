package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"unicode"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// What to do about a gateway that is not there, or not one.
const (
	hintStart  = "start one with `sandgate serve`, or name another with --server or SANDGATE_SERVER"
	hintServer = "it may have ended, be no gateway, or serve https where http was asked for (or the other way round): check --server or SANDGATE_SERVER"
	hintOther  = "what answers is no gateway, or one of another version: check --server or SANDGATE_SERVER"
	hintKey    = "set SANDGATE_KEY to a key, which `sandgate key create` makes on the gateway's host, or to a token"
	hintAway   = "if it was stopped, its sessions ended with it; if it crashed, they are there again once it runs"
)

// explain says what failed and, where somebody knows, what to do.
func explain(err error) (message, hint string) {
	if hinted, ok := errors.AsType[hintError](err); ok {
		return err.Error(), hinted.hint
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		if usage.command != "" {
			hint = "`" + usage.command + " --help` explains it"
		}
		return err.Error(), hint
	}
	wire, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err.Error(), ""
	}
	if connect.IsWireError(wire) {
		return explainRefusal(err, wire)
	}
	return explainConnection(err, wire)
}

// explainRefusal is explain for what a gateway says.
func explainRefusal(err error, wire *connect.Error) (message, hint string) {
	for _, detail := range wire.Details() {
		value, valueErr := detail.Value()
		if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			hint = cmp.Or(ownHint(known.GetReason()), known.GetHint())
		}
	}
	message = strings.Replace(err.Error(), wire.Error(), wire.Message(), 1)
	switch code := wire.Code(); {
	case code == connect.CodeCanceled:
		// We did not cancel: whoever does is told nothing, or that it was interrupted.
		message = "the gateway was stopped while this ran; its sessions end with it"
	case code == connect.CodeUnauthenticated:
		hint = hintKey // a caller of RPCs is told of a header
	case code == connect.CodeUnimplemented && hint == "":
		hint = hintOther
	}
	return message, hint
}

// ownHint returns what to do where a gateway's hint speaks of RPCs, for whoever has commands. Empty: it does not.
func ownHint(reason string) string {
	switch reason {
	case "WORKSPACE_NOT_FOUND":
		return "`sandgate workspace list` shows those that there are; `sandgate workspace save`, or a session with --persist, makes one"
	case "NO_CHECKPOINT":
		return "make one first: `sandgate workspace checkpoint ID`"
	case "CHECKPOINT_NOT_FOUND":
		return "`sandgate workspace checkpoints ID` shows those that there are: the 16 newest are kept"
	case "SESSION_BUSY":
		return "wait for its calls, or cancel them: `sandgate calls list --running` shows those with a call_id"
	case "NOT_DEFERRED":
		return "delete it, or create the next one with --deferred"
	}
	return ""
}

// explainConnection is explain for a call that got no answer from a gateway.
func explainConnection(err error, wire *connect.Error) (message, hint string) {
	message = strings.Replace(err.Error(), wire.Error(), wire.Message(), 1)
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return explainCertificate(untrusted)
	}
	switch {
	case noneAnswers(err):
		return "no gateway answers: " + message, hintStart
	case wentAway(err):
		return "the gateway went away while this ran", hintAway
	case wire.Code() == connect.CodeUnimplemented: // a status of HTTP that says so
		return "the gateway gave no proper answer: " + message, hintOther
	case wire.Code() == connect.CodeCanceled, wire.Code() == connect.CodeDeadlineExceeded:
		return message, ""
	}
	return "the gateway gave no proper answer: " + message, hintServer
}

// noneAnswers reports whether nobody takes connections where a gateway should.
func noneAnswers(err error) bool {
	network, ok := errors.AsType[*net.OpError](err)
	return ok && network.Op == "dial"
}

// wentAway reports whether a connection was taken and then ended in the middle of a call.
func wentAway(err error) bool {
	return fromNetwork(err) &&
		(errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// explainCertificate says why a gateway's certificate was refused.
func explainCertificate(err *tls.CertificateVerificationError) (message, hint string) {
	message = "the gateway's certificate is not trusted: " + err.Err.Error()
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return message, "name the gateway as its certificate does: check --server or SANDGATE_SERVER"
	}
	return message, "if it is yours, set SSL_CERT_FILE to a file with its certificate, or that of its issuer"
}

// printable makes text that comes from elsewhere safe for a terminal: whatever would move the
// cursor or colour the screen is shown instead of sent.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
