// Command quickstart shows Sandgate at work: it makes a session over Connect-RPC, uploads a real data
// set of this machine, lets untrusted Python analyse and draw it in a sandbox, tries to break out, and
// cleans everything up. It uses the public API only, so it is also an example of a Go client.
//
// It starts a gateway for itself from bin/sandgate, on a free port and with a state folder of its own, and
// stops it at the end. Where SANDGATE_SERVER names a gateway it uses that one, with the key SANDGATE_KEY.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "quickstart: interrupted; what it had made is gone")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run tells the story. Whatever happens, the session and the gateway that it made are gone when it
// returns.
func run(ctx context.Context, out io.Writer) (err error) {
	s := &story{out: out, began: time.Now()}
	gateway, err := findGateway(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Close()) }()
	s.fresh = gateway.process != nil
	s.api = newAPI(gateway.url, gateway.key)
	defer func() { err = errors.Join(err, s.cleanUp(ctx)) }()
	for _, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Create a session over Connect-RPC", s.createSession},
		{"Upload a data set of this machine", s.upload},
		{"Analyse it with pandas, in the sandbox", s.analyse},
		{"Draw it: a chart comes back as PNG and as data", s.draw},
		{"A second look uses what is still in memory", s.useState},
		{"Read a spreadsheet and a PDF that the sandbox wrote", s.readDocuments},
		{"Untrusted code tries to get out", s.breakOut},
		{"Delete the session", s.deleteSession},
	} {
		if err := s.step(ctx, chapter.title, chapter.tell); err != nil {
			return err
		}
	}
	s.say("Done in %s. Next: `bin/sandgate serve` in one terminal, `bin/sandgate py -i` in another.\n", since(s.began))
	return nil
}

// story is the state of one telling.
type story struct {
	out     io.Writer
	began   time.Time
	number  int
	fresh   bool // the gateway was started for this, and has done nothing before
	api     *api
	session string // empty when there is none
}

// step tells one chapter and how long it took.
func (s *story) step(ctx context.Context, title string, tell func(context.Context) error) error {
	s.number++
	s.say("%d. %s", s.number, title)
	start := time.Now()
	if err := tell(ctx); err != nil {
		return fmt.Errorf("%s: %w", strings.ToLower(title[:1])+title[1:], err)
	}
	s.say("   (%s)\n", since(start))
	return nil
}

// say writes a line. Nothing depends on its being read.
func (s *story) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

// show writes a block of text a little to the right.
func (s *story) show(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		s.say("   | %s", strings.TrimSuffix(line, "\n"))
	}
}

// since is the time that has passed, short.
func since(start time.Time) string {
	passed := time.Since(start)
	if passed < 100*time.Millisecond {
		return passed.Round(100 * time.Microsecond).String()
	}
	return passed.Round(10 * time.Millisecond).String()
}
