package guest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// collect reads what a reader can get now, and the offset of its first byte.
func collect(rr *ringReader) (data []byte, first int64) {
	buf := make([]byte, 7)
	first = -1
	for {
		n, offset, _ := rr.read(buf)
		if n == 0 {
			return data, first
		}
		if first < 0 {
			first = offset
		}
		data = append(data, buf[:n]...)
	}
}

func TestRingKeepsTheLastBytesAtTheirOffsets(t *testing.T) {
	r := newRing(16)
	var all []byte
	source := rand.New(rand.NewPCG(1, 2))
	for len(all) < 500 {
		piece := make([]byte, source.IntN(20))
		for i := range piece {
			piece[i] = byte(len(all) + i)
		}
		all = append(all, piece...)
		r.write(piece)
		for _, from := range []int64{0, int64(len(all)) - 5, int64(len(all)), 1 << 40} {
			rr := r.reader(max(from, 0))
			got, first := collect(rr)
			rr.close()
			want := all[max(min(max(from, 0), int64(len(all))), int64(len(all))-16, 0):]
			if !bytes.Equal(got, want) {
				t.Fatalf("after %d bytes, from %d: got %v at %d, want %v", len(all), from, got, first, want)
			}
		}
	}
}

func TestRingWaitsForAReaderAndGivesUpOnOneThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(8)
		slow := r.reader(0)
		defer slow.close()
		r.write([]byte("12345678"))
		written := make(chan struct{})
		go func() {
			r.write([]byte("abcd"))
			close(written)
		}()
		synctest.Wait()
		select {
		case <-written:
			t.Fatal("the ring dropped what its reader had not read")
		default:
		}
		if got, _ := collect(slow); string(got) != "12345678" {
			t.Fatalf("read %q", got)
		}
		<-written
		r.write([]byte("efgh")) // fills the ring behind the reader
		r.write([]byte("ijkl")) // waits, then gives up
		if got, first := collect(slow); string(got) != "efghijkl" || first != 12 {
			t.Errorf("read %q at %d after a stall", got, first)
		}
	})
}

func TestRingReaderFollowsToTheEnd(t *testing.T) {
	r := newRing(1 << 10)
	rr := r.reader(0)
	defer rr.close()
	go func() {
		for range 100 {
			r.write([]byte("0123456789"))
		}
		r.close()
	}()
	total := 0
	err := rr.follow(t.Context(), func(p []byte, offset int64) error {
		if offset != int64(total) {
			t.Errorf("offset %d after %d bytes", offset, total)
		}
		total += len(p)
		return nil
	})
	if err != nil || total != 1000 {
		t.Errorf("%d bytes, %v", total, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	open := newRing(8).reader(0)
	if err := open.follow(ctx, nil); err == nil {
		t.Error("no error for a reader that left")
	}
}
