package fileurl

import (
	"mime"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/identity"
)

func newSealer(tb testing.TB) *Sealer {
	tb.Helper()
	sealer, err := NewSealer(identity.NewPepper())
	if err != nil {
		tb.Fatal(err)
	}
	return sealer
}

func TestSealAndOpen(t *testing.T) {
	sealer := newSealer(t)
	for file, name := range map[string]string{
		"data.csv": "/data.csv", "/home/user/a b/ü.txt": "/%C3%BC.txt", "a/../b": "/b", "..": "", "a/..": "", "/": "", ".": "",
		"a?b#c%": "/a%3Fb%23c%25", strings.Repeat("\x01", 4096): "/" + strings.Repeat("%01", 4096),
	} {
		want := gateway.FileGrant{Session: "ses_x", Path: file, Expires: time.Unix(1_800_000_000, 0), Token: strings.Repeat("t", 8<<10)}
		for _, want.Upload = range []bool{false, true} {
			address, err := sealer.Seal(want)
			if err != nil {
				t.Fatal(err)
			}
			if _, after, _ := strings.Cut(strings.TrimPrefix(address, Prefix), "/"); !want.Upload && "/"+after != name && after+name != "" || want.Upload && after != "" {
				t.Errorf("%.20q: the address ends in %.40q", file, after)
			}
			if again, _ := sealer.Seal(want); again == address {
				t.Error("two addresses are the same")
			}
			// A server looks at the path unescaped.
			address, _, _ = strings.Cut(address, "%")
			if got, ok := sealer.Open(address); !ok || cmp.Diff(want, got) != "" {
				t.Errorf("%.20q: %v, %+v", file, ok, got)
			}
		}
	}
}

func TestDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "attachment",
		"a.txt":                  `attachment; filename="a.txt"`,
		"a b.txt":                `attachment; filename="a b.txt"`,
		`a".html`:                `attachment; filename="a_.html"; filename*=UTF-8''a%22.html`,
		"a\r\nX: y":              `attachment; filename="a__X_ y"; filename*=UTF-8''a%0D%0AX%3A%20y`,
		"%41":                    `attachment; filename="_41"; filename*=UTF-8''%2541`,
		"ü":                      `attachment; filename="_"; filename*=UTF-8''%C3%BC`,
		"\u202egpj.exe":          `attachment; filename="_gpj.exe"; filename*=UTF-8''%E2%80%AEgpj.exe`,
		"a;b='c'\\../x":          `attachment; filename="a_b__c__.._x"; filename*=UTF-8''a%3Bb%3D%27c%27%5C..%2Fx`,
		"\xffx":                  `attachment; filename="_x"`,
		"\xff\u00fc":             `attachment; filename="__"; filename*=UTF-8''_%C3%BC`,
		strings.Repeat("a", 300): `attachment; filename="` + strings.Repeat("a", 255) + `"`,
	} {
		if got := disposition(name); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

// FuzzDisposition wants every name to be a name of one file, and what it was where it can be.
func FuzzDisposition(f *testing.F) {
	for _, seed := range []string{"a.txt", "a\"b", "ü", "\xff", "a\r\nb", "'", strings.Repeat("ü", 200), "x%41"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name := nameOf(file)
		value := disposition(name)
		for _, c := range []byte(value) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q has the byte %d", value, c)
			}
		}
		kind, parameters, err := mime.ParseMediaType(value)
		if err != nil || kind != "attachment" || len(parameters) > 1 {
			t.Fatalf("%q: %s, %v, %v", value, kind, parameters, err)
		}
		if got := parameters["filename"]; utf8.ValidString(name) && len(name) <= maxShownName && got != name {
			t.Errorf("%q became %q", name, got)
		} else if strings.ContainsRune(got, '/') && path.Base(file) != "/" {
			t.Errorf("%q is a path", got)
		}
	})
}

// FuzzOpen opens what an address may have in it, sealed or not: nothing of it makes an address that was
// not sealed, and what was sealed wrongly is told.
func FuzzOpen(f *testing.F) {
	sealer := newSealer(f)
	address, err := sealer.Seal(gateway.FileGrant{Session: "ses_x", Path: "f", Expires: time.Now(), Token: "t"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", Prefix, Prefix + "/f", address[:len(address)-3], address + "/g", address[:20] + "\n" + address[20:], "/files/AAAA", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if grant, ok := sealer.Open(text); ok {
			t.Errorf("%q grants %+v", text, grant)
		}
	})
}

// FuzzRange reads headers that anybody may send.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-", "bytes=-5", "bytes=1-2", "bytes=9223372036854775807-", "bytes=-9223372036854775808", "bytes=0-1,2-3", "x=1-2", "bytes=\t1-2 "} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, total int64) {
		total = max(total, 0)
		part, ok, err := parseRange(header, total)
		if ok && (err != nil || part.offset < 0 || part.length < 1 || part.offset > total-part.length) {
			t.Errorf("%q of %d is %+v, %v", header, total, part, err)
		}
		if !ok && part != (span{}) {
			t.Errorf("%q of %d is %+v", header, total, part)
		}
	})
}
