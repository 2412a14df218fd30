package data

import (
	"path"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// sampleBytes and sampleRecords bound what the delimiter is guessed from.
	sampleBytes   = 64 << 10
	sampleRecords = 100
	// maxColumns bounds what is still a table: as many as a sheet of Excel has.
	maxColumns = 16_384
)

// CSV reads comma-separated values, and those that another character separates. The first record is the
// head. A content that is not of this kind is given as text.
func CSV(in *document.Input, out *document.Output) error {
	text, encoding, err := decode(in.Data)
	if err != nil {
		return err
	}
	out.Property("encoding", encoding)
	if separator, rest, ok := declared(text); ok {
		return readCSV(&parts{in: in, out: out}, newCSVParser(rest, separator))
	}
	separator, ok := sniff(text, path.Ext(in.Name))
	if !ok {
		out.Property("note", "the records are of different lengths, whatever separates them: given as text")
		return readLines(&parts{in: in, out: out}, text)
	}
	return readCSV(&parts{in: in, out: out}, newCSVParser(text, separator))
}

// declared reads the line by which Excel is told the separator.
func declared(text string) (separator byte, rest string, ok bool) {
	line, rest, _ := strings.Cut(text, "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) == 5 && strings.EqualFold(line[:4], "sep=") {
		return line[4], rest, true
	}
	return 0, "", false
}

// readCSV gives out a table.
func readCSV(p *parts, records *csvParser) error {
	head, _ := records.record()
	rows := grid[[]string]{parts: p, place: "rows", head: head, cells: func(row []string) []string { return row }}
	columns := len(head)
	for {
		row, ok := records.record()
		if !ok {
			break
		}
		columns = max(columns, len(row))
		if err := rows.add(row, len(row), size(row)); err != nil {
			return err
		}
	}
	p.out.Property("delimiter", separatorName(records.separator))
	p.out.Property("rows", strconv.Itoa(rows.count))
	p.out.Property("columns", strconv.Itoa(columns))
	if records.unclosed > 0 {
		p.out.Property("note", "a quote in record "+strconv.Itoa(records.unclosedAt)+" is never closed: taken as a character")
	}
	return rows.flush()
}

func size(row []string) int {
	sum := 0
	for _, field := range row {
		sum += len(field)
	}
	return sum
}

func separatorName(separator byte) string {
	switch separator {
	case '\t':
		return "tab"
	case ',':
		return "comma"
	case ';':
		return "semicolon"
	default:
		return string(rune(separator))
	}
}

// sniff guesses the separator: the one by which the most of the first records agree, and then the one that
// makes the most fields. A file of one column has commas. It fails where fewer than half of the records
// agree, or where they have more fields than a table has.
func sniff(text, ending string) (byte, bool) {
	sample := text[:min(len(text), sampleBytes)]
	if end := strings.LastIndexAny(sample, "\r\n"); len(sample) < len(text) && end > 0 {
		sample = sample[:end]
	}
	best, bestShare, bestFields := byte(','), 0, 1
	for _, separator := range []byte{',', ';', '\t', '|'} {
		fields, share := agreement(newCSVParser(sample, separator))
		if fields < 2 {
			continue
		}
		if separator == '\t' && (strings.EqualFold(ending, ".tsv") || strings.EqualFold(ending, ".tab")) {
			return separator, fields <= maxColumns
		}
		if share > bestShare || share == bestShare && fields > bestFields {
			best, bestShare, bestFields = separator, share, fields
		}
	}
	oneColumn := bestFields == 1
	return best, bestFields <= maxColumns && (oneColumn || bestShare >= 50)
}

// agreement returns how many fields the first records have, and how many percent of them agree on it: they
// have as many as the most have, or some fewer than the head, as where empty fields at the end are left out.
func agreement(records *csvParser) (fields, share int) {
	counts := make(map[int]int)
	head, of := 0, 0
	for ; of < sampleRecords; of++ {
		row, ok := records.record()
		if !ok {
			break
		}
		if of == 0 {
			head = len(row)
		}
		counts[len(row)]++
	}
	agree, within := 0, 0
	for n, count := range counts {
		if count > agree || count == agree && n > fields {
			fields, agree = n, count
		}
		if 1 < n && n <= head {
			within += count
		}
	}
	if within > agree {
		fields, agree = head, within
	}
	return fields, agree * 100 / max(of, 1)
}
