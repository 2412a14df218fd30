package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// dataset is a table with a name, a group and a size in KiB per row.
type dataset struct {
	what string // one line for the reader
	rows int
	csv  bytes.Buffer
}

// findDataset makes a table of what is on this machine: its Debian packages, or where there are
// none the Go files of the toolchain.
func findDataset() (*dataset, error) {
	const status = "/var/lib/dpkg/status"
	if f, err := os.Open(status); err == nil {
		defer func() { _ = f.Close() }() // only read from
		if set, err := packages(f); err == nil && set.rows >= 20 {
			set.what = "the Debian packages installed on this machine (" + status + ")"
			return set, nil
		}
	}
	set, err := sources(filepath.Join(runtime.GOROOT(), "src")) //nolint:staticcheck // where `go run` found its toolchain
	if err != nil {
		return nil, fmt.Errorf("found neither Debian packages nor a Go toolchain to make a data set of: %w", err)
	}
	set.what = "the source files of Go's standard library"
	return set, nil
}

// packages reads dpkg's status file: paragraphs of `Field: value` lines.
func packages(r io.Reader) (*dataset, error) {
	set := &dataset{}
	w := csv.NewWriter(&set.csv)
	if err := w.Write([]string{"name", "group", "size_kib"}); err != nil {
		return nil, err
	}
	fields := map[string]string{}
	flush := func() error {
		defer clear(fields)
		size, err := strconv.ParseInt(fields["Installed-Size"], 10, 64)
		if err != nil || !strings.HasSuffix(fields["Status"], " installed") {
			return nil // virtual, removed, or without a size
		}
		_, section, found := strings.Cut(fields["Section"], "/") // such as contrib/net
		if !found {
			section = fields["Section"]
		}
		set.rows++
		return w.Write([]string{fields["Package"], section, strconv.FormatInt(size, 10)})
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if err := flush(); err != nil {
				return nil, err
			}
			continue
		}
		if name, value, ok := strings.Cut(line, ": "); ok && line[0] != ' ' {
			fields[name] = value
		}
	}
	err := errors.Join(lines.Err(), flush())
	w.Flush()
	return set, errors.Join(err, w.Error())
}

// sources lists the Go files below a folder, grouped by its first level.
func sources(root string) (*dataset, error) {
	set := &dataset{}
	w := csv.NewWriter(&set.csv)
	if err := w.Write([]string{"name", "group", "size_kib"}); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		group, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		set.rows++
		return w.Write([]string{name, group, strconv.FormatFloat(float64(info.Size())/1024, 'f', 1, 64)})
	})
	w.Flush()
	if err == nil && set.rows == 0 {
		err = fmt.Errorf("no Go file below %s", root)
	}
	return set, errors.Join(err, w.Error())
}
