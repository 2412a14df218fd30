package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// processes is the fake's ProcessService. A command says what it is, and one that was started first
// gives back its input.
type processes struct {
	*fakeGateway
	inputs map[string]chan []byte // by process; guarded by mu
}

func (p *processes) Shell(_ context.Context, req *sandgatev1.ShellRequest, stream *connect.ServerStream[sandgatev1.ShellResponse]) error {
	if err := stream.Send(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Stdout{Stdout: ran("ran", req.GetCommand())}}); err != nil {
		return err
	}
	result := resultOf(req.GetCommand())
	result.Stdout = p.keptStream(req.GetSessionId(), req.GetCommand(), "ran "+req.GetCommand()+"\n")
	return stream.Send(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Result{Result: result}})
}

// keptStream is the account of a stream of which some was returned. With "long", and with "cut", a line
// more was written: it is in the file, or only half of it. "gone" is long without a file.
func (f *fakeGateway) keptStream(session, work, returned string) *sandgatev1.StreamSummary {
	const rest = "the rest\n"
	word, _, _ := strings.Cut(work, " ")
	kept := map[string]string{"long": rest, "cut": rest[:4], "gone": rest}[word]
	if kept == "" {
		return &sandgatev1.StreamSummary{TotalBytes: int64(len(returned))}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if word != "gone" {
		f.files[f.key(session, "kept")] = []byte(returned + kept)
	}
	return &sandgatev1.StreamSummary{
		TotalBytes: int64(len(returned + rest)), DroppedBytes: int64(len(rest)),
		File: "/home/user/kept", FileBytes: int64(len(returned + kept)),
	}
}

func ran(how, command string) *sandgatev1.Output {
	return &sandgatev1.Output{Data: fmt.Appendf(nil, "%s %s\n", how, command)}
}

// resultOf is how a command ends: well, unless it is an exit.
func resultOf(command string) *sandgatev1.ProcessResult {
	if _, code, found := strings.Cut(command, "exit "); found {
		n, _ := strconv.Atoi(code)
		return &sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_ERROR, ExitCode: int32(n)}
	}
	return &sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_OK}
}

func (p *processes) Start(ctx context.Context, req *sandgatev1.StartRequest, stream *connect.ServerStream[sandgatev1.StartResponse]) error {
	p.mu.Lock()
	id, input := fmt.Sprintf("p%d", len(p.inputs)+1), make(chan []byte)
	p.inputs[id] = input
	p.mu.Unlock()
	send := func(event *sandgatev1.ProcessEvent) error {
		return stream.Send(&sandgatev1.StartResponse{Event: event})
	}
	err := send(&sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Started{Started: &sandgatev1.ProcessStarted{ProcessId: id}}})
	var offset int64
	write := func(output *sandgatev1.Output) error {
		output.Offset = offset
		offset += int64(len(output.GetData()))
		return send(&sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Stdout{Stdout: output}})
	}
	for open := true; open && err == nil; {
		var data []byte
		select {
		case <-ctx.Done():
			return ctx.Err()
		case data, open = <-input:
		}
		if open {
			err = write(&sandgatev1.Output{Data: data})
		}
	}
	command := strings.Join(req.GetArgs(), " ")
	if err == nil {
		err = write(ran("started", command))
	}
	if err != nil {
		return err
	}
	result := resultOf(command)
	result.Stdout = &sandgatev1.StreamSummary{TotalBytes: offset}
	if strings.Contains(command, "lossy") {
		result.Stdout.TotalBytes += 5 // which no event carried
	}
	return send(&sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Ended{Ended: result}})
}

func (p *processes) input(id string) chan []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inputs[id]
}

func (p *processes) SendInput(ctx context.Context, req *sandgatev1.SendInputRequest) (*sandgatev1.SendInputResponse, error) {
	select {
	case <-ctx.Done():
	case p.input(req.GetProcessId()) <- req.GetData():
	}
	return &sandgatev1.SendInputResponse{}, ctx.Err()
}

func (p *processes) CloseStdin(_ context.Context, req *sandgatev1.CloseStdinRequest) (*sandgatev1.CloseStdinResponse, error) {
	close(p.input(req.GetProcessId()))
	return &sandgatev1.CloseStdinResponse{}, nil
}
