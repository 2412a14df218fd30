package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// sessionCommand is `sandgate session`.
func (a *app) sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "session",
		Short:   "Make, look at and end sessions",
		GroupID: groupUse,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long: `A session is one sandbox with its Python state, its programs and its files. It ends
when it is deleted, when nobody has used it for its idle time, or at its hard end.
A deferred one has files only, until something runs in it.`,
		Example: `  id=$(sandgate session create --template data --memory 2GiB --idle 30m)
  sandgate session get $id
  sandgate session delete $id`,
	}
	cmd.AddCommand(a.sessionCreate(), a.sessionGet(), a.sessionList(), a.sessionExtend(), a.sessionRelease(), a.sessionDelete())
	return cmd
}

// needsSubcommand is the body of a command that does nothing by itself.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	return usageError{err: fmt.Errorf("%s needs a command behind it", cmd.CommandPath()), command: cmd.CommandPath()}
}

// sessionWish is what the flags of `session create` ask for, as text.
type sessionWish struct {
	template               string
	memory, cpu, workspace string
	processes, files       int32
	idle, lifetime         string
	labels                 map[string]string
	from                   string
	persist                bool
	deferred, asJSON       bool
}

func (a *app) sessionCreate() *cobra.Command {
	var wish sessionWish
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a session and print its id",
		Args:  noArguments,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			request, err := wish.request()
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.sessions.CreateSession(ctx, request)
			if err != nil {
				return inFlags(err)
			}
			if wish.asJSON {
				return a.printJSON(reply.GetSession())
			}
			_, err = fmt.Fprintln(a.out, printable(reply.GetSession().GetId()))
			return err
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&wish.template, "template", "", "python (default) or data: numpy, pandas and matplotlib ready")
	flags.StringVar(&wish.memory, "memory", "", "memory, files included, such as 2GiB")
	flags.StringVar(&wish.cpu, "cpu", "", "share of the processors in cores, such as 1.5")
	flags.StringVar(&wish.workspace, "workspace", "", "size of /home/user, such as 512MiB")
	flags.Int32Var(&wish.processes, "processes", 0, "processes and threads at once")
	flags.Int32Var(&wish.files, "files", 0, "files in /home/user")
	flags.StringVar(&wish.idle, "idle", "", "end it when unused for this long, such as 30m")
	flags.StringVar(&wish.lifetime, "lifetime", "", "end it after this long in any case, such as 8h")
	flags.StringToStringVar(&wish.labels, "label", nil, "a label of yours, as KEY=VALUE; may be repeated")
	flags.BoolVar(&wish.deferred, "deferred", false, "make its sandbox when something first runs in it; files need none")
	flags.StringVar(&wish.from, "from", "", "begin with the files of the saved workspace of this `NAME` (sandgate workspace list)")
	flags.BoolVar(&wish.persist, "persist", false, "save the files as that workspace again when the session ends, and from time to time; there need not be one yet")
	flags.BoolVar(&wish.asJSON, "json", false, "print the whole session as JSON")
	return cmd
}

// request reads the flags' values. Its errors are of usage.
func (w *sessionWish) request() (*sandgatev1.CreateSessionRequest, error) {
	limits := &sandgatev1.Limits{MaxProcesses: w.processes, WorkspaceFiles: w.files}
	request := &sandgatev1.CreateSessionRequest{Template: w.template, Metadata: w.labels, Limits: limits, Deferred: w.deferred, Workspace: w.from, Persist: w.persist}
	if w.persist && w.from == "" {
		return nil, usagef("--persist needs the name of a workspace: --from NAME")
	}
	for _, field := range []struct {
		flag, text string
		set        func(text string) error
	}{
		{"memory", w.memory, into(&limits.MemoryBytes, config.ParseSize)},
		{"workspace", w.workspace, into(&limits.WorkspaceBytes, config.ParseSize)},
		{"cpu", w.cpu, into(&limits.CpuMillis, config.ParseCores)},
		{"idle", w.idle, into(&request.IdleTimeout, parseDuration)},
		{"lifetime", w.lifetime, into(&request.MaxLifetime, parseDuration)},
	} {
		if field.text == "" {
			continue
		}
		if err := field.set(field.text); err != nil {
			return nil, usagef("--%s: %w", field.flag, err)
		}
	}
	return request, nil
}

// into returns a setter that parses text into a place.
func into[T any](at *T, parse func(string) (T, error)) func(string) error {
	return func(text string) (err error) {
		*at, err = parse(text)
		return err
	}
}

// parseDuration reads a length of time for the wire.
func parseDuration(text string) (*durationpb.Duration, error) {
	d, err := config.ParseSpan(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q must be longer than nothing", text)
	}
	return durationpb.New(d), err
}

func (a *app) sessionGet() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Describe a session",
		Args:  namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.sessions.GetSession(ctx, &sandgatev1.GetSessionRequest{SessionId: args[0]})
			if err != nil {
				return aboutSession(args[0], err)
			}
			if asJSON {
				return a.printJSON(reply.GetSession())
			}
			return table(a.out, describeSession(reply.GetSession()))
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// describeSession is a session as two columns.
func describeSession(s *sandgatev1.Session) [][]string {
	limits := s.GetLimits()
	rows := [][]string{
		{"id", s.GetId()},
		{"state", stateName(s.GetState())},
		{"template", s.GetTemplate()},
		{"runtime", s.GetRuntime()},
		{"memory", config.FormatSize(limits.GetMemoryBytes())},
		{"cpu", cores(limits.GetCpuMillis())},
		{"processes", fmt.Sprint(limits.GetMaxProcesses())},
		{"workspace", fmt.Sprintf("%s, %d files", config.FormatSize(limits.GetWorkspaceBytes()), limits.GetWorkspaceFiles())},
		{"created", moment(s.GetCreatedAt())},
		{"ends if unused", unusedUntil(s)},
		{"ends", moment(s.GetHardExpiresAt())},
	}
	if s.GetDeferred() {
		has := "none yet: it is made when something runs"
		if s.GetHasSandbox() {
			has = "running"
		}
		rows = append(rows, []string{"sandbox", has})
	}
	if s.GetWorkspace() != "" {
		rows = append(rows, []string{"saved as", s.GetWorkspace()})
	}
	if s.GetSavedAt() != nil {
		rows = append(rows, []string{"saved", moment(s.GetSavedAt())})
	}
	if s.GetLostReason() != "" {
		rows = append(rows, []string{"lost because", s.GetLostReason()})
	}
	for key, value := range s.GetMetadata() {
		rows = append(rows, []string{"label " + key, value})
	}
	return rows
}

// moment is a point in time as people and programs read it, in the zone of this host.
func moment(at *timestamppb.Timestamp) string { return at.AsTime().Local().Format(time.RFC3339) }

// unusedUntil is when a session ends if nobody uses it: its hard end may come first.
func unusedUntil(s *sandgatev1.Session) string {
	if s.GetHardExpiresAt() != nil && s.GetHardExpiresAt().AsTime().Before(s.GetIdleExpiresAt().AsTime()) {
		return moment(s.GetHardExpiresAt())
	}
	return moment(s.GetIdleExpiresAt())
}

// cores is a share of the processors in words.
func cores(millis int32) string {
	if millis == 1000 {
		return "1 core"
	}
	return fmt.Sprintf("%g cores", float64(millis)/1000)
}

// stateName is a session's state as people write it.
func stateName(state sandgatev1.SessionState) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "SESSION_STATE_"))
}
