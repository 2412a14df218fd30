// The program hostile does what its arguments say: the tests' stand-in for a tool that is out to harm whoever runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	var args struct {
		Do    string   `json:"do"`
		Text  string   `json:"text"`
		Paths []string `json:"paths"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch args.Do {
	case "echo":
		fmt.Print(args.Text)
	case "loop":
		for {
		}
	case "memory":
		var held [][]byte
		for {
			held = append(held, make([]byte, 1<<20))
			held[len(held)-1][0] = 1
		}
	case "recurse":
		fmt.Print(recurse(0))
	case "flood":
		for {
			fmt.Println(strings.Repeat("x", 4096))
		}
	case "stderr":
		for range 100_000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("e", 100))
		}
		os.Exit(3)
	case "calls":
		for {
			_, _ = os.Stat("/home/user/a.txt")
			_ = time.Now()
		}
	case "open":
		for {
			if _, err := os.Open("/"); err != nil {
				fmt.Print("no more")
				return
			}
		}
	case "write":
		if err := os.MkdirAll(filepath.Dir(args.Text), 0o700); err != nil {
			fail(err)
		}
		if err := os.WriteFile(args.Text, []byte("written"), 0o600); err != nil {
			fail(err)
		}
	case "fill":
		for i := 0; ; i++ {
			if err := os.WriteFile(fmt.Sprintf("/out/%d.txt", i), make([]byte, 1<<20), 0o600); err != nil {
				fail(err)
			}
		}
	case "files":
		for i := 0; ; i++ {
			if err := os.WriteFile(fmt.Sprintf("/out/%d.txt", i), nil, 0o600); err != nil {
				fail(err)
			}
		}
	case "read":
		for _, path := range args.Paths {
			text, err := os.ReadFile(path)
			if err != nil {
				fail(err)
			}
			fmt.Printf("%s %s\n", path, text)
		}
	case "work": // as an honest program does
		work()
	case "look":
		look()
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func recurse(n int) int {
	if n < 0 {
		return 0
	}
	return recurse(n+1) + n%2
}

// work does what programs do with files.
func work() {
	for _, step := range []error{
		os.Mkdir("/out/a", 0o700),
		os.WriteFile("/out/a/b.tmp", []byte("one"), 0o600),
		os.Rename("/out/a/b.tmp", "/out/a/b.txt"),
		os.WriteFile("/out/c.txt", []byte("two"), 0o600),
		os.Remove("/out/c.txt"),
		os.Mkdir("/out/d", 0o700),
		os.Remove("/out/d"),
	} {
		if step != nil {
			fail(step)
		}
	}
	file, err := os.OpenFile("/out/a/b.txt", os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		fail(err)
	}
	if _, err = file.WriteString(" more"); err != nil {
		fail(err)
	}
	if err = file.Truncate(6); err != nil {
		fail(err)
	}
	if err = file.Close(); err != nil {
		fail(err)
	}
	err = filepath.WalkDir("/", func(path string, entry os.DirEntry, err error) error {
		if err == nil {
			fmt.Println(path, entry.IsDir())
		}
		return err
	})
	if err != nil {
		fail(err)
	}
}

// look tries every call that takes a path on what is not its own.
func look() {
	for _, path := range []string{
		"/etc/passwd", "../etc/passwd", "/home/user/../../etc/passwd", "/out/../../../etc/passwd", "/proc/self/environ",
		"/home/user/secret.txt", "//etc/passwd", "/./etc/../etc/passwd", "/home/user/a.txt/../../../../etc/passwd",
	} {
		if _, err := os.ReadFile(path); err == nil {
			fmt.Println("it reads", path)
		}
		if _, err := os.Stat(path); err == nil {
			fmt.Println("it sees", path)
		}
		if _, err := os.ReadDir(filepath.Dir(path)); err == nil && strings.Contains(filepath.Dir(filepath.Clean(path)), "etc") {
			fmt.Println("it lists", path)
		}
		for what, err := range map[string]error{
			"writes":   os.WriteFile(path, nil, 0o600),
			"makes":    os.Mkdir(path+"x", 0o700),
			"removes":  os.Remove(path),
			"moves":    os.Rename(path, "/out/stolen"),
			"links":    os.Symlink(path, "/out/link"),
			"links to": os.Link(path, "/out/link"),
		} {
			if err == nil {
				fmt.Println("it", what, path)
			}
		}
	}
	for what, err := range map[string]error{
		"writes what it was given":     os.WriteFile("/home/user/a.txt", nil, 0o600),
		"moves what it was given":      os.Rename("/home/user/a.txt", "/out/a.txt"),
		"moves over what it was given": os.Rename("/out/x", "/home/user/a.txt"),
		"removes /out":                 os.Remove("/out"),
		"writes at the top":            os.WriteFile("/x", nil, 0o600),
	} {
		if err == nil {
			fmt.Println("it", what)
		}
	}
	fmt.Println(len(os.Environ()), time.Now().Year(), len(os.Args))
}
