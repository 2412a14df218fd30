package main

import (
	"strings"
	"testing"

	"github.com/sandgate/sandgate/sandbox/docker"
)

// TestChooseRuntime pins how the findings of the engine become a runtime.
func TestChooseRuntime(t *testing.T) {
	t.Parallel()
	both := docker.Posture{Findings: []docker.Finding{{ID: "runc", Value: "1.2"}, {ID: "runsc", Value: "v1", State: docker.StateWarn}}}
	onlyRunc := docker.Posture{Findings: []docker.Finding{{ID: "runc", Value: "1.2"}, {ID: "runsc", Value: "not registered"}}}
	for _, tt := range []struct {
		asked   string
		posture docker.Posture
		want    string
	}{
		{"auto", both, "runsc"},
		{"auto", onlyRunc, "runc"},
		{"runc", both, "runc"},
		{"runsc", onlyRunc, "runsc"}, // which is then refused, not replaced
	} {
		if got := chooseRuntime(tt.asked, tt.posture); got != tt.want {
			t.Errorf("chooseRuntime(%q) = %q, want %q", tt.asked, got, tt.want)
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	holes := docker.Finding{ID: "runc-holes", Title: "Known holes", State: docker.StateFail, Value: "CVE", Remedy: "update runc"}
	disk := docker.Finding{ID: "disk", Title: "Disk", State: docker.StateFail, Value: "full", Remedy: "free some"}
	for name, tt := range map[string]struct {
		report hostReport
		want   string // in the refusal; empty: it blocks nothing
	}{
		"holes of runc do not matter to runsc": {hostReport{Runtime: "runsc", Findings: []docker.Finding{holes}}, ""},
		"but to runc":                          {hostReport{Runtime: "runc", Findings: []docker.Finding{holes}}, "Known holes: CVE"},
		"a full disk matters to all":           {hostReport{Runtime: "runsc", Findings: []docker.Finding{holes, disk}}, "Disk: full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if blocked := len(tt.report.blocking()) > 0; blocked != (tt.want != "") {
				t.Fatalf("blocked is %v", blocked)
			}
			if tt.want == "" {
				return
			}
			err := tt.report.refusal(tt.report.Runtime)
			if _, hint := explain(err); !strings.Contains(err.Error(), tt.want) || !strings.Contains(hint, "sandgate doctor") {
				t.Errorf("refusal %q, hint %q", err, hint)
			}
		})
	}
	if err := (&hostReport{}).refusal("runsc"); !strings.Contains(err.Error(), "runsc is not registered") {
		t.Errorf("without a runtime: %v", err)
	}
}
