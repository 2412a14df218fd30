package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/gateway/audit"
)

// maxAuditTail bounds what `sandgate audit tail` holds at once, in lines.
const maxAuditTail = 100_000

// auditCommand is `sandgate audit`.
func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Verify and read the record of who did what",
		GroupID: groupRun,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long: `A gateway writes down sessions, calls, refusals and changes of keys in the folder audit
of its state folder: one line of JSON each, with the hash of the line before. These
commands read it, whether the gateway runs or not; --dir names a copy.

` + configLong,
		Example: `  sandgate audit tail -f
  sandgate audit verify
  sandgate audit verify --sequence 1042 --head 5d0c…`,
	}
	cmd.AddCommand(a.auditVerify(), a.auditTail())
	return cmd
}

// auditDir adds the flags that say where the log is.
func (a *app) auditDir(cmd *cobra.Command) func() (string, error) {
	var dir string
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the log (default that of the settings)")
	settings := addSettings(cmd.Flags())
	return func() (string, error) {
		if dir != "" {
			return dir, nil
		}
		loaded, err := settings.load(a)
		if err != nil {
			return "", err
		}
		return filepath.Join(loaded.Config.StateDir, auditFolder), nil
	}
}

func (a *app) auditVerify() *cobra.Command {
	var anchor audit.Anchor
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Tell whether a line was changed, removed, added or moved",
		Args:  noArguments,
		Long: `Follows the hashes from the oldest record to the newest. Exits with 1 at the first break,
and says where it is.

Hashes alone cannot tell that the newest records were removed or written anew by
somebody who may write to the folder. So keep sequence and head that this command
prints, or those that the gateway logs when it starts and stops, somewhere else, and
give them back by --sequence and --head.`,
		Example: `  sandgate audit verify
  sandgate audit verify --sequence 1042 --head 5d0c… --dir /backup/audit`,
	}
	cmd.Flags().Uint64Var(&anchor.Sequence, "sequence", 0, "number of a record that was noted")
	cmd.Flags().StringVar(&anchor.Hash, "head", "", "its hash")
	dir := a.auditDir(cmd)
	cmd.RunE = interruptible(func(ctx context.Context, _ []string) error {
		noted, err := checkAnchor(&anchor)
		if err != nil {
			return err
		}
		folder, err := dir()
		if err != nil {
			return err
		}
		report, err := audit.Verify(ctx, folder, noted)
		if broken, ok := errors.AsType[*audit.Break](err); ok {
			return exitError{code: exitFailed, err: fmt.Errorf("the audit log is broken: %w", broken)}
		}
		if err != nil {
			return whereAudit(err)
		}
		_, err = fmt.Fprintf(a.out, "%d records, %d segments, %d…%d, head %s\n",
			report.Records, report.Segments, report.First, report.Last, report.Head)
		return err
	})
	return cmd
}

// checkAnchor returns the anchor that was given, nil for none.
func checkAnchor(anchor *audit.Anchor) (*audit.Anchor, error) {
	if anchor.Sequence == 0 && anchor.Hash == "" {
		return nil, nil //nolint:nilnil // there is none, and nothing is wrong
	}
	raw, err := hex.DecodeString(anchor.Hash)
	if anchor.Sequence == 0 || err != nil || len(raw) != 32 {
		return nil, usagef("--sequence and --head go together: the number of a record, and its hash of 64 hex digits")
	}
	return &audit.Anchor{Sequence: anchor.Sequence, Hash: strings.ToLower(anchor.Hash)}, nil
}

func (a *app) auditTail() *cobra.Command {
	var n int
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show the newest records",
		Args:  noArguments,
		Long:  `Shows records without verifying them; "sandgate audit verify" does that.`,
		Example: `  sandgate audit tail -n 100
  sandgate audit tail -f --json | jq 'select(.event == "refused")'`,
	}
	cmd.Flags().IntVarP(&n, "lines", "n", 20, "how many")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the lines as they are")
	dir := a.auditDir(cmd)
	cmd.RunE = interruptible(func(ctx context.Context, _ []string) error {
		if n < 0 || n > maxAuditTail {
			return usagef("--lines %d is not from 0 to %d", n, maxAuditTail)
		}
		folder, err := dir()
		if err != nil {
			return err
		}
		return whereAudit(audit.Tail(ctx, folder, n, follow, func(line []byte) error {
			text := string(line)
			if !asJSON {
				text = describeRecord(line)
			}
			_, err := fmt.Fprintln(a.out, printable(text))
			return err
		}))
	})
	return cmd
}

// whereAudit says what to do where there is no audit log. Other errors stay.
func whereAudit(err error) error {
	if !errors.Is(err, audit.ErrNone) {
		return err
	}
	return hintError{err: err, hint: "a gateway begins one when it starts, unless it is set to audit: off; name its state folder by " + stateDirNames +
		", or a copy of the log by --dir"}
}

// describeRecord shows a line of the log to people.
func describeRecord(line []byte) string {
	record, err := audit.ParseRecord(line)
	if err != nil {
		return "? " + err.Error() + ": " + strconv.Quote(string(line[:min(len(line), 200)]))
	}
	text := []string{record.Time, strconv.FormatUint(record.Sequence, 10), string(record.Kind)}
	for _, field := range []struct{ name, value string }{
		{"code", record.Code},
		{"status", record.Status},
		{"reason", record.Reason},
		{"count", number(record.Count)},
		{"tenant", record.Tenant},
		{"key", record.Key},
		{"from", record.From},
		{"session", record.Session},
		{"tool", record.Tool},
		{"procedure", record.Procedure},
		{"call_id", record.CallID},
		{"request", record.Request},
		{"bytes", number(record.Bytes)},
		{"sha256", record.SHA256},
		{"detail", record.Detail},
	} {
		if field.value != "" {
			text = append(text, field.name+"="+quoted(field.value))
		}
	}
	return strings.Join(text, " ")
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// quoted returns a value in quotes if it would run into the next one, or hold what a terminal obeys.
func quoted(value string) string {
	if q := strconv.Quote(value); strings.ContainsAny(value, " =") || q != `"`+value+`"` {
		return q
	}
	return value
}
