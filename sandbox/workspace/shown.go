package workspace

import (
	"bytes"
	"unicode/utf8"
)

// match shows a line that matches and those before it, unless the budget is used up.
func (s *Search) match(line []byte, at int) *Place {
	start, count := s.before(s.pos)
	if s.budget.Matches <= 0 || s.budget.Bytes <= 0 {
		return &Place{s.base + int64(start), s.number - count}
	}
	number := s.number - count
	for before := range bytes.Lines(s.buf[start:s.pos]) {
		s.show(trimEnd(before), number, -1)
		number++
	}
	s.show(line, s.number, at)
	s.budget.Matches--
	return nil
}

// trimEnd returns a line without its end.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// before returns where the lines begin that are shown before a match at pos, and how many they are.
func (s *Search) before(pos int) (start int, count int64) {
	for start = pos; count < int64(s.context) && start > s.shown; count++ {
		begin := bytes.LastIndexByte(s.buf[s.shown:start-1], '\n') + 1 + s.shown
		if pos-begin > maxKeptBytes {
			break
		}
		start = begin
	}
	return start, count
}

// show notes a line, in which a match is at some place, or none where that is negative.
func (s *Search) show(line []byte, number int64, at int) {
	start, end := 0, len(line)
	if end > maxShownBytes {
		start = min(max(at-leadBytes, 0), end-maxShownBytes)
		end = start + maxShownBytes
		for start < end && start > 0 && !utf8.RuneStart(line[start]) && at != start {
			start++
		}
		for cut := 0; cut < utf8.UTFMax-1 && end < len(line) && end > start && !utf8.RuneStart(line[end]); cut++ {
			end--
		}
	}
	shown := bytes.ToValidUTF8(line[start:end], []byte("\uFFFD"))
	if len(shown) > maxShownBytes { // bytes that were none of UTF-8 grew
		shown = bytes.ToValidUTF8(shown[:maxShownBytes], nil)
	}
	s.lines = append(s.lines, Line{
		Number: number, Text: string(shown), Context: at < 0, Clipped: end-start < len(line),
	})
	s.budget.Bytes -= len(shown) + lineCost
}
