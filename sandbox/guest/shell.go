package guest

import (
	"bytes"
	"context"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// shellCall is one command of Shell.
type shellCall struct {
	box            *outbox[*sandgatev1.ShellResponse]
	stdout, stderr *capture
	out, err       *pipe

	mu   sync.Mutex // held while the command is being ended
	why  int32      // why it was ended before its time; guarded by mu
	over bool       // it ended by itself: nothing may be killed any more; guarded by mu
}

// Why a call was ended before its time.
const (
	endedByTime int32 = 1 + iota
	endedByCaller
	endedByInterrupt // cells only
)

// Shell runs a command to its end.
func (s *processService) Shell(ctx context.Context, req *sandgatev1.ShellRequest, stream *connect.ServerStream[sandgatev1.ShellResponse]) error {
	select {
	case s.shells <- struct{}{}:
		defer func() { <-s.shells }()
	default:
		return fail(connect.CodeResourceExhausted, "TOO_MANY_COMMANDS", "wait for one to end",
			"%d commands run in this session already", maxShells)
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	limit, release := s.guest.takeInline(req.GetMaxOutputBytes())
	defer release()
	call := s.newShellCall(limit, stream, leave)
	result, err := s.runShell(ctx, call, req)
	if flushErr := call.box.flush(); err == nil { // always: the stream is gone when this returns
		err = flushErr
	}
	if err != nil {
		return err
	}
	announceFinal(ctx)
	return stream.Send(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Result{Result: result}})
}

func (s *processService) newShellCall(limit int64, stream *connect.ServerStream[sandgatev1.ShellResponse], leave func()) *shellCall {
	call := &shellCall{box: newOutbox(stream.Send, joinShell, leave)}
	call.stdout = &capture{guest: s.guest, name: s.guest.spoolName("stdout"), limit: limit, pass: func(p []byte, at int64) {
		call.box.put(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Stdout{Stdout: output(p, at)}})
	}}
	call.stderr = &capture{guest: s.guest, name: s.guest.spoolName("stderr"), limit: limit, pass: func(p []byte, at int64) {
		call.box.put(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Stderr{Stderr: output(p, at)}})
	}}
	return call
}

func (s *processService) runShell(ctx context.Context, call *shellCall, req *sandgatev1.ShellRequest) (*sandgatev1.ProcessResult, error) {
	started, mark := time.Now(), s.guest.memory.mark()
	command, err := s.launchShell(ctx, call, req)
	if err != nil {
		return nil, err
	}
	limit := req.GetTimeout().AsDuration()
	if limit <= 0 {
		limit = defaultShell
	}
	timer := time.AfterFunc(limit, func() { call.end(command, endedByTime) })
	defer timer.Stop()
	stop := context.AfterFunc(ctx, func() { call.end(command, endedByCaller) })
	defer stop()
	got := <-command.ended
	wall, why := time.Since(started), call.finish()
	call.out.drain()
	call.err.drain()
	call.out.divert(discard)
	call.err.divert(discard)
	s.guest.background.Go(func() {
		closeWhenLeft(call.out, call.err, s.guest)
		s.guest.markers.release(command.marker)
	})
	if why == endedByCaller {
		return nil, context.Cause(ctx)
	}
	result := processResult(got, why == endedByTime)
	result.Stdout, result.Stderr = call.stdout.finish(), call.stderr.finish()
	result.Receipt = receipt(got, wall)
	result.Receipt.BytesIn = int64(len(req.GetCommand()))
	result.Receipt.BytesOut = result.Stdout.GetTotalBytes() + result.Stderr.GetTotalBytes()
	if result.GetExitCode() == 128+int32(unix.SIGKILL) && why == 0 && s.guest.memory.ranOut(mark) {
		result.Status, result.Note = sandgatev1.Status_STATUS_MEMORY, s.guest.memory.note()
	}
	return result, nil
}

// end kills a command before its time, with everything that it started.
func (c *shellCall) end(command child, why int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.why != 0 {
		return
	}
	c.why = why
	command.marker.end(nil)
}

// finish says that the command has ended, and returns why, if that was before its time. It waits for
// whoever is ending it, so that nothing of the command is left when the caller is told.
func (c *shellCall) finish() int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.why
}

// launchShell starts bash with the command.
func (s *processService) launchShell(ctx context.Context, call *shellCall, req *sandgatev1.ShellRequest) (child, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return child{}, startError("bash", err)
	}
	defer closeAll(null)
	var outEnd, errEnd *os.File
	if call.out, outEnd, err = newPipe(call.stdout.write); err != nil {
		return child{}, startError("bash", err)
	}
	defer closeAll(outEnd)
	if call.err, errEnd, err = newPipe(call.stderr.write); err != nil {
		call.out.close()
		return child{}, startError("bash", err)
	}
	defer closeAll(errEnd)
	started, err := s.guest.spawn(ctx, command{
		path: "bash", args: []string{"-c", req.GetCommand()}, cwd: req.GetCwd(), env: req.GetEnv(),
		files: [3]*os.File{null, outEnd, errEnd},
	})
	if err != nil {
		call.out.close()
		call.err.close()
	}
	return started, err
}

func discard([]byte) {}

// closeWhenLeft keeps reading what a command's background processes write, so that they do not die
// of a closed pipe, until they are gone or the guest is. When there are too many such pipes their
// writers get that death after all.
func closeWhenLeft(out, errs *pipe, g *Guest) {
	if g.leftovers.Add(1) <= maxShells {
		gone := make(chan struct{})
		go func() {
			out.wait()
			errs.wait()
			close(gone)
		}()
		select {
		case <-gone:
		case <-g.ctx.Done():
		}
	}
	out.close()
	errs.close()
	g.leftovers.Add(-1)
}

func output(p []byte, offset int64) *sandgatev1.Output {
	return &sandgatev1.Output{Data: bytes.Clone(p), Offset: offset}
}

// joinShell makes one event of two pieces of the same stream.
func joinShell(last, next *sandgatev1.ShellResponse) bool {
	switch after := next.GetEvent().(type) {
	case *sandgatev1.ShellResponse_Stdout:
		before, ok := last.GetEvent().(*sandgatev1.ShellResponse_Stdout)
		return ok && joinOutput(before.Stdout, after.Stdout)
	case *sandgatev1.ShellResponse_Stderr:
		before, ok := last.GetEvent().(*sandgatev1.ShellResponse_Stderr)
		return ok && joinOutput(before.Stderr, after.Stderr)
	}
	return false
}

func joinOutput(last, next *sandgatev1.Output) bool {
	if len(last.GetData())+len(next.GetData()) > chunkSize || last.GetOffset()+int64(len(last.GetData())) != next.GetOffset() {
		return false
	}
	last.Data = append(last.Data, next.GetData()...)
	return true
}
