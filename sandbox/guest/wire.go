package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// The wire between the guest and a kernel: JSON messages over a SOCK_SEQPACKET socket. A message is
// cut into packets, each of which begins with a byte that says whether more follows.
const (
	packetSize  = 64 << 10
	packetBody  = 60 << 10
	packetMore  = '+'
	packetFinal = '.'
)

// errForged is returned for what no kernel sends: it was written by the user's code, or by a kernel
// that this has damaged.
var errForged = errors.New("not a message of the kernel")

// kernelWire reads and writes messages. A kernel is the user's, and so is the other end.
type kernelWire struct {
	conn    *net.UnixConn
	fd      int32 // of conn, for poll(2) while that is open
	packet  []byte
	partial []byte

	writeMu sync.Mutex
}

func newKernelWire(conn *net.UnixConn) (*kernelWire, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	w := &kernelWire{conn: conn}
	return w, raw.Control(func(fd uintptr) { w.fd = int32(fd) })
}

// cellOrder asks a kernel to run a cell. What the kernel sends for it has its key, which nobody can know
// before the cell is sent. What an earlier cell wrote can speak for none; a thread that it left in the
// kernel can look for the key in the kernel's memory.
type cellOrder struct {
	Op   string            `json:"op"`
	Cell int64             `json:"cell"`
	Key  uint64            `json:"key"`
	Code string            `json:"code"`
	Env  map[string]string `json:"env,omitempty"`
}

// reapOrder asks a kernel to wait for its ended children.
type reapOrder struct {
	Op  string `json:"op"`
	Key uint64 `json:"key"`
}

// entryOrder makes a held kernel somebody's.
type entryOrder struct {
	Op  string `json:"op"`
	Cwd string `json:"cwd"`
}

// kernelMessage is what a kernel sends.
type kernelMessage struct {
	Op       string                     `json:"op"`
	Key      uint64                     `json:"key"`
	Cwd      string                     `json:"cwd"`
	Data     map[string]json.RawMessage `json:"data"`
	Main     bool                       `json:"main"`
	Status   string                     `json:"status"`
	Count    int64                      `json:"count"`
	Result   map[string]json.RawMessage `json:"result"`
	Error    *kernelError               `json:"error"`
	ExitCode int64                      `json:"exit_code"`
	size     int
}

type kernelError struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Traceback string `json:"traceback"`
}

// send writes a message in packets.
func (w *kernelWire) send(message any) error {
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	w.writeMu.Lock()
	defer w.writeMu.Unlock()
	packet := make([]byte, 0, min(len(data), packetBody)+1)
	for {
		piece := data[:min(len(data), packetBody)]
		data = data[len(piece):]
		flag := byte(packetMore)
		if len(data) == 0 {
			flag = packetFinal
		}
		packet = append(append(packet[:0], flag), piece...)
		if _, err := w.conn.Write(packet); err != nil {
			return err
		}
		if len(data) == 0 {
			return nil
		}
	}
}

// receive returns the next message. The error is errForged for packets that are none, that do not fit
// together, or that are more than maxKernelMessage; after it, or one of the socket, the wire is of no
// use any more.
func (w *kernelWire) receive() (kernelMessage, error) {
	if w.packet == nil {
		w.packet = make([]byte, packetSize)
	}
	w.partial = w.partial[:0]
	for {
		n, err := w.conn.Read(w.packet)
		if err != nil {
			return kernelMessage{}, err
		}
		if n == 0 {
			return kernelMessage{}, errors.New("the kernel closed its socket")
		}
		flag, body := w.packet[0], w.packet[1:n]
		if (flag != packetMore && flag != packetFinal) || len(w.partial)+len(body) > maxKernelMessage {
			return kernelMessage{}, errForged
		}
		if flag == packetMore {
			w.partial = append(w.partial, body...)
			continue
		}
		if len(w.partial) > 0 {
			body = append(w.partial, body...)
			w.partial = w.partial[:0]
		}
		var message kernelMessage
		if json.Unmarshal(body, &message) != nil {
			return kernelMessage{}, errForged
		}
		message.size = len(body)
		if cap(w.partial) > 4*packetSize {
			w.partial = nil // one great picture should not be paid for ever after
		}
		return message, nil
	}
}

// interruptNumber returns what names a cell on the interrupt pipe.
func interruptNumber(cell int64) []byte {
	number := make([]byte, 0, 8)
	for shift := range 8 {
		number = append(number, byte(cell>>(8*shift)))
	}
	return number
}

// describeExit says for a reader how a kernel's process ended.
func describeExit(known bool, signal string, code int32) string {
	if !known {
		return "The Python process died."
	}
	if signal != "" {
		return fmt.Sprintf("The Python process was killed by %s.", signal)
	}
	return fmt.Sprintf("The Python process ended with exit code %d.", code)
}
