package snapshot

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// entryRoom is what an archive has besides the content of each file: its headers and padding.
	entryRoom = 4 << 10
	// maxEntries bounds what is read of an archive, as the file servers bound what they send and take.
	maxEntries = 100_000
)

// filesOf returns the files of a sandbox.
func filesOf(sb sandbox.Sandbox) *fileserver.Files { return fileserver.New(box{sb}) }

// box is a sandbox that is found by any name.
type box struct{ sb sandbox.Sandbox }

func (b box) Sandbox(context.Context, string) (sandbox.Sandbox, error) { return b.sb, nil }

// take copies the files of a sandbox and keeps the copy, in place of an older one with its name. What was kept
// before stays where it fails.
func (s *Store) take(ctx context.Context, sb sandbox.Sandbox, r record) (*kept, error) {
	var made *kept
	err := s.work(ctx, r.Tenant, sb, func(ctx context.Context) (err error) {
		made, err = s.write(ctx, sb, r)
		return err
	})
	return made, err
}

// write writes a copy and keeps it.
func (s *Store) write(ctx context.Context, sb sandbox.Sandbox, r record) (*kept, error) {
	id := strings.ToLower(rand.Text())
	file, err := os.OpenFile(s.archive(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, s.failed(err)
	}
	archive := &growing{store: s, file: file, tenant: r.Tenant, limit: sizeLimit(sb)}
	if err = s.fill(ctx, sb, archive, &r); err == nil {
		err = archive.settle(r.Session == "") // the checkpoints of a session do not outlive the host, as it does not
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		r.Serial, r.Bytes = s.nextSerial(r), archive.size
		err = writeRecord(filepath.Join(s.opts.Folder, id+recordSuffix), r)
	}
	if err != nil {
		s.opts.Room.Give(r.Tenant, archive.taken)
		return nil, s.failed(errors.Join(err, ignoreMissing(os.Remove(file.Name()))))
	}
	return s.keep(&kept{record: r, file: file.Name()}), nil
}

// nextSerial returns when a copy is made, behind that of what it takes the place of although a clock was set back.
func (s *Store) nextSerial(r record) int64 {
	now := time.Now().UnixNano()
	if older, err := s.find(r.group(), r.Name); err == nil {
		return max(now, older.Serial+1)
	}
	return now
}

// keep notes a new copy and removes what it takes the place of.
func (s *Store) keep(k *kept) *kept {
	s.mu.Lock()
	older := s.all[k.group()][k.Name]
	s.put(k)
	s.mu.Unlock()
	if older != nil && s.remove(older) == nil { // otherwise it is logged, and takes its room; the newer one holds all the same
		s.opts.Room.Give(older.Tenant, older.Bytes)
	}
	return k
}

// fill writes the archive, and counts what is in it.
func (s *Store) fill(ctx context.Context, sb sandbox.Sandbox, archive *growing, r *record) error {
	err := filesOf(sb).Export(ctx, &sandgatev1.ExportRequest{}, func(piece *sandgatev1.ExportResponse) error {
		_, err := archive.Write(piece.GetData())
		return err
	})
	if err != nil {
		return err
	}
	if _, err := archive.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return each(ctx, archive.file, func(header *tar.Header, _ io.Reader) error {
		if header.Typeflag == tar.TypeDir {
			r.Directories++
		} else {
			r.Files++
		}
		return nil
	})
}

// each shows every entry of an archive. Who made it is not believed: the names are whatever he wrote.
func each(ctx context.Context, archive io.Reader, show func(header *tar.Header, content io.Reader) error) error {
	reader := tar.NewReader(archive)
	for entries := 0; ; entries++ {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return guestrpc.CallerLeft(ctx.Err())
		case err != nil:
			return damaged(err)
		case sparse(header): // no file server here makes one, and it may be as large as it says without being there
			return damaged(errors.New("a file in it has holes"))
		case entries == maxEntries:
			return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("there are more than %d files", maxEntries),
				"DIRECTORY_TOO_LARGE", "Remove files that are not needed, or put them into an archive.")
		}
		if err := show(header, reader); err != nil {
			return err
		}
	}
}

// sparse tells whether an entry is a file of which the archive holds only parts.
func sparse(header *tar.Header) bool {
	if header.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// copyAll copies what is left of a reader, and stops when ctx does.
func copyAll(ctx context.Context, to io.Writer, from io.Reader) error {
	for {
		switch _, err := io.CopyN(to, from, pieceBytes); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return guestrpc.CallerLeft(ctx.Err())
		}
	}
}

// damaged is the error of an archive that is none.
func damaged(err error) error {
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	return guestrpc.Broken(fmt.Errorf("its archive of the files is damaged: %w", err))
}

// failed returns an error that is fit for callers, and logs what they are not told.
func (s *Store) failed(err error) error {
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	s.opts.Log.Error("a copy of a session's files was not made", "err", err)
	return guestrpc.NewError(connect.CodeUnavailable, errors.New("the gateway could not keep the files"), "STATE_UNAVAILABLE",
		"Nothing was kept or changed. Try again later: the operator must make room, or mend the disk.")
}

// open opens the archive of a copy. One that was replaced or removed stays readable to whoever has it open.
func (s *Store) open(k *kept) (*bufio.Reader, io.Closer, error) {
	file, err := os.Open(k.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, notFound(k.record)
	}
	if err != nil {
		return nil, nil, s.failed(err)
	}
	return bufio.NewReaderSize(file, pieceBytes), file, nil
}

// notFound is the error of what is not kept.
func notFound(r record) error {
	if r.Session != "" {
		return guestrpc.NewError(connect.CodeNotFound, fmt.Errorf("there is no checkpoint %q", r.Name), "CHECKPOINT_NOT_FOUND",
			"Only the 16 newest are kept. ListCheckpoints names them.")
	}
	return guestrpc.NewError(connect.CodeNotFound, fmt.Errorf("there is no workspace %q", r.Name), "WORKSPACE_NOT_FOUND",
		"ListWorkspaces names those that there are; SaveWorkspace makes one.")
}
