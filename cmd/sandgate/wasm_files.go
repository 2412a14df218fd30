package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// guestHome is where a program sees the files of a session.
const guestHome = "/home/user"

// localFiles are files of this machine's that a program gets in place of a session's.
type localFiles struct {
	hosts  map[string]string // by the path that the program has
	out    string            // empty: what it writes is not kept
	unkept []string
}

// newLocalFiles reads what --file says.
func newLocalFiles(pairs []string, out string) (*localFiles, error) {
	files := &localFiles{hosts: map[string]string{}, out: out}
	for _, pair := range pairs {
		at := strings.LastIndex(pair, "=")
		if at < 1 || at == len(pair)-1 {
			return nil, usagef("--file: %q must be HOST=GUEST, such as README.md=notes/a.txt", pair)
		}
		guest := pair[at+1:]
		if !path.IsAbs(guest) {
			guest = path.Join(guestHome, guest)
		}
		files.hosts[path.Clean(guest)] = pair[:at]
	}
	return files, nil
}

// Fetch reads a file that --file named.
func (f *localFiles) Fetch(_ context.Context, guest string, most int64) ([]byte, error) {
	host, ok := f.hosts[guest]
	if !ok {
		return nil, usagef("the program is to be given %s: say which file that is, with --file HOST=%s", guest, strings.TrimPrefix(guest, guestHome+"/"))
	}
	file, err := os.Open(host)
	if err != nil {
		return nil, localError(err)
	}
	defer func() { _ = file.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, localError(err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s: there are %d bytes left for it of what a call may be given", host, most)
	}
	return data, nil
}

// Store keeps a file below the folder that --out names.
func (f *localFiles) Store(_ context.Context, guest string, data []byte) error {
	if f.out == "" {
		f.unkept = append(f.unkept, guest)
		return nil
	}
	if err := os.MkdirAll(f.out, 0o750); err != nil {
		return localError(err)
	}
	root, err := os.OpenRoot(f.out)
	if err != nil {
		return localError(err)
	}
	defer func() { _ = root.Close() }()
	name := filepath.FromSlash(strings.TrimPrefix(guest, guestHome+"/"))
	if err := root.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return localError(err)
	}
	if err := root.WriteFile(name, data, 0o640); err != nil {
		return localError(err)
	}
	return nil
}
