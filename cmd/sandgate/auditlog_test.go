package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// auditRecords verifies a log that nobody writes to, and returns its records.
func auditRecords(t *testing.T, dir string) []audit.Record {
	t.Helper()
	if _, err := audit.Verify(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	var records []audit.Record
	if err := audit.Tail(t.Context(), dir, maxAuditTail, false, func(line []byte) error {
		record, err := audit.ParseRecord(line)
		records = append(records, record)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return records
}

// TestAuditOfEveryRPC calls every RPC of the API with a secret in each of its texts.
func TestAuditOfEveryRPC(t *testing.T) {
	w := newWired(t)
	id, key := w.key(t, identity.Grant{Tenant: "acme"})
	secrets := []string{"SECRET", key, key[len(key)-20:]}
	want := map[string]bool{}
	for _, m := range methods() {
		session := w.newSession(t, key)
		text := strings.ReplaceAll(string(request(t, m, session)), `"x"`, `"SECRETx"`)
		got := w.call(t, m, []byte(text), key)
		options, _ := proto.GetExtension(m.Options(), sandgatev1.E_Tool).(*sandgatev1.ToolOptions)
		want[procedureOf(m)] = options.GetSideEffects() || options.GetName() != ""
		if m.Name() == "CreateToken" {
			var reply struct{ Token string }
			if err := json.Unmarshal([]byte(got.body), &reply); err == nil && reply.Token != "" {
				secrets = append(secrets, reply.Token)
			}
		}
		secrets = append(secrets, session)
	}
	if err := w.audit.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range auditRecords(t, w.auditDir) {
		if r.Kind == audit.Call {
			found[r.Procedure] = true
			if r.Tenant != "acme" || r.Key != id || r.SHA256 == "" || r.Code == "" {
				t.Errorf("%+v", r)
			}
		}
	}
	for procedure, wanted := range want {
		if found[procedure] != wanted {
			t.Errorf("%s: audited is %t, want %t", procedure, found[procedure], wanted)
		}
	}
	holdsNone(t, w.auditDir, secrets)
}

// holdsNone looks for texts in a folder.
func holdsNone(t *testing.T, dir string, texts []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if strings.Contains(string(raw), text) {
				t.Errorf("%s is in the audit log", text)
			}
		}
	}
}

func TestGatewayOpensItsAuditLog(t *testing.T) {
	cfg := config.Default(func(string) (string, bool) { return "", false })
	cfg.StateDir, cfg.Database = t.TempDir(), "postgres://user:SECRET@db/sandgate"
	open := func() *gatewayParts {
		g := &gatewayParts{cfg: &cfg, log: slog.New(slog.DiscardHandler)}
		if err := g.openAudit(t.Context()); err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := open()
	if check := g.checks()["audit"]; check == nil || check.Ready(t.Context()) != nil {
		t.Error("it is not ready")
	}
	if err := g.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cfg.StateDir, auditFolder)
	first := auditRecords(t, dir)
	if len(first) != 3 || first[1].Kind != audit.GatewayStart || len(first[1].SHA256) != 64 || first[2].Kind != audit.GatewayStop {
		t.Fatalf("%+v", first)
	}
	cfg.MaxSessions++
	if err := open().close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if second := auditRecords(t, dir); second[3].SHA256 == first[1].SHA256 {
		t.Error("other settings have the same fingerprint")
	}
	holdsNone(t, dir, []string{"SECRET"})

	file, err := os.OpenFile(filepath.Join(dir, "00000000000000000001.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString("rubbish\n")
	}
	if err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	damaged := &gatewayParts{cfg: &cfg, log: slog.New(slog.DiscardHandler)}
	if _, hint := explain(damaged.openAudit(t.Context())); !strings.Contains(hint, "audit verify") {
		t.Errorf("a gateway starts on a damaged log, or says nothing: %q", hint)
	}
	cfg.Audit = config.AuditOff
	if err := damaged.openAudit(t.Context()); err != nil || damaged.audit != nil || damaged.checks()["audit"] != nil {
		t.Error("it is switched off: ", err)
	}
}
