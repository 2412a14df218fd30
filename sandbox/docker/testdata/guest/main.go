// The test's own guest: it answers on the real channel and does what a test asks, as root or as the user.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

type request struct {
	Argv  []string `json:"argv"`
	Root  bool     `json:"root"`
	Stdin string   `json:"stdin"`
}

type reply struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	Code   int    `json:"code"`
}

type stdio struct{}

func (stdio) Read(p []byte) (int, error)  { return os.Stdin.Read(p) }
func (stdio) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (stdio) Close() error                { return os.Stdin.Close() }

func main() {
	uid := flag.Int("uid", 0, "")
	template := flag.String("template", "", "")
	flag.Int64("memory", 0, "")
	_ = flag.Int64("files", 0, "")
	_ = flag.Int("spares", 0, "")
	orphan := flag.Duration("orphan-timeout", time.Minute, "")
	flag.Parse()
	switch *template {
	case "hang":
		time.Sleep(time.Hour)
	case "crash":
		fmt.Fprintln(os.Stderr, "the zygote\x1b[31m would not start")
		os.Exit(9)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(os.Stderr, "asked to exit")
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		os.Exit(code)
	})
	mux.HandleFunc("/eat", func(http.ResponseWriter, *http.Request) {
		var eaten [][]byte
		for {
			eaten = append(eaten, bytes.Repeat([]byte{1}, 8<<20))
		}
	})
	mux.HandleFunc("/noise", func(_ http.ResponseWriter, r *http.Request) {
		line := strings.Repeat("x", 1023) + "\n"
		for range 4096 {
			fmt.Fprint(os.Stderr, line)
		}
	})
	mux.HandleFunc("/exec", func(w http.ResponseWriter, r *http.Request) {
		var asked request
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(run(r.Context(), asked, *uid))
	})
	err := channel.Serve(context.Background(), stdio{}, mux, channel.ServerOptions{OrphanTimeout: *orphan})
	fmt.Fprintln(os.Stderr, "guest ends:", err)
	os.Exit(3)
}

func run(ctx context.Context, asked request, uid int) reply {
	cmd := exec.CommandContext(ctx, asked.Argv[0], asked.Argv[1:]...)
	cmd.Stdin = strings.NewReader(asked.Stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = "/home/user"
	if asked.Root {
		cmd.Dir = "/"
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(&errs, err)
	}
	return reply{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
}
