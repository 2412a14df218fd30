package pyrunner

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// defaultOutputBytes is how much of stdout and of stderr is inline when a request says nothing.
	defaultOutputBytes = 1 << 20
	// displayBytes bounds everything of one call that is not stdout or stderr.
	displayBytes = 64 << 20
	// burstEvents and eventsPerSecond bound the events of one call: so many at once, and so many
	// more for every second that it has run. An honest guest gathers output for some milliseconds.
	burstEvents     = 100_000
	eventsPerSecond = 200
)

// A meter counts what a guest sends in one call and refuses what is beyond any honest answer. It
// also knows what to report when the guest cannot: how much was seen, and since when.
type meter struct {
	started time.Time
	// maxBytes bounds the bytes of the whole answer.
	maxBytes int64
	// open says that the answer is about a program of its own life, which may have begun before the
	// call and may write without end: neither its output nor its times are bounded by the call.
	open     bool
	durable  *sandbox.Durable // nil: the call has no name under which it could be taken up
	bytesIn  int64
	bytesOut int64
	events   int64
	stdout   position
	stderr   position
}

// position is how far a byte stream has come.
type position struct{ end, delivered int64 }

// newMeter returns a meter for an answer with maxOutput bytes of each stream; zero means 1 MiB. A call
// that another gateway made began when it did there.
func newMeter(ctx context.Context, maxOutput, bytesIn int64) *meter {
	if maxOutput <= 0 {
		maxOutput = defaultOutputBytes
	}
	m := &meter{started: time.Now(), maxBytes: 2*maxOutput + displayBytes, bytesIn: bytesIn}
	if durable := sandbox.DurableFrom(ctx); durable != nil {
		m.started, m.durable = durable.Began(), durable
	}
	return m
}

// missedNote says what of an answer was not there any more when a gateway took its call up, if anything.
func (m *meter) missedNote(note string) string {
	missed := m.durable.Missed()
	if missed == 0 {
		return note
	}
	return strings.TrimSpace(fmt.Sprintf("%s The gateway was restarted meanwhile: the first %d pieces of what the work showed were not kept.", note, missed))
}

// newOpenMeter returns a meter for the answer about a program of its own life.
func newOpenMeter() *meter { return &meter{started: time.Now(), open: true} }

// count takes account of an event with so many bytes.
func (m *meter) count(size int) error {
	m.events++
	m.bytesOut += int64(size)
	if m.open {
		return nil
	}
	if m.bytesOut > m.maxBytes {
		return guestrpc.ReplyTooLarge(fmt.Errorf("it is longer than %d bytes", m.maxBytes), tooLarge)
	}
	if m.events > burstEvents && m.events > burstEvents+eventsPerSecond*int64(time.Since(m.started)/time.Second) {
		return guestrpc.ReplyTooLarge(fmt.Errorf("it has more than %d events", m.events-1), tooLarge)
	}
	return nil
}

// output mends a piece of a stream so that offsets only grow, and counts it.
func (p *position) output(out *sandgatev1.Output) {
	size := int64(len(out.GetData()))
	if out.GetOffset() < p.end || out.GetOffset() > math.MaxInt64-size {
		out.Offset = p.end
	}
	p.end = out.GetOffset() + size
	p.delivered += size
}

// summary mends what the guest says about a stream, so that it fits what was seen of it. A nil one
// is made up from that alone.
func (p *position) summary(said *sandgatev1.StreamSummary) *sandgatev1.StreamSummary {
	if said == nil {
		return &sandgatev1.StreamSummary{TotalBytes: p.end, DroppedBytes: p.end - p.delivered}
	}
	said.TotalBytes = max(said.GetTotalBytes(), p.end)
	said.DroppedBytes = min(max(said.GetDroppedBytes(), said.GetTotalBytes()-p.delivered, 0), said.GetTotalBytes())
	said.FileBytes = max(said.GetFileBytes(), 0)
	said.File = guestrpc.Clip(said.GetFile(), maxPathBytes)
	return said
}

// receipt mends what the guest says that the work cost. What the host can measure bounds it. A nil
// one is made up from that alone.
func (m *meter) receipt(said *sandgatev1.Receipt, memoryBytes int64) *sandgatev1.Receipt {
	if said == nil {
		said = &sandgatev1.Receipt{}
	}
	wall := time.Since(m.started)
	if d := said.GetWall(); d.CheckValid() != nil || d.AsDuration() < 0 || (d.AsDuration() > wall && !m.open) {
		said.Wall = durationpb.New(wall)
	}
	if d := said.GetCpu(); d != nil && (d.CheckValid() != nil || d.AsDuration() < 0) {
		said.Cpu = nil
	}
	said.PeakMemoryBytes = max(said.GetPeakMemoryBytes(), 0)
	if memoryBytes > 0 {
		said.PeakMemoryBytes = min(said.GetPeakMemoryBytes(), memoryBytes)
	}
	said.BytesIn = max(said.GetBytesIn(), 0)
	if !m.open {
		said.BytesIn = m.bytesIn
	}
	said.BytesOut = max(said.GetBytesOut(), m.bytesOut)
	return said
}
