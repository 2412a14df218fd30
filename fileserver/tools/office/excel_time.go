package office

import (
	"math"
	"strconv"
	"time"
)

const (
	secondsPerDay = 24 * 60 * 60
	// maxDay is the last day that a workbook knows, of the year 9999.
	maxDay = 2_958_465
)

// showTime returns a day's number as a date or time.
func (f *numberFormat) showTime(value float64, s *formatSection) string {
	if math.Abs(value) > maxDay+1 || (value < 0 && !s.total) {
		return plainNumber(value)
	}
	millis := int64(math.Round(value * secondsPerDay * 1000))
	if !s.second || millis%1000 < 2 || millis%1000 > 998 {
		millis = (millis + 500) / 1000 * 1000
	}
	if s.total {
		sign := ""
		if millis < 0 {
			sign, millis = "-", -millis
		}
		seconds := millis / 1000
		return sign + strconv.FormatInt(seconds/3600, 10) + time.Unix(seconds%3600, 0).UTC().Format(":04:05")
	}
	// Day 60 of the 1900 system is 29 February 1900, which never was.
	first := time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case f.date1904:
		first = time.Date(1904, time.January, 1, 0, 0, 0, 0, time.UTC)
	case value < 60:
		first = first.AddDate(0, 0, 1)
	}
	at := time.UnixMilli(first.UnixMilli() + millis).UTC()
	clock := "15:04"
	if s.second || at.Second() != 0 {
		clock = "15:04:05.999"
	}
	switch {
	case s.day && s.time:
		return at.Format("2006-01-02 " + clock)
	case s.day:
		return at.Format("2006-01-02")
	default:
		return at.Format(clock)
	}
}
