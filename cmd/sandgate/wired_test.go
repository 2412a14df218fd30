package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// wired is a gateway whose parts are joined as serve joins them, with sandboxes that have no wall.
type wired struct {
	keys     *keyParts
	ledger   *quota.Ledger
	server   *gateway.Server
	audit    *audit.Log
	auditDir string
}

func newWired(t *testing.T) *wired {
	t.Helper()
	return newWiredFor(t, &config.Config{})
}

// newWiredFor is newWired with settings of callers, and a state folder of its own unless they name one.
func newWiredFor(t *testing.T, cfg *config.Config) *wired {
	t.Helper()
	return newWiredWith(t, cfg, slog.DiscardHandler)
}

// newWiredTo is newWired with a log.
func newWiredTo(t *testing.T, handler slog.Handler) *wired {
	t.Helper()
	return newWiredWith(t, &config.Config{}, handler)
}

func newWiredWith(t *testing.T, cfg *config.Config, handler slog.Handler) *wired {
	t.Helper()
	log := slog.New(handler)
	if cfg.StateDir == "" {
		cfg.StateDir = t.TempDir()
	}
	state := cfg.StateDir
	keys, err := openKeys(t.Context(), cfg, "")
	if err == nil {
		err = keys.watch(t.Context(), log)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	ledger, err := quota.NewLedger(t.Context(), keys.db, keys.ring, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ledger.Close)
	auditDir := filepath.Join(state, auditFolder)
	chain, err := audit.Open(t.Context(), audit.Options{Dir: auditDir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close(context.Background()) })
	snapshots := copies(t, ledger)
	sessions, err := gateway.NewSessions(gateway.SessionOptions{
		Driver: &sandboxtest.Fake{}, Store: keys.db, Workspaces: snapshots, Accounts: ledger, Audit: chain, Runtime: "runc", Templates: templates(), Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sessions.Close(context.Background()) })
	calls := journal.New(t.Context(), journal.Options{Store: keys.db, Logger: log})
	t.Cleanup(func() { _ = calls.Drain(context.Background()) })
	registry, err := newRegistry(sessions, keys, calls, ledger, shelves{fileserver.New(sessions), readers(t, sessions), snapshots})
	if err != nil {
		t.Fatal(err)
	}
	server, err := gateway.NewServer(gateway.Options{
		Registry: registry, Sessions: sessions, Authenticator: keys.gate, Journal: calls, Accounts: ledger, Audit: chain, Logger: log,
		Version: "v1", Pool: func() []gateway.PoolFill { return []gateway.PoolFill{{Template: "python", Ready: 1, Wanted: 2}} },
		CertFile: cfg.TLSCert, KeyFile: cfg.TLSKey, ClientAuthorities: keys.vouchers.authorities(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mountFiles(server, keys, log)
	return &wired{keys: keys, ledger: ledger, server: server, audit: chain, auditDir: auditDir}
}

// key makes a key that the gateway knows when it returns.
func (w *wired) key(t *testing.T, grant identity.Grant) (id, text string) {
	t.Helper()
	known, err := w.keys.cfg.Known()
	if err != nil {
		t.Fatal(err)
	}
	key, text, err := identity.NewKey(w.keys.pepper, grant, known, time.Now())
	if err == nil {
		err = w.keys.db.PutKey(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	return key.ID, text
}

// settle returns when the gateway has seen every change of the keys.
func (w *wired) settle(t *testing.T) {
	t.Helper()
	now, err := w.keys.db.IdentityGeneration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); w.keys.ring.Generation() != now; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not see the keys")
		}
	}
}

// answer is what came back, less what differs each time.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a message to an RPC in the form that its kind takes, as JSON.
func (w *wired) call(t *testing.T, method protoreflect.MethodDescriptor, message []byte, key string) answer {
	t.Helper()
	body, kind := string(message), "application/json"
	if method.IsStreamingClient() || method.IsStreamingServer() {
		body = string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))) + body
		kind = "application/connect+json"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+procedureOf(method), strings.NewReader(body))
	request.Header.Set("Content-Type", kind)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(response, request)
	result := response.Result()
	defer func() { _ = result.Body.Close() }()
	text, err := io.ReadAll(result.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{gateway.RequestIDHeader, "Date"} {
		result.Header.Del(name)
	}
	return answer{result.StatusCode, result.Header, string(text)}
}

// says tells whether an answer is an error with this code and reason.
func (a answer) says(code, reason string) bool {
	_, text, found := strings.Cut(a.body, "{")
	if !found {
		return false
	}
	var failure struct {
		Code    string
		Error   *struct{ Code, Message string }
		Details []struct{ Debug struct{ Reason string } }
	}
	if json.NewDecoder(strings.NewReader("{"+text)).Decode(&failure) != nil {
		return false
	}
	if failure.Error != nil {
		failure.Code = failure.Error.Code
	}
	return failure.Code == code && strings.Contains(a.body, reason)
}

func procedureOf(method protoreflect.MethodDescriptor) string {
	return "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
}

// methods returns every RPC of the API.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("sandgate.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
		return true
	})
	return all
}

// request writes a request that passes the rules of its message, about one session.
func request(t *testing.T, method protoreflect.MethodDescriptor, session string) []byte {
	t.Helper()
	message := dynamicpb.NewMessage(method.Input())
	fill(message, session)
	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fill sets the fields of a message to the simplest things that they can hold.
func fill(message protoreflect.Message, session string) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		choice := field.ContainingOneof()
		rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		if field.IsList() && rules.GetRepeated().GetMinItems() > 0 { // of text, so far
			message.Mutable(field).List().Append(protoreflect.ValueOfString(word(field, session)))
			continue
		}
		if field.IsList() || field.IsMap() || choice != nil && choice.Fields().Get(0) != field {
			continue
		}
		switch field.Kind() {
		case protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString(word(field, session)))
		case protoreflect.MessageKind:
			inner := message.Mutable(field).Message()
			switch inner.Descriptor().FullName() {
			case "google.protobuf.Duration":
				proto.Merge(inner.Interface(), durationpb.New(5*time.Second))
			case "google.protobuf.Struct", "sandgate.v1.Limits":
				message.Clear(field)
			default:
				fill(inner, session)
			}
		case protoreflect.Uint32Kind:
			message.Set(field, protoreflect.ValueOfUint32(1))
		case protoreflect.EnumKind:
			message.Set(field, protoreflect.ValueOfEnum(1))
		default: // zero will do
		}
	}
}

// word is the text for a field of text.
func word(field protoreflect.FieldDescriptor, session string) string {
	switch {
	case field.Name() == "session_id":
		return session
	case field.Name() == "call_id", field.Name() == "page_token", field.Name() == "template":
		return ""
	case field.Parent().FullName() == "sandgate.v1.CallToolRequest":
		return "file_list" // a tool that wants no arguments
	default:
		return "x"
	}
}

// withSession tells whether an RPC works in a session that its caller names.
func withSession(message protoreflect.MessageDescriptor) bool {
	return message.Fields().ByName("session_id") != nil || message.Name() == "StreamToolRequest"
}

// scopesOf returns what an RPC asks for.
func scopesOf(method protoreflect.MethodDescriptor) []string {
	options, _ := proto.GetExtension(method.Options(), sandgatev1.E_Tool).(*sandgatev1.ToolOptions)
	return options.GetScopes()
}

// without returns the scopes but for some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(scope string) bool { return slices.Contains(some, scope) })
}
