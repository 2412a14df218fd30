package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A copy is two files with one random name. The record makes it one: it is written when the archive is whole and on
// the disk.
const (
	recordSuffix  = ".json"
	archiveSuffix = ".tar"
	newSuffix     = ".new"
)

// maxRecord bounds a record in bytes.
const maxRecord = 16 << 10

// record is what is known of a copy.
type record struct {
	// Tenant is whose it is.
	Tenant string `json:"tenant"`
	// Session is the session whose checkpoint it is, empty for a workspace.
	Session string `json:"session,omitempty"`
	// Name is that of a workspace, or the id of a checkpoint.
	Name string `json:"name"`
	// Label is what its maker says of it.
	Label string `json:"label,omitempty"`
	// Undo tells that an undo has made it.
	Undo bool `json:"undo,omitempty"`
	// Serial is when it was made, in nanoseconds since 1970: of two with one name the later one holds.
	Serial int64 `json:"serial"`
	// Bytes is the size of the archive.
	Bytes int64 `json:"bytes"`
	// Files and Directories are how many are in it.
	Files       int64 `json:"files"`
	Directories int64 `json:"directories"`
}

func (r record) group() group { return group{r.Tenant, r.Session} }

func (r record) snapshot() *sandgatev1.Snapshot {
	return &sandgatev1.Snapshot{
		Name: r.Name, Label: r.Label, CreatedAt: timestamppb.New(time.Unix(0, r.Serial)),
		Files: r.Files, Directories: r.Directories, StoredBytes: r.Bytes,
	}
}

// writeRecord writes a record so that it is there as a whole after a crash, or not at all.
func writeRecord(path string, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write a snapshot's record: %w", err)
	}
	beside := path + newSuffix
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write a snapshot's record: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(beside, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write a snapshot's record: %w", err), ignoreMissing(os.Remove(beside)), ignoreMissing(os.Remove(path)))
	}
	return nil
}

// syncFolder has the names in a folder survive a crash of the host.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// readRecord reads a record.
func readRecord(path string) (record, error) {
	var r record
	info, err := os.Lstat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxRecord) {
		err = errors.New("it is no record")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && (r.Name == "" || r.Bytes < 0) {
		err = errors.New("it says nothing of its copy")
	}
	if err != nil {
		return record{}, fmt.Errorf("read a snapshot's record: %w", err)
	}
	return r, nil
}
