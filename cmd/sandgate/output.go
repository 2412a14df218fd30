package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// printJSON writes a message as indented JSON. protojson varies its white space on purpose, so it
// is laid out again.
func (a *app) printJSON(message proto.Message) error {
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return fmt.Errorf("write the reply as JSON: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return fmt.Errorf("lay out JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err = a.out.Write(out.Bytes())
	return err
}

// printJSONLine writes a message as one line of JSON.
func (a *app) printJSONLine(message proto.Message) error {
	raw, err := protojson.Marshal(message)
	if err != nil {
		return fmt.Errorf("write a message as JSON: %w", err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return fmt.Errorf("lay out JSON: %w", err)
	}
	line.WriteByte('\n')
	_, err = a.out.Write(line.Bytes())
	return err
}

// table writes rows in columns, the first of them being the heading. No cell can make a line or a
// column of its own.
func table(w io.Writer, rows [][]string) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				_, _ = io.WriteString(columns, "\t") // errors come back from Flush
			}
			_, _ = io.WriteString(columns, strings.Map(inCell, printable(cell)))
		}
		_, _ = io.WriteString(columns, "\n")
	}
	return columns.Flush()
}

// inCell replaces what would end a cell or a line.
func inCell(r rune) rune {
	if r == '\n' || r == '\t' {
		return ' '
	}
	return r
}

// notef writes a line to standard error that begins with the program's name.
func (a *app) notef(format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	_, _ = fmt.Fprintln(a.err, a.paint(a.err, "2", "sandgate: "+text)) // nowhere else to report to
}
