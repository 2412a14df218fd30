package data

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// shownBlob is how many bytes of a blob are shown.
	shownBlob = 16
	// maxValues bounds the values of a row: SQLite itself makes no more.
	maxValues = 32_767
)

// A sqliteValue is a value of a record: nil, an int64, a float64, a string, or a []byte.
type sqliteValue any

// values reads the values of a record.
func (f *sqliteFile) values(record []byte) ([]sqliteValue, error) {
	length, n := varint(record)
	if n == 0 || length > uint64(len(record)) || length < uint64(n) {
		return nil, document.Damaged("a row has no sound head")
	}
	types, body := record[n:length], record[length:]
	values := make([]sqliteValue, 0, min(len(types), 100)) // a type has a byte at least
	for len(types) > 0 {
		kind, n := varint(types)
		size := serialSize(kind)
		if n == 0 || size > uint64(len(body)) {
			return values, document.Damaged("a row claims more than it has")
		}
		if len(values) == maxValues {
			return values, document.Damaged("a row has more than %d values", maxValues)
		}
		values = append(values, f.value(kind, body[:size]))
		types, body = types[n:], body[size:]
	}
	return values, nil
}

// serialSize returns the bytes that a value of a type has.
func serialSize(kind uint64) uint64 {
	switch {
	case kind <= 4:
		return kind
	case kind == 5:
		return 6
	case kind <= 7:
		return 8
	case kind <= 11:
		return 0
	default:
		return (kind - 12) / 2
	}
}

// value reads a value of a type.
func (f *sqliteFile) value(kind uint64, data []byte) sqliteValue {
	switch {
	case kind == 0, kind == 10, kind == 11:
		return nil
	case kind == 7:
		return bigFloat(data)
	case kind == 8:
		return int64(0)
	case kind == 9:
		return int64(1)
	case kind < 7:
		return bigInt(data)
	case kind%2 == 0:
		return data
	case f.encoding == 2:
		return fromUTF16(data, binary.LittleEndian)
	case f.encoding == 3:
		return fromUTF16(data, binary.BigEndian)
	default:
		return string(data)
	}
}

func fromUTF16(data []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

// show returns a value as text. Of a long blob it shows the first bytes.
func show(value sqliteValue, isReal bool) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case int64:
		if isReal {
			return showFloat(float64(v))
		}
		return strconv.FormatInt(v, 10)
	case float64:
		return showFloat(v)
	case []byte:
		if len(v) <= shownBlob {
			return fmt.Sprintf("x'%x'", v)
		}
		return fmt.Sprintf("x'%x...' (%d bytes)", v[:shownBlob], len(v))
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func showFloat(v float64) string {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		text = strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strings.Replace(text, "+Inf", "Inf", 1)
}
