package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
)

// row is one measured figure, as bench/out.json holds it. Floor, ratio and budget are null where the
// design names none.
type row struct {
	ID      string   `json:"id"`
	What    string   `json:"what"`
	Runtime string   `json:"runtime"`
	Unit    string   `json:"unit"`
	Value   float64  `json:"value"`
	Floor   *float64 `json:"floor"`
	Ratio   *float64 `json:"ratio"` // value / floor
	Budget  *float64 `json:"budget"`
	Met     bool     `json:"met"`
}

// against notes the floor that was measured in the same run.
func (r row) against(floor float64) row {
	r.Floor = &floor
	if floor != 0 {
		ratio := r.Value / floor
		r.Ratio = &ratio
	}
	return r
}

// atMost judges a figure of which less is better.
func (r row) atMost(budget float64) row {
	r.Budget, r.Met = &budget, r.Value <= budget
	return r
}

// atLeast judges a figure of which more is better.
func (r row) atLeast(budget float64) row {
	r.Budget, r.Met = &budget, r.Value >= budget
	return r
}

const tableLine = "%-6s %-52s %-6s %16s %12s %7s %14s  %s\n"

// report prints rows as they come and keeps them.
type report struct {
	out  io.Writer
	rows []row
}

// newReport prints the table's head.
func newReport(out io.Writer) *report {
	_, _ = fmt.Fprintf(out, tableLine, "ID", "WHAT", "ON", "VALUE", "FLOOR", "RATIO", "BUDGET", "MET")
	return &report{out: out}
}

// add prints and keeps rows.
func (p *report) add(rows ...row) {
	for _, r := range rows {
		p.rows = append(p.rows, r)
		met := "NO"
		if r.Met {
			met = "yes"
		}
		_, _ = fmt.Fprintf(p.out, tableLine, r.ID, r.What, r.Runtime,
			figure(&r.Value)+" "+r.Unit, figure(r.Floor), figure(r.Ratio), figure(r.Budget), met)
	}
}

// write saves all rows, or nothing.
func (p *report) write(path string) error {
	rows := p.rows
	if rows == nil {
		rows = []row{} // a list, never null
	}
	content, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	partial := path + ".new"
	if err := os.WriteFile(partial, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// figure writes a number with as many decimals as it needs to be compared.
func figure(value *float64) string {
	if value == nil {
		return "-"
	}
	decimals := 0
	switch magnitude := max(*value, -*value); {
	case magnitude < 10:
		decimals = 3
	case magnitude < 100:
		decimals = 2
	case magnitude < 1000:
		decimals = 1
	}
	return strconv.FormatFloat(*value, 'f', decimals, 64)
}
