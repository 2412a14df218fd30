package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/blocks"
)

// The prompts are python's.
const (
	firstPrompt = ">>> "
	nextPrompt  = "... "
)

// maxLineBytes bounds a line of a prompt that is fed from a pipe.
const maxLineBytes = 1 << 20

// errInterruptedLine says that Ctrl-C was pressed at the prompt.
var errInterruptedLine = errors.New("interrupted")

// A lineReader gives the lines of a prompt, io.EOF at their end and errInterruptedLine where
// somebody pressed Ctrl-C instead of finishing one.
type lineReader interface {
	readLine(ctx context.Context, prompt string) (line string, pasted bool, err error)
}

// repl is the prompt. It ends with the input; its exit code is zero then, as python's is, or what
// the code passed to sys.exit.
func (a *app) repl(ctx context.Context, runner *cellRunner) error {
	runner.interactive = true
	lines := a.lineReader(ctx)
	if _, isTerminal := terminalFD(a.in); isTerminal {
		a.notef("Python in session %s; Ctrl-D ends, Ctrl-C interrupts", runner.session)
	}
	var block blocks.Block
	for {
		prompt := firstPrompt
		if !block.Empty() {
			prompt = nextPrompt
		}
		line, pasted, err := lines.readLine(ctx, prompt)
		switch {
		case errors.Is(err, errInterruptedLine):
			block.Reset()
			_, _ = fmt.Fprintln(a.err, "KeyboardInterrupt") // the next write to the terminal tells
			continue
		case errors.Is(err, io.EOF):
			if block.Empty() {
				return nil
			}
			return runner.step(ctx, block.Text())
		case err != nil:
			return fmt.Errorf("read a line: %w", err)
		}
		if !block.Add(line, pasted) {
			continue
		}
		code := block.Text()
		block.Reset()
		switch strings.TrimSpace(code) {
		case "":
			continue
		case "exit", "exit()", "quit", "quit()":
			return nil
		}
		if left, err := runner.stepOrLeave(ctx, code); left || err != nil {
			return err
		}
	}
}

// step runs a cell of a prompt, after which the prompt goes on unless the gateway failed.
func (r *cellRunner) step(ctx context.Context, code string) error {
	_, err := r.stepOrLeave(ctx, code)
	return err
}

// stepOrLeave is step that also tells whether the code asked to leave, with err saying how.
func (r *cellRunner) stepOrLeave(ctx context.Context, code string) (left bool, err error) {
	r.exited = false
	err = r.run(ctx, script{code: code})
	var exit exitError
	switch {
	case err == nil || errors.As(err, &exit):
		if r.exited {
			return true, err
		}
		return false, nil
	default:
		return true, err
	}
}

// lineReader chooses how lines are read.
func (a *app) lineReader(ctx context.Context) lineReader {
	if lines := newTerminalLines(a.in, a.out); lines != nil {
		return lines
	}
	scanner := bufio.NewScanner(a.input(ctx))
	scanner.Buffer(nil, maxLineBytes)
	return &pipedLines{scanner: scanner}
}

// pipedLines reads lines from something that is no terminal. No prompt is shown.
type pipedLines struct{ scanner *bufio.Scanner }

func (p *pipedLines) readLine(context.Context, string) (line string, pasted bool, err error) {
	if p.scanner.Scan() {
		return p.scanner.Text(), false, nil
	}
	if err := p.scanner.Err(); err != nil {
		return "", false, err
	}
	return "", false, io.EOF
}
