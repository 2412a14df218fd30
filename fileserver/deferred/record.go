package deferred

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sandgate/sandgate/sandbox"
)

// What is in the directory of a workspace.
const (
	recordName = "sandbox.json"
	filesName  = "files"
)

// maxRecord bounds a record in bytes.
const maxRecord = 16 << 10

// record is what a later gateway must know of a sandbox.
type record struct {
	// Spec is what it is made from.
	Spec sandbox.Spec `json:"spec"`
	// Made is the id of the real sandbox, which then owns the files. Empty: there is none yet.
	Made string `json:"made,omitempty"`
}

// writeRecord keeps a record: as a whole, or as it was.
func writeRecord(folder, id string, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write a sandbox's record: %w", err)
	}
	path := filepath.Join(folder, id, recordName)
	beside, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write a sandbox's record: %w", err)
	}
	_, err = beside.Write(data)
	if r.Made != "" { // a lost one would bring old files back
		err = errors.Join(err, beside.Sync())
	}
	if err = errors.Join(err, beside.Close()); err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write a sandbox's record: %w", err)
	}
	return nil
}

// readRecord reads a record.
func readRecord(folder, id string) (record, error) {
	var r record
	path := filepath.Join(folder, id, recordName)
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
	if err != nil {
		return record{}, fmt.Errorf("read the record of sandbox %s: %w", id, err)
	}
	return r, nil
}
