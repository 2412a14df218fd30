// The program reader reads documents of every format that Sandgate reads but PDF. It is built for WASI
// (GOOS=wasip1) and run by the gateway, one fresh instance a document: a request as one line of JSON and then
// the document come in, one reply as JSON goes out. It unpacks archives, too: where the request asks for it, what
// is in one goes out as package archive frames it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/sandgate/sandgate/fileserver/tools/archive"
	"github.com/sandgate/sandgate/fileserver/tools/document"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run reads one document. A document that cannot be read is no error of the program: the reply says so.
func run(stdin io.Reader, stdout io.Writer) error {
	from := bufio.NewReader(stdin)
	line, err := from.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var request struct {
		document.Request

		Unpack *archive.Request `json:"unpack"`
	}
	if err := json.Unmarshal(line, &request); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	data := make([]byte, max(request.Size, 0)) // which is bounded by the memory there is
	if _, err := io.ReadFull(from, data); err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	if request.Unpack != nil {
		return archive.Write(*request.Unpack, data, stdout)
	}
	out := document.NewOutput(request.Request)
	parts, err := document.ParseSelection(request.Parts)
	if err != nil {
		return out.Write(stdout, request.Format, err)
	}
	format, read, err := find(request.Format, request.Name, data)
	if err == nil {
		err = read(&document.Input{Name: request.Name, Data: data, Parts: parts}, out)
	}
	return out.Write(stdout, format, err)
}
