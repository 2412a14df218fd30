package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudgement(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		got   row
		met   bool
		ratio float64
	}{
		"less is better, within":      {row{Value: 3}.against(2).atMost(4), true, 1.5},
		"less is better, on the line": {row{Value: 4}.against(2).atMost(4), true, 2},
		"less is better, beyond":      {row{Value: 5}.against(2).atMost(4), false, 2.5},
		"more is better, enough":      {row{Value: 3}.against(4).atLeast(2), true, 0.75},
		"more is better, too little":  {row{Value: 1}.against(4).atLeast(2), false, 0.25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.got.Met != test.met || *test.got.Ratio != test.ratio {
				t.Errorf("met %v, ratio %v; want %v, %v", test.got.Met, *test.got.Ratio, test.met, test.ratio)
			}
		})
	}
	if r := (row{Value: 1}).against(0); r.Ratio != nil {
		t.Errorf("a floor of zero has the ratio %v, which JSON could not carry", *r.Ratio)
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]float64{
		"0.000": 0, "0.305": 0.3049, "9.990": 9.99, "12.35": 12.345678, "-12.35": -12.345678, "123.5": 123.456, "5500": 5499.6,
	} {
		if got := figure(&value); got != want {
			t.Errorf("figure(%v) = %q, want %q", value, got, want)
		}
	}
	if got := figure(nil); got != "-" {
		t.Errorf("no figure is %q", got)
	}
}

func TestReportPrints(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report := newReport(&out)
	report.add(
		row{ID: "B1", What: "a call", Runtime: "runc", Unit: "ms", Value: 0.5}.against(0.3).atMost(0.6),
		row{ID: "B3", What: "create", Runtime: "runsc", Unit: "ms", Value: 5}.atMost(3),
	)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("printed %q", out.String())
	}
	for i, want := range []string{
		"ID WHAT ON VALUE FLOOR RATIO BUDGET MET",
		"B1 a call runc 0.500 ms 0.300 1.667 0.600 yes",
		"B3 create runsc 5.000 ms - - 3.000 NO",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
	if met := strings.Index(lines[0], "MET"); met < 0 || strings.Index(lines[1], "yes") != met || strings.Index(lines[2], "NO") != met {
		t.Errorf("the columns are not in line:\n%s", out.String())
	}
}

func TestReportWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.json")
	report := newReport(&strings.Builder{})
	if err := report.write(path); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "[]\n" {
		t.Errorf("an empty report is %q, %v", content, err)
	}
	report.add(row{ID: "B3", What: "create", Runtime: "runc", Unit: "ms", Value: 2}.atMost(3))
	if err := report.write(path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(content, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("wrote %s, %v", content, err)
	}
	for _, key := range []string{"id", "what", "runtime", "unit", "value", "floor", "ratio", "budget", "met"} {
		if _, ok := rows[0][key]; !ok {
			t.Errorf("there is no %q in %s", key, content)
		}
	}
	if len(rows[0]) != 9 || rows[0]["floor"] != nil || rows[0]["met"] != true {
		t.Errorf("wrote %s", content)
	}
}
