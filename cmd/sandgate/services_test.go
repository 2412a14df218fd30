package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/snapshot"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
	api "github.com/sandgate/sandgate/proto"
	"github.com/sandgate/sandgate/sandbox"
)

// TestEveryRPCIsServed asks a gateway that is wired as serve does for every RPC of the API.
func TestEveryRPCIsServed(t *testing.T) {
	t.Parallel()
	keys, err := openKeys(t.Context(), &config.Config{StateDir: t.TempDir()}, "")
	if err == nil {
		err = keys.watch(t.Context(), slog.New(slog.DiscardHandler))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	ledger, err := quota.NewLedger(t.Context(), keys.db, keys.ring, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ledger.Close)
	sessions, err := gateway.NewSessions(gateway.SessionOptions{
		Driver: sandbox.DriverFunc(func(context.Context, sandbox.Spec) (sandbox.Sandbox, error) {
			return nil, errors.New("this test makes no sandbox")
		}),
		Store: keys.db, Runtime: "runc", Templates: templates(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sessions.Close(context.Background()) })
	calls := journal.New(t.Context(), journal.Options{Store: keys.db, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = calls.Drain(context.Background()) })
	registry, err := newRegistry(sessions, keys, calls, ledger, shelves{fileserver.New(sessions), readers(t, sessions), copies(t, ledger)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := gateway.NewServer(gateway.Options{Registry: registry, Sessions: sessions, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(api.Descriptors(), &set); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range set.GetFile() {
		for _, service := range file.GetService() {
			for _, method := range service.GetMethod() {
				procedure := "/" + file.GetPackage() + "." + service.GetName() + "/" + method.GetName()
				request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+procedure, strings.NewReader("{}"))
				request.Header.Set("Content-Type", "application/json")
				response := httptest.NewRecorder()
				server.Handler().ServeHTTP(response, request)
				if response.Code == http.StatusNotFound && !strings.Contains(response.Body.String(), "SESSION_NOT_FOUND") {
					t.Errorf("%s is not served: %s", procedure, response.Body)
				}
				count++
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d RPCs are in the descriptors", count)
	}
}

// readers returns what reads documents, without a cache.
func readers(t *testing.T, sessions *gateway.Sessions) *fileserver.Documents {
	t.Helper()
	documents := fileserver.NewDocuments(fileserver.New(sessions), "")
	t.Cleanup(func() {
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
	})
	return documents
}

// copies returns what keeps the files of sessions, in a folder of its own.
func copies(t *testing.T, ledger *quota.Ledger) *snapshot.Store {
	t.Helper()
	store, err := snapshot.New(snapshot.Options{Folder: t.TempDir(), Room: gateway.NewRoom(ledger)})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
