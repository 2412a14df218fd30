package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// runs is the file in a session to which everything that runs adds its id.
const runs = "runs"

// worker does one thing in a session.
type worker struct {
	client  *rig.Client
	session *session
	ledger  *ledger
	id      string
	pause   time.Duration
}

// cell adds its id to the kernel's list and to the file, takes a while, and shows how often it ran.
func (w worker) cell() string {
	return fmt.Sprintf(`import time
ran = globals().setdefault("ran", [])
ran.append(%[1]q)
with open(%[2]q, "a") as file: file.write(%[1]q + "\n")
print("started", flush=True)
time.sleep(%[3]f)
"count=%%d" %% ran.count(%[1]q)`, w.id, runs, w.pause.Seconds())
}

// script does the same in a shell, which has no state but the file.
func (w worker) script() string {
	return fmt.Sprintf(`echo %[1]s >>%[2]s; echo started; sleep %.3[3]f; echo count=$(grep -c '^%[1]s$' %[2]s)`, w.id, runs, w.pause.Seconds())
}

func (w worker) pythonOnce(ctx context.Context) error {
	err := w.call(ctx, "python_run", true, "code", w.cell())
	if err == nil {
		w.session.ran(w.id, true)
	}
	return err
}

func (w worker) shellOnce(ctx context.Context) error {
	err := w.call(ctx, "shell_run", true, "command", w.script())
	if err == nil {
		w.session.ran(w.id, false)
	}
	return err
}

func (w worker) writeOnce(ctx context.Context) error {
	err := w.call(ctx, "file_write", false, "path", w.id, "text", w.id)
	if err == nil {
		w.session.wrote(w.id, w.id)
	}
	return err
}

// call makes a call with a call_id.
func (w worker) call(ctx context.Context, tool string, counts bool, arguments ...string) error {
	c := &call{client: w.client, session: w.session, counts: counts, request: &sandgatev1.CallToolRequest{
		SessionId: w.session.id, Name: tool, Arguments: rig.Arguments(arguments...), CallId: w.id,
	}}
	w.ledger.sent(c)
	reply, err := w.client.Tools.CallTool(ctx, c.request)
	if err != nil {
		return err
	}
	c.reply = reply
	if reply.GetStatus() != sandgatev1.Status_STATUS_OK {
		return errNotWell
	}
	return nil
}

// python runs a cell without a call_id.
func (w worker) python(ctx context.Context) error {
	stream, err := w.client.Python.Run(ctx, &sandgatev1.RunRequest{SessionId: w.session.id, Code: w.cell()})
	if err != nil {
		return err
	}
	status := sandgatev1.Status_STATUS_UNSPECIFIED
	for stream.Receive() {
		if result := stream.Msg().GetResult(); result != nil {
			status = result.GetStatus()
		}
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		return err
	}
	if status != sandgatev1.Status_STATUS_OK {
		return errNotWell
	}
	w.session.ran(w.id, true)
	return nil
}

// shell runs a command without a call_id.
func (w worker) shell(ctx context.Context) error {
	stream, err := w.client.Processes.Shell(ctx, &sandgatev1.ShellRequest{SessionId: w.session.id, Command: w.script()})
	if err != nil {
		return err
	}
	status := sandgatev1.Status_STATUS_UNSPECIFIED
	for stream.Receive() {
		if result := stream.Msg().GetResult(); result != nil {
			status = result.GetStatus()
		}
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		return err
	}
	if status != sandgatev1.Status_STATUS_OK {
		return errNotWell
	}
	w.session.ran(w.id, false)
	return nil
}

// write writes a file without a call_id.
func (w worker) write(ctx context.Context) error {
	_, err := w.client.Files.Write(ctx, &sandgatev1.WriteRequest{
		SessionId: w.session.id, Path: w.id, Content: &sandgatev1.WriteRequest_Text{Text: w.id},
	})
	if err == nil {
		w.session.wrote(w.id, w.id)
	}
	return err
}
