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
	if err := setModes(ctx, sb, closed, func(name string) int64 { return d.before[name].mode | ownerAll }); err != nil {
		return 0, err
	}
	left, err = d.clear(ctx, sb)
	if err == nil {
		var back []string
		for _, name := range d.paths {
			if _, there := d.after[name]; there {
				back = append(back, name)
			}
		}
		if len(back) > 0 {
			chosen := choose(back, links)
			err = unpackFrom(ctx, sb, func(ctx context.Context, to io.Writer) error { return chosen.write(ctx, then, to) })
		}
	}
	// Those that were opened get the mode that they should have, those below first.
	slices.Reverse(closed)
	kept := slices.DeleteFunc(closed, func(name string) bool { return d.after[name].kind != sandgatev1.FileType_FILE_TYPE_DIRECTORY })
	if modesErr := setModes(context.WithoutCancel(ctx), sb, kept, func(name string) int64 { return d.after[name].mode }); err == nil {
		err = modesErr
	}
	return left, err
}

// closed returns the directories that there are, in which something is to be changed and whose modes are in the way,
// those above first.
func (d difference) closed() []string {
	found := map[string]bool{}
	for _, name := range d.paths {
		for above := path.Dir(name); above != "." && !found[above]; above = path.Dir(above) {
			if now, there := d.before[above]; there && now.kind == sandgatev1.FileType_FILE_TYPE_DIRECTORY && now.mode&ownerAll != ownerAll {
				found[above] = true
			}
		}
		if now := d.before[name]; now.kind == sandgatev1.FileType_FILE_TYPE_DIRECTORY && now.mode&ownerAll != ownerAll {
			found[name] = true // to be removed with what is in it, or to be worked in
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return strings.Count(a, "/") - strings.Count(b, "/")
	})
}

// setModes gives directories that there are their modes, one after the other: what is in a closed one cannot be
// reached before it is opened.
func setModes(ctx context.Context, sb sandbox.Sandbox, names []string, mode func(string) int64) error {
	for _, name := range names {
		err := unpackFrom(ctx, sb, func(_ context.Context, to io.Writer) error {
			out := tar.NewWriter(to)
			header := &tar.Header{Typeflag: tar.TypeDir, Format: tar.FormatPAX, Name: name + "/", Mode: mode(name)}
			if err := out.WriteHeader(header); err != nil {
				return err
			}
			return out.Close()
		})
		if err != nil {
			return err
		}
	}
	return nil
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
