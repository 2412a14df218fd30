package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"golang.org/x/term"
)

// terminalLines reads lines from a terminal, with editing, history and pasting.
type terminalLines struct {
	fd      int
	keys    *keyReader
	out     io.Writer
	line    *term.Terminal
	history term.History
}

// newTerminalLines returns nil when in or out is not a terminal.
func newTerminalLines(in io.Reader, out io.Writer) *terminalLines {
	fd, isTerminal := terminalFD(in)
	if _, outIsTerminal := terminalFD(out); !isTerminal || !outIsTerminal {
		return nil
	}
	return &terminalLines{fd: fd, keys: &keyReader{in: in}, out: out}
}

// readLine edits one line. The terminal is raw only meanwhile, so that Ctrl-C is a signal while
// code runs. When ctx ends the read is given up; it still holds the terminal, so nothing can be read
// afterwards.
func (t *terminalLines) readLine(ctx context.Context, prompt string) (line string, pasted bool, err error) {
	saved, err := term.MakeRaw(t.fd)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, term.Restore(t.fd, saved)) }()
	if t.line == nil {
		t.renew()
	}
	t.line.SetPrompt(prompt)
	if width, height, sizeErr := term.GetSize(t.fd); sizeErr == nil && width > 0 {
		_ = t.line.SetSize(width, height) // only looks suffer
	}
	t.line.SetBracketedPasteMode(true)
	defer t.line.SetBracketedPasteMode(false)

	type outcome struct {
		line string
		err  error
	}
	read := make(chan outcome, 1)
	go func(line *term.Terminal) { // ends with the read, which cannot be cancelled
		text, err := line.ReadLine()
		read <- outcome{text, err}
	}(t.line)
	select {
	case <-ctx.Done():
		return "", false, ctx.Err()
	case got := <-read:
		return t.finish(got.line, got.err)
	}
}

// finish sorts out how a line ended.
func (t *terminalLines) finish(line string, err error) (text string, pasted bool, _ error) {
	switch {
	case errors.Is(err, term.ErrPasteIndicator):
		return line, true, nil
	case errors.Is(err, errInterruptedLine), errors.Is(err, io.EOF):
		t.line = nil // what was typed so far is dropped with it
		_, writeErr := io.WriteString(t.out, "\r\n")
		return "", false, errors.Join(err, writeErr)
	default:
		return line, false, err
	}
}

// renew starts a line editor with the history so far.
func (t *terminalLines) renew() {
	t.line = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{t.keys, t.out}, "")
	if t.history != nil {
		t.line.History = t.history
	}
	t.history = t.line.History
	t.line.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return line[:pos] + "    " + line[pos:], pos + 4, true
	}
}

// keyReader tells Ctrl-C apart from Ctrl-D, which a term.Terminal reports alike.
type keyReader struct {
	in   io.Reader
	rest []byte
	stop bool // Ctrl-C comes after rest
}

func (k *keyReader) Read(p []byte) (int, error) {
	if len(k.rest) == 0 && k.stop {
		k.stop = false
		return 0, errInterruptedLine
	}
	if len(k.rest) == 0 {
		buffer := make([]byte, len(p))
		n, err := k.in.Read(buffer)
		if err != nil {
			return 0, err
		}
		// A Ctrl-D that was typed while the terminal was not raw waits there as a zero byte.
		for i, key := range buffer[:n] {
			if key == 0 {
				buffer[i] = '\x04'
			}
		}
		before, _, found := bytes.Cut(buffer[:n], []byte{'\x03'})
		k.rest, k.stop = before, found
		return k.Read(p)
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}
