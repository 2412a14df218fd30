// The program hostile does what its input says: the tests' stand-in for what programs do that were taken
// over by what they read.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch what {
	case "echo":
		fmt.Print(rest)
	case "loop":
		for {
		}
	case "memory":
		var held [][]byte
		for {
			held = append(held, make([]byte, 16<<20))
			held[len(held)-1][0] = 1
		}
	case "flood":
		for {
			fmt.Println(strings.Repeat("x", 4096))
		}
	case "stderr":
		for range 1000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("e", 100))
		}
		os.Exit(3)
	case "panic":
		panic(rest)
	case "recurse":
		fmt.Print(recurse(0))
	case "sleep":
		time.Sleep(time.Hour)
	case "wait":
		_, _ = io.ReadAll(os.Stdin)
		_, _ = os.Stdin.Read(make([]byte, 1))
	case "look":
		look()
	}
}

func recurse(n int) int {
	if n < 0 {
		return 0
	}
	return recurse(n+1) + n%2
}

// look tries what there is besides stdin and stdout.
func look() {
	for _, path := range []string{"/", ".", "..", "/etc/passwd", "../../../../etc/passwd", "/proc/self/environ", "/dev/null"} {
		_, err := os.ReadFile(path)
		if _, listErr := os.ReadDir(path); err == nil || listErr == nil {
			fmt.Println("it reads", path)
		}
		if os.WriteFile(path+"/x", nil, 0o600) == nil {
			fmt.Println("it writes", path)
		}
	}
	if _, err := net.DialTimeout("tcp", "127.0.0.1:22", time.Second); err == nil {
		fmt.Println("it connects")
	}
	fmt.Println(len(os.Environ()), time.Now().Year(), len(os.Args))
}
