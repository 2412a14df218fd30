package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// topView is one picture of a gateway.
type topView struct {
	server   string
	overview *sandgatev1.Overview // nil: none has come yet
	status   string               // why it is old; empty: it is not
	colours  bool
}

// topLine is a line of the picture. Its text is safe for a terminal.
type topLine struct {
	text    string
	heading bool
}

// print writes the whole picture as plain text.
func (v topView) print(w io.Writer) error {
	for _, line := range v.lines(0, 0) {
		if _, err := fmt.Fprintln(w, line.text); err != nil {
			return err
		}
	}
	return nil
}

// lines returns the picture in a width and a height, zero for as much as it takes. Tenants get a third of
// the height at most.
func (v topView) lines(width, height int) []topLine {
	lines := v.header()
	if o := v.overview; o != nil {
		tenants := tenantRows(o.GetTenants())
		if height > 0 {
			tenants = tenants[:min(len(tenants), max(2, height/3))]
		}
		lines = append(append(append(lines, topLine{}), columns(tenants)...), topLine{})
		lines = append(lines, columns(sessionRows(o))...)
	}
	if height > 0 {
		lines = lines[:min(len(lines), height)]
	}
	if width > 0 {
		for i, line := range lines {
			if runes := []rune(line.text); len(runes) > width {
				lines[i].text = string(runes[:width])
			}
		}
	}
	return lines
}

// header says how the gateway as a whole is.
func (v topView) header() []topLine {
	o := v.overview
	if o == nil {
		return []topLine{{text: "sandgate at " + shownOnly(v.server), heading: true}, {text: shownOnly(orElse(v.status, "asking"))}}
	}
	state := "serving"
	if o.GetDraining() {
		state = "ENDING"
	}
	if v.status != "" {
		state = "AS OF " + o.GetAt().AsTime().Local().Format(time.TimeOnly) + ": " + v.status
	}
	var checks, pool, running []string
	for _, check := range o.GetChecks() {
		checks = append(checks, check.GetName()+" "+map[bool]string{true: "ok", false: "NOT READY"}[check.GetPassed()])
	}
	for _, fill := range o.GetPool() {
		pool = append(pool, fmt.Sprintf("%s %d/%d", fill.GetTemplate(), fill.GetReady(), fill.GetWanted()))
	}
	for _, calls := range o.GetRunning() {
		running = append(running, fmt.Sprintf("%s %d", calls.GetName(), calls.GetCount()))
	}
	s := o.GetSessions()
	texts := []string{
		fmt.Sprintf("sandgate %s at %s, up %s, on %s: %s", o.GetVersion(), v.server, since(o, o.GetStartedAt()), o.GetRuntime(), state),
		fmt.Sprintf("ready     %s", orElse(strings.Join(checks, ", "), "-")),
		fmt.Sprintf("sessions  %d running, %d being made, %d lost; %d at most; %d tenants", s.GetRunning(), s.GetCreating(), s.GetLost(), s.GetMax(), s.GetTenants()),
		fmt.Sprintf("pool      %s", orElse(strings.Join(pool, ", "), "-")),
		fmt.Sprintf("RPCs      %d of %d", o.GetRpcsRunning(), o.GetRpcsMax()),
		"calls     " + ratesText(o.GetRates()),
		fmt.Sprintf("running   %s", orElse(strings.Join(running, ", "), "-")),
	}
	var lines []topLine
	for i, text := range texts {
		lines = append(lines, topLine{text: shownOnly(text), heading: i == 0})
	}
	return lines
}

// ratesText says what calls ended.
func ratesText(r *sandgatev1.CallRates) string {
	if r == nil {
		return "-"
	}
	text := rate(r.GetCallsPerSecond()) + "/s, errors " + rate(r.GetErrorsPerSecond()) + "/s"
	if r.GetP50() != nil {
		text += ", p50 " + took(r.GetP50()) + ", p99 " + took(r.GetP99())
	}
	return text
}

func tenantRows(tenants []*sandgatev1.TenantActivity) [][]string {
	rows := [][]string{{"TENANT", "SESSIONS", "RUNNING", "CALLS/S", "ERRORS/S"}}
	for _, t := range tenants {
		rows = append(rows, []string{
			t.GetTenant(), strconv.Itoa(int(t.GetSessions())), strconv.Itoa(int(t.GetRunningCalls())), rate(t.GetCallsPerSecond()), rate(t.GetErrorsPerSecond()),
		})
	}
	return rows
}

func sessionRows(o *sandgatev1.Overview) [][]string {
	rows := [][]string{{"SESSION", "TENANT", "TEMPLATE", "STATE", "AGE", "UNUSED", "CALLS", "RUNNING", "MEMORY UP TO"}}
	for _, s := range o.GetMostActive() {
		rows = append(rows, []string{
			s.GetShownId(), s.GetTenant(), s.GetTemplate(), stateName(s.GetState()), since(o, s.GetCreatedAt()), since(o, s.GetUsedAt()),
			strconv.FormatInt(s.GetCalls(), 10), strconv.Itoa(int(s.GetRunningCalls())), config.FormatSize(s.GetMemoryLimitBytes()),
		})
	}
	return rows
}

// columns lays rows out, the first of them being the heading.
func columns(rows [][]string) []topLine {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = shownOnly(cell)
		}
	}
	var out bytes.Buffer
	_ = table(&out, rows) // a buffer takes everything
	var lines []topLine
	for text := range strings.Lines(out.String()) {
		lines = append(lines, topLine{text: strings.TrimRight(text, " \n"), heading: len(lines) == 0})
	}
	return lines
}

// shownOnly keeps what takes one place on every terminal: ASCII, and the dots of a shortened id. Names of
// tenants and templates have nothing else, whatever a gateway says.
func shownOnly(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= ' ' && r <= '~' || r == '…' {
			return r
		}
		return '?'
	}, text)
}

// since is how long something was ago by the gateway's clock.
func since(o *sandgatev1.Overview, at *timestamppb.Timestamp) string {
	if at == nil {
		return "-"
	}
	return max(0, o.GetAt().AsTime().Sub(at.AsTime())).Round(time.Second).String()
}

// took is a length of time in three digits, or in whole seconds.
func took(d *durationpb.Duration) string {
	span := d.AsDuration()
	for unit := 100 * time.Second; unit >= time.Microsecond; unit /= 10 {
		if span >= unit {
			return span.Round(unit / 100).String()
		}
	}
	return span.String()
}

func rate(perSecond float64) string { return strconv.FormatFloat(perSecond, 'f', 1, 64) }

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
