package pyrunner

import (
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A ShellRenderer shows the events of one shell_run to a model in at most 64 KiB of text. It is
// used by one goroutine; its zero value is ready.
type ShellRenderer struct {
	stdout, stderr keeper
	result         *sandgatev1.ProcessResult
}

// NewShellRenderer returns a renderer for one call.
func NewShellRenderer() *ShellRenderer { return &ShellRenderer{} }

// Add takes the next event of the call, a *sandgatev1.ShellResponse. Others are ignored.
func (r *ShellRenderer) Add(message proto.Message) {
	response, ok := message.(*sandgatev1.ShellResponse)
	if !ok {
		return
	}
	switch event := response.GetEvent().(type) {
	case *sandgatev1.ShellResponse_Stdout:
		r.stdout.write(event.Stdout.GetData())
	case *sandgatev1.ShellResponse_Stderr:
		r.stderr.write(event.Stderr.GetData())
	case *sandgatev1.ShellResponse_Result:
		r.result = event.Result
	}
}

// Content returns the text.
func (r *ShellRenderer) Content() []*sandgatev1.Content {
	var p page
	parts := share(maxText-notesText, &r.stdout, &r.stderr)
	cutOut := p.stream("", &r.stdout, parts[0])
	cutErr := p.stream("stderr", &r.stderr, parts[1])
	p.cutNote("stdout", cutOut, r.result.GetStdout())
	p.cutNote("stderr", cutErr, r.result.GetStderr())
	r.ending(&p)
	if p.text.Len() == 0 {
		p.note("no output")
	}
	return p.content()
}

// ending adds how the command ended, where that is not plain.
func (r *ShellRenderer) ending(p *page) {
	if r.result == nil {
		return
	}
	status, note := r.result.GetStatus(), oneLine(r.result.GetNote())
	plain := status == sandgatev1.Status_STATUS_OK || status == sandgatev1.Status_STATUS_ERROR
	switch {
	case plain && note != "":
		p.note("%s", note)
	case !plain && note != "":
		p.note("%s: %s", statusWord(status), note)
	case !plain:
		p.note("%s", statusWord(status))
	}
	if signal := r.result.GetSignal(); signal != "" {
		p.note("ended by %s", oneLine(signal))
	}
	if code := r.result.GetExitCode(); code != 0 {
		p.note("exit code %d", code)
	}
}

// A RestartRenderer shows the reply of one python_restart to a model. It is used by one goroutine;
// its zero value is ready.
type RestartRenderer struct{ contextID string }

// NewRestartRenderer returns a renderer for one call.
func NewRestartRenderer() *RestartRenderer { return &RestartRenderer{} }

// Add takes the reply, a *sandgatev1.RestartContextResponse. Others are ignored.
func (r *RestartRenderer) Add(message proto.Message) {
	if response, ok := message.(*sandgatev1.RestartContextResponse); ok {
		r.contextID = response.GetContext().GetId()
	}
}

// Content returns one sentence.
func (r *RestartRenderer) Content() []*sandgatev1.Content {
	var p page
	p.section("", "The Python kernel `"+oneLine(contextName(r.contextID))+
		"` was restarted: variables, imports and running code are gone, files are still there.")
	return p.content()
}
