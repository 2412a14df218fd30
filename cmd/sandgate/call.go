package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxArgumentBytes bounds the arguments of a call.
const maxArgumentBytes = 16 << 20

// callFlags are the flags of `sandgate call`.
type callFlags struct {
	at        place
	arguments string
	callID    string
	show      replyFlags
}

// replyFlags say how the reply of a call is shown.
type replyFlags struct {
	raw, events bool
	images      string
}

// add adds the flags to a command.
func (f *replyFlags) add(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.images, "images", "", "save pictures in this folder")
	set.BoolVar(&f.raw, "raw", false, "print the whole reply as JSON")
	set.BoolVar(&f.events, "events", false, "print each event as it happens, then the reply, as lines of JSON")
}

// check refuses what would print the reply twice.
func (f *replyFlags) check() error {
	if f.raw && f.events {
		return usagef("--raw and --events are two forms; name one")
	}
	return nil
}

// autoCallID is the --call-id that has one made.
const autoCallID = "auto"

// callCommand is `sandgate call`.
func (a *app) callCommand() *cobra.Command {
	var flags callFlags
	cmd := &cobra.Command{
		Use:     "call TOOL",
		Short:   "Call a tool as a model does, with JSON arguments",
		GroupID: groupUse,
		Args:    callArguments,
		Long: `Calls a tool and prints what a model would read. Without --session it works in a
temporary session that is deleted afterwards.

With --call-id the call runs at most once, however often this command is repeated with
the same arguments: the same call joins it while it runs and gets its result for 24 hours
after. It goes on when this command ends; where only the connection breaks, this command
follows it again by itself. See "sandgate calls".`,
		Example: `  sandgate call python_run --json '{"code": "6*7"}'
  sandgate call file_write --session $id --json '{"path": "a.txt", "text": "hello"}'
  sandgate call python_run --json @arguments.json --raw | jq .receipt
  sandgate call shell_run --session $id --call-id step-17 --json '{"command": "sleep 5; date"}'`,
	}
	cmd.RunE = interruptible(func(ctx context.Context, args []string) error {
		if err := errors.Join(flags.show.check(), flags.checkCallID(cmd.Flags().Changed("call-id"))); err != nil {
			return err
		}
		return a.call(ctx, args[0], &flags)
	})
	set := cmd.Flags()
	set.StringVar(&flags.arguments, "json", "{}", "the arguments as a JSON object, @FILE, or - for standard input")
	set.StringVar(&flags.at.session, "session", "", "the session to work in")
	set.StringVar(&flags.at.template, "template", "", "template of the temporary session: python or data")
	set.StringVar(&flags.callID, "call-id", "", "your name for this call, which then runs at most once; auto makes one")
	flags.show.add(cmd)
	return cmd
}

// callArguments are those of the command: the tool's own go elsewhere, and who forgot that is told.
func callArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 2 && strings.HasPrefix(args[1], "{") {
		return errors.New("the tool's arguments go behind --json")
	}
	return namedArguments(cmd, args)
}

// checkCallID looks at --call-id, and makes one where that is asked for.
func (f *callFlags) checkCallID(given bool) error {
	switch {
	case given && f.callID == "":
		return usagef("--call-id is empty: without a name the call could run twice")
	case given && f.at.session == "":
		return usagef("--call-id needs --session: a temporary session ends with this command, and the call with it")
	case f.callID == autoCallID:
		f.callID = "cli-" + strings.ToLower(rand.Text())
	}
	return nil
}

// call makes the call and prints its reply.
func (a *app) call(ctx context.Context, tool string, flags *callFlags) error {
	arguments, err := a.readArguments(ctx, "--json", flags.arguments)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	return a.within(ctx, c, flags.at, func(ctx context.Context, id string) error {
		request := &sandgatev1.CallToolRequest{SessionId: id, Name: tool, Arguments: arguments, CallId: flags.callID}
		reply, err := a.makeCall(ctx, c, request, flags.show.events)
		if err != nil {
			return a.refusedCall(ctx, c, tool, err)
		}
		return a.showReply(reply, flags.show)
	})
}

// makeCall makes a call, and follows it where it has a name or its events are wanted.
func (a *app) makeCall(ctx context.Context, c *client, request *sandgatev1.CallToolRequest, events bool) (*sandgatev1.CallToolResponse, error) {
	if request.GetCallId() == "" && !events {
		return c.tools.CallTool(ctx, request)
	}
	if request.GetCallId() != "" {
		a.notef("call_id %s", request.GetCallId())
	}
	follower := &callFollower{app: a, client: c, callID: request.GetCallId(), events: events}
	return follower.run(ctx, request)
}

// showReply prints what a call produced, and says by its error how it ended.
func (a *app) showReply(reply *sandgatev1.CallToolResponse, show replyFlags) (err error) {
	switch {
	case show.events: // the reply was the last of them
	case show.raw:
		err = a.printJSON(reply)
	default:
		err = a.printContent(reply.GetContent(), show.images)
	}
	if err != nil {
		return err
	}
	own := reply.GetResult().GetFields()["exit_code"].GetNumberValue()
	return exitWith(statusCode(reply.GetStatus(), int32(own)))
}

// refusedCall words for the command line why a call was not made: commands in the place of RPCs, and the
// tools that may have been meant in the place of all.
func (a *app) refusedCall(ctx context.Context, c *client, tool string, err error) error {
	describe := "`sandgate tools describe " + tool + "`"
	if errorReason(err) != "TOOL_NOT_FOUND" {
		return hintTo("Mend the named fields and call again.", "Mend the named arguments in --json; "+describe+" explains them.",
			hintTo("ListTools", describe, err))
	}
	reply, listErr := c.tools.ListTools(ctx, &sandgatev1.ListToolsRequest{})
	if listErr != nil {
		return err // which lists them, too
	}
	return noSuchTool(tool, reply.GetTools())
}

// hintTo puts what is said to whoever types commands in the place of what is said to callers of RPCs in an
// error's hint, such as a command in that of an RPC.
func hintTo(rpc, command string, err error) error {
	message, hint := explain(err)
	if !strings.Contains(hint, rpc) {
		return err
	}
	return hintError{err: retold{message, err}, hint: strings.ReplaceAll(hint, rpc, command)}
}

// readArguments reads the value of a flag that takes the arguments of a tool.
func (a *app) readArguments(ctx context.Context, flag, text string) (*structpb.Struct, error) {
	var source io.Reader = strings.NewReader(text)
	switch name, isFile := strings.CutPrefix(text, "@"); {
	case text == "-":
		source = a.input(ctx)
	case isFile:
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("%s: %w", flag, err)
		}
		defer func() { _ = f.Close() }() // only read from
		source = f
	}
	raw, err := io.ReadAll(io.LimitReader(source, maxArgumentBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the arguments: %w", err)
	}
	if len(raw) > maxArgumentBytes {
		return nil, usagef("%s: the arguments are larger than %d bytes", flag, maxArgumentBytes)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, usagef("%s must be a JSON object, and this is empty: the least is {}", flag)
	}
	arguments := &structpb.Struct{}
	if err := protojson.Unmarshal(raw, arguments); err != nil {
		return nil, usagef("%s must be a JSON object: %s", flag, protoReason(err))
	}
	return arguments, nil
}

// protoReason is an error of protojson without its prefix, whose white space varies on purpose.
func protoReason(err error) string {
	if strings.HasSuffix(err.Error(), io.ErrUnexpectedEOF.Error()) { // which it does not wrap
		return "this is not a whole one, it ends too early"
	}
	_, reason, found := strings.Cut(err.Error(), "(line ")
	if !found {
		return err.Error()
	}
	return "line " + strings.Replace(reason, "):", ":", 1)
}

// printContent prints what a model would read.
func (a *app) printContent(parts []*sandgatev1.Content, imageDir string) error {
	images := imageSaver{dir: imageDir}
	for _, part := range parts {
		if image := part.GetImage(); image != nil {
			text, err := images.save(image.GetMimeType(), image.GetData())
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(a.out, text); err != nil {
				return err
			}
			continue
		}
		text := part.GetText()
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if _, err := io.WriteString(a.out, text); err != nil {
			return err
		}
	}
	return nil
}
