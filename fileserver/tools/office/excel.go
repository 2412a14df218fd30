package office

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// Excel reads a workbook. Its parts are 500 rows of a sheet each, whose locations are like "Sales!A1:D500";
// empty rows are left out, and columns that are empty in a part. A selection takes sheets by number or
// name, and areas like "Sales!B2:D20", "Sales!B:D" and "Sales!3:9".
//
// Cells are as the workbook shows them, but for dates and times, which are by ISO 8601. A cell with a formula
// is its value and then the formula, "42 (=SUM(A1:A3))", or the formula alone where the workbook holds no
// value. Where an area is asked for, a number that is shown rounded is followed by itself: "12% [0.1234]".
// Lines around the table tell the rest: fills and colours of text by colour, merged and hidden cells,
// comments, tables, charts and pictures. Formats by condition are not worked out.
func Excel(in *document.Input, out *document.Output) error {
	files, err := open(in, "xl/workbook.xml")
	if err != nil {
		return err
	}
	files.properties(out)
	book := workbook{files: files, in: in, out: out}
	if err := book.load(); err != nil {
		return err
	}
	out.Property("sheets", strconv.Itoa(len(book.sheets)))
	out.Property("defined names", strings.Join(book.names, "; "))
	for i, sheet := range book.sheets {
		if !in.Parts.Wants(i+1, sheet.name) {
			continue
		}
		err := book.read(i+1, sheet)
		if errors.Is(err, document.ErrFormat) {
			book.damage = append(book.damage, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(book.damage...)
}

// A workbook is what its sheets share.
type workbook struct {
	files    *archive
	in       *document.Input
	out      *document.Output
	sheets   []sheet
	names    []string // that its author defined, "Tax=Sheet1!$B$1"
	strings  []string
	styles   []cellStyle
	date1904 bool
	damage   []error // of files without which there is something to read
}

// A sheet is one of a workbook.
type sheet struct{ name, state, file, kind string }

// load reads what the sheets share. Only without its list of sheets is a workbook unreadable.
func (b *workbook) load() error {
	related, err := b.files.relations("xl/workbook.xml")
	if err != nil {
		return err
	}
	index := related.index()
	err = b.files.each("xl/workbook.xml", func(s *scanner, element string) error {
		switch element {
		case "workbookPr":
			b.date1904 = s.flag("date1904", false)
		case "sheets":
			return s.each(func(string) error {
				target := index[s.attr(":id")]
				b.sheets = append(b.sheets, sheet{name: s.attr("name"), state: s.attr("state"), file: target.target, kind: target.kind})
				return nil
			})
		case "definedNames":
			return s.each(func(string) error {
				name, hidden := s.attr("name"), s.flag("hidden", false)
				refers, err := s.content()
				if !hidden && !strings.HasPrefix(name, "_xlnm.") {
					b.names = append(b.names, name+"="+refers)
				}
				return err
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(b.sheets) == 0 {
		return document.Damaged("the workbook has no sheets")
	}
	b.damage = append(b.damage, b.loadStyles(related.first("styles"), related.first("theme")), b.loadStrings(related.first("sharedStrings")))
	return nil
}

// loadStrings reads the texts that cells refer to by number.
func (b *workbook) loadStrings(file string) error {
	return b.files.each(file, func(s *scanner, element string) error {
		if element != "si" {
			return nil
		}
		text, err := richText(s)
		b.strings = append(b.strings, text)
		return err
	})
}

// richText returns the text of the element that is open, without how it is pronounced.
func richText(s *scanner) (string, error) {
	var text strings.Builder
	err := s.each(func(element string) error {
		var part string
		var err error
		switch element {
		case "t":
			part, err = s.content()
		case "r":
			part, err = richText(s)
		}
		text.WriteString(part)
		return err
	})
	return unescapeCell(text.String()), err
}

// unescapeCell replaces the characters that XML cannot hold and a workbook writes like _x000D_.
func unescapeCell(text string) string {
	next := strings.Index(text, "_x")
	if next < 0 {
		return text
	}
	var made strings.Builder
	for next >= 0 {
		made.WriteString(text[:next])
		text = text[next:]
		if len(text) >= 7 && text[6] == '_' {
			if code, err := strconv.ParseUint(text[2:6], 16, 16); err == nil {
				made.WriteRune(rune(code))
				text = text[7:]
				next = strings.Index(text, "_x")
				continue
			}
		}
		made.WriteString(text[:2])
		text = text[2:]
		next = strings.Index(text, "_x")
	}
	return strings.ReplaceAll(made.String()+text, "\r\n", "\n")
}

// read gives out a sheet, or the areas of it that are wanted.
func (b *workbook) read(number int, one sheet) error {
	data, readErr := b.files.read(one.file)
	if data == nil && readErr == nil {
		readErr = document.Damaged("the file of the sheet %q is missing", one.name)
	}
	extra, extraErr := b.loadExtra(one, data)
	areas := b.in.Parts.Areas(number, one.name)
	if len(areas) == 0 {
		areas = []string{""}
	}
	var damage error
	for _, text := range areas {
		wanted, err := parseArea(text)
		if err != nil {
			return fmt.Errorf("%s!%s: %w", one.name, text, err)
		}
		page := page{book: b, sheet: one, extra: extra, wanted: wanted, whole: text == ""}
		err = page.read(data)
		if errors.Is(err, document.ErrFormat) {
			damage = fileError(one.file, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(readErr, damage, extraErr)
}
