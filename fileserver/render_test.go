package fileserver_test

import (
	"bytes"
	"os"
	"path/filepath"
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
		"make_dir":   &sandgatev1.MakeDirResponse{File: &sandgatev1.FileInfo{Path: "/home/user/d"}},
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
	got = render(&sandgatev1.ListFilesResponse{Files: files, NextPageToken: "t"})
	if len(got) > 64<<10 || !strings.Contains(got, "more entries of this page are not shown; list with page_size=") {
		t.Errorf("%d bytes, ending %q", len(got), got[len(got)-120:])
	}
}
