package gateway

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A Renderer turns what one call of a tool produced into content for a model. The gateway makes one
// for each call and uses it from one goroutine. It must bound what it keeps.
type Renderer interface {
	// Add takes the next message of the call: every event of a streaming RPC, its final one
	// included, or the one reply of a unary RPC. The message must not be changed.
	Add(message proto.Message)
	// Content returns what the model should read. It is called once, after the last Add.
	Content() []*sandgatev1.Content
}

// jsonRenderer shows the reply as JSON. It serves the tools that bring no renderer.
type jsonRenderer struct{ last proto.Message }

func (j *jsonRenderer) Add(message proto.Message) { j.last = message }

func (j *jsonRenderer) Content() []*sandgatev1.Content {
	if j.last == nil {
		return nil
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(j.last)
	if err != nil {
		// Only invalid UTF-8 gets here, and a message that came over the wire holds none.
		text = []byte("{}")
	}
	return []*sandgatev1.Content{{Part: &sandgatev1.Content_Text{Text: string(text)}}}
}
