package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

var updateGolden = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag

// hostileOverview is what a gateway might say whose tenants, or who itself, wants to fool a terminal.
func hostileOverview() *sandgatev1.Overview {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(at.Add(-d)) }
	return &sandgatev1.Overview{
		At: timestamppb.New(at), Version: "v1\x1b[2J", Runtime: "runsc", StartedAt: ago(26*time.Hour + 3*time.Second),
		Checks:      []*sandgatev1.ReadyCheck{{Name: "accepting", Passed: true}, {Name: "engine"}, {Name: "pool", Passed: true}},
		Pool:        []*sandgatev1.PoolFill{{Template: "python", Ready: 1, Wanted: 2}, {Template: "data", Wanted: 1}},
		RpcsRunning: 7, RpcsMax: 512, Sessions: &sandgatev1.SessionTotals{Running: 3, Creating: 1, Lost: 1, Max: 128, Tenants: 4},
		Rates: &sandgatev1.CallRates{
			Window: durationpb.New(2 * time.Second), CallsPerSecond: 1234.56, ErrorsPerSecond: 0.04,
			P50: durationpb.New(4375 * time.Microsecond), P99: durationpb.New(83*time.Second + 4*time.Millisecond),
		},
		Running: []*sandgatev1.RunningCalls{{Name: "python_run", Count: 3}, {Name: "ProcessService/Start\r\nroot#", Count: 1}},
		Tenants: []*sandgatev1.TenantActivity{
			{Tenant: "acme", Sessions: 2, RunningCalls: 3, CallsPerSecond: 1200},
			{Tenant: "\x1b]0;owned\x07", Sessions: 1, RunningCalls: 1, CallsPerSecond: 34.5, ErrorsPerSecond: 0.04},
			{Tenant: "two\nlines\tand columns", Sessions: 1},
			{Tenant: "\u202egnp.exe 界e\u0301\xff", Sessions: 1},
		},
		MostActive: []*sandgatev1.SessionActivity{
			{ShownId: "ses_abcdefgh…", Tenant: "acme", Template: "data", State: sandgatev1.SessionState_SESSION_STATE_RUNNING, CreatedAt: ago(time.Hour), UsedAt: ago(0), Calls: 120345, RunningCalls: 3, MemoryLimitBytes: 1 << 30},
			{ShownId: "ses_ijklmnop…", Tenant: "\x1b]0;owned\x07", Template: "python\x9b1m", State: sandgatev1.SessionState_SESSION_STATE_LOST, CreatedAt: ago(-time.Minute), UsedAt: ago(9 * time.Minute), Calls: 1, MemoryLimitBytes: 512 << 20},
		},
	}
}

func TestTopView(t *testing.T) {
	t.Parallel()
	view := topView{server: "http://127.0.0.1:7777", overview: hostileOverview()}
	ending := hostileOverview()
	ending.Draining, ending.Rates, ending.Running, ending.Pool = true, nil, nil, nil
	stale := view
	stale.status = "no gateway answers\x1b[31m"
	for name, c := range map[string]struct {
		view          topView
		width, height int
	}{
		"whole":   {view, 0, 0},
		"small":   {view, 60, 14},
		"ending":  {topView{server: view.server, overview: ending}, 80, 8},
		"waiting": {topView{server: view.server}, 80, 24},
		"stale":   {stale, 120, 1},
	} {
		var got bytes.Buffer
		lines := c.view.lines(c.width, c.height)
		if c.height > 0 && len(lines) > c.height {
			t.Errorf("%s has %d lines", name, len(lines))
		}
		for _, line := range lines {
			if width := utf8.RuneCountInString(line.text); c.width > 0 && width > c.width {
				t.Errorf("%s has a line of %d", name, width)
			}
			if strings.ContainsFunc(line.text, func(r rune) bool { return (r < ' ' || r > '~') && r != '…' }) {
				t.Errorf("%s sends to the terminal: %q", name, line.text)
			}
			got.WriteString(strings.ReplaceAll(line.text, stamp(c.view), "LOCAL TIME") + "\n")
		}
		golden := filepath.Join("testdata", "top", name+".txt")
		if *updateGolden {
			if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got, -update rewrites it):\n%s", name, diff)
		}
	}
}

// stamp is the one part of a picture that differs from zone to zone.
func stamp(v topView) string {
	if v.overview == nil {
		return "\x00"
	}
	return v.overview.GetAt().AsTime().Local().Format(time.TimeOnly)
}

// TestTopOnATerminal looks at a gateway, follows its terminal's size, and leaves the terminal as it was.
func TestTopOnATerminal(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	url := serveBoth(t, w.server.Handler())
	for name, leave := range map[string]struct {
		by   func(p *program)
		code int
	}{
		"q":       {func(p *program) { p.send(t, "q") }, 0},
		"Ctrl-C":  {func(p *program) { p.send(t, "\x03") }, exitInterrupted},
		"SIGTERM": {func(p *program) { p.signal(t, syscall.SIGTERM) }, exitInterrupted},
	} {
		top := newProgram(t, url, "top", "--interval", "200ms").startOnTerminal(t)
		before := modes(t, top)
		top.expect(t, enterScreen)
		top.expect(t, "up ")
		top.expect(t, "SESSION  TENANT")
		setSize(t, top.input, 12, 3)
		top.expect(t, "\x1b[H\x1b[1msandgate v1 \x1b[0m")
		leave.by(top)
		top.ends(t, leave.code)
		within(t, name+" leaves the screen", func() bool { return strings.HasSuffix(top.out.String(), leaveScreen) })
		if after := modes(t, top); after != before {
			t.Errorf("%s: the terminal was %+v and is %+v", name, before, after)
		}
	}
}

// TestTopOutlivesItsGateway goes on where a gateway comes back, and does not begin where there is none.
func TestTopOutlivesItsGateway(t *testing.T) {
	t.Parallel()
	way := newCutter(t, serveBoth(t, newWired(t).server.Handler()))
	top := newProgram(t, way.url, "top", "--interval", "200ms").startOnTerminal(t)
	setSize(t, top.input, 200, 30)
	top.expect(t, "serving")
	way.cut(true)
	top.expect(t, "; asking again")
	way.cut(false)
	before := strings.Count(top.out.String(), "serving")
	within(t, "it shows the gateway again", func() bool { return strings.Count(top.out.String(), "serving") > before })
	top.send(t, "q")
	top.ends(t, 0)
	none := newProgram(t, "http://127.0.0.1:1", "top").startOnTerminal(t)
	none.ends(t, exitNotRun)
	within(t, "it says so", func() bool {
		return strings.Contains(none.out.String(), leaveScreen+"\x1b[31msandgate:\x1b[0m no gateway answers")
	})
}

// modes returns how a program's terminal is set.
func modes(t *testing.T, p *program) unix.Termios {
	t.Helper()
	f, ok := p.input.(*os.File)
	if !ok {
		t.Fatalf("%T is no terminal", p.input)
	}
	set, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *set
}

// TestTopNeedsTheScope: nobody watches all tenants by a key that does not say so.
func TestTopNeedsTheScope(t *testing.T) {
	t.Parallel()
	w := newWired(t)
	url := serveBoth(t, w.server.Handler())
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	if out, code := as(t, url, key, "top", "--once"); code != exitNotRun || !strings.Contains(out, "sandgate key create --scopes operator") {
		t.Errorf("a tenant's key: %d %s", code, out)
	}
	_, key = w.key(t, identity.Grant{Tenant: "ops", Scopes: []string{identity.ScopeOperator}})
	if out, code := as(t, url, key, "top", "--once", "--interval", "200ms"); code != 0 || !strings.Contains(out, "TENANT") {
		t.Errorf("an operator's key: %d %s", code, out)
	}
}
