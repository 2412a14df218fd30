package pyrunner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	// maxImages and maxImageBytes bound the pictures that a model gets from one call.
	maxImages     = 16
	maxImageBytes = 8 << 20
)

// A RunRenderer shows the events of one python_run to a model: at most 64 KiB of text, and
// pictures. It is used by one goroutine; its zero value is ready.
type RunRenderer struct {
	stdout, stderr, shown, trace keeper

	images     []*sandgatev1.Content
	imageBytes int
	leftOut    int
	result     *sandgatev1.RunResult
}

// NewRunRenderer returns a renderer for one call.
func NewRunRenderer() *RunRenderer { return &RunRenderer{} }

// Add takes the next event of the call, a *sandgatev1.RunResponse. Others are ignored.
func (r *RunRenderer) Add(message proto.Message) {
	response, ok := message.(*sandgatev1.RunResponse)
	if !ok {
		return
	}
	switch event := response.GetEvent().(type) {
	case *sandgatev1.RunResponse_Stdout:
		r.stdout.write(event.Stdout.GetData())
	case *sandgatev1.RunResponse_Stderr:
		r.stderr.write(event.Stderr.GetData())
	case *sandgatev1.RunResponse_Display:
		r.display(event.Display)
	case *sandgatev1.RunResponse_Result:
		r.result = event.Result
		if e := event.Result.GetError(); e != nil {
			r.trace.line(errorText(e))
		}
	}
}

// Content returns the text, then the pictures.
func (r *RunRenderer) Content() []*sandgatev1.Content {
	var p page
	parts := share(maxText-notesText, &r.stdout, &r.stderr, &r.shown, &r.trace)
	cutOut := p.stream("", &r.stdout, parts[0])
	cutErr := p.stream("stderr", &r.stderr, parts[1])
	cutShown := p.stream("", &r.shown, parts[2])
	p.stream("", &r.trace, parts[3])
	p.cutNote("stdout", cutOut, r.result.GetStdout())
	p.cutNote("stderr", cutErr, r.result.GetStderr())
	if cutShown > 0 {
		p.note("%d bytes of what was displayed are not shown; display less at a time", cutShown)
	}
	if n := r.result.GetDroppedDisplays() + int64(r.leftOut); n > 0 {
		p.note("%d displays are not shown: too many or too large for one call", n)
	}
	r.ending(&p)
	if p.text.Len() == 0 && len(r.images) == 0 {
		p.note("no output")
	}
	return append(p.content(), r.images...)
}

// ending adds how the cell ended, where that is not plain.
func (r *RunRenderer) ending(p *page) {
	if r.result == nil {
		return
	}
	status, note := r.result.GetStatus(), oneLine(r.result.GetNote())
	switch {
	case status == sandgatev1.Status_STATUS_OK && note != "":
		p.note("%s", note)
	case status == sandgatev1.Status_STATUS_OK, status == sandgatev1.Status_STATUS_ERROR && note == "" && r.trace.total > 0:
	case note != "":
		p.note("%s: %s", statusWord(status), note)
	case r.result.GetExitCode() != 0:
		p.note("%s: exit code %d", statusWord(status), r.result.GetExitCode())
	default:
		p.note("%s", statusWord(status))
	}
	if r.result.GetStateLost() {
		p.note("state lost: variables and imports are gone, define again what you need")
	}
	if late := r.result.GetLateOutput(); len(late) > 0 {
		var k keeper
		k.write(late)
		p.stream("late output of earlier calls", &k, notesText/4)
	}
}

// display takes one thing shown: as a picture where there is one, else as the plainest text.
func (r *RunRenderer) display(d *sandgatev1.Display) {
	pictured := r.picture(d)
	text := d.GetText()
	if pictured && strings.HasPrefix(text, "<") {
		// Such as "<Figure size 640x480 with 1 Axes>", of which the picture says more.
		return
	}
	switch {
	case text != "":
	case d.GetMarkdown() != "":
		text = d.GetMarkdown()
	case d.GetLatex() != "":
		text = d.GetLatex()
	case pictured:
		return
	case d.GetJson() != nil:
		data, err := json.Marshal(d.GetJson().AsInterface())
		if err != nil {
			data = []byte("[JSON that cannot be shown]")
		}
		text = string(data)
	case d.GetTable() != nil:
		text = fmt.Sprintf("[a table of %d rows and %d columns; print it to see it]",
			d.GetTable().GetTotalRows(), len(d.GetTable().GetColumns()))
	case d.GetHtml() != "":
		text = fmt.Sprintf("[%d bytes of HTML; print it to see it]", len(d.GetHtml()))
	default:
		text = "[something that has no text form]"
	}
	r.shown.line(text)
}

// picture keeps the picture of a display and reports whether it has one.
func (r *RunRenderer) picture(d *sandgatev1.Display) bool {
	var mime string
	var data []byte
	switch {
	case bytes.HasPrefix(d.GetPng(), []byte("\x89PNG\r\n\x1a\n")):
		mime, data = "image/png", d.GetPng()
	case bytes.HasPrefix(d.GetJpeg(), []byte("\xff\xd8\xff")):
		mime, data = "image/jpeg", d.GetJpeg()
	case d.GetSvg() != "":
		mime, data = "image/svg+xml", []byte(d.GetSvg())
	default:
		return false
	}
	if len(r.images) >= maxImages || r.imageBytes+len(data) > maxImageBytes {
		r.leftOut++
		return true
	}
	r.imageBytes += len(data)
	r.images = append(r.images, &sandgatev1.Content{Part: &sandgatev1.Content_Image{
		Image: &sandgatev1.Image{MimeType: mime, Data: data},
	}})
	return true
}

// errorText is an exception as Python would print it.
func errorText(e *sandgatev1.PythonError) string {
	switch {
	case e.GetTraceback() != "":
		return e.GetTraceback()
	case e.GetValue() != "":
		return e.GetName() + ": " + e.GetValue()
	default:
		return e.GetName()
	}
}
