package pyrunner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/pyrunner"
)

// renderer is what the gateway asks of one.
type renderer interface {
	Add(message proto.Message)
	Content() []*sandgatev1.Content
}

// render returns what a model reads as text, pictures as a line.
func render(r renderer, events ...proto.Message) string {
	for _, event := range events {
		r.Add(event)
	}
	var out strings.Builder
	for _, part := range r.Content() {
		if image := part.GetImage(); image != nil {
			out.WriteString("<" + image.GetMimeType() + ">\n")
			continue
		}
		out.WriteString(part.GetText() + "\n")
	}
	return out.String()
}

// golden compares text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if updating() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func stderr(text string) *sandgatev1.RunResponse {
	return &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stderr{Stderr: &sandgatev1.Output{Data: []byte(text)}}}
}

func display(d *sandgatev1.Display) *sandgatev1.RunResponse {
	return &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Display{Display: d}}
}

func TestRunRendererGolden(t *testing.T) {
	ok := result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK})
	png := []byte("\x89PNG\r\n\x1a\nrest")
	for name, events := range map[string][]proto.Message{
		"run_nothing": {ok},
		"run_value":   {display(&sandgatev1.Display{IsResult: true, Text: "2", Html: "<b>2</b>"}), ok},
		"run_mixed": {
			stdout("a\nb", 0), stderr("careful\n"), display(&sandgatev1.Display{Text: "<Figure size 640x480 with 1 Axes>", Png: png}),
			display(&sandgatev1.Display{Markdown: "# Title"}), display(&sandgatev1.Display{Latex: "$x$"}),
			display(&sandgatev1.Display{Html: "<p>"}), display(&sandgatev1.Display{Json: structpb.NewStringValue("j")}),
			display(&sandgatev1.Display{Svg: "<svg/>"}), display(&sandgatev1.Display{Jpeg: []byte("no picture")}),
			display(&sandgatev1.Display{Table: &sandgatev1.Table{Columns: []string{"a"}, TotalRows: 7}}), ok,
		},
		"run_picture": {display(&sandgatev1.Display{Text: "<Figure>", Png: png}), ok},
		"run_error": {stdout("before\n", 0), result(&sandgatev1.RunResult{
			Status: sandgatev1.Status_STATUS_ERROR,
			Error:  &sandgatev1.PythonError{Name: "ValueError", Value: "bad", Traceback: "Traceback (most recent call last):\n  File \"<cell 1>\", line 1\nValueError: bad\n"},
		})},
		"run_exit": {result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_ERROR, ExitCode: 3, StateLost: true})},
		"run_timeout": {stdout("tick\n", 0), result(&sandgatev1.RunResult{
			Status: sandgatev1.Status_STATUS_TIMEOUT, StateLost: true, Note: "The cell had 5 s.\nIt was ended.",
			LateOutput: []byte("from a thread\n"), DroppedDisplays: 2,
		})},
		"run_cut": {stdout("head\n", 0), result(&sandgatev1.RunResult{
			Status: sandgatev1.Status_STATUS_OK,
			Stdout: &sandgatev1.StreamSummary{TotalBytes: 100, DroppedBytes: 95, File: "/home/user/.sandgate/out-1.txt", FileBytes: 100},
			Stderr: &sandgatev1.StreamSummary{TotalBytes: 50, DroppedBytes: 50, File: "/home/user/.sandgate/err-1.txt", FileBytes: 20},
		})},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, render(pyrunner.NewRunRenderer(), events...)) })
	}
}

func TestShellRendererGolden(t *testing.T) {
	out := func(text string) proto.Message {
		return &sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte(text)}}}
	}
	end := func(r *sandgatev1.ProcessResult) proto.Message {
		return &sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Result{Result: r}}
	}
	for name, events := range map[string][]proto.Message{
		"shell_nothing": {end(&sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_OK})},
		"shell_ok":      {out("a\n"), end(&sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_OK})},
		"shell_code":    {out("a"), end(&sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_ERROR, ExitCode: 2})},
		"shell_killed": {end(&sandgatev1.ProcessResult{
			Status: sandgatev1.Status_STATUS_TIMEOUT, ExitCode: 137, Signal: "SIGKILL", Note: "The command had 60 s.",
		})},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, render(pyrunner.NewShellRenderer(), events...)) })
	}
	golden(t, "restart", render(pyrunner.NewRestartRenderer(), &sandgatev1.RestartContextResponse{}))
}

func TestRenderersCutInTheMiddle(t *testing.T) {
	var lines strings.Builder
	for range 100_000 {
		lines.WriteString("0123456789\n")
	}
	got := render(pyrunner.NewRunRenderer(), stdout("first\n", 0), stdout(lines.String(), 6), stdout("last\n", 0), stderr("short\n"),
		result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK, Stdout: &sandgatev1.StreamSummary{TotalBytes: 1_100_011}}))
	if len(got) > 64<<10 {
		t.Errorf("%d bytes", len(got))
	}
	for _, want := range []string{"first\n0123456789\n", "0123456789\nlast\n[stderr]\nshort\n", "bytes left out here", "of 1100011 bytes are not shown; to see them"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestRunRendererBoundsPictures(t *testing.T) {
	r := pyrunner.NewRunRenderer()
	for range 1000 {
		r.Add(display(&sandgatev1.Display{Png: append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 1<<20)...)}))
	}
	total := 0
	for _, part := range r.Content() {
		total += len(part.GetImage().GetData())
	}
	if total == 0 || total > 8<<20 {
		t.Errorf("%d bytes of pictures", total)
	}
}

func FuzzRunRenderer(f *testing.F) {
	f.Add([]byte("out"), []byte("err"), "shown", "trace", 1)
	f.Add([]byte("a\xff"), []byte("\xe2\x82"), "<", "\n", 40_000)
	f.Fuzz(func(t *testing.T, out, errOut []byte, text, trace string, times int) {
		if len(out) > 1<<10 || len(errOut) > 1<<10 || len(text) > 1<<10 || !utf8.ValidString(text) || !utf8.ValidString(trace) {
			t.Skip()
		}
		r := pyrunner.NewRunRenderer()
		for range max(min(times, 40_000), 0) {
			r.Add(stdout(string(out), 0))
			r.Add(stderr(string(errOut)))
			r.Add(display(&sandgatev1.Display{Text: text}))
		}
		r.Add(result(&sandgatev1.RunResult{Status: 42, Error: &sandgatev1.PythonError{Traceback: trace}, LateOutput: out, Note: text}))
		parts := r.Content()
		if len(parts) == 0 {
			t.Fatal("no content")
		}
		for _, part := range parts {
			if len(part.GetText()) > 64<<10 || !utf8.ValidString(part.GetText()) {
				t.Fatalf("%d bytes, valid: %v", len(part.GetText()), utf8.ValidString(part.GetText()))
			}
		}
	})
}
