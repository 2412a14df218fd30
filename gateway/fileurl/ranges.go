package fileurl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errRange says that nothing of a file is in a range.
var errRange = errors.New("nothing of the file is in the range")

// span is a part of a file. Its length is not zero, unless the file's is.
type span struct{ offset, length int64 }

// contentRange writes a span as the header of that name.
func (s span) contentRange(total int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.offset, s.offset+s.length-1, total)
}

// parseRange reads a Range header (RFC 9110, 14.2) for a file of total bytes. False: the whole file is to
// be sent, as the header has several ranges, or another unit, or the file is empty. Its error is errRange,
// for what is malformed too.
func parseRange(header string, total int64) (part span, ok bool, err error) {
	unit, set, found := strings.Cut(header, "=")
	if !found || !strings.EqualFold(unit, "bytes") || strings.Contains(set, ",") || total == 0 {
		return span{}, false, nil
	}
	first, last, found := strings.Cut(strings.Trim(set, " \t"), "-")
	if !found {
		return span{}, false, errRange
	}
	first, last = strings.Trim(first, " \t"), strings.Trim(last, " \t")
	if first == "" {
		suffix, good := position(last)
		if !good || suffix == 0 {
			return span{}, false, errRange
		}
		suffix = min(suffix, total)
		return span{total - suffix, suffix}, true, nil
	}
	from, good := position(first)
	to := total - 1
	if good && last != "" {
		to, good = position(last)
	}
	if !good || from > to || from >= total {
		return span{}, false, errRange
	}
	return span{from, min(to, total-1) - from + 1}, true, nil
}

// position reads digits, and no sign.
func position(digits string) (int64, bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && digits[0] != '+' && digits[0] != '-'
}
