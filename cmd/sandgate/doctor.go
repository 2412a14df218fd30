package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/sandbox/docker"
)

// doctorCommand is `sandgate doctor`.
func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Say whether this host is fit to serve, and what to do",
		GroupID: groupRun,
		Args:    noArguments,
		Long: `Looks at the engine, its runtimes, the kernel's walls, the sandbox image and the disk,
and says for each what it means and what to do. It changes nothing. The exit code is 1
where "sandgate serve" would refuse the host; the database, the state folder and the port
are tried by serve alone.`,
		Example: `  sandgate doctor
  sandgate doctor --json | jq '.findings[] | select(.state != "ok")'`,
	}
	settings := addSettings(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.RunE = interruptible(func(ctx context.Context, _ []string) error {
		loaded, err := settings.load(a)
		if err != nil {
			return err
		}
		report, err := inspectHost(ctx, &loaded.Config)
		if err != nil {
			return err
		}
		for _, found := range append(wasmToolFindings(ctx, loaded.Config.WasmTools), libraryFindings(loaded.Config.Libraries)...) {
			report.Findings = append(report.Findings, found)
			report.Serve = report.Serve && found.State != docker.StateFail
		}
		if asJSON {
			encoder := json.NewEncoder(a.out)
			encoder.SetIndent("", "  ")
			err = encoder.Encode(report)
		} else {
			err = a.printReport(report, loaded.Config.Runtime)
		}
		if err == nil && !report.Serve {
			err = exitError{code: exitFailed}
		}
		return err
	})
	return cmd
}

// printReport prints the findings as a list: a table's columns would be wider than any terminal.
func (a *app) printReport(report *hostReport, asked string) error {
	var out strings.Builder
	width := 0
	for _, f := range report.Findings {
		width = max(width, len(f.Title))
	}
	for _, f := range report.Findings {
		fmt.Fprintf(&out, "%s  %-*s  %s\n", a.verdict(f.State), width, printable(f.Title), printable(f.Value))
		if f.State == docker.StateOK {
			continue
		}
		fmt.Fprintf(&out, "      %-*s  means: %s\n", width, "", printable(f.Meaning))
		if f.Remedy != "" {
			fmt.Fprintf(&out, "      %-*s  to do: %s\n", width, "", printable(f.Remedy))
		}
	}
	out.WriteByte('\n')
	if err := report.refusal(asked); err != nil {
		fmt.Fprintf(&out, "Sandgate would refuse to serve here.\n")
		if report.Runtime == "" && len(report.blocking()) == 0 {
			fmt.Fprintf(&out, "%s\n", printable(err.Error()))
		}
	} else {
		fmt.Fprintf(&out, "Sandgate may serve here; sandboxes run on %s.\n", report.Runtime)
	}
	_, err := a.out.Write([]byte(out.String()))
	return err
}

// verdict is a finding's state in four letters.
func (a *app) verdict(state docker.State) string {
	switch state {
	case docker.StateOK:
		return a.paint(a.out, "32", "ok  ")
	case docker.StateWarn:
		return a.paint(a.out, "33", "warn")
	default:
		return a.paint(a.out, "31", "FAIL")
	}
}
