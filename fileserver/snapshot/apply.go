package snapshot

import (
	"archive/tar"
	"context"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// ownerAll is what a directory's mode needs for its owner to change what is in it.
const ownerAll = 0o700

// apply makes the files of a sandbox what a difference has in the end: then is the archive of that, with these hard
// links. It returns how many paths it could not remove.
func apply(ctx context.Context, sb sandbox.Sandbox, d difference, links map[string]string, then io.Reader) (left int64, err error) {
	closed := d.closed()
	err = openAll(ctx, sb, closed, d.before)
	if err == nil {
		if left, err = d.clear(ctx, sb); err == nil {
			err = d.bringBack(ctx, sb, links, then)
		}
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience) // also when the caller has left
	defer cancel()
	if closeErr := setModes(within, sb, closed, d.modeInTheEnd); err == nil {
		err = closeErr
	}
	return left, err
}

// bringBack unpacks what a difference has in the end.
func (d difference) bringBack(ctx context.Context, sb sandbox.Sandbox, links map[string]string, then io.Reader) error {
	var back []string
	for _, name := range d.paths {
		if _, there := d.after[name]; there {
			back = append(back, name)
		}
	}
	if len(back) == 0 {
		return nil
	}
	chosen := choose(back, links)
	return unpackFrom(ctx, sb, func(ctx context.Context, to io.Writer) error { return chosen.write(ctx, then, to) })
}

// closed returns the directories that there are, in which something is to be changed and whose modes are in the way,
// sorted.
func (d difference) closed() []string {
	found := map[string]bool{}
	note := func(name string) {
		if now, there := d.before[name]; there && now.kind == sandgatev1.FileType_FILE_TYPE_DIRECTORY && now.mode&ownerAll != ownerAll {
			found[name] = true // to be removed with what is in it, or to be worked in
		}
	}
	for _, name := range d.paths {
		for ; name != "."; name = path.Dir(name) {
			note(name)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// modeInTheEnd returns the mode of a directory that was closed: that of then if it was to be brought back, and
// otherwise the one that it had. It returns false for one that is not to be there.
func (d difference) modeInTheEnd(name string) (int64, bool) {
	if _, chosen := slices.BinarySearch(d.paths, name); !chosen {
		return d.before[name].mode, true
	}
	then, there := d.after[name]
	return then.mode, there && then.kind == sandgatev1.FileType_FILE_TYPE_DIRECTORY
}

// openAll opens closed directories to their owner, level by level: what is in a closed one cannot be reached before.
func openAll(ctx context.Context, sb sandbox.Sandbox, closed []string, now tree) error {
	levels := map[int][]string{}
	for _, name := range closed {
		depth := strings.Count(name, "/")
		levels[depth] = append(levels[depth], name)
	}
	for _, depth := range slices.Sorted(maps.Keys(levels)) {
		err := setModes(ctx, sb, levels[depth], func(name string) (int64, bool) { return now[name].mode | ownerAll, true })
		if err != nil {
			return err
		}
	}
	return nil
}

// setModes gives directories modes, those for which there is one. Whoever unpacks sets them in the end, those below
// first.
func setModes(ctx context.Context, sb sandbox.Sandbox, names []string, mode func(string) (int64, bool)) error {
	if len(names) == 0 {
		return nil
	}
	return unpackFrom(ctx, sb, func(_ context.Context, to io.Writer) error {
		out := tar.NewWriter(to)
		for _, name := range names {
			bits, there := mode(name)
			if !there {
				continue
			}
			if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Format: tar.FormatPAX, Name: name + "/", Mode: bits}); err != nil {
				return err
			}
		}
		return out.Close()
	})
}

// clear removes what a difference has not in the end, and what is something else then. It returns how many are left,
// as their names are no text.
func (d difference) clear(ctx context.Context, sb sandbox.Sandbox) (left int64, err error) {
	files, cleared := filesOf(sb), ""
	for _, name := range d.paths {
		now, there := d.before[name]
		if then, stays := d.after[name]; !there || (stays && then.kind == now.kind) {
			continue
		}
		if !utf8.ValidString(name) { // nothing can name it
			left++
			continue
		}
		if cleared != "" && within(name, cleared) {
			continue // it went with the directory that it was in
		}
		_, err := files.Remove(ctx, &sandgatev1.RemoveRequest{Path: "./" + name, Recursive: now.kind == sandgatev1.FileType_FILE_TYPE_DIRECTORY})
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound { // somebody was faster
			return left, err
		}
		cleared = name
	}
	return left, nil
}
