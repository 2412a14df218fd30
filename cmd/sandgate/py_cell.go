package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// inlineOutput is how much of each stream the command line asks for as it is written: as much as there
// may be. The rest is fetched at the end.
const inlineOutput = 16 << 20

// cellRunner runs cells one after another and shows what they do. It is not safe for concurrent
// use.
type cellRunner struct {
	app              *app
	client           *client
	session, context string
	timeout          *durationpb.Duration // nil: the gateway's default
	images           imageSaver
	last             bool // the session ends with the first cell
	interactive      bool // show results, as a prompt does
	exited           bool // the code of the last cell asked to leave, with sys.exit or the like
}

// enterContext makes the context that was asked for, unless it exists. The default one always does.
func (r *cellRunner) enterContext(ctx context.Context) error {
	if r.context == "" || r.context == "default" {
		return nil
	}
	_, err := r.client.python.CreateContext(ctx, &sandgatev1.CreateContextRequest{SessionId: r.session, ContextId: r.context})
	if connect.CodeOf(err) == connect.CodeAlreadyExists {
		return nil
	}
	return inFlags(err)
}

// run runs a cell to its end. Its error is nil, an exitError that says how the code failed, or
// says why it could not be run.
func (r *cellRunner) run(ctx context.Context, s script) error {
	env, err := s.env()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := r.watchInterrupts(ctx, cancel)
	defer watch.Close()
	stream, err := r.client.python.Run(ctx, &sandgatev1.RunRequest{
		SessionId: r.session, ContextId: r.context, Code: s.code, Env: env, Timeout: r.timeout, MaxOutputBytes: inlineOutput,
	})
	if err != nil {
		return r.because(ctx, err)
	}
	defer func() { _ = stream.Close() }() // everything that matters was received
	var result *sandgatev1.RunResult
	for stream.Receive() {
		if err := r.show(stream.Msg()); err != nil {
			return err
		}
		if last := stream.Msg().GetResult(); last != nil {
			result = last
		}
	}
	if err := stream.Err(); err != nil {
		return r.because(ctx, err)
	}
	if result == nil {
		return errNoResult
	}
	return r.finish(ctx, result)
}

// because prefers the reason for which we left over what that looks like on the wire.
func (r *cellRunner) because(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errLeft) {
		r.exited = true
		return exitError{code: exitInterrupted}
	}
	return inFlags(err)
}

// show prints one event.
func (r *cellRunner) show(event *sandgatev1.RunResponse) error {
	switch {
	case event.GetStdout() != nil:
		_, err := r.app.out.Write(event.GetStdout().GetData())
		return err
	case event.GetStderr() != nil:
		_, err := r.app.err.Write(event.GetStderr().GetData())
		return err
	case event.GetDisplay() != nil:
		return r.display(event.GetDisplay())
	}
	return nil
}

// display keeps a picture, or tells of it; text is shown at a prompt only, as python does.
func (r *cellRunner) display(shown *sandgatev1.Display) error {
	mimeType, data := picture(shown)
	if data != nil && (r.interactive || r.images.dir != "") {
		line, err := r.images.save(mimeType, data)
		if err == nil {
			_, err = fmt.Fprintln(r.app.err, line)
		}
		return err
	}
	if data != nil {
		r.images.count++
		return nil
	}
	if !r.interactive && shown.GetIsResult() {
		return nil
	}
	text := shown.GetText()
	if text == "" {
		text = shown.GetMarkdown() + shown.GetLatex()
	}
	_, err := fmt.Fprintln(r.app.out, text)
	return err
}

// picture returns the picture of a display, if it is one.
func picture(shown *sandgatev1.Display) (mimeType string, data []byte) {
	switch {
	case len(shown.GetPng()) > 0:
		return "image/png", shown.GetPng()
	case len(shown.GetJpeg()) > 0:
		return "image/jpeg", shown.GetJpeg()
	case shown.GetSvg() != "":
		return "image/svg+xml", []byte(shown.GetSvg())
	}
	return "", nil
}

// finish prints what the result adds to the events and turns it into an exit code.
func (r *cellRunner) finish(ctx context.Context, result *sandgatev1.RunResult) error {
	rest := outputRest{app: r.app, client: r.client, session: r.session}
	whole, err := rest.show(ctx, result.GetStdout(), result.GetStderr())
	if err != nil {
		return r.because(ctx, err)
	}
	if late := result.GetLateOutput(); len(late) > 0 {
		if _, err := r.app.out.Write(late); err != nil {
			return err
		}
	}
	if traceback := result.GetError().GetTraceback(); traceback != "" {
		if _, err := io.WriteString(r.app.err, strings.TrimRight(traceback, "\n")+"\n"); err != nil {
			return err
		}
	}
	if result.GetStatus() != sandgatev1.Status_STATUS_OK || result.GetStateLost() {
		r.app.note(result.GetNote(), r.last)
	}
	if !r.interactive && r.images.dir == "" && r.images.count > 0 {
		r.app.notef("%s shown and not kept; --images DIR keeps pictures", pictures(r.images.count))
	}
	if r.interactive && result.GetStateLost() && result.GetNote() == "" {
		r.app.notef("a new Python was started: variables and imports are gone, files are not")
	}
	r.exited = asksToLeave(result)
	return exitWith(codeOfWhole(statusCode(result.GetStatus(), result.GetExitCode()), whole))
}

// pictures counts them in words.
func pictures(count int) string {
	if count == 1 {
		return "1 picture was"
	}
	return fmt.Sprintf("%d pictures were", count)
}

// asksToLeave reports whether the code called sys.exit, exit or quit.
func asksToLeave(result *sandgatev1.RunResult) bool {
	switch result.GetStatus() {
	case sandgatev1.Status_STATUS_OK, sandgatev1.Status_STATUS_ERROR:
		// A Python that ended by itself, as by os._exit, did not ask for our end.
		return result.GetError().GetName() == "SystemExit" ||
			(result.GetError() == nil && result.GetExitCode() != 0 && !result.GetStateLost())
	default:
		return false
	}
}
