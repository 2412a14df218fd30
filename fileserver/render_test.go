package fileserver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// render returns what a model reads as text, pictures as a line.
func render(message proto.Message) string {
	r := fileserver.NewRenderer()
	r.Add(message)
	var out strings.Builder
	for _, part := range r.Content() {
		if image := part.GetImage(); image != nil {
			out.WriteString("<" + image.GetMimeType() + ">\n")
			continue
		}
		out.WriteString(part.GetText() + "\n")
	}
	return out.String()
}

func readText(text string, next, total int64) *sandgatev1.ReadResponse {
	return &sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: text}, NextOffset: next, TotalSize: total}
}

func readData(data string, next, total int64) *sandgatev1.ReadResponse {
	return &sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Data{Data: []byte(data)}, NextOffset: next, TotalSize: total}
}

// readLines is a reply of lines of a file that has 18 bytes in 4 lines, or is told whole.
func readLines(text string, next, first, nextLine int64) *sandgatev1.ReadResponse {
	res := readText(text, next, max(next, 18))
	if first == 1 {
		res.TotalSize = next
	}
	res.StartLine, res.NextLine, res.TotalLines = first, nextLine, 4
	return res
}

func TestRendererGolden(t *testing.T) {
	file := &sandgatev1.FileInfo{
		Path: "/home/user/a.txt", Type: sandgatev1.FileType_FILE_TYPE_FILE, Size: 12, Mode: 0o644,
		ModifiedAt: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
	link := &sandgatev1.FileInfo{Path: "/home/user/l\nnk", Type: sandgatev1.FileType_FILE_TYPE_SYMLINK, SymlinkTarget: "a.txt"}
	png := "\x89PNG\r\n\x1a\nrest"
	for name, message := range map[string]proto.Message{
		"read_whole":       readText("one\ntwo\n", 8, 8),
		"read_part":        readText("one\ntwo", 17, 100),
		"read_empty":       readText("", 0, 0),
		"read_png":         readData(png, int64(len(png)), int64(len(png))),
		"read_png_part":    readData(png, int64(len(png)), 5000),
		"read_jpeg":        readData("\xff\xd8\xff\xe0", 4, 4),
		"read_binary":      readData("\x00\x01\x02", 103, 200),
		"read_png_in_file": readData(png, 100, 100),
		"list": &sandgatev1.ListFilesResponse{NextPageToken: "t\"1", Files: []*sandgatev1.FileInfo{
			file, link, {Path: "/home/user/d", Type: sandgatev1.FileType_FILE_TYPE_DIRECTORY}, {Path: "/home/user/fifo", Type: sandgatev1.FileType_FILE_TYPE_OTHER},
		}},
		"list_empty": &sandgatev1.ListFilesResponse{},
		"write":      &sandgatev1.WriteResponse{File: file},
		"edit":       &sandgatev1.EditResponse{File: file, Replaced: 2, Preview: "1  one\n2  TWO\n"},
		"stat":       &sandgatev1.StatResponse{File: file},
		"stat_link":  &sandgatev1.StatResponse{File: link},
		"move":       &sandgatev1.MoveResponse{File: file},
		"remove":     &sandgatev1.RemoveResponse{},
		"lines":      readLines("two\nthree\n", 14, 2, 4),
		"lines_end":  readLines("four", 18, 4, 0),
		"lines_all":  readLines("one\n", 4, 1, 0),
		"lines_none": readLines("", 18, 9, 0),
		"line_part":  readLines("thr", 11, 3, 4),
		"glob": &sandgatev1.GlobResponse{NextPageToken: "t", Unreadable: 1, Files: []*sandgatev1.FileInfo{
			file, link, {Path: "/home/user/d", Type: sandgatev1.FileType_FILE_TYPE_DIRECTORY}, {Path: "/tmp/x"},
		}},
		"glob_empty": &sandgatev1.GlobResponse{},
		"glob_late":  &sandgatev1.GlobResponse{NextPageToken: "t"},
		"grep": &sandgatev1.GrepResponse{Matches: 3, Searched: 7, Binary: 1, Unreadable: 2, NextPageToken: "t", Files: []*sandgatev1.GrepFile{
			{Path: "/home/user/a", Lines: []*sandgatev1.GrepLine{
				{Number: 1, Text: "\tbefore", Context: true}, {Number: 2, Text: "match"}, {Number: 8, Text: "mat\u001bch", Clipped: true},
			}},
			{Path: "/home/user/b\nc", Lines: []*sandgatev1.GrepLine{{Number: 1, Text: "match"}, {Number: 9, Text: "match"}}},
		}},
		"grep_empty": &sandgatev1.GrepResponse{Searched: 3},
		"tree": &sandgatev1.TreeResponse{Path: "/home/user", Unlisted: 2, Entries: []*sandgatev1.TreeEntry{
			{Name: "d", Depth: 1, Type: sandgatev1.FileType_FILE_TYPE_DIRECTORY, Unlisted: 5},
			{Name: "f", Depth: 2, Type: sandgatev1.FileType_FILE_TYPE_FILE, Size: 1536},
			{Name: "l", Depth: 2, Type: sandgatev1.FileType_FILE_TYPE_SYMLINK, SymlinkTarget: "f"},
			{Name: "s", Depth: 1, Type: sandgatev1.FileType_FILE_TYPE_DIRECTORY, Unreadable: true},
			{Name: "x", Depth: 1, Type: sandgatev1.FileType_FILE_TYPE_OTHER},
		}},
		"copy":        &sandgatev1.CopyResponse{File: file, Files: 2, Directories: 1, Bytes: 12, Skipped: 1},
		"hash":        &sandgatev1.HashResponse{Files: []*sandgatev1.FileHash{{Path: "/home/user/a", Hash: "ff00"}, {Path: "/tmp/b", Hash: "00ff"}}},
		"diff":        &sandgatev1.DiffResponse{Diff: "--- a\n+++ b\n", Added: 1, TotalSize: 12, NextOffset: 12},
		"diff_part":   &sandgatev1.DiffResponse{Diff: "--- a\n", Added: 1, TotalSize: 12, NextOffset: 6},
		"diff_equal":  &sandgatev1.DiffResponse{Equal: true},
		"diff_binary": &sandgatev1.DiffResponse{Binary: true},
		"patch": &sandgatev1.PatchResponse{DryRun: true, Files: []*sandgatev1.PatchedFile{
			{Path: "/home/user/a", Change: sandgatev1.ChangeType_CHANGE_TYPE_WRITE, Added: 2, Removed: 1, Hunks: []*sandgatev1.PatchedHunk{{Line: 1}, {Line: 40, Shift: -3}}},
			{Path: "/home/user/b", Change: sandgatev1.ChangeType_CHANGE_TYPE_CREATE, Added: 2},
			{Path: "/home/user/c", Change: sandgatev1.ChangeType_CHANGE_TYPE_REMOVE, Removed: 9},
		}},
		"archive": &sandgatev1.ArchiveResponse{File: &sandgatev1.FileInfo{Path: "/home/user/out/a.zip", Size: 345}, Entries: 3, ContentBytes: 1200},
		"extract": &sandgatev1.ExtractResponse{
			Destination: "/home/user/a", Files: 2, Directories: 1, Bytes: 1200, SkippedTotal: 3, Skipped: []string{"../x: leaves the directory", "l\nnk: it is a link"},
		},
		"extract_nothing": &sandgatev1.ExtractResponse{Destination: "/home/user/a"},
		"make_dir":        &sandgatev1.MakeDirResponse{File: &sandgatev1.FileInfo{Path: "/home/user/d"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".txt")
			got := render(message)
			if updating() {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRendererHoldsItsBudget(t *testing.T) {
	long := strings.Repeat("é.\n", 1<<18)
	got := render(readText(long, 1<<20, 1<<20))
	if len(got) > 64<<10 || !utf8.ValidString(got) || !strings.Contains(got, "to go on, read with offset=49152]") {
		t.Errorf("%d bytes, ending %q", len(got), got[len(got)-80:])
	}
	var files []*sandgatev1.FileInfo
	for range 10_000 {
		files = append(files, &sandgatev1.FileInfo{Path: "/home/user/" + string(bytes.Repeat([]byte("x"), 80)), Type: sandgatev1.FileType_FILE_TYPE_FILE})
	}
	lines := readText(strings.Repeat("é.\n", 1<<18), 1<<20, 1<<20)
	lines.StartLine, lines.TotalLines = 100, 1<<18+99
	if got = render(lines); len(got) > 64<<10 || !strings.Contains(got, "[lines 100 to 12387 of 262243; to go on, read with start_line=12388]") {
		t.Errorf("%d bytes, ending %q", len(got), got[len(got)-80:])
	}
	var entries []*sandgatev1.TreeEntry
	var found []*sandgatev1.GrepFile
	for range 2000 {
		entries = append(entries, &sandgatev1.TreeEntry{Name: strings.Repeat("x", 200), Depth: 60})
		found = append(found, &sandgatev1.GrepFile{Path: strings.Repeat("x", 100), Lines: []*sandgatev1.GrepLine{{Number: 1, Text: "x"}}})
	}
	for _, message := range []proto.Message{
		&sandgatev1.GlobResponse{Files: files}, &sandgatev1.TreeResponse{Entries: entries}, &sandgatev1.GrepResponse{Files: found, Matches: 2000},
		&sandgatev1.DiffResponse{Diff: long, TotalSize: 1 << 20, NextOffset: 1 << 20},
	} {
		if got := render(message); len(got) > 64<<10 || !strings.Contains(got[len(got)-120:], "use ") {
			t.Errorf("%T: %d bytes, ending %q", message, len(got), got[len(got)-120:])
		}
	}
	skipped := slices.Repeat([]string{strings.Repeat("x", 4000)}, 100)
	if got = render(&sandgatev1.ExtractResponse{Skipped: skipped, SkippedTotal: 100}); len(got) > 64<<10 || !strings.HasSuffix(got, "more\n") {
		t.Errorf("%d bytes, ending %q", len(got), got[len(got)-80:])
	}
	got = render(&sandgatev1.ListFilesResponse{Files: files, NextPageToken: "t"})
	if len(got) > 64<<10 || !strings.Contains(got, "more entries of this page are not shown; list with page_size=") {
		t.Errorf("%d bytes, ending %q", len(got), got[len(got)-120:])
	}
}
