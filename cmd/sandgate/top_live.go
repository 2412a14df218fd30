package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// What a terminal is told. The picture has a screen of its own, so that what was there comes back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	restOfLine  = "\x1b[K"
	restBelow   = "\x1b[J"
)

// topLive draws the gateway anew with every overview, until somebody leaves.
func (a *app) topLive(ctx context.Context, fd int, w *overviewWatch, view topView) (err error) {
	_, plain := a.env("NO_COLOR")
	view.colours = !plain
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys, restore, err := a.readKeys()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(a.out, enterScreen); err != nil {
		return errors.Join(err, restore())
	}
	defer func() {
		_, leaveErr := io.WriteString(a.out, leaveScreen)
		err = errors.Join(err, leaveErr, restore())
	}()
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, syscall.SIGWINCH)
	defer signal.Stop(sizes)
	updates := make(chan update)
	go w.run(ctx, updates) // ends with ctx
	var last error
	for {
		if err := a.draw(fd, view); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case key := <-keys:
			switch key {
			case 'q', 'Q':
				return nil
			case '\x03': // Ctrl-C, which is no signal on a raw terminal
				return exitError{code: exitInterrupted}
			}
		case <-sizes:
		case got, more := <-updates:
			switch {
			case !more:
				return errors.Join(ctx.Err(), last)
			case got.err != nil:
				last = got.err
				message, _ := explain(got.err)
				view.status = message + "; asking again"
			default:
				view.overview, view.status = got.overview, ""
			}
		}
	}
}

// readKeys returns what is typed, key by key, where standard input is a terminal, and how to leave that
// as it was.
func (a *app) readKeys() (keys <-chan byte, restore func() error, err error) {
	fd, isTerminal := terminalFD(a.in)
	if !isTerminal {
		return nil, func() error { return nil }, nil
	}
	saved, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, err
	}
	typed := make(chan byte)
	go func() { // ends with a read of standard input, which cannot be cancelled
		var key [1]byte
		for {
			if n, err := a.in.Read(key[:]); err != nil || n == 0 {
				return
			}
			typed <- key[0]
		}
	}()
	return typed, func() error { return term.Restore(fd, saved) }, nil
}

// draw draws the picture in one write, so that it does not flicker.
func (a *app) draw(fd int, view topView) error {
	width, height, err := term.GetSize(fd)
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	var out bytes.Buffer
	out.WriteString(toTop)
	for i, line := range view.lines(width, height) {
		if i > 0 {
			out.WriteString("\r\n")
		}
		if line.heading && view.colours {
			out.WriteString("\x1b[1m" + line.text + "\x1b[0m")
		} else {
			out.WriteString(line.text)
		}
		out.WriteString(restOfLine)
	}
	out.WriteString(restBelow)
	_, err = a.out.Write(out.Bytes())
	return err
}
