package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// chartFile is where the picture is put: beside the binary where there is one, else among the
// temporary files.
const chartFile = "quickstart-chart.png"

func (s *story) createSession(ctx context.Context) error {
	reply, err := s.api.sessions.CreateSession(ctx, &sandgatev1.CreateSessionRequest{
		Template:    "data", // numpy, pandas and matplotlib are imported already
		Metadata:    map[string]string{"example": "quickstart"},
		IdleTimeout: durationpb.New(5 * time.Minute), // if we die, it does too
	})
	if err != nil {
		return err
	}
	session := reply.GetSession()
	s.session = session.GetId()
	isolation := map[string]string{"runsc": "gVisor, a kernel of its own", "runc": "runc; `make setup` registers gVisor"}[session.GetRuntime()]
	s.say("   template %s, isolated by %s (%s), %d MiB of memory", session.GetTemplate(), session.GetRuntime(), isolation,
		session.GetLimits().GetMemoryBytes()>>20)
	return nil
}

func (s *story) upload(ctx context.Context) error {
	set, err := findDataset()
	if err != nil {
		return err
	}
	size := set.csv.Len()
	file, err := s.api.upload(ctx, s.session, "data.csv", &set.csv)
	if err != nil {
		return err
	}
	if file.GetSize() != int64(size) {
		return fmt.Errorf("%d bytes were sent and %d arrived", size, file.GetSize())
	}
	s.say("   %s: %d rows, %d bytes, now %s in the sandbox", set.what, set.rows, size, file.GetPath())
	return nil
}

const analysis = `
import pandas as pd
df = pd.read_csv("data.csv")
by_group = (df.groupby("group")["size_kib"]
              .agg(count="count", total_mib=lambda s: s.sum() / 1024, median_kib="median")
              .sort_values("total_mib", ascending=False))
print(f"{len(df)} rows, {df.size_kib.sum() / 1024:.0f} MiB in {len(by_group)} groups")
by_group.head(8).round(1)
`

func (s *story) analyse(ctx context.Context) error {
	got, err := s.api.run(ctx, s.session, analysis)
	if err != nil {
		return err
	}
	s.show(got.stdout.String())
	table := resultOf(got)
	if table == nil || len(table.GetTable().GetColumns()) != 3 {
		return errors.New("the table did not come back as data")
	}
	s.show(table.GetText())
	s.receipt(got)
	return nil
}

const drawing = `
import matplotlib.pyplot as plt
top = by_group.head(8)
fig, ax = plt.subplots(figsize=(8, 4))
ax.bar(top.index, top["total_mib"])
ax.set_title("Where the disk goes")
ax.set_ylabel("MiB")
ax.tick_params(axis="x", rotation=30)
fig.tight_layout()
plt.show()
`

func (s *story) draw(ctx context.Context) error {
	got, err := s.api.run(ctx, s.session, drawing)
	if err != nil {
		return err
	}
	for _, display := range got.displays {
		if len(display.GetPng()) == 0 {
			continue
		}
		config, err := png.DecodeConfig(bytes.NewReader(display.GetPng()))
		if err != nil {
			return fmt.Errorf("the picture is no PNG: %w", err)
		}
		name, err := saveChart(display.GetPng())
		if err != nil {
			return err
		}
		s.say("   %s: %d x %d pixels, %d bytes", name, config.Width, config.Height, len(display.GetPng()))
		return s.chartData(display.GetChart())
	}
	return errors.New("no picture came back")
}

// saveChart writes the picture.
func saveChart(data []byte) (string, error) {
	folder := "bin"
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		folder = os.TempDir()
	}
	name := filepath.Join(folder, chartFile)
	return name, os.WriteFile(name, data, 0o644)
}

// chartData prints what the figure shows, which a model can read without looking at it.
func (s *story) chartData(chart *sandgatev1.Chart) error {
	if len(chart.GetAxes()) == 0 || len(chart.GetAxes()[0].GetSeries()) == 0 {
		return errors.New("the chart's data did not come back")
	}
	axes := chart.GetAxes()[0]
	var bars []string
	for _, bar := range axes.GetSeries()[0].GetBars() {
		bars = append(bars, fmt.Sprintf("%s=%.0f", bar.GetLabel(), bar.GetValue()))
	}
	s.say("   as data: %s chart %q, %s: %s", axes.GetType(), axes.GetTitle(), axes.GetYLabel(), strings.Join(bars, " "))
	return nil
}

func (s *story) useState(ctx context.Context) error {
	got, err := s.api.run(ctx, s.session, `
biggest = df.nlargest(3, "size_kib")
print("largest:", ", ".join(f"{r['name']} ({r.size_kib / 1024:.0f} MiB)" for _, r in biggest.iterrows()))
`)
	if err != nil {
		return err
	}
	s.show(got.stdout.String())
	s.say("   df is the DataFrame of step 3; this is cell %d of one kernel", got.result.GetExecutionCount())
	s.receipt(got)
	return nil
}

// attempts prints one line per attempt: what was tried, and what came of it. A line that begins
// with OUT means that the walls do not hold.
const attempts = `
import os, socket, urllib.request
def attempt(what, do):
    try:
        print("OUT ", what, "->", do())
    except Exception as e:
        print("held", what, "->", type(e).__name__, str(e)[:60])
attempt("connect to 1.1.1.1:443", lambda: socket.create_connection(("1.1.1.1", 443), 3))
attempt("fetch http://169.254.169.254/", lambda: urllib.request.urlopen("http://169.254.169.254/", timeout=3).status)
attempt("read /etc/shadow", lambda: open("/etc/shadow").read())
attempt("write /usr/bin/python3", lambda: open("/usr/bin/python3", "r+b"))
attempt("become root", lambda: os.setuid(0))
attempt("kill the sandbox's PID 1", lambda: os.kill(1, 9))
print("held" if os.getuid() != 0 else "OUT ", "uid", os.getuid())
`

func (s *story) breakOut(ctx context.Context) error {
	got, err := s.api.run(ctx, s.session, attempts)
	if err != nil {
		return err
	}
	s.show(got.stdout.String())
	lines := strings.Split(strings.TrimSpace(got.stdout.String()), "\n")
	for _, line := range lines {
		if !strings.HasPrefix(line, "held") {
			return fmt.Errorf("the sandbox did not hold: %s", line)
		}
	}
	if len(lines) != 7 {
		return fmt.Errorf("only %d of 7 attempts were made", len(lines))
	}
	return nil
}

func (s *story) deleteSession(ctx context.Context) error {
	id := s.session
	if err := s.cleanUp(ctx); err != nil {
		return err
	}
	_, err := s.api.sessions.GetSession(ctx, &sandgatev1.GetSessionRequest{SessionId: id})
	if connect.CodeOf(err) != connect.CodeNotFound {
		return fmt.Errorf("the session is still there after its end: %w", err)
	}
	s.say("   its sandbox, its files and its memory are gone; asking for it says: %s", connect.CodeOf(err))
	return nil
}

// cleanUp deletes the session if there is one, also after Ctrl-C.
func (s *story) cleanUp(ctx context.Context) error {
	if s.session == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_, err := s.api.sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: s.session})
	s.session = ""
	return err
}

// resultOf is the value of a cell's last expression.
func resultOf(got *cell) *sandgatev1.Display {
	for _, display := range got.displays {
		if display.GetIsResult() {
			return display
		}
	}
	return nil
}

// receipt prints what a cell cost.
func (s *story) receipt(got *cell) {
	r := got.result.GetReceipt()
	s.say("   receipt: %s wall, %s cpu, %d MiB peak, %d bytes in, %d bytes out",
		r.GetWall().AsDuration().Round(100*time.Microsecond), r.GetCpu().AsDuration().Round(100*time.Microsecond),
		r.GetPeakMemoryBytes()>>20, r.GetBytesIn(), r.GetBytesOut())
}
