package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/fileserver/wasmtool"
)

const wasmLong = `Tools of your own are WASI programs (preview 1) in the folder that the setting wasm_tools
names: NAME.wasm with a manifest NAME.json, picked up while the gateway serves. A program
gets its arguments as JSON on stdin and writes its result to stdout; exit code 0 means
that it succeeded, and with any other what it wrote to stderr says why not.

It has no network, no environment, no file of the host's and no clock that tells the time.
Of a session it gets the files that a call names and the manifest allows, at their paths
below /home/user; what it writes below /out goes back below /home/user, where the manifest
allows that. docs/wasm-tools.md has the manifest's fields.`

// wasmCommand is `sandgate wasm`.
func (a *app) wasmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "wasm",
		Short:   "Try and check tools of your own, which are WASI programs",
		GroupID: groupRun,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long:    wasmLong,
		Example: `  GOOS=wasip1 GOARCH=wasm go build -o text_stats.wasm ./text_stats
  sandgate wasm run text_stats.wasm --arg '{"paths": ["a.txt"]}' --file README.md=a.txt
  sandgate wasm check /etc/sandgate/tools`,
	}
	cmd.AddCommand(a.wasmRun(), a.wasmCheck())
	return cmd
}

// wasmRunFlags are the flags of `sandgate wasm run`.
type wasmRunFlags struct {
	manifest, arguments, out string
	files                    []string
	raw                      bool
}

func (a *app) wasmRun() *cobra.Command {
	var flags wasmRunFlags
	cmd := &cobra.Command{
		Use:   "run FILE.wasm",
		Short: "Run one program as a tool, here and without a gateway",
		Args:  cobra.ExactArgs(1),
		Long: `Runs a program once under the walls and limits that a gateway would have it under, and
prints what a model would read. Without --manifest, FILE.json beside it is the manifest;
where that is not there, any arguments and no files are taken. The program gets no file
of yours but those that --file names, each by the path that it has for the program.
The exit code is the program's, 124 where it took too long, 137 at its limit of memory or
output, 3 where it could not be run.`,
		Example: `  sandgate wasm run text_stats.wasm --arg '{"paths": ["a.txt"]}' --file README.md=a.txt
  sandgate wasm run redact.wasm --arg @arguments.json --file app.log=app.log --out written`,
		RunE: interruptible(func(ctx context.Context, args []string) error { return a.runWasm(ctx, args[0], &flags) }),
	}
	set := cmd.Flags()
	set.StringVar(&flags.manifest, "manifest", "", "the tool's manifest (default FILE.json, if it is there)")
	set.StringVar(&flags.arguments, "arg", "{}", "the arguments as a JSON object, @FILE, or - for standard input")
	set.StringArrayVar(&flags.files, "file", nil, "HOST=GUEST: a file of yours, and its path for the program, absolute or below /home/user")
	set.StringVar(&flags.out, "out", "", "folder for what the program writes (default: it is not kept)")
	set.BoolVar(&flags.raw, "raw", false, "print the whole reply as JSON")
	return cmd
}

// runWasm runs a program once and prints what it produced.
func (a *app) runWasm(ctx context.Context, file string, flags *wasmRunFlags) error {
	arguments, err := a.readArguments(ctx, "--arg", flags.arguments)
	if err != nil {
		return err
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return localError(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".wasm")
	manifest, err := readManifest(file, flags.manifest)
	if err != nil {
		return localError(err)
	}
	if manifest == nil {
		a.notef("there is no manifest: any arguments are taken, and no files")
	}
	files, err := newLocalFiles(flags.files, flags.out)
	if err != nil {
		return err
	}
	once := &wasmtool.Once{Name: name, Manifest: manifest, Module: module, Files: files, Arguments: arguments}
	reply, err := once.Run(ctx)
	if err != nil {
		return hintTo("ListTools", "the manifest", err)
	}
	if len(files.unkept) > 0 {
		a.notef("not kept, as --out names no folder: %s", strings.Join(files.unkept, ", "))
	}
	return a.showReply(reply, replyFlags{raw: flags.raw})
}

// readManifest reads the manifest of a program, nil where none is named and none is beside it.
func readManifest(program, named string) ([]byte, error) {
	if named != "" {
		return os.ReadFile(named)
	}
	manifest, err := os.ReadFile(strings.TrimSuffix(program, ".wasm") + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return manifest, err
}

func (a *app) wasmCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FOLDER",
		Short: "Say what tools a folder holds, and what is wrong with the others",
		Args:  cobra.ExactArgs(1),
		Long: `Reads and compiles the tools of a folder as a gateway does that has it as wasm_tools, and
says of each that would not be offered why not. The exit code is 1 where there is one.`,
		Example: `  sandgate wasm check /etc/sandgate/tools`,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			reserved, err := toolNames()
			if err != nil {
				return err
			}
			good, bad, err := wasmtool.Check(ctx, args[0], reserved)
			if err != nil {
				return localError(err)
			}
			for _, tool := range good {
				if _, err := fmt.Fprintf(a.out, "ok    %s: %s\n", printable(tool.GetName()), printable(firstSentence(tool.GetDescription()))); err != nil {
					return err
				}
			}
			for _, problem := range bad {
				if _, err := fmt.Fprintf(a.out, "FAIL  %s: %s\n", printable(problem.Name), printable(problem.Err.Error())); err != nil {
					return err
				}
			}
			if len(bad) > 0 {
				return exitError{code: exitFailed}
			}
			return nil
		}),
	}
}
