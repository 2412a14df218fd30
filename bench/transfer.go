package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The rows about large files: TRANSFER.

const (
	transferFactor = 0.7   // of a bare stream into or out of a container, at least
	storeBudget    = 300.0 // MB/s
	transferBudget = 32.0  // MiB of the gateway's memory
	transferPiece  = 1 << 18
	transferRounds = 3
	megabyte       = 1e6
)

// transferLimits are those of a session that has room for the file.
func transferLimits(size int64) *sandgatev1.Limits {
	return &sandgatev1.Limits{MemoryBytes: 2*size + 1<<30, WorkspaceBytes: size + 64<<20}
}

// measureTransfer uploads and downloads a large file: where its session has a sandbox, beside bare streams
// into and out of a container; and where it has none yet, beside a copy on the disk.
func measureTransfer(ctx context.Context, r *rig) (_ []row, err error) {
	ctx, cancel := context.WithTimeout(ctx, longCall)
	defer cancel()
	size := int64(r.scale.flood)
	live, err := r.client.create(ctx, &sandgatev1.CreateSessionRequest{Limits: transferLimits(size)})
	if err != nil {
		return nil, err
	}
	store, err := r.client.create(ctx, &sandgatev1.CreateSessionRequest{Limits: transferLimits(size), Deferred: true})
	if err != nil {
		return nil, err
	}
	status := fmt.Sprintf("/proc/%d/status", r.gateway.pid())
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.gateway.pid()), []byte("5"), 0o200); err != nil {
		return nil, fmt.Errorf("reset the gateway's peak memory: %w", err)
	}
	before, err := procBytes(status, "VmRSS")
	if err != nil {
		return nil, err
	}
	speeds := make([][]float64, 7)
	for range transferRounds {
		for i, move := range []func(context.Context) (time.Duration, error){
			func(ctx context.Context) (time.Duration, error) {
				return r.engine.timedStream(ctx, r.runtime, "sink", size)
			},
			func(ctx context.Context) (time.Duration, error) { return live.upload(ctx, size) },
			func(ctx context.Context) (time.Duration, error) {
				return r.engine.timedStream(ctx, r.runtime, "source", size)
			},
			func(ctx context.Context) (time.Duration, error) { return live.download(ctx, size) },
			func(context.Context) (time.Duration, error) { return copyOnDisk(r.gateway.dir, size) },
			func(ctx context.Context) (time.Duration, error) { return store.upload(ctx, size) },
			func(ctx context.Context) (time.Duration, error) { return store.download(ctx, size) },
		} {
			took, err := move(ctx)
			if err != nil {
				return nil, err
			}
			speeds[i] = append(speeds[i], float64(size)/megabyte/took.Seconds())
		}
	}
	got := medians(speeds)
	peak, err := procBytes(status, "VmHWM")
	what := fmt.Sprintf("%d MiB ", size>>20)
	speed := func(name string, value, floor float64) row {
		return row{What: what + name, Unit: "MB/s", Value: value}.against(floor)
	}
	return []row{
		speed("uploaded into a sandbox", got[1], got[0]).atLeast(transferFactor * got[0]),
		speed("downloaded from a sandbox", got[3], got[2]).atLeast(transferFactor * got[2]),
		speed("uploaded, no sandbox yet", got[5], got[4]).atLeast(storeBudget),
		speed("downloaded, no sandbox yet", got[6], got[4]).atLeast(storeBudget),
		row{What: what + "each way: gateway's memory", Unit: "MiB", Value: (peak - before) / mebibyte}.atMost(transferBudget),
	}, err
}

// upload sends a file of that size, for which the one before makes room.
func (s *session) upload(ctx context.Context, size int64) (time.Duration, error) {
	_, err := s.files.Remove(ctx, &sandgatev1.RemoveRequest{SessionId: s.id, Path: "large"})
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return 0, err
	}
	start := time.Now()
	stream, err := s.files.Upload(ctx)
	if err != nil {
		return 0, err
	}
	err = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{SessionId: s.id, Path: "large"}}})
	piece := bytes.Repeat([]byte("sixteen bytes..."), transferPiece/16)
	for sent := int64(0); err == nil && sent < size; sent += transferPiece {
		err = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: piece}})
	}
	if err != nil && !errors.Is(err, io.EOF) { // which the reply explains
		return 0, err
	}
	done, err := stream.CloseAndReceive()
	if err == nil && done.GetFile().GetSize() != size {
		err = fmt.Errorf("%d bytes arrived", done.GetFile().GetSize())
	}
	return time.Since(start), err
}

// download fetches the file.
func (s *session) download(ctx context.Context, size int64) (time.Duration, error) {
	start := time.Now()
	stream, err := s.files.Download(ctx, &sandgatev1.DownloadRequest{SessionId: s.id, Path: "large"})
	if err != nil {
		return 0, err
	}
	defer func() { _ = stream.Close() }() // read to its end
	got := int64(0)
	for stream.Receive() {
		got += int64(len(stream.Msg().GetData()))
	}
	if err := stream.Err(); err != nil {
		return 0, err
	}
	if got != size {
		return 0, fmt.Errorf("%d bytes arrived", got)
	}
	return time.Since(start), nil
}

// copyOnDisk writes a file and then copies it, which is what keeping one costs at the least. Its time is that of
// the copy.
func copyOnDisk(dir string, size int64) (time.Duration, error) {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	defer func() { _ = errors.Join(os.Remove(from), os.Remove(to)) }() // the whole folder goes in the end
	if _, err := fill(from, io.LimitReader(nothing{}, size)); err != nil {
		return 0, err
	}
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }() // only read from
	return fill(to, in)
}

// fill writes a file, and returns how long that took.
func fill(path string, content io.Reader) (time.Duration, error) {
	start := time.Now()
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{content}, make([]byte, transferPiece))
	return time.Since(start), errors.Join(err, file.Close())
}

// nothing is read as zeros.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// The rows about sessions that have no sandbox yet: DEFERRED.

const (
	deferredBudget = 50.0 // KB a session
	deferredSettle = 2 * time.Second
)

// measureDeferred is by how much the gateway grows with each session that holds a small file and nothing else.
func measureDeferred(ctx context.Context, r *rig) ([]row, error) {
	n := r.scale.deferred
	ctx, cancel := context.WithTimeout(ctx, longCall)
	defer cancel()
	start := func(ctx context.Context, _ int) error {
		s, err := r.client.create(ctx, &sandgatev1.CreateSessionRequest{Deferred: true})
		if err != nil {
			return err
		}
		_, err = s.files.Write(ctx, &sandgatev1.WriteRequest{SessionId: s.id, Path: "note.txt", Content: &sandgatev1.WriteRequest_Text{Text: "small"}})
		return err
	}
	if err := together(ctx, deferredWarm, rateSessions, start); err != nil {
		return nil, err
	}
	status := fmt.Sprintf("/proc/%d/status", r.gateway.pid())
	before, err := procBytes(status, "VmRSS")
	if err != nil {
		return nil, err
	}
	if err := together(ctx, n, rateSessions, start); err != nil {
		return nil, err
	}
	if err := pause(ctx, deferredSettle); err != nil {
		return nil, err
	}
	after, err := procBytes(status, "VmRSS")
	return []row{row{What: fmt.Sprintf("%d sessions with a file each and no sandbox", n), Unit: "KB", Value: (after - before) / 1000 / float64(n)}.atMost(deferredBudget)}, err
}

// deferredWarm is how many such sessions there are before the others are counted.
const deferredWarm = 100
