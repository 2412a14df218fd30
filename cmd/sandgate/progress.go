package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

// progressEvery is how often a progress line is drawn anew.
const progressEvery = 200 * time.Millisecond

// progress shows how far a transfer is, on a terminal only. It is not safe for concurrent use.
type progress struct {
	to          io.Writer // nil: nothing is shown
	name        string
	done, total int64 // bytes; a negative total is not known
	drawn       time.Time
	shown       bool
}

// progress begins a transfer. Nothing is shown where standard error is no terminal.
func (a *app) progress(name string, total int64) *progress {
	p := &progress{name: printable(name), total: total, drawn: time.Now()}
	if _, isTerminal := terminalFD(a.err); isTerminal {
		p.to = a.err
	}
	return p
}

// add says that n more bytes have been moved.
func (p *progress) add(n int) {
	p.done += int64(n)
	if p.to == nil || time.Since(p.drawn) < progressEvery {
		return
	}
	p.drawn, p.shown = time.Now(), true
	amount := config.FormatSize(p.done &^ (1<<10 - 1))
	if p.total > 0 {
		amount = fmt.Sprintf("%3d%% of %d MiB", min(p.done*100/p.total, 100), p.total>>20)
	}
	_, _ = fmt.Fprintf(p.to, "\r\x1b[K%s  %s", p.name, amount) // only looks suffer
}

// Close takes the line away.
func (p *progress) Close() {
	if p.shown {
		_, _ = io.WriteString(p.to, "\r\x1b[K") // only looks suffer
	}
}
