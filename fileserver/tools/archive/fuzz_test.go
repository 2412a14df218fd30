package archive

import (
	"archive/tar"
	"bytes"
	"os"
	"path"
	"strings"
	"testing"
)

// FuzzConvert looks for what makes the program panic, and for entries that may not come out of it.
func FuzzConvert(f *testing.F) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if !file.IsDir() && path.Ext(file.Name()) != ".py" {
			f.Add(file.Name(), load(f, file.Name()))
		}
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		const limit = 1 << 20
		stream := new(bytes.Buffer)
		report, err := Convert(Request{Name: name, Limit: limit}, data, stream)
		if err != nil || len(report.Skipped) > MaxSkipped {
			t.Fatal(report, err)
		}
		size := int64(0)
		archive := tar.NewReader(stream)
		for {
			head, err := archive.Next()
			if err != nil {
				break // the end, or where it was cut
			}
			size += head.Size
			within := strings.TrimSuffix(head.Name, "/")
			if path.Clean(within) != within || path.IsAbs(within) || strings.HasPrefix(within, "..") && strings.HasPrefix(within+"/", "../") || within == "." {
				t.Errorf("an entry is named %q", head.Name)
			}
			if head.Typeflag != tar.TypeReg && head.Typeflag != tar.TypeDir || head.Mode&^0o755 != 0 || head.Linkname != "" {
				t.Errorf("%q is %c with mode %o", head.Name, head.Typeflag, head.Mode)
			}
		}
		if size > limit {
			t.Errorf("%d bytes came out", size)
		}
	})
}
