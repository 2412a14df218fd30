package data

import (
	"encoding/binary"
	"math"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxTreeDepth bounds b-trees. SQLite itself makes none that is deeper than 20.
const maxTreeDepth = 20

// A sqliteFile is a database file, as https://www.sqlite.org/fileformat2.html describes it.
type sqliteFile struct {
	data     []byte
	pageSize int
	usable   int    // bytes of a page
	encoding uint32 // 1 for UTF-8, 2 for UTF-16 with the low byte first, 3 with the high byte first
	wal      bool   // changes may be in a file beside it
	seen     []bool // pages of b-trees that were read; a sound file has each in one tree only
	payload  int    // bytes that cells may still claim together; those of a sound file fit into it
}

// openSQLite reads the header of a database file.
func openSQLite(content []byte) (*sqliteFile, error) {
	if len(content) < 100 || string(content[:16]) != "SQLite format 3\x00" {
		return nil, document.Damaged("no SQLite database, or an encrypted one")
	}
	f := &sqliteFile{data: content, payload: len(content), encoding: binary.BigEndian.Uint32(content[56:]), wal: content[18] == 2 || content[19] == 2}
	f.pageSize = int(binary.BigEndian.Uint16(content[16:]))
	if f.pageSize == 1 {
		f.pageSize = 65_536
	}
	f.usable = f.pageSize - int(content[20])
	if f.pageSize < 512 || f.pageSize&(f.pageSize-1) != 0 || f.usable < 480 {
		return nil, document.Damaged("it claims pages of %d bytes", f.pageSize)
	}
	f.seen = make([]bool, len(content)/f.pageSize+1)
	return f, nil
}

// page returns a page, counted from 1. The last may be cut short in the file, which is an error.
func (f *sqliteFile) page(number int) ([]byte, error) {
	if number < 1 || number > len(f.data)/f.pageSize {
		return nil, document.Damaged("there is no page %d", number)
	}
	return f.data[(number-1)*f.pageSize:][:f.usable], nil
}

// A sqliteCell is a row where it is in the file.
type sqliteCell struct {
	rowid    int64
	size     int    // bytes of its record
	local    []byte // the record's beginning, in the page
	overflow int    // the page with the rest, zero for none
}

// walk calls each for the cells of the b-tree with a root page, in order.
func (f *sqliteFile) walk(number, depth int, each func(sqliteCell) error) error {
	page, err := f.page(number)
	switch {
	case err != nil:
		return err
	case depth > maxTreeDepth || f.seen[number]:
		return document.Damaged("page %d is in more than one place", number)
	}
	f.seen[number] = true
	header := 0
	if number == 1 {
		header = 100
	}
	kind, cells := page[header], int(binary.BigEndian.Uint16(page[header+3:]))
	pointers := header + 8
	switch kind {
	case 2, 5: // of an index, of a table: inner pages
		pointers += 4
	case 10, 13: // their leaves
	default:
		return document.Damaged("page %d is of no b-tree", number)
	}
	if pointers+2*cells > len(page) {
		return document.Damaged("page %d claims %d cells", number, cells)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if at+4 > len(page) {
			return document.Damaged("a cell of page %d is out of it", number)
		}
		if err := f.cell(page[at:], kind, depth, each); err != nil {
			return err
		}
	}
	if kind == 2 || kind == 5 {
		return f.walk(int(binary.BigEndian.Uint32(page[header+8:])), depth+1, each)
	}
	return nil
}

// cell reads a cell of a page, and the tree below it first.
func (f *sqliteFile) cell(data []byte, kind byte, depth int, each func(sqliteCell) error) error {
	if kind == 2 || kind == 5 {
		if err := f.walk(int(binary.BigEndian.Uint32(data)), depth+1, each); err != nil || kind == 5 {
			return err
		}
		data = data[4:]
	}
	size, n := varint(data)
	if n == 0 || size > uint64(f.payload) {
		return document.Damaged("a row claims %d bytes", size)
	}
	f.payload -= int(size)
	data = data[n:]
	c := sqliteCell{size: int(size)}
	most := (f.usable-12)*64/255 - 23 // of an index in its page
	if kind == 13 {
		rowid, n := varint(data)
		if n == 0 {
			return document.Damaged("a row has no number")
		}
		c.rowid, data, most = int64(rowid), data[n:], f.usable-35
	}
	here := f.localSize(c.size, most)
	if here > len(data) || here < c.size && here+4 > len(data) {
		return document.Damaged("a row goes beyond its page")
	}
	c.local = data[:here]
	if here < c.size {
		c.overflow = int(binary.BigEndian.Uint32(data[here:]))
	}
	return each(c)
}

// localSize returns how many bytes of a record are in its page, where most may be.
func (f *sqliteFile) localSize(size, most int) int {
	if size <= most {
		return size
	}
	least := (f.usable-12)*32/255 - 23
	if k := least + (size-least)%(f.usable-4); k <= most {
		return k
	}
	return least
}

// record returns a cell's record, with what is on other pages.
func (f *sqliteFile) record(c sqliteCell) ([]byte, error) {
	if c.overflow == 0 {
		return c.local, nil
	}
	record := make([]byte, 0, c.size)
	record = append(record, c.local...)
	for next := c.overflow; len(record) < c.size; {
		page, err := f.page(next)
		if err != nil {
			return nil, err
		}
		next = int(binary.BigEndian.Uint32(page))
		record = append(record, page[4:min(len(page), 4+c.size-len(record))]...)
	}
	return record, nil
}

// varint reads a number of one to nine bytes, and returns how many they are, zero where it does not end.
func varint(data []byte) (uint64, int) {
	var value uint64
	for i := range min(len(data), 9) {
		if i == 8 {
			return value<<8 | uint64(data[8]), 9
		}
		value = value<<7 | uint64(data[i]&0x7f)
		if data[i] < 0x80 {
			return value, i + 1
		}
	}
	return 0, 0
}

// bigInt reads a signed number of up to eight bytes.
func bigInt(data []byte) int64 {
	var value uint64
	for _, c := range data {
		value = value<<8 | uint64(c)
	}
	shift := 64 - 8*len(data)
	return int64(value<<shift) >> shift
}

// bigFloat reads a floating-point number of eight bytes.
func bigFloat(data []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(data)) }
