package snapshot

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

const (
	home        = "/home/user/"
	diffContext = 3 // lines
	maxDiffs    = 64 << 10
)

// difference is how one tree became another.
type difference struct {
	before, after tree
	paths         []string // sorted; those that differ
}

// compare returns the difference.
func compare(before, after tree) difference {
	d := difference{before: before, after: after}
	for name, then := range before {
		if now, there := after[name]; !there || now != then {
			d.paths = append(d.paths, name)
		}
	}
	for name := range after {
		if _, there := before[name]; !there {
			d.paths = append(d.paths, name)
		}
	}
	slices.Sort(d.paths)
	return d
}

// kind tells what happened to a path that differs.
func (d difference) kind(name string) sandgatev1.WorkspaceChangeKind {
	_, before := d.before[name]
	_, after := d.after[name]
	switch {
	case !before:
		return sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_ADDED
	case !after:
		return sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_REMOVED
	default:
		return sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_MODIFIED
	}
}

// count returns how many paths were added, modified and removed.
func (d difference) count() (added, modified, removed int64) {
	for _, name := range d.paths {
		switch d.kind(name) {
		case sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_ADDED:
			added++
		case sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_REMOVED:
			removed++
		default:
			modified++
		}
	}
	return added, modified, removed
}

// show returns changes as callers see them.
func (d difference) show(paths []string) []*sandgatev1.WorkspaceChange {
	changes := make([]*sandgatev1.WorkspaceChange, 0, len(paths))
	for _, name := range paths {
		before, after := d.before[name], d.after[name]
		change := &sandgatev1.WorkspaceChange{
			Path: strings.ToValidUTF8(home+name, "\uFFFD"), Kind: d.kind(name), Type: after.kind,
			SizeBefore: before.size, SizeAfter: after.size,
		}
		if change.Kind == sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_REMOVED {
			change.Type = before.kind
		}
		changes = append(changes, change)
	}
	return changes
}

// only leaves the paths that are one of those that are named, or below it. None named: all.
func (d difference) only(named []string) difference {
	if len(named) == 0 {
		return d
	}
	kept := difference{before: d.before, after: d.after}
	for _, name := range d.paths {
		if slices.ContainsFunc(named, func(n string) bool { return within(name, n) }) {
			kept.paths = append(kept.paths, name)
		}
	}
	return kept
}

// within tells whether a path is another, or below it.
func within(name, folder string) bool {
	return folder == "" || name == folder || strings.HasPrefix(name, folder+"/")
}

// page returns the paths behind one, and whether there are more.
func (d difference) page(after string, size int) (paths []string, more bool) {
	from, found := slices.BinarySearch(d.paths, after)
	if found {
		from++
	}
	if after == "" {
		from = 0
	}
	rest := d.paths[from:]
	return rest[:min(size, len(rest))], len(rest) > size
}

// diffs adds diffs to changes, for as long as there is room. Now holds the texts of files as they are, then is the
// archive of what they were.
func diffs(ctx context.Context, changes []*sandgatev1.WorkspaceChange, paths []string, now map[string][]byte, then io.Reader) error {
	wanted := map[string]bool{}
	for i, name := range paths {
		if now[name] != nil && changes[i].GetKind() == sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_MODIFIED {
			wanted[name] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	old, err := scan(ctx, then, func(name string, _ state) bool { return wanted[name] })
	if err != nil {
		return err
	}
	room := maxDiffs
	for i, name := range paths {
		before, there := old.texts[name]
		if !there || !isText(before) || !isText(now[name]) {
			continue
		}
		d, err := workspace.Diff(string(before), string(now[name]), "a/"+name, "b/"+name, diffContext)
		if err == nil && len(d.Unified) <= room {
			changes[i].Diff = d.Unified
			room -= len(d.Unified)
		}
	}
	return nil
}

// isText tells whether a file is text that can be shown.
func isText(data []byte) bool {
	return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// changedTexts chooses files whose content differs from what it was: those that a diff may be made of.
func changedTexts(before tree) func(name string, now state) bool {
	return func(name string, now state) bool {
		then, there := before[name]
		return there && then.kind == now.kind && then.sum != now.sum && then.size <= maxText
	}
}
