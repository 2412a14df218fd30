// Command daemonjson registers an OCI runtime in the configuration file of a Docker engine and
// leaves everything else in it as it is. Set-up runs it; it needs neither jq nor Python.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "daemonjson:", err)
		os.Exit(1)
	}
}

// run does what the arguments say and writes one line on whether the file was changed.
func run(args []string, out io.Writer) error {
	var file, name string
	var want runtime
	flags := flag.NewFlagSet("daemonjson", flag.ContinueOnError)
	flags.StringVar(&file, "file", "/etc/docker/daemon.json", "the engine's configuration `file`")
	flags.StringVar(&name, "runtime", "", "the `name` to register the runtime under")
	flags.StringVar(&want.path, "path", "", "the `file` that is the runtime")
	flags.Func("arg", "an `argument` for the runtime; may be repeated", func(arg string) error {
		want.args = append(want.args, arg)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if name == "" || want.path == "" || flags.NArg() > 0 {
		return errors.New("-runtime and -path are needed, and nothing but flags")
	}
	changed, err := update(file, name, want)
	if err != nil {
		return err
	}
	state := "unchanged"
	if changed {
		state = "changed"
	}
	_, err = fmt.Fprintf(out, "%s: %s\n", file, state)
	return err
}

// update merges the runtime into the file and says whether that changed it. A file that is not
// there counts as empty. The new content replaces the old as a whole or not at all.
func update(file, name string, want runtime) (bool, error) {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	merged, changed, err := merge(old, name, want)
	if err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	if !changed {
		return false, nil
	}
	return true, replace(file, merged, mode)
}

// replace writes the content beside the file and renames it into place.
func replace(file string, content []byte, mode fs.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".daemon-*.json")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
