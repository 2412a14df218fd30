package mcp

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestProgress(t *testing.T) {
	for _, revision := range []string{legacy, modern} {
		t.Run(revision, func(t *testing.T) {
			g := newRig(t, nil)
			c := g.connect(t, revision, nil, "")
			arguments := map[string]any{"code": "lines 1000"}
			if revision == modern {
				arguments[sessionName] = c.newSession(t)
			}
			params := &sdk.CallToolParams{Name: "python_run", Arguments: arguments}
			if _, err := c.CallTool(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			params.SetProgressToken("mine")
			res, err := c.CallTool(t.Context(), params)
			if err != nil || len(res.Content) != 1000 {
				t.Fatalf("%v, %v", res, err)
			}
			// The notifications arrive before the result, and only for the call that asked for them.
			close(c.told)
			last := 0.0
			for told := range c.told {
				if told.ProgressToken != "mine" || told.Progress <= last || !strings.HasPrefix(told.Message, "line ") {
					t.Errorf("%+v after %v", told, last)
				}
				last = told.Progress
			}
			if last == 0 || last == 1000 {
				t.Errorf("told %v times of 1000 lines", last)
			}
		})
	}
}

// TestProgressIsBounded lets events come faster than a client may be told, and then none.
func TestProgressIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		p := &progress{begun: time.Now(), notify: func(number float64, text string) {
			if number != float64(len(told)+1) {
				t.Errorf("number %v of %d", number, len(told))
			}
			told = append(told, text)
		}}
		p.timer = time.AfterFunc(progressQuiet, p.quiet)
		for i := range 101 { // a second of events
			p.event(output(t, "line "+string(rune('a'+i%26))+"\n"))
			<-time.After(10 * time.Millisecond)
		}
		synctest.Wait()
		p.mu.Lock()
		if len(told) != 11 || told[0] != "line a" || told[1] != "line k" {
			t.Errorf("%d were told: %v", len(told), told)
		}
		p.mu.Unlock()
		<-time.After(25 * time.Second)
		p.mu.Lock()
		if !slices.Equal(told[11:], []string{"still running after 11s", "still running after 21s"}) {
			t.Errorf("in silence: %v", told[11:])
		}
		p.mu.Unlock()
		p.close()
		<-time.After(time.Minute)
		p.quiet() // one that was on its way
		if len(told) != 13 {
			t.Errorf("after the end: %v", told)
		}
	})
}

func output(t *testing.T, text string) *structpb.Struct {
	t.Helper()
	return event(t, "stdout", "data", base64.StdEncoding.EncodeToString([]byte(text)))
}

func event(t *testing.T, kind, field, text string) *structpb.Struct {
	t.Helper()
	out, err := structpb.NewStruct(map[string]any{kind: map[string]any{field: text, "offset": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLastLine(t *testing.T) {
	for want, given := range map[string]*structpb.Struct{
		"two":                          output(t, "one\ntwo\n\n"),
		"99%":                          output(t, "10%\r50%\r99%\r"),
		"red":                          output(t, "\x1b]0;x\x07\nred"),
		"a\uFFFDb":                     output(t, "a\x00\xffb"), // a NUL, and a byte that is no UTF-8
		strings.Repeat("ä", 200) + "…": output(t, strings.Repeat("ä", 300)),
		"a value":                      event(t, "display", "text", "a value"),
	} {
		if got := lastLine(given); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, nothing := range []*structpb.Struct{nil, {}, output(t, ""), output(t, "\n \n"), event(t, "display", "png", "x"), event(t, "stdout", "data", "?")} {
		if got := lastLine(nothing); got != "" {
			t.Errorf("%v shows %q", nothing, got)
		}
	}
}
