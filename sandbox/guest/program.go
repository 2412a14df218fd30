package guest

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// program is one that Start made. It lives until it is forgotten, some minutes after its end.
type program struct {
	child
	guest    *Guest
	id       string
	request  *sandgatev1.StartRequest
	started  time.Time
	stdout   *ring
	stderr   *ring
	stdin    *os.File // the write end, or the terminal; nil when there is none
	pipes    []*pipe
	bytesIn  atomic.Int64
	timedOut atomic.Bool

	writing chan struct{} // holds one element while somebody writes to stdin
	stdinMu sync.Mutex    // guards stdin once the program is launched
	ended   chan struct{}
	endedAt time.Time                 // set before ended is closed
	result  *sandgatev1.ProcessResult // set before ended is closed
	done    sync.WaitGroup
}

// wire connects a new program's streams, and returns its own ends.
func (p *program) wire(withStdin bool) (files [3]*os.File, err error) {
	var out, errs *pipe
	defer func() {
		if err != nil {
			for _, end := range []*pipe{out, errs} {
				if end != nil {
					end.close()
				}
			}
			closeAll(files[0], files[1], files[2], p.stdin)
		}
	}()
	if withStdin {
		if files[0], p.stdin, err = os.Pipe(); err != nil {
			return files, err
		}
	} else if files[0], err = os.Open(os.DevNull); err != nil {
		return files, err
	}
	if out, files[1], err = newPipe(p.stdout.write); err != nil {
		return files, err
	}
	if errs, files[2], err = newPipe(p.stderr.write); err != nil {
		return files, err
	}
	p.pipes = []*pipe{out, errs}
	return files, nil
}

// finish waits for the program's end, reads what it wrote, and says how it ended.
func (p *program) finish(limit *time.Timer, mark oomMark) {
	got := <-p.child.ended
	if limit != nil {
		limit.Stop()
	}
	wall := time.Since(p.started)
	for _, end := range p.pipes {
		end.drain()
		end.divert(discard) // what it left behind may write on; that is not its output
	}
	p.stdout.close()
	p.stderr.close()
	p.result = processResult(got, p.timedOut.Load())
	if p.result.GetExitCode() == 128+int32(unix.SIGKILL) && !p.timedOut.Load() && p.guest.memory.ranOut(mark) {
		p.result.Status, p.result.Note = sandgatev1.Status_STATUS_MEMORY, p.guest.memory.note()
	}
	p.result.Stdout = &sandgatev1.StreamSummary{TotalBytes: p.stdout.total()}
	p.result.Stderr = &sandgatev1.StreamSummary{TotalBytes: p.stderr.total()}
	p.result.Receipt = receipt(got, wall)
	p.result.Receipt.BytesIn = p.bytesIn.Load()
	p.result.Receipt.BytesOut = p.stdout.total() + p.stderr.total()
	p.endedAt = time.Now()
	close(p.ended)
}

// processResult says how a child ended.
func processResult(got exit, timedOut bool) *sandgatev1.ProcessResult {
	result := &sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_OK}
	switch {
	case got.status.Signaled():
		result.Status = sandgatev1.Status_STATUS_KILLED
		result.ExitCode = int32(128 + got.status.Signal())
		result.Signal = unix.SignalName(got.status.Signal())
		result.Note = "The program was killed by " + result.Signal + "."
	case got.status.ExitStatus() != 0:
		result.Status = sandgatev1.Status_STATUS_ERROR
		result.ExitCode = int32(got.status.ExitStatus())
	}
	if timedOut {
		result.Status = sandgatev1.Status_STATUS_TIMEOUT
		result.Note = "It was killed at its time limit, with everything it had started. Ask for a longer timeout, or start it in the background."
	}
	return result
}

// receipt turns the system's account of an ended child into ours. To the system the child's memory was that of
// the guest until it became another program, so that no more than that says nothing.
func receipt(got exit, wall time.Duration) *sandgatev1.Receipt {
	peak := got.usage.Maxrss << 10
	var own unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) != nil || peak <= own.Maxrss<<10 {
		peak = 0
	}
	cpu := time.Duration(got.usage.Utime.Nano() + got.usage.Stime.Nano())
	return &sandgatev1.Receipt{
		Wall:            durationpb.New(wall),
		Cpu:             durationpb.New(cpu),
		PeakMemoryBytes: peak,
	}
}

// describe returns the program as the API shows it.
func (p *program) describe() *sandgatev1.Process {
	described := &sandgatev1.Process{
		ProcessId: p.id,
		Pid:       int32(p.pid),
		Command:   p.request.GetCommand(),
		Args:      p.request.GetArgs(),
		StartedAt: timestamppb.New(p.started),
		Terminal:  p.request.GetTerminal() != nil,
	}
	select {
	case <-p.ended:
		described.Result = p.result
	default:
	}
	return described
}

// close kills the program and frees what it held.
func (p *program) close() {
	p.marker.end(nil)
	p.done.Wait()
	p.guest.markers.release(p.marker)
	for _, end := range p.pipes {
		end.close()
	}
	p.closeStdin()
}
