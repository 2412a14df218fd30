package guest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// cell is one run of code in a kernel.
type cell struct {
	kernel *kernel
	number int64
	key    uint64
	req    *sandgatev1.RunRequest
	box    *outbox[*sandgatev1.RunResponse]
	stdout *capture
	stderr *capture

	started   time.Time
	cpu       time.Duration // the kernel's, when the cell began
	mark      oomMark
	value     *sandgatev1.RunResponse // what the last expression gave, to be sent last
	shown     int                     // displays
	shownSize int                     // bytes of them
	values    int                     // in their structured forms
	release   func()                  // gives back what it may return
	unsent    bool                    // the kernel was dead before it had the code
	dropped   int64                   // displays that were too many or too much

	mu      sync.Mutex
	why     int32         // why it was ended before its time; guarded by mu
	stopped bool          // its result is in: nothing may be signalled any more; guarded by mu
	done    chan struct{} // closed when stopped
	ending  chan struct{} // closed when whoever ended it is through with that
	killed  string        // why the kernel was killed with the cell, empty if it was not; read after ending
}

func newCell(k *kernel, req *sandgatev1.RunRequest, box *outbox[*sandgatev1.RunResponse]) *cell {
	k.cells++
	c := &cell{
		kernel: k, number: k.cells, key: k.keys.Uint64(), req: req, box: box,
		done: make(chan struct{}), ending: make(chan struct{}),
	}
	var limit int64
	limit, c.release = k.guest.takeInline(req.GetMaxOutputBytes())
	c.stdout = &capture{guest: k.guest, name: k.guest.spoolName("stdout"), limit: limit, pass: func(p []byte, at int64) {
		box.put(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stdout{Stdout: output(p, at)}})
	}}
	c.stderr = &capture{guest: k.guest, name: k.guest.spoolName("stderr"), limit: limit, pass: func(p []byte, at int64) {
		box.put(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stderr{Stderr: output(p, at)}})
	}}
	return c
}

// run runs the cell to its end. What it returns is the result, and whether the kernel has to be
// replaced.
func (c *cell) run(ctx context.Context) (result *sandgatev1.RunResult, replace bool) {
	k := c.kernel
	err := k.settle() // what is there now belongs to no cell
	c.started, c.cpu, c.mark = time.Now(), cpuTime(k.pid), k.mark
	k.stdout.divert(c.stdout.write)
	k.stderr.divert(c.stderr.write)
	defer func() {
		k.stdout.divert(k.keepLate)
		k.stderr.divert(k.keepLate)
	}()
	limit := c.req.GetTimeout().AsDuration()
	if limit <= 0 {
		limit = defaultCell
	}
	timer := time.AfterFunc(limit, func() { c.end(endedByTime) })
	defer timer.Stop()
	stop := context.AfterFunc(ctx, func() { c.end(endedByCaller) })
	defer stop()
	if err == nil {
		err = k.wire.send(cellOrder{Op: "run", Cell: c.number, Key: c.key, Code: c.req.GetCode(), Env: c.req.GetEnv()})
	}
	c.unsent = err != nil
	var last kernelMessage
	for err == nil && last.Op != "done" {
		if last, err = k.hear(c.key); err == nil && last.Op == "display" {
			c.show(last)
		}
	}
	k.last = c.key
	c.stop()
	if err == nil && last.Status == "broken" {
		err = errBroken
	}
	if err != nil {
		return c.lost(err), true
	}
	k.drain()
	result = c.finished(last)
	if c.killed != "" {
		result.StateLost = true
		addNote(result, c.killed)
		return result, true
	}
	return result, c.buryDead(result)
}

// Why a kernel is killed with a cell of which it has sent a result.
const (
	killedLate    = "Its result came when the Python process had just been ended, as it had not ended at its limit or when its caller left."
	killedThreads = "Threads that it had started went on, and end with the Python process only, so that was ended."
)

// errBroken means that the kernel itself says that it cannot go on.
var errBroken = errors.New("the kernel is broken")

// stop says that the result is in. It waits for whoever is ending the cell, so that nothing of it
// reaches the next one.
func (c *cell) stop() {
	c.mu.Lock()
	c.stopped = true
	why := c.why
	c.mu.Unlock()
	close(c.done)
	if why != 0 {
		<-c.ending
	}
}

// end ends the cell before its time: by an interrupt first, and if that does not help within the
// grace, by killing the kernel. A cell that ended at its limit, or that nobody waits for, leaves
// none of the processes and threads behind that it started. It reports whether there was something to end.
func (c *cell) end(why int32) bool {
	c.mu.Lock()
	if c.stopped || c.why != 0 {
		c.mu.Unlock()
		return false
	}
	c.why = why
	c.mu.Unlock()
	defer close(c.ending)
	grace := time.NewTimer(interruptGrace)
	defer grace.Stop()
	again := time.NewTicker(interruptAgain)
	defer again.Stop()
	for waiting := true; waiting; {
		c.kernel.interrupt(c.number) // again and again: a first one may be swallowed
		select {
		case <-c.done:
			waiting = false
		case <-grace.C:
			c.killed = killedLate
			c.kernel.kill()
			// Whoever else may hold the other end of its socket must not keep the caller waiting.
			_ = c.kernel.wire.conn.SetDeadline(time.Now().Add(closeGrace))
			return true
		case <-again.C:
		}
	}
	if why == endedByInterrupt {
		return true
	}
	c.kernel.killSince(c.started)
	if c.kernel.hasThreadSince(c.started) {
		c.killed = killedThreads
		c.kernel.kill()
	}
	return true
}

// show passes a display on, within bounds.
func (c *cell) show(message kernelMessage) {
	values := countValues(message.Data)
	if c.shown >= maxDisplays || c.shownSize+message.size > maxDisplayBytes || c.values+values > maxValues {
		c.dropped++
		return
	}
	if message.Op != "done" {
		c.kernel.drain() // what was printed before it comes before it
	}
	display := newDisplay(message.Data, message.Main)
	if display == nil {
		c.dropped++
		return
	}
	c.shown++
	c.values += values
	c.shownSize += message.size
	event := &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Display{Display: display}}
	if message.Op == "done" {
		c.value = event
		return
	}
	c.box.put(event)
}

// finished makes the result of a cell whose kernel lives.
func (c *cell) finished(done kernelMessage) *sandgatev1.RunResult {
	done.Count = min(max(done.Count, 0), c.number) // it cannot have run more than it was given
	c.kernel.count.Store(done.Count)
	if len(done.Result) > 0 {
		c.show(kernelMessage{Op: done.Op, Data: done.Result, Main: true, size: done.size})
	}
	result := &sandgatev1.RunResult{ExecutionCount: done.Count, ExitCode: int32(min(max(done.ExitCode, math.MinInt32), math.MaxInt32))}
	if done.Error != nil {
		result.Error = &sandgatev1.PythonError{
			Name:      clip(done.Error.Name, 256),
			Value:     clip(done.Error.Value, maxErrorText),
			Traceback: clip(done.Error.Traceback, maxErrorText),
		}
	}
	switch done.Status {
	case "ok":
		result.Status = sandgatev1.Status_STATUS_OK
	case "exit":
		result.Status = sandgatev1.Status_STATUS_OK
		if result.GetExitCode() != 0 {
			result.Status = sandgatev1.Status_STATUS_ERROR
		}
	case "memory":
		result.Status = sandgatev1.Status_STATUS_MEMORY
		result.Note = memoryNote // the interpreter says so itself
	default:
		result.Status = sandgatev1.Status_STATUS_ERROR
	}
	if why := c.why; why != 0 && (done.Status == "interrupted" || done.Status == "error") {
		c.blame(result, why)
	} else if done.Status == "interrupted" {
		result.Status = sandgatev1.Status_STATUS_INTERRUPTED
	}
	c.account(result)
	return result
}

// blame says that the cell was ended from outside.
func (c *cell) blame(result *sandgatev1.RunResult, why int32) {
	if why == endedByTime {
		result.Status = sandgatev1.Status_STATUS_TIMEOUT
		result.Note = "The code was ended at its time limit. Ask for a longer timeout, or do less in one call."
		return
	}
	result.Status = sandgatev1.Status_STATUS_INTERRUPTED
	result.Note = "The code was interrupted on request."
}

// lost makes the result of a cell whose kernel died, or is broken by what the code did to it.
func (c *cell) lost(because error) *sandgatev1.RunResult {
	result := &sandgatev1.RunResult{
		Status:         sandgatev1.Status_STATUS_KILLED,
		ExecutionCount: c.kernel.count.Load() + 1,
		StateLost:      true,
	}
	peak := peakMemory(c.kernel.pid)
	c.kernel.drain()
	c.account(result)
	result.Receipt.PeakMemoryBytes = max(result.GetReceipt().GetPeakMemoryBytes(), peak)
	if errors.Is(because, errForged) {
		c.kernel.kill() // who speaks in its place may do more
	}
	status, known := c.died()
	signal := ""
	if known && status.Signaled() {
		signal = unix.SignalName(status.Signal())
		result.ExitCode = int32(128 + status.Signal())
	} else if known {
		result.ExitCode = int32(status.ExitStatus())
		result.Status = sandgatev1.Status_STATUS_ERROR
	}
	why := c.why
	switch {
	case why != 0:
		c.blame(result, why)
	case errors.Is(because, errForged):
		result.Note = "Something other than the results of calls came from the Python process by the socket that is for these: the code wrote to it, or damaged it. Nothing that it said could be believed any more."
	case errors.Is(because, errBroken):
		result.Note = "The code damaged the Python process so that it could not go on."
	case (!known || signal == "SIGKILL") && c.kernel.guest.memory.ranOut(c.mark):
		result.Status, result.Note = sandgatev1.Status_STATUS_MEMORY, c.kernel.guest.memory.note()
	default:
		result.Note = describeExit(known, signal, result.GetExitCode())
	}
	return result
}

// What a caller is told when a kernel is replaced: while the new one is still to come, and by the first
// result from it.
const (
	lostNote     = "The next call runs in a new one: variables and imports are gone, files are kept."
	replacedNote = "A new one was started: variables and imports are gone, files are kept."
)

// addNote adds a sentence to what the caller is told.
func addNote(result *sandgatev1.RunResult, note string) {
	result.Note = strings.TrimSpace(result.GetNote() + " " + note)
}

// died waits a moment for how the kernel ended by itself, and then ends it.
func (c *cell) died() (status syscall.WaitStatus, known bool) {
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case status = <-c.kernel.ended:
		return status, true
	case <-timer.C:
		c.kernel.kill()
	}
	timer.Reset(time.Second)
	select {
	case status = <-c.kernel.ended:
		return status, true
	case <-timer.C:
		return status, false
	}
}

// account fills in what the cell cost.
func (c *cell) account(result *sandgatev1.RunResult) {
	k := c.kernel
	wall := time.Since(c.started)
	cpu := cpuTime(k.pid) - c.cpu
	receipt := &sandgatev1.Receipt{Wall: durationpb.New(wall), BytesIn: int64(len(c.req.GetCode()))}
	if wall > 20*time.Millisecond { // less is not worth two files of /proc
		cpu += c.children()
		k.peak = max(k.peak, peakMemory(k.pid))
	}
	receipt.Cpu = durationpb.New(max(cpu, 0))
	receipt.PeakMemoryBytes = k.peak
	k.stdout.divert(k.keepLate)
	k.stderr.divert(k.keepLate)
	result.Stdout, result.Stderr = c.stdout.finish(), c.stderr.finish()
	receipt.BytesOut = c.stdout.total + c.stderr.total + int64(c.shownSize)
	result.Receipt = receipt
	result.DroppedDisplays = c.dropped
	result.LateOutput = k.takeLate()
	k.mark = k.guest.memory.mark()
}

// children returns the processor time of the children that the kernel awaited since it was last
// asked.
func (c *cell) children() time.Duration {
	k := c.kernel
	total := childTime(k.pid)
	fresh := total - k.children
	k.children = total
	return max(fresh, 0)
}

// clip bounds a text from inside and makes it valid UTF-8.
func clip(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
