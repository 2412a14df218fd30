package gateway

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// errAbsorbed is what a flood returns that the server took without a word.
var errAbsorbed = errors.New("absorbed")

// times writes a frame so often, or until the connection is closed.
func times(n int, write func(i int) error) error {
	for i := range n {
		if err := write(i); err != nil {
			return err
		}
	}
	return errAbsorbed
}

// TestHTTP2Floods has a client break the rules of HTTP/2, or wear them out. The connection ends, or the
// flood goes by; others are served, and nothing of it stays.
func TestHTTP2Floods(t *testing.T) {
	ping := [8]byte{1}
	for name, test := range map[string]struct {
		silent   bool // the client reads nothing
		absorbed bool // the flood costs nothing, and may go by
		flood    func(*raw) error
	}{
		"rapid reset": {false, true, func(r *raw) error {
			return times(5_000, func(i int) error {
				if err := r.open(uint32(2*i+1), false); err != nil {
					return err
				}
				return r.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
			})
		}},
		"made you reset": {false, true, func(r *raw) error { // the server does it, for what is wrong with the stream
			return times(5_000, func(i int) error {
				if err := r.open(uint32(2*i+1), false); err != nil {
					return err
				}
				return r.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
			})
		}},
		"CONTINUATION": {false, false, func(r *raw) error {
			block := append(r.fields("/"), make([]byte, 16<<10)...)
			if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:100]}); err != nil {
				return err
			}
			return times(1_000, func(int) error { return r.WriteContinuation(1, false, block[100:16<<10]) })
		}},
		"empty CONTINUATION": {false, true, func(r *raw) error {
			if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields("/")}); err != nil {
				return err
			}
			return times(20_000, func(int) error { return r.WriteContinuation(1, false, nil) })
		}},
		"SETTINGS": {true, true /* one answer is owed at a time */, func(r *raw) error { return times(50_000, func(int) error { return r.WriteSettings() }) }},
		"PING":     {true, false, func(r *raw) error { return times(50_000, func(int) error { return r.WritePing(false, ping) }) }},
		"PRIORITY": {false, true, func(r *raw) error {
			return times(50_000, func(i int) error { return r.WritePriority(uint32(i+1), http2.PriorityParam{Weight: 3}) })
		}},
		"WINDOW_UPDATE": {false, true, func(r *raw) error { return times(20_000, func(int) error { return r.WriteWindowUpdate(0, 1) }) }},
		"a window beyond its end": {false, false, func(r *raw) error {
			return times(10, func(int) error { return r.WriteWindowUpdate(0, 1<<31-1) })
		}},
		"table sizes": {false, true, func(r *raw) error {
			return times(5_000, func(i int) error {
				return r.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(i) << 16})
			})
		}},
		"empty DATA": {false, true, func(r *raw) error {
			if err := r.open(1, false); err != nil {
				return err
			}
			return times(20_000, func(int) error { return r.WriteData(1, false, nil) })
		}},
		"DATA of no stream": {false, false, func(r *raw) error { return times(10, func(int) error { return r.WriteData(7, false, []byte("x")) }) }},
		"a frame of the wrong": {false, false, func(r *raw) error {
			return times(10, func(int) error { return r.WriteRawFrame(http2.FramePing, 0, 3, []byte("x")) })
		}},
		"a huge frame": {false, false, func(r *raw) error {
			return times(10, func(int) error { return r.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 2<<20)) })
		}},
		"unknown frames": {false, true, func(r *raw) error {
			return times(20_000, func(int) error { return r.WriteRawFrame(0xee, 0xff, 9, []byte("x")) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, nil, func(g *piped) {
				t := g.t
				r := g.http2(t, test.silent)
				err := test.flood(r)
				g.serves(t)
				if errors.Is(err, errAbsorbed) && !test.absorbed {
					<-time.After(time.Second)
					synctest.Wait()
					select {
					case <-r.closed:
					default:
						t.Error("the connection is still there")
					}
				}
				_ = r.Close()
				synctest.Wait()
				if n := g.server.admission.unsettled(); n != 0 {
					t.Errorf("%d calls are left", n)
				}
			})
		})
	}
}

// TestHeaderBombs has headers and trailers that are small on the wire and large when they are unpacked.
func TestHeaderBombs(t *testing.T) {
	for name, bomb := range map[string]func(*raw) error{
		"HPACK": func(r *raw) error {
			r.fields("/livez") // so that the next is in the table
			big := []string{"x-big", strings.Repeat("x", 3000)}
			var many []string
			for range 5_000 {
				many = append(many, big...)
			}
			return r.pieces(r.fields("/livez", many...))
		},
		"trailers": func(r *raw) error {
			if err := r.open(1, false); err != nil {
				return err
			}
			var many []string
			for range 5_000 {
				many = append(many, "x-big", strings.Repeat("x", 3000))
			}
			return r.pieces(r.fields("/", many...))
		},
		"10,000 fields": func(r *raw) error {
			var many []string
			for range 10_000 {
				many = append(many, "a", "b")
			}
			return r.pieces(r.fields("/livez", many...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, nil, func(g *piped) {
				t := g.t
				r := g.http2(t, false)
				_ = bomb(r) // it may be cut off in the middle
				<-time.After(time.Second)
				g.serves(t)
				r.mu.Lock()
				if status := r.headers[1]; status != "431 " && r.goAway == nil && len(r.resets) == 0 {
					t.Errorf("the bomb got %q", status)
				}
				r.mu.Unlock()
				_ = r.Close()
				synctest.Wait()
				if n := g.server.admission.unsettled(); n != 0 {
					t.Errorf("%d calls are left", n)
				}
			})
		})
	}
}

// pieces writes a header block in as many frames as it takes.
func (r *raw) pieces(block []byte) error {
	first := block[:min(len(block), 8_000)]
	block = block[len(first):]
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0}); err != nil {
		return err
	}
	for len(block) > 0 {
		piece := block[:min(len(block), 8_000)]
		block = block[len(piece):]
		if err := r.WriteContinuation(1, len(block) == 0, piece); err != nil {
			return err
		}
	}
	return nil
}
