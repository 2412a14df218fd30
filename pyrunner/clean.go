package pyrunner

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// Bounds of single fields, in bytes. They are those that the API promises.
const (
	maxPathBytes       = 4 << 10
	maxNameBytes       = 1 << 10
	maxErrorTextBytes  = 64 << 10
	maxLateOutputBytes = 16 << 10
	maxNoteBytes       = 4 << 10
)

const (
	// maxValueDepth bounds how deep JSON that was shown may nest. Protobuf readers in other
	// languages refuse messages that nest beyond 100, and one level of JSON is up to three of those.
	maxValueDepth = 30
	// maxListed bounds the processes or contexts of one reply.
	maxListed = 10_000
)

// cleanStatus returns status if it is one that a guest may send.
func cleanStatus(status sandgatev1.Status) sandgatev1.Status {
	if status < sandgatev1.Status_STATUS_OK || status > sandgatev1.Status_STATUS_INTERRUPTED {
		return sandgatev1.Status_STATUS_ERROR
	}
	return status
}

// cleanRunResult mends the result of a cell.
func cleanRunResult(r *sandgatev1.RunResult, m *meter, memoryBytes int64) {
	r.Status = cleanStatus(r.GetStatus())
	r.ExecutionCount = max(r.GetExecutionCount(), 0)
	r.DroppedDisplays = max(r.GetDroppedDisplays(), 0)
	r.Stdout = m.stdout.summary(r.GetStdout())
	r.Stderr = m.stderr.summary(r.GetStderr())
	r.Receipt = m.receipt(r.GetReceipt(), memoryBytes)
	r.Note = guestrpc.Clip(m.missedNote(r.GetNote()), maxNoteBytes)
	r.LateOutput = r.GetLateOutput()[:min(len(r.GetLateOutput()), maxLateOutputBytes)]
	if e := r.GetError(); e != nil {
		e.Name = guestrpc.Clip(e.GetName(), maxNameBytes)
		e.Value = guestrpc.Clip(e.GetValue(), maxErrorTextBytes)
		e.Traceback = guestrpc.Clip(e.GetTraceback(), maxErrorTextBytes)
	}
}

// cleanProcessResult mends the result of a command or program.
func cleanProcessResult(r *sandgatev1.ProcessResult, m *meter, memoryBytes int64) {
	r.Status = cleanStatus(r.GetStatus())
	r.Signal = guestrpc.Clip(r.GetSignal(), 32)
	r.Stdout = m.stdout.summary(r.GetStdout())
	r.Stderr = m.stderr.summary(r.GetStderr())
	r.Receipt = m.receipt(r.GetReceipt(), memoryBytes)
	r.Note = guestrpc.Clip(m.missedNote(r.GetNote()), maxNoteBytes)
}

// cleanDisplay mends what has a form that JSON, or a reader in another language, cannot hold.
func cleanDisplay(d *sandgatev1.Display) {
	if d.GetJson() != nil {
		cleanValue(d.GetJson(), 0)
	}
	if t := d.GetTable(); t != nil {
		for _, value := range t.GetIndex() {
			cleanValue(value, 0)
		}
		for _, row := range t.GetRows() {
			cleanList(row, 0)
		}
		t.TotalRows = max(t.GetTotalRows(), int64(len(t.GetRows())))
	}
	for _, axes := range d.GetChart().GetAxes() {
		for _, series := range axes.GetSeries() {
			for _, point := range series.GetPoints() {
				cleanValue(point.GetX(), 0)
				cleanValue(point.GetY(), 0)
			}
		}
	}
}

// cleanValue replaces what JSON cannot say: numbers that are none become strings, a value without
// any content becomes null, and what nests too deep becomes an ellipsis. A nil value stays.
func cleanValue(v *structpb.Value, depth int) {
	if v == nil {
		return
	}
	switch kind := v.GetKind().(type) {
	case nil:
		v.Kind = &structpb.Value_NullValue{}
	case *structpb.Value_NullValue:
		kind.NullValue = structpb.NullValue_NULL_VALUE
	case *structpb.Value_NumberValue:
		if math.IsNaN(kind.NumberValue) || math.IsInf(kind.NumberValue, 0) {
			v.Kind = &structpb.Value_StringValue{StringValue: strconv.FormatFloat(kind.NumberValue, 'g', -1, 64)}
		}
	case *structpb.Value_ListValue:
		if depth >= maxValueDepth {
			v.Kind = &structpb.Value_StringValue{StringValue: "…"}
			return
		}
		cleanList(kind.ListValue, depth+1)
	case *structpb.Value_StructValue:
		if depth >= maxValueDepth {
			v.Kind = &structpb.Value_StringValue{StringValue: "…"}
			return
		}
		for _, value := range kind.StructValue.GetFields() {
			cleanValue(value, depth+1)
		}
	}
}

// cleanList mends the values of a list.
func cleanList(list *structpb.ListValue, depth int) {
	for _, value := range list.GetValues() {
		cleanValue(value, depth)
	}
}

// cleanTime returns t, or nil if it is no time at all.
func cleanTime(t *timestamppb.Timestamp) *timestamppb.Timestamp {
	if t.CheckValid() != nil {
		return nil
	}
	return t
}

// cleanContext mends the description of a context. A nil one becomes empty.
func cleanContext(c *sandgatev1.Context) *sandgatev1.Context {
	if c == nil {
		c = &sandgatev1.Context{}
	}
	c.Id = guestrpc.Clip(c.GetId(), maxNameBytes)
	c.ExecutionCount = max(c.GetExecutionCount(), 0)
	c.StartedAt = cleanTime(c.GetStartedAt())
	return c
}

// cleanProcess mends the description of a program.
func cleanProcess(p *sandgatev1.Process) {
	p.ProcessId = guestrpc.Clip(p.GetProcessId(), maxNameBytes)
	p.Pid = max(p.GetPid(), 0)
	p.StartedAt = cleanTime(p.GetStartedAt())
	if r := p.GetResult(); r != nil {
		cleanProcessResult(r, newOpenMeter(), 0)
	}
}
